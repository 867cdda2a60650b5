//! What a judgement needs, made so that everything is allowed: a test changes one thing and sees what becomes of it.

use crate::policy::usage::{ClientIds, Counts, IdHash, Meter, Usage};
use crate::policy::{
    Case, ContractKind, ContractValue, Enforcement, Instruments, Limits, OrderRules, Policy, Reference, Verdict,
    evaluate,
};
use crate::types::ask::Method;
use crate::types::clock::UnixMs;
use crate::types::decimal::Decimal;
use crate::types::decision::{Code, Decision, Denial};
use crate::types::endpoint::{Effect, Endpoint, Grant};
use crate::types::facts::{Fact, Facts, Market, Order, Price, Side, Subject, Unit};
use crate::types::mode::Mode;
use std::collections::{BTreeMap, BTreeSet};

/// The instrument of every order that does not say otherwise.
pub const PAIR: &str = "BTC-USDT";
/// A contract on the same coin.
pub const SWAP: &str = "BTC-USDT-SWAP";
/// The time on the bed.
pub const NOW: UnixMs = UnixMs(1_800_000_000_000);

pub struct Bed {
    pub policy: Policy,
    pub endpoint: Endpoint,
    pub facts: Facts<'static>,
    pub digest: [u8; 32],
    pub mode: Mode,
    pub references: BTreeMap<String, Reference>,
    pub meter: Meter,
    pub ids: ClientIds,
    pub unknown_before: Option<UnixMs>,
    pub now: UnixMs,
}

impl Bed {
    /// An endpoint of a grant and an effect, which a policy of all grants allows.
    pub fn new(grant: Grant, effect: Effect, subject: Subject<'static>) -> Bed {
        Bed {
            policy: Policy::granting(BTreeSet::from(Grant::ALL)),
            endpoint: Endpoint { method: Method::Post, path: "/x".into(), grant, effect },
            facts: Facts { effect, subject },
            digest: [1; 32],
            mode: Mode::Normal,
            references: BTreeMap::new(),
            meter: Meter::default(),
            ids: ClientIds::default(),
            unknown_before: None,
            now: NOW,
        }
    }

    /// Orders, which all have the effect of the first.
    pub fn orders(orders: Vec<Order<'static>>) -> Bed {
        let effect = orders.first().map_or(Effect::Place, |order| order.effect);
        Bed::new(Grant::Trade, effect, Subject::Orders(orders))
    }

    /// One order.
    pub fn order(order: Order<'static>) -> Bed {
        Bed::orders(vec![order])
    }

    pub fn under(mut self, rules: OrderRules) -> Bed {
        self.policy.order = Some(rules);
        self
    }

    pub fn limited(mut self, limits: Limits) -> Bed {
        self.policy.limits = limits;
        self
    }

    pub fn in_shadow(mut self) -> Bed {
        self.policy.enforcement = Enforcement::Shadow;
        self
    }

    /// With a reference price of [`PAIR`] and of [`SWAP`] that was given now.
    pub fn at(self, price: &str) -> Bed {
        self.at_since(price, NOW)
    }

    pub fn at_since(mut self, price: &str, given: UnixMs) -> Bed {
        for instrument in [PAIR, SWAP] {
            self.references.insert(instrument.to_owned(), Reference { price: number(price), given });
        }
        self
    }

    pub fn used(mut self, orders: u64, notional: &str, at: UnixMs) -> Bed {
        self.meter.add(&Counts { orders, notional: number(notional), ids: Vec::new() }, at);
        self
    }

    /// As after a restore.
    pub fn restored(mut self, at: UnixMs) -> Bed {
        self.unknown_before = Some(at);
        self
    }

    pub fn remembering(mut self, id: &str, digest: [u8; 32]) -> Bed {
        self.ids.remember(&[ClientIds::hash(id)], digest, NOW);
        self
    }

    pub fn verdict(&self) -> Verdict {
        evaluate(
            &self.policy,
            &Case {
                endpoint: &self.endpoint,
                facts: &self.facts,
                digest: self.digest,
                mode: self.mode,
                references: &self.references,
                usage: Usage { meter: &self.meter, ids: &self.ids, unknown_before: self.unknown_before },
                now: self.now,
            },
        )
    }

    pub fn denial(&self) -> Option<Denial> {
        match self.verdict().decision {
            Decision::Allow => None,
            Decision::Deny(denial) => Some(denial),
        }
    }

    pub fn code(&self) -> Option<Code> {
        self.denial().map(|denial| denial.code)
    }

    /// Code and rule of the denial.
    pub fn denied_by(&self) -> Option<(Code, &'static str)> {
        self.denial().map(|denial| (denial.code, denial.rule.expect("a rule of the policy denied")))
    }

    pub fn detail(&self) -> String {
        self.denial().expect("a denial").detail.into_owned()
    }

    pub fn counts(&self) -> Option<Counts> {
        self.verdict().counts
    }
}

pub fn number(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

pub fn text(text: &'static str) -> Fact<std::borrow::Cow<'static, str>> {
    Fact::Is(text.into())
}

pub fn limit(price: &str) -> Fact<Price> {
    Fact::Is(Price::Limit(number(price)))
}

pub fn market() -> Fact<Price> {
    Fact::Is(Price::Market)
}

/// Buys 0.5 of [`PAIR`] at 60000 or better.
pub fn buy() -> Order<'static> {
    Order {
        effect: Effect::Place,
        instrument: text(PAIR),
        market: Market::Spot,
        side: Fact::Is(Side::Buy),
        order_type: text("limit"),
        size: Fact::Is(number("0.5")),
        unit: Fact::Is(Unit::Base),
        prices: vec![limit("60000")],
        triggers: Vec::new(),
        client_id: text("a1"),
        reduce_only: Fact::Absent,
        uncounted: None,
    }
}

/// Sells 0.5 of [`PAIR`] at 60000 or better.
pub fn sell() -> Order<'static> {
    Order { side: Fact::Is(Side::Sell), ..buy() }
}

/// Changes an order to 0.5 of [`PAIR`] at 60000, saying what an exchange's amend says.
pub fn amend() -> Order<'static> {
    Order { effect: Effect::Amend, side: Fact::Absent, order_type: Fact::Absent, client_id: Fact::Absent, ..buy() }
}

/// Closes a position in [`PAIR`], saying nothing else.
pub fn close() -> Order<'static> {
    Order {
        effect: Effect::Close,
        order_type: Fact::Absent,
        size: Fact::Absent,
        unit: Fact::Absent,
        prices: Vec::new(),
        ..amend()
    }
}

/// Buys 10 contracts of [`SWAP`] at 60000.
pub fn contracts() -> Order<'static> {
    Order { instrument: text(SWAP), market: Market::Contract, size: Fact::Is(number("10")), ..buy() }
}

/// Rules that allow every order.
pub fn rules() -> OrderRules {
    OrderRules::unrestricted()
}

pub fn only(instruments: &[&str]) -> Instruments {
    Instruments::Only(instruments.iter().map(|name| (*name).to_owned()).collect())
}

pub fn sizes(most: &[(&str, &str)]) -> BTreeMap<String, Decimal> {
    most.iter().map(|(instrument, most)| ((*instrument).to_owned(), number(most))).collect()
}

pub fn worth_each(instrument: &str, value: &str, kind: ContractKind) -> BTreeMap<String, ContractValue> {
    BTreeMap::from([(instrument.to_owned(), ContractValue { value: number(value), kind })])
}

pub fn hashes(ids: &[&str]) -> Vec<IdHash> {
    ids.iter().map(|id| ClientIds::hash(id)).collect()
}
