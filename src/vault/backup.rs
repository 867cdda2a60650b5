//! Backup and restore. A backup is the database as one file, sealed once more as a whole, with the slots in front so
//! that whoever knows the password can open it anywhere.
//!
//! ```text
//! header   "SGNVBKUP" ‖ version u16=1 ‖ vault_id 16 ‖ epoch u32 ‖ state_version u64 ‖ audit_seq u64 ‖ created_ms u64
//!          ‖ salt 32 ‖ slots u8 ‖ slots × (header 83 ‖ commitment 32 ‖ wrapped key 48)
//! chunks   length u32 ‖ sealed chunk, until the last
//! ```

use crate::audit::event::{Event, to_body};
use crate::crypto::backup::{OVERHEAD_BYTES, Place, open_chunk, seal_chunk};
use crate::crypto::keys::{self, LedgerKeys, RecordKeys};
use crate::crypto::random::generate_random;
use crate::crypto::slot::{HEADER_BYTES, Slot, SlotError, WRAPPED_BYTES};
use crate::secret::Arena;
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::{self, Paths};
use crate::store::ledger::{Entry, Ledger, Standing};
use crate::store::record::SlotRow;
use crate::store::writer::{Rollback, Writer};
use crate::store::{Durability, IntegrityError, StoreError};
use crate::types::clock::{Clock, UnixMs};
use crate::types::id::Id;
use crate::vault::change::Prepared;
use crate::vault::keyring::Keyring;
use crate::vault::unlock::SlotKey;
use crate::vault::{AdminError, Vault};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"SGNVBKUP";
const FORMAT_VERSION: u16 = 1;
const FIXED_BYTES: usize = 8 + 2 + 16 + 4 + 8 + 8 + 8 + 32 + 1;
const SLOT_BYTES: usize = HEADER_BYTES + 32 + WRAPPED_BYTES;
const CHUNK_BYTES: usize = 1024 * 1024;

/// The public part of a backup.
#[derive(Clone, Debug)]
pub struct Header {
    /// The vault.
    pub vault_id: Id,
    /// The vault key's epoch.
    pub epoch: u32,
    /// The state version that was backed up.
    pub state_version: u64,
    /// The last ledger row in it.
    pub audit_sequence: u64,
    /// When it was made.
    pub created: UnixMs,
    salt: [u8; 32],
    slots: Vec<SlotRow>,
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// The state version that was backed up.
    pub state_version: u64,
    /// The last ledger row, the one about the restore included.
    pub audit_sequence: u64,
    /// When the backup was made: RFC 3339, UTC.
    pub created: String,
}

/// Why nothing was restored. The state directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a vault in the state directory.
    #[error("there is a vault already in the state directory")]
    Exists,
    /// Not a backup, or one that was changed or cut short.
    #[error("the file is no whole backup of a vault")]
    Damaged,
    /// The secret opens no slot of the backup.
    #[error("the backup did not open")]
    Failed,
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
            RestoreError::Exists => "admin.exists",
            RestoreError::Damaged => "vault.storage_corrupt",
            RestoreError::Failed => "unlock.failed",
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
            RestoreError::Damaged => "try another copy of the backup",
            RestoreError::Failed => "use the password that the vault had when the backup was made",
            RestoreError::Machine(_) => "free memory and try again",
            RestoreError::Read(_) => "check the path and who may read it",
            RestoreError::Store(StoreError::Integrity(inner)) => inner.help(),
            RestoreError::Store(_) => "check who owns the state directory, and the space on its disk",
        }
    }
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [
            &MAGIC[..],
            &FORMAT_VERSION.to_be_bytes(),
            self.vault_id.as_bytes(),
            &self.epoch.to_be_bytes(),
            &self.state_version.to_be_bytes(),
            &self.audit_sequence.to_be_bytes(),
            &self.created.0.to_be_bytes(),
            &self.salt,
            &[self.slots.len() as u8],
        ]
        .concat();
        for (header, commitment, wrapped) in &self.slots {
            bytes.extend([&header[..], commitment, wrapped].concat());
        }
        bytes
    }

    /// Reads a header off the front of a backup, with the bytes it was read from.
    fn read(from: &mut impl Read) -> Result<(Header, Vec<u8>), RestoreError> {
        let mut bytes = vec![0; FIXED_BYTES];
        from.read_exact(&mut bytes).map_err(cut_short)?;
        let slots = usize::from(bytes[FIXED_BYTES - 1]);
        if bytes[..8] != MAGIC[..] || bytes[8..10] != FORMAT_VERSION.to_be_bytes() || slots > 8 {
            return Err(RestoreError::Damaged);
        }
        bytes.resize(FIXED_BYTES + slots * SLOT_BYTES, 0);
        from.read_exact(&mut bytes[FIXED_BYTES..]).map_err(cut_short)?;
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let header = Header {
            vault_id: Id(bytes[10..26].try_into().expect("sixteen bytes")),
            epoch: u32::from_be_bytes(bytes[26..30].try_into().expect("four bytes")),
            state_version: number(30),
            audit_sequence: number(38),
            created: UnixMs(number(46) as i64),
            salt: bytes[54..86].try_into().expect("thirty-two bytes"),
            slots: bytes[FIXED_BYTES..].chunks_exact(SLOT_BYTES).map(slot_row).collect(),
        };
        Ok((header, bytes))
    }
}

fn slot_row(bytes: &[u8]) -> SlotRow {
    let (header, rest) = bytes.split_at(HEADER_BYTES);
    let (commitment, wrapped) = rest.split_at(32);
    (header.to_vec(), commitment.to_vec(), wrapped.to_vec())
}

impl Vault {
    /// Writes a sealed backup piece by piece to `sink`. Bots go on signing, but for the moment of the copy.
    ///
    /// # Errors
    /// [`AdminError::Locked`]; the disk's refusal, or the sink's.
    pub fn backup(&self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), AdminError> {
        let (snapshot, header, key) = self.prepare_backup()?;
        let written = write_backup(snapshot, &header, &key, sink);
        written.map_err(|source| StoreError::File { what: "the backup could not be written".into(), source }.into())
    }

    /// The copy to seal, its header and the key. Two backups take turns up to here, because the copy's name is fixed.
    fn prepare_backup(&self) -> Result<(File, Header, Zeroizing<[u8; 32]>), AdminError> {
        let turn = self.turn();
        self.change_in_turn(&turn, |_, now| Ok(Prepared::new(now, Event::Backup, Vec::new(), ())), |_, ()| ())?;
        let (ledger, key, vault_id, epoch) = self.look(|unlocked| {
            // EXPOSE: to the chunks of this backup; the copy wipes itself.
            let key = Zeroizing::new(*unlocked.keyring.keys().backup.expose());
            (unlocked.ledger.clone(), key, unlocked.keyring.vault_id(), unlocked.keyring.epoch())
        })?;
        let (snapshot, standing, slots) = self.snapshot(&ledger)?;
        let header = Header {
            vault_id,
            epoch,
            state_version: standing.state.state_version,
            audit_sequence: standing.tail.seq,
            created: self.setup.clock.now().wall,
            salt: generate_random().map_err(|_| AdminError::Machine("random numbers"))?,
            slots,
        };
        Ok((snapshot, header, key))
    }

    /// A copy of the database that has no name any more, so that nothing is left of it whatever happens.
    fn snapshot(&self, ledger: &Ledger) -> Result<(File, Standing, Vec<SlotRow>), AdminError> {
        let path = self.setup.paths.state_dir.join("backup.tmp");
        let failed = |source| AdminError::from(StoreError::File { what: "the copy for the backup".into(), source });
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => (),
        }
        let (standing, slots) = ledger.snapshot(&path)?;
        let file = File::open(&path).map_err(failed)?;
        std::fs::remove_file(&path).map_err(failed)?;
        Ok((file, standing, slots))
    }
}

fn write_backup(
    snapshot: File,
    header: &Header,
    key: &[u8; 32],
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let bytes = header.to_bytes();
    sink(&bytes)?;
    let mut snapshot = BufReader::with_capacity(CHUNK_BYTES, snapshot);
    let mut next = read_chunk(&mut snapshot)?;
    for index in 0.. {
        let chunk = next;
        next = read_chunk(&mut snapshot)?;
        let place = Place { index, last: next.is_empty() };
        let sealed = seal_chunk(key, &header.salt, &bytes, place, &chunk);
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        sink(&[&length.to_be_bytes(), &sealed[..]].concat())?;
        if place.last {
            break;
        }
    }
    Ok(())
}

fn read_chunk(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    from.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// Restores a backup into a state directory without a vault. All of it is authenticated before the first byte is
/// written, then built and verified in a directory of its own, and only then given the vault's name.
///
/// # Errors
/// [`RestoreError`]; the state directory is as it was.
pub fn restore(
    backup: &Path,
    paths: &Paths,
    key: &SlotKey,
    accept_rollback: bool,
    clock: &dyn Clock,
) -> Result<RestoreReport, RestoreError> {
    if file::is_occupied(paths) {
        return Err(RestoreError::Exists);
    }
    let (header, bytes) = Header::read(&mut open_backup(backup)?)?;
    let (ledger_keys, record_keys) = open_slots(&header, key)?;
    for_each_chunk(backup, &header, &bytes, &record_keys, &mut |_| Ok(()))?;
    refuse_older_than_the_anchor(paths, &header, &ledger_keys, accept_rollback)?;
    file::private_dir(&paths.state_dir)?;
    file::private_dir(&paths.anchor_dir)?;
    let _until_it_is_made = file::alone_in(&paths.state_dir)?;
    if file::is_occupied(paths) {
        return Err(RestoreError::Exists);
    }
    let building =
        Paths { state_dir: paths.state_dir.join("restore.tmp"), anchor_dir: paths.state_dir.join("restore.tmp") };
    discard(&building)?;
    let built = build(backup, &header, &bytes, &building, ledger_keys, record_keys, clock)
        .and_then(|(keys, mark)| publish(&building, paths, &keys, &header, mark));
    let discarded = discard(&building);
    let mark = built?;
    discarded?;
    Ok(RestoreReport {
        state_version: header.state_version,
        audit_sequence: mark.audit.seq,
        created: header.created.to_string(),
    })
}

fn open_backup(path: &Path) -> Result<BufReader<File>, RestoreError> {
    File::open(path).map(|file| BufReader::with_capacity(CHUNK_BYTES, file)).map_err(RestoreError::Read)
}

fn open_slots(header: &Header, key: &SlotKey) -> Result<(LedgerKeys, RecordKeys), RestoreError> {
    let arena = Arena::new().map_err(|_| RestoreError::Machine("locked memory for the keys"))?;
    let slots = header.slots.iter().map(|(header, commitment, wrapped)| Slot::parse(header, commitment, wrapped));
    let slots = slots.collect::<Result<Vec<Slot>, _>>().map_err(|_| RestoreError::Damaged)?;
    for slot in slots.iter().filter(|slot| slot.header.method.kind() == key.kind) {
        // EXPOSE: to the slot's key derivation.
        match slot.unwrap_key(key.secret.expose()) {
            Ok(vault_key) => {
                let derived = keys::derive(&arena, header.vault_id, vault_key, header.epoch);
                return derived.map_err(|_| RestoreError::Machine("locked memory for the keys"));
            }
            Err(SlotError::OutOfMemory) => return Err(RestoreError::Machine("memory for the password hash")),
            Err(SlotError::OutOfBounds | SlotError::Refused) => (),
        }
    }
    Err(RestoreError::Failed)
}

fn for_each_chunk(
    backup: &Path,
    header: &Header,
    bytes: &[u8],
    keys: &RecordKeys,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), RestoreError> {
    let mut from = open_backup(backup)?;
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
        let chunk = open_chunk(keys.backup.expose(), &header.salt, bytes, place, &sealed);
        each(&chunk.map_err(|_| RestoreError::Damaged)?)
            .map_err(file::failed("the restored vault could not be written"))?;
        if last {
            break;
        }
    }
    Ok(())
}

fn cut_short(error: io::Error) -> RestoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => RestoreError::Damaged,
        _ => RestoreError::Read(error),
    }
}

fn refuse_older_than_the_anchor(
    paths: &Paths,
    header: &Header,
    keys: &LedgerKeys,
    accept_rollback: bool,
) -> Result<(), RestoreError> {
    let mark = match Anchor::open(&paths.anchor(), keys.anchor.expose(), &header.vault_id) {
        Ok((_, mark)) => mark,
        // An anchor that can't be read may be another vault's, or may remember more than this backup.
        Err(error) if file::is_taken(&paths.anchor()) && !accept_rollback => return Err(error.into()),
        Err(_) => return Ok(()),
    };
    let older = header.state_version < mark.state_version || header.audit_sequence < mark.audit.seq;
    match older && !accept_rollback {
        false => Ok(()),
        true => Err(RestoreError::Store(StoreError::Integrity(IntegrityError::Rollback {
            database: header.state_version,
            database_row: header.audit_sequence,
            anchor: mark.state_version,
            anchor_row: mark.audit.seq,
        }))),
    }
}

/// Writes the database in a directory of its own and verifies all of it there.
fn build(
    backup: &Path,
    header: &Header,
    bytes: &[u8],
    building: &Paths,
    ledger_keys: LedgerKeys,
    record_keys: RecordKeys,
    clock: &dyn Clock,
) -> Result<(Arc<LedgerKeys>, Mark), RestoreError> {
    file::private_dir(&building.state_dir)?;
    let failed = || file::failed("the restored vault could not be written");
    let mut database = file::create_new(&building.database()).map_err(failed())?;
    for_each_chunk(backup, header, bytes, &record_keys, &mut |chunk| database.write_all(chunk))?;
    database.sync_all().map_err(failed())?;
    drop(database);
    let keys = Arc::new(ledger_keys);
    let opened =
        Writer::open(building, keys.clone(), header.vault_id, Durability::Full, Rollback::Accept, &mut |_, _| ())?;
    let keyring = Keyring::new(record_keys, header.vault_id, header.epoch);
    for (table, row) in &opened.records {
        keyring.open_row(*table, row).map_err(StoreError::from)?;
    }
    let now = clock.now();
    let ledger = Ledger::new(opened.writer);
    let body = to_body(now, Event::Restore { state_version: header.state_version });
    let ticket = ledger.enqueue(now.wall, vec![Entry { body, opens: None }], Vec::new());
    let settled = ledger.settle(ticket);
    settled.map_err(|_| StoreError::from(IntegrityError::Corrupt("the restored ledger can't be written")))?;
    let standing = ledger.standing();
    Ok((keys, Mark { state_version: standing.state.state_version, audit: standing.tail }))
}

fn publish(
    building: &Paths,
    paths: &Paths,
    keys: &LedgerKeys,
    header: &Header,
    mark: Mark,
) -> Result<Mark, RestoreError> {
    Anchor::create(&paths.anchor(), keys.anchor.expose(), &header.vault_id, mark)?;
    file::publish(&building.database(), &paths.database())
        .map_err(file::failed("the vault could not be put in place"))?;
    let files = [paths.database(), paths.anchor_dir.clone(), paths.anchor()];
    let given = file::give_to_owner_of(&paths.state_dir, &files);
    given.map_err(file::failed("the vault could not be given to the directory's owner"))?;
    Ok(mark)
}

fn discard(building: &Paths) -> Result<(), RestoreError> {
    match std::fs::remove_dir_all(&building.state_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file::failed("the half restored vault could not be removed")(error).into())
        }
        _ => Ok(()),
    }
}
