//! A clock that jumps: what is refused, what stands in the ledger, and what heals it.

use super::bed::*;
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
