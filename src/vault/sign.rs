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

use crate::audit::event::{Event, Signature, to_body};
use crate::crypto::mac;
use crate::policy;
use crate::recipe::sign::Signed as Content;
use crate::secret::scrub_stack;
use crate::store::ledger::{Entry, Receipt};
use crate::types::ask::{Ask, Wanted};
use crate::types::clock::Now;
use crate::types::decision::{Code, Decision, Denial};
use crate::types::endpoint::Endpoint;
use crate::types::id::Id;
use crate::vault::Vault;
use crate::vault::state::{BotEntry, Credential, State, Unlocked};
use data_encoding::HEXLOWER;

/// An ask of a bot that was let in.
#[derive(Debug)]
pub struct Asked {
    /// The bot.
    pub bot: Id,
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
    /// The decision could not be made durable.
    Unavailable,
    /// A sealed record did not open or did not fit its recipe: the memory of the vault is not what it was.
    Broken,
}

/// Judges and signs, one answer for each ask in its order.
pub fn sign(vault: &Vault, asked: Vec<Asked>) -> Vec<Result<Signed, Refusal>> {
    let now = vault.setup.clock.now();
    let (ledger, judged, ticket) = {
        let mut state = vault.state();
        let State::Unlocked(unlocked) = &mut *state else {
            return asked.iter().map(|_| Err(Refusal::Locked)).collect();
        };
        let judged: Vec<Judged> = asked.iter().map(|asked| judge(unlocked, asked, now)).collect();
        let wall = unlocked.clock_guard.seen_wall(now);
        let ticket = unlocked.ledger.enqueue(wall, judged.iter().filter_map(Judged::entry).collect(), Vec::new());
        (unlocked.ledger.clone(), judged, ticket)
    };
    let Ok(receipts) = ledger.settle(ticket) else {
        return judged.iter().map(|_| Err(Refusal::Unavailable)).collect();
    };
    let now = vault.setup.clock.now();
    let mut state = vault.state();
    let mut receipts = receipts.into_iter();
    let released = judged.into_iter().zip(asked).map(|(judged, asked)| match judged {
        Judged::NotLetIn => Err(Refusal::NotLetIn),
        Judged::Decided { decision, .. } => {
            let receipt = receipts.next().ok_or(Refusal::Unavailable)?;
            match decision {
                Decision::Deny(denial) => Err(Refusal::Denied { denial, audit_seq: receipt.seq }),
                Decision::Allow => release(&mut state, receipt, &asked.ask, now),
            }
        }
    });
    released.collect()
}

/// What was found about one ask.
enum Judged {
    /// The bot is gone or revoked by now: no row, like any failed token.
    NotLetIn,
    /// A decision, with the text of its row and the credential it may open.
    Decided { decision: Decision, body: String, opens: Option<Id> },
}

impl Judged {
    fn entry(&self) -> Option<Entry> {
        match self {
            Judged::NotLetIn => None,
            Judged::Decided { body, opens, .. } => Some(Entry { body: body.clone(), opens: *opens }),
        }
    }
}

/// Steps 3 to 5: the credential, the endpoint, the policy; then the clock. The first that denies decides.
fn judge(unlocked: &mut Unlocked, asked: &Asked, now: Now) -> Judged {
    let clock_is_sane = unlocked.clock_guard.is_sane(now);
    let Some(entry) = unlocked.bots.get(&asked.bot).filter(|entry| !entry.bot.revoked) else {
        return Judged::NotLetIn;
    };
    let credential = named_among_the_bots(unlocked, entry, &asked.ask.credential);
    let mut row = row_about(unlocked, entry, asked, credential);
    let read = credential.ok_or_else(no_such_credential).and_then(|(_, found)| found.recipe.read(&asked.ask.wanted));
    let decision = match read {
        Err(denial) => Decision::Deny(denial),
        Ok(endpoint) => {
            row = row.at(endpoint);
            decide(unlocked, entry, endpoint, clock_is_sane)
        }
    };
    match &decision {
        Decision::Allow => row.decision = "allow",
        Decision::Deny(denial) => row.code = Some(denial.code.as_str()),
    }
    let opens = credential.map(|(id, _)| id).filter(|_| decision == Decision::Allow);
    Judged::Decided { body: to_body(now, Event::Sign(row)), decision, opens }
}

fn decide(unlocked: &Unlocked, entry: &BotEntry, endpoint: &Endpoint, clock_is_sane: bool) -> Decision {
    match policy::evaluate(&unlocked.policy_of(&entry.bot).policy, endpoint) {
        Decision::Allow if !clock_is_sane => Decision::Deny(clock_jumped()),
        decision => decision,
    }
}

/// The same answer for a credential that is another bot's and for one that is nobody's.
fn named_among_the_bots<'a>(unlocked: &'a Unlocked, entry: &BotEntry, name: &str) -> Option<(Id, &'a Credential)> {
    let of_the_bot = entry.bot.credentials.iter().filter_map(|id| Some((*id, unlocked.credentials.get(id)?)));
    of_the_bot.into_iter().find(|(_, credential)| credential.card.name == name)
}

/// Step 7: the permit opens the secret, for as long as one MAC takes. What became untrue while the disk worked is not
/// signed for: the row stands, the signature is not made.
fn release(state: &mut State, receipt: Receipt, ask: &Ask, now: Now) -> Result<Signed, Refusal> {
    let State::Unlocked(unlocked) = state else { return Err(Refusal::Locked) };
    let denied = |denial| Refusal::Denied { denial, audit_seq: receipt.seq };
    if !unlocked.clock_guard.is_sane(now) {
        return Err(denied(clock_jumped()));
    }
    let permit = receipt.permit.ok_or(Refusal::Broken)?;
    let id = permit.credential();
    let credential = unlocked.credentials.get_mut(&id).ok_or_else(|| denied(no_such_credential()))?;
    let secrets = unlocked.keyring.open(permit, id, &credential.sealed).map_err(|_| Refusal::Broken)?;
    let content = credential.recipe.sign(&ask.wanted, &secrets.parts(), &credential.card.site(), now.wall);
    let content = content.map_err(|_| Refusal::Broken)?;
    drop(secrets);
    scrub_stack();
    credential.last_used = Some(now.wall);
    Ok(Signed { content, audit_seq: receipt.seq })
}

fn row_about<'a>(
    unlocked: &'a Unlocked,
    entry: &'a BotEntry,
    asked: &Asked,
    credential: Option<(Id, &'a Credential)>,
) -> Signature<'a> {
    let (path, body, channel) = match &asked.ask.wanted {
        Wanted::Request(request) => (Some(request.path.as_str()), request.body.as_deref(), None),
        Wanted::Session(channel) => (None, None, Some(channel.as_str())),
    };
    let hash = |text: &str| HEXLOWER.encode(&mac::sha256(&[text.as_bytes()]));
    Signature {
        decision: "deny",
        code: None,
        bot: &entry.bot.name,
        uid: asked.uid,
        credential: credential.map(|(_, credential)| credential.card.name.as_str()),
        endpoint: None,
        grant: None,
        effect: None,
        channel,
        path_sha256: path.map(hash),
        body_sha256: body.map(hash),
        policy: &unlocked.policy_of(&entry.bot).label,
    }
}

fn no_such_credential() -> Denial {
    Denial::new(
        Code::Credential,
        "this bot has no credential of that name",
        "ask with one of the names that GET /v1/whoami lists",
    )
}

fn clock_jumped() -> Denial {
    Denial::new(
        Code::ClockJump,
        "the wall clock jumped, and a signature would carry a wrong time",
        "signing goes on once the clock has been right for ten seconds; `signvault unlock --accept-clock` accepts it as it is",
    )
}
