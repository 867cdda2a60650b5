//! One SQLite file, opened the strict way: no extension, no schema tricks, no second process, deleted data overwritten.
//! See <https://www.sqlite.org/security.html>.

use crate::crypto::mac;
use crate::store::{Durability, IntegrityError, StoreError, file};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, ffi};
use rustix::fs::Access;
use std::path::Path;
use std::time::Duration;

/// `SGNV`: the SQLite application id of a vault.
const APPLICATION_ID: i32 = 0x5347_4e56;

/// Every SQLite file begins with so many bytes about itself.
const HEADER_BYTES: u64 = 100;

/// The migrations, in order. The database's `user_version` is how many have run.
///
/// A database of an older version is read and verified before it is migrated, by the statements of this version: a
/// migration may add tables and columns, and what reads the old ones must not ask for the new.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_vault.sql")];

/// A file smaller than this is checked page by page whenever it is opened.
const WHOLE_CHECK_BYTES: i64 = 64 * 1024 * 1024;

/// Makes a new database with the present schema.
///
/// # Errors
/// SQLite's refusal.
pub fn create(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_strict(path, OpenFlags::SQLITE_OPEN_CREATE, false)?;
    believe(&connection)?;
    make_schema(&connection, newest())?;
    Ok(connection)
}

/// Folds the log into the database: `PASSIVE` as far as it goes, `TRUNCATE` all of it, and then the log is cut.
///
/// # Errors
/// SQLite's refusal.
pub fn fold(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}

/// Folds the log in and closes, so that one file is left.
///
/// # Errors
/// SQLite's refusal; it is closed all the same.
pub fn fold_and_close(connection: Connection) -> Result<(), StoreError> {
    fold(&connection, "TRUNCATE")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.close().map_err(|(_, error)| StoreError::from(error))
}

/// The version of the schema that this program writes.
pub fn newest() -> u32 {
    u32::try_from(migrations().len()).expect("there are few migrations")
}

/// The version of a database's schema.
///
/// # Errors
/// SQLite's refusal.
pub fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Runs the migrations that a database of version `from` lacks, inside the caller's transaction, and checks that they
/// made this version's schema.
///
/// # Errors
/// SQLite's refusal.
pub fn migrate(transaction: &Transaction<'_>, from: u32) -> Result<(), StoreError> {
    for migration in &migrations()[from as usize..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", newest())?;
    compare_schema(transaction)
}

/// Opens a vault's database and checks that it is one, whole, and of a schema that a version up to this one made. A
/// database that is refused later stays as it was: a write-ahead log that a crash left is not folded in until [`believe`]
/// is called.
///
/// # Errors
/// [`IntegrityError::Corrupt`] or [`IntegrityError::Schema`]; SQLite's refusal otherwise.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_for_slots(path)?;
    check_pages(&connection)?;
    Ok(connection)
}

/// Like [`open`], beside a connection that may have the log of that name open: whatever comes of it, the log stays.
///
/// # Errors
/// As [`open`].
pub fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_checked(path, true)?;
    check_pages(&connection)?;
    Ok(connection)
}

/// Opens a vault's database only to read its slots: what they say is checked by the key that they give.
///
/// # Errors
/// As [`open`], but the pages are not looked at.
pub fn open_for_slots(path: &Path) -> Result<Connection, StoreError> {
    // A log that a crash left behind is not folded in before the database is known to be the vault's.
    open_checked(path, file::is_taken(&path.with_extension("db-wal")))
}

fn open_checked(path: &Path, keeps_log: bool) -> Result<Connection, StoreError> {
    // To SQLite a file without a header is an empty database, and it would delete the log beside one.
    if std::fs::metadata(path).is_ok_and(|about| about.len() < HEADER_BYTES) {
        return Err(IntegrityError::Corrupt("it is not a whole SQLite file").into());
    }
    // A vault's database writes ahead and never has a rollback journal. One that was planted would be played back by
    // the first look at the database.
    if file::is_taken(&path.with_extension("db-journal")) {
        return Err(IntegrityError::Corrupt("a rollback journal lies beside it").into());
    }
    let connection = open_strict(path, OpenFlags::empty(), keeps_log).map_err(unreadable)?;
    check_version(&connection).and_then(|()| compare_schema(&connection)).map_err(unreadable)?;
    check_writable(&connection, path)?;
    Ok(connection)
}

/// A database may say of itself that it is not to be written. A disk that says so is another matter, and heals.
fn check_writable(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match connection.is_readonly("main")? && rustix::fs::access(path, Access::WRITE_OK).is_ok() {
        false => Ok(()),
        true => Err(IntegrityError::Corrupt("it says that it can't be written").into()),
    }
}

/// A statement that fails for no reason of the disk's fails because of what the schema says.
fn unreadable(error: StoreError) -> StoreError {
    match error {
        StoreError::Database(inner) if inner.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            IntegrityError::Schema("it can't be read".to_owned()).into()
        }
        other => other,
    }
}

/// Lets a database that was verified write ahead into its log. Said of none that is not known to be the vault's, because
/// it may write: a restored database, or an empty file in the vault's place, has another journal mode.
///
/// The log is folded in when somebody says so ([`fold_and_close`]), never by a connection that is dropped: after a
/// failure nobody knows what of the log is on the disk, and folding it in then could tear the database.
///
/// # Errors
/// SQLite's refusal.
pub fn believe(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
}

/// Makes the copy of a database one file, which wants no log beside it.
///
/// # Errors
/// SQLite's refusal.
pub fn as_one_file(path: &Path) -> Result<(), StoreError> {
    let connection = open_strict(path, OpenFlags::empty(), false)?;
    Ok(connection.pragma_update(None, "journal_mode", "DELETE")?)
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

fn open_strict(path: &Path, more: OpenFlags, keeps_log: bool) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags | more)?;
    // Said first of all, because what follows looks at the file, and may fail.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
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

#[cfg(not(test))]
fn migrations() -> Vec<&'static str> {
    MIGRATIONS.to_vec()
}

fn make_schema(connection: &Connection, version: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let migrations = migrations()[..version as usize].concat();
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {migrations} PRAGMA user_version = {version}; COMMIT;"))
}

fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(IntegrityError::Schema("it is not a signvault database".to_owned()).into());
    }
    let (found, known): (i64, u32) = (connection.pragma_query_value(None, "user_version", |row| row.get(0))?, newest());
    match found {
        _ if found > i64::from(known) => Err(IntegrityError::Newer { found, known }.into()),
        1.. => Ok(()),
        _ => Err(IntegrityError::Schema("it has no version".to_owned()).into()),
    }
}

/// Every page of a small file. Of a large one nearly all pages are the ledger's: it is read row by row and chained, so
/// that its pages are checked by what is in them, and an unlock need not read all of it.
fn check_pages(connection: &Connection) -> Result<(), StoreError> {
    let size = |name| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let is_small = size("page_count")?.saturating_mul(size("page_size")?) < WHOLE_CHECK_BYTES;
    let checked: &[&str] =
        if is_small { &["1"] } else { &["slot", "credential", "bot", "policy", "setting", "state", "sqlite_schema"] };
    for what in checked {
        let told: String = connection.query_row(&format!("PRAGMA integrity_check({what})"), [], |row| row.get(0))?;
        match refused_by_the_disk(&told) {
            _ if told == "ok" => (),
            Some(refusal) => return Err(refusal.into()),
            None => return Err(IntegrityError::Corrupt("SQLite's integrity check failed").into()),
        }
    }
    Ok(())
}

/// The check goes on over a page that could not be read and tells of it as `... error code=266`. Nobody has changed
/// anything then: the disk refused, and may not the next time.
fn refused_by_the_disk(told: &str) -> Option<rusqlite::Error> {
    let code = told.rsplit_once("error code")?.1.trim_matches(['=', ' ']).parse().ok()?;
    let refusal = ffi::Error::new(code);
    let is_refusal = matches!(refusal.code, ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory);
    is_refusal.then_some(rusqlite::Error::SqliteFailure(refusal, None))
}

/// The schema must be exactly what the migrations up to its version make: a trigger that was added could undo what a statement does.
fn compare_schema(connection: &Connection) -> Result<(), StoreError> {
    let fresh = Connection::open_in_memory()?;
    make_schema(&fresh, version(connection)?)?;
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

#[cfg(test)]
fn migrations() -> Vec<&'static str> {
    MIGRATIONS.iter().copied().chain(next::migration()).collect()
}

/// A migration that this version does not have yet, for the tests of the machinery.
#[cfg(test)]
pub(crate) mod next {
    use std::cell::Cell;

    thread_local! {
        static NEXT: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Lets this thread be a program with one migration more.
    pub(crate) fn have(migration: &'static str) {
        NEXT.set(Some(migration));
    }

    /// Lets this thread be this program again.
    pub(crate) fn have_none() {
        NEXT.set(None);
    }

    pub(super) fn migration() -> Option<&'static str> {
        NEXT.get()
    }
}
