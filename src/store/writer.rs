//! The one writer of an unlocked vault's database: a transaction at a time, and what must be true between them.
//!
//! After any failure the file is not believed: the connection is closed and opened again, and before anything is written
//! the tables must match the authenticated state row and the chain must go on from the last row that was acknowledged.
//! What reached the disk beyond that row is taken back, because its callers were told that it did not.

use crate::audit::attested::{self, Covers};
use crate::audit::chain::{Link, Point};
use crate::crypto::keys::LedgerKeys;
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::Paths;
use crate::store::identity::Identity;
use crate::store::ledger::Change;
use crate::store::ledger::reading::StoredRow;
use crate::store::opening::Parts;
use crate::store::queue::Batch;
use crate::store::record::{self, SlotRow};
use crate::store::rekey::Sealer;
use crate::store::state::{self, Index, State};
use crate::store::watch::Watch;
use crate::store::writer::anchoring::Anchoring;
use crate::store::writer::recovery::replaced_by;
use crate::store::{Durability, IntegrityError, StoreError, connection, verify};
use crate::types::id::Id;
use rusqlite::{Connection, params};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub(crate) mod anchoring;
mod migrate;
mod recovery;
mod rekey;
mod snapshot;
mod upkeep;

/// An open database with everything that was verified about it.
pub struct Writer {
    connection: Option<Connection>,
    /// What the connection was told last about syncing.
    synced: Option<Durability>,
    paths: Paths,
    keys: Arc<LedgerKeys>,
    vault_id: Id,
    durability: Durability,
    index: Index,
    state: State,
    tail: Point,
    /// Whether a row since the last checkpoint counts in rolling limits.
    counts: bool,
    /// Shared with whoever writes it ahead.
    anchoring: Arc<Anchoring>,
    /// What the last transaction that wrote changes replaced, for as long as it may have to be taken back.
    replaced: Vec<Change>,
    /// The files that the connection has open.
    files: Identity,
    /// Whether they may have lost their names.
    watch: Watch,
    /// Whether one of them had lost its name when they were last looked at.
    is_displaced: bool,
    /// The file in the database's place that was refused last: device, inode, size and time of change.
    refused: Option<(u64, u64, u64, i64, i64)>,
    /// The keys of a vault key that may or may not have reached the disk.
    unsure: Option<Arc<LedgerKeys>>,
    /// Seals again what was sealed under the vault key before the present one and waits still.
    sealer: Option<Arc<dyn Sealer>>,
    /// How often the connection was opened again.
    generation: u64,
    /// The connection's log, to sync it while others write.
    log: Option<Arc<File>>,
    /// How much was in it after the last commit.
    log_bytes: Arc<AtomicU64>,
    /// Whether the connection says so.
    hears_of_log: bool,
    /// The last row when the log was folded into the database.
    folded: u64,
    /// What copies are read from. Closed after the connection, because closing it ends the connection's locks.
    file: Option<Arc<File>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("state_version", &self.state.state_version).finish_non_exhaustive()
    }
}

/// How an unlock treats a database that is older than the anchor remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// Refuse it.
    Refuse,
    /// Take it, because a person said so.
    Accept,
}

impl Writer {
    /// The writer of a database that was verified up to `tail` and compared with its anchor.
    pub(crate) fn new(parts: Parts, tail: Point, anchor: Anchor, anchored: Mark) -> Writer {
        let Parts { connection, paths, keys, vault_id, durability, index, state, files, counts } = parts;
        Writer {
            connection: Some(connection),
            synced: None,
            watch: Watch::over(&paths),
            paths,
            keys,
            vault_id,
            durability,
            index,
            state,
            tail,
            counts,
            anchoring: Anchoring::new(anchor, anchored),
            replaced: Vec::new(),
            files,
            is_displaced: false,
            refused: None,
            unsure: None,
            sealer: None,
            generation: 0,
            log: None,
            log_bytes: Arc::default(),
            hears_of_log: false,
            folded: tail.link.seq,
            file: None,
        }
    }

    /// The state row as last written.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last durable row.
    pub fn tail(&self) -> Link {
        self.tail.link
    }

    /// What a checkpoint that was made now would cover.
    ///
    /// # Errors
    /// The disk's refusal, when it has to be opened again.
    pub(crate) fn covers_now(&mut self) -> Result<Covers, StoreError> {
        self.recover()?;
        let Link { seq, .. } = self.state.checkpoint.link;
        let from = if seq == 0 { 0 } else { seq + 1 };
        Ok(Covers { vault: self.vault_id, from, at: self.tail, counts: self.counts })
    }

    /// The keys that authenticate what it writes.
    pub fn keys(&self) -> Arc<LedgerKeys> {
        Arc::clone(&self.keys)
    }

    /// Whether the next write may succeed: the connection is closed after a failure and opened again by the next write.
    pub fn is_sound(&self) -> bool {
        self.connection.is_some() && !self.is_displaced && !self.anchoring.known().has_failed
    }

    /// Where the vault's files are.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Writes every batch in one transaction and says the sequence number of its first row.
    ///
    /// # Errors
    /// Nothing of it holds. The connection is closed, because nobody can tell what reached the disk; the next use opens
    /// it anew and takes back what did.
    pub(crate) fn commit(&mut self, batches: &[Batch]) -> Result<u64, StoreError> {
        self.recover()?;
        let first = self.tail.link.seq + 1;
        if batches.iter().all(Batch::is_empty) {
            return Ok(first);
        }
        #[cfg(feature = "bench-variants")]
        if self.only_pretends_to_write(batches) {
            return Ok(first);
        }
        self.write(batches).map(|()| first)
    }

    /// Chains rows and forgets them, for the benchmark of everything else.
    #[cfg(feature = "bench-variants")]
    fn only_pretends_to_write(&mut self, batches: &[Batch]) -> bool {
        let pretends = crate::store::bench::variant() == crate::store::bench::Variant::NoLedger
            && batches.iter().all(|batch| batch.changes.is_empty());
        if pretends {
            for entry in batches.iter().flat_map(|batch| &batch.entries) {
                self.tail = self.tail.next(self.keys.audit.expose(), &self.vault_id, &entry.body);
            }
            self.pretend_anchored();
        }
        pretends
    }

    fn write(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let bodies = batches.iter().flat_map(|batch| &batch.entries).map(|entry| entry.body.as_str());
        // Before the disk has a say: what chains is not in memory for as long as that may hang.
        let points = self.tail.next_ones(self.keys.audit.expose(), &self.vault_id, bodies.clone());
        let tail = points.last().copied().unwrap_or(self.tail);
        let changes = batches.iter().any(|batch| !batch.changes.is_empty());
        let anchors = changes || self.needs_anchor(points.len() as u64);
        // Out of its place until the commit: whatever goes wrong, a panic too, leaves the connection closed.
        let connection = self.connection.take().ok_or_else(not_open)?;
        self.sync_as(&connection, if anchors { Durability::Full } else { self.durability })?;
        // Prepared once: for a single row the parser would be half of the work.
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = connection.prepare_cached("INSERT INTO audit (seq, head, body) VALUES (?1, ?2, ?3)")?;
        for (Point { link, .. }, body) in points.iter().zip(bodies.clone()) {
            insert.execute(params![link.seq as i64, link.head, body])?;
        }
        drop(insert);
        let state = match changes {
            false => None,
            true => Some(self.write_changes(&connection, tail.link, batches)?),
        };
        connection.prepare_cached("COMMIT")?.execute([])?;
        self.connection = Some(connection);
        self.replaced.clear();
        self.tail = tail;
        self.counts = self.counts || bodies.clone().any(attested::counts);
        if let Some(state) = state {
            self.counts &= state.checkpoint == self.state.checkpoint;
            self.state = state;
        }
        if anchors {
            self.try_anchor();
        }
        Ok(())
    }

    /// Has the connection sync its commits like this from here on.
    fn sync_as(&mut self, connection: &Connection, durability: Durability) -> Result<(), StoreError> {
        if self.synced != Some(durability) {
            self.synced = None;
            connection::synchronous(connection, durability)?;
            self.synced = Some(durability);
        }
        Ok(())
    }

    /// Applies every batch's changes to the tables and the index, and writes the state row that tells of them. When the
    /// transaction fails afterwards the index is wrong, and is read anew with the rest.
    fn write_changes(&mut self, transaction: &Connection, tail: Link, batches: &[Batch]) -> Result<State, StoreError> {
        let changes: Vec<&Change> = batches.iter().flat_map(|batch| &batch.changes).collect();
        self.check_slots(transaction)?;
        self.replaced = replaced_by(transaction, &changes)?;
        for change in &changes {
            apply(transaction, change)?;
            match change {
                Change::Put(table, row) => self.index.put(*table, row.id, row.version, row.sealed.commitment),
                Change::Delete(table, id) => self.index.delete(*table, id),
                _ => (),
            }
        }
        let wall = batches.iter().map(|batch| batch.wall).max().unwrap_or(self.state.wall_high);
        let mut state = match changes.iter().all(|change| change.spares_tables()) {
            true => self.state.with_same_tables(tail, wall),
            false => {
                let slots = state::slots_hash(&record::read_slots(transaction)?);
                self.state.after(&self.index, slots, tail, wall)
            }
        };
        for change in &changes {
            match change {
                Change::AcceptClock(now) => state.wall_high = *now,
                Change::Checkpoint(point) => state.checkpoint = *point,
                Change::Prune(point) => state.first_kept = *point,
                _ => (),
            }
        }
        state::write(transaction, self.keys.state.expose(), &state)?;
        Ok(state)
    }

    /// Whether the slots are those that the state row tells of. Memory does not keep them, so one that was put into the file
    /// meanwhile, an old password's perhaps, would become the vault's own with the next state row.
    fn check_slots(&self, connection: &Connection) -> Result<(), StoreError> {
        match state::slots_hash(&record::read_slots(connection)?) == self.state.slots {
            true => Ok(()),
            false => Err(IntegrityError::Manifest("a slot").into()),
        }
    }

    /// Closes the database and leaves one file. If it is not sound, or not the file of that name any more, it is left as it
    /// is, like after a crash.
    ///
    /// # Errors
    /// SQLite's refusal; it is closed all the same.
    pub fn close(&mut self) -> Result<(), StoreError> {
        let may_fold = self.is_sound() && matches!(self.files.moved(&self.paths), Ok(None));
        match self.connection.take() {
            Some(connection) if may_fold => connection::fold_and_close(connection),
            _ => Ok(()),
        }
    }

    /// The slots as they stand in the database.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn slots(&mut self) -> Result<Vec<SlotRow>, StoreError> {
        self.recover()?;
        let connection = self.sound()?;
        self.check_slots(connection)?;
        record::read_slots(connection)
    }

    /// Durable rows after `after`, oldest first.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn rows(&mut self, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
        self.recover()?;
        verify::read_rows(self.sound()?, after, limit)
    }

    /// Checks a page of rows after a point and returns the point after them. What was pruned meanwhile was verified
    /// before, so it is passed over. A row that `each` says no to, and whatever comes after it, is left for another time.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`].
    pub fn verify_page(
        &mut self,
        at: Point,
        limit: u32,
        each: &mut dyn FnMut(u64, &str) -> bool,
    ) -> Result<Point, StoreError> {
        self.recover()?;
        let kept = self.state.first_kept;
        let at = if at.link.seq < kept.link.seq { kept } else { at };
        let mut stopped = false;
        let mut each = |point: &Point, body: &str| {
            let goes_on = each(point.link.seq, body);
            stopped |= !goes_on;
            goes_on
        };
        let next = verify::follow_rows(self.sound()?, &self.keys, &self.vault_id, at, limit, &mut each)?;
        match next == at && at.link.seq < self.tail.link.seq && limit > 0 && !stopped {
            true => Err(IntegrityError::Audit { seq: at.link.seq + 1 }.into()),
            false => Ok(next),
        }
    }

    fn sound(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or_else(not_open)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to tell; what could not be folded in is in the log.
        let _ = self.close();
    }
}

fn not_open() -> StoreError {
    IntegrityError::Corrupt("it is not open").into()
}

fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Put(table, row) => record::put(connection, *table, row),
        Change::Delete(table, id) => record::delete(connection, *table, id),
        Change::PutSlot(slot) => record::put_slot(connection, slot),
        Change::DeleteSlot(slot_id) => record::delete_slot(connection, *slot_id),
        Change::Prune(point) => {
            connection.execute("DELETE FROM audit WHERE seq <= ?1", [point.link.seq as i64]).map(|_| ())
        }
        Change::AcceptClock(_) | Change::Checkpoint(_) => Ok(()),
    }
}

#[cfg(test)]
impl Writer {
    /// Makes the next write fail. The connection is closed by that, so the one after it succeeds.
    pub(crate) fn refuse_writes(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        Ok(self.sound()?.pragma_update(None, "query_only", true)?)
    }

    /// Makes the next commit say that it failed after it is in the log: nobody can tell that from one that did fail.
    pub(crate) fn mishear_commits(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        let unheard = move |_: &mut rusqlite::hooks::Wal, _| Err(rusqlite::Error::SqliteFailure(error, None));
        Ok(self.connection.as_mut().ok_or_else(not_open)?.wal_hook(Some(unheard))?)
    }

    /// Makes the next write that needs another page fail, as a full disk does.
    pub(crate) fn allow_no_more_pages(&self) -> Result<(), StoreError> {
        let connection = self.sound()?;
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
    }

    /// Makes the next commit fail with all of it written and nothing of it durable.
    pub(crate) fn fail_before_commit(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        Ok(self.connection.as_mut().ok_or_else(not_open)?.commit_hook(Some(|| true))?)
    }

    /// Runs any statement, as one who writes to the file would.
    pub(crate) fn run(&self, statement: &str) -> Result<(), StoreError> {
        Ok(self.sound()?.execute_batch(statement)?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
