//! What an order is worth, at the most, in the quote currency of its instrument. What can't be counted exactly is an
//! error, never a guess.

use crate::policy::{Case, ContractKind, ContractValue, OrderRules, Reference};
use crate::types::decimal::Decimal;
use crate::types::endpoint::Effect;
use crate::types::facts::{Fact, Market, Order, Price, Side, Unit};
use std::collections::BTreeMap;
use thiserror::Error;

/// What a worth is reckoned from besides the order. A reference price counts here however old it is: an old price is a
/// better bound than none.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The policy's order rules, where it has any: contract values and largest sizes.
    pub rules: Option<&'a OrderRules>,
    /// Reference prices by instrument.
    pub references: &'a BTreeMap<String, Reference>,
}

/// Why a worth can't be reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Uncountable {
    /// No instrument that can be read.
    #[error("has no instrument that can be read")]
    Instrument,
    /// No size that can be counted.
    #[error("has no size that can be counted")]
    Size,
    /// A size in an unknown unit.
    #[error("has a size of which it can't be told whether it is in base or in quote currency")]
    Unit,
    /// No price.
    #[error("has no price")]
    NoPrice,
    /// A price that can't be counted.
    #[error("has a price that can't be counted")]
    Price,
    /// A trigger that can't be counted.
    #[error("has a trigger price that can't be counted")]
    Trigger,
    /// A market price without a reference.
    #[error("is at market, and there is no reference price for its instrument")]
    Market,
    /// A sell that nothing bounds: a limit far below the market fills at the market.
    #[error("is not known to be a buy, and its instrument has neither a reference price nor a largest size")]
    Sell,
    /// A contract of unknown worth.
    #[error("is in contracts, and this bot's policy does not say what one is worth")]
    Contract,
    /// A change of size or price alone.
    #[error("changes the size or the price alone, and what it is worth then takes both")]
    Amend,
}

impl Uncountable {
    /// What to do about it.
    pub fn help(self) -> &'static str {
        match self {
            Uncountable::Instrument => "name the instrument as a text, as the exchange spells it",
            Uncountable::Size => "write the size as a plain decimal number, without an exponent",
            Uncountable::Unit => "say in which currency the size is",
            Uncountable::NoPrice => "send a price, or an order at market where there is a reference price",
            Uncountable::Price | Uncountable::Trigger => "write prices as plain decimal numbers, without an exponent",
            Uncountable::Market => {
                "give one under `reference_price` in `[order]` or with `signvault policy reference set`, or send a limit order"
            }
            Uncountable::Sell => {
                "give a reference price under `reference_price` in `[order]` or with `signvault policy reference set`, or \
                 name the instrument under `max_size`"
            }
            Uncountable::Contract => {
                "name the instrument under `contract_value` in `[order]`, with its value and whether it is linear or inverse"
            }
            Uncountable::Amend => "send the new size and the new price together, or cancel and place anew",
        }
    }
}

impl<'a> Basis<'a> {
    /// What a case offers.
    pub fn of(rules: Option<&'a OrderRules>, case: &Case<'a>) -> Basis<'a> {
        Basis { rules, references: case.references }
    }

    /// The reference price of an instrument.
    pub fn reference(&self, instrument: &str) -> Option<&'a Decimal> {
        self.references.get(instrument).map(|reference| &reference.price)
    }

    fn has_largest_size(&self, instrument: &str) -> bool {
        self.rules.is_some_and(|rules| rules.max_size.contains_key(instrument))
    }

    /// What one contract is worth; none where sizes are in base currency.
    fn contract(&self, market: Market, instrument: &str) -> Result<Option<&'a ContractValue>, Uncountable> {
        match self.rules.and_then(|rules| rules.contract_value.get(instrument)) {
            None if market == Market::Contract => Err(Uncountable::Contract),
            value => Ok(value),
        }
    }

    /// What so much of an instrument, as sizes are counted there, is worth at its reference price.
    pub fn at_reference(&self, size: &Decimal, market: Market, instrument: &str) -> Result<Decimal, Uncountable> {
        let contract = self.contract(market, instrument)?;
        worth(size, contract, || self.reference(instrument).ok_or(Uncountable::Market))
    }
}

/// What an order is worth, at the most.
///
/// A buy: size × the highest of its prices. A sell, and whatever is not known to be a buy: size × the higher of price
/// and reference price, since a low limit fills at the market. At market: the reference price. Triggers say what the
/// market may be worth by then.
///
/// # Errors
/// [`Uncountable`].
pub fn of(order: &Order<'_>, basis: &Basis<'_>) -> Result<Decimal, Uncountable> {
    let instrument = order.instrument.known().ok_or(Uncountable::Instrument)?;
    if order.effect == Effect::Amend && (order.size == Fact::Absent || order.prices.is_empty()) {
        return Err(Uncountable::Amend);
    }
    let size = order.size.known().ok_or(Uncountable::Size)?;
    let contract = basis.contract(order.market, instrument)?;
    match order.unit.known().ok_or(Uncountable::Unit)? {
        Unit::Quote => Ok(size.clone()),
        Unit::Base => worth(size, contract, || highest_price(order, instrument, basis)),
    }
}

fn worth<'a>(
    size: &Decimal,
    contract: Option<&ContractValue>,
    price: impl FnOnce() -> Result<&'a Decimal, Uncountable>,
) -> Result<Decimal, Uncountable> {
    match contract {
        None => Ok(size.times(price()?)),
        Some(ContractValue { value, kind: ContractKind::Linear }) => Ok(size.times(value).times(price()?)),
        Some(ContractValue { value, kind: ContractKind::Inverse }) => Ok(size.times(value)),
    }
}

/// The highest price at which an order may be executed.
fn highest_price<'a>(order: &'a Order<'_>, instrument: &str, basis: &Basis<'a>) -> Result<&'a Decimal, Uncountable> {
    // Whatever an amend says of a side, the order keeps the one that it has.
    let buys = order.effect != Effect::Amend && order.side == Fact::Is(Side::Buy);
    let reference = basis.reference(instrument);
    if !buys && reference.is_none() && !basis.has_largest_size(instrument) {
        return Err(Uncountable::Sell);
    }
    let mut highest = None;
    for price in &order.prices {
        let price = match price.known().ok_or(Uncountable::Price)? {
            Price::Limit(limit) if buys => Some(limit),
            Price::Limit(limit) => Some(limit).max(reference).max(highest_trigger(order)?),
            Price::Market => Some(reference.ok_or(Uncountable::Market)?).max(highest_trigger(order)?),
        };
        highest = highest.max(price);
    }
    highest.ok_or(Uncountable::NoPrice)
}

fn highest_trigger<'a>(order: &'a Order<'_>) -> Result<Option<&'a Decimal>, Uncountable> {
    match order.triggers.contains(&Fact::Unreadable) {
        true => Err(Uncountable::Trigger),
        false => Ok(order.triggers.iter().filter_map(Fact::known).max()),
    }
}

#[cfg(test)]
mod tests;
