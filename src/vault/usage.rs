//! What was used of limits, in memory. The rolling ones are the ledger's own rows, added up: nothing else is stored, so
//! no crash can take a count back that a row stands for.

use crate::audit::event::Used;
use crate::audit::signature::Counted;
use crate::crypto::mac;
use crate::policy::Policy;
use crate::policy::limit::{self, Gauge};
use crate::policy::rate::{Lane, Rate, RetryAfterMs};
use crate::policy::usage::{ClientIds, Counts, IdHash, Meter, Usage};
use crate::types::clock::{Now, UnixMs};
use crate::types::decimal::Decimal;
use crate::types::id::{Id, IdMap};
use crate::vault::tally::{Class, Outcome, Tallies};
use data_encoding::HEXLOWER;
use std::num::NonZeroU32;

/// What bots and credentials have used.
#[derive(Default)]
pub struct Book {
    bots: IdMap<OfBot>,
    ids: IdMap<ClientIds>,
    /// What those without a page have used.
    nothing: (Meter, ClientIds),
    /// What was used before this is unknown: a backup was restored then.
    unknown_before: Option<UnixMs>,
    /// The path that a row told of last, and its hash: the next row's is mostly the same.
    path: Option<(String, [u8; 32])>,
}

#[derive(Default)]
struct OfBot {
    meter: Meter,
    rate: Rate,
    tallies: Tallies,
}

impl Book {
    /// Counts a request towards the bot's rate.
    ///
    /// # Errors
    /// The rate is spent.
    pub fn admit(&mut self, bot: Id, lane: Lane, most: NonZeroU32, boot_ms: u64) -> Result<(), RetryAfterMs> {
        self.bots.entry(bot).or_default().rate.take(lane, most, boot_ms)
    }

    /// What a bot is judged against when it asks with a credential.
    pub fn usage(&self, bot: &Id, credential: &Id) -> Usage<'_> {
        let meter = self.bots.get(bot).map_or(&self.nothing.0, |used| &used.meter);
        let ids = self.ids.get(credential).unwrap_or(&self.nothing.1);
        Usage { meter, ids, unknown_before: self.unknown_before }
    }

    /// What a bot used of every limit of a policy.
    pub fn gauges(&self, bot: &Id, policy: &Policy, now: Now) -> Vec<Gauge> {
        let nothing = OfBot::default();
        let of_bot = self.bots.get(bot).unwrap_or(&nothing);
        limit::gauges(policy, &of_bot.meter, self.unknown_before, &of_bot.rate, now.wall, now.boot_ms)
    }

    /// Counts an allowed ask. Nothing is ever given back: from here on its signature may exist.
    pub fn count(&mut self, bot: Id, credential: Id, counts: &Counts, digest: [u8; 32], at: UnixMs) {
        self.bots.entry(bot).or_default().meter.add(counts, at);
        if !counts.ids.is_empty() {
            self.ids.entry(credential).or_default().remember(&counts.ids, digest, at);
        }
    }

    /// Counts how an ask was decided, for monitors.
    pub fn tally(&mut self, bot: Id, credential: Option<Id>, class: Class, outcome: Outcome) {
        self.bots.entry(bot).or_default().tallies.count(credential, class, outcome);
    }

    /// How a bot's asks were decided since the unlock; none when it has not asked.
    pub fn tallies(&self, bot: &Id) -> Option<&Tallies> {
        self.bots.get(bot).map(|used| &used.tallies)
    }

    /// Takes in that a backup was restored: every limit over time counts as spent until its window has passed since,
    /// unless a person said that the backup's own rows are what was used.
    pub fn restore(&mut self, at: UnixMs, reset_limits: bool) {
        self.unknown_before = (!reset_limits).then_some(at);
    }

    /// Counts a row of the ledger again, from the moment that it tells. False when it says something that no row says.
    #[must_use]
    pub fn count_row(&mut self, row: &Used, moment: Option<UnixMs>) -> bool {
        let Some(counted) = &row.counted else { return true };
        match (read(counted), moment, self.digest_of_row(row)) {
            (Some(counts), Some(at), Some(digest)) => {
                self.count(counted.bot, counted.credential, &counts, digest, at);
                true
            }
            _ => false,
        }
    }

    fn digest_of_row(&mut self, row: &Used) -> Option<[u8; 32]> {
        let hash = |text: &str| <[u8; 32]>::try_from(HEXLOWER.decode(text.as_bytes()).ok()?).ok();
        let (method, path) = row.endpoint.as_ref()?.split_once(' ')?;
        let path = match &row.path_sha256 {
            Some(text) => hash(text)?,
            None => self.hash_of_path(path),
        };
        let body = match &row.body_sha256 {
            Some(text) => Some(hash(text)?),
            None => None,
        };
        Some(digest(method, &path, body.as_ref()))
    }

    fn hash_of_path(&mut self, path: &str) -> [u8; 32] {
        let last = self.path.take().filter(|(last, _)| last == path);
        self.path.insert(last.unwrap_or_else(|| (path.to_owned(), mac::sha256(&[path.as_bytes()])))).1
    }

    /// Takes what was counted after `now` for counted now, because a person or the kernel said that the clock is right.
    pub fn not_after(&mut self, now: UnixMs) {
        self.bots.values_mut().for_each(|used| used.meter.not_after(now));
        self.ids.values_mut().for_each(|ids| ids.not_after(now));
        self.unknown_before = self.unknown_before.map(|moment| moment.min(now));
    }

    /// Forgets a bot that is gone.
    pub fn forget_bot(&mut self, bot: &Id) {
        self.bots.remove(bot);
    }
}

/// What makes two asks the same: method, path and body, to the byte. `body` is absent when there is none.
pub fn digest(method: &str, path_sha256: &[u8; 32], body_sha256: Option<&[u8; 32]>) -> [u8; 32] {
    let body = body_sha256.map_or(&[][..], |hash| &hash[..]);
    mac::sha256_of_enc(&[method.as_bytes(), path_sha256, body])
}

/// The counts as a row of the ledger says them.
pub fn to_row(bot: Id, credential: Id, counts: &Counts) -> Counted {
    Counted {
        bot,
        credential,
        orders: counts.orders,
        notional: counts.notional.to_string(),
        ids: counts.ids.iter().map(|id| HEXLOWER.encode(id)).collect(),
    }
}

fn read(counted: &Counted) -> Option<Counts> {
    let id = |text: &String| IdHash::try_from(HEXLOWER.decode(text.as_bytes()).ok()?).ok();
    Some(Counts {
        orders: counted.orders,
        notional: Decimal::parse_sum(&counted.notional).ok()?,
        ids: counted.ids.iter().map(id).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_its_paths_hash_counts_for_its_own_path_whatever_stood_before_it() {
        let (bot, credential, at) = (Id([1; 16]), Id([2; 16]), UnixMs(1_700_000_000_000));
        let mut book = Book::default();
        let paths = ["/a", "/a", "/b", "/a", "", "/b"];
        let row = |number: usize, path: &str| {
            let ids = HEXLOWER.encode(&[number as u8; 16]);
            let counted =
                format!(r#"{{"bot":"{bot}","credential":"{credential}","orders":1,"notional":"1","ids":["{ids}"]}}"#);
            format!(r#"{{"time":"T","event":"sign","endpoint":"POST {path}","counted":{counted}}}"#)
        };
        for (number, path) in paths.iter().enumerate() {
            let body = row(number, path);
            assert!(book.count_row(&Used::parse(&body).unwrap(), Some(at)));
        }
        for (number, path) in paths.iter().enumerate() {
            let told = digest("POST", &mac::sha256(&[path.as_bytes()]), None);
            let ids = book.usage(&bot, &credential).ids;
            assert!(!ids.conflicts(&[number as u8; 16], &told, at), "{number}");
            assert!(ids.conflicts(&[number as u8; 16], &digest("POST", &[0; 32], None), at), "{number}");
        }
    }
}
