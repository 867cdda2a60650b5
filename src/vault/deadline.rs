//! What ends by itself when nobody does anything: keys that their exchange deletes for want of use, and tokens that
//! expire. From a week before the end on `status` and `doctor` warn of it, and the log once a day; the words change when
//! three days are left, and one.

use crate::types::clock::UnixMs;
use crate::vault::Vault;
use crate::vault::card;
use crate::vault::state::{Credential, State, Unlocked};

/// A day in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;

/// So many days before the end it is warned of for the first time.
const SOON_DAYS: i64 = 7;
/// So many days before it the words change.
const PRESSING_DAYS: i64 = 3;
/// More lines than this a day are only counted.
const MOST_LINES: usize = 100;

/// An end that comes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// What ends.
    pub of: Of,
    /// The name of the credential or bot.
    pub name: String,
    /// When.
    pub ends: UnixMs,
}

/// What ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// A key, which the exchange deletes after so many days without use.
    Key {
        /// The exchange.
        exchange: String,
        /// The days.
        idle_days: u32,
    },
    /// A bot's token.
    Token,
}

impl Deadline {
    /// When the exchange deletes an idle key, if it does.
    pub fn of_key(credential: &Credential) -> Option<Deadline> {
        let card = &credential.card;
        let idle_days = card::idle_days(card, &credential.recipe)?;
        let since = credential.last_used.unwrap_or(card.created);
        let ends = since.plus_ms(i64::from(idle_days).saturating_mul(DAY_MS));
        Some(Deadline { of: Of::Key { exchange: card.exchange.clone(), idle_days }, name: card.name.clone(), ends })
    }

    /// The days that are left, a begun one counted whole; none or fewer when it is over.
    pub fn days_left(&self, now: UnixMs) -> i64 {
        -now.0.saturating_sub(self.ends.0).div_euclid(DAY_MS)
    }

    /// Whether it is over.
    pub fn is_over(&self, now: UnixMs) -> bool {
        self.days_left(now) <= 0
    }

    /// Whether it is warned of by now.
    pub fn is_near(&self, now: UnixMs) -> bool {
        self.days_left(now) <= SOON_DAYS
    }

    /// What ends and when, without the name.
    pub fn words(&self, now: UnixMs) -> String {
        let left = match self.days_left(now) {
            ..=0 => None,
            1 => Some("less than a day is left".to_owned()),
            days @ ..=PRESSING_DAYS => Some(format!("only {days} days are left")),
            days => Some(format!("{days} days are left")),
        };
        match (&self.of, left) {
            (Of::Key { exchange, idle_days }, left) => format!(
                "{exchange} deletes this key after {idle_days} days without use; {}",
                left.unwrap_or_else(|| "it may be gone already".to_owned())
            ),
            (Of::Token, Some(left)) => format!("its token expires; {left}"),
            (Of::Token, None) => "its token has expired and lets nobody in".to_owned(),
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        let name = &self.name;
        match self.of {
            Of::Key { .. } => format!(
                "use it (`signvault sign` with any read), or bind it to an address at the exchange and note that with `signvault credential edit {name} --ip`"
            ),
            Of::Token => format!("`signvault bot remove {name}`, and `bot add` again if it is still needed"),
        }
    }

    /// One line about it.
    fn line(&self, now: UnixMs) -> String {
        format!("{}: {}", self.name, self.words(now))
    }
}

/// What is near its end: credentials by name, then bots by name. A key whose last use may stand in a row that is still to
/// be verified is left out, and so is a bot that was revoked.
pub(super) fn near(unlocked: &Unlocked, now: UnixMs) -> Vec<Deadline> {
    let credentials = unlocked.credentials_by_name().into_values();
    let known = credentials.filter(|found| found.last_used.is_some() || unlocked.backlog.is_none());
    let keys = known.filter_map(Deadline::of_key);
    let bots = unlocked.bots.iter().map(|(_, entry)| &entry.bot).filter(|bot| !bot.revoked);
    let tokens = bots.filter_map(|bot| Some(Deadline { of: Of::Token, name: bot.name.clone(), ends: bot.expires? }));
    let mut tokens: Vec<Deadline> = tokens.filter(|token| token.is_near(now)).collect();
    tokens.sort_by(|one, other| one.name.cmp(&other.name));
    keys.filter(|key| key.is_near(now)).chain(tokens).collect()
}

/// The lines of [`near`].
pub(super) fn lines(unlocked: &Unlocked, now: UnixMs) -> impl Iterator<Item = String> {
    near(unlocked, now).into_iter().map(move |deadline| deadline.line(now))
}

impl Vault {
    /// Writes a line to the log for all that is near its end: at the first look after an unlock, and then once on every
    /// day (UTC). Not while the clock is not believed, nor before all rows are verified that say when keys were used.
    pub(super) fn log_deadlines_once_a_day(&self) {
        let now = self.setup.clock.now();
        let today = now.wall.0.div_euclid(DAY_MS);
        let near = {
            let mut state = self.state();
            let State::Unlocked(unlocked) = &mut *state else { return };
            let is_due = unlocked.warned_on != Some(today) && unlocked.backlog.is_none();
            if !is_due || !unlocked.clock_guard.is_sane(now) {
                return;
            }
            unlocked.warned_on = Some(today);
            near(unlocked, now.wall)
        };
        for deadline in near.iter().take(MOST_LINES) {
            let days_left = deadline.days_left(now.wall);
            match deadline.of {
                Of::Key { .. } => {
                    tracing::warn!(credential = %deadline.name, days_left, "{}", deadline.words(now.wall))
                }
                Of::Token => tracing::warn!(bot = %deadline.name, days_left, "{}", deadline.words(now.wall)),
            }
        }
        if near.len() > MOST_LINES {
            tracing::warn!(more = near.len() - MOST_LINES, "more keys and tokens end soon: see `signvault doctor`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_day_counts_whole_and_the_words_change_at_three_and_one() {
        let token = Deadline { of: Of::Token, name: "bob".into(), ends: UnixMs(10 * DAY_MS) };
        let left = |now: i64| token.days_left(UnixMs(now));
        assert_eq!([left(0), left(1), left(9 * DAY_MS + 1), left(10 * DAY_MS)], [10, 10, 1, 0]);
        assert_eq!(left(11 * DAY_MS), -1);
        assert!(!token.is_near(UnixMs(3 * DAY_MS - 1)) && token.is_near(UnixMs(3 * DAY_MS)));
        let words = |days: i64| token.words(UnixMs((10 - days) * DAY_MS));
        assert_eq!(words(7), "its token expires; 7 days are left");
        assert_eq!(words(3), "its token expires; only 3 days are left");
        assert_eq!(words(1), "its token expires; less than a day is left");
        assert_eq!(words(0), "its token has expired and lets nobody in");
    }
}
