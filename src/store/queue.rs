//! What waits for the disk, in the order of events, and what memory owes to it.

use crate::store::ledger::{Change, Entry, Receipt, Unavailable};
use crate::store::rekey::Rekey;
use crate::types::clock::UnixMs;
use crate::types::mutex::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// What became of a batch: a receipt for each of its rows, or nothing of it.
pub(crate) type Outcome = Result<Vec<Receipt>, Unavailable>;

/// A place in the queue.
#[derive(Debug)]
pub struct Ticket(Arc<Mutex<Option<Outcome>>>);

impl Ticket {
    /// The outcome, once, when there is one by now.
    pub(crate) fn take(&self) -> Option<Outcome> {
        self.0.lock().take()
    }
}

/// How much depends on a batch, and what becomes of it when it can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Nothing of it holds, and a disk that is almost full is kept for others.
    Ordinary,
    /// Nothing of it holds, but the last space is for such as this: what makes a risk smaller.
    Urgent,
    /// It holds in memory already, so it stays at the head of the queue until the disk takes it. The words say what is
    /// missing as long as it is not written.
    Owed(&'static str),
}

/// Rows and changes that belong together: all or nothing of them is written.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) changes: Vec<Change>,
    /// The wall time that the state row may remember as seen.
    pub(crate) wall: UnixMs,
    pub(crate) urgency: Urgency,
    /// The new vault key that this is about, if it is: then it is a transaction of its own.
    pub(crate) rekey: Option<Box<Rekey>>,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl Batch {
    /// A batch, and the place where its outcome will be.
    pub(crate) fn new(wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>, urgency: Urgency) -> (Batch, Ticket) {
        let outcome = Arc::new(Mutex::new(None));
        let ticket = Ticket(Arc::clone(&outcome));
        (Batch { entries, changes, wall, urgency, rekey: None, outcome }, ticket)
    }

    /// A batch that nobody waits for: whoever has the writer writes it at once.
    pub(crate) fn at(wall: UnixMs, entries: Vec<Entry>, changes: Vec<Change>) -> Batch {
        Batch::new(wall, entries, changes, Urgency::Ordinary).0
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.changes.is_empty()
    }

    /// Says what became of it to whoever waits.
    pub(crate) fn settle(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
    }
}

/// The queue of a ledger.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<Batch>,
    /// What is missing on the disk, oldest first. Owed batches are written in the order in which they came, so what is
    /// written takes its words off the front.
    owed: VecDeque<&'static str>,
}

impl Queue {
    /// Puts a batch at the end.
    pub(crate) fn push(&mut self, batch: Batch) {
        if let Urgency::Owed(missing) = batch.urgency {
            self.owed.push_back(missing);
        }
        self.waiting.push(batch);
    }

    /// Everything that waits, where it waits.
    pub(crate) fn waiting(&mut self) -> &mut [Batch] {
        &mut self.waiting
    }

    /// Takes everything that waits, for one transaction.
    pub(crate) fn take(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.waiting)
    }

    /// Puts what is owed and could not be written back to where it was.
    pub(crate) fn put_back(&mut self, owed: Vec<Batch>) {
        self.waiting.splice(0..0, owed);
    }

    /// Notes that so many owed batches are durable.
    pub(crate) fn paid(&mut self, batches: usize) {
        self.owed.drain(..batches.min(self.owed.len()));
    }

    /// Takes a batch out that no transaction has taken yet and that nothing in memory depends on. Says whether it was
    /// there.
    pub(crate) fn withdraw(&mut self, ticket: &Ticket) -> bool {
        let is_it =
            |batch: &Batch| Arc::ptr_eq(&batch.outcome, &ticket.0) && !matches!(batch.urgency, Urgency::Owed(_));
        let at = self.waiting.iter().position(is_it);
        at.map(|at| self.waiting.remove(at)).is_some()
    }

    /// What is missing on the disk for longest.
    pub(crate) fn owed(&self) -> Option<&'static str> {
        self.owed.front().copied()
    }

    /// How many batches wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
impl Batch {
    /// A batch of no time that nobody waits for.
    pub(crate) fn of(entries: Vec<Entry>, changes: Vec<Change>) -> Batch {
        Batch::at(UnixMs(0), entries, changes)
    }
}
