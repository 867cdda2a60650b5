//! Modes: how much may happen, for everyone or for one bot, whatever policies allow.
//!
//! A mode holds from the moment it is set, like a revocation: no ask that is judged later passes by the old one, and the
//! disk is not waited for.

use crate::audit::event::Event;
use crate::store::ledger::Change;
use crate::store::record::Table;
use crate::types::clock::Now;
use crate::types::id::Id;
use crate::types::mode::Mode;
use crate::vault::change::Prepared;
use crate::vault::state::Unlocked;
use crate::vault::{AdminError, Vault};
use crate::wire::policy::Modes;
use serde::{Deserialize, Serialize};

/// The record that keeps the mode. Not a random id, because there is only one.
const RECORD: Id = Id(*b"signvault / mode");

/// A setting's record.
#[derive(Serialize, Deserialize)]
#[serde(tag = "setting", rename_all = "snake_case")]
pub enum Setting {
    /// The mode for everyone.
    Mode {
        /// How much may happen.
        mode: Mode,
    },
}

impl Vault {
    /// The mode for everyone, and of the bots that have one of their own.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn modes(&self) -> Result<Modes, AdminError> {
        self.look(|unlocked| {
            let own = unlocked.bots.iter().filter(|(_, entry)| entry.bot.mode != Mode::Normal);
            let bots = own.map(|(_, entry)| (entry.bot.name.clone(), entry.bot.mode)).collect();
            Modes { mode: unlocked.mode, bots }
        })
    }

    /// Sets the mode for everyone, or for one bot. The stricter of the two holds for a bot.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::AppliedInMemory`] when its row could not be written.
    pub fn set_mode(&self, mode: Mode, bot: Option<&str>) -> Result<Modes, AdminError> {
        match bot {
            Some(bot) => self.set_bot_mode(bot, mode)?,
            None => self.set_mode_for_everyone(mode)?,
        }
        self.modes()
    }

    fn set_mode_for_everyone(&self, mode: Mode) -> Result<(), AdminError> {
        self.change_at_once(|unlocked: &mut Unlocked, now: Now| {
            let json = serde_json::to_vec(&Setting::Mode { mode }).map_err(|_| AdminError::Unavailable)?;
            let version = unlocked.mode_version + 1;
            let row = unlocked.keyring.seal(Table::Setting, RECORD, version, &json)?;
            (unlocked.mode, unlocked.mode_version) = (mode, version);
            Ok(Prepared::new(now, Event::Mode { mode, bot: None }, vec![Change::Put(Table::Setting, row)], ()))
        })
    }
}
