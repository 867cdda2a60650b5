//! A policy in words that a trader understands.

use crate::policy::Policy;
use crate::types::endpoint::Grant;

/// What the policy means, a sentence each.
pub fn describe(policy: &Policy) -> Vec<String> {
    let mut words: Vec<String> = Grant::ALL
        .into_iter()
        .map(|grant| match policy.grants.contains(&grant) {
            true => format!("may {}", may(grant)),
            false => format!("may not {}", may(grant)),
        })
        .collect();
    if let Some(endpoints) = &policy.endpoints {
        words.push(format!("and only through these endpoints: {}", join(endpoints)));
    }
    words
}

fn may(grant: Grant) -> &'static str {
    match grant {
        Grant::Read => "read market and account data",
        Grant::Trade => "place, amend, cancel and close orders, of any size in any instrument",
        Grant::Settings => "change leverage, margin and position settings",
        Grant::Advanced => "trade through exchange-side bots, copy trading, block trades and conversions",
        Grant::Funds => "move, lend, borrow or lock funds inside the exchange",
        Grant::Keys => "make or change API keys and sub-accounts",
        Grant::Withdraw => "withdraw funds from the exchange",
        Grant::Session => {
            "log a WebSocket in, and then do everything that this key may do except what the exchange forbids over WebSocket"
        }
    }
}

fn join(endpoints: &std::collections::BTreeSet<String>) -> String {
    let listed: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
}
