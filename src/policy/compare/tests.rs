use super::*;
use crate::policy::arbitrary;
use crate::policy::parse::parse;
use proptest::prelude::{prop_assert_eq, proptest};

fn differences(before: &str, after: &str) -> Vec<String> {
    let read = |text| parse(text, &|_| true).unwrap();
    compare(&read(before), &read(after)).iter().map(Difference::to_string).collect()
}

const ORDER: &str = "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\n";
const LIMITS: &str = "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\nsides = [\"buy\"]\n[limits]\n";
const TRANSFER: &str = "grants = [\"funds\"]\n[transfer]\n";

/// What stands before both, what was, what is, and what is told there and back.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "",
        "grants = [\"read\"]",
        "grants = [\"read\", \"trade\"]",
        &["wider: grants gained trade"],
        &["narrower: grants lost trade"],
    ),
    (
        "",
        "grants = [\"read\"]",
        "grants = [\"trade\"]",
        &["wider: grants gained trade", "narrower: grants lost read"],
        &["wider: grants gained read", "narrower: grants lost trade"],
    ),
    ("", "", "endpoints = [\"GET /a\"]", &["narrower: endpoints any -> GET /a"], &["wider: endpoints GET /a -> any"]),
    ("", "", "endpoints = []", &["narrower: endpoints any -> none"], &["wider: endpoints none -> any"]),
    (
        "",
        "endpoints = [\"GET /a\"]",
        "endpoints = [\"GET /a\", \"GET /b\", \"GET /c\"]",
        &["wider: endpoints gained GET /b, GET /c"],
        &["narrower: endpoints lost GET /b, GET /c"],
    ),
    (
        "grants = [\"session\"]\n",
        "",
        "session_unchecked = true",
        &["other: session_unchecked false -> true"],
        &["other: session_unchecked true -> false"],
    ),
    (
        "",
        "",
        "enforcement = \"shadow\"",
        &["wider: enforcement enforce -> shadow"],
        &["narrower: enforcement shadow -> enforce"],
    ),
    (
        "grants = [\"trade\"]\n",
        "",
        "[order]\ninstruments = [\"A-B\"]",
        &["narrower: [order] absent -> present", "narrower: instruments any -> A-B"],
        &["wider: [order] present -> absent", "wider: instruments A-B -> any"],
    ),
    (
        "grants = [\"trade\"]\n[order]\n",
        "instruments = [\"*\"]",
        "instruments = [\"A-B\"]",
        &["narrower: instruments any -> A-B"],
        &["wider: instruments A-B -> any"],
    ),
    (
        "grants = [\"trade\"]\n[order]\n",
        "instruments = [\"A-B\", \"C-B\"]",
        "instruments = [\"A-B\"]",
        &["narrower: instruments lost C-B"],
        &["wider: instruments gained C-B"],
    ),
    (ORDER, "", "sides = [\"buy\"]", &["narrower: sides any -> buy"], &["wider: sides buy -> any"]),
    (
        ORDER,
        "sides = [\"buy\"]",
        "sides = [\"sell\"]",
        &["wider: sides gained sell", "narrower: sides lost buy"],
        &["wider: sides gained buy", "narrower: sides lost sell"],
    ),
    (ORDER, "", "types = [\"limit\"]", &["narrower: types any -> limit"], &["wider: types limit -> any"]),
    (
        ORDER,
        "",
        "max_size = { A-B = 1 }",
        &["narrower: max_size of A-B any -> 1"],
        &["wider: max_size of A-B 1 -> any"],
    ),
    (
        ORDER,
        "max_size = { A-B = \"0.5\" }",
        "max_size = { A-B = 10 }",
        &["wider: max_size of A-B 0.5 -> 10"],
        &["narrower: max_size of A-B 10 -> 0.5"],
    ),
    (LIMITS, "", "order.max_notional = 1", &["narrower: max_notional any -> 1"], &["wider: max_notional 1 -> any"]),
    (ORDER, "", "reduce_only = true", &["narrower: reduce_only false -> true"], &["wider: reduce_only true -> false"]),
    (
        ORDER,
        "contract_value = { A = { value = 1, kind = \"linear\" }, B = { value = 1, kind = \"linear\" } }",
        "contract_value = { A = { value = 1, kind = \"inverse\" } }",
        &["other: contract_value of A 1 linear -> 1 inverse", "other: contract_value of B 1 linear -> none"],
        &["other: contract_value of A 1 inverse -> 1 linear", "other: contract_value of B none -> 1 linear"],
    ),
    (
        ORDER,
        "max_price_deviation = \"5%\"",
        "max_price_deviation = \"12.5%\"",
        &["wider: max_price_deviation 5% -> 12.5%"],
        &["narrower: max_price_deviation 12.5% -> 5%"],
    ),
    (
        ORDER,
        "",
        "max_price_deviation = \"5%\"",
        &["narrower: max_price_deviation any -> 5%", "narrower: reference_price_max_age any -> 24 hours"],
        &["wider: max_price_deviation 5% -> any", "wider: reference_price_max_age 24 hours -> any"],
    ),
    (
        ORDER,
        "reference_price = { A-B = 1 }",
        "reference_price = { A-B = 2, C-B = 3 }",
        &["other: reference_price of A-B 1 -> 2", "other: reference_price of C-B none -> 3"],
        &["other: reference_price of A-B 2 -> 1", "other: reference_price of C-B 3 -> none"],
    ),
    (
        ORDER,
        "max_price_deviation = \"5%\"\nreference_price_max_age = \"10m\"",
        "max_price_deviation = \"5%\"\nreference_price_max_age = \"7d\"",
        &["wider: reference_price_max_age 10 minutes -> 7 days"],
        &["narrower: reference_price_max_age 7 days -> 10 minutes"],
    ),
    (
        LIMITS,
        "",
        "requests_per_second = 20",
        &["narrower: requests_per_second 50 -> 20"],
        &["wider: requests_per_second 20 -> 50"],
    ),
    (
        LIMITS,
        "",
        "requests_per_second = 50",
        &["other: requests_per_second 50 by default -> 50 by the file"],
        &["other: requests_per_second 50 by the file -> 50 by default"],
    ),
    (
        LIMITS,
        "",
        "orders_per_minute = 1",
        &["narrower: orders_per_minute any -> 1"],
        &["wider: orders_per_minute 1 -> any"],
    ),
    (
        LIMITS,
        "orders_per_hour = 9",
        "orders_per_hour = 10",
        &["wider: orders_per_hour 9 -> 10"],
        &["narrower: orders_per_hour 10 -> 9"],
    ),
    (
        LIMITS,
        "orders_per_day = 9",
        "orders_per_day = 10",
        &["wider: orders_per_day 9 -> 10"],
        &["narrower: orders_per_day 10 -> 9"],
    ),
    (
        LIMITS,
        "notional_per_hour = 9",
        "notional_per_hour = 10",
        &["wider: notional_per_hour 9 -> 10"],
        &["narrower: notional_per_hour 10 -> 9"],
    ),
    (
        LIMITS,
        "",
        "notional_per_day = \"1.50\"",
        &["narrower: notional_per_day any -> 1.5"],
        &["wider: notional_per_day 1.5 -> any"],
    ),
    (
        "grants = [\"funds\"]\n",
        "",
        "[transfer]\n",
        &["narrower: [transfer] absent -> present"],
        &["wider: [transfer] present -> absent"],
    ),
    (TRANSFER, "", "addresses = []", &["narrower: addresses any -> none"], &["wider: addresses none -> any"]),
    (
        TRANSFER,
        "addresses = [\"6\"]",
        "addresses = [\"6\", \"18\"]",
        &["wider: addresses gained 18"],
        &["narrower: addresses lost 18"],
    ),
    (
        TRANSFER,
        "",
        "max_amount = { USDT = 1 }",
        &["narrower: currencies of max_amount any -> USDT"],
        &["wider: currencies of max_amount USDT -> any"],
    ),
    (
        TRANSFER,
        "max_amount = { USDT = 1 }",
        "max_amount = { USDT = 2, BTC = 1 }",
        &["wider: currencies of max_amount gained BTC", "wider: max_amount of USDT 1 -> 2"],
        &["narrower: currencies of max_amount lost BTC", "narrower: max_amount of USDT 2 -> 1"],
    ),
];

#[test]
fn every_key_is_told_in_both_directions() {
    for (head, before, after, there, back) in CASES {
        let (before, after) = (file(head, before), file(head, after));
        assert_eq!(differences(&before, &after), *there, "{before:?} -> {after:?}");
        assert_eq!(differences(&after, &before), *back, "{after:?} -> {before:?}");
    }
}

/// A key of [order] can't be written below [limits].
fn file(head: &str, rest: &str) -> String {
    match rest.strip_prefix("order.") {
        Some(rest) => head.replace("[limits]", rest),
        None => format!("{head}{rest}\n"),
    }
}

#[test]
fn the_cases_name_every_key() {
    let told: String = CASES.iter().flat_map(|(.., there, _)| there.iter()).map(|words| format!("{words}\n")).collect();
    for key in crate::policy::raw::KEYS {
        let key = key.trim_start_matches("order.").trim_start_matches("limits.").trim_start_matches("transfer.");
        if !["contract_value.value", "contract_value.kind", "limits"].contains(&key) {
            assert!(told.contains(key), "{key}");
        }
    }
}

#[test]
fn the_same_written_otherwise_is_no_difference() {
    let one = "grants = [\"trade\", \"read\"]\n[order]\ninstruments = [\"*\"]\nmax_size = { A-B = \"1.50\" }\n";
    let other =
        "grants = [\"read\", \"trade\"] # as agreed\norder = { instruments = [\"*\"], max_size.A-B = \"1.5\" }\n";
    assert_eq!(differences(one, other), [""; 0]);
}

proptest! {
    #[test]
    fn unequal_policies_differ_in_something_and_equal_ones_in_nothing((one, other) in arbitrary::two()) {
        prop_assert_eq!(one == other, compare(&one, &other).is_empty());
        prop_assert_eq!(compare(&one, &one), []);
    }

    #[test]
    fn the_way_back_is_the_way_there_turned_round((one, other) in arbitrary::two()) {
        let directions = |before, after| {
            let mut all: Vec<_> = compare(before, after).into_iter().map(|one| one.direction.as_str()).collect();
            all.sort_unstable();
            all
        };
        let turned = |word| match word {
            "wider" => "narrower",
            "narrower" => "wider",
            other => other,
        };
        let mut back: Vec<_> = directions(&other, &one).into_iter().map(turned).collect();
        back.sort_unstable();
        prop_assert_eq!(directions(&one, &other), back);
    }
}
