//! Endpoints of an exchange, and the words for what each may do.

use crate::types::ask::Method;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A class of endpoints that a policy allows or does not. Finer than the permissions of any exchange: OKX's "trade"
/// also moves funds between accounts and mints sub-account keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Reads data, public or of the account.
    Read,
    /// Places, amends, cancels and closes orders that order rules can judge.
    Trade,
    /// Changes how the account trades: leverage, margin and position modes.
    Settings,
    /// Trades that order rules cannot judge: exchange-side bots, copy trading, block trades, conversions.
    Advanced,
    /// Moves, lends, borrows or locks funds.
    Funds,
    /// Makes or changes API keys and sub-accounts.
    Keys,
    /// Takes funds out of the exchange.
    Withdraw,
    /// Logs a WebSocket in; what follows on it is not judged.
    Session,
}

impl Grant {
    /// Every grant, the mildest first.
    pub const ALL: [Grant; 8] = [
        Grant::Read,
        Grant::Trade,
        Grant::Settings,
        Grant::Advanced,
        Grant::Funds,
        Grant::Keys,
        Grant::Withdraw,
        Grant::Session,
    ];

    /// The word as it stands in a policy and a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Grant::Read => "read",
            Grant::Trade => "trade",
            Grant::Settings => "settings",
            Grant::Advanced => "advanced",
            Grant::Funds => "funds",
            Grant::Keys => "keys",
            Grant::Withdraw => "withdraw",
            Grant::Session => "session",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request to an endpoint does to the order book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// Places orders.
    Place,
    /// Changes orders.
    Amend,
    /// Takes orders out.
    Cancel,
    /// Closes a position.
    Close,
}

impl Effect {
    /// The word as it stands in a recipe and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::None => "none",
            Effect::Place => "place",
            Effect::Amend => "amend",
            Effect::Cancel => "cancel",
            Effect::Close => "close",
        }
    }
}

/// One endpoint of an exchange, as its recipe lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The exact path, without a query.
    pub path: Box<str>,
    /// The grant that a policy needs to have.
    pub grant: Grant,
    /// What it does to the order book.
    pub effect: Effect,
}

/// `POST /api/v5/trade/order`: the form that a policy's `endpoints` and the ledger use.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [self.method.as_str(), " ", &self.path].into_iter().try_for_each(|part| f.write_str(part))
    }
}
