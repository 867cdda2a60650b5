//! The first content of a database: slots, one ledger row, the state row.

use crate::audit::chain::{Link, Point};
use crate::crypto::keys::LedgerKeys;
use crate::crypto::slot::Slot;
use crate::store::record::{self, RecordRow, Table, put_slot};
use crate::store::state::{self, State};
use crate::store::{StoreError, connection, file, verify};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use rusqlite::params;
use std::path::Path;

/// What a new database holds beside its first ledger row.
pub struct Content<'a> {
    /// The ways to unlock.
    pub slots: &'a [Slot],
    /// Records.
    pub records: &'a [(Table, RecordRow)],
}

/// Builds a whole database under a name that is not yet the vault's.
///
/// # Errors
/// The file system's or SQLite's refusal.
pub fn build(
    path: &Path,
    keys: &LedgerKeys,
    vault_id: Id,
    content: &Content<'_>,
    body: &str,
    tail: Link,
    now: UnixMs,
) -> Result<(), StoreError> {
    discard(path);
    file::create_new(path).map_err(file::failed(format!("cannot make {}", path.display())))?;
    let mut connection = connection::create(path)?;
    let transaction = connection.transaction()?;
    for slot in content.slots {
        put_slot(&transaction, slot)?;
    }
    for (table, row) in content.records {
        record::put(&transaction, *table, row)?;
    }
    transaction.execute(
        "INSERT INTO audit (seq, head, body) VALUES (?1, ?2, ?3)",
        params![tail.seq as i64, tail.head, body],
    )?;
    let before = State {
        vault_id,
        state_version: 0,
        epoch: 1,
        counts: [0; 4],
        root: [0; 32],
        slots: [0; 32],
        schema: connection::schema_hash(&transaction)?,
        audit: Link::START,
        first_kept: Point::START,
        checkpoint: Point::START,
        wall_high: now,
    };
    let rows: Vec<_> = content.slots.iter().map(state::slot_row).collect();
    let first = before.after(&verify::index_of(content.records), state::slots_hash(&rows), tail, now);
    state::write(&transaction, keys.state.expose(), &first)?;
    transaction.commit()?;
    // One file from here on: the log is folded in and goes when the connection closes.
    connection::fold_and_close(connection)?;
    file::sync_parent(path).map_err(file::failed("the state directory could not be synced"))
}

/// Takes away what an unfinished build left.
pub fn discard(path: &Path) {
    for suffix in ["", "-wal", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // Gone is what is wanted; what can't be removed shows when the file is made.
        let _ = std::fs::remove_file(name);
    }
}
