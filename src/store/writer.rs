//! The one writer of an unlocked vault's database: a transaction at a time, and what must be true between them.
//!
//! After any failure the file is not believed: the connection is closed and opened again, and before anything is written
//! the tables must match the authenticated state row and the chain must go on from the last row that was acknowledged.
//! What reached the disk beyond that row is taken back, because its callers were told that it did not.

use crate::audit::chain::Link;
use crate::crypto::keys::LedgerKeys;
use crate::crypto::slot::{Slot, SlotHeader};
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::Paths;
use crate::store::ledger::{Batch, Change, StoredRow};
use crate::store::record::{self, RecordRow, SlotRow, Table};
use crate::store::state::{self, Index, State};
use crate::store::{Durability, IntegrityError, StoreError, connection, file, verify};
use crate::types::id::Id;
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;

/// The anchor is written at least every so many rows.
const ROWS_PER_ANCHOR: u64 = 256;
/// A write-ahead log larger than this is cut after a checkpoint.
const WAL_LIMIT_BYTES: u64 = 32 * 1024 * 1024;
/// A write-ahead log smaller than this is left alone.
const WAL_CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// An open database with everything that was verified about it.
pub struct Writer {
    connection: Option<Connection>,
    paths: Paths,
    keys: Arc<LedgerKeys>,
    vault_id: Id,
    durability: Durability,
    index: Index,
    state: State,
    tail: Link,
    anchor: Anchor,
    anchored: Mark,
    /// What the last transaction that wrote changes replaced, for as long as it may have to be taken back.
    replaced: Vec<Change>,
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

/// A database that was opened and verified.
pub struct Opened {
    /// Its writer.
    pub writer: Writer,
    /// Every record, still sealed.
    pub records: Vec<(Table, RecordRow)>,
    /// Whether an older database than the anchor's was accepted.
    pub rolled_back: bool,
}

impl Writer {
    /// Opens a vault's database and verifies all of it that can be verified without opening a record: the file, the
    /// schema, the state row, the manifest, the ledger's chain, the anchor. `each_row` sees every ledger row.
    ///
    /// # Errors
    /// [`IntegrityError`] names what is wrong; nothing was changed.
    pub fn open(
        paths: &Paths,
        keys: Arc<LedgerKeys>,
        vault_id: Id,
        durability: Durability,
        rollback: Rollback,
        each_row: &mut dyn FnMut(u64, &str),
    ) -> Result<Opened, StoreError> {
        let connection = connection::open(&paths.database())?;
        let state = state::read(&connection, keys.state.expose(), &vault_id)?;
        let records = verify::read_records(&connection)?;
        let index = verify::index_of(&records);
        verify::compare(&connection, &state, &index)?;
        let tail = verify::verify_chain(&connection, &keys, &state, each_row)?;
        let (anchor, anchored, rolled_back) = verify::open_anchor(paths, &connection, &keys, &state, tail, rollback)?;
        connection::believe(&connection)?;
        let writer = Writer {
            connection: Some(connection),
            paths: paths.clone(),
            keys,
            vault_id,
            durability,
            index,
            state,
            tail,
            anchor,
            anchored,
            replaced: Vec::new(),
        };
        Ok(Opened { writer, records, rolled_back })
    }

    /// The state row as last written.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last durable row.
    pub fn tail(&self) -> Link {
        self.tail
    }

    /// Whether the connection is open: it is closed after a failure and opened again by the next write.
    pub fn is_sound(&self) -> bool {
        self.connection.is_some()
    }

    /// Writes every batch in one transaction and says the sequence number of its first row.
    ///
    /// # Errors
    /// Nothing of it holds. The connection is closed, because nobody can tell what reached the disk; the next use opens
    /// it anew and takes back what did.
    pub(crate) fn commit(&mut self, batches: &[Batch]) -> Result<u64, StoreError> {
        self.recover()?;
        let first = self.tail.seq + 1;
        if batches.iter().all(Batch::is_empty) {
            return Ok(first);
        }
        self.write(batches).map(|()| first)
    }

    fn write(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let rows: u64 = batches.iter().map(|batch| batch.entries.len() as u64).sum();
        let changes = batches.iter().any(|batch| !batch.changes.is_empty());
        let anchors = changes || self.tail.seq + rows >= self.anchored.audit.seq + ROWS_PER_ANCHOR;
        // Out of its place until the commit: whatever goes wrong, a panic too, leaves the connection closed.
        let mut connection = self.connection.take().ok_or_else(not_open)?;
        connection::synchronous(&connection, if anchors { Durability::Full } else { self.durability })?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tail = self.tail;
        for body in batches.iter().flat_map(|batch| &batch.entries).map(|entry| entry.body.as_str()) {
            tail = tail.next(self.keys.audit.expose(), &self.vault_id, body);
            let mut insert = transaction.prepare_cached("INSERT INTO audit (seq, head, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![tail.seq as i64, tail.head, body])?;
        }
        let state = match changes {
            false => None,
            true => Some(self.write_changes(&transaction, tail, batches)?),
        };
        transaction.commit()?;
        self.connection = Some(connection);
        self.replaced.clear();
        self.tail = tail;
        self.state = state.unwrap_or_else(|| self.state.clone());
        if anchors {
            self.try_anchor();
        }
        Ok(())
    }

    /// Applies every batch's changes to the tables and the index, and writes the state row that tells of them. When the
    /// transaction fails afterwards the index is wrong, and is read anew with the rest.
    fn write_changes(&mut self, transaction: &Connection, tail: Link, batches: &[Batch]) -> Result<State, StoreError> {
        let changes: Vec<&Change> = batches.iter().flat_map(|batch| &batch.changes).collect();
        self.replaced = replaced_by(transaction, &changes)?;
        for change in &changes {
            apply(transaction, change)?;
            match change {
                Change::Put(table, row) => self.index.put(*table, row.id, row.version, row.sealed.commitment),
                Change::Delete(table, id) => self.index.delete(*table, id),
                Change::PutSlot(_) | Change::DeleteSlot(_) | Change::AcceptClock(_) => (),
            }
        }
        let slots = state::slots_hash(&record::read_slots(transaction)?);
        let wall = batches.iter().map(|batch| batch.wall).max().unwrap_or(self.state.wall_high);
        let mut state = self.state.after(&self.index, slots, tail, wall);
        for change in &changes {
            if let Change::AcceptClock(now) = change {
                state.wall_high = *now;
            }
        }
        state::write(transaction, self.keys.state.expose(), &state)?;
        Ok(state)
    }

    /// Makes a closed connection sound again. Refuses to go on beside a database that is not the one left.
    fn recover(&mut self) -> Result<(), StoreError> {
        if self.connection.is_none() {
            self.reopen()?;
            tracing::warn!("the database was opened again after a failure");
        }
        if self.anchor_is_near() {
            return Ok(());
        }
        let anchored = self.write_anchor();
        if anchored.is_err() {
            self.connection = None;
        }
        anchored
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let mut connection = connection::open(&self.paths.database())?;
        let state = state::read(&connection, self.keys.state.expose(), &self.vault_id)?;
        verify::compare(&connection, &state, &verify::index_of(&verify::read_records(&connection)?))?;
        let tail = verify::verify_chain_from(&connection, &self.keys, &self.vault_id, self.tail)?;
        if state.state_version < self.state.state_version {
            return Err(IntegrityError::Manifest("an older database under a running vault").into());
        }
        connection::believe(&connection)?;
        if tail != self.tail || state != self.state {
            self.take_back(&mut connection)?;
        }
        self.index = verify::index_of(&verify::read_records(&connection)?);
        verify::compare(&connection, &self.state, &self.index)?;
        self.connection = Some(connection);
        self.replaced.clear();
        Ok(())
    }

    /// Undoes a transaction that reached the disk although its commit failed: everyone was told that nothing of it holds,
    /// and memory goes by that. No anchor has seen it.
    fn take_back(&self, connection: &mut Connection) -> Result<(), StoreError> {
        connection::synchronous(connection, Durability::Full)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in &self.replaced {
            apply(&transaction, change)?;
        }
        transaction.execute("DELETE FROM audit WHERE seq > ?1", [self.tail.seq as i64])?;
        state::write(&transaction, self.keys.state.expose(), &self.state)?;
        Ok(transaction.commit()?)
    }

    /// Whether the anchor is recent enough that more rows may be written before it is.
    fn anchor_is_near(&self) -> bool {
        self.anchored.state_version == self.state.state_version
            && self.tail.seq < self.anchored.audit.seq + 2 * ROWS_PER_ANCHOR
    }

    fn try_anchor(&mut self) {
        if let Err(error) = self.write_anchor() {
            tracing::error!(%error, "the anchor could not be written; nothing more is signed until it can");
        }
    }

    fn write_anchor(&mut self) -> Result<(), StoreError> {
        let mark = Mark { state_version: self.state.state_version, audit: self.tail };
        if mark == self.anchored {
            return Ok(());
        }
        let what = file::failed("the anchor could not be written");
        self.anchor.write(self.keys.anchor.expose(), &self.vault_id, mark).map_err(what)?;
        self.anchored = mark;
        Ok(())
    }

    /// Brings the anchor up to date and folds the write-ahead log in.
    ///
    /// # Errors
    /// The disk's refusal.
    pub fn tend(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        let behind = self.tail != self.anchored.audit;
        let wal_bytes = std::fs::metadata(self.paths.database().with_extension("db-wal")).map_or(0, |wal| wal.len());
        let mode = match wal_bytes {
            _ if wal_bytes > WAL_LIMIT_BYTES => "TRUNCATE",
            _ if wal_bytes > WAL_CHECKPOINT_BYTES || (behind && self.durability == Durability::Process) => "PASSIVE",
            _ => "",
        };
        if !mode.is_empty() {
            let connection = self.sound()?;
            // With FULL the log is synced before anything is folded in: a synced row precedes every anchor.
            connection::synchronous(connection, Durability::Full)?;
            connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
        }
        if behind { self.write_anchor() } else { Ok(()) }
    }

    /// The slots as they stand in the database.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn slots(&mut self) -> Result<Vec<SlotRow>, StoreError> {
        self.recover()?;
        record::read_slots(self.sound()?)
    }

    /// Durable rows after `after`, oldest first.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn rows(&mut self, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
        self.recover()?;
        verify::read_rows(self.sound()?, after, limit)
    }

    /// Checks one page of rows after a point and returns the point after them; the same point when there are none.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`].
    pub fn verify_page(&mut self, at: Link, each: &mut dyn FnMut(u64, &str)) -> Result<Link, StoreError> {
        self.recover()?;
        let next = verify::verify_page(self.sound()?, &self.keys, &self.vault_id, at, each)?;
        match next == at && at.seq < self.tail.seq {
            true => Err(IntegrityError::Audit { seq: at.seq + 1 }.into()),
            false => Ok(next),
        }
    }

    /// A consistent copy of the database as one file.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn snapshot(&mut self, to: &Path) -> Result<(), StoreError> {
        self.recover()?;
        let connection = self.sound()?;
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy().as_ref()])?;
        Ok(())
    }

    /// Folds the whole write-ahead log in and cuts it, so that no old page stays behind; free pages are overwritten as
    /// they are freed (`secure_delete`).
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn scrub(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        let connection = self.sound()?;
        connection::synchronous(connection, Durability::Full)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn sound(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or_else(not_open)
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
        Change::AcceptClock(_) => Ok(()),
    }
}

/// The changes that lead back to what stands in the tables now.
fn replaced_by(connection: &Connection, changes: &[&Change]) -> Result<Vec<Change>, StoreError> {
    let slots = record::read_slots(connection)?;
    let slots: Vec<Slot> =
        slots.iter().filter_map(|(header, c, wrapped)| Slot::parse(header, c, wrapped).ok()).collect();
    let record = |table: Table, id: Id| -> Result<Option<Change>, StoreError> {
        let known = record::read(connection, table, &id)?;
        Ok(Some(known.map_or(Change::Delete(table, id), |row| Change::Put(table, row))))
    };
    let slot = |slot_id: u32| {
        let known = slots.iter().find(|slot| slot.header.slot_id == slot_id).cloned();
        known.map_or(Change::DeleteSlot(slot_id), Change::PutSlot)
    };
    let back = changes.iter().map(|change| match change {
        Change::Put(table, row) => record(*table, row.id),
        Change::Delete(table, id) => record(*table, *id),
        Change::PutSlot(Slot { header: SlotHeader { slot_id, .. }, .. }) | Change::DeleteSlot(slot_id) => {
            Ok(Some(slot(*slot_id)))
        }
        Change::AcceptClock(_) => Ok(None),
    });
    back.filter_map(Result::transpose).collect()
}

#[cfg(test)]
impl Writer {
    /// Makes the next write fail. The connection is closed by that, so the one after it succeeds.
    pub(crate) fn refuse_writes(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        Ok(self.sound()?.pragma_update(None, "query_only", true)?)
    }

    /// Makes the next write that needs another page fail, as a full disk does.
    pub(crate) fn allow_no_more_pages(&self) -> Result<(), StoreError> {
        let connection = self.sound()?;
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
    }

    /// Runs any statement, as one who writes to the file would.
    pub(crate) fn run(&self, statement: &str) -> Result<(), StoreError> {
        Ok(self.sound()?.execute_batch(statement)?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
