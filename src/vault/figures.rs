//! What a monitor asks of the vault: numbers, with the names that an admin gave. Plain values; `api` writes them down.
//!
//! Bounded by what the vault holds: as many figures as there are bots and credentials that have anything to tell.

use crate::store::ledger::Ledger;
use crate::types::clock::{Now, UnixMs};
use crate::types::histogram::Counted;
use crate::vault::Vault;
use crate::vault::card::idle_days_left;
use crate::vault::state::{BotEntry, Credential, State, Unlocked};
use crate::vault::tally::Tally;

/// The figures of a vault.
#[derive(Debug)]
pub struct Figures {
    /// Whether there is a vault at all.
    pub is_initialized: bool,
    /// What a locked vault does not know.
    pub unlocked: Option<OfUnlocked>,
    /// The ledger's; a locked vault has one only while the disk has not taken the row about the lock.
    pub ledger: Option<OfLedger>,
}

/// The figures of an unlocked vault.
#[derive(Debug)]
pub struct OfUnlocked {
    /// By how many milliseconds the wall clock is ahead of the boot clock.
    pub clock_offset_ms: i64,
    /// Each credential with something to tell.
    pub credentials: Vec<OfCredential>,
    /// Each bot with something to tell.
    pub bots: Vec<OfBot>,
}

/// The figures of a credential.
#[derive(Debug, PartialEq, Eq)]
pub struct OfCredential {
    /// Its name.
    pub name: String,
    /// Days until the exchange deletes it for being idle, where it would; zero and less when it may be gone.
    pub idle_days_left: Option<i64>,
    /// How long ago it last signed, in milliseconds.
    pub last_used_ms: Option<u64>,
}

/// The figures of a bot.
#[derive(Debug)]
pub struct OfBot {
    /// Its name.
    pub name: String,
    /// How long ago its token was last accepted, in milliseconds; none when not since the unlock.
    pub last_seen_ms: Option<u64>,
    /// In how many milliseconds its token stops working, where it does.
    pub expires_in_ms: Option<u64>,
    /// How its asks were decided, by the credential's name; none for asks that named none of its own.
    pub tallies: Vec<(Option<String>, Tally)>,
}

/// The figures of the ledger.
#[derive(Debug)]
pub struct OfLedger {
    /// Batches that wait for the disk.
    pub waiting: usize,
    /// How long transactions took.
    pub commits: Counted,
    /// Rows that are kept.
    pub rows: u64,
}

impl Vault {
    /// What there is to tell a monitor. Never waits for the disk.
    pub fn figures(&self) -> Figures {
        let now = self.setup.clock.now();
        let (unlocked, ledger) = match &*self.state() {
            State::Locked => (None, None),
            State::Closing(ledger) => (None, Some(ledger.clone())),
            State::Unlocked(unlocked) => (Some(unlocked.figures(now)), Some(unlocked.ledger.clone())),
        };
        let is_initialized = unlocked.is_some() || self.is_initialized();
        Figures { is_initialized, unlocked, ledger: ledger.map(|ledger| of_ledger(&ledger)) }
    }
}

fn of_ledger(ledger: &Ledger) -> OfLedger {
    let standing = ledger.standing();
    OfLedger {
        waiting: ledger.waiting(),
        commits: ledger.commit_times(),
        rows: standing.tail.seq.saturating_sub(standing.state.first_kept.link.seq),
    }
}

impl Unlocked {
    fn figures(&self, now: Now) -> OfUnlocked {
        let credentials = self.credentials.values().filter_map(|credential| of_credential(credential, now.wall));
        let bots = self.bots.iter().filter_map(|(id, entry)| {
            let tallies = self.book.tallies(id).into_iter().flat_map(|tallies| tallies.iter());
            // A credential that was removed takes its counts with it.
            let named = tallies.filter_map(|(id, tally)| match id {
                None => Some((None, tally.clone())),
                Some(id) => self.credentials.get(&id).map(|found| (Some(found.card.name.clone()), tally.clone())),
            });
            of_bot(entry, named.collect(), now.wall)
        });
        OfUnlocked {
            clock_offset_ms: self.clock_guard.offset_ms(now),
            credentials: credentials.collect(),
            bots: bots.collect(),
        }
    }
}

fn of_credential(credential: &Credential, now: UnixMs) -> Option<OfCredential> {
    let Credential { card, recipe, last_used, .. } = credential;
    let left = idle_days_left(card, recipe, *last_used, now).map(|(_, left)| left);
    (left.is_some() || last_used.is_some()).then(|| OfCredential {
        name: card.name.clone(),
        idle_days_left: left,
        last_used_ms: last_used.map(|moment| ms_between(moment, now)),
    })
}

fn of_bot(entry: &BotEntry, tallies: Vec<(Option<String>, Tally)>, now: UnixMs) -> Option<OfBot> {
    let expires = entry.bot.expires.filter(|_| !entry.bot.revoked);
    (entry.last_seen.is_some() || expires.is_some() || !tallies.is_empty()).then(|| OfBot {
        name: entry.bot.name.clone(),
        last_seen_ms: entry.last_seen.map(|moment| ms_between(moment, now)),
        expires_in_ms: expires.map(|moment| ms_between(now, moment)),
        tallies,
    })
}

/// From an earlier moment to a later one; nothing when a clock was set back in between.
fn ms_between(earlier: UnixMs, later: UnixMs) -> u64 {
    u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0)
}
