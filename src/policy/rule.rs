//! The rules, one function each. A rule looks at one thing and either denies, with its stable code, or has nothing to
//! say.

use crate::policy::Policy;
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::Endpoint;

/// `grants`: the endpoint's grant must be among the policy's.
pub fn grants(policy: &Policy, endpoint: &Endpoint) -> Option<Denial> {
    if policy.grants.contains(&endpoint.grant) {
        return None;
    }
    let has: Vec<&str> = policy.grants.iter().map(|grant| grant.as_str()).collect();
    let denial = Denial::new(
        Code::Grant,
        format!("{endpoint} needs the grant `{}`; this bot's policy has {}", endpoint.grant, list(&has)),
        format!("if the bot should do this, add \"{}\" to `grants` in its policy", endpoint.grant),
    );
    Some(denial.by_rule("grants"))
}

/// `endpoints`: where the policy lists endpoints, the endpoint must be one of them, to the byte.
pub fn endpoints(policy: &Policy, endpoint: &Endpoint) -> Option<Denial> {
    let listed = policy.endpoints.as_ref()?;
    if listed.contains(&endpoint.to_string()) {
        return None;
    }
    let denial = Denial::new(
        Code::Endpoint,
        format!("{endpoint} is not among the {} endpoints that this bot's policy lists", listed.len()),
        format!("if the bot should do this, add \"{endpoint}\" to `endpoints` in its policy"),
    );
    Some(denial.by_rule("endpoints"))
}

fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { format!("`{}`", words.join("`, `")) }
}
