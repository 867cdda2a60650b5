//! The answer of the judging layers: allow, or deny with the stable code of the rule that said so.

use std::borrow::Cow;

/// What was decided about an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be signed, once its row is durable.
    Allow,
    /// It may not.
    Deny(Denial),
}

/// Why an ask is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The stable code.
    pub code: Code,
    /// The rule of the policy that denied, where one did: `grants`, `order.max_size`.
    pub rule: Option<&'static str>,
    /// What happened, in words. Never repeats a value from the ask's body.
    pub detail: Cow<'static, str>,
    /// What to do about it.
    pub help: Cow<'static, str>,
    /// When the same ask may be allowed, for limits that time lifts.
    pub retry_after_ms: Option<u64>,
}

/// The stable, dotted codes of denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// `ask.path_not_canonical`: the path or query has bytes that two servers could read differently.
    PathNotCanonical,
    /// `ask.body_unexpected`: a body where the method has none.
    BodyUnexpected,
    /// `ask.body_ambiguous`: a body that two parsers could read differently.
    BodyAmbiguous,
    /// `policy.credential`: not one of the bot's credentials, or not there at all.
    Credential,
    /// `policy.endpoint_unknown`: the recipe does not list this method and path.
    EndpointUnknown,
    /// `policy.grant`: the policy lacks the endpoint's grant.
    Grant,
    /// `policy.endpoint`: the policy lists endpoints and this is none of them.
    Endpoint,
    /// `policy.mode`: an admin, or a disk with little space, allows less than this for now.
    Mode,
    /// `policy.order.instrument`: not one of the instruments, or none that can be read.
    OrderInstrument,
    /// `policy.order.side`: not one of the sides.
    OrderSide,
    /// `policy.order.type`: not one of the types of order.
    OrderType,
    /// `policy.order.size`: larger than allowed, or none that can be counted.
    OrderSize,
    /// `policy.order.notional`: worth more than allowed, or none that can be counted.
    OrderNotional,
    /// `policy.order.price`: too far from the reference price, or there is none to compare with.
    OrderPrice,
    /// `policy.order.reduce_only`: could open a position.
    OrderReduceOnly,
    /// `policy.order.client_id`: a rolling limit needs an id that the exchange accepts once.
    OrderClientId,
    /// `policy.field_uncounted`: something in the body that a rule must count and can't.
    FieldUncounted,
    /// `policy.transfer`: the transfer rules do not allow the destination, the currency or the amount.
    Transfer,
    /// `policy.replay`: the client id was used with other bytes.
    Replay,
    /// `policy.rate`: too many requests in a second.
    Rate,
    /// `policy.limit`: a rolling limit is spent.
    Limit,
    /// `clock.jump`: the wall clock jumped, so a signature would carry a wrong time.
    ClockJump,
}

impl Code {
    /// The code as programs see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::PathNotCanonical => "ask.path_not_canonical",
            Code::BodyUnexpected => "ask.body_unexpected",
            Code::BodyAmbiguous => "ask.body_ambiguous",
            Code::Credential => "policy.credential",
            Code::EndpointUnknown => "policy.endpoint_unknown",
            Code::Grant => "policy.grant",
            Code::Endpoint => "policy.endpoint",
            Code::Mode => "policy.mode",
            Code::OrderInstrument => "policy.order.instrument",
            Code::OrderSide => "policy.order.side",
            Code::OrderType => "policy.order.type",
            Code::OrderSize => "policy.order.size",
            Code::OrderNotional => "policy.order.notional",
            Code::OrderPrice => "policy.order.price",
            Code::OrderReduceOnly => "policy.order.reduce_only",
            Code::OrderClientId => "policy.order.client_id",
            Code::FieldUncounted => "policy.field_uncounted",
            Code::Transfer => "policy.transfer",
            Code::Replay => "policy.replay",
            Code::Rate => "policy.rate",
            Code::Limit => "policy.limit",
            Code::ClockJump => "clock.jump",
        }
    }
}

impl Denial {
    /// A denial that no rule of a policy made.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Denial {
        Denial { code, rule: None, detail: detail.into(), help: help.into(), retry_after_ms: None }
    }

    /// The same denial, made by a rule of the policy.
    pub fn by_rule(self, rule: &'static str) -> Denial {
        Denial { rule: Some(rule), ..self }
    }

    /// The same denial, with the time after which the ask may be allowed.
    pub fn retry_after_ms(self, wait: u64) -> Denial {
        Denial { retry_after_ms: Some(wait), ..self }
    }
}
