//! What was acknowledged, as someone outside the daemon remembers it, compared with what the daemon says afterwards.

use crate::support::Daemon;
use crate::support::http::Response;
use crate::support::signers::{Sent, compare_with_ledger, verified_ledger};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What was acknowledged.
#[derive(Default)]
pub struct Witness {
    /// Requests that were answered.
    pub sent: Vec<Sent>,
    /// Bots that were added.
    pub added: BTreeSet<String>,
    /// Bots that were asked to be revoked, whatever came back: these may be.
    pub asked_to_revoke: BTreeSet<String>,
    /// Bots that were revoked.
    pub revoked: BTreeSet<String>,
}

impl Witness {
    /// Everything that is not as it was said, on an unlocked daemon. Whether the ledger follows is part of it.
    pub fn what_is_wrong(&self, daemon: &Daemon<'_>) -> Vec<String> {
        let ledger = verified_ledger(daemon);
        let (_, mut wrong) = compare_with_ledger(&self.sent, &ledger);
        let listed = daemon.run(&["bot", "list", "--json"], "").json();
        let bots: BTreeMap<&str, bool> = listed.as_array().expect("a list").iter().map(bot).collect();
        for name in self.added.iter().filter(|name| !bots.contains_key(name.as_str())) {
            wrong.push(format!("the bot {name} is gone"));
        }
        for name in self.revoked.iter().filter(|name| bots.get(name.as_str()) != Some(&true)) {
            wrong.push(format!("the bot {name} is not revoked any more"));
        }
        for (name, _) in bots.iter().filter(|(name, revoked)| **revoked && !self.asked_to_revoke.contains(**name)) {
            wrong.push(format!("the bot {name} is revoked although nobody asked for it"));
        }
        wrong.extend(half_states(&bots, &ledger));
        wrong
    }

    /// How many signatures it remembers.
    pub fn signatures(&self) -> usize {
        self.sent.iter().filter(|sent| sent.response.status == 200).count()
    }
}

fn bot(card: &Value) -> (&str, bool) {
    (card["name"].as_str().expect("a name"), card["revoked"].as_bool().expect("revoked or not"))
}

/// A row without its change, or a change without its row.
fn half_states(bots: &BTreeMap<&str, bool>, ledger: &BTreeMap<u64, Value>) -> Vec<String> {
    let told = |action: &str| -> BTreeSet<&str> {
        let rows = ledger.values().filter(|row| row["event"] == "bot" && row["action"] == action);
        rows.filter_map(|row| row["bot"].as_str()).collect()
    };
    let there: BTreeSet<&str> = bots.keys().copied().collect();
    let revoked: BTreeSet<&str> = bots.iter().filter(|(_, revoked)| **revoked).map(|(name, _)| *name).collect();
    let differs = |what: &str, told: BTreeSet<&str>, found: BTreeSet<&str>| {
        let odd: Vec<&str> = told.symmetric_difference(&found).copied().collect();
        (!odd.is_empty()).then(|| format!("the ledger and the tables do not agree on who was {what}: {odd:?}"))
    };
    differs("added", told("add"), there).into_iter().chain(differs("revoked", told("revoke"), revoked)).collect()
}

/// An answer in a line.
pub fn told(answer: &Response) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

/// What is wrong about an answer of the bots' or the admins' interface while the disk fails: it may be a success or a
/// typed refusal, and never says more than that.
pub fn untyped(answer: &Response) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.body);
    let code =
        serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| Some(body["code"].as_str()?.to_owned()));
    let inner = ["/tmp", "vault.db", "src/", "SQL", "sqlite", "disk I/O", "os error", "panicked"]
        .iter()
        .find(|inner| text.contains(**inner));
    match (answer.status, code.as_deref(), inner) {
        (200, ..) => None,
        (503, Some("audit.unavailable"), None) => None,
        (423, Some("vault.locked"), None) | (429, Some("unlock.backoff"), None) => None,
        _ => Some(format!("answered {}", told(answer))),
    }
}
