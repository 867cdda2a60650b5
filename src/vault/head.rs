//! The ledger's head goes to the log, and from there to whoever keeps the log: a witness outside the vault. Who has one
//! of these lines can tell a ledger that was rewritten after it, even by someone who has all keys.

use crate::store::ledger::Standing;
use crate::types::clock::Now;
use crate::vault::state::State;
use crate::vault::{Care, Vault};
use data_encoding::HEXLOWER;

/// What was logged last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged {
    sequence: u64,
    boot_ms: u64,
}

impl Logged {
    /// Whether it is time for another line.
    fn is_old(self, sequence: u64, now: Now, care: &Care) -> bool {
        let rows = sequence.saturating_sub(self.sequence);
        rows >= care.log_head_rows || (rows > 0 && now.boot_ms.saturating_sub(self.boot_ms) >= care.log_head_ms)
    }
}

/// Writes the line.
pub(super) fn log_head(standing: &Standing) {
    let head = HEXLOWER.encode(&standing.tail.head);
    tracing::info!(sequence = standing.tail.seq, head, state_version = standing.state.state_version, "ledger head");
}

impl Vault {
    /// Writes the line if it is time.
    pub(super) fn log_head_in_time(&self) {
        let now = self.setup.clock.now();
        let mut state = self.state();
        let State::Unlocked(unlocked) = &mut *state else { return };
        let standing = unlocked.ledger.standing();
        if unlocked.logged.is_old(standing.tail.seq, now, &self.care()) {
            unlocked.logged = Logged { sequence: standing.tail.seq, boot_ms: now.boot_ms };
            drop(state);
            log_head(&standing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::UnixMs;

    #[test]
    fn a_head_is_due_after_many_rows_or_a_while_with_any() {
        let care = Care { log_head_rows: 100, log_head_ms: 60_000, ..Care::default() };
        let logged = Logged { sequence: 50, boot_ms: 1000 };
        let is_old = |sequence, boot_ms| logged.is_old(sequence, Now { wall: UnixMs(0), boot_ms }, &care);
        assert!(!is_old(149, 1000) && is_old(150, 1000));
        assert!(!is_old(51, 60_999) && is_old(51, 61_000));
        assert!(!is_old(50, 10_000_000), "nothing new to say");
    }
}
