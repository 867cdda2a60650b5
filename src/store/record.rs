//! Sealed records and slots, row by row.

use crate::crypto::record::SealedRecord;
use crate::crypto::slot::{Slot, SlotHeader};
use crate::store::{IntegrityError, StoreError};
use crate::types::id::Id;
use rusqlite::{Connection, Row, params};

/// A table of sealed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Bots: name, token hash, policy, credentials.
    Bot,
    /// Credentials: card and secrets.
    Credential,
    /// Policies: name and text.
    Policy,
    /// Settings of the vault itself.
    Setting,
}

impl Table {
    /// Every table, in the order of their names, which is the order of the state row's root.
    pub const ALL: [Table; 4] = [Table::Bot, Table::Credential, Table::Policy, Table::Setting];

    /// The table's name, which its records' identity repeats.
    pub fn name(self) -> &'static str {
        match self {
            Table::Bot => "bot",
            Table::Credential => "credential",
            Table::Policy => "policy",
            Table::Setting => "setting",
        }
    }

    /// The kind in a record's identity.
    pub fn kind(self) -> u8 {
        match self {
            Table::Credential => 1,
            Table::Bot => 2,
            Table::Policy => 3,
            Table::Setting => 4,
        }
    }
}

/// A row of a record table.
#[derive(Clone, Debug)]
pub struct RecordRow {
    /// The record.
    pub id: Id,
    /// How often it was written, from 1.
    pub version: u64,
    /// The epoch of the vault key that sealed it.
    pub epoch: u32,
    /// The sealed content.
    pub sealed: SealedRecord,
}

/// Every row of a table, by id.
///
/// # Errors
/// SQLite's refusal; [`IntegrityError::Corrupt`] for a value of another length.
pub fn read_all(connection: &Connection, table: Table) -> Result<Vec<RecordRow>, StoreError> {
    let text = format!("SELECT id, version, epoch, salt, commitment, ciphertext FROM {} ORDER BY id", table.name());
    let mut statement = connection.prepare(&text)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row)?);
    }
    Ok(found)
}

/// The rows of a table that follow an id, by id, at most `limit`.
///
/// # Errors
/// As [`read_all`].
pub fn read_after(
    connection: &Connection,
    table: Table,
    after: Option<Id>,
    limit: u32,
) -> Result<Vec<RecordRow>, StoreError> {
    let text = format!(
        "SELECT id, version, epoch, salt, commitment, ciphertext FROM {} WHERE id > ?1 ORDER BY id LIMIT ?2",
        table.name()
    );
    let mut statement = connection.prepare_cached(&text)?;
    // An empty value sorts before every id.
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let mut rows = statement.query(params![after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row)?);
    }
    Ok(found)
}

/// One row of a table; `None` when there is none of that id.
///
/// # Errors
/// As [`read_all`].
pub fn read(connection: &Connection, table: Table, id: &Id) -> Result<Option<RecordRow>, StoreError> {
    let text = format!("SELECT id, version, epoch, salt, commitment, ciphertext FROM {} WHERE id = ?1", table.name());
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map(read_row).transpose()
}

fn read_row(row: &Row<'_>) -> Result<RecordRow, StoreError> {
    let version = u64::try_from(row.get::<_, i64>(1)?).map_err(|_| odd())?;
    let epoch = u32::try_from(row.get::<_, i64>(2)?).map_err(|_| odd())?;
    let sealed = SealedRecord { salt: fixed(row.get(3)?)?, commitment: fixed(row.get(4)?)?, ciphertext: row.get(5)? };
    Ok(RecordRow { id: Id(fixed(row.get(0)?)?), version, epoch, sealed })
}

/// Writes a record over its older version.
///
/// # Errors
/// SQLite's refusal.
pub fn put(connection: &Connection, table: Table, row: &RecordRow) -> rusqlite::Result<()> {
    let text = format!(
        "INSERT INTO {} (id, version, epoch, salt, commitment, ciphertext) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, epoch = excluded.epoch, salt = excluded.salt,
         commitment = excluded.commitment, ciphertext = excluded.ciphertext",
        table.name()
    );
    let sealed = &row.sealed;
    connection.prepare_cached(&text)?.execute(params![
        row.id.as_bytes(),
        row.version as i64,
        row.epoch,
        sealed.salt,
        sealed.commitment,
        sealed.ciphertext
    ])?;
    Ok(())
}

/// Takes a record out.
///
/// # Errors
/// SQLite's refusal.
pub fn delete(connection: &Connection, table: Table, id: &Id) -> rusqlite::Result<()> {
    let text = format!("DELETE FROM {} WHERE id = ?1", table.name());
    connection.prepare_cached(&text)?.execute(params![id.as_bytes()])?;
    Ok(())
}

/// The raw bytes of a slot's row: header, commitment, wrapped key. They are parsed, with their bounds, by
/// [`Slot::parse`].
pub type SlotRow = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Every slot's row, by number.
///
/// # Errors
/// SQLite's refusal.
pub fn read_slots(connection: &Connection) -> Result<Vec<SlotRow>, StoreError> {
    let mut statement = connection.prepare("SELECT header, commitment, wrapped FROM slot ORDER BY slot_id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Checks that every slot stands under its own number, by which it is replaced and removed.
///
/// # Errors
/// [`IntegrityError::Manifest`]; SQLite's refusal.
pub fn check_slot_numbers(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT slot_id, header FROM slot")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, header): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if !SlotHeader::parse(&header).is_ok_and(|header| i64::from(header.slot_id) == number) {
            return Err(IntegrityError::Manifest("a slot's number").into());
        }
    }
    Ok(())
}

/// Writes a slot over the one with its number.
///
/// # Errors
/// SQLite's refusal.
pub fn put_slot(connection: &Connection, slot: &Slot) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO slot (slot_id, header, commitment, wrapped) VALUES (?1, ?2, ?3, ?4)",
        params![slot.header.slot_id, slot.header.to_bytes(), slot.commitment, slot.wrapped],
    )?;
    Ok(())
}

/// Takes every record and every slot out. Their pages go back whole and are overwritten, which is more than a row that is
/// replaced can promise: when SQLite moves rows between pages, pieces of them may stay where they were.
///
/// # Errors
/// SQLite's refusal.
pub fn clear(connection: &Connection) -> rusqlite::Result<()> {
    for table in Table::ALL {
        connection.execute(&format!("DELETE FROM {}", table.name()), [])?;
    }
    connection.execute("DELETE FROM slot", [])?;
    Ok(())
}

/// Takes a slot out.
///
/// # Errors
/// SQLite's refusal.
pub fn delete_slot(connection: &Connection, slot_id: u32) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM slot WHERE slot_id = ?1", params![slot_id])?;
    Ok(())
}

fn fixed<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| odd())
}

fn odd() -> StoreError {
    IntegrityError::Corrupt("a value has another length than its column").into()
}
