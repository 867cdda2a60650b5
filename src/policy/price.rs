//! The price band: no order far from the reference price. It catches the sell at 1 and the buy with a zero too many.

use crate::policy::order::Nth;
use crate::policy::{OrderRules, Reference};
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::Effect;
use crate::types::facts::{Fact, Order, Price};
use std::collections::BTreeMap;

/// `order.max_price_deviation`: every price of an order lies within the band around a reference price that is not too
/// old. An order that can only reduce a position is not held up by a price that is.
pub fn band(
    rules: &OrderRules,
    order: &Order<'_>,
    nth: Nth,
    references: &BTreeMap<String, Reference>,
    now: UnixMs,
) -> Option<Denial> {
    let deviation = rules.max_price_deviation.as_ref()?;
    if order.effect == Effect::Amend && order.prices.is_empty() {
        return None;
    }
    let Some(reference) = order.instrument.known().and_then(|instrument| references.get(instrument.as_ref())) else {
        return Some(no_reference(nth));
    };
    if is_stale(reference, rules.reference_price_max_age_s, now) {
        return (order.reduce_only != Fact::Is(true)).then(|| stale(nth));
    }
    if order.prices.is_empty() {
        return Some(unreadable(nth, "has no price"));
    }
    let band = Band::around(&reference.price, deviation);
    order.prices.iter().find_map(|price| match price {
        Fact::Is(Price::Market) => None,
        Fact::Is(Price::Limit(limit)) if band.holds(limit) => None,
        Fact::Is(Price::Limit(_)) => Some(outside(nth, &band)),
        Fact::Absent | Fact::Unreadable => Some(unreadable(nth, "has a price that can't be counted")),
    })
}

fn is_stale(reference: &Reference, max_age_s: Option<u64>, now: UnixMs) -> bool {
    let max_age_ms = max_age_s.and_then(|age| i64::try_from(age.checked_mul(1000)?).ok());
    max_age_ms.is_some_and(|age| reference.given.plus_ms(age) < now)
}

/// The prices that are near enough, both ends included.
struct Band {
    lowest: Decimal,
    highest: Decimal,
}

impl Band {
    fn around(reference: &Decimal, deviation: &Decimal) -> Band {
        let distance = reference.times(deviation);
        Band { lowest: reference.minus(&distance), highest: reference.plus(&distance) }
    }

    fn holds(&self, price: &Decimal) -> bool {
        *price >= self.lowest && *price <= self.highest
    }
}

fn no_reference(nth: Nth) -> Denial {
    denial(
        format!("there is no reference price to compare {nth} with"),
        "give one under `reference_price` in `[order]` or with `signvault policy reference set`, or take \
         `max_price_deviation` out of the policy",
    )
}

fn stale(nth: Nth) -> Denial {
    denial(
        format!("the reference price is too old to compare {nth} with"),
        "give a new one with `signvault policy reference set`; orders that can only reduce a position go through meanwhile",
    )
}

fn unreadable(nth: Nth, what: &str) -> Denial {
    denial(format!("{nth} {what}"), "send a price as a plain decimal number, without an exponent")
}

fn outside(nth: Nth, band: &Band) -> Denial {
    denial(
        format!("{nth} has a price too far from the reference price"),
        format!(
            "this bot's policy allows prices from {} to {} for now; if the market has moved, give a new reference price \
             with `signvault policy reference set`",
            band.lowest, band.highest
        ),
    )
}

fn denial(detail: String, help: impl Into<std::borrow::Cow<'static, str>>) -> Denial {
    Denial::new(Code::OrderPrice, detail, help).by_rule("order.max_price_deviation")
}

#[cfg(test)]
mod tests;
