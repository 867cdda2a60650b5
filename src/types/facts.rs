//! What an ask would do: the facts that a recipe reads from the very bytes that will be signed, and that a policy judges.

use crate::types::decimal::Decimal;
use crate::types::endpoint::Effect;
use std::borrow::Cow;

/// One fact of a body.
///
/// An empty text, `null`, an empty list and a missing member are all [`Fact::Absent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// The body does not say.
    Absent,
    /// The body says this.
    Is(T),
    /// The body says something, but not in a form that can be judged: a number with an exponent, a list for a name.
    Unreadable,
}

impl<T> Fact<T> {
    /// What the body says, when it says it readably.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Is(value) => Some(value),
            Fact::Absent | Fact::Unreadable => None,
        }
    }
}

/// What an ask would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The endpoint's effect, unless the body makes it another: disarming a dead man's switch cancels nothing.
    pub effect: Effect,
    /// What the body says of it.
    pub subject: Subject<'a>,
}

/// What a body is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The recipe reads no facts from this endpoint's bodies.
    Unknown,
    /// The recipe reads facts here, but this body does not have their form: a list for an object, none or too many items.
    Misshapen,
    /// Orders: placed, amended or closed, one after the other. Never empty.
    Orders(Vec<Order<'a>>),
    /// Funds that move.
    Transfer(Transfer<'a>),
}

/// One order of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// What happens to it: placed, amended or closed.
    pub effect: Effect,
    /// The instrument, as the exchange names it.
    pub instrument: Fact<Cow<'a, str>>,
    /// What kind of instrument that is.
    pub market: Market,
    /// Whether it buys or sells.
    pub side: Fact<Side>,
    /// The exchange's word for the type of order: `limit`, `post_only`.
    pub order_type: Fact<Cow<'a, str>>,
    /// How much. An amend's is the new size.
    pub size: Fact<Decimal>,
    /// In what `size` is counted.
    pub unit: Fact<Unit>,
    /// Every price at which it may be executed; empty when the body names none. An amend's are the new prices.
    pub prices: Vec<Fact<Price>>,
    /// Prices that only set it off. They bound no execution, but show what the market may be worth then.
    pub triggers: Vec<Fact<Decimal>>,
    /// The id that the client chose, which the exchange accepts once.
    pub client_id: Fact<Cow<'a, str>>,
    /// Whether it can only make a position smaller.
    pub reduce_only: Fact<bool>,
    /// The first member that is present and that no rule can count, by the exchange's name.
    pub uncounted: Option<&'a str>,
}

/// A kind of instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    /// A pair: sizes are in the first of the two, money in the second.
    Spot,
    /// A contract: sizes are a number of contracts.
    Contract,
    /// The recipe can't tell.
    Unknown,
}

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Buy, Side::Sell];

    /// `buy` or `sell`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Buy => "buy",
            Side::Sell => "sell",
        }
    }
}

/// In what a size is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// In what the instrument trades: the base currency of a pair, contracts.
    Base,
    /// In quote currency: the size is the notional.
    Quote,
}

/// A price of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    /// At this price or better.
    Limit(Decimal),
    /// At whatever the market gives.
    Market,
}

/// Funds that move out of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// The currency.
    pub currency: Fact<Cow<'a, str>>,
    /// How much of it.
    pub amount: Fact<Decimal>,
    /// Where to: an address, the name of a sub-account, or the number of an account.
    pub destination: Fact<Cow<'a, str>>,
    /// The id that the client chose, which the exchange accepts once.
    pub client_id: Fact<Cow<'a, str>>,
    /// The first member that is present and that no rule can judge, by the exchange's name.
    pub uncounted: Option<&'a str>,
}
