//! What a change of a policy does: every key that differs, and whether a bot may do more or less by it.
//!
//! Each key is looked at by itself. A policy with one wider and one narrower key is neither wider nor narrower as a
//! whole, and nothing here says which of the two weighs more.

use crate::policy::{
    ContractKind, ContractValue, DEFAULT_REQUESTS_PER_SECOND, Enforcement, Instruments, Limits, OrderRules, Policy,
    TransferRules, words,
};
use crate::types::decimal::Decimal;
use crate::types::duration::in_words;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One key that two policies differ in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the change does to what a bot may do.
    pub direction: Direction,
    /// The key, and what it was and is: `max_notional 20000 -> 50000`.
    pub words: String,
}

/// What a change does to what a bot may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It may do more.
    Wider,
    /// It may do less.
    Narrower,
    /// More or less, depending on the ask: a reference price that moved.
    Other,
}

impl Direction {
    /// The word before a difference.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Wider => "wider",
            Direction::Narrower => "narrower",
            Direction::Other => "other",
        }
    }
}

/// `wider: max_notional 20000 -> 50000`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.direction.as_str(), self.words)
    }
}

/// Every difference, in the order in which a policy is written. None for equal policies, and only for these.
pub fn compare(before: &Policy, after: &Policy) -> Vec<Difference> {
    let mut found = Differences::default();
    let grants = |policy: &Policy| policy.grants.iter().map(|grant| grant.as_str().to_owned()).collect();
    found.allowed("grants", Some(&grants(before)), Some(&grants(after)));
    found.allowed("endpoints", before.endpoints.as_ref(), after.endpoints.as_ref());
    let unchecked = |policy: &Policy| Some(policy.session_unchecked.to_string());
    found.changed("session_unchecked", unchecked(before), unchecked(after));
    let enforced = |policy: &Policy| policy.enforcement == Enforcement::Enforce;
    found.restricted("enforcement", ["shadow", "enforce"], enforced(before), enforced(after));
    order(&mut found, before.order.as_ref(), after.order.as_ref());
    limits(&mut found, &before.limits, &after.limits);
    transfer(&mut found, before.transfer.as_ref(), after.transfer.as_ref());
    found.0
}

/// Missing rules are compared as rules that allow everything, so that new ones are told key by key.
fn order(found: &mut Differences, before: Option<&OrderRules>, after: Option<&OrderRules>) {
    found.restricted("[order]", ["absent", "present"], before.is_some(), after.is_some());
    let anything = OrderRules::unrestricted();
    let (before, after) = (before.unwrap_or(&anything), after.unwrap_or(&anything));
    found.allowed("instruments", only(&before.instruments), only(&after.instruments));
    found.allowed("sides", sides(before).as_ref(), sides(after).as_ref());
    found.allowed("types", before.types.as_ref(), after.types.as_ref());
    for name in names(&before.max_size, &after.max_size) {
        found.bounded(&format!("max_size of {name}"), before.max_size.get(name), after.max_size.get(name));
    }
    found.bounded("max_notional", before.max_notional.as_ref(), after.max_notional.as_ref());
    found.restricted("reduce_only", ["false", "true"], before.reduce_only, after.reduce_only);
    prices(found, before, after);
}

fn prices(found: &mut Differences, before: &OrderRules, after: &OrderRules) {
    let contract = |rules: &OrderRules, name| rules.contract_value.get(name).map(contract);
    for name in names(&before.contract_value, &after.contract_value) {
        found.changed(&format!("contract_value of {name}"), contract(before, name), contract(after, name));
    }
    let deviation = |rules: &OrderRules| rules.max_price_deviation.clone().map(Deviation);
    found.bounded("max_price_deviation", deviation(before).as_ref(), deviation(after).as_ref());
    let price = |rules: &OrderRules, name| rules.reference_price.get(name).map(Decimal::to_string);
    for name in names(&before.reference_price, &after.reference_price) {
        found.changed(&format!("reference_price of {name}"), price(before, name), price(after, name));
    }
    let age = |rules: &OrderRules| rules.reference_price_max_age_s.map(Age);
    found.bounded("reference_price_max_age", age(before).as_ref(), age(after).as_ref());
}

fn limits(found: &mut Differences, before: &Limits, after: &Limits) {
    let rate = |limits: &Limits| limits.requests_per_second.unwrap_or(DEFAULT_REQUESTS_PER_SECOND);
    if rate(before) == rate(after) {
        // The same to the bot, but one of the two follows the default.
        let written = |limits: &Limits| limits.requests_per_second.map_or("by default", |_| "by the file");
        let words = |limits| Some(format!("{} {}", rate(limits), written(limits)));
        found.changed("requests_per_second", words(before), words(after));
    }
    found.bounded("requests_per_second", Some(&rate(before)), Some(&rate(after)));
    found.bounded("orders_per_minute", before.orders_per_minute.as_ref(), after.orders_per_minute.as_ref());
    found.bounded("orders_per_hour", before.orders_per_hour.as_ref(), after.orders_per_hour.as_ref());
    found.bounded("orders_per_day", before.orders_per_day.as_ref(), after.orders_per_day.as_ref());
    found.bounded("notional_per_hour", before.notional_per_hour.as_ref(), after.notional_per_hour.as_ref());
    found.bounded("notional_per_day", before.notional_per_day.as_ref(), after.notional_per_day.as_ref());
}

fn transfer(found: &mut Differences, before: Option<&TransferRules>, after: Option<&TransferRules>) {
    found.restricted("[transfer]", ["absent", "present"], before.is_some(), after.is_some());
    let addresses = |rules: Option<&TransferRules>| rules.and_then(|rules| rules.addresses.clone());
    found.allowed("addresses", addresses(before).as_ref(), addresses(after).as_ref());
    let amounts = |rules: Option<&TransferRules>| rules.and_then(|rules| rules.max_amount.clone());
    let (before, after) = (amounts(before), amounts(after));
    let currencies = |amounts: &BTreeMap<String, Decimal>| amounts.keys().cloned().collect::<BTreeSet<_>>();
    found.allowed(
        "currencies of max_amount",
        before.as_ref().map(currencies).as_ref(),
        after.as_ref().map(currencies).as_ref(),
    );
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    for name in
        names(&before, &after).into_iter().filter(|name| before.contains_key(*name) && after.contains_key(*name))
    {
        found.bounded(&format!("max_amount of {name}"), before.get(name), after.get(name));
    }
}

/// What was found so far. Each of its functions looks at one key and adds what differs.
#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn add(&mut self, direction: Direction, words: String) {
        self.0.push(Difference { direction, words });
    }

    /// A list of what is allowed; anything when absent.
    fn allowed(&mut self, key: &str, before: Option<&BTreeSet<String>>, after: Option<&BTreeSet<String>>) {
        match (before, after) {
            (Some(before), Some(after)) => {
                self.moved(Direction::Wider, &format!("{key} gained"), after.difference(before));
                self.moved(Direction::Narrower, &format!("{key} lost"), before.difference(after));
            }
            (None, None) => (),
            (before, after) => {
                let direction = if after.is_some() { Direction::Narrower } else { Direction::Wider };
                self.add(direction, format!("{key} {} -> {}", listed(before), listed(after)));
            }
        }
    }

    fn moved<'a>(&mut self, direction: Direction, what: &str, names: impl Iterator<Item = &'a String>) {
        let names: Vec<&str> = names.map(String::as_str).collect();
        if !names.is_empty() {
            self.add(direction, format!("{what} {}", names.join(", ")));
        }
    }

    /// A bound that may grow; none when absent.
    fn bounded<T: Ord + fmt::Display>(&mut self, key: &str, before: Option<&T>, after: Option<&T>) {
        // No bound is above every bound.
        let direction = match (after.is_none(), after).cmp(&(before.is_none(), before)) {
            Ordering::Greater => Direction::Wider,
            Ordering::Less => Direction::Narrower,
            Ordering::Equal => return,
        };
        let shown = |bound: Option<&T>| bound.map_or("any".to_owned(), T::to_string);
        self.add(direction, format!("{key} {} -> {}", shown(before), shown(after)));
    }

    /// A restriction that is there or not, and the words for both.
    fn restricted(&mut self, key: &str, [off, on]: [&str; 2], before: bool, after: bool) {
        match (before, after) {
            (false, true) => self.add(Direction::Narrower, format!("{key} {off} -> {on}")),
            (true, false) => self.add(Direction::Wider, format!("{key} {on} -> {off}")),
            _ => (),
        }
    }

    /// A value of which neither more nor less is wider.
    fn changed(&mut self, key: &str, before: Option<String>, after: Option<String>) {
        if before != after {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
            self.add(Direction::Other, format!("{key} {} -> {}", shown(before), shown(after)));
        }
    }
}

/// A fraction, shown as the percentage that stands in the file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Deviation(Decimal);

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::percent(&self.0))
    }
}

/// Seconds, shown in words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Age(u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(self.0))
    }
}

fn only(instruments: &Instruments) -> Option<&BTreeSet<String>> {
    match instruments {
        Instruments::Any => None,
        Instruments::Only(names) => Some(names),
    }
}

fn sides(rules: &OrderRules) -> Option<BTreeSet<String>> {
    rules.sides.as_ref().map(|sides| sides.iter().map(|side| side.as_str().to_owned()).collect())
}

fn contract(contract: &ContractValue) -> String {
    match contract.kind {
        ContractKind::Linear => format!("{} linear", contract.value),
        ContractKind::Inverse => format!("{} inverse", contract.value),
    }
}

fn listed(names: Option<&BTreeSet<String>>) -> String {
    match names {
        None => "any".to_owned(),
        Some(names) if names.is_empty() => "none".to_owned(),
        Some(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// The names in either of two tables, each once.
fn names<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

#[cfg(test)]
mod tests;
