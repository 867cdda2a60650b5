//! The story of a signature.
//!
//! ```text
//! judge    whose credential, which endpoint, what does the policy say        state lock, no I/O
//! settle   the decision's ledger row is durable, allowed or denied           disk, no lock
//! release  the permit opens the secret, the recipe signs, all is wiped       state lock, no I/O
//! ```
//!
//! Asks that arrive together share one durable commit; each is judged by itself, in order. Nothing is revisited: a
//! crash after the commit leaves a row without a signature, never the other way round.

use crate::recipe::sign::Signed as Content;
use crate::secret::scrub_stack;
use crate::store::ledger::{Entry, Receipt};
use crate::types::ask::Ask;
use crate::types::clock::Now;
use crate::types::decision::{Decision, Denial};
use crate::vault::Vault;
use crate::vault::authenticate::Caller;
use crate::vault::judge::{Judged, Urgency, clock_jumped, judge, no_such_credential};
use crate::vault::state::State;
use std::mem;

/// An ask of a bot that was let in.
#[derive(Debug)]
pub struct Asked {
    /// The bot, and the token that let it in.
    pub caller: Caller,
    /// The peer's user id, on a Unix socket.
    pub uid: Option<u32>,
    /// What it wants.
    pub ask: Ask,
}

/// A signature, and the ledger row it stands in.
#[derive(Debug)]
pub struct Signed {
    /// What to send.
    pub content: Content,
    /// The row.
    pub audit_seq: u64,
}

/// Why there is no signature.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The vault is locked.
    Locked,
    /// The bot was let in, but its token has stopped working since.
    NotLetIn,
    /// The decision was no.
    Denied {
        /// Why.
        denial: Denial,
        /// The denial's ledger row.
        audit_seq: u64,
    },
    /// A limit over time is spent. There is no row for it.
    Limited(Denial),
    /// The decision could not be made durable.
    Unavailable,
    /// A sealed record did not open or did not fit its recipe: the memory of the vault is not what it was.
    Broken,
}

/// Judges and signs, one answer for each ask in its order.
pub fn sign(vault: &Vault, asked: Vec<Asked>) -> Vec<Result<Signed, Refusal>> {
    let now = vault.setup.clock.now();
    vault.look_for_room();
    let (ledger, judged, ticket) = {
        let mut state = vault.state();
        let State::Unlocked(unlocked) = &mut *state else {
            return asked.iter().map(|_| Err(Refusal::Locked)).collect();
        };
        let mut judged: Vec<Judged> = asked.iter().map(|asked| judge(unlocked, asked, now)).collect();
        if unlocked.ledger.space().was_scarce() {
            judged.iter_mut().for_each(Judged::drop_if_ordinary);
        }
        let wall = unlocked.clock_guard.seen_wall(now);
        let (entries, all_urgent) =
            (judged.iter_mut().filter_map(Judged::take_entry).collect(), judged.iter().all(Judged::is_urgent));
        let ticket = match all_urgent {
            true => unlocked.ledger.enqueue_urgent(wall, entries, Vec::new()),
            false => unlocked.ledger.enqueue(wall, entries, Vec::new()),
        };
        (unlocked.ledger.clone(), judged, ticket)
    };
    let mut receipts = ledger.settle(ticket).map(Vec::into_iter);
    let now = vault.setup.clock.now();
    let mut state = vault.state();
    let released = judged.into_iter().zip(asked).map(|(judged, asked)| match judged {
        Judged::NotLetIn => Err(Refusal::NotLetIn),
        Judged::Limited(denial) => Err(Refusal::Limited(denial)),
        Judged::NoRoom => Err(Refusal::Unavailable),
        Judged::Decided { decision, .. } => {
            let receipts = receipts.as_mut().map_err(|_| Refusal::Unavailable)?;
            let receipt = receipts.next().ok_or(Refusal::Unavailable)?;
            match decision {
                Decision::Deny(denial) => Err(Refusal::Denied { denial, audit_seq: receipt.seq }),
                Decision::Allow => release(&mut state, receipt, &asked.ask, now),
            }
        }
    });
    let released = released.collect();
    scrub_stack();
    released
}

impl Judged {
    /// What goes into the ledger. Its text is not needed twice.
    fn take_entry(&mut self) -> Option<Entry> {
        match self {
            Judged::NotLetIn | Judged::Limited(_) | Judged::NoRoom => None,
            Judged::Decided { body, opens, .. } => Some(Entry { body: mem::take(body), opens: *opens }),
        }
    }

    fn is_urgent(&self) -> bool {
        !matches!(self, Judged::Decided { urgency: Urgency::Ordinary, .. })
    }

    /// On a full disk a cancel must not fail because another ask stands beside it.
    fn drop_if_ordinary(&mut self) {
        if !self.is_urgent() {
            *self = Judged::NoRoom;
        }
    }
}

/// Step 7: the permit opens the secret, for as long as one MAC takes. What became untrue while the disk worked is not
/// signed for: the row stands, the signature is not made.
///
/// Not inlined, so that the frame it worked in has ended when the stack is scrubbed.
#[inline(never)]
fn release(state: &mut State, receipt: Receipt, ask: &Ask, now: Now) -> Result<Signed, Refusal> {
    let State::Unlocked(unlocked) = state else { return Err(Refusal::Locked) };
    let denied = |denial| Refusal::Denied { denial, audit_seq: receipt.seq };
    if !unlocked.clock_guard.is_sane(now) {
        return Err(denied(clock_jumped()));
    }
    let permit = receipt.permit.ok_or(Refusal::Broken)?;
    let id = permit.credential();
    let credential = unlocked.credentials.get_mut(&id).ok_or_else(|| denied(no_such_credential()))?;
    let secrets = unlocked.keyring.open(permit, id, &mut credential.sealed).map_err(|_| Refusal::Broken)?;
    let parts = secrets.parts().map_err(|_| Refusal::Broken)?;
    let content = credential.recipe.sign(&ask.wanted, &parts, &credential.card.site(), now.wall);
    let content = content.map_err(|_| Refusal::Broken)?;
    credential.last_used = Some(now.wall);
    Ok(Signed { content, audit_seq: receipt.seq })
}
