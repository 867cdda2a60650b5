//! `policy test`: what a policy would say to asks from a file, without a daemon and without a key.

use crate::cli::policy::{parse, recipes};
use crate::cli::report::{Failure, Report, visible};
use crate::cli::table::table;
use crate::crypto::mac;
use crate::policy::usage::{ClientIds, Meter, Usage};
use crate::policy::{self, Case, Policy, Reference, Verdict};
use crate::recipe::Recipe;
use crate::types::ask::{Channel, Method, Request, Wanted};
use crate::types::clock::{Clock, SystemClock, UnixMs};
use crate::types::decision::{Decision, Denial};
use crate::types::mode::Mode;
use crate::vault::usage::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One line of the file: a request as `POST /v1/sign` takes it, or a session's channel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, rename = "credential")]
    _credential: Option<String>,
    method: Option<Method>,
    path: Option<String>,
    body: Option<String>,
    channel: Option<Channel>,
}

/// What the policy says to one line.
#[derive(Debug, Serialize)]
struct Said {
    line: usize,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    /// What would have denied it if the policy were enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<&'static str>,
}

/// What a run of asks has used so far: the file is judged as one bot's day, from nothing, all of it now.
struct Trial<'a> {
    recipe: &'a Recipe,
    policy: &'a Policy,
    references: BTreeMap<String, Reference>,
    meter: Meter,
    ids: ClientIds,
    now: UnixMs,
}

/// Judges every line of a file and shows the decisions. A denial is no failure.
pub fn run(policy_file: &Path, asks_file: &Path, exchange: &str, report: &Report) -> Result<(), Failure> {
    let (policy, _) = parse(policy_file)?;
    let text = std::fs::read_to_string(asks_file)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", asks_file.display()), "check the path"))?;
    let recipes = recipes()?;
    let recipe = recipes.iter().find(|recipe| recipe.is_called(exchange)).ok_or_else(|| {
        Failure::failed("there is no recipe of that name", "signvault recipe list shows what there is")
    })?;
    let mut trial = Trial::new(recipe, &policy, SystemClock.now().wall);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let said = lines.map(|(at, line)| trial.judge(at + 1, &wanted(asks_file, at + 1, line)?));
    let said = said.collect::<Result<Vec<Said>, Failure>>()?;
    report.data(&said, |said| shown(said))
}

fn wanted(file: &Path, at: usize, line: &str) -> Result<Wanted, Failure> {
    let wrong = |what: &str| {
        Failure::failed(
            format!("{}, line {at}: {what}", file.display()),
            r#"write one ask a line: {"method": "POST", "path": "/api/v5/trade/order", "body": "{\"instId\":…}"}, or {"channel": "private"}"#,
        )
    };
    let line: Line = serde_json::from_str(line).map_err(|error| wrong(&format!("no ask: {}", kind(&error))))?;
    match (line.method, line.path, line.channel) {
        (Some(method), Some(path), None) => {
            Ok(Wanted::Request(Request { method, path, body: line.body.filter(|body| !body.is_empty()) }))
        }
        (None, None, Some(channel)) if line.body.is_none() => Ok(Wanted::Session(channel)),
        _ => Err(wrong("no ask: it has neither method and path, nor a channel alone")),
    }
}

/// What is wrong with a line, without its text.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "a member is missing, unknown or of another type",
        _ => "not one JSON object",
    }
}

impl Trial<'_> {
    fn new<'a>(recipe: &'a Recipe, policy: &'a Policy, now: UnixMs) -> Trial<'a> {
        let prices = policy.order.iter().flat_map(|rules| &rules.reference_price);
        let reference =
            |(name, price): (&String, &_)| (name.clone(), Reference { price: Clone::clone(price), given: now });
        let references = prices.map(reference).collect();
        Trial { recipe, policy, references, meter: Meter::default(), ids: ClientIds::default(), now }
    }

    fn judge(&mut self, line: usize, wanted: &Wanted) -> Result<Said, Failure> {
        let digest = match wanted {
            Wanted::Session(_) => [0; 32],
            Wanted::Request(request) => {
                let hash = |text: &String| mac::sha256(&[text.as_bytes()]);
                digest(request.method.as_str(), &hash(&request.path), request.body.as_ref().map(hash).as_ref())
            }
        };
        let reading = match self.recipe.read(wanted) {
            Ok(reading) => reading,
            Err(denial) => return Ok(said(line, None, &Decision::Deny(denial), None)),
        };
        let case = Case {
            endpoint: reading.endpoint,
            facts: &reading.facts,
            digest,
            mode: Mode::Normal,
            references: &self.references,
            usage: Usage { meter: &self.meter, ids: &self.ids, unknown_before: None },
            now: self.now,
        };
        let Verdict { decision, shadow, counts } = policy::evaluate(self.policy, &case);
        if let Some(counts) = counts {
            self.meter.add(&counts, self.now);
            self.ids.remember(&counts.ids, digest, self.now);
        }
        Ok(said(line, Some(reading.endpoint.to_string()), &decision, shadow))
    }
}

fn said(line: usize, endpoint: Option<String>, decision: &Decision, shadow: Option<Denial>) -> Said {
    let denial = match decision {
        Decision::Allow => None,
        Decision::Deny(denial) => Some(denial),
    };
    Said {
        line,
        decision: if denial.is_some() { "deny" } else { "allow" },
        endpoint,
        code: denial.map(|denial| denial.code.as_str()),
        rule: denial.or(shadow.as_ref()).and_then(|denial| denial.rule),
        detail: denial.map(|denial| denial.detail.to_string()),
        help: denial.map(|denial| denial.help.to_string()),
        shadow: shadow.map(|denial| denial.code.as_str()),
    }
}

fn shown(said: &[Said]) -> String {
    let row = |said: &Said| {
        let rule = said.rule.map(|rule| format!(" ({rule})")).unwrap_or_default();
        let why = match (said.code, said.shadow) {
            (Some(code), _) => format!("{code}{rule}: {}", visible(said.detail.as_deref().unwrap_or_default())),
            (None, Some(shadow)) => format!("only written down: {shadow}{rule}"),
            (None, None) => String::new(),
        };
        let endpoint = said.endpoint.clone().unwrap_or_default();
        [said.line.to_string(), said.decision.to_owned(), endpoint, why]
    };
    table(["LINE", "DECISION", "ENDPOINT", "WHY"], &said.iter().map(row).collect::<Vec<_>>())
}
