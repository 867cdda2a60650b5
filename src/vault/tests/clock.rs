//! A clock that jumps: what is refused, what stands in the ledger, and what heals it.

use super::bed::*;
use crate::types::clock::{Clock, UnixMs};
use crate::types::decision::Code;
use crate::vault::sign::Refusal;
use crate::vault::unlock::Accept;

const ACCEPT_CLOCK: Accept = Accept { rollback: false, clock: true };

fn is_denied_for_the_clock<T>(answer: &Result<T, Refusal>) -> bool {
    matches!(answer, Err(Refusal::Denied { denial, .. }) if denial.code == Code::ClockJump)
}

#[test]
fn a_jump_is_denied_with_a_row_and_heals_after_ten_sane_seconds() {
    let (bed, bob, _) = Bed::furnished();
    for jump in [3_600_000, -3_600_000, 6000, -6000] {
        bed.sign(&bob, "main").unwrap();
        bed.clock.jump(jump);
        let denied = bed.sign(&bob, "main");
        assert!(is_denied_for_the_clock(&denied), "{jump}");
        let Err(Refusal::Denied { audit_seq, .. }) = denied else { panic!() };
        let row = bed.rows().pop().unwrap();
        assert_eq!(row.seq, audit_seq);
        assert!(row.body.contains(r#""code":"clock.jump""#), "{}", row.body);
        assert!(!bed.vault.position().unwrap().clock_is_sane);

        bed.clock.jump(-jump);
        assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")), "back, but not for long enough");
        bed.clock.pass(9_999);
        assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")));
        bed.clock.pass(1);
        bed.sign(&bob, "main").unwrap();
        assert!(bed.vault.position().unwrap().clock_is_sane);
    }
}

#[test]
fn a_small_step_and_the_passing_of_time_are_no_jump() {
    let (bed, bob, _) = Bed::furnished();
    for _ in 0..100 {
        bed.clock.pass(3_600_000);
        bed.sign(&bob, "main").unwrap();
    }
    bed.clock.jump(5000);
    bed.sign(&bob, "main").unwrap();
    bed.clock.jump(-10_000);
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_jump_while_the_disk_works_is_not_signed_for() {
    let (bed, bob, _) = Bed::furnished();
    let id = bed.let_in(&bob).unwrap();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| bed.sign_as(id, "main"));
        while ledger.waiting() == 0 {
            std::thread::yield_now();
        }
        bed.clock.jump(3_600_000);
        drop(disk);
        assert!(is_denied_for_the_clock(&signing.join().unwrap()));
    });
}

#[test]
fn a_person_may_accept_the_clock_as_it_is_and_the_ledger_says_so() {
    let (bed, bob, _) = Bed::furnished();
    bed.clock.jump(3_600_000);
    assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")));
    bed.unlock().unwrap();
    assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")), "an unlock alone accepts nothing");
    bed.unlock_accepting(ACCEPT_CLOCK).unwrap();
    assert!(bed.last_row().contains(r#""accepted_clock":true"#), "{}", bed.last_row());
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_clock_behind_what_the_vault_has_seen_does_not_sign_until_it_is_accepted() {
    let (bed, bob, _) = Bed::furnished();
    bed.clock.pass(86_400_000);
    bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
    bed.lock();
    bed.clock.jump(-7_200_000);
    bed.unlock().unwrap();
    assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")));
    bed.lock();
    bed.unlock_accepting(ACCEPT_CLOCK).unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn an_accepted_clock_is_accepted_by_the_next_unlock_too() {
    let (bed, bob, _) = Bed::furnished();
    bed.clock.pass(86_400_000);
    bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
    bed.clock.jump(-7_200_000);
    bed.lock();
    bed.unlock_accepting(ACCEPT_CLOCK).unwrap();
    let bed = bed.reopened();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn a_change_during_a_jump_does_not_raise_what_the_next_unlock_compares_with() {
    let (bed, bob, _) = Bed::furnished();
    let ten_years = 315_576_000_000;
    bed.clock.jump(ten_years);
    bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
    bed.clock.jump(-ten_years);
    let bed = bed.reopened();
    bed.sign(&bob, "main").unwrap();
}

const HOUR: i64 = 3_600_000;

#[test]
fn t71_no_signature_carries_a_time_that_the_boot_clock_contradicts() {
    let to = |moment: &str| UnixMs::parse_rfc3339(moment).unwrap();
    type Fault = fn(&HandClock);
    let faults: [(&str, Fault); 6] = [
        ("an hour ahead", |clock| clock.jump(HOUR)),
        ("an hour behind", |clock| clock.jump(-HOUR)),
        ("31 seconds ahead", |clock| clock.jump(31_000)),
        ("the end of 32 bits", |clock| clock.set(UnixMs::parse_rfc3339("2038-01-19T03:14:08Z").unwrap())),
        ("the end of 32 bits without a sign", |clock| clock.set(UnixMs(4_294_967_296_000))),
        ("standing still", |clock| clock.freeze(5_001)),
    ];
    assert_eq!(UnixMs(4_294_967_296_000), to("2106-02-07T06:28:16Z"));
    for (name, fault) in faults {
        let (bed, bob, _) = Bed::furnished();
        let (true_wall, true_boot) = (bed.clock.wall(), bed.clock.now().boot_ms);
        fault(&bed.clock);
        let rows = bed.rows().len();
        assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")), "{name}");
        assert_eq!(bed.rows().len(), rows + 1, "{name}: denied with a row");
        bed.set_policy("new", r#"grants = ["read"]"#);
        let passed = i64::try_from(bed.clock.now().boot_ms - true_boot).unwrap();
        bed.clock.set(true_wall.plus_ms(passed));
        assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")), "{name}: back, but not for long enough");
        bed.clock.pass(10_000);
        bed.sign(&bob, "main").unwrap();
        bed.lock();
        bed.unlock().unwrap();
        bed.sign(&bob, "main").unwrap_or_else(|error| panic!("{name} left its mark: {error:?}"));
    }
}

#[test]
fn t71_a_clock_that_the_kernel_calls_synchronised_is_believed_and_the_ledger_says_from_where_to_where() {
    for jump in [HOUR, -HOUR, 31_000] {
        let (bed, bob, _) = Bed::furnished();
        let before = bed.clock.wall();
        bed.clock.jump(jump);
        bed.vault.tend().unwrap();
        assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")), "nobody vouches for it");
        bed.clock.set_synchronised(true);
        assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")), "nobody has asked the kernel yet");
        bed.vault.tend().unwrap();
        let row = format!(r#""event":"clock","from":"{before}","to":"{}","why":"synchronised""#, bed.clock.wall());
        assert!(bed.last_row().contains(&row), "{}", bed.last_row());
        bed.sign(&bob, "main").unwrap();
        bed.vault.tend().unwrap();
        assert!(!bed.last_row().contains("clock"), "once is enough");
        bed.clock.set_synchronised(false);
        let bed = bed.reopened();
        bed.sign(&bob, "main").unwrap();
    }
}

#[test]
fn t71_a_clock_that_is_believed_again_is_durable_first() {
    let (bed, bob, _) = Bed::furnished();
    bed.clock.jump(HOUR);
    bed.clock.set_synchronised(true);
    bed.vault.ledger().unwrap().refuse_next_write();
    assert!(bed.vault.tend().is_err());
    assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")));
    bed.vault.tend().unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn t71_corrections_of_a_synchronised_clock_do_not_add_up_to_a_jump() {
    for is_synchronised in [true, false] {
        let (bed, bob, _) = Bed::furnished();
        bed.clock.set_synchronised(is_synchronised);
        for _ in 0..3 {
            bed.clock.jump(2000);
            bed.vault.tend().unwrap();
        }
        assert_eq!(is_denied_for_the_clock(&bed.sign(&bob, "main")), !is_synchronised);
    }
}

#[test]
fn t71_a_clock_that_ran_ahead_and_was_never_synchronised_is_no_brick() {
    let (bed, bob, _) = Bed::furnished();
    bed.lock();
    // A dead battery: it is 2038 when the machine starts, and nobody can tell yet.
    bed.clock.jump(400_000 * HOUR);
    bed.unlock().unwrap();
    bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
    bed.clock.pass(HOUR);
    bed.lock();
    bed.clock.jump(-400_000 * HOUR);
    bed.unlock().unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn t71_where_nothing_synchronises_the_clock_a_rollback_is_noticed_at_the_next_unlock() {
    let (bed, bob, _) = Bed::furnished();
    bed.clock.pass(48 * HOUR);
    bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
    bed.lock();
    bed.clock.jump(-HOUR);
    bed.unlock().unwrap();
    assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")));
    bed.unlock_accepting(ACCEPT_CLOCK).unwrap();
    bed.sign(&bob, "main").unwrap();
}

#[test]
fn t71_a_synchronised_clock_counts_while_the_vault_was_locked_too() {
    let (bed, bob, _) = Bed::furnished();
    bed.lock();
    bed.clock.pass(48 * HOUR);
    bed.clock.set_synchronised(true);
    bed.unlock().unwrap();
    bed.vault.tend().unwrap();
    bed.set_policy("trader", r#"grants = ["read", "trade"]"#);
    bed.lock();
    bed.clock.set_synchronised(false);
    bed.clock.jump(-HOUR);
    bed.unlock().unwrap();
    assert!(is_denied_for_the_clock(&bed.sign(&bob, "main")));
    bed.clock.set_synchronised(true);
    bed.vault.tend().unwrap();
    bed.sign(&bob, "main").unwrap();
}
