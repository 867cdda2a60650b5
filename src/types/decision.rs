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
    /// The rule of the policy that denied, where one did: `grants`, `endpoints`.
    pub rule: Option<&'static str>,
    /// What happened, in words. Never repeats a value from the ask's body.
    pub detail: Cow<'static, str>,
    /// What to do about it.
    pub help: Cow<'static, str>,
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
            Code::ClockJump => "clock.jump",
        }
    }
}

impl Denial {
    /// A denial that no rule of a policy made.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Denial {
        Denial { code, rule: None, detail: detail.into(), help: help.into() }
    }

    /// The same denial, made by a rule of the policy.
    pub fn by_rule(self, rule: &'static str) -> Denial {
        Denial { rule: Some(rule), ..self }
    }
}
