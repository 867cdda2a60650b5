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
    /// Make this the highest wall time that was seen, because a person said that the clock is right.
    AcceptClock(UnixMs),
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
    /// The wall time that the state row may remember as seen.
    pub(crate) wall: UnixMs,
    on_failure: OnFailure,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.changes.is_empty()
    }
}

/// What becomes of a batch that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnFailure {
    /// Nothing of it holds.
    Forget,
    /// It holds in memory already, so it stays at the head of the queue until the disk takes it.
    Owe,
}

/// The ledger of an unlocked vault.
#[derive(Debug)]
pub struct Ledger {
    queue: Mutex<Vec<Batch>>,
    /// None once the vault is locked.
    writer: Mutex<Option<Writer>>,
    /// A copy of what the writer knows, so that whoever only wants to look does not wait for the disk.
    standing: Mutex<Standing>,
}

/// Where a ledger stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The state row as last written.
    pub state: State,
    /// The last durable row.
    pub tail: Link,
    /// Whether the last write succeeded.
    pub is_available: bool,
}

impl Standing {
    fn of(writer: &Writer) -> Standing {
        Standing { state: writer.state().clone(), tail: writer.tail(), is_available: writer.is_sound() }
    }
}

impl Ledger {
    /// A ledger over an open, verified database.
    pub fn new(writer: Writer) -> Ledger {
        let standing = Mutex::new(Standing::of(&writer));
        Ledger { queue: Mutex::new(Vec::new()), writer: Mutex::new(Some(writer)), standing }
    }

    /// Puts rows, and the changes they tell of, into the queue. The order of calls is the order of events, so this is
    /// called while the vault's lock is held; it does no I/O. `wall` is the wall time that the vault may remember as
    /// seen.
    pub fn enqueue(&self, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Ticket {
        self.push(wall, entries, changes, OnFailure::Forget)
    }

    /// Like [`Ledger::enqueue`], for what holds in memory already: when it can't be written its ticket says so, and it
    /// is written all the same, first of all, as soon as the disk allows.
    pub fn owe(&self, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Ticket {
        self.push(wall, entries, changes, OnFailure::Owe)
    }

    fn push(&self, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>, on_failure: OnFailure) -> Ticket {
        let outcome = Arc::new(Mutex::new(None));
        self.queue.lock().push(Batch { entries, changes, wall, on_failure, outcome: outcome.clone() });
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
        if let Some(writer) = &mut *writer {
            self.flush(writer);
        }
        ticket.0.lock().take().unwrap_or(Err(Unavailable))
    }

    /// Writes everything that waits. What is owed and could not be written goes back to where it was.
    fn flush(&self, writer: &mut Writer) {
        let waiting = std::mem::take(&mut *self.queue.lock());
        let owed = settle_all(writer, waiting);
        self.queue.lock().splice(0..0, owed);
        *self.standing.lock() = Standing::of(writer);
    }

    /// Where the ledger stands. Never waits for the disk.
    pub fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    /// Work that belongs to no request: writes what is owed, brings the anchor up to date and folds the write-ahead log
    /// in.
    ///
    /// # Errors
    /// The disk's refusal; the next call tries again.
    pub fn tend(&self) -> Result<(), StoreError> {
        self.with_writer(|writer| {
            if !self.queue.lock().is_empty() {
                self.flush(writer);
            }
            writer.tend()
        })
    }

    /// Ends the ledger: a last [`Ledger::tend`], then the database is closed and the keys are wiped, whoever still
    /// holds this. Closing it again does nothing.
    ///
    /// # Errors
    /// The disk's refusal; it is closed all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        let mut held = self.writer.lock();
        let Some(mut writer) = held.take() else { return Ok(()) };
        let owed = self.queue.lock().len();
        if owed > 0 {
            tracing::error!(
                owed,
                "what the disk would not take before the vault was locked does not hold after an unlock"
            );
        }
        writer.tend()
    }

    /// Runs `work` with the writer, when the ledger is not closed.
    fn with_writer<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut held = self.writer.lock();
        let writer = held.as_mut().ok_or(StoreError::Closed)?;
        let done = work(writer);
        *self.standing.lock() = Standing::of(writer);
        done
    }

    /// The slots as they stand in the database.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn slots(&self) -> Result<Vec<SlotRow>, StoreError> {
        self.with_writer(Writer::slots)
    }

    /// Durable rows after `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn rows(&self, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
        self.with_writer(|writer| writer.rows(after, limit))
    }

    /// Checks every stored row, page by page so that signing goes on meanwhile.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`] names the first row that does not follow.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let Standing { state, tail: end, .. } = self.standing();
        let first_kept = state.first_kept;
        let mut at = first_kept;
        while at.seq < end.seq {
            at = self.with_writer(|writer| writer.verify_page(at, &mut |_, _| ()))?;
        }
        match at.seq >= end.seq {
            true => Ok(Verified { first: first_kept.seq + 1, last: at }),
            false => Err(IntegrityError::Audit { seq: at.seq + 1 }.into()),
        }
    }

    /// A consistent copy of the database as one SQLite file, for a backup, and what is in it.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn snapshot(&self, to: &Path) -> Result<(Standing, Vec<SlotRow>), StoreError> {
        self.with_writer(|writer| {
            writer.snapshot(to)?;
            Ok((Standing::of(writer), writer.slots()?))
        })
    }

    /// Overwrites what changes left behind in the write-ahead log and in free pages.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn scrub(&self) -> Result<(), StoreError> {
        self.with_writer(Writer::scrub)
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

/// One transaction for everything that waits, and every ticket its outcome. Returns what is still owed.
fn settle_all(writer: &mut Writer, waiting: Vec<Batch>) -> Vec<Batch> {
    match writer.commit(&waiting) {
        Err(error) => {
            tracing::error!(reason = %cause(&error), "the ledger could not be written; nothing was signed for it");
            for batch in &waiting {
                *batch.outcome.lock() = Some(Err(Unavailable));
            }
            waiting.into_iter().filter(|batch| batch.on_failure == OnFailure::Owe).collect()
        }
        Ok(first_seq) => {
            let mut seq = first_seq;
            for batch in waiting {
                let receipts = batch.entries.iter().map(|entry| receipt(entry, &mut seq)).collect();
                *batch.outcome.lock() = Some(Ok(receipts));
            }
            Vec::new()
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

#[cfg(test)]
impl Batch {
    /// A batch that nobody waits for.
    pub(crate) fn of(entries: Vec<Entry>, changes: Vec<Change>) -> Batch {
        let outcome = Arc::new(Mutex::new(None));
        Batch { entries, changes, wall: UnixMs(0), on_failure: OnFailure::Forget, outcome }
    }
}

#[cfg(test)]
impl Ledger {
    /// Makes the next write fail, as a full or read-only disk does.
    pub(crate) fn refuse_next_write(&self) {
        self.with_writer(Writer::refuse_writes).unwrap();
    }

    /// Keeps the disk busy for as long as the guard lives.
    pub(crate) fn stall(&self) -> impl Drop + '_ {
        self.writer.lock()
    }

    /// How many batches wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().len()
    }
}

#[cfg(test)]
mod tests;
