//! What a bot may have signed: grants, narrowed to exact endpoints, and rules about every order and transfer. Missing
//! means no.
//!
//! A policy file is TOML. [`parse::parse`] turns it into a [`Policy`]; a key that it does not know is refused, never
//! ignored. [`evaluate`] is pure: the same [`Case`] gives the same [`Verdict`] for ever.

#[cfg(test)]
pub mod arbitrary;
pub mod compare;
pub mod contradiction;
pub mod limit;
pub mod notional;
pub mod order;
pub mod parse;
pub mod price;
pub mod rate;
pub mod raw;
pub mod rule;
pub mod transfer;
pub mod usage;
pub mod words;

use crate::policy::usage::{Counts, Usage};
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use crate::types::decision::{Decision, Denial};
use crate::types::endpoint::{Endpoint, Grant};
use crate::types::facts::{Facts, Side};
use crate::types::mode::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// The name shown for bots without a policy of their own.
pub const READ_ONLY: &str = "read-only";

/// Requests a second when a policy does not say.
pub const DEFAULT_REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// What a bot may have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The classes of endpoints it may ask for.
    pub grants: BTreeSet<Grant>,
    /// When present, the only endpoints it may ask for, each as `METHOD /path`. Narrows the grants, never widens them.
    pub endpoints: Option<BTreeSet<String>>,
    /// Whether a session may be granted beside order rules or limits, which can't judge what follows on it.
    pub session_unchecked: bool,
    /// Whether order rules and limits deny, or only say in the ledger what they would have denied.
    pub enforcement: Enforcement,
    /// Rules about every order.
    pub order: Option<OrderRules>,
    /// Limits over time.
    pub limits: Limits,
    /// Rules about funds that move.
    pub transfer: Option<TransferRules>,
}

/// What becomes of an ask that an order rule or a limit denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// It is denied.
    #[default]
    Enforce,
    /// It is signed, and its ledger row says what would have denied it. Everything else is enforced all the same.
    Shadow,
}

/// Rules about every order of a body, one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRules {
    /// Which instruments.
    pub instruments: Instruments,
    /// Which sides; both when absent.
    pub sides: Option<BTreeSet<Side>>,
    /// Which of the exchange's types of order; any when absent.
    pub types: Option<BTreeSet<String>>,
    /// The largest size of an order by instrument: base currency, or a number of contracts. No limit where an
    /// instrument is not named.
    pub max_size: BTreeMap<String, Decimal>,
    /// The largest notional of an order, in the instrument's quote currency.
    pub max_notional: Option<Decimal>,
    /// Whether every order must be one that can only make a position smaller.
    pub reduce_only: bool,
    /// What a contract is worth, by instrument.
    pub contract_value: BTreeMap<String, ContractValue>,
    /// How far from the reference price an order's prices may be, as a fraction: `0.05` for `"5%"`.
    pub max_price_deviation: Option<Decimal>,
    /// Prices that the file gives, by instrument.
    pub reference_price: BTreeMap<String, Decimal>,
    /// For how many seconds a reference price is good. Absent: for ever.
    pub reference_price_max_age_s: Option<u64>,
}

/// Instruments that a policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruments {
    /// Any: `["*"]`.
    Any,
    /// These, to the byte.
    Only(BTreeSet<String>),
}

/// What one contract is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractValue {
    /// How much of the base currency (linear) or of the quote currency (inverse).
    pub value: Decimal,
    /// Which of the two.
    pub kind: ContractKind,
}

/// How a contract's notional follows from its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractKind {
    /// size × value × price.
    Linear,
    /// size × value, whatever the price.
    Inverse,
}

/// Limits over time. All but the rate are rolling: see [`usage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any second; [`DEFAULT_REQUESTS_PER_SECOND`] when absent. Reads and cancels have as many again.
    pub requests_per_second: Option<NonZeroU32>,
    /// Orders in any minute.
    pub orders_per_minute: Option<u64>,
    /// Orders in any hour.
    pub orders_per_hour: Option<u64>,
    /// Orders in any 24 hours.
    pub orders_per_day: Option<u64>,
    /// Notional in any hour, in quote currency.
    pub notional_per_hour: Option<Decimal>,
    /// Notional in any 24 hours, in quote currency.
    pub notional_per_day: Option<Decimal>,
}

/// Rules about funds that move. With these, only what they can judge moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRules {
    /// Where to, exactly; nowhere when empty; anywhere when absent.
    pub addresses: Option<BTreeSet<String>>,
    /// The largest amount of one transfer by currency; only these currencies. Any amount of any when absent.
    pub max_amount: Option<BTreeMap<String, Decimal>>,
}

/// A price that orders are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The price.
    pub price: Decimal,
    /// When it was given.
    pub given: UnixMs,
}

/// All that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The endpoint that is asked for.
    pub endpoint: &'a Endpoint,
    /// What the ask would do.
    pub facts: &'a Facts<'a>,
    /// SHA-256 of the method, path and body: what makes two asks the same.
    pub digest: [u8; 32],
    /// What an admin allows for now.
    pub mode: Mode,
    /// Reference prices by instrument: the file's and those set since.
    pub references: &'a BTreeMap<String, Reference>,
    /// What the bot used of its rolling limits, and the client ids of its credential.
    pub usage: Usage<'a>,
    /// The time.
    pub now: UnixMs,
}

/// What is to be done with an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Allow, or the first rule that denies.
    pub decision: Decision,
    /// What would have denied it if the policy were enforced.
    pub shadow: Option<Denial>,
    /// What it counts for, when it is allowed and the policy has rolling limits.
    pub counts: Option<Counts>,
}

impl Policy {
    /// The policy of a bot that was given none: reading only.
    pub fn read_only() -> Policy {
        Policy::granting(BTreeSet::from([Grant::Read]))
    }

    /// A policy of grants alone.
    pub fn granting(grants: BTreeSet<Grant>) -> Policy {
        Policy {
            grants,
            endpoints: None,
            session_unchecked: false,
            enforcement: Enforcement::Enforce,
            order: None,
            limits: Limits::default(),
            transfer: None,
        }
    }

    /// Whether an order in this instrument may pass.
    pub fn allows_instrument(&self, name: &str) -> bool {
        match self.order.as_ref().map(|rules| &rules.instruments) {
            None | Some(Instruments::Any) => true,
            Some(Instruments::Only(listed)) => listed.contains(name),
        }
    }

    /// Requests in any second, in each of the two lanes.
    pub fn requests_per_second(&self) -> NonZeroU32 {
        self.limits.requests_per_second.unwrap_or(DEFAULT_REQUESTS_PER_SECOND)
    }
}

impl OrderRules {
    /// Rules that deny no order.
    pub fn unrestricted() -> OrderRules {
        OrderRules {
            instruments: Instruments::Any,
            sides: None,
            types: None,
            max_size: BTreeMap::new(),
            max_notional: None,
            reduce_only: false,
            contract_value: BTreeMap::new(),
            max_price_deviation: None,
            reference_price: BTreeMap::new(),
            reference_price_max_age_s: None,
        }
    }
}

impl Limits {
    /// Whether a limit counts notional.
    pub fn count_notional(&self) -> bool {
        self.notional_per_hour.is_some() || self.notional_per_day.is_some()
    }

    /// Whether there is any rolling limit.
    pub fn are_rolling(&self) -> bool {
        let orders = [self.orders_per_minute, self.orders_per_hour, self.orders_per_day];
        self.count_notional() || orders.iter().any(Option::is_some)
    }
}

impl Verdict {
    fn denied(denial: Denial) -> Verdict {
        Verdict { decision: Decision::Deny(denial), shadow: None, counts: None }
    }
}

/// Judges one ask. The first rule that denies gives its code: grants, endpoints, mode, transfers, orders, limits.
///
/// The last two only say what they would have denied where the policy is in shadow; what such an ask counts for is
/// counted as far as it can be.
pub fn evaluate(policy: &Policy, case: &Case<'_>) -> Verdict {
    let always = rule::grants(policy, case.endpoint)
        .or_else(|| rule::endpoints(policy, case.endpoint))
        .or_else(|| rule::mode(case.mode, case.endpoint, case.facts))
        .or_else(|| transfer::judge(policy, case));
    if let Some(denial) = always {
        return Verdict::denied(denial);
    }
    let by_order = order::judge(policy, case);
    let limited = limit::judge(policy, case);
    match (by_order.or(limited.denial), policy.enforcement) {
        (Some(denial), Enforcement::Enforce) => Verdict::denied(denial),
        (shadow, _) => Verdict { decision: Decision::Allow, shadow, counts: limited.counts },
    }
}

#[cfg(test)]
mod tests;
