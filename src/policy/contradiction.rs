//! What a policy may not say at once: rules that could never deny, never allow, or never be counted. Each would look
//! like protection, or like permission, and be neither.

use crate::policy::raw::{Document, Item, PolicyError};
use crate::policy::{OrderRules, Policy, TransferRules};
use crate::types::endpoint::Grant;
use crate::types::facts::Side;

/// The limits that need the grant `trade`, because they count orders.
const COUNTING_ORDERS: [&str; 5] = [
    "limits.orders_per_minute",
    "limits.orders_per_hour",
    "limits.orders_per_day",
    "limits.notional_per_hour",
    "limits.notional_per_day",
];

/// The rules that have to know what an order is worth.
const COUNTING_NOTIONAL: [&str; 3] = ["order.max_notional", "limits.notional_per_hour", "limits.notional_per_day"];

/// Refuses the first contradiction, at the key that should change.
pub fn refuse(file: &Document<'_>, policy: &Policy) -> Result<(), PolicyError> {
    rules_without_their_grant(file, policy)?;
    unchecked_sessions(file, policy)?;
    sells_that_cannot_be_counted(file, policy)?;
    an_age_of_nothing(file, policy)?;
    limits_that_are_never_reached(file, policy)
}

fn rules_without_their_grant(file: &Document<'_>, policy: &Policy) -> Result<(), PolicyError> {
    let has = |grant| policy.grants.contains(&grant);
    let of_orders = ["order"].into_iter().chain(COUNTING_ORDERS).find_map(|path| file.find(path));
    if let (Some(item), false) = (of_orders, has(Grant::Trade)) {
        return Err(item.refuse_key("there are no orders to judge without \"trade\" in `grants`"));
    }
    let nothing_moves = policy.transfer.as_ref().is_none_or(allow_nothing);
    match file.find("transfer") {
        Some(item) if !nothing_moves && !has(Grant::Funds) && !has(Grant::Withdraw) => {
            Err(item.refuse_key("nothing may be transferred without \"funds\" or \"withdraw\" in `grants`"))
        }
        _ => Ok(()),
    }
}

/// Rules that let nothing move contradict no grant, and no missing one.
fn allow_nothing(rules: &TransferRules) -> bool {
    let nowhere = rules.addresses.as_ref().is_some_and(|addresses| addresses.is_empty());
    nowhere || rules.max_amount.as_ref().is_some_and(|amounts| amounts.is_empty())
}

fn unchecked_sessions(file: &Document<'_>, policy: &Policy) -> Result<(), PolicyError> {
    let session = policy.grants.contains(&Grant::Session);
    let judged = file.find("order").is_some() || file.find("limits").is_some();
    match (file.find("grants"), file.find("session_unchecked")) {
        (Some(grants), _) if session && judged && !policy.session_unchecked => Err(grants.refuse(
            "\"session\" lets orders pass that neither [order] nor [limits] sees; take it out, or accept that with session_unchecked = true",
        )),
        (_, Some(unchecked)) if policy.session_unchecked && !session => {
            Err(unchecked.refuse_key("there are no sessions without \"session\" in `grants`"))
        }
        _ => Ok(()),
    }
}

/// A sell limit far below the market is executed at the market: its own price says nothing of what it is worth.
fn sells_that_cannot_be_counted(file: &Document<'_>, policy: &Policy) -> Result<(), PolicyError> {
    let order = policy.order.as_ref();
    let sells = order.and_then(|order| order.sides.as_ref()).is_none_or(|sides| sides.contains(&Side::Sell));
    let bounded = |order: &OrderRules| !order.reference_price.is_empty() || !order.max_size.is_empty();
    match first(file, &COUNTING_NOTIONAL) {
        Some(rule) if sells && !order.is_some_and(bounded) => Err(rule.refuse_key(
            "a sell is worth what the market pays, whatever its price says: give `max_size` or `reference_price` under [order], or allow buys only",
        )),
        _ => Ok(()),
    }
}

/// What an order is worth counts at a reference price however old it is: an old price bounds better than none.
fn an_age_of_nothing(file: &Document<'_>, policy: &Policy) -> Result<(), PolicyError> {
    let compared = policy.order.as_ref().is_some_and(|order| order.max_price_deviation.is_some());
    match file.find("order.reference_price_max_age") {
        Some(item) if !compared => {
            Err(item.refuse_key("no rule asks how old a reference price is: only `max_price_deviation` does"))
        }
        _ => Ok(()),
    }
}

fn limits_that_are_never_reached(file: &Document<'_>, policy: &Policy) -> Result<(), PolicyError> {
    let limits = &policy.limits;
    let orders = [
        ("limits.orders_per_minute", limits.orders_per_minute),
        ("limits.orders_per_hour", limits.orders_per_hour),
        ("limits.orders_per_day", limits.orders_per_day),
    ];
    let notional = [
        ("limits.notional_per_hour", limits.notional_per_hour.as_ref()),
        ("limits.notional_per_day", limits.notional_per_day.as_ref()),
    ];
    ascending(file, &orders)?;
    ascending(file, &notional)
}

/// Refuses a limit that is larger than a later one, whose window contains its own.
fn ascending<T: PartialOrd>(file: &Document<'_>, limits: &[(&'static str, Option<T>)]) -> Result<(), PolicyError> {
    for (at, (path, limit)) in limits.iter().enumerate() {
        // Itself is among the later ones: no limit is larger than itself.
        let smaller = limits[at..].iter().any(|(_, longer)| match (limit, longer) {
            (Some(limit), Some(longer)) => limit > longer,
            _ => false,
        });
        if let (true, Some(item)) = (smaller, file.find(path)) {
            return Err(item.refuse("never reached: the limit of a longer window is smaller"));
        }
    }
    Ok(())
}

fn first<'a>(file: &'a Document<'a>, paths: &[&'static str]) -> Option<Item<'a>> {
    paths.iter().find_map(|path| file.find(path))
}
