//! From a backup to a vault, or only to the knowledge that it would become one.
//!
//! ```text
//! header ─▶ a slot opens ─▶ every chunk opens ─▶ is it older than the anchor? ─▶ the database, in a directory of its own
//!   ─▶ every record opens, the ledger follows ─▶ a row about it ─▶ the anchor ─▶ the vault's name
//! ```
//! Nothing is written before every chunk has opened, and a vault is there or not: what ends in between is done again.
//!
//! What was signed after the backup was made, nobody knows. So every limit over time counts as spent until its window
//! has passed since the restore, unless a person says that the backup's own rows are all there was.

use crate::audit::chain::Link;
use crate::audit::event::{Event, to_body};
use crate::crypto::backup::{OVERHEAD_BYTES, Place, open_chunk};
use crate::crypto::keys::{self, LedgerKeys, RecordKeys};
use crate::crypto::slot::{Slot, SlotError};
use crate::secret::Arena;
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::{self, Paths};
use crate::store::ledger::{Entry, Ledger};
use crate::store::opening::{Database, Depth, Sealed};
use crate::store::record::Table;
use crate::store::writer::Rollback;
use crate::store::{Durability, IntegrityError, StoreError};
use crate::types::clock::Clock;
use crate::vault::AdminError;
use crate::vault::backup::{CHUNK_BYTES, Header, cut_short};
use crate::vault::keyring::Keyring;
use crate::vault::rotation::retired_keys;
use crate::vault::unlock::SlotKey;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// The state version that was backed up.
    pub state_version: u64,
    /// The last ledger row, the one about the restore included.
    pub audit_sequence: u64,
    /// When the backup was made: RFC 3339, UTC.
    pub created: String,
    /// Whether limits over time count as spent until their windows have passed.
    pub limits_are_spent: bool,
}

/// Why nothing was restored. The state directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a vault in the state directory.
    #[error("there is a vault already in the state directory")]
    Exists,
    /// A daemon has a vault open whose anchor this is.
    #[error("a daemon has the vault of this anchor open")]
    Held,
    /// Not a backup, or one that was changed or cut short.
    #[error("the file is no whole backup of a vault")]
    Damaged,
    /// The secret opens no slot of the backup.
    #[error("the backup did not open")]
    Failed,
    /// The wall clock is behind the moment when the backup was made, so limits would not count as spent for long enough.
    #[error("the clock is behind the moment when the backup was made")]
    ClockBehind,
    /// Not enough memory.
    #[error("the machine has not enough {0}")]
    Machine(&'static str),
    /// The backup could not be read.
    #[error("the backup could not be read")]
    Read(#[source] io::Error),
    /// What is in it is not what it must be, or is older than the anchor remembers; or it could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RestoreError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            RestoreError::Exists | RestoreError::Held => "admin.exists",
            RestoreError::Damaged => "vault.storage_corrupt",
            RestoreError::Failed => "unlock.failed",
            RestoreError::ClockBehind => "clock.jump",
            RestoreError::Machine(_) => "internal",
            RestoreError::Read(_) => "admin.not_found",
            RestoreError::Store(StoreError::Integrity(inner)) => inner.code(),
            RestoreError::Store(_) => "audit.unavailable",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            RestoreError::Exists => "move the present state directory away first, or choose another --state-dir",
            RestoreError::Held => "lock it first: signvault lock",
            RestoreError::Damaged => "try another copy of the backup",
            RestoreError::Failed => "use the password that the vault had when the backup was made",
            RestoreError::ClockBehind => "set the clock; or say --reset-limits if nothing was signed since",
            RestoreError::Machine(_) => "free memory and try again",
            RestoreError::Read(_) => "check the path and who may read it",
            RestoreError::Store(StoreError::Integrity(inner)) => inner.help(),
            RestoreError::Store(_) => "check who owns the state directory, and the space on its disk",
        }
    }
}

impl From<AdminError> for RestoreError {
    fn from(error: AdminError) -> RestoreError {
        match error {
            AdminError::Integrity(inner) => RestoreError::Store(inner.into()),
            AdminError::Machine(what) => RestoreError::Machine(what),
            _ => RestoreError::Damaged,
        }
    }
}

/// What a person says about the time between the backup and the restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// That the backup may be older than the anchor remembers.
    pub rollback: bool,
    /// That limits start with what the backup's own rows say was used.
    pub reset_limits: bool,
}

/// What a sound backup holds.
#[derive(Clone, Debug, Serialize)]
pub struct BackupReport {
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// The state version that was backed up.
    pub state_version: u64,
    /// The vault key's epoch.
    pub epoch: u32,
    /// The first ledger row in it.
    pub first_row: u64,
    /// The last.
    pub last_row: u64,
    /// How many credentials.
    pub credentials: usize,
    /// How many bots.
    pub bots: usize,
    /// How many policies.
    pub policies: usize,
    /// How many ways to unlock.
    pub slots: usize,
}

/// A backup that opened, chunk by chunk.
struct Authentic<'a> {
    file: &'a Path,
    header: Header,
    bytes: Vec<u8>,
    arena: Arc<Arena>,
    ledger_keys: LedgerKeys,
    record_keys: RecordKeys,
}

/// Restores a backup into a state directory without a vault.
///
/// # Errors
/// [`RestoreError`]; the state directory is as it was.
pub fn restore(
    backup: &Path,
    paths: &Paths,
    key: &SlotKey,
    accept: Accept,
    clock: &dyn Clock,
) -> Result<RestoreReport, RestoreError> {
    if file::is_occupied(paths) {
        return Err(RestoreError::Exists);
    }
    let backup = Authentic::open(backup, key)?;
    backup.refuse_older_than_the_anchor(paths, accept)?;
    // Limits count as spent from the row about the restore on. Of a clock that is wrong by years that row would be long ago
    // as soon as somebody sets it right.
    if clock.now().wall < backup.header.created && !accept.reset_limits {
        return Err(RestoreError::ClockBehind);
    }
    file::private_dir(&paths.state_dir)?;
    file::private_dir(&paths.anchor_dir)?;
    let _until_it_is_made = file::alone_in(&paths.state_dir)?;
    if file::is_occupied(paths) {
        return Err(RestoreError::Exists);
    }
    let building =
        Paths { state_dir: paths.state_dir.join("restore.tmp"), anchor_dir: paths.state_dir.join("restore.tmp") };
    discard(&building)?;
    let header = backup.header.clone();
    let built = backup.build(&building, accept, clock).and_then(|built| built.publish(&building, paths, &header));
    let discarded = discard(&building);
    let last = built?;
    discarded?;
    Ok(RestoreReport {
        state_version: header.state_version,
        audit_sequence: last,
        created: header.created.to_string(),
        limits_are_spent: !accept.reset_limits,
    })
}

/// Opens a backup, checks all of it as an unlock would, and says what it holds. The database is built in `temporary`, a
/// directory that is made for it and removed again.
///
/// # Errors
/// [`RestoreError`].
pub fn verify(backup: &Path, key: &SlotKey, temporary: &Path) -> Result<BackupReport, RestoreError> {
    let backup = Authentic::open(backup, key)?;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(temporary)
        .map_err(file::failed(format!("cannot make the directory {}", temporary.display())))?;
    let building = Paths { state_dir: temporary.to_owned(), anchor_dir: temporary.to_owned() };
    let header = backup.header.clone();
    let looked_at =
        backup.unpack(&building).and_then(|unpacked| Ok((unpacked.sealed.verify_chain()?, unpacked.sealed)));
    let discarded = discard(&building);
    let (tail, sealed) = looked_at?;
    discarded?;
    check_header(&header, sealed.state().state_version, tail)?;
    let count = |table: Table| sealed.records().iter().filter(|(of, _)| *of == table).count();
    Ok(BackupReport {
        created: header.created.to_string(),
        state_version: header.state_version,
        epoch: header.epoch,
        first_row: sealed.state().first_kept.link.seq + 1,
        last_row: tail.seq,
        credentials: count(Table::Credential),
        bots: count(Table::Bot),
        policies: count(Table::Policy),
        slots: header.slots.len(),
    })
}

impl Authentic<'_> {
    /// Opens a slot, then every chunk.
    fn open<'a>(backup: &'a Path, key: &SlotKey) -> Result<Authentic<'a>, RestoreError> {
        let (header, bytes) = Header::read(&mut open_file(backup)?)?;
        let arena = Arena::new().map_err(|_| RestoreError::Machine("locked memory for the keys"))?;
        let (ledger_keys, record_keys) = open_slots(&arena, &header, key)?;
        let backup = Authentic { file: backup, header, bytes, arena, ledger_keys, record_keys };
        backup.for_each_chunk(&mut |_| Ok(()))?;
        Ok(backup)
    }

    fn for_each_chunk(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), RestoreError> {
        let mut from = open_file(self.file)?;
        Header::read(&mut from)?;
        for index in 0.. {
            let mut length = [0; 4];
            from.read_exact(&mut length).map_err(cut_short)?;
            let length = u32::from_be_bytes(length) as usize;
            if length > CHUNK_BYTES + OVERHEAD_BYTES {
                return Err(RestoreError::Damaged);
            }
            let mut sealed = vec![0; length];
            from.read_exact(&mut sealed).map_err(cut_short)?;
            let last = from.fill_buf().map_err(RestoreError::Read)?.is_empty();
            let place = Place { index, last };
            // EXPOSE: to this chunk's own key.
            let chunk = open_chunk(self.record_keys.backup.expose(), &self.header.salt, &self.bytes, place, &sealed);
            each(&chunk.map_err(|_| RestoreError::Damaged)?).map_err(file::failed(CANNOT_WRITE))?;
            if last {
                break;
            }
        }
        Ok(())
    }

    fn refuse_older_than_the_anchor(&self, paths: &Paths, accept: Accept) -> Result<(), RestoreError> {
        // EXPOSE: to the anchor's MAC.
        let opened = Anchor::open(&paths.anchor(), self.ledger_keys.anchor.expose(), &self.header.vault_id);
        let mark = match opened {
            Ok((_, mark)) => mark,
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                return Err(RestoreError::Held);
            }
            // An anchor that can't be read may be another vault's, or may remember more than this backup.
            Err(error) if file::is_taken(&paths.anchor()) && !accept.rollback => return Err(error.into()),
            Err(_) => return Ok(()),
        };
        let (database, database_row) = (self.header.state_version, self.header.audit_sequence);
        let older = database < mark.state_version || database_row < mark.audit.seq;
        match older && !accept.rollback {
            false => Ok(()),
            true => Err(RestoreError::Store(StoreError::Integrity(IntegrityError::Rollback {
                database,
                database_row,
                anchor: mark.state_version,
                anchor_row: mark.audit.seq,
            }))),
        }
    }

    /// Writes the database into a directory of its own and opens every record in it.
    fn unpack(self, building: &Paths) -> Result<Unpacked, RestoreError> {
        file::private_dir(&building.state_dir)?;
        let mut database = file::create_new(&building.database()).map_err(file::failed(CANNOT_WRITE))?;
        self.for_each_chunk(&mut |chunk| database.write_all(chunk))?;
        database.sync_all().map_err(file::failed(CANNOT_WRITE))?;
        drop(database);
        let mut sealed = Database::open(building)?.read(self.ledger_keys, self.header.vault_id)?;
        let keyring = Keyring::new(self.record_keys, self.header.vault_id, self.header.epoch);
        for (table, row) in sealed.records() {
            keyring.open_row(*table, row).map_err(StoreError::from)?;
        }
        sealed.retire(retired_keys(&self.arena, &keyring, sealed.records())?);
        Ok(Unpacked { sealed, header: self.header })
    }

    /// Verifies the ledger too, and writes the row about the restore.
    fn build(self, building: &Paths, accept: Accept, clock: &dyn Clock) -> Result<Built, RestoreError> {
        let Unpacked { sealed, header } = self.unpack(building)?;
        let opened = sealed.verify(Durability::Full, Rollback::Accept, Depth::Whole, &mut |_, _| ())?;
        let mark = Mark { state_version: opened.writer.state().state_version, audit: opened.writer.tail() };
        check_header(&header, mark.state_version, mark.audit)?;
        let (keys, now) = (opened.writer.keys(), clock.now());
        let ledger = Ledger::new(opened.writer);
        let event = Event::Restore { state_version: header.state_version, reset_limits: accept.reset_limits };
        let ticket = ledger.enqueue(now.wall, vec![Entry { body: to_body(now, event), opens: None }], Vec::new());
        let settled = ledger.settle(ticket);
        settled.map_err(|_| StoreError::from(IntegrityError::Corrupt("the restored ledger can't be written")))?;
        Ok(Built { keys, mark, last: ledger.standing().tail.seq })
    }
}

/// A database whose records all opened.
struct Unpacked {
    sealed: Sealed,
    header: Header,
}

/// A whole vault that has no name yet.
struct Built {
    keys: Arc<LedgerKeys>,
    /// Where the backup ends, without the row about its restore.
    mark: Mark,
    last: u64,
}

impl Built {
    /// The anchor first, with what the backup says: a restore that ends in between is not older than it the next time.
    fn publish(self, building: &Paths, paths: &Paths, header: &Header) -> Result<u64, RestoreError> {
        // EXPOSE: to the anchor's MAC.
        drop(Anchor::create(&paths.anchor(), self.keys.anchor.expose(), &header.vault_id, self.mark)?);
        file::publish(&building.database(), &paths.database())
            .map_err(file::failed("the vault could not be put in place"))?;
        let files = [paths.database(), paths.anchor_dir.clone(), paths.anchor()];
        let given = file::give_to_owner_of(&paths.state_dir, &files);
        given.map_err(file::failed("the vault could not be given to the directory's owner"))?;
        Ok(self.last)
    }
}

const CANNOT_WRITE: &str = "the restored vault could not be written";

fn open_file(path: &Path) -> Result<BufReader<File>, RestoreError> {
    File::open(path).map(|file| BufReader::with_capacity(CHUNK_BYTES, file)).map_err(RestoreError::Read)
}

fn open_slots(arena: &Arc<Arena>, header: &Header, key: &SlotKey) -> Result<(LedgerKeys, RecordKeys), RestoreError> {
    let slots = header.slots.iter().map(|(header, commitment, wrapped)| Slot::parse(header, commitment, wrapped));
    let slots = slots.collect::<Result<Vec<Slot>, _>>().map_err(|_| RestoreError::Damaged)?;
    for slot in slots.iter().filter(|slot| slot.header.method.kind() == key.kind) {
        // EXPOSE: to the slot's key derivation.
        match slot.unwrap_key(key.secret.expose()) {
            Ok(vault_key) => {
                let derived = keys::derive(arena, header.vault_id, vault_key, header.epoch);
                return derived.map_err(|_| RestoreError::Machine("locked memory for the keys"));
            }
            Err(SlotError::OutOfMemory) => return Err(RestoreError::Machine("memory for the password hash")),
            Err(SlotError::OutOfBounds | SlotError::Refused) => (),
        }
    }
    Err(RestoreError::Failed)
}

/// The header is what a person sees, and what the anchor is compared with.
fn check_header(header: &Header, state_version: u64, tail: Link) -> Result<(), RestoreError> {
    match (header.state_version, header.audit_sequence) == (state_version, tail.seq) {
        true => Ok(()),
        false => Err(RestoreError::Damaged),
    }
}

fn discard(building: &Paths) -> Result<(), RestoreError> {
    match std::fs::remove_dir_all(&building.state_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file::failed("the half restored vault could not be removed")(error).into())
        }
        _ => Ok(()),
    }
}
