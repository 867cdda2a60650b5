//! Rules about orders, one by one, in the order of the body. Each looks at one fact and denies what it can't read:
//! what a rule must judge and can't is never let through.

use crate::policy::notional::{self, Basis};
use crate::policy::{Case, Instruments, OrderRules, Policy, price};
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::{Effect, Grant};
use crate::types::facts::{Fact, Facts, Order, Subject, Unit};
use std::borrow::Cow;
use std::fmt;

/// Which order of a body. Prints `the order` where there is one only, else `order 3 of 20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nth {
    /// From 1.
    number: usize,
    of: usize,
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            1 => f.write_str("the order"),
            of => write!(f, "order {} of {of}", self.number),
        }
    }
}

/// The orders of a body, each with its number.
pub fn numbered<'a, 'b>(orders: &'a [Order<'b>]) -> impl Iterator<Item = (Nth, &'a Order<'b>)> {
    orders.iter().enumerate().map(|(index, order)| (Nth { number: index + 1, of: orders.len() }, order))
}

/// The orders of a body that rules can judge; none where it has none, or not in a form that can be read.
pub fn readable<'a, 'b>(facts: &'a Facts<'b>) -> Option<&'a [Order<'b>]> {
    match &facts.subject {
        Subject::Orders(orders) if !orders.is_empty() => Some(orders),
        _ => None,
    }
}

/// `order`: every order of the body is as the rules say.
///
/// Cancels are never judged, and of the other grants than `trade` only `advanced`: its trades can't be, so they are
/// denied.
pub fn judge(policy: &Policy, case: &Case<'_>) -> Option<Denial> {
    let rules = policy.order.as_ref()?;
    match (case.endpoint.grant, case.facts.effect) {
        (_, Effect::Cancel) => None,
        (Grant::Advanced, _) => Some(advanced()),
        (Grant::Trade, Effect::None) if case.facts.subject == Subject::Unknown => None,
        (Grant::Trade, _) => match readable(case.facts) {
            None => Some(unreadable()),
            Some(orders) => numbered(orders).find_map(|(nth, order)| one(rules, case, order, nth)),
        },
        _ => None,
    }
}

fn one(rules: &OrderRules, case: &Case<'_>, order: &Order<'_>, nth: Nth) -> Option<Denial> {
    let basis = Basis::of(Some(rules), case);
    let changed = || {
        uncounted(rules, order, nth)
            .or_else(|| size(rules, order, nth, &basis))
            .or_else(|| price::band(rules, order, nth, case.references, case.now))
            .or_else(|| worth(rules, order, nth, &basis))
    };
    match order.effect {
        Effect::Cancel => None,
        Effect::Close => instrument(rules, order, nth, false),
        // An amend can change neither side, nor type, nor whether the order only reduces.
        Effect::Amend => instrument(rules, order, nth, true).or_else(changed),
        Effect::Place | Effect::None => instrument(rules, order, nth, true)
            .or_else(|| side(rules, order, nth))
            .or_else(|| order_type(rules, order, nth))
            .or_else(|| reduce_only(rules, order, nth))
            .or_else(changed),
    }
}

/// `order.instruments`. Where any will do, it must still be known if a rule about sizes or prices asks for it.
fn instrument(rules: &OrderRules, order: &Order<'_>, nth: Nth, counts: bool) -> Option<Denial> {
    let asked_for = counts && has_rules_that_count(rules);
    let (listed, name) = match (&rules.instruments, order.instrument.known()) {
        (Instruments::Any, Some(_)) => return None,
        (Instruments::Any, None) if !asked_for => return None,
        (Instruments::Any, None) => (None, None),
        (Instruments::Only(listed), Some(name)) if listed.contains(name.as_ref()) => return None,
        (Instruments::Only(listed), name) => (Some(listed), name),
    };
    let detail = match name {
        Some(_) => format!("{nth} is in an instrument that this bot's policy does not list"),
        None => format!("{nth} names no instrument that can be read"),
    };
    let help = match listed {
        Some(listed) => {
            format!("the policy allows {}; add others to `instruments` under `[order]`", quoted(listed.iter()))
        }
        None => "name the instrument as a text: rules about sizes and prices depend on it".to_owned(),
    };
    Some(Denial::new(Code::OrderInstrument, detail, help).by_rule("order.instruments"))
}

/// `order.sides`.
fn side(rules: &OrderRules, order: &Order<'_>, nth: Nth) -> Option<Denial> {
    let sides = rules.sides.as_ref()?;
    let detail = match order.side.known() {
        Some(side) if sides.contains(side) => return None,
        Some(_) => format!("{nth} is on a side that this bot's policy does not allow"),
        None => format!("{nth} has no side that can be read"),
    };
    let help = format!(
        "the policy allows {}; `sides` under `[order]` says so",
        quoted(sides.iter().map(|side| side.as_str()))
    );
    Some(Denial::new(Code::OrderSide, detail, help).by_rule("order.sides"))
}

/// `order.types`.
fn order_type(rules: &OrderRules, order: &Order<'_>, nth: Nth) -> Option<Denial> {
    let types = rules.types.as_ref()?;
    let detail = match order.order_type.known() {
        Some(order_type) if types.contains(order_type.as_ref()) => return None,
        Some(_) => format!("{nth} is of a type that this bot's policy does not list"),
        None => format!("{nth} has no type that can be read"),
    };
    let help = format!("the policy allows {}; add others to `types` under `[order]`", quoted(types.iter()));
    Some(Denial::new(Code::OrderType, detail, help).by_rule("order.types"))
}

/// `order.reduce_only`.
fn reduce_only(rules: &OrderRules, order: &Order<'_>, nth: Nth) -> Option<Denial> {
    if !rules.reduce_only || order.reduce_only == Fact::Is(true) {
        return None;
    }
    let detail = format!("{nth} does not say that it can only reduce a position");
    let help = "mark the order as one that only reduces, or take `reduce_only` out of `[order]` in the bot's policy";
    Some(Denial::new(Code::OrderReduceOnly, detail, help).by_rule("order.reduce_only"))
}

fn has_rules_that_count(rules: &OrderRules) -> bool {
    !rules.max_size.is_empty() || rules.max_notional.is_some() || rules.max_price_deviation.is_some()
}

/// A member that no rule counts could make an order larger than a rule about sizes or prices believes, and what it
/// brings along with an order that only reduces need not reduce.
fn uncounted(rules: &OrderRules, order: &Order<'_>, nth: Nth) -> Option<Denial> {
    let member = order.uncounted.filter(|_| has_rules_that_count(rules) || rules.reduce_only)?;
    Some(uncounted_member(nth, member).by_rule("order"))
}

/// At how many names a list in an answer ends: a policy may have thousands.
const MOST_TOLD: usize = 20;

/// The denial of an order with a member that no rule counts. `member` is the exchange's name for it.
pub fn uncounted_member(nth: Nth, member: &str) -> Denial {
    Denial::new(
        Code::FieldUncounted,
        format!("{nth} has `{member}`, which no rule can count"),
        format!("leave out `{member}`: this bot's policy has rules that would have to count it"),
    )
}

/// `order.max_size`. A size in quote currency is compared with what the largest size is worth at the reference price.
fn size(rules: &OrderRules, order: &Order<'_>, nth: Nth, basis: &Basis<'_>) -> Option<Denial> {
    let instrument = order.instrument.known()?;
    let (name, most) = rules.max_size.get_key_value(instrument.as_ref())?;
    if order.effect == Effect::Amend && order.size == Fact::Absent {
        return None;
    }
    let bound = match (order.size.known(), order.unit.known()) {
        (None, _) => Err(notional::Uncountable::Size),
        (_, None) => Err(notional::Uncountable::Unit),
        (Some(size), Some(Unit::Base)) => Ok((size, Cow::Borrowed(most))),
        (Some(size), Some(Unit::Quote)) => {
            basis.at_reference(most, order.market, instrument).map(|worth| (size, Cow::Owned(worth)))
        }
    };
    let (detail, help) = match bound {
        Ok((size, most)) if *size <= *most => return None,
        Ok(_) => (
            format!("{nth} is larger than {most}, the most in {name}"),
            "send a smaller order, or raise `max_size` under `[order]` in the bot's policy",
        ),
        Err(why) => (format!("{nth} {why}, so it can't be compared with the most in {name}"), why.help()),
    };
    Some(Denial::new(Code::OrderSize, detail, help).by_rule("order.max_size"))
}

/// `order.max_notional`.
fn worth(rules: &OrderRules, order: &Order<'_>, nth: Nth, basis: &Basis<'_>) -> Option<Denial> {
    let most = rules.max_notional.as_ref()?;
    let denial = match notional::of(order, basis) {
        Ok(worth) if worth <= *most => return None,
        Ok(_) => Denial::new(
            Code::OrderNotional,
            format!("{nth} is worth more than {most}, the most that this bot's policy allows"),
            "send a smaller order, or raise `max_notional` under `[order]`; a sell counts at the reference price where \
             that is higher than its own",
        ),
        Err(why) => uncountable(nth, why),
    };
    Some(denial.by_rule("order.max_notional"))
}

/// The denial of an order whose notional can't be counted.
pub fn uncountable(nth: Nth, why: notional::Uncountable) -> Denial {
    Denial::new(Code::OrderNotional, format!("{nth} {why}, so its notional can't be counted"), why.help())
}

fn quoted(words: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut words = words.map(|word| format!("`{}`", word.as_ref()));
    let told: Vec<String> = words.by_ref().take(MOST_TOLD).collect();
    match (told.is_empty(), words.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => told.join(", "),
        (false, more) => format!("{} and {more} more", told.join(", ")),
    }
}

fn advanced() -> Denial {
    let detail = "this endpoint trades in a way that order rules can't judge";
    let help = "take `advanced` out of `grants`, or take `[order]` out of the policy, or give the bot that does this a policy of its own";
    Denial::new(Code::FieldUncounted, detail, help).by_rule("order")
}

fn unreadable() -> Denial {
    let detail = "the body has no orders in a form that order rules can judge";
    let help =
        "send orders as the exchange documents them, or narrow the policy with `endpoints` to those that can be judged";
    Denial::new(Code::FieldUncounted, detail, help).by_rule("order")
}

#[cfg(test)]
mod tests;
