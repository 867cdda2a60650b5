//! Policies as a whole: grants, endpoints, modes, shadow, and that nothing of a body comes out of a denial.

pub mod bed;

use super::*;
use crate::types::decision::Code;
use crate::types::endpoint::Effect;
use crate::types::facts::{Fact, Market, Order, Price, Subject, Transfer, Unit};
use bed::{Bed, amend, buy, close, contracts, limit, market, number, only, rules, sell, sizes, text};

#[test]
fn nothing_is_allowed_that_was_not_granted() {
    for grant in Grant::ALL {
        for granted in Grant::ALL {
            let mut bed = Bed::new(grant, Effect::None, Subject::Unknown);
            bed.policy.grants = BTreeSet::from([granted]);
            let expected = (granted != grant).then_some((Code::Grant, "grants"));
            assert_eq!(bed.denied_by(), expected, "{granted} asked for {grant}");
        }
    }
}

#[test]
fn a_missing_grant_is_said_with_those_that_are_there() {
    let detail = |granted: &[Grant]| {
        let mut bed = Bed::new(Grant::Trade, Effect::None, Subject::Unknown);
        bed.policy.grants = granted.iter().copied().collect();
        bed.detail()
    };
    let has = |list| format!("POST /x needs the grant `trade`; this bot's policy has {list}");
    assert_eq!(detail(&[]), has("none"));
    assert_eq!(detail(&[Grant::Read]), has("`read`"));
    assert_eq!(detail(&[Grant::Read, Grant::Funds]), has("`read`, `funds`"));
}

#[test]
fn endpoints_narrow_and_never_widen() {
    let code = |method, path: &str, grant| {
        let mut bed = Bed::new(grant, Effect::None, Subject::Unknown);
        bed.endpoint.method = method;
        bed.endpoint.path = path.into();
        bed.policy.grants = BTreeSet::from([Grant::Trade]);
        bed.policy.endpoints = Some(BTreeSet::from(["POST /order".to_owned(), "POST /withdraw".to_owned()]));
        bed.denied_by()
    };
    use crate::types::ask::Method::{Get, Post};
    assert_eq!(code(Post, "/order", Grant::Trade), None);
    assert_eq!(code(Get, "/order", Grant::Trade), Some((Code::Endpoint, "endpoints")));
    assert_eq!(code(Post, "/order/", Grant::Trade), Some((Code::Endpoint, "endpoints")));
    assert_eq!(code(Post, "/withdraw", Grant::Withdraw), Some((Code::Grant, "grants")));
}

fn reducing(effect: Effect, says: Fact<bool>) -> Order<'static> {
    Order { effect, reduce_only: says, ..buy() }
}

/// What is allowed when: normal, reduce-only, cancel-only.
#[test]
fn a_mode_leaves_what_its_name_says() {
    use Effect::{Amend, Cancel, Close, None, Place};
    let orders = |orders: &[Order<'static>]| Subject::Orders(orders.to_vec());
    let yes = reducing(Place, Fact::Is(true));
    let attached = Order { uncounted: Some("attachAlgoOrds"), ..yes.clone() };
    let cases = [
        ("a read", Grant::Read, None, Subject::Unknown, [true, true, true]),
        ("a cancel", Grant::Trade, Cancel, Subject::Unknown, [true, true, true]),
        ("a cancel of a bot", Grant::Advanced, Cancel, Subject::Unknown, [true, true, true]),
        ("a close", Grant::Trade, Close, orders(&[close()]), [true, true, false]),
        ("a close without facts", Grant::Trade, Close, Subject::Unknown, [true, true, false]),
        ("an order that reduces", Grant::Trade, Place, orders(std::slice::from_ref(&yes)), [true, true, false]),
        ("two that reduce", Grant::Trade, Place, orders(&[yes.clone(), yes.clone()]), [true, true, false]),
        ("one that brings others along", Grant::Trade, Place, orders(&[attached]), [true, false, false]),
        ("one of two", Grant::Trade, Place, orders(&[yes.clone(), buy()]), [true, false, false]),
        ("one that doesn't", Grant::Trade, Place, orders(&[reducing(Place, Fact::Is(false))]), [true, false, false]),
        ("one that doesn't say", Grant::Trade, Place, orders(&[buy()]), [true, false, false]),
        ("an unreadable one", Grant::Trade, Place, orders(&[reducing(Place, Fact::Unreadable)]), [true, false, false]),
        (
            "an amend among orders",
            Grant::Trade,
            Place,
            orders(&[reducing(Amend, Fact::Is(true))]),
            [true, false, false],
        ),
        ("no orders", Grant::Trade, Place, orders(&[]), [true, false, false]),
        ("orders without facts", Grant::Trade, Place, Subject::Unknown, [true, false, false]),
        ("a bad body", Grant::Trade, Place, Subject::Misshapen, [true, false, false]),
        ("an amend", Grant::Trade, Amend, orders(&[reducing(Amend, Fact::Is(true))]), [true, false, false]),
        ("a trade without effect", Grant::Trade, None, orders(std::slice::from_ref(&yes)), [true, false, false]),
        ("leverage", Grant::Settings, None, Subject::Unknown, [true, false, false]),
        ("a transfer", Grant::Funds, None, Subject::Unknown, [true, false, false]),
        ("a withdrawal", Grant::Withdraw, None, Subject::Unknown, [true, false, false]),
        ("a session", Grant::Session, None, Subject::Unknown, [true, false, false]),
        ("a session whatever it says", Grant::Session, Cancel, Subject::Unknown, [true, false, false]),
        ("a session that closes", Grant::Session, Close, Subject::Unknown, [true, false, false]),
    ];
    for (what, grant, effect, subject, allowed) in cases {
        for (mode, allowed) in Mode::ALL.into_iter().zip(allowed) {
            let bed = Bed { mode, ..Bed::new(grant, effect, subject.clone()) };
            assert_eq!(bed.denied_by(), (!allowed).then_some((Code::Mode, "mode")), "{what} in {mode}");
        }
    }
}

#[test]
fn what_the_body_makes_of_an_endpoint_decides_its_mode() {
    let mut bed = Bed { mode: Mode::CancelOnly, ..Bed::new(Grant::Trade, Effect::Cancel, Subject::Unknown) };
    assert_eq!(bed.code(), None);
    bed.facts.effect = Effect::None;
    assert_eq!(bed.code(), Some(Code::Mode));
}

#[test]
fn a_mode_is_said_with_what_it_leaves() {
    let detail = |mode| Bed { mode, ..Bed::order(buy()) }.detail();
    assert!(
        detail(Mode::CancelOnly).contains("cancel-only") && detail(Mode::CancelOnly).ends_with(": reads and cancels")
    );
    assert!(detail(Mode::ReduceOnly).contains("reduce-only") && detail(Mode::ReduceOnly).contains("closes"));
}

fn orders_a_day(orders_per_day: u64) -> Limits {
    Limits { orders_per_day: Some(orders_per_day), ..Limits::default() }
}

#[test]
fn in_shadow_order_rules_and_limits_only_say_what_they_would_have_denied() {
    let bad_side = OrderRules { sides: Some(BTreeSet::from([Side::Sell])), ..rules() };
    let bed = || Bed::order(buy()).under(bad_side.clone()).limited(orders_a_day(0));
    assert_eq!(bed().code(), Some(Code::OrderSide));
    assert_eq!(bed().verdict().shadow, None);
    assert_eq!(bed().counts(), None);
    let verdict = bed().in_shadow().verdict();
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!(verdict.shadow.unwrap().code, Code::OrderSide, "the first that would have denied");
    assert_eq!(verdict.counts.unwrap().orders, 1, "it is placed, so it counts");
    let verdict = Bed::order(buy()).under(rules()).limited(orders_a_day(0)).in_shadow().verdict();
    assert_eq!((verdict.decision, verdict.shadow.unwrap().code), (Decision::Allow, Code::Limit));
    assert_eq!(verdict.counts.unwrap().orders, 1);
    let verdict = Bed::order(buy()).under(rules()).limited(orders_a_day(1)).in_shadow().verdict();
    assert_eq!((verdict.decision, verdict.shadow), (Decision::Allow, None));
}

#[test]
fn everything_else_is_enforced_in_shadow_too() {
    let shadow = |change: fn(&mut Bed)| {
        let mut bed = Bed::new(Grant::Funds, Effect::None, Subject::Unknown).in_shadow();
        change(&mut bed);
        (bed.code(), bed.verdict().shadow, bed.counts())
    };
    assert_eq!(shadow(|_| ()), (None, None, None));
    assert_eq!(shadow(|bed| bed.policy.grants.clear()), (Some(Code::Grant), None, None));
    assert_eq!(shadow(|bed| bed.policy.endpoints = Some(BTreeSet::new())), (Some(Code::Endpoint), None, None));
    assert_eq!(shadow(|bed| bed.mode = Mode::ReduceOnly), (Some(Code::Mode), None, None));
    let transfer = TransferRules { addresses: None, max_amount: None };
    let mut bed = Bed::new(Grant::Funds, Effect::None, Subject::Unknown).in_shadow();
    bed.policy.transfer = Some(transfer);
    assert_eq!((bed.code(), bed.verdict().shadow), (Some(Code::FieldUncounted), None));
}

#[test]
fn the_first_rule_that_denies_gives_its_code() {
    let transfer = TransferRules { addresses: Some(BTreeSet::new()), max_amount: None };
    let mut bed = Bed::order(Order { client_id: Fact::Absent, ..buy() });
    bed.policy = Policy {
        grants: BTreeSet::new(),
        endpoints: Some(BTreeSet::new()),
        order: Some(OrderRules { sides: Some(BTreeSet::new()), ..rules() }),
        limits: orders_a_day(0),
        transfer: Some(transfer),
        ..bed.policy
    };
    bed.mode = Mode::CancelOnly;
    assert_eq!(bed.code(), Some(Code::Grant));
    bed.policy.grants.insert(Grant::Trade);
    assert_eq!(bed.code(), Some(Code::Endpoint));
    bed.policy.endpoints = None;
    assert_eq!(bed.code(), Some(Code::Mode));
    bed.mode = Mode::Normal;
    assert_eq!(bed.code(), Some(Code::OrderSide));
    bed.policy.order = None;
    assert_eq!(bed.code(), Some(Code::OrderClientId));
    // Among funds the mode is asked before the transfer rules.
    bed.endpoint.grant = Grant::Funds;
    bed.policy.grants.insert(Grant::Funds);
    assert_eq!(bed.code(), Some(Code::FieldUncounted));
    bed.mode = Mode::CancelOnly;
    assert_eq!(bed.code(), Some(Code::Mode));
}

#[test]
fn requests_per_second_have_a_default() {
    let mut policy = Policy::read_only();
    assert_eq!(policy.requests_per_second().get(), 50);
    policy.limits.requests_per_second = NonZeroU32::new(7);
    assert_eq!(policy.requests_per_second().get(), 7);
    assert!(!policy.limits.are_rolling(), "a rate is not a rolling limit");
}

#[test]
fn an_instrument_is_allowed_unless_the_rules_list_others() {
    let allows = |order: Option<OrderRules>| Policy { order, ..Policy::read_only() }.allows_instrument(bed::PAIR);
    assert!(allows(None) && allows(Some(rules())));
    assert!(allows(Some(OrderRules { instruments: only(&["ETH-USDT", bed::PAIR]), ..rules() })));
    assert!(!allows(Some(OrderRules { instruments: only(&["ETH-USDT"]), ..rules() })));
}

const CANARY: &str = "CANARY-USDT";

/// An order full of words and numbers that stand in no policy.
fn canary() -> Order<'static> {
    Order {
        instrument: text(CANARY),
        order_type: text("canary_type"),
        size: Fact::Is(number("31337.4")),
        prices: vec![limit("31337.5")],
        triggers: vec![Fact::Is(number("31337.6"))],
        client_id: text("canaryid"),
        ..sell()
    }
}

/// Every way to be denied, by an ask full of canaries.
fn denied_canaries() -> Vec<Bed> {
    let under = |rules| Bed::order(canary()).under(rules);
    let on_pair = |rules| Bed::order(Order { instrument: text(bed::PAIR), ..canary() }).under(rules).at("60000");
    let amount = |addresses: &[&str], currency: &str| {
        let transfer = Transfer {
            currency: text("CANARY"),
            amount: Fact::Is(number("31337.7")),
            destination: text("canaryaddress"),
            client_id: text("canaryid"),
            uncounted: None,
        };
        let mut bed = Bed::new(Grant::Withdraw, Effect::None, Subject::Transfer(transfer));
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        bed.policy.transfer =
            Some(TransferRules { addresses: Some(addresses), max_amount: Some(sizes(&[(currency, "1")])) });
        bed
    };
    let minute = Limits { orders_per_minute: Some(0), ..Limits::default() };
    let notional = Limits { notional_per_day: Some(number("1")), ..Limits::default() };
    let market_contract = |order: Order<'static>| Order { market: Market::Contract, ..order };
    vec![
        under(OrderRules { instruments: only(&["ETH-USDT"]), ..rules() }),
        under(OrderRules { sides: Some(BTreeSet::new()), ..rules() }),
        under(OrderRules { types: Some(BTreeSet::from(["limit".to_owned()])), ..rules() }),
        under(OrderRules { reduce_only: true, ..rules() }),
        under(OrderRules { max_price_deviation: Some(number("0.1")), ..rules() }),
        under(OrderRules { max_notional: Some(number("1")), ..rules() }),
        Bed::order(market_contract(canary())).under(OrderRules { max_notional: Some(number("1")), ..rules() }),
        on_pair(OrderRules { max_size: sizes(&[(bed::PAIR, "1")]), ..rules() }),
        on_pair(OrderRules { max_price_deviation: Some(number("0.1")), ..rules() }),
        on_pair(OrderRules { max_notional: Some(number("1")), ..rules() }),
        Bed::order(canary()).limited(minute),
        Bed::order(canary()).limited(notional.clone()),
        Bed::order(Order { instrument: text(bed::PAIR), ..canary() }).at("60000").limited(notional),
        Bed::order(canary()).limited(orders_a_day(9)).remembering("canaryid", [9; 32]),
        Bed::orders(vec![canary(), canary()]).limited(orders_a_day(9)),
        amount(&[], "USDT"),
        amount(&["canaryaddress"], "USDT"),
        amount(&["canaryaddress", "other"], "BTC"),
        Bed { mode: Mode::CancelOnly, ..Bed::order(canary()) },
    ]
}

#[test]
fn a_denial_repeats_nothing_from_the_body() {
    for bed in denied_canaries() {
        let denial = bed.denial().expect("every one of these is denied");
        let said = format!("{} {}", denial.detail, denial.help).to_lowercase();
        assert!(!said.contains("canary") && !said.contains("31337"), "{said}");
    }
}

#[test]
fn denials_of_one_body_name_the_order() {
    let listed = OrderRules { max_size: sizes(&[(bed::PAIR, "0.5")]), ..rules() };
    let large = Order { size: Fact::Is(number("0.6")), ..buy() };
    let one = Bed::order(large.clone()).under(listed.clone());
    assert_eq!(one.detail(), "the order is larger than 0.5, the most in BTC-USDT");
    let three = Bed::orders(vec![buy(), large, buy()]).under(listed);
    assert_eq!(three.detail(), "order 2 of 3 is larger than 0.5, the most in BTC-USDT");
}

#[test]
fn one_bad_order_of_twenty_denies_the_body_and_counts_nothing() {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
    let twenty = |bad: Option<usize>| {
        let order = |(index, id): (usize, &&'static str)| Order {
            client_id: text(id),
            side: Fact::Is(if bad == Some(index) { Side::Sell } else { Side::Buy }),
            ..buy()
        };
        let bed = Bed::orders(ids.iter().enumerate().map(order).collect());
        bed.under(OrderRules { sides: Some(BTreeSet::from([Side::Buy])), ..rules() }).limited(orders_a_day(20))
    };
    assert_eq!(twenty(None).counts().unwrap().orders, 20);
    for bad in 0..20 {
        let verdict = twenty(Some(bad)).verdict();
        let Decision::Deny(denial) = verdict.decision else { panic!("order {bad} is bad") };
        assert_eq!((denial.code, verdict.counts), (Code::OrderSide, None));
        assert!(denial.detail.starts_with(&format!("order {} of 20 ", bad + 1)), "{}", denial.detail);
    }
}

#[test]
fn without_rules_nothing_of_a_body_is_judged() {
    let odd = Order {
        instrument: Fact::Unreadable,
        side: Fact::Unreadable,
        order_type: Fact::Unreadable,
        size: Fact::Unreadable,
        unit: Fact::<Unit>::Unreadable,
        prices: vec![Fact::<Price>::Unreadable, market()],
        client_id: Fact::Unreadable,
        reduce_only: Fact::Unreadable,
        uncounted: Some("x"),
        ..buy()
    };
    assert_eq!(Bed::order(odd.clone()).verdict().counts, None);
    assert_eq!(Bed::order(odd.clone()).code(), None);
    assert_eq!(Bed::order(odd).under(rules()).code(), None, "nor by rules that allow everything");
    for order in [amend(), close(), contracts()] {
        assert_eq!(Bed::order(order).under(rules()).code(), None);
    }
}
