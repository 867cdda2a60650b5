//! One who can write to the files: every change is refused before anything is signed, and nothing is changed in return.
//! The numbers are those of the test programme. Here the vault is driven in process, thousands of rounds; a sample of
//! each goes through the program as a whole elsewhere.

mod files;
mod fuzz;
mod ledger;
mod rows;
mod slots;

use super::bed::*;
use crate::secret::SecretText;
use crate::store::surgery::{SURGERIES, operate};
use crate::types::mode::Mode;
use crate::vault::unlock::{Accept, UnlockError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What must be in no refusal: pieces of the furnished vault's secrets.
const MARKERS: [&str; 4] = ["secret-", "pass-", "svb_", "ERERERER"];

/// Every file of the state and the anchor directory, but the reserve, which says nothing and is large.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A locked vault whose files are changed and put back again and again. A locked vault holds none of them open.
struct Rounds {
    bed: Bed,
    /// A token that signs with `main`.
    bob: SecretText,
    sound: Files,
}

impl Rounds {
    /// Over a vault with rows in every table.
    fn furnished() -> Rounds {
        let (bed, bob, _) = Bed::in_memory().furnish();
        bed.vault.set_mode(Mode::CancelOnly, None).unwrap();
        bed.sign(&bob, "main").unwrap();
        bed.lock();
        Rounds::over(bed, bob)
    }

    fn over(bed: Bed, bob: SecretText) -> Rounds {
        let bed = bed.restarted();
        let sound = files(&bed);
        Rounds { bed, bob, sound }
    }

    fn database(&self) -> PathBuf {
        self.bed.paths().database()
    }

    fn anchor(&self) -> PathBuf {
        self.bed.paths().anchor()
    }

    /// Everything as it was.
    fn put_back(&self) {
        for path in files(&self.bed).keys().filter(|path| !self.sound.contains_key(*path)) {
            std::fs::remove_file(path).unwrap();
        }
        for (path, content) in &self.sound {
            std::fs::write(path, content).unwrap();
        }
    }

    /// What the vault says to the right key. It says no, and leaves the files as they are.
    #[track_caller]
    fn refusal(&self, what: &str) -> UnlockError {
        let before = files(&self.bed);
        let refused = self.bed.unlock().expect_err(what);
        assert!(!self.bed.vault.is_unlocked(), "{what}");
        let told = format!("{refused} {refused:?}");
        assert!(MARKERS.iter().all(|marker| !told.contains(marker)), "{what}: {told}");
        self.nothing_changed_since(&before, &refused, what);
        refused
    }

    #[track_caller]
    fn nothing_changed_since(&self, before: &Files, refused: &UnlockError, what: &str) {
        let mut after = files(&self.bed);
        if code(refused) == "unlock.failed" {
            // A wrong key and a changed slot look the same, so it counts as an attempt.
            after.insert(self.bed.paths().attempts(), before[&self.bed.paths().attempts()].clone());
        }
        let names = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
        let changed: Vec<&PathBuf> = names.collect();
        assert!(changed.is_empty(), "{what}: {refused}, but {changed:?} changed");
    }

    /// As [`Rounds::refusal`], with one of these codes; then everything is put back.
    #[track_caller]
    fn refuses(&self, what: &str, codes: &[&str]) {
        let refused = self.refusal(what);
        assert!(codes.contains(&code(&refused)), "{what}: {}: {refused}", code(&refused));
        self.put_back();
    }

    /// A statement on the database, refused with this code.
    #[track_caller]
    fn round(&self, sql: &str, expected: &str) {
        operate(&self.bed.paths(), sql);
        self.refuses(sql, &[expected]);
    }

    /// With everything put back it opens, and signs.
    #[track_caller]
    fn opens(self) {
        self.bed.unlock().unwrap();
        self.bed.sign(&self.bob, "main").unwrap();
        self.bed.vault.audit_verify().unwrap();
    }
}

fn files(bed: &Bed) -> Files {
    let (paths, reserve) = (bed.paths(), bed.paths().reserve());
    let mut found = Files::new();
    for dir in [paths.state_dir, paths.anchor_dir] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path != reserve {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn code(refused: &UnlockError) -> &'static str {
    match refused {
        UnlockError::Integrity(inner) => inner.code(),
        UnlockError::Failed => "unlock.failed",
        UnlockError::OutOfBounds => "vault.kdf_out_of_bounds",
        other => panic!("{other:?}"),
    }
}

impl Bed {
    /// Everything a person could see.
    fn shown(&self) -> String {
        let vault = &self.vault;
        let shown = (
            vault.credentials().unwrap(),
            vault.bots().unwrap(),
            vault.policies().unwrap(),
            vault.slots().unwrap(),
            vault.modes().unwrap(),
        );
        serde_json::to_string(&shown).unwrap()
    }
}

#[test]
fn every_surgery_on_the_database_is_refused_with_its_code() {
    let rounds = Rounds::furnished();
    for surgery in SURGERIES {
        operate(&rounds.bed.paths(), surgery.sql);
        rounds.refuses(surgery.name, &[surgery.code]);
    }
    rounds.opens();
}
