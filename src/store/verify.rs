//! What must be true of a database before it is believed: its records against the state row, its ledger from row to row,
//! and both against the anchor. Nothing here changes the database.

use crate::audit::chain::{Link, Point};
use crate::crypto::keys::LedgerKeys;
use crate::crypto::mac::Keyed;
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::{self, Paths};
use crate::store::ledger::reading::StoredRow;
use crate::store::record::{self, RecordRow, Table};
use crate::store::state::{self, Index, State};
use crate::store::writer::Rollback;
use crate::store::{IntegrityError, StoreError, connection};
use crate::types::id::Id;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

mod ahead;

/// Rows read or checked in one go.
const PAGE: u32 = 1000;

/// Every record of every table, still sealed.
///
/// # Errors
/// SQLite's refusal, or a value that no column can hold.
pub fn read_records(connection: &Connection) -> Result<Vec<(Table, RecordRow)>, StoreError> {
    let mut records = Vec::new();
    for table in Table::ALL {
        records.extend(record::read_all(connection, table)?.into_iter().map(|row| (table, row)));
    }
    Ok(records)
}

/// What the state row's root covers, of records that were read.
pub fn index_of(records: &[(Table, RecordRow)]) -> Index {
    let mut index = Index::default();
    for (table, row) in records {
        index.put(*table, row.id, row.version, row.sealed.commitment);
    }
    index
}

/// Compares the tables with what the state row says of them.
///
/// # Errors
/// [`IntegrityError::Manifest`] names what differs.
pub fn compare(connection: &Connection, state: &State, index: &Index) -> Result<(), StoreError> {
    record::check_slot_numbers(connection)?;
    let slots = state::slots_hash(&record::read_slots(connection)?);
    Ok(state.compare(index, slots, connection::schema_hash(connection)?)?)
}

/// The chain after a point, which is before the first kept row or one that was signed. The points that the state row names
/// must lie on it, and before the first kept row there is none.
///
/// # Errors
/// [`IntegrityError::Audit`] names the first row that does not follow.
pub fn verify_chain(
    connection: &Connection,
    keys: &LedgerKeys,
    state: &State,
    start: Point,
    each_row: &mut dyn FnMut(u64, &str),
) -> Result<Point, StoreError> {
    let (mut on_chain, mut signed) = (start.link == state.audit, start == state.checkpoint);
    let mut each = |point: &Point, body: &str| {
        on_chain |= point.link == state.audit;
        signed |= *point == state.checkpoint;
        each_row(point.link.seq, body);
    };
    let at = ahead::follow_all(connection, keys, &state.vault_id, start, &mut each)?;
    let before = "SELECT EXISTS (SELECT 1 FROM audit WHERE seq <= ?1)";
    if connection.query_row(before, [state.first_kept.link.seq as i64], |row| row.get(0))? {
        return Err(IntegrityError::Audit { seq: state.first_kept.link.seq }.into());
    }
    let named = [(on_chain, state.audit.seq), (signed || state.checkpoint.link.seq == 0, state.checkpoint.link.seq)];
    match named.iter().find(|(found, _)| !found) {
        None => Ok(at),
        Some((_, seq)) => Err(IntegrityError::Audit { seq: at.link.seq.min(*seq) + 1 }.into()),
    }
}

/// The chain after a point that is known to be durable: that row must still be there.
///
/// # Errors
/// [`IntegrityError::Audit`] names the first row that does not follow.
pub fn verify_chain_from(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    known: Point,
) -> Result<Point, StoreError> {
    let Link { seq, head: expected } = known.link;
    let head: Option<Vec<u8>> = match seq {
        0 => Some(expected.to_vec()),
        seq => connection.query_row("SELECT head FROM audit WHERE seq = ?1", [seq as i64], |row| row.get(0)).ok(),
    };
    if head.as_deref() != Some(&expected[..]) {
        return Err(IntegrityError::Audit { seq }.into());
    }
    let mut at = known;
    loop {
        let next = follow_rows(connection, keys, vault_id, at, PAGE, &mut |_, _| true)?;
        if next == at {
            return Ok(at);
        }
        at = next;
    }
}

/// Follows up to `limit` rows after a point and returns the point after them; the same point when there are none. `each`
/// sees every row that follows with the point after it, and ends this before the row when it says no.
///
/// # Errors
/// [`IntegrityError::Audit`] names the first row that does not follow.
pub fn follow_rows(
    connection: &Connection,
    keys: &LedgerKeys,
    vault_id: &Id,
    mut at: Point,
    limit: u32,
    each: &mut dyn FnMut(&Point, &str) -> bool,
) -> Result<Point, StoreError> {
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query(params![at.link.seq as i64, limit])?;
    // Looked at where SQLite has them: an unlock goes through hundreds of thousands.
    while let Some(row) = rows.next()? {
        let due = at.link.seq + 1;
        let (seq, head, body) = (row.get::<_, i64>(0)? as u64, blob(row, 1)?, text(row, 2)?);
        // Made for each: the next row may be one that the disk keeps this waiting for.
        let next = at.follow(&Keyed::new(keys.audit_key(due)), vault_id, seq, head, body);
        let next = next.ok_or(IntegrityError::Audit { seq: due })?;
        if !each(&next, body) {
            break;
        }
        at = next;
    }
    Ok(at)
}

/// Rows after the first parameter, oldest first, at most so many as the second.
const ROWS: &str = "SELECT seq, head, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// A column as SQLite has it, refused as [`Row::get`] refuses what is none.
fn blob<'a>(row: &'a Row<'_>, at: usize) -> rusqlite::Result<&'a [u8]> {
    let value = row.get_ref(at)?;
    value.as_blob().map_err(|_| rusqlite::Error::InvalidColumnType(at, "head".to_owned(), value.data_type()))
}

/// As [`blob`], of a text in UTF-8.
fn text<'a>(row: &'a Row<'_>, at: usize) -> rusqlite::Result<&'a str> {
    match row.get_ref(at)? {
        ValueRef::Text(bytes) => str::from_utf8(bytes).map_err(|error| rusqlite::Error::Utf8Error(at, error)),
        other => Err(rusqlite::Error::InvalidColumnType(at, "body".to_owned(), other.data_type())),
    }
}

/// Rows after `after`, oldest first, at most `limit`.
///
/// # Errors
/// SQLite's refusal.
pub fn read_rows(connection: &Connection, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
    let mut statement = connection.prepare_cached(ROWS)?;
    let rows = statement.query_map(params![after as i64, limit], |row| {
        Ok(StoredRow { seq: row.get::<_, i64>(0)? as u64, head: row.get(1)?, body: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Opens the anchor and compares: a database ahead of it is what a crash leaves, one behind it is an older copy. The last
/// value is the refusal of an older copy that was accepted.
///
/// # Errors
/// [`IntegrityError::Anchor`] and [`IntegrityError::Rollback`].
pub fn open_anchor(
    paths: &Paths,
    connection: &Connection,
    keys: &LedgerKeys,
    state: &State,
    tail: Link,
    rollback: Rollback,
) -> Result<(Anchor, Mark, Option<IntegrityError>), StoreError> {
    let path = paths.anchor();
    let found = Anchor::open(&path, keys.anchor.expose(), &state.vault_id).and_then(|(anchor, mark)| {
        match behind(connection, state, tail, mark)? {
            None => Ok((anchor, mark, None)),
            Some(refusal) => Err(refusal.into()),
        }
    });
    match (found, rollback) {
        (
            Err(StoreError::Integrity(refusal @ (IntegrityError::Anchor(_) | IntegrityError::Rollback { .. }))),
            Rollback::Accept,
        ) => {
            file::private_dir(&paths.anchor_dir)?;
            let mark = Mark { state_version: state.state_version, audit: tail };
            Ok((Anchor::create(&path, keys.anchor.expose(), &state.vault_id, mark)?, mark, Some(refusal)))
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
    if mark.audit.seq <= state.first_kept.link.seq {
        return Ok(None);
    }
    let head: Vec<u8> =
        connection.query_row("SELECT head FROM audit WHERE seq = ?1", [mark.audit.seq as i64], |row| row.get(0))?;
    Ok((head != mark.audit.head).then_some(rollback))
}
