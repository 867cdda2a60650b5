//! One who can write to the files: every change is refused before anything is signed, and nothing is changed in return.

use super::bed::*;
use crate::store::surgery::{SURGERIES, content, operate, restore_table};
use crate::vault::unlock::{Accept, UnlockError};
use crate::wire::CredentialEdit;
use std::path::PathBuf;

impl Bed {
    /// Copies of the database and the anchor as they are.
    fn kept(&self, name: &str) -> (PathBuf, PathBuf) {
        let (database, anchor) =
            (self.dir.path().join(format!("{name}.db")), self.dir.path().join(format!("{name}.anchor")));
        std::fs::copy(self.paths().database(), &database).unwrap();
        std::fs::copy(self.paths().anchor(), &anchor).unwrap();
        (database, anchor)
    }

    /// Puts copies back, in a new process, after the back-off.
    fn put_back(self, kept: &(PathBuf, PathBuf)) -> Bed {
        std::fs::copy(&kept.0, self.paths().database()).unwrap();
        std::fs::copy(&kept.1, self.paths().anchor()).unwrap();
        self.clock.pass(60_000);
        self.restarted()
    }

    /// The vault refuses to open with this code, and leaves the files as they are.
    #[track_caller]
    fn refuses(&self, expected: &str, what: &str) {
        let files = || (content(&self.paths()), std::fs::read(self.paths().anchor()).ok());
        let before = files();
        let refused = self.unlock().expect_err(what);
        assert_eq!(code(&refused), expected, "{what}: {refused}");
        assert!(!self.vault.is_unlocked(), "{what}");
        assert_eq!(files(), before, "{what}: nothing is changed in return");
    }

    /// Everything a person could see.
    fn shown(&self) -> String {
        let vault = &self.vault;
        let shown =
            (vault.credentials().unwrap(), vault.bots().unwrap(), vault.policies().unwrap(), vault.slots().unwrap());
        serde_json::to_string(&shown).unwrap()
    }
}

fn code(refused: &UnlockError) -> &'static str {
    match refused {
        UnlockError::Integrity(inner) => inner.code(),
        UnlockError::Failed => "unlock.failed",
        UnlockError::OutOfBounds => "vault.kdf_out_of_bounds",
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_surgery_on_the_database_is_refused_with_its_code() {
    let (bed, bob, _) = Bed::furnished();
    bed.sign(&bob, "main").unwrap();
    bed.lock();
    let sound = bed.kept("sound");
    let mut bed = bed.restarted();
    for surgery in SURGERIES {
        operate(&bed.paths(), surgery.sql);
        bed.refuses(surgery.code, surgery.name);
        bed = bed.put_back(&sound);
    }
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_table_out_of_an_older_copy_is_refused() {
    let (bed, ..) = Bed::furnished();
    bed.lock();
    let older = bed.kept("older");
    let bed = bed.reopened();
    bed.vault.rotate_credential("main", secrets("two")).unwrap();
    bed.vault.revoke_bot("bob").unwrap();
    bed.set_policy("trader", r#"grants = ["read"]"#);
    bed.vault.remove_slot(2).unwrap();
    bed.lock();
    let newest = bed.kept("newest");
    let mut bed = bed.restarted();
    let cases = [
        ("credential", "vault.manifest_mismatch"),
        ("bot", "vault.manifest_mismatch"),
        ("policy", "vault.manifest_mismatch"),
        ("slot", "vault.manifest_mismatch"),
        ("state", "vault.manifest_mismatch"),
        ("audit", "vault.audit_broken"),
    ];
    for (table, expected) in cases {
        restore_table(&bed.paths(), &older.0, table);
        bed.refuses(expected, table);
        bed = bed.put_back(&newest);
    }
    bed.unlock().unwrap();
}

#[test]
fn an_older_database_is_a_rollback_until_a_person_accepts_it() {
    let (bed, bob, _) = Bed::furnished();
    bed.lock();
    let older = bed.kept("older");
    let bed = bed.reopened();
    bed.vault.revoke_bot("bob").unwrap();
    bed.lock();
    let bed = bed.restarted();
    std::fs::copy(&older.0, bed.paths().database()).unwrap();
    bed.refuses("vault.rollback_detected", "an older database");

    bed.clock.pass(60_000);
    bed.unlock_accepting(Accept { rollback: true, clock: false }).unwrap();
    assert!(bed.last_row().contains(r#""accepted_rollback":true"#));
    bed.sign(&bob, "main").unwrap();
    let bed = bed.reopened();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_ledger_cut_behind_the_anchor_is_a_rollback() {
    let (bed, bob, _) = Bed::furnished();
    for _ in 0..5 {
        bed.sign(&bob, "main").unwrap();
    }
    bed.lock();
    let bed = bed.restarted();
    operate(&bed.paths(), "DELETE FROM audit WHERE seq > (SELECT max(seq) FROM audit) - 3");
    bed.refuses("vault.rollback_detected", "the ledger's tail");
}

#[test]
fn an_anchor_that_is_gone_changed_or_anothers_is_refused() {
    let other = Bed::empty();
    other.lock();
    let (bed, ..) = Bed::furnished();
    bed.lock();
    let sound = bed.kept("sound");
    let mut bed = bed.restarted();
    let anchor = bed.paths().anchor();
    let cases: [(&str, &dyn Fn()); 4] = [
        ("gone", &|| std::fs::remove_file(&anchor).unwrap()),
        ("zeros", &|| std::fs::write(&anchor, [0; 512]).unwrap()),
        ("cut short", &|| std::fs::write(&anchor, b"SGNV").unwrap()),
        ("another vault's", &|| std::fs::write(&anchor, std::fs::read(other.paths().anchor()).unwrap()).unwrap()),
    ];
    for (what, tamper) in cases {
        tamper();
        bed.refuses("vault.rollback_detected", what);
        bed = bed.put_back(&sound);
    }
    std::fs::remove_file(&anchor).unwrap();
    bed.unlock_accepting(Accept { rollback: true, clock: false }).unwrap();
    bed.reopened();
}

#[test]
fn another_vaults_database_under_this_anchor_is_refused() {
    let (bed, ..) = Bed::furnished();
    bed.lock();
    let other = Bed::empty();
    other.lock();
    std::fs::copy(other.paths().database(), bed.paths().database()).unwrap();
    bed.restarted().refuses("vault.rollback_detected", "another vault's database");
}

#[test]
fn a_flipped_bit_anywhere_in_the_file_is_refused_or_changes_nothing() {
    let (bed, bob, _) = Bed::furnished();
    bed.sign(&bob, "main").unwrap();
    bed.vault.edit_credential("main", CredentialEdit { label: Some("x".into()), ..CredentialEdit::default() }).unwrap();
    let bed = bed.reopened();
    let (shown, rows) = (bed.shown(), bed.rows().len());
    bed.lock();
    let sound = bed.kept("sound");
    let bytes = std::fs::read(&sound.0).unwrap();
    let mut bed = bed.restarted();
    let mut refused = 0;
    // A prime step visits every kind of page at every offset.
    for at in (0..bytes.len()).step_by(383) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(bed.paths().database(), flipped).unwrap();
        match bed.unlock() {
            Err(_) => refused += 1,
            Ok(_) => {
                assert_eq!(bed.shown(), shown, "byte {at}");
                assert_eq!(bed.rows().len(), rows + 2, "byte {at}: the lock and this unlock came since");
            }
        }
        bed = bed.put_back(&sound);
    }
    assert!(refused > 0);
}
