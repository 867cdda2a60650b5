//! What bots did in the last 30 days, read from the newest row of the ledger back, a page at a time while bots sign. What
//! the reading did not come to in time is said to be unknown.

use crate::audit::event::{self, Text};
use crate::store::ledger::Ledger;
use crate::types::clock::{Clock, UnixMs};
use crate::types::endpoint::Grant;
use crate::vault::AdminError;
use crate::vault::annals::time_of;
use crate::vault::deadline::DAY_MS;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

/// For so many days signatures are looked at.
pub const WINDOW_DAYS: i64 = 30;
/// Rows read at a time: whoever signs waits for one page at most.
const PAGE: u32 = 500;
/// The reading ends after about so long.
const PATIENCE_MS: u64 = 1000;

/// What the rows say.
#[derive(Debug, Default)]
pub struct Past {
    /// Rows that were looked at.
    pub rows: u64,
    /// When the oldest of them was written.
    pub since: Option<UnixMs>,
    /// Where the reading ended.
    pub end: End,
    /// What each bot did in the last 30 days, by name.
    pub bots: HashMap<String, Deeds>,
    /// When each policy was last set, by name.
    pub policies: HashMap<String, UnixMs>,
    /// How often the wall clock jumped in the last 30 days, as far as rows tell.
    pub clock_jumps: u64,
}

/// Where the reading ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// At the vault's very first row.
    #[default]
    First,
    /// At the first row that is kept: those before it were pruned.
    Pruned,
    /// More than 30 days ago.
    Enough,
    /// Before that, because it took too long.
    Late,
}

/// What a bot did.
#[derive(Debug, Default)]
pub struct Deeds {
    /// When it last asked for something.
    pub last_seen: Option<UnixMs>,
    /// The grants of what was allowed.
    pub grants: BTreeSet<Grant>,
    /// The endpoints of what was allowed.
    pub endpoints: BTreeSet<String>,
}

/// What is read of a row.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(default, borrow)]
    bot: Option<Text<'a>>,
    #[serde(default, borrow)]
    decision: Option<Text<'a>>,
    #[serde(default, borrow)]
    code: Option<Text<'a>>,
    #[serde(default, borrow)]
    endpoint: Option<Text<'a>>,
    #[serde(default)]
    grant: Option<Grant>,
    #[serde(default, borrow)]
    policy: Option<Text<'a>>,
}

impl Past {
    /// Reads back over the last 30 days, as long as there is time.
    ///
    /// # Errors
    /// The disk's refusal; the vault was locked.
    pub fn read(ledger: &Ledger, clock: &dyn Clock) -> Result<Past, AdminError> {
        let begun = clock.now();
        let window = begun.wall.plus_ms(-WINDOW_DAYS * DAY_MS);
        let standing = ledger.standing();
        let kept_after = standing.state.first_kept.link.seq;
        let mut past = Past { end: if kept_after == 0 { End::First } else { End::Pruned }, ..Past::default() };
        let mut last = standing.tail.seq;
        while last > kept_after {
            if past.since.is_some_and(|since| since <= window) {
                past.end = End::Enough;
                break;
            }
            if clock.now().boot_ms.saturating_sub(begun.boot_ms) >= PATIENCE_MS {
                past.end = End::Late;
                break;
            }
            let start = last.saturating_sub(PAGE.into()).max(kept_after);
            let page = ledger.rows(start, PAGE)?;
            page.iter().rev().filter(|row| row.seq <= last).for_each(|row| past.note(&row.body, window));
            last = start;
        }
        Ok(past)
    }

    /// Whether everything since this moment was looked at.
    pub fn reaches(&self, moment: UnixMs) -> bool {
        self.end == End::First || self.since.is_some_and(|since| since <= moment)
    }

    /// What a bot of this name did since it was made.
    pub fn deeds(&self, bot: &str, created: UnixMs) -> Option<&Deeds> {
        self.bots.get(bot).filter(|deeds| deeds.last_seen.is_some_and(|seen| seen >= created))
    }

    /// Takes in a row, from the newest back.
    fn note(&mut self, body: &str, window: UnixMs) {
        self.rows += 1;
        let Some(time) = time_of(body) else { return };
        self.since = Some(time);
        let kind = event::kind_of(body).map_or("", |(kind, _)| kind);
        match kind {
            "sign" if time >= window => self.note_ask(body, time),
            "clock" if time >= window => self.clock_jumps += 1,
            "policy" => self.note_policy(body, time),
            _ => (),
        }
    }

    fn note_ask(&mut self, body: &str, time: UnixMs) {
        let Some(Glance { bot: Some(bot), decision, code, endpoint, grant, .. }) = glance(body) else { return };
        if !self.bots.contains_key(&*bot) {
            self.bots.insert(bot.to_string(), Deeds::default());
        }
        let Some(deeds) = self.bots.get_mut(&*bot) else { return };
        deeds.last_seen.get_or_insert(time);
        if code.as_deref() == Some("clock.jump") {
            self.clock_jumps += 1;
        }
        if decision.as_deref() != Some("allow") {
            return;
        }
        deeds.grants.extend(grant);
        if let Some(endpoint) = endpoint.filter(|endpoint| !deeds.endpoints.contains(&**endpoint)) {
            deeds.endpoints.insert(endpoint.to_string());
        }
    }

    fn note_policy(&mut self, body: &str, time: UnixMs) {
        if let Some(name) = glance(body).and_then(|row| row.policy) {
            self.policies.entry(name.to_string()).or_insert(time);
        }
    }
}

fn glance(body: &str) -> Option<Glance<'_>> {
    serde_json::from_str(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: &str = r#"{"time":"2026-01-02T00:00:00.000Z","boot_ms":9,"event":"#;
    const EARLIER: &str = r#"{"time":"2026-01-01T00:00:00.000Z","boot_ms":1,"event":"#;

    #[test]
    fn rows_are_taken_in_from_the_newest_back() {
        let mut past = Past::default();
        let read = r#""sign","decision":"allow","bot":"bob","endpoint":"GET /a","grant":"read","policy":"p@1"}"#;
        let denied =
            r#""sign","decision":"deny","code":"clock.jump","bot":"bob","endpoint":"POST /b","grant":"trade"}"#;
        for (time, rest) in [
            (LATER, denied),
            (LATER, r#""reference","policy":"p","instrument":"X","price":"1"}"#),
            (EARLIER, read),
            (EARLIER, r#""policy","action":"set","policy":"p","version":1}"#),
        ] {
            past.note(&format!("{time}{rest}"), UnixMs(0));
        }
        let moment = |text: &str| UnixMs::parse_rfc3339(text);
        let (earlier, later) = (moment("2026-01-01T00:00:00Z"), moment("2026-01-02T00:00:00Z"));
        assert_eq!((past.rows, past.since, past.policies.get("p").copied()), (4, earlier, earlier));
        assert_eq!((past.clock_jumps, past.bots.len()), (1, 1));
        let bob = past.deeds("bob", UnixMs(0)).unwrap();
        assert_eq!((bob.last_seen, bob.endpoints.len()), (later, 1));
        assert_eq!(bob.grants, BTreeSet::from([Grant::Read]));
        assert!(past.deeds("bob", later.unwrap().plus_ms(1)).is_none(), "another bot had the name");
    }

    #[test]
    fn a_signature_from_before_the_window_is_not_looked_into() {
        let mut past = Past::default();
        let row = format!(r#"{EARLIER}"sign","decision":"allow","bot":"bob","endpoint":"GET /a","grant":"read"}}"#);
        past.note(&row, UnixMs(i64::MAX));
        assert!(past.bots.is_empty());
        assert_eq!(past.rows, 1);
    }
}
