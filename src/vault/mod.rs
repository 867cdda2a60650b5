//! The vault: the state machine, and one file per operation.
//!
//! ```text
//!                 init                  unlock
//! Uninitialized ────────▶   Locked   ───────────▶   Unlocked
//!                             ▲                        │
//!                             └────────────────────────┘
//!                              lock, shutdown, restart
//! ```
//!
//! A vault that was locked while the disk hangs is locked; only its ledger is still open, with keys that open no record,
//! until the row about the lock is written ([`state::State::Closing`]). An unlock finishes that first.
//!
//! Three locks, always taken in this order and never across each other's waits:
//! `admin` (one change at a time) → `state` (what is in memory; held for microseconds, never across I/O) → the
//! ledger's own. Signing, locking, revoking and setting a mode never wait for `admin`. One more is taken first of all by
//! whom it concerns: `hashing` (one Argon2 at a time; never waited for). An operation changes memory and queues its
//! ledger row under `state`, so the order of rows is the order of events; then it lets go and waits for the disk.
//!
//! Deliberately absent: HTTP, SQL, and what a recipe or a policy means. This layer orders the steps.

pub mod annals;
pub mod audit;
pub mod authenticate;
pub mod backlog;
pub mod backup;
pub mod bot;
pub mod card;
pub mod change;
pub mod checkpoint;
pub mod clock_guard;
pub mod credential;
pub mod deadline;
pub mod doctor;
pub mod figures;
pub mod head;
pub mod init;
mod judge;
pub mod keyring;
pub mod load;
pub mod lock;
pub mod mode;
pub mod policy;
mod prune;
pub mod recipes;
pub mod restore;
pub mod roster;
pub mod rotation;
pub mod setting;
pub mod sign;
pub mod slot;
pub mod space;
pub mod state;
pub mod tally;
pub mod token;
pub mod unlock;
pub mod usage;
pub mod whoami;

use crate::secret::Arena;
use crate::store::file::Paths;
use crate::store::{Durability, IntegrityError, StoreError};
use crate::types::clock::Clock;
use crate::types::id::Id;
use crate::types::mutex::{Mutex, MutexGuard};
use crate::vault::backlog::Trust;
use crate::vault::recipes::Recipes;
use crate::vault::state::{State, Unlocked};
use std::sync::Arc;
use std::time::Duration;

/// What a vault is made of: where its files are, and the world it is given.
pub struct Setup {
    /// Where the files are.
    pub paths: Paths,
    /// What an acknowledged row survives.
    pub durability: Durability,
    /// How the ledger is looked after.
    pub care: Care,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The locked memory for keys.
    pub arena: Arc<Arena>,
    /// The recipes by exchange name.
    pub recipes: Recipes,
}

/// How the ledger is looked after.
#[derive(Clone, Copy, Debug)]
pub struct Care {
    /// How long anyone waits for the disk.
    pub max_wait: Duration,
    /// With less free space than this, in bytes, everyone may only read and cancel; 0 switches that off.
    pub low_space_bytes: u64,
    /// The ledger's head is logged at least every so many rows.
    pub log_head_rows: u64,
    /// The ledger's head is logged at least every so many milliseconds, if there were rows.
    pub log_head_ms: u64,
}

impl Default for Care {
    fn default() -> Care {
        Care {
            max_wait: Duration::from_secs(2),
            low_space_bytes: 256 * 1024 * 1024,
            log_head_rows: 10_000,
            log_head_ms: 600_000,
        }
    }
}

/// A vault, open or not. Shared by every connection.
pub struct Vault {
    setup: Setup,
    /// As the setup says at first.
    care: Mutex<Care>,
    state: Mutex<State>,
    admin: Mutex<()>,
    hashing: Mutex<()>,
    trust: Mutex<Trust>,
}

impl Vault {
    /// A locked vault, or one that is not there yet.
    pub fn new(setup: Setup) -> Vault {
        Vault {
            care: Mutex::new(setup.care),
            setup,
            state: Mutex::new(State::Locked),
            admin: Mutex::new(()),
            hashing: Mutex::new(()),
            trust: Mutex::new(Trust::Given),
        }
    }

    /// Whether the vault's database is there at all.
    pub fn is_initialized(&self) -> bool {
        self.setup.paths.database().exists()
    }

    /// Whether the vault is unlocked.
    pub fn is_unlocked(&self) -> bool {
        matches!(*self.state.lock(), State::Unlocked(_))
    }

    /// Where the files are.
    pub fn paths(&self) -> &Paths {
        &self.setup.paths
    }

    /// The locked memory for keys.
    pub fn arena(&self) -> &Arc<Arena> {
        &self.setup.arena
    }

    /// Looks after the ledger like this from now on; a ledger that is open waits for its disk as long as before.
    pub fn set_care(&self, care: Care) {
        *self.care.lock() = care;
    }

    fn care(&self) -> Care {
        *self.care.lock()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Runs `look` over the unlocked vault.
    ///
    /// # Errors
    /// [`AdminError::Locked`].
    fn look<T>(&self, look: impl FnOnce(&Unlocked) -> T) -> Result<T, AdminError> {
        match &*self.state() {
            State::Locked | State::Closing(_) => Err(AdminError::Locked),
            State::Unlocked(unlocked) => Ok(look(unlocked)),
        }
    }
}

/// Why an admin's action was refused. Nothing was changed, but for [`AdminError::AppliedInMemory`].
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The vault is locked.
    #[error("the vault is locked")]
    Locked,
    /// Something in the request can't be.
    #[error("{detail}")]
    Invalid {
        /// What, without repeating a secret.
        detail: String,
        /// What to do.
        help: String,
    },
    /// There is no such thing.
    #[error("there is no {0} of that name")]
    NotFound(&'static str),
    /// There is one already.
    #[error("there is a {0} of that name already")]
    Exists(&'static str),
    /// The ledger could not be written.
    #[error("the ledger could not be written")]
    Unavailable,
    /// The change holds in memory but its row could not be written.
    #[error("it holds from now on, but its ledger row could not be written")]
    AppliedInMemory,
    /// The wall clock is not believed just now.
    #[error("the wall clock jumped, and what is to be written would carry a wrong time")]
    ClockJumped,
    /// The kernel gave no random bytes or no memory.
    #[error("the machine has not enough {0}")]
    Machine(&'static str),
    /// The files are not what they must be.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> AdminError {
        match error {
            StoreError::Integrity(inner) => AdminError::Integrity(inner),
            StoreError::Closed => AdminError::Locked,
            StoreError::Late | StoreError::Database(_) | StoreError::File { .. } => AdminError::Unavailable,
        }
    }
}

impl AdminError {
    /// A request that can't be.
    pub fn invalid(detail: impl Into<String>, help: impl Into<String>) -> AdminError {
        AdminError::Invalid { detail: detail.into(), help: help.into() }
    }
}

/// A fresh id for a record.
fn generate_id() -> Result<Id, AdminError> {
    crate::crypto::random::generate_random().map(Id).map_err(|_| AdminError::Machine("random numbers"))
}

/// Checks a name of a credential, bot or policy.
///
/// # Errors
/// [`AdminError::Invalid`].
fn check_name(what: &str, name: &str) -> Result<(), AdminError> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && name.as_bytes()[0].is_ascii_alphanumeric();
    match fits {
        true => Ok(()),
        false => Err(AdminError::invalid(
            format!("that can't be the name of a {what}"),
            "use 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        )),
    }
}

#[cfg(test)]
mod tests;
