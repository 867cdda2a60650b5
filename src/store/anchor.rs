//! The anchor: what the vault remembers of itself outside its database, so that an older copy of the database is
//! noticed. A small file in another directory with two slots, written in turn; one that was torn or changed is ignored
//! as long as the other verifies.
//!
//! A slot is `enc(vault_id, state_version u64, audit_seq u64, audit_head 32, slot_no u32) ‖ HMAC(K_anchor, ·)`, padded
//! with zeros to 256 bytes; the file is slot 0, then slot 1.

use crate::audit::chain::Link;
use crate::crypto::mac;
use crate::store::file;
use crate::store::identity::FileId;
use crate::store::{IntegrityError, StoreError};
use crate::types::id::Id;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const SLOT_BYTES: usize = 256;
/// enc() of 16, 8, 8, 32 and 4 bytes.
const BODY_BYTES: usize = 5 * 4 + 16 + 8 + 8 + 32 + 4;

/// What the anchor remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The vault's state version.
    pub state_version: u64,
    /// The last ledger row then.
    pub audit: Link,
}

/// The anchor file, open for writing, and locked for as long as it is: whoever makes a vault sees that one is open.
#[derive(Debug)]
pub struct Anchor {
    file: File,
    next_slot: u32,
}

impl Anchor {
    /// Makes the anchor of a vault, or replaces it whole.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn create(path: &Path, anchor_key: &[u8; 32], vault_id: &Id, mark: Mark) -> Result<Anchor, StoreError> {
        let content = [slot_bytes(anchor_key, vault_id, mark, 0), slot_bytes(anchor_key, vault_id, mark, 1)].concat();
        file::replace(path, &content).map_err(file::failed(cannot(path)))?;
        Ok(Anchor { file: open(path)?, next_slot: 0 })
    }

    /// Whether an unlocked vault has this anchor open.
    pub fn is_held(path: &Path) -> bool {
        let opened = open(path);
        matches!(opened, Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// Moves an anchor aside whose vault is gone, and says where it is now.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn keep_aside(path: &Path) -> io::Result<Option<PathBuf>> {
        if !file::is_taken(path) {
            return Ok(None);
        }
        for number in 1.. {
            let aside = path.with_extension(format!("kept-{number}"));
            match file::publish(path, &aside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                other => return other.map(|()| Some(aside)),
            }
        }
        Ok(None)
    }

    /// Opens the anchor and says what it remembers: the newer of the slots that verify.
    ///
    /// # Errors
    /// [`IntegrityError::Anchor`] when the file is missing or neither slot verifies.
    pub fn open(path: &Path, anchor_key: &[u8; 32], vault_id: &Id) -> Result<(Anchor, Mark), StoreError> {
        let file = match open(path) {
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(IntegrityError::Anchor("is missing").into());
            }
            other => other?,
        };
        let marks = [0, 1].map(|slot_no| read_slot(&file, anchor_key, vault_id, slot_no));
        let newest = marks.iter().flatten().max_by_key(|mark| (mark.state_version, mark.audit.seq)).copied();
        let mark = newest.ok_or(IntegrityError::Anchor("does not verify"))?;
        let next_slot = if marks[0] == Some(mark) { 1 } else { 0 };
        Ok((Anchor { file, next_slot }, mark))
    }

    /// Whether the file that is open is not the one with this name any more.
    pub fn has_lost_its_name(&self, path: &Path) -> bool {
        let open = self.file.metadata().map(|about| FileId::in_metadata(&about));
        !matches!((open, FileId::of(path)), (Ok(open), Ok(Some(named))) if open == named)
    }

    /// Remembers another point, durably, in the slot that holds the older one.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn write(&mut self, anchor_key: &[u8; 32], vault_id: &Id, mark: Mark) -> io::Result<()> {
        self.write_spare(anchor_key, vault_id, mark)?;
        self.turn();
        Ok(())
    }

    /// Writes the slot that holds the older point, durably, and leaves it the one that is written next: for a key that
    /// is not in use yet. Until [`Anchor::turn`] the other slot is not touched.
    ///
    /// # Errors
    /// The file system's refusal.
    pub fn write_spare(&self, anchor_key: &[u8; 32], vault_id: &Id, mark: Mark) -> io::Result<()> {
        let offset = u64::from(self.next_slot) * SLOT_BYTES as u64;
        self.file.write_all_at(&slot_bytes(anchor_key, vault_id, mark, self.next_slot), offset)?;
        self.file.sync_data()
    }

    /// Makes the slot that was written last the one that stays.
    pub fn turn(&mut self) {
        self.next_slot = 1 - self.next_slot;
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write the anchor {}", path.display())
}

fn open(path: &Path) -> Result<File, StoreError> {
    use rustix::fs::{FlockOperation, Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(PathBuf::from(path), flags, Mode::empty());
    let file = opened.and_then(|opened| {
        rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive)?;
        Ok(File::from(opened))
    });
    file.map_err(|errno| file::failed(format!("cannot open the anchor {}", path.display()))(errno.into()))
}

fn slot_bytes(anchor_key: &[u8; 32], vault_id: &Id, mark: Mark, slot_no: u32) -> [u8; SLOT_BYTES] {
    let body = mac::enc(&[
        vault_id.as_bytes(),
        &mark.state_version.to_be_bytes(),
        &mark.audit.seq.to_be_bytes(),
        &mark.audit.head,
        &slot_no.to_be_bytes(),
    ]);
    let mut slot = [0; SLOT_BYTES];
    slot[..BODY_BYTES].copy_from_slice(&body);
    slot[BODY_BYTES..BODY_BYTES + 32].copy_from_slice(&mac::hmac_sha256(anchor_key, &[&body]));
    slot
}

fn read_slot(file: &File, anchor_key: &[u8; 32], vault_id: &Id, slot_no: u32) -> Option<Mark> {
    let mut slot = [0; SLOT_BYTES];
    file.read_exact_at(&mut slot, u64::from(slot_no) * SLOT_BYTES as u64).ok()?;
    let items: [&[u8]; 5] = mac::dec(&slot[..BODY_BYTES])?.try_into().ok()?;
    let mark = Mark {
        state_version: u64::from_be_bytes(items[1].try_into().ok()?),
        audit: Link { seq: u64::from_be_bytes(items[2].try_into().ok()?), head: items[3].try_into().ok()? },
    };
    mac::equal(&slot, &slot_bytes(anchor_key, vault_id, mark, slot_no)).then_some(mark)
}

#[cfg(test)]
impl Anchor {
    /// An anchor that can't be written.
    pub(crate) fn read_only(path: &Path) -> Anchor {
        Anchor { file: File::open(path).unwrap(), next_slot: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [3; 32];
    const VAULT: Id = Id([4; 16]);

    fn mark(state_version: u64, seq: u64) -> Mark {
        Mark { state_version, audit: Link { seq, head: [5; 32] } }
    }

    #[test]
    fn t10_the_newer_slot_speaks_and_a_torn_one_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        let mut anchor = Anchor::create(&path, &KEY, &VAULT, mark(1, 0)).unwrap();
        anchor.write(&KEY, &VAULT, mark(2, 7)).unwrap();
        anchor.write(&KEY, &VAULT, mark(3, 9)).unwrap();
        assert!(Anchor::is_held(&path));
        drop(anchor);
        assert!(!Anchor::is_held(&path));
        assert_eq!(Anchor::open(&path, &KEY, &VAULT).unwrap().1, mark(3, 9));

        let mut content = std::fs::read(&path).unwrap();
        content[SLOT_BYTES + 40] ^= 1;
        std::fs::write(&path, &content).unwrap();
        assert_eq!(Anchor::open(&path, &KEY, &VAULT).unwrap().1, mark(2, 7));

        content[10] ^= 1;
        std::fs::write(&path, &content).unwrap();
        let refused = Anchor::open(&path, &KEY, &VAULT).unwrap_err();
        assert!(matches!(refused, StoreError::Integrity(IntegrityError::Anchor("does not verify"))));
    }

    #[test]
    fn a_spare_slot_of_another_key_leaves_the_other_until_it_is_the_one_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        let mut anchor = Anchor::create(&path, &KEY, &VAULT, mark(1, 0)).unwrap();
        anchor.write(&KEY, &VAULT, mark(2, 7)).unwrap();
        let next = [9; 32];
        // Twice, as after a failed commit: it is the same slot.
        anchor.write_spare(&next, &VAULT, mark(2, 7)).unwrap();
        anchor.write_spare(&next, &VAULT, mark(2, 7)).unwrap();
        drop(anchor);
        let mut anchor = Anchor::open(&path, &KEY, &VAULT).unwrap().0;
        anchor.write_spare(&next, &VAULT, mark(2, 7)).unwrap();
        anchor.turn();
        anchor.write(&next, &VAULT, mark(3, 9)).unwrap();
        drop(anchor);
        assert_eq!(Anchor::open(&path, &next, &VAULT).unwrap().1, mark(3, 9));
        assert!(Anchor::open(&path, &KEY, &VAULT).is_err());
    }

    #[test]
    fn an_anchor_that_is_kept_aside_replaces_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        assert_eq!(Anchor::keep_aside(&path).unwrap(), None);
        for number in 1..4 {
            std::fs::write(&path, format!("{number}")).unwrap();
            let aside = Anchor::keep_aside(&path).unwrap().unwrap();
            assert_eq!(aside, dir.path().join(format!("anchor.kept-{number}")));
            assert_eq!(std::fs::read_to_string(aside).unwrap(), format!("{number}"));
        }
    }

    #[test]
    fn another_vault_or_key_does_not_verify_and_a_missing_file_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        Anchor::create(&path, &KEY, &VAULT, mark(1, 0)).unwrap();
        assert!(Anchor::open(&path, &[9; 32], &VAULT).is_err());
        assert!(Anchor::open(&path, &KEY, &Id([9; 16])).is_err());
        let missing = Anchor::open(&dir.path().join("none"), &KEY, &VAULT).unwrap_err();
        assert!(matches!(missing, StoreError::Integrity(IntegrityError::Anchor("is missing"))));
    }
}
