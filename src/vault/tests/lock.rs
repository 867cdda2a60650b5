//! Locking and unlocking, with others in the middle of something.

use super::bed::*;
use crate::vault::AdminError;
use crate::vault::sign::Refusal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn nothing_is_signed_after_a_lock_by_its_row() {
    let (bed, bob, _) = Bed::furnished();
    let id = bed.let_in(&bob).unwrap();
    let over = AtomicBool::new(false);
    let seqs = thread::scope(|scope| {
        let signers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seqs = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        match bed.sign_as(id, "main") {
                            Ok(signed) => seqs.push(signed.audit_seq),
                            Err(refusal) => assert_eq!(refusal, Refusal::Locked),
                        }
                    }
                    seqs
                })
            })
            .collect();
        for _ in 0..10 {
            bed.lock();
            assert_eq!(bed.sign_as(id, "main").unwrap_err(), Refusal::Locked);
            bed.unlock().unwrap();
        }
        bed.lock();
        over.store(true, Ordering::Relaxed);
        signers.into_iter().flat_map(|signer| signer.join().unwrap()).collect::<Vec<u64>>()
    });
    bed.unlock().unwrap();
    let rows = bed.rows();
    for seq in seqs {
        let row = &rows[seq as usize - 1];
        assert!(row.seq == seq && row.body.contains(r#""decision":"allow""#), "{seq}: {}", row.body);
    }
    // Between a lock's row and the next unlock's stands nothing.
    for pair in rows.windows(2).filter(|pair| pair[0].body.contains(r#""event":"lock""#)) {
        assert!(pair[1].body.contains(r#""event":"unlock""#), "{}", pair[1].body);
    }
    bed.vault.audit_verify().unwrap();
}

#[test]
fn an_unlock_right_after_a_lock_finds_the_database_free_whoever_still_holds_the_ledger() {
    let (bed, bob, _) = Bed::furnished();
    let held = bed.vault.ledger().unwrap();
    bed.lock();
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
    assert!(held.rows(0, 1).is_err(), "the old ledger is closed for good");
}

#[test]
fn an_unlock_that_meets_a_lock_waits_for_its_end() {
    let (bed, bob, _) = Bed::furnished();
    for _ in 0..20 {
        let ledger = bed.vault.ledger().unwrap();
        let disk = ledger.stall();
        thread::scope(|scope| {
            scope.spawn(|| bed.lock());
            while bed.vault.is_unlocked() {
                thread::yield_now();
            }
            let unlocking = scope.spawn(|| bed.unlock().map(|_| ()));
            drop(disk);
            unlocking.join().unwrap().unwrap();
        });
        bed.sign(&bob, "main").unwrap();
    }
}

#[test]
fn a_change_that_waits_for_the_disk_when_the_vault_locks_is_there_after_the_unlock() {
    let (bed, ..) = Bed::furnished();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    thread::scope(|scope| {
        let changing = scope.spawn(|| bed.vault.rotate_credential("main", secrets("two")).map(|_| ()));
        while ledger.waiting() == 0 {
            thread::yield_now();
        }
        let locking = scope.spawn(|| bed.lock());
        while bed.vault.is_unlocked() {
            thread::yield_now();
        }
        drop(disk);
        changing.join().unwrap().unwrap();
        locking.join().unwrap();
    });
    assert!(matches!(bed.vault.bots(), Err(AdminError::Locked)));
    bed.unlock().unwrap();
    bed.vault.rotate_credential("main", secrets("three")).unwrap();
    bed.reopened();
}
