//! What a transfer says: what goes where. Which member names the destination depends on the kind of transfer.

use crate::recipe::facts::sheet::{Key, Names, Sheet};
use crate::recipe::json::Value;
use crate::types::facts::{Fact, Transfer};
use std::borrow::Cow;

/// The members of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferShape {
    /// Their names.
    pub names: Names,
    /// The currency.
    pub currency: Key,
    /// The amount.
    pub amount: Key,
    /// Where to: the first of these that says anything.
    pub destination: Vec<Key>,
    /// What must be said besides for that to be where the funds go.
    pub kind: Option<KindShape>,
    /// The id that the client chose, where the exchange knows one.
    pub client_id: Option<Key>,
    /// Members that make the same destination another.
    pub uncounted: Vec<Key>,
}

/// The kind of a transfer, which decides which member names its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindShape {
    /// The member that says so.
    pub member: Key,
    /// Its words, each with the place of the destination that it means. By another word the funds go elsewhere.
    pub meant: Vec<(Box<str>, usize)>,
    /// The word that holds where it is absent.
    pub default: Box<str>,
}

impl TransferShape {
    /// Reads a body; `None` for one that is no object.
    pub fn read<'a>(&'a self, body: Value<'_, 'a>) -> Option<Transfer<'a>> {
        let sheet = Sheet::read(&self.names, body)?;
        Some(Transfer {
            currency: sheet.text(self.currency),
            amount: sheet.number(self.amount),
            destination: self.destination(&sheet),
            client_id: self.client_id.map_or(Fact::Absent, |key| sheet.id(key)),
            uncounted: sheet.first_present(&self.uncounted),
        })
    }

    /// A destination that is named is one only for the kinds of transfers that heed it.
    fn destination<'a>(&self, sheet: &Sheet<'_, '_, 'a>) -> Fact<Cow<'a, str>> {
        let named = self.destination.iter().enumerate().find(|(_, key)| sheet.is_present(**key));
        match named {
            None => Fact::Absent,
            Some((nth, key)) if self.kind.as_ref().is_none_or(|kind| kind.means(nth, sheet)) => {
                sheet.text_or_whole(*key)
            }
            Some(_) => Fact::Unreadable,
        }
    }
}

impl KindShape {
    fn means(&self, destination: usize, sheet: &Sheet<'_, '_, '_>) -> bool {
        let stated = sheet.text_or_whole(self.member);
        let word = match &stated {
            Fact::Is(word) => word,
            Fact::Absent => &*self.default,
            Fact::Unreadable => return false,
        };
        self.meant.iter().any(|(known, nth)| **known == *word && *nth == destination)
    }
}
