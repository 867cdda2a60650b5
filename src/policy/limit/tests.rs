//! Limits at their edges, what counts for how much, and client ids.

use super::*;
use crate::policy::tests::bed::{
    Bed, NOW, PAIR, SWAP, amend, buy, close, contracts, hashes, limit, number, rules, sell, sizes, text, worth_each,
};
use crate::policy::{ContractKind, Limits, OrderRules};
use crate::types::decimal::Decimal;
use crate::types::facts::{Fact, Subject};
use std::num::NonZeroU32;

type Denied = Option<(Code, &'static str)>;

fn with_id(id: &'static str, order: Order<'static>) -> Order<'static> {
    Order { client_id: text(id), ..order }
}

fn daily(orders_per_day: u64) -> Limits {
    Limits { orders_per_day: Some(orders_per_day), ..Limits::default() }
}

fn money(notional_per_day: &str) -> Limits {
    Limits { notional_per_day: Some(number(notional_per_day)), ..Limits::default() }
}

/// Every limit by itself, with its rule and its window.
fn each_orders_limit(most: u64) -> [(Limits, &'static str, u64); 3] {
    let most = Some(most);
    [
        (Limits { orders_per_minute: most, ..Limits::default() }, "limits.orders_per_minute", 60_000),
        (Limits { orders_per_hour: most, ..Limits::default() }, "limits.orders_per_hour", 3_600_000),
        (Limits { orders_per_day: most, ..Limits::default() }, "limits.orders_per_day", 86_400_000),
    ]
}

fn each_notional_limit(most: &str) -> [(Limits, &'static str, u64); 2] {
    let most = Some(number(most));
    [
        (Limits { notional_per_hour: most.clone(), ..Limits::default() }, "limits.notional_per_hour", 3_600_000),
        (Limits { notional_per_day: most, ..Limits::default() }, "limits.notional_per_day", 86_400_000),
    ]
}

#[test]
fn orders_end_at_the_most_and_go_on_when_earlier_ones_have_left() {
    for (limits, rule, window_ms) in each_orders_limit(3) {
        let two = || Bed::orders(vec![with_id("a", buy()), with_id("b", buy())]).limited(limits.clone());
        assert_eq!(two().used(1, "0", NOW).code(), None, "{rule}");
        let denial = two().used(2, "0", NOW.plus_ms(-1_000)).denial().expect(rule);
        assert_eq!((denial.code, denial.rule), (Code::Limit, Some(rule)));
        assert_eq!(denial.retry_after_ms, Some(window_ms - 1_000));
        let elapsed = i64::try_from(window_ms).unwrap();
        assert_eq!(two().used(2, "0", NOW.plus_ms(-elapsed)).code(), None);
        assert_eq!(two().used(2, "0", NOW.plus_ms(1 - elapsed)).denial().unwrap().retry_after_ms, Some(1));
    }
}

#[test]
fn notional_ends_at_the_most() {
    for (limits, rule, window_ms) in each_notional_limit("30000.5") {
        let one = |used: &str| Bed::order(buy()).limited(limits.clone()).used(1, used, NOW);
        assert_eq!((one("0").code(), one("0.5").code()), (None, None));
        let denial = one("0.500000000000000001").denial().expect(rule);
        assert_eq!((denial.code, denial.rule, denial.retry_after_ms), (Code::Limit, Some(rule), Some(window_ms)));
    }
}

#[test]
fn more_than_a_limit_at_once_never_fits_and_is_told_the_whole_window() {
    let wait = |bed: Bed| bed.denial().and_then(|denial| denial.retry_after_ms);
    for (limits, _, window_ms) in each_orders_limit(0) {
        assert_eq!(wait(Bed::order(buy()).limited(limits)), Some(window_ms));
    }
    for (limits, _, window_ms) in each_notional_limit("29999") {
        assert_eq!(wait(Bed::order(buy()).limited(limits).used(1, "1", NOW.plus_ms(-5))), Some(window_ms));
    }
}

#[test]
fn the_sum_of_a_body_counts() {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
    let twenty = || Bed::orders(ids.iter().map(|id| with_id(id, buy())).collect());
    assert_eq!((twenty().limited(daily(20)).code(), twenty().limited(daily(19)).code()), (None, Some(Code::Limit)));
    assert_eq!(twenty().limited(money("600000")).code(), None);
    assert_eq!(twenty().limited(money("599999.99")).code(), Some(Code::Limit));
    let counts = twenty().limited(money("600000")).counts().unwrap();
    assert_eq!((counts.orders, counts.notional, counts.ids), (20, number("600000"), hashes(&ids)));
}

#[test]
fn the_first_limit_that_is_spent_is_named() {
    let mut limits = Limits {
        orders_per_minute: Some(0),
        orders_per_hour: Some(0),
        orders_per_day: Some(0),
        notional_per_hour: Some(number("0")),
        notional_per_day: Some(number("0")),
        ..Limits::default()
    };
    let rule = |limits: &Limits| Bed::order(buy()).limited(limits.clone()).denied_by().map(|(_, rule)| rule);
    assert_eq!(rule(&limits), Some("limits.orders_per_minute"));
    limits.orders_per_minute = Some(1);
    assert_eq!(rule(&limits), Some("limits.orders_per_hour"));
    limits.orders_per_hour = None;
    assert_eq!(rule(&limits), Some("limits.orders_per_day"));
    limits.orders_per_day = None;
    assert_eq!(rule(&limits), Some("limits.notional_per_hour"));
    limits.notional_per_hour = None;
    assert_eq!(rule(&limits), Some("limits.notional_per_day"));
    limits.notional_per_day = None;
    assert_eq!(rule(&limits), None);
}

#[test]
fn every_order_needs_a_client_id() {
    let denied: Denied = Some((Code::OrderClientId, "limits"));
    for limits in [daily(9), money("1000000")] {
        for client_id in [Fact::Absent, Fact::Unreadable] {
            let without = Order { client_id, ..buy() };
            assert_eq!(Bed::order(without.clone()).limited(limits.clone()).denied_by(), denied);
            assert_eq!(Bed::orders(vec![buy(), without]).limited(limits.clone()).denied_by(), denied);
        }
    }
    let without = Order { client_id: Fact::Absent, ..buy() };
    let unlimited = Limits { requests_per_second: NonZeroU32::new(1), ..Limits::default() };
    assert_eq!((Bed::order(without.clone()).code(), Bed::order(without).limited(unlimited).code()), (None, None));
}

#[test]
fn an_id_is_good_for_one_ask() {
    let replay: Denied = Some((Code::Replay, "limits"));
    let bed = || Bed::order(with_id("a", buy())).limited(daily(9));
    assert_eq!(bed().remembering("a", [2; 32]).denied_by(), replay);
    assert_eq!(bed().remembering("b", [2; 32]).code(), None);
    let again = bed().remembering("a", [1; 32]);
    assert_eq!(again.code(), None, "the same bytes may be signed again");
    assert_eq!(again.counts().unwrap().orders, 1, "and count again");
    assert_eq!(bed().remembering("a", [1; 32]).limited(daily(0)).code(), Some(Code::Limit));
    let twice = Bed::orders(vec![with_id("a", buy()), with_id("b", buy()), with_id("a", sell())]).limited(daily(9));
    assert_eq!(twice.denied_by(), replay);
    assert!(twice.detail().starts_with("order 3 of 3 has the client id"), "{}", twice.detail());
    let mut later = bed().remembering("a", [2; 32]);
    later.now = NOW.plus_ms(IDS_KEPT_MS - 1);
    assert_eq!(later.denied_by(), replay);
    later.now = NOW.plus_ms(IDS_KEPT_MS);
    assert_eq!(later.code(), None);
}

#[test]
fn when_no_more_ids_can_be_remembered_new_orders_wait() {
    let mut bed = Bed::order(with_id("c", buy())).limited(daily(9));
    bed.ids = ClientIds::holding(2);
    bed = bed.remembering("a", [1; 32]);
    assert_eq!(bed.code(), None);
    bed = bed.remembering("b", [1; 32]);
    let denial = bed.denial().unwrap();
    assert_eq!((denial.code, denial.rule), (Code::Limit, Some("limits")));
    assert_eq!(denial.retry_after_ms, Some(IDS_KEPT_MS.unsigned_abs()));
    bed.facts.subject = Subject::Orders(vec![with_id("a", buy())]);
    assert_eq!(bed.code(), None, "this one is remembered");
    bed.ids = ClientIds::holding(0);
    assert_eq!(bed.denial().unwrap().retry_after_ms, Some(IDS_KEPT_MS.unsigned_abs()));
}

#[test]
fn amends_count_notional_and_nothing_else() {
    let both = Limits { orders_per_day: Some(1), ..money("30000") };
    let bed = Bed::order(amend()).limited(both).at("60000").used(1, "0", NOW);
    assert_eq!(bed.code(), None);
    assert_eq!(bed.counts(), Some(Counts { orders: 0, notional: number("30000"), ids: Vec::new() }));
    let over = Bed::order(amend()).limited(money("30000")).at("60001");
    assert_eq!(over.denied_by(), Some((Code::Limit, "limits.notional_per_day")));
    let free = Bed::order(amend()).limited(daily(0)).used(5, "0", NOW);
    assert_eq!((free.code(), free.counts()), (None, None), "even over a limit that was lowered");
}

#[test]
fn an_order_of_no_worth_goes_on_when_all_notional_is_spent() {
    let nothing = Order { size: Fact::Is(Decimal::default()), ..buy() };
    assert_eq!(Bed::order(nothing).limited(money("1")).used(1, "2", NOW).code(), None);
}

#[test]
fn what_counts_follows_from_grant_effect_and_form() {
    use Effect::{Amend, Cancel, Close, None as Nothing, Place};
    let (spent, unread) = (Some((Code::Limit, "limits.orders_per_day")), Some((Code::FieldUncounted, "limits")));
    let subjects = || [Subject::Orders(vec![buy()]), Subject::Unknown, Subject::Misshapen, Subject::Orders(Vec::new())];
    let cases = [
        (Grant::Trade, Place, [spent, unread, unread, unread]),
        (Grant::Trade, Amend, [spent, unread, unread, unread]),
        (Grant::Trade, Close, [None; 4]),
        (Grant::Trade, Cancel, [None; 4]),
        (Grant::Trade, Nothing, [None; 4]),
        (Grant::Advanced, Place, [unread; 4]),
        (Grant::Advanced, Amend, [unread; 4]),
        (Grant::Advanced, Close, [unread; 4]),
        (Grant::Advanced, Nothing, [unread; 4]),
        (Grant::Advanced, Cancel, [None; 4]),
        (Grant::Read, Nothing, [None; 4]),
        (Grant::Read, Place, [None; 4]),
        (Grant::Funds, Nothing, [None; 4]),
    ];
    for (grant, effect, expected) in cases {
        for (subject, expected) in subjects().into_iter().zip(expected) {
            let bed = Bed::new(grant, effect, subject.clone());
            assert_eq!((bed.code(), bed.counts()), (None, None), "without limits");
            assert_eq!(bed.limited(daily(0)).denied_by(), expected, "{grant} {effect:?} {subject:?}");
        }
    }
    let counts = |order: Order<'static>| Bed::orders(vec![buy(), with_id("b", order)]).limited(daily(9)).counts();
    let orders = |effect| counts(Order { effect, ..buy() }).map(|counts| counts.orders);
    assert_eq!((orders(Place), orders(Nothing)), (Some(2), Some(2)));
    assert_eq!((orders(Amend), orders(Close), orders(Cancel)), (Some(1), Some(1), Some(1)));
    let worth = |effect| {
        let second = Order { effect, ..with_id("b", buy()) };
        Bed::orders(vec![buy(), second]).limited(money("90000")).at("1").counts().unwrap().notional
    };
    assert_eq!((worth(Place), worth(Amend)), (number("60000"), number("60000")));
    assert_eq!((worth(Close), worth(Cancel)), (number("30000"), number("30000")));
    assert_eq!(Bed::order(close()).limited(daily(0)).counts(), None);
}

#[test]
fn notional_is_counted_only_where_a_limit_counts_it() {
    let odd = Order { size: Fact::Unreadable, uncounted: Some("pxUsd"), ..buy() };
    assert_eq!(Bed::order(odd.clone()).limited(daily(9)).counts().unwrap().notional, Decimal::default());
    let uncounted = Some((Code::FieldUncounted, "limits"));
    assert_eq!(Bed::order(odd.clone()).limited(money("1")).denied_by(), uncounted);
    let readable = Order { uncounted: Some("pxUsd"), ..buy() };
    assert_eq!(Bed::order(readable).limited(money("30000")).denied_by(), uncounted);
    let unreadable = Order { uncounted: None, ..odd };
    assert_eq!(Bed::order(unreadable).limited(money("1")).denied_by(), Some((Code::OrderNotional, "limits")));
    assert_eq!(Bed::order(sell()).limited(money("1")).denied_by(), Some((Code::OrderNotional, "limits")));
    assert_eq!(Bed::order(sell()).limited(money("30000")).at("60000").code(), None);
}

#[test]
fn notional_is_counted_with_what_the_order_rules_know() {
    let rules = OrderRules {
        max_size: sizes(&[(PAIR, "1")]),
        contract_value: worth_each(SWAP, "0.01", ContractKind::Linear),
        ..rules()
    };
    let counts =
        |order| Bed::order(order).under(rules.clone()).limited(money("90000")).counts().map(|all| all.notional);
    assert_eq!((counts(sell()), counts(contracts())), (Some(number("30000")), Some(number("6000"))));
    assert_eq!(Bed::order(contracts()).limited(money("90000")).code(), Some(Code::OrderNotional));
}

#[test]
fn in_shadow_all_that_can_be_counted_is() {
    let orders = vec![
        Order { client_id: Fact::Absent, ..buy() },
        Order { size: Fact::Unreadable, ..with_id("b", buy()) },
        with_id("b", buy()),
        Order { uncounted: Some("x"), ..with_id("c", buy()) },
        with_id("d", buy()),
    ];
    let verdict = Bed::orders(orders).limited(money("9")).remembering("d", [7; 32]).in_shadow().verdict();
    assert_eq!(verdict.shadow.unwrap().code, Code::OrderClientId);
    let counts = verdict.counts.unwrap();
    assert_eq!((counts.orders, counts.notional, counts.ids), (5, number("120000"), hashes(&["b", "c", "d"])));
    let unknown = Bed::new(Grant::Trade, Effect::Place, Subject::Unknown).limited(money("9")).in_shadow().verdict();
    assert_eq!((unknown.shadow.unwrap().code, unknown.counts), (Code::FieldUncounted, None));
}

#[test]
fn a_denial_says_which_limit_and_for_how_long() {
    let limits = Limits { orders_per_hour: Some(7), ..Limits::default() };
    let denial = Bed::order(buy()).limited(limits).used(7, "0", NOW).denial().unwrap();
    assert_eq!(denial.detail, "with this ask the bot would go over `orders_per_hour`, which is 7");
    assert!(denial.help.contains("the last hour") && denial.help.contains("`[limits]`"), "{}", denial.help);
    let denial = Bed::order(buy()).limited(money("0.5")).denial().unwrap();
    assert!(denial.detail.ends_with("`notional_per_day`, which is 0.5"), "{}", denial.detail);
    assert!(denial.help.contains("the last 24 hours"), "{}", denial.help);
    let denial =
        Bed::order(buy()).limited(Limits { orders_per_minute: Some(0), ..Limits::default() }).denial().unwrap();
    assert!(denial.help.contains("the last minute"), "{}", denial.help);
}

#[test]
fn gauges_show_every_limit_of_the_policy() {
    let mut policy = Bed::order(buy()).policy;
    let bed = Bed::order(buy()).used(3, "70.5", NOW.plus_ms(-120_000)).used(1, "2", NOW);
    let mut rate = Rate::default();
    rate.take(crate::policy::rate::Lane::Others, NonZeroU32::MIN, 500).unwrap();
    let shown = |policy: &Policy| {
        let gauges = gauges(policy, &bed.meter, None, &rate, NOW, 600);
        let line = |gauge: &Gauge| format!("{} {}/{} in {}", gauge.name, gauge.used, gauge.max, gauge.window_s);
        gauges.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(shown(&policy), ["requests_per_second 1/50 in 1"]);
    policy.limits = Limits {
        requests_per_second: NonZeroU32::new(20),
        orders_per_minute: Some(10),
        orders_per_hour: Some(100),
        orders_per_day: Some(1000),
        notional_per_hour: Some(number("5000")),
        notional_per_day: Some(number("10000.5")),
    };
    assert_eq!(
        shown(&policy),
        [
            "requests_per_second 1/20 in 1",
            "orders_per_minute 1/10 in 60",
            "orders_per_hour 4/100 in 3600",
            "orders_per_day 4/1000 in 86400",
            "notional_per_hour 72.5/5000 in 3600",
            "notional_per_day 72.5/10000.5 in 86400",
        ]
    );
}

#[test]
fn only_the_price_of_the_order_is_needed_where_nothing_bounds_it() {
    let cheap = Order { prices: vec![limit("2")], ..buy() };
    assert_eq!(Bed::order(cheap).limited(money("1")).code(), None);
}

#[test]
fn after_a_restore_every_window_counts_as_spent_until_it_has_passed() {
    let limits = Limits { orders_per_minute: Some(10), notional_per_day: Some(number("1000000")), ..Limits::default() };
    let ask = |order: Order<'static>, ago_ms: i64| {
        Bed::order(order).limited(limits.clone()).at("1").restored(NOW.plus_ms(-ago_ms)).denial()
    };
    for (ago_ms, rule, wait) in [
        (0, "limits.notional_per_day", 86_400_000),
        (59_999, "limits.notional_per_day", 86_340_001),
        (86_399_999, "limits.notional_per_day", 1),
    ] {
        let denial = ask(buy(), ago_ms).expect("a denial");
        assert_eq!((denial.code, denial.rule, denial.retry_after_ms), (Code::Limit, Some(rule), Some(wait)));
        assert!(denial.detail.contains("restored from a backup") && denial.help.contains("restore --reset-limits"));
    }
    assert_eq!(ask(buy(), 86_400_000), None);
    let minute = Limits { orders_per_minute: Some(10), ..Limits::default() };
    let after = |ms: i64| Bed::order(buy()).limited(minute.clone()).restored(NOW.plus_ms(-ms)).code();
    assert_eq!((after(59_999), after(60_000)), (Some(Code::Limit), None));
}

#[test]
fn after_a_restore_positions_can_be_closed_and_orders_cancelled() {
    let limits = Limits { orders_per_day: Some(10), notional_per_day: Some(number("1000000")), ..Limits::default() };
    let ask = |order: Order<'static>| Bed::order(order).limited(limits.clone()).at("1").restored(NOW).code();
    assert_eq!(ask(Order { reduce_only: Fact::Is(true), ..buy() }), None);
    assert_eq!(ask(Order { reduce_only: Fact::Is(false), ..buy() }), Some(Code::Limit));
    assert_eq!(ask(Order { effect: Effect::Cancel, ..buy() }), None);
    let mixed =
        vec![Order { reduce_only: Fact::Is(true), ..buy() }, Order { client_id: Fact::Is("b".into()), ..buy() }];
    assert_eq!(Bed::orders(mixed).limited(limits.clone()).at("1").restored(NOW).code(), Some(Code::Limit));
    let close = Bed::new(Grant::Trade, Effect::Close, Subject::Unknown).limited(limits.clone()).restored(NOW);
    assert_eq!(close.code(), None);
    let read = Bed::new(Grant::Read, Effect::None, Subject::Unknown).limited(limits.clone()).restored(NOW);
    assert_eq!(read.code(), None);
    let reducing = Order { reduce_only: Fact::Is(true), ..buy() };
    let spent = Bed::order(reducing).limited(limits).at("1").used(10, "0", NOW).restored(NOW);
    assert_eq!(spent.code(), Some(Code::Limit), "what is known to be spent is spent");
}

#[test]
fn gauges_show_a_window_whose_use_is_unknown_as_full() {
    let mut policy = Bed::order(buy()).policy;
    policy.limits = Limits { orders_per_minute: Some(10), orders_per_day: Some(100), ..Limits::default() };
    let bed = Bed::order(buy()).used(3, "1", NOW);
    let used = |ago_ms: i64| {
        let gauges = gauges(&policy, &bed.meter, Some(NOW.plus_ms(-ago_ms)), &Rate::default(), NOW, 0);
        gauges.iter().skip(1).map(|gauge| gauge.used.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (used(0), used(60_000), used(86_400_000)),
        (
            vec!["10".to_owned(), "100".to_owned()],
            vec!["3".to_owned(), "100".to_owned()],
            vec!["3".to_owned(), "3".to_owned()],
        )
    );
}
