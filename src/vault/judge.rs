//! One ask is judged: who asks, with which credential, at which endpoint, and what the policy says of it.
//!
//! The order is that of the contract: the token, the rate, the credential, the recipe, the policy, the clock. The first
//! that denies decides. An allowed ask is counted towards its limits here, before anything is signed, under the same
//! lock that the next ask is judged under: of many at once none slips past a limit.

use crate::audit::event::{Event, to_body};
use crate::audit::signature::Signature;
use crate::crypto::mac;
use crate::policy::rate::{self, Lane};
use crate::policy::{self, Case, Enforcement, Verdict};
use crate::recipe::read::Reading;
use crate::types::ask::Wanted;
use crate::types::clock::Now;
use crate::types::decision::{Code, Decision, Denial};
use crate::types::endpoint::Effect;
use crate::types::id::{Id, IdMap};
use crate::vault::sign::Asked;
use crate::vault::state::{BotEntry, Credential, PolicyEntry, Unlocked};
use crate::vault::tally::{Class, Outcome};
use crate::vault::usage::{self, Book};

/// Whether a disk without room still takes a row: for what makes a risk smaller there is a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It does not.
    Ordinary,
    /// It does.
    Urgent,
}

/// What was found about one ask.
pub(super) enum Judged {
    /// The bot is gone or its token has stopped working by now: no row, like any failed token.
    NotLetIn,
    /// The disk is full, and what is left of it is for others.
    NoRoom,
    /// A limit over time is spent: no row of its own, or whoever asks too often would fill the ledger.
    Limited(Denial),
    /// A decision, with the text of its row, the credential it may open, and whether a full disk still takes it.
    Decided { decision: Decision, body: String, opens: Option<Id>, urgency: Urgency },
}

/// Judges one ask and counts it.
pub(super) fn judge(unlocked: &mut Unlocked, asked: &Asked, now: Now) -> Judged {
    let clock_is_sane = unlocked.clock_guard.is_sane(now);
    let Some(entry) = unlocked.bots.get(&asked.caller.bot).filter(|entry| entry.lets_in(&asked.caller)) else {
        return Judged::NotLetIn;
    };
    let (policy, next) = (unlocked.policy_of(&entry.bot), unlocked.next_policy_of(&entry.bot));
    let credential = named_among_the_bots(&unlocked.credentials, entry, &asked.ask.credential);
    let read = match credential {
        Some((_, found)) => found.recipe.read(&asked.ask.wanted),
        None => Err(no_such_credential()),
    };
    let class = read.as_ref().map_or(Class::Unread, |reading| Class::of(reading.endpoint, reading.facts.effect));
    let (bot, of_credential) = (asked.caller.bot, credential.map(|(id, _)| id));
    let too_fast = too_fast(&mut unlocked.book, asked, &policy, &read, now);
    if let Some(denial) = too_fast.as_ref().filter(|_| !policy.shadows_its_rate()) {
        unlocked.book.tally(bot, of_credential, class, Outcome::Rate);
        return Judged::Limited(denial.clone());
    }
    let digests = Digests::of(&asked.ask.wanted);
    let mut verdict = match (&read, credential) {
        (Ok(reading), Some((id, _))) => {
            let evaluate = |policy: &PolicyEntry| {
                evaluate(unlocked, (&asked.caller.bot, entry), id, policy, reading, digests.ask, now)
            };
            both(evaluate(&policy), next.as_deref().map(evaluate))
        }
        (Ok(_), None) => deny(no_such_credential()),
        (Err(denial), _) => deny(denial.clone()),
    };
    if verdict.decision == Decision::Allow && !clock_is_sane {
        verdict = deny(clock_jumped());
    }
    if verdict.decision != Decision::Allow {
        verdict.counts = None;
    }
    verdict.shadow = verdict.shadow.or(too_fast);
    let outcome = match &verdict.decision {
        Decision::Allow => Outcome::Allowed,
        Decision::Deny(denial) => Outcome::of(denial.code),
    };
    unlocked.book.tally(bot, of_credential, class, outcome);
    if let Decision::Deny(denial) = &verdict.decision
        && denial.code == Code::Limit
    {
        return Judged::Limited(denial.clone());
    }
    if let (Some(counts), Some((id, _))) = (&verdict.counts, credential) {
        unlocked.book.count(bot, id, counts, digests.ask, now.wall);
    }
    let row = row_about(asked, entry, credential, &policy, read.as_ref().ok(), &verdict, &digests);
    let opens = of_credential.filter(|_| verdict.decision == Decision::Allow);
    let cancels = read.is_ok_and(|reading| reading.facts.effect == Effect::Cancel);
    let urgency = if cancels && opens.is_some() { Urgency::Urgent } else { Urgency::Ordinary };
    Judged::Decided { body: to_body(now, Event::Sign(&row)), decision: verdict.decision, opens, urgency }
}

/// The denial of an ask that comes too soon after the others.
fn too_fast(
    book: &mut Book,
    asked: &Asked,
    policy: &PolicyEntry,
    read: &Result<Reading<'_>, Denial>,
    now: Now,
) -> Option<Denial> {
    let lane = read.as_ref().map_or(Lane::Others, |reading| rate::lane_of(reading.endpoint, reading.facts.effect));
    let most = policy.policy.requests_per_second();
    let wait = book.admit(asked.caller.bot, lane, most, now.boot_ms).err()?;
    Some(rate::denied(lane, most, wait))
}

fn evaluate(
    unlocked: &Unlocked,
    (bot, entry): (&Id, &BotEntry),
    credential: Id,
    policy: &PolicyEntry,
    reading: &Reading<'_>,
    digest: [u8; 32],
    now: Now,
) -> Verdict {
    let case = Case {
        endpoint: reading.endpoint,
        facts: &reading.facts,
        digest,
        mode: entry.bot.mode.max(unlocked.mode_for_all()),
        references: &policy.references,
        usage: unlocked.book.usage(bot, &credential),
        now: now.wall,
    };
    policy::evaluate(&policy.policy, &case)
}

/// What two policies say together: no, if either does.
fn both(verdict: Verdict, next: Option<Verdict>) -> Verdict {
    match next {
        Some(next) if verdict.decision == Decision::Allow => Verdict {
            counts: if next.counts.is_some() { next.counts } else { verdict.counts },
            shadow: verdict.shadow.or(next.shadow),
            decision: next.decision,
        },
        _ => verdict,
    }
}

fn deny(denial: Denial) -> Verdict {
    Verdict { decision: Decision::Deny(denial), shadow: None, counts: None }
}

/// The same answer for a credential that is another bot's and for one that is nobody's.
fn named_among_the_bots<'a>(
    credentials: &'a IdMap<Credential>,
    entry: &BotEntry,
    name: &str,
) -> Option<(Id, &'a Credential)> {
    let mut of_the_bot = entry.bot.credentials.iter().filter_map(|id| Some((*id, credentials.get(id)?)));
    of_the_bot.find(|(_, credential)| !credential.leaving && credential.card.name == name)
}

/// Hashes of what an ask says, taken once for its row and for telling it from others.
struct Digests {
    path: Option<[u8; 32]>,
    body: Option<[u8; 32]>,
    /// Of all of it.
    ask: [u8; 32],
}

impl Digests {
    fn of(wanted: &Wanted) -> Digests {
        let hash = |text: &String| mac::sha256(&[text.as_bytes()]);
        let (method, path, body) = match wanted {
            Wanted::Session(_) => ("", None, None),
            Wanted::Request(request) => {
                (request.method.as_str(), Some(hash(&request.path)), request.body.as_ref().map(hash))
            }
        };
        Digests { path, body, ask: usage::digest(method, &path.unwrap_or_default(), body.as_ref()) }
    }
}

fn row_about<'a>(
    asked: &'a Asked,
    entry: &'a BotEntry,
    credential: Option<(Id, &'a Credential)>,
    policy: &'a PolicyEntry,
    reading: Option<&Reading<'a>>,
    verdict: &Verdict,
    digests: &Digests,
) -> Signature<'a> {
    let channel = match &asked.ask.wanted {
        Wanted::Request(_) => None,
        Wanted::Session(channel) => Some(channel.as_str()),
    };
    let denial = match &verdict.decision {
        Decision::Allow => None,
        Decision::Deny(denial) => Some(denial),
    };
    let counts = verdict.counts.as_ref().zip(credential);
    let is_all_endpoint = match (&asked.ask.wanted, reading) {
        (Wanted::Request(request), Some(reading)) => *request.path == *reading.endpoint.path,
        _ => false,
    };
    Signature {
        decision: if denial.is_some() { "deny" } else { "allow" },
        code: denial.map(|denial| denial.code.as_str()),
        rule: denial.or(verdict.shadow.as_ref()).and_then(|denial| denial.rule),
        shadow: verdict.shadow.as_ref().map(|denial| denial.code.as_str()),
        bot: &entry.bot.name,
        uid: asked.uid,
        credential: credential.map(|(_, found)| found.card.name.as_str()),
        endpoint: reading.map(|reading| reading.endpoint),
        channel,
        path_sha256: digests.path.filter(|_| !is_all_endpoint),
        body_sha256: digests.body,
        policy: &policy.label,
        counted: counts.map(|(counts, (id, _))| usage::to_row(asked.caller.bot, id, counts)),
    }
}

impl PolicyEntry {
    /// Whether a rate that the file names is only written down. The rate of a file that names none always holds: it is
    /// what keeps denials from filling the disk.
    fn shadows_its_rate(&self) -> bool {
        self.policy.enforcement == Enforcement::Shadow && self.policy.limits.requests_per_second.is_some()
    }
}

pub(super) fn no_such_credential() -> Denial {
    Denial::new(
        Code::Credential,
        "this bot has no credential of that name",
        "ask with one of the names that GET /v1/whoami lists",
    )
}

pub(super) fn clock_jumped() -> Denial {
    Denial::new(
        Code::ClockJump,
        "the wall clock jumped, and a signature would carry a wrong time",
        "signing goes on once the clock has been right for ten seconds or a time server keeps it; `signvault unlock --accept-clock` accepts it as it is",
    )
}
