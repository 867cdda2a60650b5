//! Bots in the order of their ids, so that finding one takes the same steps whether it is there or not.
//!
//! A hash map would answer faster for an id that it does not hold, and the time would tell a caller which ids exist.

use crate::types::id::Id;
use crate::vault::bot::Bot;
use crate::vault::state::BotEntry;

/// The bots of a vault.
#[derive(Default)]
pub struct Roster(Vec<(Id, BotEntry)>);

impl Roster {
    /// The bot with this id.
    pub fn get(&self, id: &Id) -> Option<&BotEntry> {
        self.position(id).ok().map(|at| &self.0[at].1)
    }

    /// The bot with this id, to change it.
    pub fn get_mut(&mut self, id: &Id) -> Option<&mut BotEntry> {
        self.position(id).ok().map(|at| &mut self.0[at].1)
    }

    /// The bot where this id would stand: its own if it is there, else a neighbour, whose hash will not match. `None`
    /// only when there are no bots at all.
    pub fn nearest(&mut self, id: &Id) -> Option<&mut (Id, BotEntry)> {
        // As one number: comparing byte by byte would take another branch where the first bytes agree.
        let wanted = u128::from_be_bytes(*id.as_bytes());
        let before = |(other, _): &(Id, BotEntry)| u128::from_be_bytes(*other.as_bytes()) < wanted;
        let at = self.0.partition_point(before).min(self.0.len().saturating_sub(1));
        self.0.get_mut(at)
    }

    /// Adds a bot or replaces it.
    pub fn insert(&mut self, id: Id, entry: BotEntry) {
        match self.position(&id) {
            Ok(at) => self.0[at].1 = entry,
            Err(at) => self.0.insert(at, (id, entry)),
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
            self.0.remove(at);
        }
    }

    /// Every bot.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &BotEntry)> {
        self.0.iter().map(|(id, entry)| (id, entry))
    }

    fn position(&self, id: &Id) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(id))
    }
}
