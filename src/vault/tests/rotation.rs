//! A new vault key: one of the two opens the vault whatever happens, and nothing that is true at once waits for it.

use super::bed::*;
use super::migration::{PLACE, WRITES, killed_at};
use crate::store::ledger::{Change, Entry};
use crate::store::record::Table;
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use crate::types::mode::Mode;
use crate::vault::AdminError;
use crate::vault::authenticate::NotLetIn;
use crate::vault::bot::Bot;
use crate::vault::lock::Why;
use crate::vault::rotation::Queued;
use crate::vault::slot::SlotChangeError;
use crate::vault::state::State;
use crate::vault::unlock::{Accept, UnlockError};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::thread;
use std::time::Instant;

const NEW_KEY: [u8; 32] = [0x33; 32];
const NEWEST_KEY: [u8; 32] = [0x44; 32];

impl Bed {
    fn rotate(&self, old: &[u8; 32], new: &[u8; 32]) -> Result<Vec<String>, SlotChangeError> {
        self.vault.rotate_key(&key_file(old), &key_file(new))
    }

    /// A rotation up to its place in the queue.
    fn queue_rotation(&self) -> Queued {
        let turn = self.vault.turn();
        self.vault.queue_rotation(&turn, &key_file(&KEY), &key_file(&NEW_KEY)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn opens_with(&self, key: &[u8; 32]) -> bool {
        let opened = self.vault.unlock(&key_file(key), Accept::default());
        // The next try is not to wait for this one.
        self.clock.pass(120_000);
        match opened {
            Ok(_) => true,
            Err(UnlockError::Failed) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// Ends the process, and expects that the old key opens nothing and the new one a sound vault.
    fn expect_after_restart(self, opens: &[u8; 32], refused: &[u8; 32], what: &str) -> Bed {
        let bed = self.restarted();
        assert!(!bed.opens_with(refused), "{what}");
        assert!(bed.opens_with(opens), "{what}");
        bed.vault.audit_verify().unwrap();
        bed
    }

    /// How many of these are in any of its files.
    fn files_hold(&self, parts: &[Vec<u8>]) -> usize {
        let dirs = [self.paths().state_dir, self.paths().anchor_dir];
        let files = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path());
        let files: Vec<Vec<u8>> = files.map(|file| std::fs::read(file).unwrap()).collect();
        let mut wanted: HashMap<&[u8], Vec<&Vec<u8>>> = HashMap::new();
        parts.iter().for_each(|part| wanted.entry(&part[..8]).or_default().push(part));
        let mut found: HashSet<&Vec<u8>> = HashSet::new();
        for file in &files {
            for at in 0..file.len().saturating_sub(8) {
                let starting = wanted.get(&file[at..at + 8]).into_iter().flatten();
                found.extend(starting.copied().filter(|part| file[at..].starts_with(part)));
            }
        }
        found.len()
    }
}

#[test]
fn tokens_work_on_and_only_the_new_key_opens_the_vault() {
    let (bed, bob, eve) = Bed::furnished();
    bed.sign(&bob, "main").unwrap();
    bed.vault.revoke_bot("eve").unwrap();
    bed.vault.set_mode(Mode::ReduceOnly, None).unwrap();
    let told = bed.rotate(&KEY, &NEW_KEY).unwrap();
    assert!(told[0].contains("slot 2 (key file) was removed") && told[0].contains("slot add key-file"), "{told:?}");
    assert!(bed.last_row().contains(r#""event":"key_rotation","epoch":2,"slot":1,"removed_slots":[2]"#));
    bed.sign(&bob, "main").unwrap();
    bed.vault.audit_verify().unwrap();

    let bed = bed.expect_after_restart(&NEW_KEY, &KEY, "the first rotation");
    bed.sign(&bob, "main").unwrap();
    assert_eq!(bed.let_in(&eve), Err(NotLetIn::Failed));
    assert_eq!(bed.vault.modes().unwrap().mode, Mode::ReduceOnly);
    assert!(matches!(bed.rotate(&KEY, &NEWEST_KEY), Err(SlotChangeError::Unlock(UnlockError::Failed))));
    bed.clock.pass(120_000);

    bed.rotate(&NEW_KEY, &NEWEST_KEY).unwrap();
    bed.vault.rotate_bot("eve").unwrap();
    let bed = bed.expect_after_restart(&NEWEST_KEY, &NEW_KEY, "the second");
    assert!(!bed.opens_with(&OTHER_KEY));
    bed.sign(&bob, "main").unwrap();
    assert_eq!(bed.vault.audit_verify().unwrap().first, 1);
}

#[test]
fn what_is_true_at_once_does_not_wait_for_a_rotation_and_is_sealed_under_the_key_that_holds() {
    for (what, fails) in [("the rotation holds", false), ("the disk refuses it", true)] {
        let (bed, bob, eve) = Bed::furnished();
        bed.vault.add_bot(bot("joe", "main", None)).unwrap();
        let turn = bed.vault.turn();
        let queued = bed.vault.queue_rotation(&turn, &key_file(&KEY), &key_file(&NEW_KEY));
        let queued = queued.unwrap_or_else(|error| panic!("{error}"));
        let ledger = bed.vault.ledger().unwrap();
        if fails {
            ledger.refuse_next_write();
        }
        thread::scope(|scope| {
            let disk = ledger.stall();
            let urgent: Vec<_> = [
                scope.spawn(|| bed.vault.revoke_bot("eve").map(drop)),
                scope.spawn(|| bed.vault.remove_bot("joe")),
                scope.spawn(|| bed.vault.set_mode(Mode::CancelOnly, None).map(drop)),
                scope.spawn(|| bed.vault.set_mode(Mode::ReduceOnly, Some("bob")).map(drop)),
            ]
            .into();
            wait_for(&ledger, 5);
            assert_eq!(bed.let_in(&eve), Err(NotLetIn::Failed), "{what}");
            assert_eq!(bed.vault.modes().unwrap().mode, Mode::CancelOnly);
            drop(disk);
            let told: Vec<bool> = urgent.into_iter().map(|one| one.join().unwrap().is_ok()).collect();
            // After the refusal one of the four meets a disk that works again, with all that is owed.
            assert!(fails || told.iter().all(|ok| *ok), "{what}: {told:?}");
        });
        assert_eq!(bed.vault.finish_rotation(queued).is_ok(), !fails, "{what}");
        drop(turn);
        assert_eq!(bed.vault.modes().unwrap().bots["bob"], Mode::ReduceOnly, "{what}");
        bed.vault.tend().unwrap();
        drop(ledger);
        let (opens, refused) = if fails { (KEY, NEW_KEY) } else { (NEW_KEY, KEY) };
        let bed = bed.expect_after_restart(&opens, &refused, what);
        assert!(bed.vault.bot("eve").unwrap().revoked, "{what}");
        assert!(bed.vault.bot("joe").is_err(), "{what}");
        let modes = bed.vault.modes().unwrap();
        assert_eq!((modes.mode, modes.bots["bob"]), (Mode::CancelOnly, Mode::ReduceOnly), "{what}");
        bed.sign(&bob, "main").unwrap();
    }
}

#[test]
fn what_changed_between_the_reading_of_a_record_and_the_queue_is_sealed_from_memory() {
    let (bed, bob, eve) = Bed::furnished();
    let clock = bed.clock.hold_readers();
    thread::scope(|scope| {
        let rotation = scope.spawn(|| bed.rotate(&KEY, &NEW_KEY));
        drop(clock);
        // Whichever step of the rotation these meet, they hold afterwards.
        bed.vault.set_mode(Mode::ReduceOnly, Some("bob")).unwrap();
        bed.vault.revoke_bot("eve").unwrap();
        bed.vault.set_mode(Mode::CancelOnly, None).unwrap();
        rotation.join().unwrap().unwrap();
    });
    let bed = bed.expect_after_restart(&NEW_KEY, &KEY, "changes beside it");
    assert_eq!(bed.let_in(&eve), Err(NotLetIn::Failed));
    let modes = bed.vault.modes().unwrap();
    assert_eq!((modes.mode, modes.bots["bob"]), (Mode::CancelOnly, Mode::ReduceOnly));
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_lock_in_the_middle_locks_and_exactly_one_key_opens_the_vault_afterwards() {
    let (bed, bob, _) = Bed::furnished();
    let queued = bed.queue_rotation();
    bed.lock();
    assert!(!bed.vault.is_unlocked());
    // The lock's own row took the rotation with it.
    bed.vault.finish_rotation(queued).unwrap();
    assert!(!bed.vault.is_unlocked());
    let bed = bed.expect_after_restart(&NEW_KEY, &KEY, "locked before the end");
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_quota_that_is_full_only_for_a_rotation_leaves_no_row_of_one_and_the_old_key() {
    let (bed, bob, _) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    ledger.space().pretend(Some(1 << 40));
    let takes_a_short_row = || {
        ledger.allow_no_more_pages();
        ledger.settle(ledger.enqueue(UnixMs(0), vec![Entry { body: "{}".to_owned(), opens: None }], Vec::new())).is_ok()
    };
    while takes_a_short_row() {}
    ledger.space().keep_reserve(0).unwrap();
    let queued = bed.queue_rotation();
    ledger.allow_no_more_pages();
    assert!(matches!(bed.vault.finish_rotation(queued), Err(AdminError::Unavailable)));
    assert!(!bed.rows().iter().any(|row| row.body.contains("key_rotation")), "it tells of what did not happen");
    bed.vault.set_mode(Mode::CancelOnly, None).unwrap();
    drop(ledger);
    let bed = bed.expect_after_restart(&KEY, &NEW_KEY, "a full quota");
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_record_that_was_exchanged_in_the_file_is_not_sealed_again() {
    let (bed, _, _) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    // What a write that failed after it was written leaves for who reads along: another record of the same version.
    let other = {
        let state = bed.vault.state();
        let State::Unlocked(unlocked) = &*state else { panic!("it is locked") };
        let (id, entry) = unlocked.bot_named("bob").unwrap();
        let json = serde_json::to_vec(&Bot { uids: vec![7], ..entry.bot.clone() }).unwrap();
        unlocked.keyring.seal(Table::Bot, id, entry.version, &json).unwrap()
    };
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    ledger.run(&format!(
        "UPDATE bot SET salt = x'{}', commitment = x'{}', ciphertext = x'{}' WHERE id = x'{}'",
        hex(&other.sealed.salt),
        hex(&other.sealed.commitment),
        hex(&other.sealed.ciphertext),
        hex(other.id.as_bytes())
    ));
    assert!(bed.rotate(&KEY, &NEW_KEY).is_err());
    assert_eq!(bed.vault.bot("bob").unwrap().uids, Vec::<u32>::new());
}

#[test]
fn a_disk_that_refuses_at_any_step_leaves_the_old_key_and_the_next_rotation_works() {
    for steps in 0..2 {
        for (what, refuse) in [
            ("the transaction", (|bed: &Bed| bed.vault.ledger().unwrap().refuse_next_write()) as fn(&Bed)),
            ("its last page", |bed| bed.vault.ledger().unwrap().fail_before_commit()),
            ("the anchor", |bed| bed.vault.ledger().unwrap().refuse_anchor()),
        ] {
            let (bed, bob, _) = Bed::furnished();
            for number in 0..40 {
                bed.vault.add_credential(credential(&format!("c{number}"), "x")).unwrap();
            }
            let queued = bed.queue_rotation();
            refuse(&bed);
            assert!(matches!(bed.vault.finish_rotation(queued), Err(AdminError::Unavailable)), "{what}");
            let bed = match steps {
                0 => bed.expect_after_restart(&KEY, &NEW_KEY, what),
                _ => bed,
            };
            if steps == 1 {
                bed.vault.ledger().unwrap().mend_anchor();
                bed.sign(&bob, "main").unwrap();
                bed.vault.audit_verify().unwrap();
            }
            bed.rotate(&KEY, &NEW_KEY).unwrap();
            bed.sign(&bob, "main").unwrap();
            let bed = bed.expect_after_restart(&NEW_KEY, &KEY, what);
            bed.sign(&bob, "main").unwrap();
        }
    }
}

#[test]
fn a_commit_that_failed_but_reached_the_disk_is_taken_back() {
    let (bed, bob, _) = Bed::furnished();
    let queued = bed.queue_rotation();
    bed.vault.ledger().unwrap().mishear_next_commit();
    assert!(matches!(bed.vault.finish_rotation(queued), Err(AdminError::Unavailable)));
    // What comes next finds the new key on the disk, and the old one in memory.
    bed.sign(&bob, "main").unwrap();
    bed.vault.set_mode(Mode::ReduceOnly, None).unwrap();
    bed.vault.audit_verify().unwrap();
    let bed = bed.expect_after_restart(&KEY, &NEW_KEY, "taken back");
    assert!(bed.rows().iter().all(|row| !row.body.contains("key_rotation")));
    assert!(bed.opens_with(&OTHER_KEY), "the other slot is back too");
    bed.rotate(&OTHER_KEY, &NEW_KEY).unwrap();
    bed.expect_after_restart(&NEW_KEY, &KEY, "again");
}

#[test]
fn a_process_that_ends_between_a_commit_and_its_answer_has_the_new_key() {
    let (bed, bob, _) = Bed::furnished();
    let before = std::fs::read(bed.paths().anchor()).unwrap();
    let queued = bed.queue_rotation();
    bed.vault.ledger().unwrap().mishear_next_commit();
    assert!(bed.vault.finish_rotation(queued).is_err());
    let after = std::fs::read(bed.paths().anchor()).unwrap();
    assert_eq!((0..2).filter(|slot| before[slot * 256..][..256] != after[slot * 256..][..256]).count(), 1);
    let bed = bed.expect_after_restart(&NEW_KEY, &KEY, "between commit and anchor");
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn either_slot_of_the_anchor_is_enough_after_a_rotation() {
    for slot in [0, 1] {
        let (bed, ..) = Bed::furnished();
        bed.rotate(&KEY, &NEW_KEY).unwrap();
        let mut anchor = std::fs::read(bed.paths().anchor()).unwrap();
        anchor[slot * 256..][..256].fill(0xee);
        let bed = bed.restarted();
        std::fs::write(bed.paths().anchor(), anchor).unwrap();
        assert!(bed.opens_with(&NEW_KEY), "slot {slot}");
    }
}

#[test]
fn a_database_of_before_the_rotation_is_a_rollback() {
    let (bed, ..) = Bed::furnished();
    bed.lock();
    let older = std::fs::read(bed.paths().database()).unwrap();
    bed.unlock().unwrap();
    bed.rotate(&KEY, &NEW_KEY).unwrap();
    bed.lock();
    std::fs::write(bed.paths().database(), older).unwrap();
    let refused = bed.unlock().unwrap_err();
    assert!(
        matches!(refused, UnlockError::Integrity(ref error) if error.code() == "vault.rollback_detected"),
        "{refused}"
    );
}

#[test]
fn nothing_that_the_old_key_sealed_is_left_in_any_file() {
    let (bed, bob, _) = Bed::furnished();
    for number in 0..60 {
        let name = format!("c{number}");
        bed.vault.add_credential(credential(&name, &"x".repeat(number * 17))).unwrap();
        if number % 3 == 0 {
            bed.vault.rotate_credential(&name, secrets(&"y".repeat(number * 23))).unwrap();
        }
        if number % 7 == 0 {
            bed.vault.remove_credential(&name).unwrap();
        }
    }
    let ledger = bed.vault.ledger().unwrap();
    let mut old: Vec<Vec<u8>> = ledger
        .slots()
        .unwrap()
        .into_iter()
        .flat_map(|(header, c, wrapped)| [header[32..64].to_vec(), c, wrapped])
        .collect();
    for table in Table::ALL {
        for row in ledger.records(table, None, 1000).unwrap() {
            old.extend([row.sealed.salt.to_vec(), row.sealed.commitment.to_vec()]);
            old.extend(row.sealed.ciphertext.chunks_exact(24).map(<[u8]>::to_vec));
        }
    }
    assert!(old.len() > 1000);
    let found = bed.files_hold(&old);
    assert!(found > old.len() * 9 / 10, "the search finds what does not cross two pages: {found} of {}", old.len());
    bed.rotate(&KEY, &NEW_KEY).unwrap();
    assert_eq!(bed.files_hold(&old), 0, "while the vault is unlocked");
    bed.sign(&bob, "main").unwrap();
    bed.lock();
    assert_eq!(bed.files_hold(&old), 0, "after the lock");
}

/// What the killed process does. By itself it does nothing.
#[test]
#[ignore = "a part of the test below"]
fn child_that_rotates() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let vault = vault_at(paths_in(Path::new(&place)), &clock());
    vault.unlock(&key_file(&KEY), Accept::default()).unwrap();
    vault.rotate_key(&key_file(&KEY), &key_file(&NEW_KEY)).unwrap();
    vault.lock(Why::Asked).unwrap();
}

#[test]
#[ignore = "needs strace; a minute"]
fn a_rotation_that_is_killed_at_any_write_leaves_exactly_one_of_the_two_keys() {
    let (old, bob, _) = Bed::furnished();
    old.lock();
    let mut opened = [0, 0];
    for call in WRITES {
        for number in 1.. {
            let (bed, ended) = killed_at(&old, "rotation::child_that_rotates", call, number);
            let what = format!("killed at {call} {number}");
            let is_old = bed.opens_with(&KEY);
            let is_new = if is_old { false } else { bed.opens_with(&NEW_KEY) };
            assert!(is_old || is_new, "{what}");
            opened[usize::from(is_new)] += 1;
            bed.vault.audit_verify().unwrap();
            bed.sign(&bob, "main").unwrap();
            let (opens, refused) = if is_old { (KEY, NEW_KEY) } else { (NEW_KEY, KEY) };
            let bed = bed.expect_after_restart(&opens, &refused, &what);
            assert_eq!(bed.vault.slots().unwrap().len(), if is_old { 2 } else { 1 }, "{what}");
            bed.rotate(&opens, &NEWEST_KEY).unwrap_or_else(|error| panic!("{what}: {error}"));
            bed.sign(&bob, "main").unwrap();
            if ended {
                break;
            }
        }
    }
    assert!(opened[0] > 20 && opened[1] > 8, "{opened:?}");
}

#[test]
#[ignore = "half a minute: a hundred thousand records"]
fn a_hundred_thousand_records_are_sealed_again() {
    let (bed, bob, _) = Bed::furnished();
    let changes = bed.vault.look(|unlocked| {
        let model = unlocked.bot_named("bob").unwrap().1.bot.clone();
        let change = |number: u128| {
            let bot = Bot { name: format!("bot-{number}"), ..model.clone() };
            let json = serde_json::to_vec(&bot).unwrap();
            let id = Id(((1 << 120) + number).to_be_bytes());
            Change::Put(Table::Bot, unlocked.keyring.seal(Table::Bot, id, 1, &json).unwrap())
        };
        (0..100_000).map(change).collect::<Vec<_>>()
    });
    let ledger = bed.vault.ledger().unwrap();
    let entry = Entry { body: "{}".to_owned(), opens: None };
    ledger.settle(ledger.enqueue(UnixMs(0), vec![entry], changes.unwrap())).unwrap();
    drop(ledger);
    let bed = bed.reopened();
    let (begun, mut longest, mut signed) = (Instant::now(), std::time::Duration::ZERO, 0);
    thread::scope(|scope| {
        let rotation = scope.spawn(|| bed.rotate(&KEY, &NEW_KEY));
        while !rotation.is_finished() {
            let asked = Instant::now();
            bed.clock.pass(100);
            bed.sign(&bob, "main").unwrap();
            (longest, signed) = (longest.max(asked.elapsed()), signed + 1);
        }
        rotation.join().unwrap().unwrap();
    });
    let told = format!("{:?}; {signed} signatures meanwhile, the slowest took {longest:?}", begun.elapsed());
    assert!(begun.elapsed().as_secs() < 120 && signed > 100 && longest.as_secs() < 10, "{told}");
    let (mut bytes, mut longest) = (0, std::time::Duration::ZERO);
    thread::scope(|scope| {
        let backup = scope.spawn(|| {
            bed.vault.backup(&mut |piece| {
                bytes += piece.len();
                Ok(())
            })
        });
        while !backup.is_finished() {
            let asked = Instant::now();
            bed.clock.pass(100);
            bed.sign(&bob, "main").unwrap();
            longest = longest.max(asked.elapsed());
        }
        backup.join().unwrap().unwrap();
    });
    assert!(bytes > 50_000_000 && longest.as_secs() < 2, "{bytes} bytes; the slowest signature took {longest:?}");
    let bed = bed.expect_after_restart(&NEW_KEY, &KEY, "a large vault");
    assert_eq!(bed.vault.bots().unwrap().len(), 100_002);
}

#[test]
fn a_rotation_of_a_locked_vault_is_refused() {
    let bed = Bed::locked();
    assert!(matches!(bed.rotate(&KEY, &NEW_KEY), Err(SlotChangeError::Admin(AdminError::Locked))));
    assert!(bed.vault.lock(Why::Asked).is_ok());
    assert!(Path::new(&bed.paths().database()).exists());
}
