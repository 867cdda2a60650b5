//! The ledger: decisions queue up, one transaction makes all that are waiting durable, and only a durable, allowed row
//! yields a [`Permit`].
//!
//! ```text
//!   enqueue (under the vault's lock: this is the order of events)
//!      │  ticket
//!      ▼
//!   settle ── whoever gets the writer commits everything that waits, so its neighbours find their outcome ready
//!      │
//!      ▼
//!   receipts: sequence numbers, and a permit for every row that allows a signature
//! ```
//!
//! A row's sequence number and chain value are made while it is written, in the order of the queue: a batch that could
//! not be written leaves no gap.

use crate::audit::chain::Link;
use crate::crypto::slot::Slot;
use crate::store::record::{RecordRow, SlotRow, Table};
use crate::store::state::State;
use crate::store::writer::Writer;
use crate::store::{IntegrityError, StoreError};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// A row to write.
#[derive(Debug)]
pub struct Entry {
    /// The row's text.
    pub body: String,
    /// The credential that may be opened once this row is durable: none for denials and admin actions.
    pub opens: Option<Id>,
}

/// A change of the vault's tables, written in the same transaction as the rows that tell of it.
#[derive(Debug)]
pub enum Change {
    /// Write a record.
    Put(Table, RecordRow),
    /// Take a record out.
    Delete(Table, Id),
    /// Write a slot.
    PutSlot(Slot),
    /// Take a slot out.
    DeleteSlot(u32),
}

/// Proof that the row of an allowed ask is durable. Only the ledger makes one, and nothing else opens a secret.
#[derive(Debug)]
pub struct Permit {
    credential: Id,
    seq: u64,
}

impl Permit {
    /// The credential that may be opened, once.
    pub fn credential(&self) -> Id {
        self.credential
    }

    /// The row.
    pub fn audit_seq(&self) -> u64 {
        self.seq
    }
}

/// What became of an [`Entry`].
#[derive(Debug)]
pub struct Receipt {
    /// The row's sequence number.
    pub seq: u64,
    /// Present when the row allows a signature.
    pub permit: Option<Permit>,
}

/// The rows could not be made durable: nothing may be released for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger could not be written")]
pub struct Unavailable;

type Outcome = Result<Vec<Receipt>, Unavailable>;

/// A place in the queue.
#[derive(Debug)]
pub struct Ticket(Arc<Mutex<Option<Outcome>>>);

/// Rows and changes that belong together: all or nothing of them is written.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) changes: Vec<Change>,
    pub(crate) now: UnixMs,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

/// The ledger of an unlocked vault.
#[derive(Debug)]
pub struct Ledger {
    queue: Mutex<Vec<Batch>>,
    writer: Mutex<Writer>,
}

impl Ledger {
    /// A ledger over an open, verified database.
    pub fn new(writer: Writer) -> Ledger {
        Ledger { queue: Mutex::new(Vec::new()), writer: Mutex::new(writer) }
    }

    /// Puts rows, and the changes they tell of, into the queue. The order of calls is the order of events, so this is
    /// called while the vault's lock is held; it does no I/O.
    pub fn enqueue(&self, now: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Ticket {
        let outcome = Arc::new(Mutex::new(None));
        self.queue.lock().push(Batch { entries, changes, now, outcome: outcome.clone() });
        Ticket(outcome)
    }

    /// Waits until the ticket's rows are durable. Does I/O, so it is called with no lock held.
    ///
    /// # Errors
    /// [`Unavailable`]: nothing of the batch is durable, and nothing may be released for it.
    pub fn settle(&self, ticket: Ticket) -> Outcome {
        let mut writer = self.writer.lock();
        if let Some(outcome) = ticket.0.lock().take() {
            return outcome;
        }
        let waiting = std::mem::take(&mut *self.queue.lock());
        settle_all(&mut writer, waiting);
        ticket.0.lock().take().unwrap_or(Err(Unavailable))
    }

    /// What a person is told: the state row and the last durable row.
    pub fn position(&self) -> (State, Link) {
        let writer = self.writer.lock();
        (writer.state().clone(), writer.tail())
    }

    /// Whether the last write succeeded.
    pub fn is_available(&self) -> bool {
        self.writer.lock().is_sound()
    }

    /// Work that belongs to no request: brings the anchor up to date and folds the write-ahead log in.
    ///
    /// # Errors
    /// The disk's refusal; the next call tries again.
    pub fn tend(&self) -> Result<(), StoreError> {
        self.writer.lock().tend()
    }

    /// The slots as they stand in the database.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn slots(&self) -> Result<Vec<SlotRow>, StoreError> {
        self.writer.lock().slots()
    }

    /// Durable rows after `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn rows(&self, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
        self.writer.lock().rows(after, limit)
    }

    /// Checks every stored row, page by page so that signing goes on meanwhile.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`] names the first row that does not follow.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let (first_kept, end) = {
            let writer = self.writer.lock();
            (writer.state().first_kept, writer.tail())
        };
        let mut at = first_kept;
        while at.seq < end.seq {
            at = self.writer.lock().verify_page(at, &mut |_, _| ())?;
        }
        match at.seq >= end.seq {
            true => Ok(Verified { first: first_kept.seq + 1, last: at }),
            false => Err(IntegrityError::Audit { seq: at.seq + 1 }.into()),
        }
    }

    /// A consistent copy of the database as one SQLite file, for a backup, and the state version and ledger row in it.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn snapshot(&self, to: &Path) -> Result<(u64, u64), StoreError> {
        let mut writer = self.writer.lock();
        writer.snapshot(to)?;
        Ok((writer.state().state_version, writer.tail().seq))
    }

    /// Overwrites what changes left behind in the write-ahead log and in free pages.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn scrub(&self) -> Result<(), StoreError> {
        self.writer.lock().scrub()
    }
}

/// A row as stored.
#[derive(Clone, Debug)]
pub struct StoredRow {
    /// Its sequence number.
    pub seq: u64,
    /// The chain value after it.
    pub head: Vec<u8>,
    /// Its text.
    pub body: String,
}

/// What a full check of the ledger found: every row from `first` to `last` follows.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    /// The first kept row.
    pub first: u64,
    /// The last row.
    pub last: Link,
}

/// One transaction for everything that waits, and every ticket its outcome.
fn settle_all(writer: &mut Writer, waiting: Vec<Batch>) {
    match writer.commit(&waiting) {
        Err(error) => {
            tracing::error!(reason = %cause(&error), "the ledger could not be written; nothing was signed for it");
            for batch in waiting {
                *batch.outcome.lock() = Some(Err(Unavailable));
            }
        }
        Ok(first_seq) => {
            let mut seq = first_seq;
            for batch in waiting {
                let receipts = batch.entries.iter().map(|entry| receipt(entry, &mut seq)).collect();
                *batch.outcome.lock() = Some(Ok(receipts));
            }
        }
    }
}

fn receipt(entry: &Entry, next_seq: &mut u64) -> Receipt {
    let seq = *next_seq;
    *next_seq += 1;
    Receipt { seq, permit: entry.opens.map(|credential| Permit { credential, seq }) }
}

/// The kind of failure for the log: a name of SQLite's or the system's, never a statement or a value.
fn cause(error: &StoreError) -> String {
    match error {
        StoreError::Database(rusqlite::Error::SqliteFailure(inner, _)) => inner.to_string(),
        StoreError::File { what, source } => format!("{what}: {source}"),
        other => other.to_string(),
    }
}
