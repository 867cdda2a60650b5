//! Policies for tests: any at all, any that a file can say, and the file that says one.

use crate::policy::{
    ContractKind, ContractValue, Enforcement, Instruments, Limits, OrderRules, Policy, TransferRules, words,
};
use crate::types::decimal::Decimal;
use crate::types::endpoint::Grant;
use crate::types::facts::Side;
use proptest::collection::{btree_map, btree_set};
use proptest::option::of;
use proptest::prelude::{Strategy, any};
use proptest::sample::{select, subsequence};
use std::collections::BTreeSet;
use std::fmt::Write;

const INSTRUMENTS: [&str; 4] = ["BTC-USDT", "ETH-USDT", "ETH-BTC", "BTC-USDT-SWAP"];

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(names).prop_map(str::to_owned)
}

fn amount() -> impl Strategy<Value = Decimal> {
    (1..40_u64).prop_map(|halves| Decimal::from(halves).times(&Decimal::parse("0.5").unwrap()))
}

fn order() -> impl Strategy<Value = OrderRules> {
    let instruments = of(btree_set(name(&INSTRUMENTS), 1..4));
    let sides = of(subsequence(Side::ALL.to_vec(), 1..=2));
    let types = of(btree_set(name(&["limit", "market", "post_only"]), 1..3));
    let kind = select(vec![ContractKind::Linear, ContractKind::Inverse]);
    let contract = (amount(), kind).prop_map(|(value, kind)| ContractValue { value, kind });
    let deviation = of((1..999_u64).prop_map(|tenths| Decimal::from(tenths).times(&Decimal::parse("0.001").unwrap())));
    let by_instrument = || btree_map(name(&INSTRUMENTS), amount(), 0..3);
    let first = (instruments, sides, types, by_instrument(), of(amount()));
    let second = (any::<bool>(), btree_map(name(&INSTRUMENTS), contract, 0..3), deviation, by_instrument());
    (first, second, of(1..200_000_u64)).prop_map(|(first, second, reference_price_max_age_s)| OrderRules {
        instruments: first.0.map_or(Instruments::Any, Instruments::Only),
        sides: first.1.map(BTreeSet::from_iter),
        types: first.2,
        max_size: first.3,
        max_notional: first.4,
        reduce_only: second.0,
        contract_value: second.1,
        max_price_deviation: second.2,
        reference_price: second.3,
        reference_price_max_age_s,
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = of((1..100_u32).prop_map(|rate| rate.try_into().unwrap()));
    let orders = || of(1..100_u64);
    let all = (rate, orders(), orders(), orders(), of(amount()), of(amount()));
    all.prop_map(|(rate, minute, hour, day, notional_per_hour, notional_per_day)| Limits {
        requests_per_second: rate,
        orders_per_minute: minute,
        orders_per_hour: hour,
        orders_per_day: day,
        notional_per_hour,
        notional_per_day,
    })
}

fn transfer() -> impl Strategy<Value = TransferRules> {
    let addresses = of(btree_set(name(&["6", "18", "0xabc", "sub1"]), 0..3));
    let max_amount = of(btree_map(name(&["USDT", "BTC", "1INCH"]), amount(), 0..3));
    (addresses, max_amount).prop_map(|(addresses, max_amount)| TransferRules { addresses, max_amount })
}

/// Any policy, contradictory ones too.
pub fn policy() -> impl Strategy<Value = Policy> {
    let grants = subsequence(Grant::ALL.to_vec(), 0..=8);
    let endpoints = of(btree_set(name(&["GET /a", "POST /a", "POST /b-c"]), 0..3));
    let enforcement = select(vec![Enforcement::Enforce, Enforcement::Shadow]);
    let all = (grants, endpoints, any::<bool>(), enforcement, of(order()), limits(), of(transfer()));
    all.prop_map(|(grants, endpoints, session_unchecked, enforcement, order, limits, transfer)| Policy {
        grants: BTreeSet::from_iter(grants),
        endpoints,
        session_unchecked,
        enforcement,
        order,
        limits,
        transfer,
    })
}

/// Two policies that are equal, or differ in one part, or in all.
pub fn two() -> impl Strategy<Value = (Policy, Policy)> {
    (policy(), policy(), 0..9_usize).prop_map(|(one, other, part)| {
        let mut changed = one.clone();
        match part {
            0 => changed.grants = other.grants,
            1 => changed.endpoints = other.endpoints,
            2 => changed.session_unchecked = other.session_unchecked,
            3 => changed.enforcement = other.enforcement,
            4 => changed.order = other.order,
            5 => changed.limits = other.limits,
            6 => changed.transfer = other.transfer,
            7 => changed = other,
            _ => (),
        }
        (one, changed)
    })
}

/// A policy that a file can say.
pub fn consistent() -> impl Strategy<Value = Policy> {
    policy().prop_map(|mut policy| {
        policy.grants.extend([Grant::Trade, Grant::Funds]);
        policy.session_unchecked &= policy.grants.contains(&Grant::Session);
        if !policy.session_unchecked {
            policy.grants.remove(&Grant::Session);
        }
        let limits = &mut policy.limits;
        limits.orders_per_hour = limits.orders_per_hour.max(limits.orders_per_minute);
        limits.orders_per_day = limits.orders_per_day.max(limits.orders_per_hour);
        limits.notional_per_day = limits.notional_per_day.clone().max(limits.notional_per_hour.clone());
        match &mut policy.order {
            Some(rules) => make_consistent(rules),
            None => (limits.notional_per_hour, limits.notional_per_day) = (None, None),
        }
        policy
    })
}

fn make_consistent(rules: &mut OrderRules) {
    if let Instruments::Only(names) = &mut rules.instruments {
        names.extend(
            rules.max_size.keys().chain(rules.reference_price.keys()).chain(rules.contract_value.keys()).cloned(),
        );
    }
    if rules.max_size.is_empty() {
        rules.reference_price.insert("BTC-USDT".to_owned(), Decimal::from(60_000));
        if let Instruments::Only(names) = &mut rules.instruments {
            names.insert("BTC-USDT".to_owned());
        }
    }
    if rules.reference_price_max_age_s.is_none() || rules.max_price_deviation.is_none() {
        (rules.reference_price_max_age_s, rules.max_price_deviation) = (None, None);
    }
}

/// The file that says a policy.
pub fn written(policy: &Policy) -> String {
    let mut text = String::new();
    line(&mut text, "grants", Some(list(policy.grants.iter().map(|grant| grant.as_str()))));
    line(&mut text, "endpoints", policy.endpoints.as_ref().map(list));
    line(&mut text, "session_unchecked", Some(policy.session_unchecked.to_string()));
    let enforcement = if policy.enforcement == Enforcement::Shadow { "shadow" } else { "enforce" };
    line(&mut text, "enforcement", Some(quoted(enforcement)));
    if let Some(rules) = &policy.order {
        write_order(&mut text, rules);
    }
    let limits = &policy.limits;
    text.push_str("[limits]\n");
    line(&mut text, "requests_per_second", limits.requests_per_second);
    line(&mut text, "orders_per_minute", limits.orders_per_minute);
    line(&mut text, "orders_per_hour", limits.orders_per_hour);
    line(&mut text, "orders_per_day", limits.orders_per_day);
    line(&mut text, "notional_per_hour", limits.notional_per_hour.as_ref().map(quoted));
    line(&mut text, "notional_per_day", limits.notional_per_day.as_ref().map(quoted));
    if let Some(rules) = &policy.transfer {
        text.push_str("[transfer]\n");
        line(&mut text, "addresses", rules.addresses.as_ref().map(list));
        line(&mut text, "max_amount", rules.max_amount.as_ref().map(|amounts| table(amounts, quoted)));
    }
    text
}

fn write_order(text: &mut String, rules: &OrderRules) {
    text.push_str("[order]\n");
    let instruments = match &rules.instruments {
        Instruments::Any => list(["*"]),
        Instruments::Only(names) => list(names),
    };
    line(text, "instruments", Some(instruments));
    line(text, "sides", rules.sides.as_ref().map(|sides| list(sides.iter().map(|side| side.as_str()))));
    line(text, "types", rules.types.as_ref().map(list));
    line(text, "max_size", Some(table(&rules.max_size, quoted)));
    line(text, "max_notional", rules.max_notional.as_ref().map(quoted));
    line(text, "reduce_only", Some(rules.reduce_only));
    let contract = |contract: &ContractValue| {
        let kind = if contract.kind == ContractKind::Linear { "linear" } else { "inverse" };
        format!("{{ value = {}, kind = {} }}", quoted(&contract.value), quoted(kind))
    };
    line(text, "contract_value", Some(table(&rules.contract_value, contract)));
    line(text, "max_price_deviation", rules.max_price_deviation.as_ref().map(|part| quoted(&words::percent(part))));
    line(text, "reference_price", Some(table(&rules.reference_price, quoted)));
    line(text, "reference_price_max_age", rules.reference_price_max_age_s.map(|age| quoted(&format!("{age}s"))));
}

fn line(text: &mut String, key: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        writeln!(text, "{key} = {}", value.to_string()).unwrap();
    }
}

fn quoted<T: ToString + ?Sized>(value: &T) -> String {
    format!("\"{}\"", value.to_string())
}

fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", values.into_iter().map(|value| quoted(&value)).collect::<Vec<_>>().join(", "))
}

fn table<T>(entries: &std::collections::BTreeMap<String, T>, shown: impl Fn(&T) -> String) -> String {
    let entries: Vec<String> =
        entries.iter().map(|(name, value)| format!("{} = {}", quoted(name), shown(value))).collect();
    format!("{{ {} }}", entries.join(", "))
}
