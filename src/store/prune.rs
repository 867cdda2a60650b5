//! Pruning: old rows are taken out from the beginning, verified first, and a signed row says which they were and what
//! their digest was. The state row's new beginning is written in the same transaction, so that the ledger has the old
//! beginning or the new one and its row, whatever happens.

use crate::audit::attested::Covers;
use crate::audit::chain::Point;
use crate::store::ledger::{Change, Ledger};
use crate::store::{StoreError, checkpoint};
use crate::types::clock::UnixMs;

/// Rows that are taken out in one transaction at most: overwriting them must not hold up a signature for long.
pub const MOST_IN_A_STEP: u64 = 2000;

impl Ledger {
    /// The point up to which rows may be taken out in the next step: as long as `is_old` says yes to each. They are
    /// verified on the way. The point before the first kept row when there is none.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`](crate::store::IntegrityError::Audit) names the first row that does not follow.
    pub fn prunable(&self, is_old: &dyn Fn(&str) -> bool) -> Result<Point, StoreError> {
        let mut at = self.standing().state.first_kept;
        let last = at.link.seq + MOST_IN_A_STEP;
        loop {
            let next = self.verify_page(at, last, &mut |_, body| is_old(body))?;
            if next == at {
                return Ok(at);
            }
            at = next;
        }
    }

    /// Takes out every row up to a point that [`Ledger::prunable`] gave and that is signed by now: `attest` makes the text
    /// of the row that says so.
    ///
    /// # Errors
    /// As every write.
    pub fn prune(&self, wall: UnixMs, at: Point, attest: impl FnOnce(Covers) -> String) -> Result<u64, StoreError> {
        self.with_writer(|writer| {
            let kept = writer.state().first_kept.link.seq;
            let covers = Covers { from: kept + 1, at, counts: false, ..writer.covers_now()? };
            checkpoint::write(writer, wall, attest(covers), Change::Prune(at))
        })
    }
}
