use super::*;
use crate::policy::arbitrary;
use crate::policy::parse::parse;
use proptest::prelude::{prop_assert_eq, proptest};

fn words(text: &str) -> Vec<String> {
    describe(&parse(text, &|_| true).unwrap())
}

#[track_caller]
fn assert_says(text: &str, sentences: &[&str]) {
    let words = words(text);
    for sentence in sentences {
        assert!(words.iter().any(|word| word == sentence), "{sentence:?} is not in {words:#?}");
    }
}

#[test]
fn every_grant_is_told_whether_it_is_there_or_not() {
    let words = words("grants = [\"read\", \"withdraw\"]");
    assert_eq!(
        words,
        [
            "may read market and account data",
            "may not place, amend, cancel and close orders",
            "may not change leverage, margin and position settings",
            "may not trade through exchange-side bots, copy trading, block trades and conversions",
            "may not move, lend, borrow or lock funds inside the exchange",
            "may not make or change API keys and sub-accounts",
            "may withdraw funds from the exchange",
            "may not log a WebSocket in",
            "at most 50 requests in any second (the default), and as many reads and cancels beside them",
            "transfers: to any address, any amount of any currency",
        ]
    );
}

#[test]
fn trading_without_order_rules_says_how_much_that_is() {
    assert_says("grants = [\"trade\"]", &["may place, amend, cancel and close orders, of any size in any instrument"]);
}

#[test]
fn order_rules_are_told_in_full() {
    let text = "grants = [\"trade\", \"advanced\"]\n[order]\ninstruments = [\"BTC-USDT\", \"ETH-USDT\"]\n\
        sides = [\"buy\", \"sell\"]\ntypes = [\"limit\", \"post_only\"]\nmax_size = { \"BTC-USDT\" = \"0.5\" }\n\
        max_notional = 20000\nmax_price_deviation = \"2.5%\"\nreference_price = { \"BTC-USDT\" = \"60000\" }\n";
    assert_says(
        text,
        &[
            "may place, amend, cancel and close orders, by the rules below",
            "may not trade through exchange-side bots, copy trading, block trades and conversions: it is granted, but the rules below can't judge it, so it is denied",
            "orders: only BTC-USDT and ETH-USDT; buys and sells; only of type limit or post_only",
            "no order larger than 0.5 in BTC-USDT (base currency, or contracts); any size in ETH-USDT",
            "no order worth more than 20000 in quote currency",
            WORTH,
            "orders may open positions and make them larger",
            "no price further than 2.5% from the reference price; an order at market has no price to compare and passes; without a reference price every order is denied",
            "the reference price of BTC-USDT is 60000, or one set since",
            "a reference price older than 24 hours is too old to compare with, and then only orders that reduce a position pass",
            "cancelling is under none of these rules; closing a whole position is under that of instruments alone",
        ],
    );
    assert!(!words(text).iter().any(|word| word.contains("caution")), "one quote currency");
}

#[test]
fn advanced_trading_is_denied_only_where_there_are_rules() {
    let plain = "may trade through exchange-side bots, copy trading, block trades and conversions";
    for (rules, rest) in [
        ("", ""),
        ("enforcement = \"shadow\"", ""),
        ("[limits]\norders_per_day = 9", ": it is granted, but the rules below can't judge it, so it is denied"),
        (
            "enforcement = \"shadow\"\n[limits]\norders_per_day = 9",
            ": the rules below can't judge it, and would deny it if they were enforced",
        ),
    ] {
        let may = if rest.contains("denied") { plain.replacen("may", "may not", 1) } else { plain.to_owned() };
        assert_says(&format!("grants = [\"trade\", \"advanced\"]\n{rules}\n"), &[&format!("{may}{rest}")]);
    }
}

#[test]
fn only_where_prices_are_compared_it_is_told_how_old_a_reference_may_be() {
    let text = "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\n";
    let mut policy = parse(&format!("{text}max_price_deviation = \"5%\"\n"), &|_| true).unwrap();
    policy.order.as_mut().unwrap().reference_price_max_age_s = None;
    let told = |words: &[String]| words.iter().any(|word| word == "no reference price is too old to compare with");
    assert!(told(&describe(&policy)) && !told(&words(text)));
}

#[test]
fn contracts_say_what_they_count_as() {
    let text = "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\nreduce_only = true\nsides = [\"sell\"]\n\
        contract_value = { A-USDT-SWAP = { value = \"0.01\", kind = \"linear\" }, A-USD-SWAP = { value = 100, kind = \"inverse\" } }\n";
    assert_says(
        text,
        &[
            "orders: in any instrument; only sells; of any type",
            "one order may be of any size",
            "one order may be worth any amount",
            "only orders that can make a position smaller (reduce only)",
            "a contract of A-USDT-SWAP counts as 0.01 of its base currency (linear)",
            "a contract of A-USD-SWAP counts as 100 in quote currency, whatever its price (inverse)",
        ],
    );
}

#[test]
fn contracts_that_cannot_be_counted_are_pointed_out() {
    let caution = |rules: &str| {
        let text = format!(
            "grants = [\"trade\"]\n[order]\nsides = [\"buy\"]\ninstruments = [\"A-USDT\", \"A-USDT-SWAP\", \"B-USDT-SWAP\"]\n{rules}\n"
        );
        words(&text).into_iter().find(|word| word.contains("contract_value"))
    };
    let both = "caution: `contract_value` does not say what a contract of A-USDT-SWAP or B-USDT-SWAP is worth, so its orders can't be counted";
    assert_eq!(caution("max_notional = 5").as_deref(), Some(both));
    assert_eq!(caution("[limits]\nnotional_per_day = 5").as_deref(), Some(both));
    let one = "contract_value = { B-USDT-SWAP = { value = 1, kind = \"linear\" } }\nmax_notional = 5";
    assert!(caution(one).is_some_and(|told| told.contains("of A-USDT-SWAP is worth")));
    assert_eq!(caution("max_size = { A-USDT-SWAP = 5 }"), None, "nothing counts what they are worth");
}

#[test]
fn money_of_different_kinds_is_pointed_out() {
    let text = |instruments| {
        format!(
            "grants = [\"trade\"]\n[limits]\nnotional_per_day = 1\n[order]\nsides = [\"buy\"]\ninstruments = {instruments}\n"
        )
    };
    let listed = "caution: amounts in BTC and USDT are compared and added as they are, without conversion";
    assert_says(&text("[\"ETH-BTC\", \"ETH-USDT\", \"BTC-USDT-SWAP\"]"), &[listed]);
    let any = "caution: amounts in different quote currencies are compared and added as they are, without conversion";
    assert_says(&text("[\"*\"]"), &[any]);
}

/// With a largest size alone, `notional_per_day` let half a coin be sold for next to nothing as often as one liked.
#[test]
fn sells_that_count_at_their_own_price_are_pointed_out() {
    let caution = |more: &str| {
        let text = format!(
            "grants = [\"trade\"]\n[limits]\nnotional_per_day = 1\n[order]\ninstruments = [\"A-C\", \"B-C\"]\n{more}\n"
        );
        words(&text).into_iter().find(|word| word.starts_with("caution: until"))
    };
    let told = "caution: until a reference price of A-C is set, a sell there counts at its own price, however far that is below the market";
    let (size, price) = ("max_size = { A-C = 1 }", "reference_price = { A-C = 1 }");
    assert_eq!(caution(size).as_deref(), Some(told));
    assert_eq!(caution(&format!("{size}\nsides = [\"sell\"]")).as_deref(), Some(told));
    for bounded in [price.to_owned(), format!("{size}\n{price}"), format!("{size}\nsides = [\"buy\"]")] {
        assert_eq!(caution(&bounded), None, "{bounded}");
    }
}

#[test]
fn limits_shadow_and_sessions_are_told() {
    let text = "grants = [\"trade\", \"advanced\", \"session\"]\nsession_unchecked = true\nenforcement = \"shadow\"\n[limits]\n\
        requests_per_second = 20\norders_per_minute = 10\norders_per_day = 5000\n";
    assert_says(
        text,
        &[
            "may place, amend, cancel and close orders, of any size in any instrument: the rules below are not enforced",
            "may trade through exchange-side bots, copy trading, block trades and conversions: the rules below can't judge it, and would deny it if they were enforced",
            "at most 20 requests in any second, and as many reads and cancels beside them",
            "at most 10 orders in any minute",
            "at most 5000 orders in any 24 hours",
            "what counts orders needs to know them apart: every order needs a client order id",
            "order rules and limits are only written down, not enforced; all else is enforced",
            "what is sent over a logged-in WebSocket is checked by no rule and counted by no limit",
        ],
    );
}

#[test]
fn transfers_say_where_to_and_how_much() {
    let cases = [
        ("", "transfers: to any address, any amount of any currency; what these rules can't judge is denied"),
        (
            "addresses = [\"6\", \"18\"]\nmax_amount = { USDT = 100, BTC = \"0.1\" }",
            "transfers: only to 18 or 6, at most 0.1 BTC or 100 USDT at once and no other currency; what these rules can't judge is denied",
        ),
        (
            "addresses = []\nmax_amount = {}",
            "transfers: to no address, of no currency; what these rules can't judge is denied",
        ),
    ];
    for (rules, sentence) in cases {
        assert_says(&format!("grants = [\"funds\"]\n[transfer]\n{rules}\n"), &[sentence]);
    }
}

proptest! {
    /// Naming both sides says the same as naming none.
    #[test]
    fn what_differs_in_meaning_differs_in_words((one, other) in arbitrary::two()) {
        let plain = |policy: &Policy| {
            let mut policy = policy.clone();
            if let Some(rules) = &mut policy.order {
                rules.sides = rules.sides.take().filter(|sides| sides.len() < 2);
            }
            policy
        };
        prop_assert_eq!(plain(&one) == plain(&other), describe(&one) == describe(&other));
    }
}
