//! What a bot may have signed: grants, narrowed to exact endpoints. Missing means no.
//!
//! A policy file is TOML. [`parse::parse`] turns it into a [`Policy`] that holds only what is enforced; a key that this
//! version does not enforce is refused, never ignored. [`evaluate`] is pure: the same policy and endpoint give the same
//! decision for ever.

pub mod parse;
pub mod rule;
pub mod words;

use crate::types::decision::Decision;
use crate::types::endpoint::{Endpoint, Grant};
use std::collections::BTreeSet;

/// The name shown for bots without a policy of their own.
pub const READ_ONLY: &str = "read-only";

/// What a bot may have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The classes of endpoints it may ask for.
    pub grants: BTreeSet<Grant>,
    /// When present, the only endpoints it may ask for, each as `METHOD /path`. Narrows the grants, never widens them.
    pub endpoints: Option<BTreeSet<String>>,
}

impl Policy {
    /// The policy of a bot that was given none: reading only.
    pub fn read_only() -> Policy {
        Policy { grants: BTreeSet::from([Grant::Read]), endpoints: None }
    }
}

/// Judges one ask by its endpoint. The first rule that denies gives its code.
pub fn evaluate(policy: &Policy, endpoint: &Endpoint) -> Decision {
    let denial = rule::grants(policy, endpoint).or_else(|| rule::endpoints(policy, endpoint));
    denial.map_or(Decision::Allow, Decision::Deny)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ask::Method;
    use crate::types::decision::Code;
    use crate::types::endpoint::Effect;

    fn endpoint(method: Method, path: &str, grant: Grant) -> Endpoint {
        Endpoint { method, path: path.into(), grant, effect: Effect::None }
    }

    fn code(policy: &Policy, endpoint: &Endpoint) -> Option<Code> {
        match evaluate(policy, endpoint) {
            Decision::Allow => None,
            Decision::Deny(denial) => Some(denial.code),
        }
    }

    #[test]
    fn nothing_is_allowed_that_was_not_granted() {
        for grant in Grant::ALL {
            let asked = endpoint(Method::Post, "/x", grant);
            for granted in Grant::ALL {
                let policy = Policy { grants: BTreeSet::from([granted]), endpoints: None };
                let expected = (granted != grant).then_some(Code::Grant);
                assert_eq!(code(&policy, &asked), expected, "{granted} asked for {grant}");
            }
        }
    }

    #[test]
    fn endpoints_narrow_and_never_widen() {
        let policy = Policy {
            grants: BTreeSet::from([Grant::Trade]),
            endpoints: Some(BTreeSet::from(["POST /order".to_owned(), "POST /withdraw".to_owned()])),
        };
        assert_eq!(code(&policy, &endpoint(Method::Post, "/order", Grant::Trade)), None);
        assert_eq!(code(&policy, &endpoint(Method::Get, "/order", Grant::Trade)), Some(Code::Endpoint));
        assert_eq!(code(&policy, &endpoint(Method::Post, "/order/", Grant::Trade)), Some(Code::Endpoint));
        assert_eq!(code(&policy, &endpoint(Method::Post, "/withdraw", Grant::Withdraw)), Some(Code::Grant));
    }
}
