//! What orders are worth, case by case.

use super::*;
use crate::policy::tests::bed::{
    NOW, PAIR, SWAP, amend, buy, contracts, limit, market, number, rules, sell, sizes, text, worth_each,
};

/// The worth of an order under rules, with a reference price where one is given.
fn worth_under(rules: &OrderRules, reference: Option<&str>, order: &Order<'_>) -> Result<String, Uncountable> {
    let prices = reference.map(|price| Reference { price: number(price), given: NOW });
    let references =
        prices.iter().flat_map(|price| [PAIR, SWAP].map(|name| (name.to_owned(), price.clone()))).collect();
    of(order, &Basis { rules: Some(rules), references: &references }).map(|worth| worth.to_string())
}

fn worth(reference: Option<&str>, order: &Order<'_>) -> Result<String, Uncountable> {
    worth_under(&rules(), reference, order)
}

fn is(text: &str) -> Result<String, Uncountable> {
    Ok(text.to_owned())
}

fn at(prices: &[Fact<Price>], order: Order<'static>) -> Order<'static> {
    Order { prices: prices.to_vec(), ..order }
}

fn set_off(triggers: &[Fact<Decimal>], order: Order<'static>) -> Order<'static> {
    Order { triggers: triggers.to_vec(), ..order }
}

fn trigger(price: &str) -> Fact<Decimal> {
    Fact::Is(number(price))
}

#[test]
fn a_buy_is_worth_its_highest_price() {
    assert_eq!(worth(None, &buy()), is("30000"));
    assert_eq!(worth(Some("70000"), &buy()), is("30000"), "it fills at its price or better");
    assert_eq!(worth(None, &at(&[limit("100"), limit("300"), limit("200")], buy())), is("150"));
    assert_eq!(worth(None, &at(&[limit("0.000000000000000001")], buy())), is("0.0000000000000000005"));
    assert_eq!(worth(None, &set_off(&[trigger("90000")], buy())), is("30000"), "the limit bounds it");
    assert_eq!(worth(None, &set_off(&[Fact::Unreadable], buy())), is("30000"));
}

#[test]
fn a_buy_at_market_is_worth_the_reference_price_or_the_trigger() {
    let order = at(&[market()], buy());
    assert_eq!(worth(Some("70000"), &order), is("35000"));
    assert_eq!(worth(None, &order), Err(Uncountable::Market));
    assert_eq!(worth(Some("70000"), &set_off(&[trigger("80000")], order.clone())), is("40000"));
    assert_eq!(worth(Some("70000"), &set_off(&[trigger("60000"), Fact::Absent], order.clone())), is("35000"));
    assert_eq!(worth(Some("7"), &set_off(&[trigger("10"), trigger("20"), trigger("8")], order.clone())), is("10"));
    assert_eq!(worth(None, &set_off(&[trigger("80000")], order.clone())), Err(Uncountable::Market));
    assert_eq!(worth(Some("7"), &set_off(&[trigger("10"), Fact::Unreadable], order)), Err(Uncountable::Trigger));
    assert_eq!(worth(Some("70000"), &at(&[limit("80000"), market()], buy())), is("40000"));
    assert_eq!(worth(Some("90000"), &at(&[limit("80000"), market()], buy())), is("45000"));
}

#[test]
fn a_sell_is_worth_what_the_market_gives() {
    assert_eq!(worth(Some("50000"), &sell()), is("30000"));
    assert_eq!(worth(Some("70000"), &sell()), is("35000"));
    assert_eq!(worth(Some("70000"), &at(&[limit("1")], sell())), is("35000"));
    assert_eq!(worth(Some("70000"), &at(&[market()], sell())), is("35000"));
    assert_eq!(worth(Some("70000"), &set_off(&[trigger("80000")], at(&[market()], sell()))), is("40000"));
    assert_eq!(worth(Some("70000"), &set_off(&[trigger("80000")], at(&[limit("1")], sell()))), is("40000"));
    assert_eq!(worth(Some("70000"), &set_off(&[trigger("1"), Fact::Absent], sell())), is("35000"));
    assert_eq!(worth(Some("70000"), &set_off(&[Fact::Unreadable], sell())), Err(Uncountable::Trigger));
}

#[test]
fn a_sell_without_a_reference_price_needs_a_largest_size() {
    assert_eq!(worth(None, &sell()), Err(Uncountable::Sell));
    let named = OrderRules { max_size: sizes(&[(PAIR, "1")]), ..rules() };
    assert_eq!(worth_under(&named, None, &sell()), is("30000"));
    assert_eq!(worth_under(&named, None, &set_off(&[trigger("80000")], sell())), is("40000"));
    assert_eq!(worth_under(&named, None, &at(&[market()], sell())), Err(Uncountable::Market));
    let other = OrderRules { max_size: sizes(&[(SWAP, "1")]), ..rules() };
    assert_eq!(worth_under(&other, None, &sell()), Err(Uncountable::Sell));
    let nobody = Basis { rules: None, references: &BTreeMap::new() };
    assert_eq!(of(&sell(), &nobody), Err(Uncountable::Sell));
    assert_eq!(of(&buy(), &nobody), Ok(number("30000")));
}

#[test]
fn whatever_is_not_known_to_be_a_buy_counts_like_a_sell() {
    for side in [Fact::Absent, Fact::Unreadable] {
        assert_eq!(worth(Some("70000"), &Order { side: side.clone(), ..buy() }), is("35000"));
        assert_eq!(worth(None, &Order { side, ..buy() }), Err(Uncountable::Sell));
    }
    assert_eq!(worth(Some("70000"), &amend()), is("35000"));
    assert_eq!(
        worth(Some("70000"), &Order { side: Fact::Is(Side::Buy), ..amend() }),
        is("35000"),
        "it can't change that"
    );
}

#[test]
fn an_amend_counts_with_both_size_and_price() {
    assert_eq!(worth(Some("7"), &at(&[], amend())), Err(Uncountable::Amend));
    assert_eq!(worth(Some("7"), &Order { size: Fact::Absent, ..amend() }), Err(Uncountable::Amend));
    assert_eq!(worth(Some("7"), &Order { size: Fact::Unreadable, ..amend() }), Err(Uncountable::Size));
    assert_eq!(worth(Some("7"), &at(&[Fact::Unreadable], amend())), Err(Uncountable::Price));
    assert_eq!(worth(Some("7"), &at(&[market()], amend())), is("3.5"));
}

#[test]
fn a_size_in_quote_currency_is_the_worth() {
    for order in [buy(), sell(), at(&[market()], buy()), at(&[], sell()), at(&[Fact::Unreadable], buy())] {
        assert_eq!(worth(None, &Order { unit: Fact::Is(Unit::Quote), ..order }), is("0.5"));
    }
}

#[test]
fn what_is_missing_or_unreadable_is_never_guessed() {
    for (order, expected) in [
        (Order { instrument: Fact::Absent, ..buy() }, Uncountable::Instrument),
        (Order { instrument: Fact::Unreadable, ..buy() }, Uncountable::Instrument),
        (Order { size: Fact::Absent, ..buy() }, Uncountable::Size),
        (Order { size: Fact::Unreadable, ..buy() }, Uncountable::Size),
        (Order { unit: Fact::Absent, ..buy() }, Uncountable::Unit),
        (Order { unit: Fact::Unreadable, ..buy() }, Uncountable::Unit),
        (at(&[], buy()), Uncountable::NoPrice),
        (at(&[Fact::Absent], buy()), Uncountable::Price),
        (at(&[limit("1"), Fact::Unreadable], buy()), Uncountable::Price),
        (at(&[Fact::Unreadable], sell()), Uncountable::Price),
    ] {
        assert_eq!(worth(Some("70000"), &order), Err(expected), "{order:?}");
    }
}

#[test]
fn contracts_are_worth_what_the_policy_says() {
    let linear = OrderRules { contract_value: worth_each(SWAP, "0.01", ContractKind::Linear), ..rules() };
    let inverse = OrderRules { contract_value: worth_each(SWAP, "100", ContractKind::Inverse), ..rules() };
    let sold = Order { side: Fact::Is(Side::Sell), ..contracts() };
    assert_eq!(worth(Some("60000"), &contracts()), Err(Uncountable::Contract));
    assert_eq!(worth_under(&linear, None, &contracts()), is("6000"));
    assert_eq!(worth_under(&linear, Some("70000"), &sold), is("7000"));
    assert_eq!(worth_under(&linear, None, &sold), Err(Uncountable::Sell));
    for order in [contracts(), sold, at(&[market()], contracts()), at(&[Fact::Unreadable], contracts())] {
        assert_eq!(worth_under(&inverse, None, &order), is("1000"));
    }
    let amended = Order { market: Market::Contract, instrument: text(SWAP), ..amend() };
    assert_eq!(worth_under(&inverse, None, &amended), is("50"));
    assert_eq!(worth_under(&inverse, None, &at(&[], amended)), Err(Uncountable::Amend));
}

#[test]
fn other_markets_count_plainly_unless_a_contract_value_names_the_instrument() {
    for market in [Market::Spot, Market::Unknown] {
        let order = Order { market, ..buy() };
        assert_eq!(worth(None, &order), is("30000"));
        let named = OrderRules { contract_value: worth_each(PAIR, "0.01", ContractKind::Linear), ..rules() };
        assert_eq!(worth_under(&named, None, &order), is("300"));
    }
}

#[test]
fn every_reason_has_its_help() {
    let reasons = [
        (Uncountable::Instrument, "name the instrument"),
        (Uncountable::Size, "write the size"),
        (Uncountable::Unit, "in which currency"),
        (Uncountable::NoPrice, "send a price"),
        (Uncountable::Price, "write prices"),
        (Uncountable::Trigger, "write prices"),
        (Uncountable::Market, "`reference_price`"),
        (Uncountable::Sell, "`max_size`"),
        (Uncountable::Contract, "`contract_value`"),
        (Uncountable::Amend, "together"),
    ];
    for (reason, help) in reasons {
        assert!(reason.help().contains(help), "{reason:?}: {}", reason.help());
    }
}
