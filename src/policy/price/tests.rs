//! The band at its edges, and prices that are too old.

use crate::policy::OrderRules;
use crate::policy::tests::bed::{Bed, NOW, amend, buy, close, limit, market, number, rules, sell, text};
use crate::types::decision::Code;
use crate::types::facts::{Fact, Order};

const DENIED: Option<(Code, &str)> = Some((Code::OrderPrice, "order.max_price_deviation"));

fn within(deviation: &str) -> OrderRules {
    OrderRules { max_price_deviation: Some(number(deviation)), ..rules() }
}

fn priced(price: &str) -> Order<'static> {
    Order { prices: vec![limit(price)], ..buy() }
}

#[test]
fn both_ends_of_the_band_are_in_it() {
    let at = |deviation, price| Bed::order(priced(price)).under(within(deviation)).at("60000").denied_by();
    for (price, expected) in [
        ("57000", None),
        ("56999.999999999999999999", DENIED),
        ("63000", None),
        ("63000.000000000000000001", DENIED),
        ("60000", None),
        ("1", DENIED),
        ("0", DENIED),
        ("600000", DENIED),
    ] {
        assert_eq!(at("0.05", price), expected, "{price}");
        let amended = Order { prices: vec![limit(price)], ..amend() };
        assert_eq!(Bed::order(amended).under(within("0.05")).at("60000").denied_by(), expected, "amended to {price}");
        let sold = Order { prices: vec![limit(price)], ..sell() };
        assert_eq!(Bed::order(sold).under(within("0.05")).at("60000").denied_by(), expected, "sold at {price}");
    }
    assert_eq!((at("0", "60000"), at("0", "60000.1")), (None, DENIED));
    assert_eq!((at("1", "0"), at("1", "120000"), at("1", "120000.1")), (None, None, DENIED));
    assert_eq!((at("2", "0"), at("2", "180000"), at("2", "180001")), (None, None, DENIED));
}

#[test]
fn thirds_are_exact() {
    // A third of the price is not a decimal number: a division would have to round.
    let at = |price| Bed::order(priced(price)).under(within("0.333333333333333333")).at("3").denied_by();
    assert_eq!((at("2.000000000000000001"), at("2")), (None, DENIED));
}

#[test]
fn every_price_is_judged() {
    let at = |prices| Bed::order(Order { prices, ..buy() }).under(within("0.05")).at("60000").denied_by();
    assert_eq!(at(vec![limit("60000"), limit("61000")]), None);
    assert_eq!(at(vec![limit("60000"), limit("70000")]), DENIED);
    assert_eq!(at(vec![limit("70000"), limit("60000")]), DENIED);
    assert_eq!(at(vec![market()]), None);
    assert_eq!(at(vec![market(), limit("70000")]), DENIED);
    assert_eq!(at(vec![limit("60000"), Fact::Unreadable]), DENIED);
    assert_eq!(at(vec![Fact::Absent]), DENIED);
    assert_eq!(at(Vec::new()), DENIED);
}

#[test]
fn without_a_reference_price_there_is_nothing_to_compare_with() {
    let market = Order { prices: vec![market()], ..buy() };
    for order in [buy(), market, amend()] {
        assert_eq!(Bed::order(order.clone()).under(within("0.05")).denied_by(), DENIED);
        let elsewhere = Order { instrument: text("ETH-USDT"), ..order };
        assert_eq!(Bed::order(elsewhere).under(within("0.05")).at("60000").denied_by(), DENIED);
    }
    assert_eq!(Bed::order(close()).under(within("0.05")).code(), None);
    assert_eq!(Bed::order(buy()).under(rules()).code(), None, "no such rule");
}

#[test]
fn an_amend_that_leaves_the_price_passes() {
    let amended = Order { prices: Vec::new(), ..amend() };
    assert_eq!(Bed::order(amended.clone()).under(within("0.05")).code(), None);
    assert_eq!(Bed::order(amended).under(within("0.05")).at("1").code(), None);
}

#[test]
fn an_old_reference_price_lets_through_only_what_can_only_reduce() {
    let aged = |age_ms: i64, max_age_s, order: Order<'static>| {
        let rules = OrderRules { reference_price_max_age_s: max_age_s, ..within("0.05") };
        Bed::order(order).under(rules).at_since("60000", NOW.plus_ms(-age_ms)).denied_by()
    };
    assert_eq!(aged(10_000, Some(10), buy()), None);
    assert_eq!(aged(10_001, Some(10), buy()), DENIED);
    assert_eq!(aged(0, Some(0), buy()), None);
    assert_eq!(aged(1, Some(0), buy()), DENIED);
    assert_eq!(aged(-60_000, Some(0), buy()), None, "given by a clock that went ahead");
    assert_eq!(aged(i64::MAX / 2, None, buy()), None, "good for ever");
    assert_eq!(aged(1_000, Some(u64::MAX), buy()), None, "as good as for ever");
    let reduces = |says| Order { reduce_only: says, ..priced("1") };
    assert_eq!(aged(10_001, Some(10), reduces(Fact::Is(true))), None);
    assert_eq!(aged(10_000, Some(10), reduces(Fact::Is(true))), DENIED, "the band is judged while it can be");
    for says in [Fact::Is(false), Fact::Absent, Fact::Unreadable] {
        assert_eq!(aged(10_001, Some(10), reduces(says)), DENIED);
    }
    assert_eq!(Bed::order(reduces(Fact::Is(true))).under(within("0.05")).denied_by(), DENIED, "none at all");
}

#[test]
fn the_help_says_which_prices_are_allowed() {
    let denial = Bed::order(priced("1")).under(within("0.05")).at("60000").denial().unwrap();
    assert!(denial.help.contains("from 57000 to 63000"), "{}", denial.help);
}
