//! What the ledger says of the vault itself, kept at hand for doctor: when it was last backed up, when it last changed, and
//! which slots have opened it. Gathered from every row that is verified, and from each that is added; a ledger that is too
//! long to be searched can be asked all the same.

use crate::audit::event;
use crate::types::clock::UnixMs;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The kinds of rows that tell of a change which a backup from before does not have. A reference price and a mode are soon
/// given again.
const CHANGES: [&str; 7] = ["init", "credential", "bot", "policy", "slot", "password_change", "key_rotation"];

/// What the rows say that were seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annals {
    /// When the last backup was made.
    pub backed_up: Option<UnixMs>,
    /// When something changed for the last time that a backup keeps.
    pub changed: Option<UnixMs>,
    /// When each slot last opened the vault.
    pub(super) opened: BTreeMap<u32, UnixMs>,
}

/// What is read of the row about an unlock.
#[derive(Deserialize)]
struct Opened {
    slot: u32,
}

impl Annals {
    /// Takes in a row, in any order.
    pub fn note(&mut self, body: &str) {
        match event::kind_of(body).map(|(kind, _)| kind) {
            // Nearly all rows are, and say nothing of this.
            Some("sign") | None => (),
            Some("backup") => self.backed_up = self.backed_up.max(time_of(body)),
            Some("unlock") => {
                if let (Ok(Opened { slot }), Some(time)) = (serde_json::from_str(body), time_of(body)) {
                    let opened = self.opened.entry(slot).or_insert(time);
                    *opened = time.max(*opened);
                }
            }
            Some(kind) if CHANGES.contains(&kind) => self.changed = self.changed.max(time_of(body)),
            Some(_) => (),
        }
    }

    /// Takes in what others saw.
    pub fn merge(&mut self, other: Annals) {
        self.backed_up = self.backed_up.max(other.backed_up);
        self.changed = self.changed.max(other.changed);
        for (slot, time) in other.opened {
            let opened = self.opened.entry(slot).or_insert(time);
            *opened = time.max(*opened);
        }
    }

    /// Whether a slot has opened the vault since it was made. Numbers of slots are given again.
    pub fn has_opened(&self, slot: u32, made: UnixMs) -> bool {
        self.opened.get(&slot).is_some_and(|opened| *opened >= made)
    }
}

/// The wall time at the head of a row, without reading the rest.
pub(super) fn time_of(body: &str) -> Option<UnixMs> {
    UnixMs::parse_rfc3339(body.strip_prefix(r#"{"time":""#)?.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(day: u8, rest: &str) -> String {
        format!(r#"{{"time":"2026-01-0{day}T00:00:00.000Z","boot_ms":1,"event":{rest}}}"#)
    }

    #[test]
    fn rows_may_be_seen_in_any_order() {
        let rows = [
            row(1, r#""init""#),
            row(2, r#""backup""#),
            row(3, r#""unlock","slot":2,"failed_attempts":0"#),
            row(4, r#""bot","action":"add","bot":"bob""#),
            row(5, r#""mode","mode":"normal""#),
            row(6, r#""sign","decision":"allow""#),
        ];
        let day = |day: u8| UnixMs::parse_rfc3339(&format!("2026-01-0{day}T00:00:00Z"));
        let mut forward = Annals::default();
        rows.iter().for_each(|row| forward.note(row));
        let mut backward = Annals::default();
        rows.iter().rev().for_each(|row| backward.note(row));
        assert_eq!(forward, backward);
        assert_eq!((forward.backed_up, forward.changed), (day(2), day(4)));
        assert!(forward.has_opened(2, day(3).unwrap()) && !forward.has_opened(1, UnixMs(0)));
        assert!(!forward.has_opened(2, day(4).unwrap()), "another slot had the number");
        let mut merged = Annals::default();
        merged.merge(backward);
        merged.note(&row(7, r#""backup""#));
        assert_eq!((merged.backed_up, merged.changed), (day(7), day(4)));
    }
}
