//! Bots in the order of their ids, so that finding one takes the same steps whether it is there or not.
//!
//! A hash map would answer faster for an id that it does not hold, and the time would tell a caller which ids exist. The
//! ids stand by themselves: of a hundred thousand bots a search then reads two megabytes at most, not twenty.

use crate::types::id::Id;
use crate::vault::bot::Bot;
use crate::vault::state::BotEntry;

/// The bots of a vault.
#[derive(Default)]
pub struct Roster {
    /// In order.
    ids: Vec<Id>,
    /// The bot of each id, at the same place.
    entries: Vec<BotEntry>,
}

impl Roster {
    /// The bot with this id.
    pub fn get(&self, id: &Id) -> Option<&BotEntry> {
        self.position(id).ok().map(|at| &self.entries[at])
    }

    /// The bot with this id, to change it.
    pub fn get_mut(&mut self, id: &Id) -> Option<&mut BotEntry> {
        self.position(id).ok().map(|at| &mut self.entries[at])
    }

    /// The bot where this id would stand: its own if it is there, else a neighbour, whose hash will not match. `None`
    /// only when there are no bots at all.
    pub fn nearest(&mut self, id: &Id) -> Option<(&Id, &mut BotEntry)> {
        let at = self.place(id).min(self.ids.len().saturating_sub(1));
        self.ids.get(at).zip(self.entries.get_mut(at))
    }

    /// Adds a bot or replaces it.
    pub fn insert(&mut self, id: Id, entry: BotEntry) {
        match self.position(&id) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => {
                self.ids.insert(at, id);
                self.entries.insert(at, entry);
            }
        }
    }

    /// Says what a bot becomes with another token that is on its way to the disk, or that none is.
    pub fn set_rotating(&mut self, id: &Id, rotating: Option<Box<Bot>>) {
        if let Some(entry) = self.get_mut(id) {
            entry.rotating = rotating;
        }
    }

    /// Takes a bot out.
    pub fn remove(&mut self, id: &Id) {
        if let Ok(at) = self.position(id) {
            self.ids.remove(at);
            self.entries.remove(at);
        }
    }

    /// Every bot.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &BotEntry)> {
        self.ids.iter().zip(&self.entries)
    }

    /// Where a bot stands, or where it would.
    fn position(&self, id: &Id) -> Result<usize, usize> {
        let at = self.place(id);
        if self.ids.get(at) == Some(id) { Ok(at) } else { Err(at) }
    }

    /// How many ids come before this one.
    fn place(&self, id: &Id) -> usize {
        // As one number: comparing byte by byte would take another branch where the first bytes agree.
        let number = |id: &Id| u128::from_be_bytes(*id.as_bytes());
        let wanted = number(id);
        self.ids.partition_point(|other| number(other) < wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::UnixMs;
    use crate::types::mode::Mode;

    fn bot(name: &str) -> BotEntry {
        let bot = Bot {
            name: name.to_owned(),
            token_hash: [0; 32],
            credentials: Vec::new(),
            policy: None,
            uids: Vec::new(),
            created: UnixMs(0),
            expires: None,
            revoked: false,
            mode: Mode::Normal,
        };
        BotEntry::new(bot, 1)
    }

    fn name(found: Option<&BotEntry>) -> Option<&str> {
        found.map(|entry| entry.bot.name.as_str())
    }

    #[test]
    fn every_bot_stays_with_its_id_whatever_comes_and_goes() {
        let mut roster = Roster::default();
        for (number, called) in [(5, "five"), (1, "one"), (9, "nine"), (5, "other"), (3, "three")] {
            roster.insert(Id([number; 16]), bot(called));
        }
        roster.remove(&Id([1; 16]));
        roster.remove(&Id([2; 16]));
        let found = |number| name(roster.get(&Id([number; 16])));
        assert_eq!([3, 5, 9].map(found), [Some("three"), Some("other"), Some("nine")]);
        assert_eq!([0, 1, 4, 10].map(found), [None; 4]);
        let names: Vec<&str> = roster.iter().map(|(_, entry)| entry.bot.name.as_str()).collect();
        assert_eq!(names, ["three", "other", "nine"]);
    }

    #[test]
    fn who_is_not_there_finds_a_neighbour() {
        let mut roster = Roster::default();
        assert!(roster.nearest(&Id([0; 16])).is_none());
        for number in [3, 5] {
            roster.insert(Id([number; 16]), bot(&number.to_string()));
        }
        for (wanted, found) in [(0, 3), (3, 3), (4, 5), (5, 5), (9, 5)] {
            let (id, entry) = roster.nearest(&Id([wanted; 16])).unwrap();
            assert_eq!((*id, &entry.bot.name), (Id([found; 16]), &found.to_string()), "{wanted}");
        }
    }
}
