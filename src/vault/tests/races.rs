//! Who goes first? Signers race whoever ends what they may do, in every order that a model checker comes up with: the
//! real vault over the real ledger and a real database, with shuttle's mutexes instead of parking_lot's.
//!
//! A schedule passes if no signature stands behind the row that ends it, none was asked for after the action had
//! answered, and memory and disk agree afterwards. The controls at the end show that a wrong order is found.
//!
//! Run by `make races`: in this build no mutex works outside a schedule, so no other test does.

use super::bed::*;
use crate::audit::event::{Action, Event, to_body};
use crate::secret::SecretText;
use crate::store::StoreError;
use crate::store::ledger::Entry;
use crate::store::ledger::reading::StoredRow;
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::mode::Mode;
use crate::vault::AdminError;
use crate::vault::authenticate::Caller;
use crate::vault::change::Prepared;
use crate::vault::lock::Why;
use crate::vault::sign::{Asked, Refusal, Signed, sign};
use crate::vault::state::State;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const SIGNERS: usize = 3;
/// What each signer asks for.
const ASKS: usize = 2;
/// Schedules of each scheduler and race.
const SCHEDULES: usize = 200;
/// How many changes of mind a schedule of [`PctScheduler`] may need to show a fault.
const DEPTH: usize = 3;
/// The same schedules every time.
const SEED: u64 = 0x5157;

/// A furnished vault's files, and the token of the bot `bob`.
struct Furnished {
    files: TempDir,
    bob: String,
}

/// A directory in memory where there is one: a schedule syncs its files some dozen times.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for name in ["state", "anchor"] {
        std::fs::create_dir(to.join(name)).unwrap();
        for file in std::fs::read_dir(from.join(name)).unwrap() {
            let file = file.unwrap().path();
            std::fs::copy(&file, to.join(name).join(file.file_name().unwrap())).unwrap();
        }
    }
}

fn explore(scheduler: impl Scheduler + 'static, run: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // SQLite and the wiping of stacks need more than shuttle gives.
    config.stack_size = 2 * 1024 * 1024;
    config.failure_persistence = FailurePersistence::Print;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(run);
}

impl Furnished {
    fn make() -> Furnished {
        let made = Arc::new(Mutex::new(None));
        let making = Arc::clone(&made);
        explore(RandomScheduler::new_from_seed(SEED, 1), move || {
            let (bed, bob, _) = Bed::furnished();
            bed.lock();
            let files = directory();
            copy(bed.dir.path(), files.path());
            // EXPOSE: to the schedules, whose vaults are all this one.
            *making.lock().unwrap() = Some(Furnished { files, bob: bob.expose().to_owned() });
        });
        made.lock().unwrap().take().unwrap()
    }

    fn unlocked(&self) -> Bed {
        let dir = directory();
        copy(self.files.path(), dir.path());
        let bed = Bed::over_files(dir);
        bed.unlock().unwrap();
        bed
    }
}

/// Asks for an order: what a stricter mode takes away too.
fn order(bed: &Bed, caller: Caller, name: &str) -> Result<Signed, Refusal> {
    let body = Some(format!(r#"{{"instId":"BTC-USDT","clOrdId":"{name}"}}"#));
    let request = Request { method: Method::Post, path: "/api/v5/trade/order".to_owned(), body };
    let ask = Ask { credential: "main".to_owned(), wanted: Wanted::Request(request) };
    sign(&bed.vault, vec![Asked { caller, uid: None, ask }]).pop().unwrap()
}

/// Something that ends what the bot `bob` may do.
#[derive(Clone, Copy)]
struct Ending {
    /// Does it, and says whether it holds: what could not be written in time does not, if memory waits for the disk.
    act: fn(&Bed) -> bool,
    /// What its row says, and no other.
    row: &'static str,
}

/// One schedule: signers, and an ending in the middle of them.
fn race(bed: Bed, bob: &str, ending: Ending) {
    let bed = Arc::new(bed);
    let caller = bed.let_in(&SecretText::new(bob.to_owned())).unwrap();
    let answered = Arc::new(AtomicBool::new(false));
    let signers: Vec<_> = (0..SIGNERS)
        .map(|number| {
            let (bed, answered) = (Arc::clone(&bed), Arc::clone(&answered));
            thread::spawn(move || {
                let ask = |count| {
                    let late = answered.load(Ordering::SeqCst);
                    let signed = order(&bed, caller, &format!("n{number}c{count}")).ok()?;
                    assert!(!late, "signed although asked after the answer");
                    Some(signed.audit_seq)
                };
                (0..ASKS).filter_map(ask).collect::<Vec<u64>>()
            })
        })
        .collect();
    let holds = (ending.act)(&bed);
    answered.store(holds, Ordering::SeqCst);
    let signed: Vec<u64> = signers.into_iter().flat_map(|signer| signer.join().unwrap()).collect();
    check(&bed, &signed, holds.then_some(ending.row));
    assert!(holds || !bed.rows().iter().any(|row| row.body.contains(ending.row)), "refused, but the row stands");
}

/// Whether an action that is true at once holds: it does, whatever the disk takes in time.
#[track_caller]
fn at_once<T>(done: Result<T, AdminError>) -> bool {
    match done {
        Ok(_) | Err(AdminError::AppliedInMemory) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Whether an action holds that is true once it is durable.
#[track_caller]
fn once_durable<T>(done: Result<T, AdminError>) -> bool {
    match done {
        Ok(_) => true,
        Err(AdminError::Unavailable) => false,
        Err(error) => panic!("{error}"),
    }
}

/// What must be true after every schedule.
fn check(bed: &Bed, signed: &[u64], ending: Option<&str>) {
    // What is owed is written now, and a lock that was not finished is.
    tend_until_done(bed);
    if !bed.vault.is_unlocked() {
        bed.unlock().unwrap();
    }
    let rows = bed.rows();
    let end = ending.map_or(u64::MAX, |ending| {
        let mut ends = rows.iter().filter(|row| row.body.contains(ending));
        ends.next_back().expect("a row about the ending").seq
    });
    for seq in signed {
        assert!(*seq < end, "row {seq} was signed for after row {end}, which ended it");
        assert!(rows[*seq as usize - 1].body.contains(r#""decision":"allow""#), "a signature without its row");
    }
    let late = rows.iter().find(|row| row.seq > end && row.body.contains(r#""decision":"allow""#));
    assert!(late.is_none(), "row {} allows after row {end}, which ended it", late.map_or(0, |row| row.seq));
    bed.vault.audit_verify().unwrap();
    let in_memory = shown(bed);
    bed.lock();
    bed.unlock().unwrap();
    assert_eq!(in_memory, shown(bed), "memory said something else than the disk");
}

/// What a person can see of bots, credentials and modes, but for when they were last used.
fn shown(bed: &Bed) -> String {
    let mut bots = bed.vault.bots().unwrap();
    bots.iter_mut().for_each(|bot| bot.last_seen = None);
    let mut credentials = bed.vault.credentials().unwrap();
    credentials.iter_mut().for_each(|credential| credential.last_used = None);
    serde_json::to_string(&(bots, credentials, bed.vault.modes().unwrap())).unwrap()
}

/// Tries an ending under both schedulers.
fn try_out(ending: Ending) {
    let furnished = Arc::new(Furnished::make());
    let again = Arc::clone(&furnished);
    explore(RandomScheduler::new_from_seed(SEED, SCHEDULES), move || {
        race(furnished.unlocked(), &furnished.bob, ending);
    });
    explore(PctScheduler::new_from_seed(SEED, DEPTH, SCHEDULES), move || {
        race(again.unlocked(), &again.bob, ending);
    });
}

const REVOKED: &str = r#""action":"revoke""#;
const ROTATED: &str = r#""event":"bot","action":"rotate""#;
const LOCKED: &str = r#""event":"lock","why":"asked""#;
const IN_MODE: &str = r#""event":"mode""#;

#[test]
fn t33_no_order_of_events_signs_after_a_revoke() {
    try_out(Ending { act: |bed| at_once(bed.vault.revoke_bot("bob")), row: REVOKED });
}

#[test]
fn t33_no_order_of_events_signs_after_a_revoke_that_the_disk_refuses_at_first() {
    let act = |bed: &Bed| {
        bed.vault.ledger().unwrap().refuse_next_write();
        at_once(bed.vault.revoke_bot("bob"))
    };
    try_out(Ending { act, row: REVOKED });
}

#[test]
fn t33_no_order_of_events_signs_after_a_removal() {
    let row = r#""event":"bot","action":"remove""#;
    try_out(Ending { act: |bed| at_once(bed.vault.remove_bot("bob")), row });
}

#[test]
fn t33_no_order_of_events_signs_after_a_lock() {
    try_out(Ending { act: |bed| at_once(bed.vault.lock(Why::Asked)), row: LOCKED });
}

#[test]
fn t33_no_order_of_events_signs_an_order_after_cancel_only() {
    let act = |bed: &Bed| at_once(bed.vault.set_mode(Mode::CancelOnly, None));
    try_out(Ending { act, row: IN_MODE });
}

#[test]
fn t33_no_order_of_events_signs_an_order_after_cancel_only_for_the_bot() {
    let act = |bed: &Bed| at_once(bed.vault.set_mode(Mode::CancelOnly, Some("bob")));
    try_out(Ending { act, row: IN_MODE });
}

#[test]
fn t33_no_order_of_events_signs_with_a_token_that_was_replaced() {
    try_out(Ending { act: |bed| once_durable(bed.vault.rotate_bot("bob")), row: ROTATED });
}

#[test]
fn t33_no_order_of_events_signs_with_a_credential_that_was_removed() {
    let row = r#""event":"credential","action":"remove""#;
    try_out(Ending { act: |bed| once_durable(bed.vault.remove_credential("main")), row });
}

/// Runs both at once and waits for both.
fn both(bed: &Bed, one: impl FnOnce(&Bed) + Send, other: impl FnOnce(&Bed)) {
    thread::scope(|scope| {
        let one = scope.spawn(|| one(bed));
        other(bed);
        one.join().unwrap();
    });
}

/// Does what the daemon does every second, until nobody else had the disk for as long as it waits and nothing is owed.
fn tend_until_done(bed: &Bed) {
    loop {
        match bed.vault.tend() {
            Ok(()) if bed.vault.ledger().map_or(true, |ledger| ledger.trouble().is_none()) => return,
            Ok(()) | Err(AdminError::Unavailable | AdminError::AppliedInMemory) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Every ledger row, asked for again whenever a signer had the disk for as long as one waits.
fn rows_in_the_end(bed: &Bed) -> Vec<StoredRow> {
    loop {
        match bed.vault.ledger().unwrap().rows(0, 10_000) {
            Err(StoreError::Late) => thread::yield_now(),
            rows => return rows.unwrap(),
        }
    }
}

#[test]
fn t33_a_new_token_on_its_way_does_not_bring_a_revoked_bot_back() {
    let act = |bed: &Bed| {
        both(bed, |bed| drop(bed.vault.rotate_bot("bob")), |bed| assert!(at_once(bed.vault.revoke_bot("bob"))));
        tend_until_done(bed);
        let rows = rows_in_the_end(bed);
        let seq_of = |text: &str| rows.iter().find(|row| row.body.contains(text)).map(|row| row.seq);
        let comes_back = seq_of(ROTATED) > seq_of(REVOKED);
        assert_eq!(bed.vault.bot("bob").unwrap().revoked, !comes_back, "the last row does not say what holds");
        true
    };
    try_out(Ending { act, row: REVOKED });
}

#[test]
fn t33_a_revoke_that_meets_a_lock_either_holds_or_says_that_it_does_not() {
    let act = |bed: &Bed| {
        let revoked = AtomicBool::new(false);
        both(
            bed,
            |bed| match bed.vault.revoke_bot("bob") {
                Err(AdminError::Locked) => (),
                done => revoked.store(at_once(done), Ordering::SeqCst),
            },
            |bed| assert!(at_once(bed.vault.lock(Why::Asked))),
        );
        tend_until_done(bed);
        bed.unlock().unwrap();
        assert_eq!(bed.vault.bot("bob").unwrap().revoked, revoked.load(Ordering::SeqCst));
        at_once(bed.vault.lock(Why::Asked))
    };
    try_out(Ending { act, row: LOCKED });
}

#[test]
fn t33_two_locks_at_once_are_one() {
    let act = |bed: &Bed| {
        let lock = |bed: &Bed| assert!(at_once(bed.vault.lock(Why::Asked)));
        both(bed, lock, lock);
        !bed.vault.is_unlocked()
    };
    try_out(Ending { act, row: LOCKED });
}

/// Whether some order of events shows what is wrong with an ending.
#[track_caller]
fn is_found(ending: Ending) {
    let payload = catch_unwind(AssertUnwindSafe(|| try_out(ending))).expect_err("a wrong order was not found");
    let words = payload.downcast_ref::<String>().map_or("", String::as_str);
    assert!(words.contains("which ended it") || words.contains("asked after the answer"), "{words}");
}

/// As changes that may wait for the disk do it: memory follows when the row is durable.
#[test]
fn t33_a_revoke_that_is_believed_only_once_it_is_durable_would_be_found() {
    let act = |bed: &Bed| {
        let prepare =
            |_: &_, now| Ok(Prepared::new(now, Event::Bot { action: Action::Revoke, bot: "bob" }, vec![], ()));
        let revoked = bed.vault.change(prepare, |unlocked, ()| {
            let (id, _) = unlocked.bot_named("bob").unwrap();
            unlocked.bots.get_mut(&id).unwrap().bot.revoked = true;
        });
        once_durable(revoked)
    };
    is_found(Ending { act, row: REVOKED });
}

/// A row that is queued after the lock on memory was let go, when others may have queued theirs.
#[test]
fn t33_a_lock_whose_row_comes_before_it_holds_would_be_found() {
    let act = |bed: &Bed| {
        let now = crate::types::clock::Clock::now(&*bed.clock);
        let ledger = bed.vault.ledger().unwrap();
        let entry = Entry { body: to_body(now, Event::Lock { why: "asked" }), opens: None };
        let ticket = ledger.enqueue(now.wall, vec![entry], Vec::new());
        *bed.vault.state() = State::Locked;
        let is_durable = ledger.settle_to_the_end(ticket).is_ok();
        while ledger.close().is_err() {}
        is_durable
    };
    is_found(Ending { act, row: LOCKED });
}
