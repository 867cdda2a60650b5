//! A database of an older schema, brought to the next one at an unlock. There is no second schema yet, so this thread is
//! taken for a program that has one.

use super::bed::*;
use crate::store::connection::{self, next};
use crate::store::surgery::{content, operate};
use crate::vault::unlock::{Accept, UnlockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const SECOND: &str = "ALTER TABLE bot ADD COLUMN note TEXT; CREATE TABLE extra (one INTEGER PRIMARY KEY) STRICT;";
/// The system calls that change files.
pub(super) const WRITES: [&str; 8] =
    ["write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "renameat2", "unlink"];
/// Tells the child where its vault is.
pub(super) const PLACE: &str = "SIGNVAULT_TEST_MIGRATES";

/// A vault as the first schema has it, locked.
fn old_vault() -> (Bed, crate::secret::SecretText) {
    let (bed, bob, _) = Bed::furnished();
    bed.sign(&bob, "main").unwrap();
    bed.lock();
    (bed, bob)
}

fn version(path: &Path) -> u32 {
    connection::version(&rusqlite::Connection::open(path).unwrap()).unwrap()
}

fn migrations(bed: &Bed) -> usize {
    bed.rows().iter().filter(|row| row.body.contains(r#""event":"migrate","from":1,"to":2"#)).count()
}

#[test]
fn an_unlock_brings_an_older_vault_to_the_next_schema_and_keeps_a_copy() {
    let (bed, bob) = old_vault();
    next::have(SECOND);
    let bed = bed.reopened();
    assert_eq!(migrations(&bed), 1);
    bed.sign(&bob, "main").unwrap();
    bed.vault.rotate_bot("eve").unwrap();
    bed.vault.audit_verify().unwrap();
    bed.lock();
    assert_eq!(version(&bed.paths().database()), 2);
    let kept = bed.paths().older_database(1);
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let bed = bed.reopened();
    assert_eq!(migrations(&bed), 1, "only once");
    bed.lock();
    next::have_none();
}

#[test]
fn t92_an_older_program_refuses_a_newer_vault_and_opens_the_copy_of_before() {
    let (bed, bob) = old_vault();
    let before = content(&bed.paths());
    next::have(SECOND);
    bed.unlock().unwrap();
    bed.lock();
    next::have_none();
    let newer = content(&bed.paths());
    let refused = bed.unlock().unwrap_err();
    let UnlockError::Integrity(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.code(), "vault.schema_mismatch");
    assert_eq!(refused.to_string(), "the database has schema version 2, and this program knows up to 1");
    assert!(refused.help().contains("newer"), "{}", refused.help());
    assert_eq!(content(&bed.paths()), newer, "nothing was changed");
    std::fs::rename(bed.paths().older_database(1), bed.paths().database()).unwrap();
    assert_eq!(content(&bed.paths()), before);
    bed.unlock_accepting(Accept { rollback: true, clock: false }).unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn an_older_vault_that_was_changed_is_refused_before_anything_is_migrated() {
    for (sql, code) in [
        ("UPDATE state SET mac = zeroblob(32)", "vault.manifest_mismatch"),
        ("DELETE FROM bot", "vault.manifest_mismatch"),
        ("UPDATE audit SET body = '{}' WHERE seq = 2", "vault.audit_broken"),
        ("CREATE TABLE extra (one INTEGER PRIMARY KEY) STRICT", "vault.schema_mismatch"),
        ("PRAGMA user_version = 2", "vault.schema_mismatch"),
        ("PRAGMA user_version = 0", "vault.schema_mismatch"),
    ] {
        let (bed, _) = old_vault();
        operate(&bed.paths(), sql);
        let before = content(&bed.paths());
        next::have(SECOND);
        let refused = bed.unlock().unwrap_err();
        next::have_none();
        assert!(matches!(&refused, UnlockError::Integrity(refused) if refused.code() == code), "{sql}: {refused}");
        assert_eq!(content(&bed.paths()), before, "{sql}");
        assert!(!bed.paths().older_database(1).exists(), "{sql}");
    }
}

#[test]
fn a_migration_that_fails_leaves_the_older_vault() {
    for (what, migration) in [
        ("no statement", "CREATE TABLE extra (one INTEGER PRIMARY KEY) STRICT; CREATE TABLE ("),
        (
            "a change to what is sealed",
            "CREATE TABLE extra (one INTEGER PRIMARY KEY) STRICT; UPDATE nothing SET x = 1;",
        ),
    ] {
        let (bed, bob) = old_vault();
        next::have(migration);
        assert!(bed.unlock().is_err(), "{what}");
        next::have_none();
        let bed = bed.restarted();
        assert_eq!(version(&bed.paths().database()), 1, "{what}");
        bed.unlock().unwrap();
        bed.sign(&bob, "main").unwrap();
        assert_eq!(migrations(&bed), 0, "{what}");
        bed.lock();
        next::have(SECOND);
        bed.unlock().unwrap();
        assert_eq!(migrations(&bed), 1, "{what}");
        next::have_none();
    }
}

#[test]
fn a_copy_in_the_way_of_the_copy_is_replaced_and_a_link_not_followed() {
    let (bed, _) = old_vault();
    let mine = bed.dir.path().join("mine");
    std::fs::write(&mine, "mine").unwrap();
    for name in ["vault.db.v1", "vault.db.next"] {
        std::os::unix::fs::symlink(&mine, bed.paths().state_dir.join(name)).unwrap();
    }
    next::have(SECOND);
    bed.unlock().unwrap();
    next::have_none();
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(version(&bed.paths().older_database(1)), 1);
}

/// What the killed process does. By itself it does nothing.
#[test]
#[ignore = "a part of the test below"]
fn child_that_migrates() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    next::have(SECOND);
    let vault = vault_at(paths_in(Path::new(&place)), &clock());
    vault.unlock(&key_file(&KEY), Accept::default()).unwrap();
}

#[test]
#[ignore = "needs strace; a minute"]
fn t92_a_migration_that_is_killed_at_any_write_leaves_the_older_vault_or_the_newer_one() {
    let (old, bob) = old_vault();
    let mut states = [0, 0];
    for call in WRITES {
        for number in 1.. {
            let (bed, ended) = killed_at(&old, "migration::child_that_migrates", call, number);
            let at = version(&bed.paths().database());
            states[at as usize - 1] += 1;
            check_what_was_left(bed, at, &bob, &format!("killed at {call} {number}"));
            if ended {
                break;
            }
        }
    }
    assert!(states[0] > 20 && states[1] > 8, "{states:?}");
}

/// A copy of a vault that a child was killed over, and whether it was not.
pub(super) fn killed_at(old: &Bed, child: &str, call: &str, number: u32) -> (Bed, bool) {
    let copy = tempfile::tempdir().unwrap();
    for dir in ["state", "anchor"] {
        copy_dir(&old.dir.path().join(dir), &copy.path().join(dir));
    }
    let child = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={number}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("vault::tests::{child}"), "--test-threads=1"])
        .env(PLACE, copy.path())
        .output()
        .unwrap();
    let bed = Bed::over(copy, clock());
    // It may have been killed while its attempt was counted.
    bed.clock.pass(120_000);
    (bed, child.status.success())
}

fn check_what_was_left(bed: Bed, at: u32, bob: &crate::secret::SecretText, what: &str) {
    if at == 1 {
        bed.unlock().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(migrations(&bed), 0, "{what}");
        bed.lock();
    }
    next::have(SECOND);
    bed.unlock().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(migrations(&bed), 1, "{what}");
    bed.vault.audit_verify().unwrap();
    bed.sign(bob, "main").unwrap();
    assert_eq!(version(&bed.paths().older_database(1)), 1, "{what}");
    next::have_none();
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
