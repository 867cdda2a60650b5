//! Backups. A backup is the database as one file, sealed once more as a whole, with the slots in front so that whoever
//! knows the password can open it anywhere; [`restore`](crate::vault::restore) does.
//!
//! ```text
//! header   "SGNVBKUP" ‖ version u16=1 ‖ vault_id 16 ‖ epoch u32 ‖ state_version u64 ‖ audit_seq u64 ‖ created_ms u64
//!          ‖ salt 32 ‖ slots u8 ‖ slots × (header 83 ‖ commitment 32 ‖ wrapped key 48)
//! chunks   length u32 ‖ sealed chunk, until the last
//! ```

use crate::audit::event::Event;
use crate::crypto::backup::{Place, seal_chunk};
use crate::crypto::random::generate_random;
use crate::crypto::slot::{HEADER_BYTES, WRAPPED_BYTES};
use crate::store::StoreError;
use crate::store::ledger::{Ledger, Standing};
use crate::store::record::SlotRow;
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use crate::vault::change::Prepared;
use crate::vault::restore::RestoreError;
use crate::vault::{AdminError, Vault};
use std::fs::File;
use std::io::{self, BufReader, Read};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"SGNVBKUP";
const FORMAT_VERSION: u16 = 1;
const FIXED_BYTES: usize = 8 + 2 + 16 + 4 + 8 + 8 + 8 + 32 + 1;
const SLOT_BYTES: usize = HEADER_BYTES + 32 + WRAPPED_BYTES;
/// The database in one chunk, but for the last.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

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
    pub(super) salt: [u8; 32],
    pub(super) slots: Vec<SlotRow>,
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
    pub(super) fn read(from: &mut impl Read) -> Result<(Header, Vec<u8>), RestoreError> {
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

/// What a read error of a backup means: the end where there should be more is damage.
pub(super) fn cut_short(error: io::Error) -> RestoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => RestoreError::Damaged,
        _ => RestoreError::Read(error),
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
        let copied = ledger.snapshot(&path);
        let file = File::open(&path);
        // Gone before anything else can go wrong; what can't be removed stands in the way of the next.
        let removed = std::fs::remove_file(&path);
        let (standing, slots) = copied?;
        removed.map_err(failed)?;
        Ok((file.map_err(failed)?, standing, slots))
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
