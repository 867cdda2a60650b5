//! All SQL, and the files of a vault. Layers above see rows as types and never a statement.
//!
//! ```text
//! connection   one SQLite file, opened the strict way; its schema
//! record       sealed records and slots, row by row
//! state        the one row that says what all others must be
//! anchor       the state row's witness, in another directory
//! opening      from a file to a writer, step by step
//! verify       what must be true of a database before it is believed
//! writer       one transaction at a time, and what must be true between them
//! recovery     after a failure: what is believed again, and when
//! identity     whether the files that are open are still the ones with the names
//! space        what is left of the disk, and a reserve for the end of it
//! queue        what waits for the disk, and what memory owes to it
//! work         tells a disk that works from one that hangs
//! ledger       group commit, permits
//! rekey        a new vault key for everything at once
//! checkpoint   the chain signed, and where an unlock may begin to verify it
//! prune        old rows taken out, on purpose and said so
//! first        what a new database holds
//! attempts     failed unlocks, counted while no key exists
//! ```
//!
//! Deliberately absent: what a record means (the vault opens it), and any decision.

pub mod anchor;
pub mod attempts;
#[cfg(feature = "bench-variants")]
pub mod bench;
pub mod checkpoint;
pub mod connection;
pub mod file;
pub mod first;
pub mod identity;
pub mod ledger;
pub mod opening;
pub mod prune;
pub mod queue;
pub mod record;
pub mod rekey;
pub mod space;
pub mod state;
#[cfg(test)]
pub(crate) mod surgery;
pub mod verify;
pub mod watch;
pub mod work;
pub mod writer;

use crate::types::id::Id;
use thiserror::Error;

/// Why the files of a vault are refused. Each names the object; nothing was changed.
#[derive(Debug, Error)]
pub enum IntegrityError {
    /// The file is no SQLite database, or a damaged one.
    #[error("the vault's database is damaged: {0}")]
    Corrupt(&'static str),
    /// A table, trigger, view or index that this version did not make.
    #[error("the database's schema is not this version's: {0}")]
    Schema(String),
    /// A database that a newer program wrote.
    #[error("the database has schema version {found}, and this program knows up to {known}")]
    Newer {
        /// The database's version.
        found: i64,
        /// This program's.
        known: u32,
    },
    /// A record that does not open under its own identity.
    #[error("the record {id} in table `{table}` was changed outside the vault")]
    Tampered {
        /// The table.
        table: &'static str,
        /// The record.
        id: Id,
    },
    /// Rows were replaced.
    #[error("{0} does not match the vault's state row")]
    Manifest(&'static str),
    /// Rows were added or removed.
    #[error("there are {found} {what}, but the vault's state row says {stated}")]
    Count {
        /// Of what: credentials, bots, policies or settings.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many there must be.
        stated: u64,
    },
    /// The database is older than the anchor remembers.
    #[error(
        "the database is at state version {database} and ledger row {database_row}, but the anchor remembers {anchor} and {anchor_row}"
    )]
    Rollback {
        /// The database's state version.
        database: u64,
        /// The database's last ledger row.
        database_row: u64,
        /// The anchor's state version.
        anchor: u64,
        /// The anchor's ledger row.
        anchor_row: u64,
    },
    /// The anchor is missing or neither of its slots verifies.
    #[error("the anchor {0}")]
    Anchor(&'static str),
    /// A ledger row that does not follow from the one before.
    #[error("the ledger is broken at row {seq}: it does not follow from the rows before it")]
    Audit {
        /// The first row that does not follow.
        seq: u64,
    },
}

/// What to do about files that are not what they must be.
const RESTORE: &str = "someone or something wrote to the vault's files: keep a copy of them, then restore a backup";

impl IntegrityError {
    /// The stable code that programs see.
    pub fn code(&self) -> &'static str {
        match self {
            IntegrityError::Corrupt(_) => "vault.storage_corrupt",
            IntegrityError::Schema(_) | IntegrityError::Newer { .. } => "vault.schema_mismatch",
            IntegrityError::Tampered { .. } => "vault.tampered",
            IntegrityError::Manifest(_) | IntegrityError::Count { .. } => "vault.manifest_mismatch",
            IntegrityError::Rollback { .. } | IntegrityError::Anchor(_) => "vault.rollback_detected",
            IntegrityError::Audit { .. } => "vault.audit_broken",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            IntegrityError::Rollback { .. } | IntegrityError::Anchor(_) => {
                "find the newest files; if this older state is what you want, say so with --accept-rollback"
            }
            IntegrityError::Newer { .. } => "use the version of signvault that wrote it, or a newer one",
            _ => RESTORE,
        }
    }
}

/// Why the store could not do something just now.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite said so. The text stays inside.
    #[error("the database could not be read or written")]
    Database(#[source] rusqlite::Error),
    /// The file system said so.
    #[error("{what}")]
    File {
        /// What was being done, with the path.
        what: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The files are not what they must be.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// The vault was locked meanwhile, and its database closed.
    #[error("the vault was locked meanwhile")]
    Closed,
    /// The disk works on something else for longer than anyone waits, or has not taken what it must take first.
    #[error("the disk did not answer in time")]
    Late,
}

impl StoreError {
    /// Whether SQLite had not enough memory: nothing is wrong with the files or the disk.
    pub fn is_for_want_of_memory(&self) -> bool {
        matches!(self, StoreError::Database(inner) if inner.sqlite_error_code() == Some(rusqlite::ErrorCode::OutOfMemory))
    }
}

/// How much an acknowledged ledger row survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: every commit is synced to the disk.
    #[default]
    Full,
    /// The end of the process, not of power. Changes of state are synced all the same.
    Process,
}

/// What SQLite says about a file that is no database, or only half of one, is damage and not a passing fault.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TypeMismatch};
        match &error {
            rusqlite::Error::SqliteFailure(inner, _)
                if matches!(inner.code, DatabaseCorrupt | NotADatabase | TypeMismatch) =>
            {
                IntegrityError::Corrupt("it is not a whole SQLite file").into()
            }
            rusqlite::Error::Utf8Error(..) | rusqlite::Error::InvalidColumnType(..) => {
                IntegrityError::Corrupt("a value has another type than its column").into()
            }
            _ => StoreError::Database(error),
        }
    }
}

#[cfg(test)]
mod tests;
