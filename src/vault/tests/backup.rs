//! Out into one file and back again.

use super::bed::*;
use crate::vault::backup::{RestoreError, restore};
use crate::vault::unlock::Accept;
use std::path::PathBuf;

impl Bed {
    fn backup(&self) -> PathBuf {
        let path = self.dir.path().join("backup");
        std::fs::write(&path, self.backup_bytes()).unwrap();
        path
    }

    fn backup_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sink = |piece: &[u8]| {
            bytes.extend(piece);
            Ok(())
        };
        self.vault.backup(&mut sink).unwrap();
        bytes
    }
}

/// Moves the state directory away, as one would before a restore.
fn without_state(bed: Bed) -> Bed {
    let bed = bed.restarted();
    std::fs::rename(bed.paths().state_dir, bed.dir.path().join("gone")).unwrap();
    bed
}

#[test]
fn what_was_backed_up_comes_back_and_says_so() {
    let (bed, bob, _) = Bed::furnished();
    let rows = bed.sign(&bob, "main").unwrap().audit_seq;
    let backup = bed.backup();
    let bed = without_state(bed);
    let report = restore(&backup, &bed.paths(), &key_file(&KEY), false, &*bed.clock).unwrap();
    assert_eq!(report.audit_sequence, rows + 2, "the rows about the backup and the restore");
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
    bed.vault.audit_verify().unwrap();
    assert!(bed.rows().iter().any(|row| row.body.contains(r#""event":"restore""#)));
    let bed = bed.restarted();
    bed.vault.unlock(&key_file(&OTHER_KEY), Accept::default()).unwrap();
}

#[test]
fn a_wrong_key_a_changed_byte_or_a_missing_piece_restores_nothing() {
    let (bed, ..) = Bed::furnished();
    let backup = bed.backup();
    let sound = std::fs::read(&backup).unwrap();
    let bed = without_state(bed);
    let tried = |bytes: &[u8], key: &[u8; 32]| {
        std::fs::write(&backup, bytes).unwrap();
        let refused = restore(&backup, &bed.paths(), &key_file(key), false, &*bed.clock).unwrap_err();
        assert!(!bed.paths().state_dir.join("vault.db").exists());
        refused
    };
    assert!(matches!(tried(&sound, &[0; 32]), RestoreError::Failed));
    assert!(matches!(tried(&sound[..sound.len() - 1], &KEY), RestoreError::Damaged));
    assert!(matches!(tried(&[&sound[..], b"x"].concat(), &KEY), RestoreError::Damaged));
    for at in (0..sound.len()).step_by(1009) {
        let mut changed = sound.clone();
        changed[at] ^= 0x10;
        tried(&changed, &KEY);
    }
    std::fs::write(&backup, &sound).unwrap();
    restore(&backup, &bed.paths(), &key_file(&KEY), false, &*bed.clock).unwrap();
}

#[test]
fn an_older_backup_is_refused_while_the_anchor_knows_better() {
    let (bed, bob, _) = Bed::furnished();
    let backup = bed.backup();
    bed.vault.revoke_bot("bob").unwrap();
    bed.lock();
    let bed = without_state(bed);
    let refused = restore(&backup, &bed.paths(), &key_file(&KEY), false, &*bed.clock).unwrap_err();
    assert_eq!(refused.code(), "vault.rollback_detected");
    restore(&backup, &bed.paths(), &key_file(&KEY), true, &*bed.clock).unwrap();
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn backups_at_the_same_time_are_each_whole() {
    let (bed, ..) = Bed::furnished();
    let backups: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let some = || (0..8).map(|_| bed.backup_bytes()).collect::<Vec<_>>();
        let making: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
        making.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    for bytes in backups {
        let other = tempfile::tempdir().unwrap();
        let path = other.path().join("backup");
        std::fs::write(&path, bytes).unwrap();
        restore(&path, &paths_in(other.path()), &key_file(&KEY), false, &*bed.clock).unwrap();
    }
}
