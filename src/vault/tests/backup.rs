//! Out into one file and back again.

use super::bed::*;
use crate::audit::event::Used;
use crate::store::file::Paths;
use crate::store::ledger::Entry;
use crate::types::clock::UnixMs;
use crate::vault::restore::{Accept as Accepted, RestoreError, RestoreReport, restore as restore_accepting, verify};
use crate::vault::unlock::{Accept, SlotKey};
use std::path::Path;
use std::path::PathBuf;

impl Bed {
    pub(super) fn backup(&self) -> PathBuf {
        let path = self.dir.path().join("backup");
        std::fs::write(&path, self.backup_bytes()).unwrap();
        path
    }

    /// A backup of the unlocked vault.
    pub fn backup_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sink = |piece: &[u8]| {
            bytes.extend(piece);
            Ok(())
        };
        self.vault.backup(&mut sink).unwrap();
        bytes
    }
}

fn restore(
    backup: &Path,
    paths: &Paths,
    key: &SlotKey,
    rollback: bool,
    clock: &HandClock,
) -> Result<RestoreReport, RestoreError> {
    restore_accepting(backup, paths, key, Accepted { rollback, reset_limits: false }, clock)
}

/// Moves the state directory away, as one would before a restore.
pub(super) fn without_state(bed: Bed) -> Bed {
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
    let report = restore(&backup, &bed.paths(), &key_file(&KEY), false, &bed.clock).unwrap();
    assert_eq!(report.audit_sequence, rows + 2, "the rows about the backup and the restore");
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
    bed.vault.audit_verify().unwrap();
    assert!(bed.rows().iter().any(|row| row.body.contains(r#""event":"restore""#)));
    let bed = bed.restarted();
    bed.vault.unlock(&key_file(&OTHER_KEY), Accept::default()).unwrap();
}

#[test]
fn t24_a_wrong_key_a_changed_byte_or_a_missing_piece_restores_nothing() {
    let (bed, ..) = Bed::furnished();
    let backup = bed.backup();
    let sound = std::fs::read(&backup).unwrap();
    let bed = without_state(bed);
    let tried = |bytes: &[u8], key: &[u8; 32]| {
        std::fs::write(&backup, bytes).unwrap();
        let refused = restore(&backup, &bed.paths(), &key_file(key), false, &bed.clock).unwrap_err();
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
    restore(&backup, &bed.paths(), &key_file(&KEY), false, &bed.clock).unwrap();
}

#[test]
fn t24_an_older_backup_is_refused_while_the_anchor_knows_better() {
    let (bed, bob, _) = Bed::furnished();
    let backup = bed.backup();
    bed.vault.revoke_bot("bob").unwrap();
    bed.lock();
    let bed = without_state(bed);
    let refused = restore(&backup, &bed.paths(), &key_file(&KEY), false, &bed.clock).unwrap_err();
    assert_eq!(refused.code(), "vault.rollback_detected");
    restore(&backup, &bed.paths(), &key_file(&KEY), true, &bed.clock).unwrap();
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
}

/// A backup's header, and its chunks with their lengths.
fn pieces(backup: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let slots = usize::from(backup[86]);
    let (header, mut rest) = backup.split_at(87 + slots * 163);
    let mut chunks = Vec::new();
    while let Some(length) = rest.first_chunk() {
        let (chunk, after) = rest.split_at(4 + u32::from_be_bytes(*length) as usize);
        chunks.push(chunk.to_vec());
        rest = after;
    }
    (header.to_vec(), chunks)
}

#[test]
fn t24_chunks_do_not_change_places_nor_backups() {
    let (bed, ..) = Bed::furnished();
    for _ in 0..3 {
        let long = Entry { body: "x".repeat(1024 * 1024), opens: None };
        let ledger = bed.vault.ledger().unwrap();
        ledger.settle(ledger.enqueue(UnixMs(0), vec![long], Vec::new())).unwrap();
    }
    let (header, one) = pieces(&bed.backup_bytes());
    let (other_header, other) = pieces(&bed.backup_bytes());
    let backup = bed.backup();
    let bed = without_state(bed);
    assert!(one.len() >= 4 && one.len() == other.len(), "{} chunks", one.len());
    let last = one.len() - 1;
    let spliced = |what: &'static str, header: &[u8], chunks: &[&[Vec<u8>]]| {
        let bytes = [header, &chunks.concat().concat()].concat();
        (what, bytes)
    };
    let mut cases = vec![
        spliced("another's header", &other_header, &[&one]),
        spliced("the first twice", &header, &[&one[..1], &one]),
        spliced("the last twice", &header, &[&one, &one[last..]]),
        spliced("no first", &header, &[&one[1..]]),
        spliced("no last", &header, &[&one[..last]]),
        spliced("one less in the middle", &header, &[&one[..1], &one[2..]]),
        spliced("only the last", &header, &[&one[last..]]),
        spliced("no chunk", &header, &[]),
    ];
    for at in 0..=last {
        cases.push(spliced("another's chunk", &header, &[&one[..at], &other[at..=at], &one[at + 1..]]));
    }
    for at in 1..=last {
        let mut exchanged = one.clone();
        exchanged.swap(at - 1, at);
        cases.push(spliced("two exchanged", &header, &[&exchanged]));
    }
    for (what, bytes) in cases {
        std::fs::write(&backup, bytes).unwrap();
        let refused = restore(&backup, &bed.paths(), &key_file(&KEY), false, &bed.clock).expect_err(what);
        assert_eq!(refused.code(), "vault.storage_corrupt", "{what}");
        assert!(!bed.paths().state_dir.exists(), "{what}");
    }
    std::fs::write(&backup, [header, one.concat()].concat()).unwrap();
    restore(&backup, &bed.paths(), &key_file(&KEY), true, &bed.clock).unwrap();
}

/// Sealed as a whole by the vault itself, after somebody had changed a row under it.
#[test]
fn t24_a_backup_with_a_row_that_is_not_the_vault_s_restores_nothing() {
    let cases = [
        ("UPDATE bot SET ciphertext = zeroblob(length(ciphertext))", "vault.tampered"),
        ("UPDATE policy SET salt = zeroblob(32)", "vault.tampered"),
        ("INSERT INTO policy SELECT * FROM bot LIMIT 1", "vault.manifest_mismatch"),
        ("DELETE FROM credential WHERE id = (SELECT min(id) FROM credential)", "vault.manifest_mismatch"),
        ("UPDATE bot SET version = version + 1", "vault.manifest_mismatch"),
        ("UPDATE state SET mac = zeroblob(32)", "vault.manifest_mismatch"),
        ("UPDATE audit SET body = body || ' ' WHERE seq = 3", "vault.audit_broken"),
        ("DELETE FROM audit WHERE seq = 2", "vault.audit_broken"),
        ("CREATE TABLE planted (x)", "vault.schema_mismatch"),
    ];
    for (sql, expected) in cases {
        let (bed, ..) = Bed::furnished();
        bed.vault.ledger().unwrap().run(sql);
        let backup = bed.backup();
        let bed = without_state(bed);
        let refused = restore(&backup, &bed.paths(), &key_file(&KEY), true, &bed.clock).expect_err(sql);
        assert_eq!(refused.code(), expected, "{sql}: {refused}");
        let left = std::fs::read_dir(bed.paths().state_dir).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "{sql}: something is left");
    }
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
        restore(&path, &paths_in(other.path()), &key_file(&KEY), false, &bed.clock).unwrap();
    }
}

#[test]
fn a_restore_that_ended_before_the_vault_had_its_name_is_done_again_without_more_ado() {
    let (bed, bob, _) = Bed::furnished();
    let backup = bed.backup();
    let other = tempfile::tempdir().unwrap();
    let paths = paths_in(other.path());
    for _ in 0..3 {
        restore(&backup, &paths, &key_file(&KEY), false, &bed.clock).unwrap();
        // What a kill leaves that comes after the anchor and before the name.
        std::fs::remove_dir_all(&paths.state_dir).unwrap();
    }
    restore(&backup, &paths, &key_file(&KEY), false, &bed.clock).unwrap();
    drop(bed.vault);
    let bed = Bed::over(other, bed.clock);
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn nothing_is_made_where_a_daemon_has_the_vault_open() {
    let (bed, ..) = Bed::furnished();
    let backup = bed.backup();
    let (state_dir, aside) = (bed.paths().state_dir, bed.dir.path().join("gone"));
    std::fs::rename(&state_dir, &aside).unwrap();
    let refused = restore(&backup, &bed.paths(), &key_file(&KEY), true, &bed.clock).unwrap_err();
    assert!(matches!(refused, RestoreError::Held), "{refused}");
    assert!(!state_dir.exists());
    std::fs::rename(&aside, &state_dir).unwrap();
    bed.lock();
    std::fs::rename(&state_dir, &aside).unwrap();
    restore(&backup, &bed.paths(), &key_file(&KEY), true, &bed.clock).unwrap();
    bed.unlock().unwrap();
}

#[test]
fn a_backup_is_verified_without_leaving_anything() {
    let (bed, bob, _) = Bed::furnished();
    bed.sign(&bob, "main").unwrap();
    bed.vault.rotate_key(&key_file(&KEY), &key_file(&OTHER_KEY)).unwrap();
    let backup = bed.backup();
    let rows = bed.rows();
    let temporary = bed.dir.path().join("temporary");
    let files = || std::fs::read_dir(bed.dir.path()).unwrap().count();
    let before = files();
    let report = verify(&backup, &key_file(&OTHER_KEY), &temporary).unwrap();
    assert_eq!((report.credentials, report.bots, report.policies, report.slots, report.epoch), (2, 2, 2, 1, 2));
    let made = Used::parse(&rows.last().unwrap().body).unwrap();
    assert_eq!((&*made.event, report.first_row, report.last_row), ("backup", 1, rows.last().unwrap().seq));
    assert_eq!(files(), before);

    assert!(matches!(verify(&backup, &key_file(&KEY), &temporary), Err(RestoreError::Failed)));
    let sound = std::fs::read(&backup).unwrap();
    for at in (300..sound.len()).step_by(sound.len() / 20) {
        let mut changed = sound.clone();
        changed[at] ^= 4;
        std::fs::write(&backup, changed).unwrap();
        assert!(matches!(verify(&backup, &key_file(&OTHER_KEY), &temporary), Err(RestoreError::Damaged)), "byte {at}");
        assert_eq!(files(), before, "byte {at}");
    }
    std::fs::create_dir(&temporary).unwrap();
    std::fs::write(temporary.join("mine"), "mine").unwrap();
    std::fs::write(&backup, sound).unwrap();
    assert!(verify(&backup, &key_file(&OTHER_KEY), &temporary).is_err());
    assert_eq!(std::fs::read_to_string(temporary.join("mine")).unwrap(), "mine");
}
