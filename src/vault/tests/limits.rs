//! Limits, modes and policies while they change: what counts, what holds meanwhile, and what a restart remembers.

use super::backup::without_state;
use super::bed::*;
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::decision::Code;
use crate::types::mode::Mode;
use crate::vault::AdminError;
use crate::vault::authenticate::{Caller, NotLetIn};
use crate::vault::restore;
use crate::vault::sign::{Asked, Refusal, Signed, sign};
use crate::vault::unlock::Accept;
use crate::wire::Quantity;
use crate::wire::policy::PolicySet;
use std::thread;
use std::time::{Duration, Instant};

const COUNTED: &str = r#"
grants = ["read", "trade"]
[order]
instruments = ["BTC-USDT"]
reference_price = { "BTC-USDT" = "60000" }
[limits]
orders_per_day = 2
notional_per_day = "1000"
"#;
const DAY_MS: i64 = 86_400_000;

fn ordering(caller: Caller, id: &str) -> Asked {
    let body =
        format!(r#"{{"instId":"BTC-USDT","side":"buy","ordType":"limit","px":"60000","sz":"0.001","clOrdId":"{id}"}}"#);
    let request = Request { method: Method::Post, path: "/api/v5/trade/order".to_owned(), body: Some(body) };
    Asked { caller, uid: None, ask: Ask { credential: "main".to_owned(), wanted: Wanted::Request(request) } }
}

fn reducing(caller: Caller, id: &str) -> Asked {
    let mut asked = ordering(caller, id);
    let Wanted::Request(request) = &mut asked.ask.wanted else { panic!("a request") };
    let body = request.body.take().map(|body| body.replace('}', r#","reduceOnly":true}"#));
    request.body = body;
    asked
}

impl Bed {
    fn order(&self, caller: Caller, id: &str) -> Result<Signed, Refusal> {
        sign(&self.vault, vec![ordering(caller, id)]).pop().unwrap()
    }

    fn used(&self, caller: Caller, limit: &str) -> String {
        match &self.vault.whoami(&caller.bot).unwrap().unwrap().limits[limit].used {
            Quantity::Number(number) => number.to_string(),
            Quantity::Money(money) => money.clone(),
        }
    }
}

fn code(told: Result<Signed, Refusal>) -> Option<Code> {
    match told {
        Ok(_) => None,
        Err(Refusal::Denied { denial, .. } | Refusal::Limited(denial)) => Some(denial.code),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_is_counted_before_the_signature_and_kept_over_a_restart() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(code(bed.order(caller, "a")), None);
    bed.vault.ledger().unwrap().refuse_next_write();
    assert_eq!(bed.order(caller, "b").unwrap_err(), Refusal::Unavailable);
    // No row, no signature, but it was counted: only an unlock adds the rows up again.
    assert_eq!((bed.used(caller, "orders_per_day"), code(bed.order(caller, "c"))), ("2".into(), Some(Code::Limit)));
    let bed = bed.reopened();
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!((bed.used(caller, "orders_per_day"), bed.used(caller, "notional_per_day")), ("1".into(), "60".into()));
    assert_eq!(code(bed.order(caller, "c")), None);
    assert_eq!(code(bed.order(caller, "d")), Some(Code::Limit));
    bed.clock.pass(DAY_MS + DAY_MS / 1024 + 1);
    assert_eq!(code(bed.order(caller, "d")), None);
}

#[test]
fn a_spent_limit_leaves_no_row() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let caller = bed.let_in(&bob).unwrap();
    let rows = bed.rows().len();
    let said: Vec<_> = (0..5).map(|at| code(bed.order(caller, &format!("n{at}")))).collect();
    assert_eq!(said, [None, None, Some(Code::Limit), Some(Code::Limit), Some(Code::Limit)]);
    assert_eq!(bed.rows().len(), rows + 2);
}

#[test]
fn one_batch_of_asks_shares_one_limit() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let caller = bed.let_in(&bob).unwrap();
    let asks = (0..4).map(|at| ordering(caller, &format!("n{at}"))).collect();
    let said: Vec<_> = sign(&bed.vault, asks).into_iter().map(code).collect();
    assert_eq!(said, [None, None, Some(Code::Limit), Some(Code::Limit)]);
}

#[test]
fn a_bot_of_the_same_name_starts_from_nothing_and_does_not_inherit() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(code(bed.order(caller, "a")), None);
    bed.vault.remove_bot("bob").unwrap();
    let again = bed.vault.add_bot(bot("bob", "main", Some("trader"))).unwrap().token;
    assert_eq!(bed.used(bed.let_in(&again).unwrap(), "orders_per_day"), "0");
    let bed = bed.reopened();
    let caller = bed.let_in(&again).unwrap();
    assert_eq!((bed.used(caller, "orders_per_day"), code(bed.order(caller, "b"))), ("0".to_owned(), None));
}

#[test]
fn while_a_policy_is_on_its_way_an_ask_must_pass_both() {
    let (bed, bob, _) = Bed::furnished();
    let caller = bed.let_in(&bob).unwrap();
    for (before, after) in
        [("grants = [\"trade\"]", "grants = [\"read\"]"), ("grants = [\"read\"]", "grants = [\"trade\"]")]
    {
        bed.set_policy("trader", before);
        let ledger = bed.vault.ledger().unwrap();
        let disk = ledger.stall();
        let (read, order) = thread::scope(|scope| {
            let set = scope.spawn(|| bed.vault.set_policy("trader", PolicySet { text: after.to_owned() }).unwrap());
            wait_for(&ledger, 1);
            let read = scope.spawn(|| bed.sign_as(caller, "main"));
            wait_for(&ledger, 2);
            let order = scope.spawn(|| bed.order(caller, "a"));
            wait_for(&ledger, 3);
            drop(disk);
            set.join().unwrap();
            (read.join().unwrap(), order.join().unwrap())
        });
        assert_eq!((code(read), code(order)), (Some(Code::Grant), Some(Code::Grant)), "{before} then {after}");
        assert_eq!(code(bed.order(caller, "b")).is_none(), after.contains("trade"));
    }
}

#[test]
fn while_a_token_is_being_replaced_neither_lets_in_and_a_refusing_disk_gives_the_old_one_back() {
    let (bed, bob, _) = Bed::furnished();
    let caller = bed.let_in(&bob).unwrap();
    let ledger = bed.vault.ledger().unwrap();
    let disk = ledger.stall();
    let (rotated, meanwhile) = thread::scope(|scope| {
        let rotated = scope.spawn(|| bed.vault.rotate_bot("bob").unwrap().token);
        wait_for(&ledger, 1);
        assert_eq!(bed.let_in(&bob), Err(NotLetIn::Failed));
        let meanwhile = scope.spawn(|| bed.sign_as(caller, "main"));
        wait_for(&ledger, 2);
        drop(disk);
        (rotated.join().unwrap(), meanwhile.join().unwrap())
    });
    assert_eq!(meanwhile.unwrap_err(), Refusal::NotLetIn);
    // Let in by the old token, judged after the rotation.
    assert_eq!(bed.sign_as(caller, "main").unwrap_err(), Refusal::NotLetIn);
    let caller = bed.let_in(&rotated).unwrap();
    ledger.refuse_next_write();
    assert!(matches!(bed.vault.rotate_bot("bob"), Err(AdminError::Unavailable)));
    bed.sign_as(caller, "main").unwrap();
    bed.sign(&rotated, "main").unwrap();
}

#[test]
fn a_mode_that_the_disk_refused_holds_at_once_and_survives_once_there_is_a_disk() {
    for bot in [None, Some("bob")] {
        let (bed, bob, _) = Bed::furnished();
        let caller = bed.let_in(&bob).unwrap();
        bed.vault.ledger().unwrap().refuse_next_write();
        assert!(matches!(bed.vault.set_mode(Mode::CancelOnly, bot), Err(AdminError::AppliedInMemory)));
        assert_eq!(code(bed.order(caller, "a")), Some(Code::Mode), "{bot:?}");
        let bed = bed.reopened();
        let caller = bed.let_in(&bob).unwrap();
        assert_eq!(code(bed.order(caller, "b")), Some(Code::Mode), "{bot:?}");
        bed.vault.set_mode(Mode::Normal, bot).unwrap();
        assert_eq!(code(bed.order(caller, "c")), None, "{bot:?}");
    }
}

#[test]
fn a_reference_price_survives_and_goes_with_its_instrument() {
    let (bed, ..) = Bed::furnished();
    let text = |listed: &str| {
        format!("grants = [\"trade\"]\n[order]\ninstruments = [{listed}]\nmax_price_deviation = \"5%\"\n")
    };
    bed.set_policy("trader", &text(r#""BTC-USDT", "ETH-USDT""#));
    bed.vault.set_reference("trader", "BTC-USDT", "60000").unwrap();
    bed.vault.set_reference("trader", "ETH-USDT", "3000.5").unwrap();
    let bed = bed.reopened();
    let card = bed.vault.policy("trader").unwrap();
    assert_eq!((card.version, card.references["ETH-USDT"].price.as_str()), (2, "3000.5"));
    bed.set_policy("trader", &text(r#""BTC-USDT""#));
    let card = bed.vault.policy("trader").unwrap();
    assert_eq!((card.version, card.references.into_keys().collect::<Vec<_>>()), (3, vec!["BTC-USDT".to_owned()]));
    bed.vault.ledger().unwrap().refuse_next_write();
    assert!(matches!(bed.vault.set_reference("trader", "BTC-USDT", "1"), Err(AdminError::Unavailable)));
    assert_eq!(bed.vault.policy("trader").unwrap().references["BTC-USDT"].price, "60000");
}

#[test]
fn asks_that_a_rate_refuses_leave_no_row_and_no_trace_in_the_limits() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", &COUNTED.replace("[limits]", "[limits]\nrequests_per_second = 1"));
    let caller = bed.let_in(&bob).unwrap();
    let rows = bed.rows().len();
    assert_eq!(code(bed.order(caller, "a")), None);
    assert_eq!(code(bed.order(caller, "b")), Some(Code::Rate));
    assert_eq!((bed.rows().len(), bed.used(caller, "orders_per_day")), (rows + 1, "1".to_owned()));
    bed.clock.pass(1001);
    assert_eq!(code(bed.order(caller, "b")), None);
}

#[test]
fn a_limit_that_a_clock_ahead_has_spent_is_not_spent_for_years() {
    counts_as_now_once_the_clock_is_believed(|bed| {
        bed.unlock_accepting(Accept { clock: true, rollback: false }).unwrap();
    });
}

#[test]
fn t71_a_limit_that_a_clock_ahead_has_spent_is_not_spent_for_years_where_the_kernel_vouches_for_it() {
    counts_as_now_once_the_clock_is_believed(|bed| {
        bed.clock.set_synchronised(true);
        bed.vault.tend().unwrap();
        bed.clock.set_synchronised(false);
        assert!(bed.rows().iter().any(|row| row.body.contains(r#""event":"clock""#)));
    });
}

fn counts_as_now_once_the_clock_is_believed(believe: impl Fn(&Bed)) {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let ahead = 1000 * DAY_MS;
    bed.clock.jump(ahead);
    assert_eq!(code(bed.sign(&bob, "main")), Some(Code::ClockJump));
    believe(&bed);
    let caller = bed.let_in(&bob).unwrap();
    for id in ["a", "b"] {
        assert_eq!(code(bed.order(caller, id)), None);
    }
    bed.clock.jump(-ahead);
    assert_eq!(code(bed.sign_as(caller, "main")), Some(Code::ClockJump));
    believe(&bed);
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(code(bed.order(caller, "c")), Some(Code::Limit), "spent, but only for a day");
    let bed = bed.reopened();
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(code(bed.order(caller, "c")), Some(Code::Limit), "after a restart too");
    bed.clock.pass(DAY_MS + DAY_MS / 1024 + 1);
    assert_eq!(code(bed.order(caller, "c")), None);
    let bed = bed.reopened();
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(bed.used(caller, "orders_per_day"), "1");
}

#[test]
fn the_mode_of_a_bot_does_not_wait_for_an_action_that_waits_for_the_disk() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let ledger = bed.vault.ledger().unwrap();
    let token = thread::scope(|scope| {
        let stalled = ledger.stall();
        let rotation = scope.spawn(|| bed.vault.rotate_bot("bob").unwrap().token);
        wait_for(&ledger, 1);
        let brake = scope.spawn(|| bed.vault.set_mode(Mode::CancelOnly, Some("bob")).unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while bed.vault.bot("bob").unwrap().mode != Mode::CancelOnly {
            assert!(Instant::now() < deadline, "the mode waits for the disk");
            thread::yield_now();
        }
        drop(stalled);
        assert_eq!(brake.join().unwrap().bots["bob"], Mode::CancelOnly);
        rotation.join().unwrap()
    });
    drop(ledger);
    assert!(bed.let_in(&bob).is_err());
    assert_eq!(code(bed.order(bed.let_in(&token).unwrap(), "a")), Some(Code::Mode), "the rotation kept it");
    let bed = bed.reopened();
    assert_eq!(code(bed.order(bed.let_in(&token).unwrap(), "a")), Some(Code::Mode), "and so did the disk");
    bed.vault.set_mode(Mode::Normal, Some("bob")).unwrap();
    assert_eq!(code(bed.order(bed.let_in(&token).unwrap(), "a")), None);
}

/// Restores a backup of this vault in the place of it and unlocks it.
fn restored(bed: Bed, reset_limits: bool) -> Bed {
    let backup = bed.backup();
    bed.lock();
    let bed = without_state(bed);
    let accept = restore::Accept { rollback: true, reset_limits };
    let report = restore::restore(&backup, &bed.paths(), &key_file(&KEY), accept, &*bed.clock).unwrap();
    assert_eq!(report.limits_are_spent, !reset_limits);
    bed.unlock().unwrap();
    bed
}

#[test]
fn after_a_restore_limits_are_spent_until_their_windows_have_passed_and_a_restart_does_not_end_that() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let mut bed = restored(bed, false);
    let row = bed.rows().into_iter().find(|row| row.body.contains(r#""event":"restore""#)).unwrap();
    assert!(row.body.contains(r#""reset_limits":false"#));
    for _ in 0..2 {
        let caller = bed.let_in(&bob).unwrap();
        let Err(Refusal::Limited(denial)) = bed.order(caller, "a") else { panic!("it was signed") };
        assert!(denial.detail.contains("restored from a backup"), "{}", denial.detail);
        assert!(denial.retry_after_ms.is_some_and(|wait| wait > 86_000_000));
        assert_eq!(
            (bed.used(caller, "orders_per_day"), bed.used(caller, "notional_per_day")),
            ("2".into(), "1000".into())
        );
        bed.sign_as(caller, "main").unwrap();
        let reduced = sign(&bed.vault, vec![reducing(caller, "r")]).pop().unwrap();
        assert_eq!(code(reduced), None);
        bed = bed.reopened();
        bed.set_policy("trader", COUNTED);
    }
    bed.clock.pass(DAY_MS + DAY_MS / 1024 + 1);
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(code(bed.order(caller, "b")), None);
}

#[test]
fn limits_do_not_come_back_because_the_clock_was_behind_during_a_restore() {
    let (bed, _, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    let backup = bed.backup();
    bed.lock();
    let bed = without_state(bed);
    let restore = |reset_limits: bool| {
        let accept = restore::Accept { rollback: true, reset_limits };
        restore::restore(&backup, &bed.paths(), &key_file(&KEY), accept, &*bed.clock)
    };
    // As on a machine without a battery, before a time server has spoken.
    bed.clock.jump(-30 * DAY_MS);
    let refused = restore(false).unwrap_err();
    assert_eq!(refused.code(), "clock.jump", "{refused}");
    assert!(!bed.paths().database().exists());
    assert!(!restore(true).unwrap().limits_are_spent, "a person may know better");
}

#[test]
fn whoever_says_that_nothing_was_signed_since_gets_what_the_backup_says() {
    let (bed, bob, _) = Bed::furnished();
    bed.set_policy("trader", COUNTED);
    bed.order(bed.let_in(&bob).unwrap(), "a").unwrap();
    let bed = restored(bed, true);
    assert!(bed.rows().iter().any(|row| row.body.contains(r#""reset_limits":true"#)));
    let caller = bed.let_in(&bob).unwrap();
    assert_eq!(bed.used(caller, "orders_per_day"), "1");
    assert_eq!((code(bed.order(caller, "b")), code(bed.order(caller, "c"))), (None, Some(Code::Limit)));
}
