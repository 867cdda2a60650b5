//! The queue, the permits, and what failing disks leave.

use super::*;
use crate::store::connection;
use crate::store::file::Paths;
use crate::store::writer::tests::{entry, new_writer, row};
use crate::store::{Durability, IntegrityError};
use std::sync::Barrier;
use std::thread;

fn new_ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let writer = new_writer(dir.path(), Durability::Full);
    (dir, Ledger::new(writer))
}

fn paths(dir: &tempfile::TempDir) -> Paths {
    Paths { state_dir: dir.path().join("state"), anchor_dir: dir.path().join("anchor") }
}

impl Ledger {
    fn say(&self, body: &str) -> Ticket {
        self.enqueue(UnixMs(0), vec![entry(body)], Vec::new())
    }

    fn bodies(&self) -> Vec<String> {
        self.rows(0, 10_000).unwrap().into_iter().map(|row| row.body).collect()
    }
}

fn seq(outcome: Outcome) -> u64 {
    outcome.unwrap()[0].seq
}

#[test]
fn rows_stand_in_the_order_of_the_queue_whoever_settles_first() {
    let (_dir, ledger) = new_ledger();
    let [one, two, three] = ["one", "two", "three"].map(|body| ledger.say(body));
    assert_eq!(seq(ledger.settle(three)), 4);
    assert_eq!(seq(ledger.settle(one)), 2);
    assert_eq!(seq(ledger.settle(two)), 3);
    assert_eq!(ledger.bodies(), ["first", "one", "two", "three"]);
}

#[test]
fn what_waits_together_is_one_commit() {
    let (_dir, ledger) = new_ledger();
    let tickets: Vec<Ticket> = (0..50).map(|at| ledger.say(&format!("row {at}"))).collect();
    assert_eq!(ledger.waiting(), 50);
    for (at, ticket) in tickets.into_iter().enumerate().rev() {
        assert_eq!(seq(ledger.settle(ticket)), at as u64 + 2);
        assert_eq!(ledger.waiting(), 0, "the first to settle wrote for all");
    }
}

#[test]
fn sixteen_threads_get_the_numbers_in_which_they_queued() {
    let (_dir, ledger) = new_ledger();
    let order = Mutex::new(Vec::new());
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for name in 0..16 {
            let (ledger, order, start) = (&ledger, &order, &start);
            scope.spawn(move || {
                start.wait();
                for count in 0..20 {
                    let body = format!("{name}/{count}");
                    let ticket = {
                        let mut order = order.lock();
                        order.push(body.clone());
                        ledger.say(&body)
                    };
                    let seq = seq(ledger.settle(ticket));
                    assert_eq!(order.lock()[seq as usize - 2], body);
                }
            });
        }
    });
    assert_eq!(ledger.bodies()[1..], *order.lock());
    assert_eq!(ledger.verify().unwrap().last.seq, 321);
}

#[test]
fn only_a_durable_row_that_opens_a_credential_makes_a_permit() {
    let (_dir, ledger) = new_ledger();
    let allowed = Entry { body: "allowed".into(), opens: Some(Id([1; 16])) };
    let receipts = ledger.settle(ledger.enqueue(UnixMs(0), vec![entry("denied"), allowed], Vec::new())).unwrap();
    assert!(receipts[0].permit.is_none());
    let permit = receipts[1].permit.as_ref().unwrap();
    assert_eq!((permit.credential(), permit.audit_seq()), (Id([1; 16]), 3));
}

#[test]
fn a_failed_commit_is_unavailable_for_all_that_waited_and_leaves_no_gap() {
    let (_dir, ledger) = new_ledger();
    let allowed = Entry { body: "lost".into(), opens: Some(Id([1; 16])) };
    let change = Change::Put(Table::Credential, row(1, 1));
    let one = ledger.enqueue(UnixMs(0), vec![allowed], Vec::new());
    let two = ledger.enqueue(UnixMs(0), vec![entry("lost too")], vec![change]);
    let before = ledger.standing();
    ledger.refuse_next_write();
    assert_eq!(ledger.settle(two).unwrap_err(), Unavailable);
    assert!(!ledger.standing().is_available);
    assert_eq!(ledger.settle(one).unwrap_err(), Unavailable);

    assert_eq!(seq(ledger.settle(ledger.say("next"))), 2);
    let after = ledger.standing();
    assert!(after.is_available);
    assert_eq!(after.state, before.state);
    assert_eq!(ledger.bodies(), ["first", "next"]);
    assert_eq!(ledger.verify().unwrap().last, after.tail);
}

#[test]
fn while_the_database_is_gone_all_is_unavailable_and_it_heals_by_itself() {
    let (dir, ledger) = new_ledger();
    ledger.refuse_next_write();
    ledger.settle(ledger.say("lost")).unwrap_err();
    let (here, away) = (paths(&dir).database(), dir.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    for _ in 0..3 {
        assert_eq!(ledger.settle(ledger.say("lost")).unwrap_err(), Unavailable);
        assert!(ledger.tend().is_err());
        assert!(!ledger.standing().is_available);
    }
    std::fs::rename(&away, &here).unwrap();
    ledger.tend().unwrap();
    assert!(ledger.standing().is_available, "nobody has to sign for it to be seen");
    assert_eq!(seq(ledger.settle(ledger.say("two"))), 2);
    assert_eq!(ledger.bodies(), ["first", "two"]);
}

#[test]
fn a_full_disk_is_unavailable_and_heals_when_there_is_room() {
    let (_dir, ledger) = new_ledger();
    let long = "x".repeat(100_000);
    ledger.with_writer(|writer| writer.allow_no_more_pages()).unwrap();
    let (small, large) = (ledger.say("small"), ledger.say(&long));
    assert_eq!(ledger.settle(small).unwrap_err(), Unavailable, "all or nothing");
    assert_eq!(ledger.settle(large).unwrap_err(), Unavailable);
    assert_eq!(seq(ledger.settle(ledger.say(&long))), 2);
    assert_eq!(ledger.verify().unwrap().last.seq, 2);
}

#[test]
fn what_is_owed_is_written_first_of_all_once_the_disk_allows() {
    let (_dir, ledger) = new_ledger();
    let change = Change::Put(Table::Bot, row(1, 1));
    let forgotten = ledger.say("forgotten");
    let owed = ledger.owe("something", UnixMs(0), vec![entry("owed")], vec![change]);
    ledger.refuse_next_write();
    ledger.settle(forgotten).unwrap_err();
    ledger.settle(owed).unwrap_err();
    assert_eq!(seq(ledger.settle(ledger.say("next"))), 3);
    assert_eq!(ledger.bodies(), ["first", "owed", "next"]);
    assert_eq!(ledger.standing().state.state_version, 2);
}

#[test]
fn what_is_owed_is_written_even_if_nobody_asks_for_more() {
    let (_dir, ledger) = new_ledger();
    let owed = ledger.owe("something", UnixMs(0), vec![entry("owed")], Vec::new());
    ledger.refuse_next_write();
    ledger.settle(owed).unwrap_err();
    ledger.tend().unwrap();
    assert_eq!(ledger.bodies(), ["first", "owed"]);
    assert_eq!(ledger.waiting(), 0);
}

#[test]
fn what_the_disk_refuses_while_nobody_waits_is_named_until_it_is_written() {
    let (_dir, ledger) = new_ledger();
    let _owed = ledger.owe("one is missing", UnixMs(0), vec![entry("owed")], Vec::new());
    ledger.refuse_next_write();
    ledger.tend().unwrap();
    assert_eq!(ledger.trouble(), Some("one is missing"));
    ledger.tend().unwrap();
    assert_eq!(ledger.trouble(), None);
    assert_eq!(ledger.bodies(), ["first", "owed"]);
}

#[test]
fn a_closed_ledger_writes_nothing_and_lets_the_database_go() {
    let (dir, ledger) = new_ledger();
    ledger.settle(ledger.say("two")).unwrap();
    ledger.close().unwrap();
    ledger.close().unwrap();
    assert_eq!(ledger.settle(ledger.say("late")).unwrap_err(), Unavailable);
    assert!(matches!(ledger.rows(0, 1), Err(StoreError::Closed)));
    assert!(matches!(ledger.tend(), Err(StoreError::Closed)));
    connection::open(&paths(&dir).database()).unwrap();
}

#[test]
fn looking_does_not_wait_for_the_disk() {
    let (_dir, ledger) = new_ledger();
    let _busy = ledger.stall();
    assert_eq!(ledger.standing().tail.seq, 1);
}

#[test]
fn t22_verification_names_the_first_row_that_does_not_follow() {
    let surgeries = [
        ("UPDATE audit SET body = 'other' WHERE seq = 3", 3),
        ("UPDATE audit SET head = zeroblob(32) WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq >= 4", 4),
        ("UPDATE audit SET seq = 9 WHERE seq = 5", 5),
    ];
    for (surgery, expected) in surgeries {
        let (_dir, ledger) = new_ledger();
        for body in ["two", "three", "four", "five"] {
            ledger.settle(ledger.say(body)).unwrap();
        }
        assert_eq!(ledger.verify().unwrap().last.seq, 5);
        ledger.with_writer(|writer| writer.run(surgery)).unwrap();
        match ledger.verify() {
            Err(StoreError::Integrity(IntegrityError::Audit { seq })) => assert_eq!(seq, expected, "{surgery}"),
            other => panic!("{surgery}: {other:?}"),
        }
    }
}

/// A ledger that waits for a moment only.
fn impatient() -> (tempfile::TempDir, Ledger) {
    let (dir, ledger) = new_ledger();
    (dir, ledger.waiting_at_most(Duration::from_millis(50)))
}

#[test]
fn nobody_waits_for_a_disk_that_hangs_and_what_was_refused_is_not_written_later() {
    let (_dir, ledger) = impatient();
    let disk = ledger.stall();
    assert_eq!(ledger.trouble(), None, "nobody has waited yet");
    assert_eq!(ledger.settle(ledger.say("refused")).unwrap_err(), Unavailable);
    assert_eq!(ledger.settle_to_the_end(ledger.say("refused too")).unwrap_err(), Unavailable);
    assert!(matches!(ledger.rows(0, 1), Err(StoreError::Late)));
    assert!(matches!(ledger.tend(), Err(StoreError::Late)));
    assert_eq!(ledger.waiting(), 0);
    assert_eq!(ledger.trouble(), Some("the disk that holds the ledger does not answer"));
    assert!(ledger.work_under_way().is_some());
    drop(disk);
    assert_eq!(ledger.work_under_way(), None);
    assert_eq!(seq(ledger.settle(ledger.say("two"))), 2);
    assert_eq!(ledger.trouble(), None);
    assert_eq!(ledger.bodies(), ["first", "two"]);
}

#[test]
fn what_is_owed_outlasts_a_disk_that_hangs_and_is_named_until_it_is_written() {
    let (_dir, ledger) = impatient();
    let disk = ledger.stall();
    let owed = ["one is missing", "another is missing"].map(|missing| {
        let ticket = ledger.owe(missing, UnixMs(0), vec![entry(missing)], Vec::new());
        ledger.settle(ticket).unwrap_err()
    });
    assert_eq!(owed, [Unavailable; 2]);
    assert_eq!(ledger.trouble(), Some("one is missing"));
    drop(disk);
    ledger.tend().unwrap();
    assert_eq!(ledger.trouble(), None);
    assert_eq!(ledger.bodies(), ["first", "one is missing", "another is missing"]);
}

#[test]
fn a_row_that_is_about_to_be_written_in_time_is_no_trouble() {
    let (_dir, ledger) = impatient();
    let ticket = ledger.owe("it is missing", UnixMs(0), vec![entry("two")], Vec::new());
    assert_eq!(ledger.trouble(), None);
    ledger.settle(ticket).unwrap();
}

#[test]
fn who_must_know_waits_for_what_the_disk_has_already() {
    let (_dir, ledger) = impatient();
    let ticket = ledger.say("two");
    let disk = ledger.stall();
    // Another has taken it into a transaction that hangs.
    let taken = ledger.queue.lock().take();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ledger.settle_to_the_end(ticket));
        thread::sleep(Duration::from_millis(150));
        assert!(!waiting.is_finished(), "three times as long as anyone waits");
        ledger.queue.lock().put_back(taken);
        drop(disk);
        assert_eq!(seq(waiting.join().unwrap()), 2);
    });
}

#[test]
fn a_ledger_that_owes_something_stays_open_until_it_is_written() {
    let (dir, ledger) = impatient();
    drop(ledger.owe("the lock is missing", UnixMs(0), vec![entry("lock")], Vec::new()));
    let disk = ledger.stall();
    assert!(matches!(ledger.close(), Err(StoreError::Late)));
    drop(disk);
    ledger.refuse_next_write();
    assert!(matches!(ledger.close(), Err(StoreError::Late)));
    assert_eq!(ledger.bodies(), ["first"]);
    ledger.refuse_next_write();
    assert!(matches!(ledger.close(), Err(StoreError::Late)));
    assert_eq!(ledger.trouble(), Some("the lock is missing"));
    ledger.close().unwrap();
    assert!(matches!(ledger.rows(0, 1), Err(StoreError::Closed)));
    assert_eq!(ledger.trouble(), None);
    assert_eq!(ledger.standing().tail.seq, 2);
    assert!(!paths(&dir).log().exists(), "one file is left");
}

#[test]
fn on_a_full_disk_only_what_is_urgent_is_written_and_denials_are_not() {
    let (dir, ledger) = new_ledger();
    ledger.space().keep_reserve(0).unwrap();
    ledger.space().pretend(Some(0));
    ledger.with_writer(|writer| writer.allow_no_more_pages()).unwrap();
    let long = || vec![entry(&"x".repeat(100_000))];
    let ordinary = ledger.enqueue(UnixMs(0), long(), Vec::new());
    let urgent = ledger.enqueue_urgent(UnixMs(0), vec![entry("cancel")], Vec::new());
    let owed = ledger.owe("it is missing", UnixMs(0), vec![entry("revoke")], Vec::new());
    assert_eq!(seq(ledger.settle(urgent)), 2, "the reserve makes room within one call");
    assert_eq!(seq(ledger.settle(owed)), 3);
    assert_eq!(ledger.settle(ordinary).unwrap_err(), Unavailable);
    assert!(!paths(&dir).reserve().exists());

    assert_eq!(ledger.settle(ledger.say("a denial")).unwrap_err(), Unavailable);
    assert_eq!(ledger.trouble(), Some("the disk that holds the ledger is full: at most cancels are signed"));
    ledger.space().pretend(None);
    assert_eq!(seq(ledger.settle(ledger.say("an order"))), 4);
    assert_eq!(ledger.trouble(), None);
    assert_eq!(ledger.bodies(), ["first", "cancel", "revoke", "an order"]);
}

/// Commits as fast as it can for a moment, with somebody who looks after the ledger when it says so. Returns the largest
/// log that was seen, and how often somebody looked.
fn under_load(ledger: &Ledger, log: &std::path::Path, rows: usize) -> (u64, u32) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let tender = scope.spawn(|| {
            let mut looked = 0;
            while !is_over.load(Ordering::Relaxed) {
                if ledger.is_due() {
                    ledger.tend_ahead().unwrap();
                    looked += 1;
                }
                thread::sleep(Duration::from_micros(200));
            }
            looked
        });
        let began = std::time::Instant::now();
        let (mut longest, body) = (0, "x".repeat(600));
        for turn in 0.. {
            let entries = (0..rows).map(|_| entry(&body)).collect();
            ledger.settle(ledger.enqueue(UnixMs(0), entries, Vec::new())).unwrap();
            if turn % 64 == 0 {
                longest = std::fs::metadata(log).unwrap().len().max(longest);
                if began.elapsed() > Duration::from_secs(2) {
                    break;
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
        (longest, tender.join().unwrap())
    })
}

#[test]
fn under_full_load_the_log_stays_short_and_every_row_is_there() {
    for durability in [Durability::Process, Durability::Full] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(new_writer(dir.path(), durability));
        let (longest, looked) = under_load(&ledger, &paths(&dir).log(), 100);
        assert!(longest < 64 << 20, "{durability:?}: {longest}");
        assert!(looked > 10, "{durability:?}: {looked}");
        let tail = ledger.standing().tail;
        assert_eq!(ledger.verify().unwrap().last, tail);
        ledger.tend().unwrap();
        assert!(!ledger.is_due());
        ledger.close().unwrap();
    }
}

#[test]
fn whoever_looks_ahead_does_not_keep_a_commit_from_its_place_nor_wait_for_another_who_does() {
    let (_dir, ledger) = impatient();
    let busy = ledger.tending.lock();
    assert_eq!(seq(ledger.settle(ledger.say("two"))), 2);
    ledger.tend_ahead().unwrap();
    assert!(matches!(ledger.tend(), Err(StoreError::Late)));
    assert!(matches!(ledger.close(), Err(StoreError::Late)));
    drop(busy);
    ledger.tend().unwrap();
    ledger.close().unwrap();
    assert!(matches!(ledger.tend_ahead(), Err(StoreError::Closed)));
}

#[test]
fn an_anchor_that_fails_ahead_of_need_makes_the_ledger_unavailable_until_it_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(new_writer(dir.path(), Durability::Process));
    ledger.settle(ledger.say("two")).unwrap();
    ledger.refuse_anchor();
    assert!(matches!(ledger.tend_ahead(), Err(StoreError::File { .. })));
    assert!(!ledger.standing().is_available && !ledger.is_due());
    assert_eq!(ledger.settle(ledger.say("refused")).unwrap_err(), Unavailable);
    ledger.mend_anchor();
    assert_eq!(seq(ledger.settle(ledger.say("three"))), 3);
    assert_eq!(ledger.bodies(), ["first", "two", "three"]);
}
