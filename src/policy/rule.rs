//! Rules about endpoints, one function each. A rule looks at one thing and either denies, with its stable code, or has
//! nothing to say.

use crate::policy::Policy;
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::{Effect, Endpoint, Grant};
use crate::types::facts::{Fact, Facts, Order, Subject};
use crate::types::mode::Mode;

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

/// `mode`: what an admin allows for now, whatever the policy says.
pub fn mode(mode: Mode, endpoint: &Endpoint, facts: &Facts<'_>) -> Option<Denial> {
    let calm = endpoint.grant == Grant::Read || (endpoint.grant != Grant::Session && facts.effect == Effect::Cancel);
    let (allowed, what) = match mode {
        Mode::Normal => (true, ""),
        Mode::ReduceOnly => (
            calm || (endpoint.grant != Grant::Session && only_reduces(facts)),
            "reads, cancels, closes and orders that say they only reduce a position",
        ),
        Mode::CancelOnly => (calm, "reads and cancels"),
    };
    if allowed {
        return None;
    }
    let denial = Denial::new(
        Code::Mode,
        format!("the mode is {mode}, and this is not among what it leaves: {what}"),
        "wait until an admin sets it to normal (`signvault mode normal`, with `--bot` where it was set for one bot), or, where `signvault status` warns of it, until the disk has space",
    );
    Some(denial.by_rule("mode"))
}

/// Closes a position, or places orders that can only make one smaller. An amend can make an order larger, and orders that
/// come along uncounted with one that reduces say nothing of what they do.
pub(super) fn only_reduces(facts: &Facts<'_>) -> bool {
    let says_so = |order: &Order<'_>| order.reduce_only == Fact::Is(true) && order.uncounted.is_none();
    let reduces = |order: &Order<'_>| order.effect == Effect::Place && says_so(order);
    match (facts.effect, &facts.subject) {
        (Effect::Close, _) => true,
        (Effect::Place, Subject::Orders(orders)) => !orders.is_empty() && orders.iter().all(reduces),
        _ => false,
    }
}

fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { format!("`{}`", words.join("`, `")) }
}
