//! Modes: how much may happen, for everyone or for one bot, whatever policies allow.
//!
//! A mode holds from the moment it is set, like a revocation: no ask that is judged later passes by the old one, and the
//! disk is not waited for.

use crate::audit::event::Event;
use crate::store::ledger::Change;
use crate::store::record::Table;
use crate::types::clock::Now;
use crate::types::mode::Mode;
use crate::vault::change::{Prepared, Promised};
use crate::vault::setting::{MODE, Setting};
use crate::vault::state::Unlocked;
use crate::vault::{AdminError, Vault};
use crate::wire::policy::Modes;

/// What is missing while the ledger owes the row about a mode.
pub(super) const NO_MODE_ROW: &str = "the row about a mode is not written yet";

impl Vault {
    /// The mode for everyone, and of the bots that have one of their own.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    pub fn modes(&self) -> Result<Modes, AdminError> {
        self.look(|unlocked| {
            let own = unlocked.bots.iter().filter(|(_, entry)| entry.bot.mode != Mode::Normal);
            let bots = own.map(|(_, entry)| (entry.bot.name.clone(), entry.bot.mode)).collect();
            Modes { mode: unlocked.mode, disk: unlocked.disk_mode, bots }
        })
    }

    /// Sets the mode for everyone, or for one bot. The stricter of the two holds for a bot.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::AppliedInMemory`] when its row could not be written.
    pub fn set_mode(&self, mode: Mode, bot: Option<&str>) -> Result<Modes, AdminError> {
        self.begin_to_set_mode(mode, bot)?.settled()?;
        self.modes()
    }

    /// The part of [`Vault::set_mode`] that waits for nobody.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Locked`].
    pub fn begin_to_set_mode(&self, mode: Mode, bot: Option<&str>) -> Result<Promised<()>, AdminError> {
        if let Some(bot) = bot {
            return self.begin_to_set_bot_mode(bot, mode);
        }
        self.change_at_once(NO_MODE_ROW, |unlocked: &mut Unlocked, now: Now| {
            let json = serde_json::to_vec(&Setting::Mode { mode }).map_err(|_| AdminError::Unavailable)?;
            let version = unlocked.mode_version + 1;
            let row = unlocked.keyring.seal_hedged(Table::Setting, MODE, version, &json)?;
            (unlocked.mode, unlocked.mode_version) = (mode, version);
            Ok(Prepared::new(
                now,
                Event::Mode { mode, bot: None, why: None },
                vec![Change::Put(Table::Setting, row)],
                (),
            ))
        })
    }
}
