//! A disk that hangs: what holds in memory holds at once, what does not is as if it had not been asked for, and what is
//! owed is written when the disk answers.

use super::bed::*;
use crate::types::mode::Mode;
use crate::vault::AdminError;
use crate::vault::Care;
use crate::vault::authenticate::NotLetIn;
use crate::vault::lock::Why;
use crate::vault::sign::Refusal;
use crate::vault::state::State;
use crate::vault::unlock::UnlockError;
use std::thread;
use std::time::Duration;

/// A furnished vault that waits for a moment only.
fn impatient() -> (Bed, crate::secret::SecretText, crate::secret::SecretText) {
    let (bed, bob, eve) = Bed::furnished();
    bed.vault.set_care(Care { max_wait: Duration::from_millis(50), ..bed.vault.care() });
    bed.lock();
    bed.unlock().unwrap();
    (bed, bob, eve)
}

#[test]
fn a_revocation_a_removal_and_modes_hold_at_once_and_their_rows_follow() {
    let (bed, bob, eve) = impatient();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    assert!(matches!(bed.vault.revoke_bot("bob"), Err(AdminError::AppliedInMemory)));
    assert!(matches!(bed.vault.set_mode(Mode::CancelOnly, Some("eve")), Err(AdminError::AppliedInMemory)));
    assert!(matches!(bed.vault.set_mode(Mode::ReduceOnly, None), Err(AdminError::AppliedInMemory)));
    assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
    let eve_id = bed.let_in(&eve).unwrap();
    assert_eq!(bed.vault.whoami(&eve_id.bot).unwrap().unwrap().mode, Mode::CancelOnly);
    assert_eq!(bed.sign_as(eve_id, "spare").unwrap_err(), Refusal::Unavailable);
    let position = bed.vault.position().unwrap();
    assert_eq!(position.ledger_trouble, Some("the row about a revocation is not written yet"));
    assert_eq!(position.mode, Mode::ReduceOnly);
    drop(disk);
    bed.vault.tend().unwrap();
    assert_eq!(bed.vault.position().unwrap().ledger_trouble, None);
    drop(ledger);
    let bed = bed.reopened();
    assert!(bed.vault.bot("bob").unwrap().revoked);
    assert_eq!(bed.vault.bot("eve").unwrap().mode, Mode::CancelOnly);
    assert_eq!(bed.vault.modes().unwrap().mode, Mode::ReduceOnly);
    let told = bed.rows().iter().filter(|row| row.body.contains("revoke") || row.body.contains("\"mode\"")).count();
    assert_eq!(told, 3, "each is told once");
}

#[test]
fn a_change_that_the_disk_did_not_take_in_time_is_as_if_it_had_not_been_asked_for() {
    let (bed, bob, _) = impatient();
    let rows = bed.rows().len();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    assert!(matches!(bed.vault.add_credential(credential("new", "new")), Err(AdminError::Unavailable)));
    assert!(matches!(bed.vault.rotate_bot("bob"), Err(AdminError::Unavailable)));
    drop(disk);
    bed.vault.tend().unwrap();
    assert!(bed.vault.credential("new").is_err());
    assert!(bed.let_in(&bob).is_ok());
    drop(ledger);
    let bed = bed.reopened();
    assert_eq!(bed.rows().len(), rows + 1, "only the unlock came since");
    assert!(bed.vault.credential("new").is_err());
}

#[test]
fn a_lock_holds_at_once_keeps_no_key_but_the_ledgers_and_is_finished_when_the_disk_answers() {
    let (bed, bob, _) = impatient();
    let caller = bed.let_in(&bob).unwrap();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    assert!(matches!(bed.vault.revoke_bot("eve"), Err(AdminError::AppliedInMemory)));
    for _ in 0..2 {
        assert!(matches!(bed.vault.lock(Why::Asked), Err(AdminError::AppliedInMemory)));
        assert!(matches!(&*bed.vault.state(), State::Closing(_)), "the keyring is gone with the rest");
        assert!(!bed.vault.is_unlocked() && bed.vault.position().is_none());
        assert!(matches!(bed.vault.bots(), Err(AdminError::Locked)));
        assert_eq!(bed.sign_as(caller, "main").unwrap_err(), Refusal::Locked);
        assert_eq!(bed.vault.trouble_closing(), Some("the row about a revocation is not written yet"));
        assert!(matches!(bed.unlock(), Err(UnlockError::Closing)));
        assert!(bed.vault.tend().is_err());
    }
    drop(disk);
    bed.vault.tend().unwrap();
    assert!(matches!(&*bed.vault.state(), State::Locked));
    assert_eq!(bed.vault.trouble_closing(), None);
    bed.unlock().unwrap();
    assert!(bed.vault.bot("eve").unwrap().revoked);
    let ends = bed.rows().into_iter().rev().take(3).map(|row| row.body).collect::<Vec<_>>();
    assert!(ends[0].contains("unlock") && ends[1].contains("\"lock\"") && ends[2].contains("revoke"), "{ends:?}");
}

#[test]
fn an_unlock_finishes_a_lock_that_the_disk_held_up() {
    let (bed, bob, _) = impatient();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    assert!(matches!(bed.vault.lock(Why::Asked), Err(AdminError::AppliedInMemory)));
    drop(disk);
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
    assert_eq!(bed.rows().iter().filter(|row| row.body.contains("\"event\":\"lock\"")).count(), 2);
}

#[test]
fn a_lock_whose_log_was_removed_is_finished_by_itself_and_loses_no_row() {
    let (bed, bob, _) = impatient();
    bed.sign(&bob, "main").unwrap();
    std::fs::remove_file(bed.paths().log()).unwrap();
    let _ = bed.vault.lock(Why::Asked);
    bed.vault.tend().unwrap();
    assert!(matches!(&*bed.vault.state(), State::Locked));
    bed.unlock().unwrap();
    let ends = bed.rows().into_iter().rev().take(3).map(|row| row.body).collect::<Vec<_>>();
    assert!(ends[1].contains("\"lock\"") && ends[2].contains("allow"), "{ends:?}");
}

#[test]
fn a_mode_does_not_wait_for_a_rotation_of_the_same_bot_and_both_hold() {
    let (bed, bob, _) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    let rotated = thread::scope(|scope| {
        let rotating = scope.spawn(|| bed.vault.rotate_bot("bob").unwrap().token);
        wait_for(&ledger, 1);
        let moding = scope.spawn(|| bed.vault.set_mode(Mode::CancelOnly, Some("bob")).map(drop));
        wait_for(&ledger, 2);
        assert_eq!(bed.vault.bot("bob").unwrap().mode, Mode::CancelOnly, "before the disk knows");
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
        drop(disk);
        moding.join().unwrap().unwrap();
        rotating.join().unwrap()
    });
    let check = |bed: &Bed| {
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
        assert!(bed.let_in(&rotated).is_ok());
        assert_eq!(bed.vault.bot("bob").unwrap().mode, Mode::CancelOnly);
    };
    check(&bed);
    drop(ledger);
    check(&bed.reopened());
}

#[test]
fn a_revocation_between_a_rotation_and_a_mode_stays() {
    let (bed, bob, _) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    let rotated = thread::scope(|scope| {
        let rotating = scope.spawn(|| bed.vault.rotate_bot("bob").unwrap().token);
        wait_for(&ledger, 1);
        drop(bed.vault.begin_to_revoke_bot("bob").unwrap());
        drop(bed.vault.begin_to_set_mode(Mode::ReduceOnly, Some("bob")).unwrap());
        drop(disk);
        rotating.join().unwrap()
    });
    let check = |bed: &Bed| {
        assert!(bed.let_in(&bob).is_err() && bed.let_in(&rotated).is_err());
        let shown = bed.vault.bot("bob").unwrap();
        assert_eq!((shown.revoked, shown.mode), (true, Mode::ReduceOnly));
    };
    check(&bed);
    bed.vault.tend().unwrap();
    drop(ledger);
    check(&bed.reopened());
}

#[test]
fn memory_and_disk_agree_when_the_disk_refuses_a_rotation_that_a_mode_came_after() {
    let (bed, bob, _) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    ledger.refuse_next_write();
    let disk = ledger.stall();
    thread::scope(|scope| {
        let rotating = scope.spawn(|| bed.vault.rotate_bot("bob").map(drop));
        wait_for(&ledger, 1);
        drop(bed.vault.begin_to_set_mode(Mode::CancelOnly, Some("bob")).unwrap());
        drop(disk);
        assert!(matches!(rotating.join().unwrap(), Err(AdminError::Unavailable)));
    });
    bed.vault.tend().unwrap();
    let check = |bed: &Bed| {
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed), "it is rotated again");
        assert_eq!(bed.vault.bot("bob").unwrap().mode, Mode::CancelOnly);
    };
    check(&bed);
    drop(ledger);
    let bed = bed.reopened();
    check(&bed);
    let token = bed.vault.rotate_bot("bob").unwrap().token;
    assert!(bed.let_in(&token).is_ok());
}
