//! A policy in words that a trader understands. Whatever differs in meaning differs in words.

use crate::policy::{
    ContractKind, DEFAULT_REQUESTS_PER_SECOND, Enforcement, Instruments, Limits, OrderRules, Policy, TransferRules,
};
use crate::types::decimal::Decimal;
use crate::types::duration::in_words;
use crate::types::endpoint::Grant;
use crate::types::facts::Side;
use std::collections::{BTreeMap, BTreeSet};

/// How rules and limits count what an order is worth.
const WORTH: &str = "an order is worth its size times its price; a sell counts at its price or the reference price, whichever is higher; a market order at the reference price; what can't be counted is denied, as are contracts whose worth is not given";

/// What the rules for orders leave alone.
const UNJUDGED: &str =
    "cancelling is under none of these rules; closing a whole position is under that of instruments alone";

/// What the policy means, a sentence each: first what the bot may do at all, then the rules that its orders, its
/// transfers and its pace are under.
pub fn describe(policy: &Policy) -> Vec<String> {
    let mut words: Vec<String> = Grant::ALL.into_iter().map(|grant| granted(policy, grant)).collect();
    if let Some(endpoints) = &policy.endpoints {
        words.push(format!("and only through these endpoints: {}", or_none(join(endpoints, ", "))));
    }
    if let Some(rules) = &policy.order {
        order(&mut words, rules);
    }
    if counts_notional(policy) {
        words.push(WORTH.to_owned());
        words.extend(contracts_of_no_worth(policy));
        words.extend(money_of_different_kinds(policy));
        words.extend(policy.order.as_ref().and_then(sells_at_their_word));
    }
    limits(&mut words, &policy.limits);
    transfers(&mut words, policy);
    if policy.enforcement == Enforcement::Shadow {
        words.push("order rules and limits are only written down, not enforced; all else is enforced".to_owned());
    }
    if policy.session_unchecked {
        words.push("what is sent over a logged-in WebSocket is checked by no rule and counted by no limit".to_owned());
    }
    words
}

fn granted(policy: &Policy, grant: Grant) -> String {
    let what = what(grant);
    if !policy.grants.contains(&grant) {
        // What a session brings with it would read as something that is forbidden by itself.
        return format!("may not {}", if grant == Grant::Session { "log a WebSocket in" } else { what });
    }
    let judged = policy.order.is_some() || policy.limits.are_rolling();
    match (grant, policy.enforcement) {
        (Grant::Trade, Enforcement::Shadow) => {
            format!("may {what}, of any size in any instrument: the rules below are not enforced")
        }
        (Grant::Trade, _) if policy.order.is_some() => format!("may {what}, by the rules below"),
        (Grant::Trade, _) => format!("may {what}, of any size in any instrument"),
        (Grant::Advanced, Enforcement::Enforce) if judged => {
            format!("may not {what}: it is granted, but the rules below can't judge it, so it is denied")
        }
        (Grant::Advanced, Enforcement::Shadow) if judged => {
            format!("may {what}: the rules below can't judge it, and would deny it if they were enforced")
        }
        _ => format!("may {what}"),
    }
}

fn what(grant: Grant) -> &'static str {
    match grant {
        Grant::Read => "read market and account data",
        Grant::Trade => "place, amend, cancel and close orders",
        Grant::Settings => "change leverage, margin and position settings",
        Grant::Advanced => "trade through exchange-side bots, copy trading, block trades and conversions",
        Grant::Funds => "move, lend, borrow or lock funds inside the exchange",
        Grant::Keys => "make or change API keys and sub-accounts",
        Grant::Withdraw => "withdraw funds from the exchange",
        Grant::Session => {
            "log a WebSocket in, and then do everything this key may do except what the exchange forbids over WebSocket"
        }
    }
}

fn order(words: &mut Vec<String>, rules: &OrderRules) {
    words.push(format!("orders: {}; {}; {}", instruments(rules), sides(rules), types(rules)));
    words.push(sizes(rules));
    words.push(match &rules.max_notional {
        None => "one order may be worth any amount".to_owned(),
        Some(most) => format!("no order worth more than {most} in quote currency"),
    });
    words.push(match rules.reduce_only {
        true => "only orders that can make a position smaller (reduce only)".to_owned(),
        false => "orders may open positions and make them larger".to_owned(),
    });
    contracts(words, rules);
    prices(words, rules);
    words.push(UNJUDGED.to_owned());
}

fn instruments(rules: &OrderRules) -> String {
    match &rules.instruments {
        Instruments::Any => "in any instrument".to_owned(),
        Instruments::Only(names) => format!("only {}", and(names)),
    }
}

fn sides(rules: &OrderRules) -> &'static str {
    let Some(sides) = &rules.sides else { return "buys and sells" };
    match (sides.contains(&Side::Buy), sides.contains(&Side::Sell)) {
        (true, true) => "buys and sells",
        (true, false) => "only buys",
        (false, true) => "only sells",
        (false, false) => "neither buys nor sells",
    }
}

fn types(rules: &OrderRules) -> String {
    match &rules.types {
        None => "of any type".to_owned(),
        Some(types) => format!("only of type {}", or_none(series(types, "or"))),
    }
}

fn sizes(rules: &OrderRules) -> String {
    let named: Vec<String> = rules.max_size.iter().map(|(name, most)| format!("{most} in {name}")).collect();
    let free = match &rules.instruments {
        Instruments::Any => "every other instrument".to_owned(),
        Instruments::Only(names) => {
            and(&names.iter().filter(|name| !rules.max_size.contains_key(*name)).cloned().collect::<BTreeSet<_>>())
        }
    };
    match (named.is_empty(), free.is_empty()) {
        (true, _) => "one order may be of any size".to_owned(),
        (false, true) => format!("no order larger than {} (base currency, or contracts)", named.join(", ")),
        (false, false) => {
            format!("no order larger than {} (base currency, or contracts); any size in {free}", named.join(", "))
        }
    }
}

fn contracts(words: &mut Vec<String>, rules: &OrderRules) {
    words.extend(rules.contract_value.iter().map(|(name, contract)| match contract.kind {
        ContractKind::Linear => {
            format!("a contract of {name} counts as {} of its base currency (linear)", contract.value)
        }
        ContractKind::Inverse => {
            format!("a contract of {name} counts as {} in quote currency, whatever its price (inverse)", contract.value)
        }
    }));
}

fn prices(words: &mut Vec<String>, rules: &OrderRules) {
    if let Some(deviation) = &rules.max_price_deviation {
        words.push(format!(
            "no price further than {} from the reference price; an order at market has no price to compare and passes; without a reference price every order is denied",
            percent(deviation)
        ));
    }
    let prices = rules.reference_price.iter();
    words.extend(prices.map(|(name, price)| format!("the reference price of {name} is {price}, or one set since")));
    match rules.reference_price_max_age_s {
        Some(age) => words.push(format!(
            "a reference price older than {} is too old to compare with, and then only orders that reduce a position pass",
            in_words(age)
        )),
        None if rules.max_price_deviation.is_some() => words.push("no reference price is too old to compare with".to_owned()),
        None => (),
    }
}

/// Instruments that look like contracts, whose orders nothing can count: each would be denied, one by one.
fn contracts_of_no_worth(policy: &Policy) -> Option<String> {
    let Some(OrderRules { instruments: Instruments::Only(names), contract_value, .. }) = &policy.order else {
        return None;
    };
    let uncounted = |name: &&String| name.split('-').count() > 2 && !contract_value.contains_key(*name);
    let names: BTreeSet<_> = names.iter().filter(uncounted).cloned().collect();
    (!names.is_empty()).then(|| {
        format!(
            "caution: `contract_value` does not say what a contract of {} is worth, so its orders can't be counted",
            series(&names, "or")
        )
    })
}

/// A worth in one currency and a worth in another are plain numbers to a policy.
fn money_of_different_kinds(policy: &Policy) -> Option<String> {
    let quotes = match policy.order.as_ref().map(|rules| &rules.instruments) {
        None | Some(Instruments::Any) => "different quote currencies".to_owned(),
        Some(Instruments::Only(names)) => {
            let quotes: BTreeSet<_> =
                names.iter().filter_map(|name| name.split('-').nth(1)).map(str::to_owned).collect();
            if quotes.len() < 2 {
                return None;
            }
            and(&quotes)
        }
    };
    Some(format!("caution: amounts in {quotes} are compared and added as they are, without conversion"))
}

/// A sell limit far below the market is filled at the market. Where only a largest size bounds it, rules of notional
/// believe its price.
fn sells_at_their_word(rules: &OrderRules) -> Option<String> {
    let sells = rules.sides.as_ref().is_none_or(|sides| sides.contains(&Side::Sell));
    let bounded_by_size = rules.max_size.keys().filter(|name| !rules.reference_price.contains_key(*name));
    let names: BTreeSet<String> = bounded_by_size.cloned().collect();
    (sells && !names.is_empty()).then(|| {
        format!(
            "caution: until a reference price of {} is set, a sell there counts at its own price, however far that is below the market",
            and(&names)
        )
    })
}

fn limits(words: &mut Vec<String>, limits: &Limits) {
    let rate = limits.requests_per_second.unwrap_or(DEFAULT_REQUESTS_PER_SECOND);
    let default = if limits.requests_per_second.is_none() { " (the default)" } else { "" };
    words.push(format!("at most {rate} requests in any second{default}, and as many reads and cancels beside them"));
    let orders =
        [(limits.orders_per_minute, "minute"), (limits.orders_per_hour, "hour"), (limits.orders_per_day, "24 hours")];
    for (most, window) in orders {
        words.extend(most.map(|most| format!("at most {most} orders in any {window}")));
    }
    for (most, window) in [(&limits.notional_per_hour, "hour"), (&limits.notional_per_day, "24 hours")] {
        words.extend(
            most.as_ref().map(|most| format!("orders worth at most {most} in quote currency together in any {window}")),
        );
    }
    if limits.are_rolling() {
        words.push("what counts orders needs to know them apart: every order needs a client order id".to_owned());
    }
}

fn transfers(words: &mut Vec<String>, policy: &Policy) {
    let granted = policy.grants.contains(&Grant::Funds) || policy.grants.contains(&Grant::Withdraw);
    let Some(rules) = &policy.transfer else {
        if granted {
            words.push("transfers: to any address, any amount of any currency".to_owned());
        }
        return;
    };
    words.push(format!(
        "transfers: {}, {}; what these rules can't judge is denied",
        destinations(rules),
        amounts(rules)
    ));
}

fn destinations(rules: &TransferRules) -> String {
    match &rules.addresses {
        None => "to any address".to_owned(),
        Some(addresses) if addresses.is_empty() => "to no address".to_owned(),
        Some(addresses) => format!("only to {}", join(addresses, " or ")),
    }
}

fn amounts(rules: &TransferRules) -> String {
    let listed = |amounts: &BTreeMap<String, Decimal>| {
        let each: Vec<String> = amounts.iter().map(|(currency, most)| format!("{most} {currency}")).collect();
        each.join(" or ")
    };
    match &rules.max_amount {
        None => "any amount of any currency".to_owned(),
        Some(amounts) if amounts.is_empty() => "of no currency".to_owned(),
        Some(amounts) => format!("at most {} at once and no other currency", listed(amounts)),
    }
}

fn counts_notional(policy: &Policy) -> bool {
    let of_one = policy.order.as_ref().is_some_and(|rules| rules.max_notional.is_some());
    of_one || policy.limits.count_notional()
}

/// A fraction as the percentage that stands in the file.
pub fn percent(fraction: &Decimal) -> String {
    format!("{}%", fraction.times(&Decimal::from(100)))
}

/// `A`, `A and B`, `A, B and C`.
fn and(names: &BTreeSet<String>) -> String {
    series(names, "and")
}

fn series(names: &BTreeSet<String>, before_last: &str) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} {before_last} {last}", before.join(", ")),
        _ => names.concat(),
    }
}

fn join(names: &BTreeSet<String>, between: &str) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(between)
}

fn or_none(words: String) -> String {
    if words.is_empty() { "none".to_owned() } else { words }
}

#[cfg(test)]
mod tests;
