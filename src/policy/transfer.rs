//! Rules about funds that move: where to, which currency, how much. What they can't judge does not move.

use crate::policy::{Case, Policy, TransferRules};
use crate::types::decision::{Code, Denial};
use crate::types::endpoint::Grant;
use crate::types::facts::{Subject, Transfer};

/// `transfer`: an endpoint that moves funds moves them only as the rules say.
pub fn judge(policy: &Policy, case: &Case<'_>) -> Option<Denial> {
    let rules = policy.transfer.as_ref()?;
    match (case.endpoint.grant, &case.facts.subject) {
        (Grant::Funds | Grant::Withdraw, Subject::Transfer(transfer)) => {
            address(rules, transfer).or_else(|| uncounted(rules, transfer)).or_else(|| amount(rules, transfer))
        }
        (Grant::Funds | Grant::Withdraw, Subject::Misshapen) => Some(misshapen()),
        (Grant::Funds | Grant::Withdraw, Subject::Unknown | Subject::Orders(_)) => Some(unjudged()),
        _ => None,
    }
}

fn address(rules: &TransferRules, transfer: &Transfer<'_>) -> Option<Denial> {
    let addresses = rules.addresses.as_ref()?;
    let detail = match transfer.destination.known() {
        Some(destination) if addresses.contains(destination.as_ref()) => return None,
        Some(_) => "the destination is not one that this bot's policy lists",
        None => "the transfer has no destination that can be read",
    };
    let help = match addresses.len() {
        0 => "the policy lists no destination: add it to `addresses` under `[transfer]`, exactly as the request has it"
            .to_owned(),
        most => format!(
            "the policy lists {most} under `addresses` in `[transfer]`: send to one of these, or add this one exactly as \
             the request has it"
        ),
    };
    Some(Denial::new(Code::Transfer, detail, help).by_rule("transfer.addresses"))
}

/// A member that nobody reads could say where the funds go after all.
fn uncounted(rules: &TransferRules, transfer: &Transfer<'_>) -> Option<Denial> {
    rules.addresses.as_ref()?;
    let member = transfer.uncounted?;
    let denial = Denial::new(
        Code::FieldUncounted,
        format!("the transfer has `{member}`, which no rule can judge"),
        format!("leave out `{member}`, or take `addresses` out of `[transfer]` in the bot's policy"),
    );
    Some(denial.by_rule("transfer.addresses"))
}

fn amount(rules: &TransferRules, transfer: &Transfer<'_>) -> Option<Denial> {
    let most_by_currency = rules.max_amount.as_ref()?;
    let named = transfer.currency.known().and_then(|currency| most_by_currency.get_key_value(currency.as_ref()));
    let (detail, help) = match (named, transfer.amount.known()) {
        (None, _) => (
            "the transfer is in a currency that this bot's policy does not name, or names none that can be read".into(),
            format!(
                "the policy allows {}; add others to `max_amount` under `[transfer]`",
                listed(most_by_currency.keys())
            ),
        ),
        (Some((_, most)), Some(amount)) if amount <= most => return None,
        (Some((currency, most)), Some(_)) => (
            format!("the transfer is larger than {most} {currency}, the most that this bot's policy allows"),
            "send less, or raise `max_amount` under `[transfer]` in the bot's policy".to_owned(),
        ),
        (Some(_), None) => (
            "the transfer has no amount that can be counted".into(),
            "write the amount as a plain decimal number, without an exponent".to_owned(),
        ),
    };
    Some(Denial::new(Code::Transfer, detail, help).by_rule("transfer.max_amount"))
}

fn listed<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let words: Vec<&str> = words.map(String::as_str).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn misshapen() -> Denial {
    let detail = "the body has not the form of a transfer, so it can't be judged";
    let help = "send one JSON object with the members that the exchange documents";
    Denial::new(Code::Transfer, detail, help).by_rule("transfer")
}

fn unjudged() -> Denial {
    let detail = "this endpoint moves or locks funds in a way that the transfer rules of this bot's policy can't judge";
    let help = "take its grant out of `grants`, or take `[transfer]` out of the policy, or give the bot that does this a policy of its own";
    Denial::new(Code::FieldUncounted, detail, help).by_rule("transfer")
}

#[cfg(test)]
mod tests;
