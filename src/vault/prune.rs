//! `audit prune`: old rows are taken out, in steps between which bots sign.

use crate::audit::attested::Kind;
use crate::audit::event::Used;
use crate::policy::usage::IDS_KEPT_MS;
use crate::store::prune::MOST_IN_A_STEP;
use crate::types::clock::UnixMs;
use crate::vault::{AdminError, Vault};
use crate::wire::audit::AuditPruned;

/// Steps before a request is answered; whoever wants more asks again.
const STEPS_IN_A_REQUEST: usize = 10;

impl Vault {
    /// Takes out rows that are older than a moment, the oldest first. `is_done` in the answer says whether more are left.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a moment of the last seven days, which limits and client ids need;
    /// [`AdminError::Integrity`] for a row that is not what was written: it and what comes after it stay.
    pub fn prune(&self, before: &str) -> Result<AuditPruned, AdminError> {
        let before = self.prunable_moment(before)?;
        let mut rows = 0;
        for _ in 0..STEPS_IN_A_REQUEST {
            let taken = self.prune_step(before)?;
            rows += taken;
            if taken < MOST_IN_A_STEP {
                return self.pruned(rows, true);
            }
        }
        self.pruned(rows, false)
    }

    /// Limits and the memory of client ids are added up from rows, so none that they may need goes.
    fn prunable_moment(&self, before: &str) -> Result<UnixMs, AdminError> {
        let help = "write 2026-01-31T00:00:00Z; limits and client ids need the rows of the last 7 days";
        let moment = UnixMs::parse_rfc3339(before).ok_or_else(|| AdminError::invalid("`before` is no date", help))?;
        let newest = self.setup.clock.now().wall.plus_ms(-IDS_KEPT_MS);
        match moment <= newest {
            true => Ok(moment),
            false => Err(AdminError::invalid("rows of the last 7 days can't be pruned", help)),
        }
    }

    fn prune_step(&self, before: UnixMs) -> Result<u64, AdminError> {
        let _turn = self.turn();
        let ledger = self.ledger()?;
        let at = ledger.prunable(&|body| is_before(body, before))?;
        let kept = ledger.standing().state.first_kept;
        if at == kept {
            return Ok(0);
        }
        // What goes must be signed before, or an export of what stays could not say what it follows.
        if at.link.seq > ledger.standing().state.checkpoint.link.seq {
            self.checkpoint()?;
        }
        let pen = self.pen()?;
        ledger.prune(pen.wall, at, |covers| pen.attest(Kind::Prune, covers))?;
        // The log takes the overwritten pages; folded in now, it does not grow from step to step.
        ledger.tend()?;
        Ok(at.link.seq - kept.link.seq)
    }

    fn pruned(&self, rows: u64, is_done: bool) -> Result<AuditPruned, AdminError> {
        let first = self.ledger()?.standing().state.first_kept.link.seq + 1;
        Ok(AuditPruned { rows, first, is_done })
    }
}

/// Whether a row is from before a moment. One without a time is as old as the rows before it.
fn is_before(body: &str, moment: UnixMs) -> bool {
    let time = Used::parse(body).and_then(|used| UnixMs::parse_rfc3339(&used.time));
    time.is_none_or(|time| time < moment)
}
