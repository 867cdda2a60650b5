//! The one writer of an unlocked vault's database: a transaction at a time, and what must be true between them.
//!
//! After any failure nothing in memory is believed: the connection is closed and opened again, and the tables must
//! match the authenticated state row and the chain must go on from the last durable row, before anything is written.

use crate::audit::chain::Link;
use crate::crypto::keys::LedgerKeys;
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::Paths;
use crate::store::ledger::{Batch, Change, StoredRow};
use crate::store::record::{self, RecordRow, SlotRow, Table};
use crate::store::state::{self, Index, State};
use crate::store::{Durability, IntegrityError, StoreError, connection, file};
use crate::types::id::Id;
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;

/// The anchor is written at least every so many rows.
const ROWS_PER_ANCHOR: u64 = 256;
/// Rows read or checked while the writer is held.
const PAGE: u32 = 1000;
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
        let records = read_records(&connection)?;
        let index = index_of(&records);
        compare(&connection, &state, &index)?;
        let tail = verify_chain(&connection, &keys, &state, each_row)?;
        let (anchor, anchored, rolled_back) = open_anchor(paths, &connection, &keys, &state, tail, rollback)?;
        connection::believe(&connection)?;
        let paths = paths.clone();
        let connection = Some(connection);
        let mut writer = Writer { connection, paths, keys, vault_id, durability, index, state, tail, anchor, anchored };
        writer.write_anchor()?;
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
    /// Nothing was written, or nobody can tell: then the connection is opened anew before the next write.
    pub(crate) fn commit(&mut self, batches: &[Batch]) -> Result<u64, StoreError> {
        let first = self.tail.seq + 1;
        let written = self.recover().and_then(|()| self.write(batches));
        if written.is_err() {
            self.connection = None;
        }
        written.map(|()| first)
    }

    fn write(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let rows: u64 = batches.iter().map(|batch| batch.entries.len() as u64).sum();
        let changes = batches.iter().any(|batch| !batch.changes.is_empty());
        let anchors = changes || self.tail.seq + rows >= self.anchored.audit.seq + ROWS_PER_ANCHOR;
        let connection = self.connection.as_mut().ok_or(IntegrityError::Corrupt("it is not open"))?;
        connection::synchronous(connection, if anchors { Durability::Full } else { self.durability })?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tail = self.tail;
        for body in batches.iter().flat_map(|batch| &batch.entries).map(|entry| entry.body.as_str()) {
            tail = tail.next(self.keys.audit.expose(), &self.vault_id, body);
            let mut insert = transaction.prepare_cached("INSERT INTO audit (seq, head, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![tail.seq as i64, tail.head, body])?;
        }
        let state = match changes {
            false => None,
            true => Some(write_changes(&transaction, &self.keys, &self.state, &mut self.index, tail, batches)?),
        };
        transaction.commit()?;
        self.tail = tail;
        self.state = state.unwrap_or_else(|| self.state.clone());
        if anchors {
            self.try_anchor();
        }
        Ok(())
    }

    /// Makes a closed connection sound again. Refuses to go on beside a database that is not the one left.
    fn recover(&mut self) -> Result<(), StoreError> {
        if self.connection.is_some() && self.anchor_is_near() {
            return Ok(());
        }
        if self.connection.is_none() {
            let connection = connection::open(&self.paths.database())?;
            let state = state::read(&connection, self.keys.state.expose(), &self.vault_id)?;
            let index = index_of(&read_records(&connection)?);
            compare(&connection, &state, &index)?;
            let tail = verify_chain_from(&connection, &self.keys, &self.vault_id, self.tail)?;
            if state.state_version < self.state.state_version {
                return Err(IntegrityError::Manifest("an older database under a running vault").into());
            }
            connection::believe(&connection)?;
            (self.index, self.state, self.tail) = (index, state, tail);
            self.connection = Some(connection);
            tracing::warn!("the database was opened again after a failure");
        }
        self.write_anchor()
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
        let behind = self.tail != self.anchored.audit;
        let wal_bytes = std::fs::metadata(self.paths.database().with_extension("db-wal")).map_or(0, |wal| wal.len());
        let Some(connection) = &self.connection else { return Ok(()) };
        let mode = match wal_bytes {
            _ if wal_bytes > WAL_LIMIT_BYTES => "TRUNCATE",
            _ if wal_bytes > WAL_CHECKPOINT_BYTES || (behind && self.durability == Durability::Process) => "PASSIVE",
            _ => "",
        };
        if !mode.is_empty() {
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
        read_rows(self.sound()?, after, limit)
    }

    /// Checks one page of rows after a point and returns the point after them; the same point when there are none.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`].
    pub fn verify_page(&mut self, at: Link, each: &mut dyn FnMut(u64, &str)) -> Result<Link, StoreError> {
        self.recover()?;
        let next = verify_page(self.sound()?, &self.keys, &self.vault_id, at, each)?;
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
        self.connection.as_ref().ok_or(IntegrityError::Corrupt("it is not open").into())
    }
}

fn read_records(connection: &Connection) -> Result<Vec<(Table, RecordRow)>, StoreError> {
    let mut records = Vec::new();
    for table in Table::ALL {
        records.extend(record::read_all(connection, table)?.into_iter().map(|row| (table, row)));
    }
    Ok(records)
}

fn index_of(records: &[(Table, RecordRow)]) -> Index {
    let mut index = Index::default();
    for (table, row) in records {
        index.put(*table, row.id, row.version, row.sealed.commitment);
    }
    index
}

fn compare(connection: &Connection, state: &State, index: &Index) -> Result<(), StoreError> {
    record::check_slot_numbers(connection)?;
    let slots = state::slots_hash(&record::read_slots(connection)?);
    Ok(state.compare(index, slots, connection::schema_hash(connection)?)?)
}

/// Applies every batch's changes to the tables and the index, and writes the state row that tells of them. When the
/// transaction fails afterwards the index is wrong, and is read anew with the rest.
fn write_changes(
    connection: &Connection,
    keys: &LedgerKeys,
    before: &State,
    index: &mut Index,
    tail: Link,
    batches: &[Batch],
) -> Result<State, StoreError> {
    for change in batches.iter().flat_map(|batch| &batch.changes) {
        match change {
            Change::Put(table, row) => {
                record::put(connection, *table, row)?;
                index.put(*table, row.id, row.version, row.sealed.commitment);
            }
            Change::Delete(table, id) => {
                record::delete(connection, *table, id)?;
                index.delete(*table, id);
            }
            Change::PutSlot(slot) => record::put_slot(connection, slot)?,
            Change::DeleteSlot(slot_id) => record::delete_slot(connection, *slot_id)?,
        }
    }
    let slots = state::slots_hash(&record::read_slots(connection)?);
    let wall = batches.iter().map(|batch| batch.now).max().unwrap_or(before.wall_high);
    let state = before.after(index, slots, tail, wall);
    state::write(connection, keys.state.expose(), &state)?;
    Ok(state)
}

/// The whole chain, from the first kept row, before which there is none; the state row's own point must lie on it.
fn verify_chain(
    connection: &Connection,
    keys: &LedgerKeys,
    state: &State,
    each_row: &mut dyn FnMut(u64, &str),
) -> Result<Link, StoreError> {
    let mut at = state.first_kept;
    let mut on_chain = at == state.audit;
    let mut note = |seq: u64, head: &[u8; 32]| on_chain |= seq == state.audit.seq && *head == state.audit.head;
    loop {
        let next = verify_page_noting(connection, keys, &state.vault_id, at, each_row, &mut note)?;
        if next == at {
            break;
        }
        at = next;
    }
    let before = "SELECT EXISTS (SELECT 1 FROM audit WHERE seq <= ?1)";
    if connection.query_row(before, [state.first_kept.seq as i64], |row| row.get(0))? {
        return Err(IntegrityError::Audit { seq: state.first_kept.seq }.into());
    }
    match on_chain {
        true => Ok(at),
        false => Err(IntegrityError::Audit { seq: at.seq.min(state.audit.seq) + 1 }.into()),
    }
}

/// The chain after a point that is known to be durable: that row must still be there.
fn verify_chain_from(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    known: Link,
) -> Result<Link, StoreError> {
    let head: Option<Vec<u8>> = match known.seq {
        0 => Some(known.head.to_vec()),
        seq => connection.query_row("SELECT head FROM audit WHERE seq = ?1", [seq as i64], |row| row.get(0)).ok(),
    };
    if head.as_deref() != Some(&known.head[..]) {
        return Err(IntegrityError::Audit { seq: known.seq }.into());
    }
    let mut at = known;
    loop {
        let next = verify_page(connection, keys, vault_id, at, &mut |_, _| ())?;
        if next == at {
            return Ok(at);
        }
        at = next;
    }
}

fn verify_page(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    at: Link,
    each_row: &mut dyn FnMut(u64, &str),
) -> Result<Link, StoreError> {
    verify_page_noting(connection, keys, vault_id, at, each_row, &mut |_, _| ())
}

fn verify_page_noting(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    mut at: Link,
    each_row: &mut dyn FnMut(u64, &str),
    note: &mut dyn FnMut(u64, &[u8; 32]),
) -> Result<Link, StoreError> {
    for row in read_rows(connection, at.seq, PAGE)? {
        let next = at.follow(keys.audit.expose(), vault_id, row.seq, &row.head, &row.body);
        at = next.ok_or(IntegrityError::Audit { seq: at.seq + 1 })?;
        each_row(row.seq, &row.body);
        note(at.seq, &at.head);
    }
    Ok(at)
}

fn read_rows(connection: &Connection, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
    let text = "SELECT seq, head, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(text)?;
    let rows = statement.query_map(params![after as i64, limit], |row| {
        Ok(StoredRow { seq: row.get::<_, i64>(0)? as u64, head: row.get(1)?, body: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Opens the anchor and compares: a database ahead of it is what a crash leaves, one behind it is an older copy.
fn open_anchor(
    paths: &Paths,
    connection: &Connection,
    keys: &LedgerKeys,
    state: &State,
    tail: Link,
    rollback: Rollback,
) -> Result<(Anchor, Mark, bool), StoreError> {
    let path = paths.anchor();
    let found = Anchor::open(&path, keys.anchor.expose(), &state.vault_id).and_then(|(anchor, mark)| {
        match behind(connection, state, tail, mark)? {
            None => Ok((anchor, mark, false)),
            Some(refusal) => Err(refusal.into()),
        }
    });
    match (found, rollback) {
        (Err(StoreError::Integrity(IntegrityError::Anchor(_) | IntegrityError::Rollback { .. })), Rollback::Accept) => {
            file::private_dir(&paths.anchor_dir)?;
            let mark = Mark { state_version: state.state_version, audit: tail };
            Ok((Anchor::create(&path, keys.anchor.expose(), &state.vault_id, mark)?, mark, true))
        }
        (found, _) => found,
    }
}

fn behind(
    connection: &Connection,
    state: &State,
    tail: Link,
    mark: Mark,
) -> Result<Option<IntegrityError>, StoreError> {
    let rollback = IntegrityError::Rollback {
        database: state.state_version,
        database_row: tail.seq,
        anchor: mark.state_version,
        anchor_row: mark.audit.seq,
    };
    if state.state_version < mark.state_version || tail.seq < mark.audit.seq {
        return Ok(Some(rollback));
    }
    if mark.audit.seq <= state.first_kept.seq {
        return Ok(None);
    }
    let head: Vec<u8> =
        connection.query_row("SELECT head FROM audit WHERE seq = ?1", [mark.audit.seq as i64], |row| row.get(0))?;
    Ok((head != mark.audit.head).then_some(rollback))
}
