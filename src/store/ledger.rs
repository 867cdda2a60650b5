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
//!
//! A disk may hang, and then whoever has the writer hangs with it. Everybody else waits for a bounded time, takes back
//! what no transaction has taken yet, and says that the ledger is unavailable.

use crate::audit::chain::{Link, Point};
use crate::crypto::slot::Slot;
use crate::store::StoreError;
use crate::store::queue::{Batch, Outcome, Queue, Ticket, Urgency};
use crate::store::record::{RecordRow, Table};
use crate::store::rekey::Rekey;
use crate::store::space::Space;
use crate::store::state::State;
use crate::store::work::Work;
use crate::store::writer::Writer;
use crate::types::clock::{UnixMs, boot_ns};
use crate::types::histogram::Histogram;
use crate::types::id::Id;
use crate::types::mutex::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub mod reading;
mod upkeep;

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
    /// Make this the highest wall time that was seen, because a person or the kernel said that the clock is right.
    AcceptClock(UnixMs),
    /// Remember this as the last point that was signed; the row that says so is written with it.
    Checkpoint(Point),
    /// Take out every ledger row up to this point; the row that says so is written with it, and nothing else.
    Prune(Point),
}

impl Change {
    /// Whether it leaves every record and slot as it is.
    pub(crate) fn spares_tables(&self) -> bool {
        matches!(self, Change::AcceptClock(_) | Change::Checkpoint(_) | Change::Prune(_))
    }
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

/// The ledger of an unlocked vault.
#[derive(Debug)]
pub struct Ledger {
    queue: Mutex<Queue>,
    /// None once the vault is locked.
    writer: Mutex<Option<Writer>>,
    /// A copy of what the writer knows, so that whoever only wants to look does not wait for the disk.
    standing: Mutex<Standing>,
    /// How long anyone waits for the writer who does not have it.
    max_wait: Duration,
    /// Tells a disk that works from one that hangs.
    work: Work,
    /// Held by whoever looks after the log and the anchor, mostly without the writer; taken before it.
    tending: Mutex<()>,
    /// The work with the disk that needs no writer.
    beside: Work,
    /// Whether there is such work to do.
    is_due: AtomicBool,
    /// Whether somebody has waited in vain since the last write that succeeded.
    is_late: AtomicBool,
    /// The space that is left, and what is kept back for the end of it.
    space: Space,
    /// How long the transactions took that made rows durable.
    commits: Histogram,
}

/// How long anyone waits for the disk unless something else is said.
const MAX_WAIT: Duration = Duration::from_secs(2);

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
        Ledger {
            queue: Mutex::new(Queue::default()),
            standing: Mutex::new(Standing::of(&writer)),
            max_wait: MAX_WAIT,
            work: Work::default(),
            tending: Mutex::new(()),
            beside: Work::from(1 << 62),
            is_due: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            commits: Histogram::default(),
            space: Space::of(writer.paths()),
            writer: Mutex::new(Some(writer)),
        }
    }

    /// The same ledger with another bound for waiting.
    pub fn waiting_at_most(self, max_wait: Duration) -> Ledger {
        Ledger { max_wait, ..self }
    }

    /// Puts rows, and the changes they tell of, into the queue. The order of calls is the order of events, so this is
    /// called while the vault's lock is held; it does no I/O. `wall` is the wall time that the vault may remember as
    /// seen.
    pub fn enqueue(&self, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Ticket {
        self.push(wall, entries, changes, Urgency::Ordinary)
    }

    /// Like [`Ledger::enqueue`], for what the last space of a full disk is kept for.
    pub fn enqueue_urgent(&self, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Ticket {
        self.push(wall, entries, changes, Urgency::Urgent)
    }

    /// Like [`Ledger::enqueue`], for what holds in memory already: when it can't be written its ticket says so, and it
    /// is written all the same, first of all, as soon as the disk allows. Until then `missing` says what is.
    pub fn owe(&self, missing: &'static str, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Ticket {
        self.push(wall, entries, changes, Urgency::Owed(missing))
    }

    fn push(&self, wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>, urgency: Urgency) -> Ticket {
        let (batch, ticket) = Batch::new(wall, entries, changes, urgency);
        self.queue.lock().push(batch);
        ticket
    }

    /// Like [`Ledger::enqueue`], for a new vault key: rows before it are chained under the old one, its own and those
    /// after it under the new. What is sealed under the old key is sealed again from then on, until
    /// [`Ledger::forget_old_key`].
    pub fn rekey(&self, wall: UnixMs, entry: Entry, rekey: Rekey) -> Ticket {
        let (mut batch, ticket) = Batch::new(wall, vec![entry], Vec::new(), Urgency::Ordinary);
        batch.rekey = Some(Box::new(rekey));
        self.queue.lock().push(batch);
        ticket
    }

    /// Said when nobody seals under the old vault key any more: what waits is sealed again, and the key is wiped.
    ///
    /// # Errors
    /// [`StoreError`] when something can't be sealed again; then the key stays until the vault is locked.
    pub fn forget_old_key(&self) -> Result<(), StoreError> {
        self.with_writer(|writer| writer.forget_old_key(self.queue.lock().waiting()))
    }

    /// Waits until the ticket's rows are durable, as long as the ledger's bound allows if another has the writer. Does
    /// I/O, so it is called with no lock held.
    ///
    /// # Errors
    /// [`Unavailable`]: nothing may be released for the batch. It is out of the queue, unless it is owed or the disk has
    /// it already; then its rows may still become durable.
    pub fn settle(&self, ticket: Ticket) -> Outcome {
        match self.writer_in_time() {
            Ok(writer) => self.settle_with(writer, &ticket),
            Err(_) => {
                self.queue.lock().withdraw(&ticket);
                ticket.take().unwrap_or(Err(Unavailable))
            }
        }
    }

    /// Like [`Ledger::settle`], for whoever must know what became of a batch that the disk has already: that is waited
    /// for without a bound.
    ///
    /// # Errors
    /// [`Unavailable`]: nothing of the batch is durable, and nothing will be.
    pub fn settle_to_the_end(&self, ticket: Ticket) -> Outcome {
        match self.writer_in_time() {
            Ok(writer) => self.settle_with(writer, &ticket),
            Err(_) if self.queue.lock().withdraw(&ticket) => Err(Unavailable),
            Err(_) => self.settle_with(self.writer.lock(), &ticket),
        }
    }

    fn settle_with(&self, mut writer: MutexGuard<'_, Option<Writer>>, ticket: &Ticket) -> Outcome {
        if let Some(outcome) = ticket.take() {
            return outcome;
        }
        if let Some(writer) = &mut *writer {
            let _working = self.work.begin();
            self.flush(writer);
        }
        ticket.take().unwrap_or(Err(Unavailable))
    }

    fn writer_in_time(&self) -> Result<MutexGuard<'_, Option<Writer>>, StoreError> {
        let writer = self.writer.try_lock_for(self.max_wait);
        writer.ok_or_else(|| {
            self.note_late();
            StoreError::Late
        })
    }

    /// Writes everything that waits. What is owed and could not be written goes back to where it was; says whether there
    /// is any.
    fn flush(&self, writer: &mut Writer) -> bool {
        let waiting = self.queue.lock().take();
        let owed = self.settle_all(writer, waiting);
        let is_owing = !owed.is_empty();
        self.queue.lock().put_back(owed);
        self.note(writer);
        is_owing
    }

    /// One transaction for everything that waits, but a new vault key has one of its own; and every ticket its outcome.
    /// After a failure nothing behind it is tried. Returns what is still owed.
    fn settle_all(&self, writer: &mut Writer, waiting: Vec<Batch>) -> Vec<Batch> {
        let mut waiting = match self.space.is_scarce() {
            true => only_urgent(waiting),
            false => waiting,
        };
        let (mut written, mut failure) = (0, None);
        for together in waiting.chunk_by_mut(|one, next| one.rekey.is_none() && next.rekey.is_none()) {
            let is_rekey = together.iter().any(|batch| batch.rekey.is_some());
            let began = boot_ns();
            let committed = writer.commit_or_rekey(together);
            self.commits.observe(boot_ns().saturating_sub(began));
            match committed {
                Ok(first_seq) => {
                    self.queue.lock().paid(together.iter().filter(|batch| is_owed(batch)).count());
                    tell_receipts(together, first_seq);
                    self.space.note_taken(together.iter().map(|batch| batch.entries.len() as u64).sum());
                    written += together.len();
                }
                Err(error) => {
                    // A new vault key is used up by one try: tried again, its row would tell of what did not happen.
                    if is_rekey {
                        together.iter().for_each(|batch| batch.settle(Err(Unavailable)));
                        written += together.len();
                    }
                    failure = Some(error);
                    break;
                }
            }
        }
        let left = waiting.split_off(written);
        let Some(error) = failure else {
            self.note_in_time();
            return Vec::new();
        };
        tracing::error!(reason = %cause(&error), "the ledger could not be written; nothing was signed for it");
        match self.space.release_if_full(&error) {
            // Once: there is nothing more to release.
            true => self.settle_all(writer, left),
            false => refuse(left),
        }
    }

    /// Where the ledger stands. Never waits for the disk.
    pub fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    /// Runs `work` with the writer, when the ledger is not closed.
    pub(super) fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with_writer_at_length(|writer| {
            let _working = self.work.begin();
            work(writer)
        })
    }

    /// Like [`Ledger::with_writer`], for work that may take long on a disk that is well.
    fn with_writer_at_length<T>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut held = self.writer_in_time()?;
        let writer = held.as_mut().ok_or(StoreError::Closed)?;
        let done = work(writer);
        self.note(writer);
        done
    }

    /// Notes where the writer stands, for those who do not wait for it.
    fn note(&self, writer: &Writer) {
        *self.standing.lock() = Standing::of(writer);
        self.is_due.store(writer.is_due(), Ordering::Relaxed);
    }
}

fn is_owed(batch: &Batch) -> bool {
    matches!(batch.urgency, Urgency::Owed(_))
}

/// Leaves what the last space is kept for, and refuses the rest.
fn only_urgent(waiting: Vec<Batch>) -> Vec<Batch> {
    let (ordinary, urgent) = waiting.into_iter().partition(|batch| batch.urgency == Urgency::Ordinary);
    refuse(ordinary);
    urgent
}

/// Tells everyone that nothing of it holds on the disk. Returns what is still owed.
fn refuse(waiting: Vec<Batch>) -> Vec<Batch> {
    for batch in &waiting {
        batch.settle(Err(Unavailable));
    }
    waiting.into_iter().filter(is_owed).collect()
}

fn tell_receipts(written: &[Batch], first_seq: u64) {
    let mut seq = first_seq;
    for batch in written {
        let receipts = batch.entries.iter().map(|entry| receipt(entry, &mut seq)).collect();
        batch.settle(Ok(receipts));
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
impl Ledger {
    /// Makes the next write fail, as a full or read-only disk does.
    pub(crate) fn refuse_next_write(&self) {
        // However long another has the writer: what comes next is to be refused.
        Writer::refuse_writes(self.writer.lock().as_mut().unwrap()).unwrap();
    }

    /// Lets the next commit reach the disk and seem to have failed all the same.
    pub(crate) fn mishear_next_commit(&self) {
        self.with_writer(Writer::mishear_commits).unwrap();
    }

    /// Makes writing the anchor fail.
    pub(crate) fn refuse_anchor(&self) {
        self.with_writer(Writer::refuse_anchor).unwrap();
    }

    /// Lets the anchor be written again.
    pub(crate) fn mend_anchor(&self) {
        self.with_writer(Writer::mend_anchor).unwrap();
    }

    /// Makes the next write that needs another page fail, as a full disk does.
    pub(crate) fn allow_no_more_pages(&self) {
        self.with_writer(|writer| writer.allow_no_more_pages()).unwrap();
    }

    /// Makes the next commit fail, with nothing of it durable.
    pub(crate) fn fail_before_commit(&self) {
        self.with_writer(Writer::fail_before_commit).unwrap();
    }

    /// Keeps the disk busy for as long as the guard lives.
    pub(crate) fn stall(&self) -> impl Drop + '_ {
        let held = self.writer.lock();
        let working = self.work.begin();
        Stalled { _held: held, _working: working }
    }

    /// Runs any statement, as one who writes to the file would.
    pub(crate) fn run(&self, statement: &str) {
        self.with_writer(|writer| writer.run(statement)).unwrap();
    }
}

/// A disk that hangs.
#[cfg(test)]
struct Stalled<H, W> {
    _held: H,
    _working: W,
}

#[cfg(test)]
impl<H, W> Drop for Stalled<H, W> {
    fn drop(&mut self) {}
}

#[cfg(test)]
mod tests;
