//! One SQLite file, opened the strict way: no extension, no schema tricks, no second process, deleted data overwritten.
//! See <https://www.sqlite.org/security.html>.

use crate::crypto::mac;
use crate::store::{Durability, IntegrityError, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// `SGNV`: the SQLite application id of a vault.
const APPLICATION_ID: i32 = 0x5347_4e56;

/// The migrations, in order. The database's `user_version` is how many have run.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_vault.sql")];

/// Makes a new database with the present schema.
///
/// # Errors
/// SQLite's refusal.
pub fn create(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_strict(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    believe(&connection)?;
    migrate(&connection)?;
    Ok(connection)
}

/// Opens a vault's database and checks that it is one, whole, and of the present schema. A database that is refused
/// later stays as it was: a write-ahead log that a crash left is not folded in until [`believe`] is called.
///
/// # Errors
/// [`IntegrityError::Corrupt`] or [`IntegrityError::Schema`]; SQLite's refusal otherwise.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_for_slots(path)?;
    check_pages(&connection)?;
    compare_schema(&connection)?;
    Ok(connection)
}

/// Opens a vault's database only to read its slots: what they say is checked by the key that they give.
///
/// # Errors
/// As [`open`], but the pages and the schema are not looked at.
pub fn open_for_slots(path: &Path) -> Result<Connection, StoreError> {
    let left_behind = std::fs::metadata(path.with_extension("db-wal")).is_ok_and(|log| log.len() > 0);
    let connection = open_strict(path, OpenFlags::empty())?;
    // A log that a crash left behind is not folded in before the database is known to be the vault's.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_behind)?;
    check_version(&connection)?;
    Ok(connection)
}

/// Lets a database that was verified write ahead into its log, and fold the log in when it closes. Said of none that is
/// not known to be the vault's, because it may write: a restored database, or an empty file in the vault's place, has
/// another journal mode.
///
/// # Errors
/// SQLite's refusal.
pub fn believe(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(|_| ())
}

/// Which commits are synced to the disk.
///
/// # Errors
/// SQLite's refusal.
pub fn synchronous(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let level = match durability {
        Durability::Full => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", level)
}

/// SHA-256 over every object of the schema: its type, name, table and text.
///
/// # Errors
/// SQLite's refusal.
pub fn schema_hash(connection: &Connection) -> rusqlite::Result<[u8; 32]> {
    let encoded: Vec<Vec<u8>> = schema(connection)?.iter().map(|object| enc_texts(object)).collect();
    let parts: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
    Ok(mac::sha256(&parts))
}

fn open_strict(path: &Path, more: OpenFlags) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags | more)?;
    // A vault that was locked a moment ago may still be closing its connection.
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "secure_delete", true)?;
    // Checkpoints are made between requests, not by whichever request fills the log.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    synchronous(&connection, Durability::Full)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    for (done, migration) in MIGRATIONS.iter().enumerate() {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {migration} PRAGMA user_version = {}; COMMIT;", done + 1))?;
    }
    Ok(())
}

fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(IntegrityError::Schema("it is not a signvault database".to_owned()).into());
    }
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != MIGRATIONS.len() as i64 {
        let told = format!("its version is {version}, this program's is {}", MIGRATIONS.len());
        return Err(IntegrityError::Schema(told).into());
    }
    Ok(())
}

fn check_pages(connection: &Connection) -> Result<(), StoreError> {
    let whole: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if whole != "ok" {
        return Err(IntegrityError::Corrupt("SQLite's integrity check failed").into());
    }
    Ok(())
}

/// The schema must be exactly what the migrations make: a trigger that was added could undo what a statement does.
fn compare_schema(connection: &Connection) -> Result<(), StoreError> {
    let fresh = Connection::open_in_memory()?;
    migrate(&fresh)?;
    let expected = schema(&fresh)?;
    let found = schema(connection)?;
    let odd = found.iter().find(|object| !expected.contains(object));
    let missing = expected.iter().find(|object| !found.contains(object));
    match odd.or(missing) {
        None => Ok(()),
        Some([kind, name, ..]) => {
            let known = expected.iter().any(|object| object[1] == *name);
            let which = if known { format!("the {kind} `{name}`") } else { format!("a foreign {kind}") };
            Err(IntegrityError::Schema(format!("{which} is not as it was made")).into())
        }
    }
}

fn schema(connection: &Connection) -> rusqlite::Result<Vec<[String; 4]>> {
    let text = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name";
    let mut statement = connection.prepare(text)?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
    rows.collect()
}

fn enc_texts(texts: &[String]) -> Vec<u8> {
    let items: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    mac::enc(&items)
}
