//! Each rule about orders at its edges.

use crate::policy::tests::bed::{
    Bed, PAIR, SWAP, amend, buy, close, contracts, limit, number, only, rules, sell, sizes, text, worth_each,
};
use crate::policy::{ContractKind, Instruments, OrderRules};
use crate::types::decimal::Decimal;
use crate::types::decision::Code;
use crate::types::endpoint::{Effect, Grant};
use crate::types::facts::{Fact, Order, Side, Subject, Transfer, Unit};
use std::collections::BTreeSet;

type Denied = Option<(Code, &'static str)>;

fn judged(rules: &OrderRules, order: Order<'static>) -> Denied {
    Bed::order(order).under(rules.clone()).denied_by()
}

fn sized(size: &str) -> Order<'static> {
    Order { size: Fact::Is(number(size)), ..buy() }
}

#[test]
fn instruments_are_compared_to_the_byte() {
    let listed = OrderRules { instruments: only(&[PAIR, "ETH-USDT"]), ..rules() };
    let denied = Some((Code::OrderInstrument, "order.instruments"));
    for (instrument, expected) in [
        (text("BTC-USDT"), None),
        (text("ETH-USDT"), None),
        (text("BTC-USDT-SWAP"), denied),
        (text("btc-usdt"), denied),
        (text("BTC-USDT "), denied),
        (text("BTC-USD"), denied),
        (Fact::Absent, denied),
        (Fact::Unreadable, denied),
    ] {
        for order in [buy(), amend(), close()] {
            let order = Order { instrument: instrument.clone(), ..order };
            assert_eq!(judged(&listed, order.clone()), expected, "{order:?}");
        }
    }
    assert_eq!(judged(&OrderRules { instruments: only(&[]), ..rules() }, buy()), denied);
}

#[test]
fn any_instrument_must_be_known_only_where_another_rule_asks_for_it() {
    let denied = Some((Code::OrderInstrument, "order.instruments"));
    let counting = [
        (rules(), None),
        (OrderRules { max_size: sizes(&[(SWAP, "1")]), ..rules() }, denied),
        (OrderRules { max_notional: Some(number("1000000")), ..rules() }, denied),
        (OrderRules { max_price_deviation: Some(number("1")), ..rules() }, denied),
    ];
    for (rules, expected) in counting {
        assert_eq!(rules.instruments, Instruments::Any);
        for instrument in [Fact::Absent, Fact::Unreadable] {
            let of = |order: Order<'static>| judged(&rules, Order { instrument: instrument.clone(), ..order });
            assert_eq!((of(buy()), of(amend()), of(close())), (expected, expected, None), "{rules:?}");
        }
    }
}

#[test]
fn sides_are_those_listed() {
    let side = |sides: &[Side], side| {
        let rules = OrderRules { sides: Some(sides.iter().copied().collect()), ..rules() };
        judged(&rules, Order { side, ..buy() })
    };
    let denied = Some((Code::OrderSide, "order.sides"));
    assert_eq!(side(&[Side::Buy], Fact::Is(Side::Buy)), None);
    assert_eq!(side(&[Side::Buy], Fact::Is(Side::Sell)), denied);
    assert_eq!(side(&Side::ALL, Fact::Is(Side::Sell)), None);
    assert_eq!(side(&Side::ALL, Fact::Absent), denied);
    assert_eq!(side(&Side::ALL, Fact::Unreadable), denied);
    assert_eq!(side(&[], Fact::Is(Side::Buy)), denied);
}

#[test]
fn types_are_those_listed_to_the_byte() {
    let order_type = |order_type| {
        let listed = BTreeSet::from(["limit".to_owned(), "post_only".to_owned()]);
        judged(&OrderRules { types: Some(listed), ..rules() }, Order { order_type, ..buy() })
    };
    let denied = Some((Code::OrderType, "order.types"));
    assert_eq!(order_type(text("limit")), None);
    assert_eq!(order_type(text("post_only")), None);
    for other in [text("market"), text("Limit"), text("limit "), Fact::Absent, Fact::Unreadable] {
        assert_eq!(order_type(other), denied);
    }
}

#[test]
fn an_order_must_say_that_it_only_reduces_where_that_is_the_rule() {
    let says = |rule, reduce_only| judged(&OrderRules { reduce_only: rule, ..rules() }, Order { reduce_only, ..buy() });
    let denied = Some((Code::OrderReduceOnly, "order.reduce_only"));
    assert_eq!(says(true, Fact::Is(true)), None);
    for other in [Fact::Is(false), Fact::Absent, Fact::Unreadable] {
        assert_eq!((says(true, other.clone()), says(false, other)), (denied, None));
    }
}

#[test]
fn an_order_that_only_reduces_brings_no_other_along() {
    let rule = OrderRules { reduce_only: true, ..rules() };
    for order in [Order { reduce_only: Fact::Is(true), ..buy() }, amend()] {
        let attached = Order { uncounted: Some("attachAlgoOrds"), ..order.clone() };
        assert_eq!(judged(&rule, order), None);
        assert_eq!(judged(&rules(), attached.clone()), None);
        assert_eq!(judged(&rule, attached), Some((Code::FieldUncounted, "order")));
    }
}

#[test]
fn a_denial_does_not_list_thousands_of_instruments() {
    let names: Vec<String> = (1..=4000).map(|number| format!("A{number:04}-USDT")).collect();
    let help = |most: usize| {
        let listed: Vec<&str> = names[..most].iter().map(String::as_str).collect();
        let bed = Bed::order(buy()).under(OrderRules { instruments: only(&listed), ..rules() });
        bed.denial().expect("it is in an instrument that is not listed").help
    };
    assert!(help(20).contains("`A0020-USDT`; add"), "{}", help(20));
    assert!(help(4000).contains("`A0020-USDT` and 3980 more; add") && help(4000).len() < 1000, "{}", help(4000));
}

#[test]
fn amends_and_closes_are_not_asked_for_what_they_cannot_change() {
    let strict = OrderRules {
        sides: Some(BTreeSet::new()),
        types: Some(BTreeSet::new()),
        reduce_only: true,
        max_size: sizes(&[(PAIR, "0.5")]),
        ..rules()
    };
    assert_eq!(judged(&strict, amend()), None);
    assert_eq!(judged(&strict, close()), None);
    assert_eq!(judged(&strict, Order { uncounted: Some("x"), size: Fact::Unreadable, ..close() }), None);
    assert_eq!(judged(&strict, buy()), Some((Code::OrderSide, "order.sides")));
}

#[test]
fn a_member_that_no_rule_counts_denies_only_where_a_rule_counts() {
    let with = |rules: OrderRules, order: Order<'static>| {
        Bed::order(Order { uncounted: Some("attachAlgoOrds"), ..order }).under(rules).at("60000")
    };
    let listed = OrderRules { instruments: only(&[PAIR]), sides: Some(Side::ALL.into()), ..rules() };
    assert_eq!(with(listed.clone(), buy()).code(), None);
    let counting = [
        OrderRules { max_size: sizes(&[(SWAP, "1")]), ..listed.clone() },
        OrderRules { max_notional: Some(number("1000000")), ..listed.clone() },
        OrderRules { max_price_deviation: Some(number("1")), ..listed },
    ];
    for rules in counting {
        for order in [buy(), amend()] {
            let bed = with(rules.clone(), order.clone());
            assert_eq!(bed.denied_by(), Some((Code::FieldUncounted, "order")));
            assert!(bed.detail().contains("`attachAlgoOrds`"));
            assert_eq!(Bed::order(order).under(rules.clone()).at("60000").code(), None);
        }
        assert_eq!(with(rules, close()).code(), None);
    }
}

#[test]
fn sizes_end_at_the_largest_of_the_instrument() {
    let rules = OrderRules { max_size: sizes(&[(PAIR, "0.5"), (SWAP, "10")]), ..rules() };
    let denied = Some((Code::OrderSize, "order.max_size"));
    for (size, expected) in [
        ("0", None),
        ("0.499999999999999999", None),
        ("0.5", None),
        ("0.50", None),
        ("0.500000000000000001", denied),
        ("10", denied),
    ] {
        assert_eq!(judged(&rules, sized(size)), expected, "{size}");
        let amend = Order { effect: Effect::Amend, ..sized(size) };
        assert_eq!(judged(&rules, amend), expected, "amended to {size}");
    }
    assert_eq!(judged(&rules, contracts()), None);
    assert_eq!(judged(&rules, Order { size: Fact::Is(number("11")), ..contracts() }), denied);
    assert_eq!(judged(&rules, Order { instrument: text("ETH-USDT"), ..sized("1000") }), None, "not named");
}

#[test]
fn a_size_that_cannot_be_counted_is_denied_where_it_must_be() {
    let rules = OrderRules { max_size: sizes(&[(PAIR, "0.5")]), ..rules() };
    let denied = Some((Code::OrderSize, "order.max_size"));
    for size in [Fact::Absent, Fact::Unreadable] {
        assert_eq!(judged(&rules, Order { size: size.clone(), ..buy() }), denied);
        assert_eq!(judged(&rules, Order { size, instrument: text("ETH-USDT"), ..buy() }), None);
    }
    for unit in [Fact::Absent, Fact::Unreadable] {
        assert_eq!(judged(&rules, Order { unit, ..buy() }), denied);
    }
    assert_eq!(judged(&rules, Order { size: Fact::Absent, unit: Fact::Absent, ..amend() }), None, "the size stays");
    assert_eq!(judged(&rules, Order { size: Fact::Unreadable, ..amend() }), denied);
}

#[test]
fn a_size_in_quote_currency_is_compared_at_the_reference_price() {
    let sized = |size: &str, order: Order<'static>| Order {
        size: Fact::Is(number(size)),
        unit: Fact::Is(Unit::Quote),
        ..order
    };
    let rules = OrderRules { max_size: sizes(&[(PAIR, "0.5"), (SWAP, "10")]), ..rules() };
    let denied = Some((Code::OrderSize, "order.max_size"));
    let at = |rules: &OrderRules, order| Bed::order(order).under(rules.clone()).at("60000").denied_by();
    assert_eq!(at(&rules, sized("30000", buy())), None);
    assert_eq!(at(&rules, sized("30000.01", buy())), denied);
    assert_eq!(judged(&rules, sized("0.1", buy())), denied, "no reference price");
    assert_eq!(at(&rules, sized("0.1", contracts())), denied, "nobody says what a contract is worth");
    let linear = OrderRules { contract_value: worth_each(SWAP, "0.01", ContractKind::Linear), ..rules.clone() };
    assert_eq!(at(&linear, sized("6000", contracts())), None);
    assert_eq!(at(&linear, sized("6000.01", contracts())), denied);
    let inverse = OrderRules { contract_value: worth_each(SWAP, "100", ContractKind::Inverse), ..rules };
    assert_eq!(judged(&inverse, sized("1000", contracts())), None);
    assert_eq!(judged(&inverse, sized("1000.01", contracts())), denied);
}

#[test]
fn notional_ends_at_the_largest() {
    let rules = OrderRules { max_notional: Some(number("30000")), ..rules() };
    let denied = Some((Code::OrderNotional, "order.max_notional"));
    let cent: Decimal = number("60000.01");
    assert_eq!(judged(&rules, buy()), None);
    assert_eq!(judged(&rules, Order { prices: vec![limit(&cent.to_string())], ..buy() }), denied);
    assert_eq!(judged(&rules, Order { prices: vec![limit("0")], ..buy() }), None);
    assert_eq!(judged(&rules, Order { size: Fact::Is(number("0")), ..buy() }), None);
    assert_eq!(judged(&rules, Order { size: Fact::Unreadable, ..buy() }), denied);
    assert_eq!(judged(&rules, sell()), denied, "neither a reference price nor a largest size");
    let at = |price: &str, order: Order<'static>| Bed::order(order).under(rules.clone()).at(price).denied_by();
    assert_eq!(at("60000", sell()), None);
    assert_eq!(at("60001", sell()), denied);
    assert_eq!(at("60000", Order { prices: vec![limit("1")], ..sell() }), None);
    assert_eq!(at("60001", Order { prices: vec![limit("1")], ..sell() }), denied, "a sell at 1 fills at market");
    assert_eq!(at("60000", amend()), None);
    assert_eq!(at("60001", amend()), denied);
}

#[test]
fn what_the_notional_lacks_is_said_with_its_help() {
    let rules = OrderRules { max_notional: Some(number("30000")), ..rules() };
    let denial = Bed::order(contracts()).under(rules).denial().unwrap();
    assert!(denial.detail.ends_with("so its notional can't be counted"), "{}", denial.detail);
    assert!(denial.help.contains("`contract_value`"), "{}", denial.help);
}

#[test]
fn rules_about_one_order_are_asked_in_a_fixed_order() {
    let rules = OrderRules {
        instruments: only(&["X"]),
        sides: Some(BTreeSet::new()),
        types: Some(BTreeSet::new()),
        max_size: sizes(&[(PAIR, "0.1")]),
        max_notional: Some(number("1")),
        reduce_only: true,
        max_price_deviation: Some(number("0")),
        ..rules()
    };
    let mut bed = Bed::order(Order { uncounted: Some("x"), ..sell() }).under(rules).at("1");
    let mut next = |lift: fn(&mut OrderRules)| {
        let code = bed.code();
        lift(bed.policy.order.as_mut().unwrap());
        code
    };
    assert_eq!(next(|rules| rules.instruments = Instruments::Any), Some(Code::OrderInstrument));
    assert_eq!(next(|rules| rules.sides = None), Some(Code::OrderSide));
    assert_eq!(next(|rules| rules.types = None), Some(Code::OrderType));
    assert_eq!(next(|rules| rules.reduce_only = false), Some(Code::OrderReduceOnly));
    assert_eq!(next(|_| ()), Some(Code::FieldUncounted));
    bed.facts.subject = Subject::Orders(vec![sell()]);
    let mut next = |lift: fn(&mut OrderRules)| {
        let code = bed.code();
        lift(bed.policy.order.as_mut().unwrap());
        code
    };
    assert_eq!(next(|rules| rules.max_size.clear()), Some(Code::OrderSize));
    assert_eq!(next(|rules| rules.max_price_deviation = None), Some(Code::OrderPrice));
    assert_eq!(next(|rules| rules.max_notional = None), Some(Code::OrderNotional));
    assert_eq!(next(|_| ()), None);
}

/// What is not judged, what is, and what can't be.
#[test]
fn which_asks_are_judged_follows_from_grant_effect_and_form() {
    use Effect::{Amend, Cancel, Close, None as Nothing, Place};
    let orders = || Subject::Orders(vec![buy()]);
    let transfer = || {
        Subject::Transfer(Transfer {
            currency: Fact::Absent,
            amount: Fact::Absent,
            destination: Fact::Absent,
            client_id: Fact::Absent,
            uncounted: None,
        })
    };
    let (judged, unjudged) = (Some(Code::OrderSide), Some(Code::FieldUncounted));
    let empty = || Subject::Orders(Vec::new());
    let all = || [orders(), Subject::Unknown, Subject::Misshapen, empty(), transfer()];
    let cases = [
        (Grant::Trade, Place, [judged, unjudged, unjudged, unjudged, unjudged]),
        (Grant::Trade, Amend, [judged, unjudged, unjudged, unjudged, unjudged]),
        (Grant::Trade, Close, [judged, unjudged, unjudged, unjudged, unjudged]),
        (Grant::Trade, Nothing, [judged, None, unjudged, unjudged, unjudged]),
        (Grant::Trade, Cancel, [None; 5]),
        (Grant::Advanced, Place, [unjudged; 5]),
        (Grant::Advanced, Amend, [unjudged; 5]),
        (Grant::Advanced, Close, [unjudged; 5]),
        (Grant::Advanced, Nothing, [unjudged; 5]),
        (Grant::Advanced, Cancel, [None; 5]),
        (Grant::Read, Nothing, [None; 5]),
        (Grant::Settings, Nothing, [None; 5]),
        (Grant::Funds, Nothing, [None; 5]),
        (Grant::Session, Nothing, [None; 5]),
    ];
    let rules = OrderRules { sides: Some(BTreeSet::new()), ..rules() };
    for (grant, effect, expected) in cases {
        for (subject, expected) in all().into_iter().zip(expected) {
            let bed = Bed::new(grant, effect, subject).under(rules.clone());
            assert_eq!(bed.code(), expected, "{grant} {effect:?} {:?}", bed.facts.subject);
            let rule = expected.map(|code| if code == Code::OrderSide { "order.sides" } else { "order" });
            assert_eq!(bed.denied_by().map(|(_, rule)| rule), rule);
        }
    }
}

#[test]
fn each_order_of_a_body_is_judged_by_what_happens_to_it() {
    let rules = OrderRules { sides: Some(BTreeSet::from([Side::Buy])), instruments: only(&[PAIR]), ..rules() };
    let code = |effect| {
        let second = Order { effect, side: Fact::Is(Side::Sell), ..buy() };
        Bed::orders(vec![buy(), second]).under(rules.clone()).code()
    };
    assert_eq!(code(Effect::Place), Some(Code::OrderSide));
    assert_eq!(code(Effect::None), Some(Code::OrderSide));
    assert_eq!((code(Effect::Amend), code(Effect::Close), code(Effect::Cancel)), (None, None, None));
    let elsewhere = |effect| {
        let second = Order { effect, instrument: text("X"), ..buy() };
        Bed::orders(vec![buy(), second]).under(rules.clone()).code()
    };
    assert_eq!((elsewhere(Effect::Close), elsewhere(Effect::Cancel)), (Some(Code::OrderInstrument), None));
}

#[test]
fn help_lists_what_is_allowed() {
    let help = |rules| Bed::order(sell()).under(rules).denial().unwrap().help.into_owned();
    let listed = help(OrderRules { instruments: only(&["A", "B"]), ..rules() });
    assert!(listed.contains("allows `A`, `B`;"), "{listed}");
    let listed = help(OrderRules { sides: Some(BTreeSet::from([Side::Buy])), ..rules() });
    assert!(listed.contains("allows `buy`;"), "{listed}");
    let listed = help(OrderRules { types: Some(BTreeSet::new()), ..rules() });
    assert!(listed.contains("allows none;"), "{listed}");
}
