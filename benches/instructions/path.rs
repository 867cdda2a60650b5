//! The steps of a signature one by one, through the functions that the daemon calls.

use crate::stage::{self, Stage};
use axum::response::IntoResponse;
use signvault::api::body::parse_sign;
use signvault::api::guard::{Rules, Scan, check_head};
use signvault::api::limits::Limits;
use signvault::api::sign::Answer;
use signvault::policy::parse as policy_file;
use signvault::policy::usage::{ClientIds, Counts, Meter, Usage};
use signvault::policy::{Case, Policy, Reference, Verdict, evaluate};
use signvault::recipe::Recipe;
use signvault::recipe::read::Reading;
use signvault::recipe::sign::{Parts as OpenParts, Signed as Content};
use signvault::store::Durability;
use signvault::store::ledger::{Change, Entry, Ledger, Permit};
use signvault::store::record::Table;
use signvault::types::ask::Wanted;
use signvault::types::clock::{Clock, Now, SystemClock, UnixMs};
use signvault::types::decimal::Decimal;
use signvault::types::decision::Decision;
use signvault::types::id::Id;
use signvault::types::mode::Mode;
use signvault::vault::authenticate::{Caller, authenticate};
use signvault::vault::keyring::{Keyring, OpenSecrets, SealedCredential};
use signvault::vault::sign::Signed;
use signvault::wire::SignRequest;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use tempfile::TempDir;

/// The credential that stands in no vault.
const ID: Id = Id([5; 16]);

/// The head of a request, whole, as the gate has it before hyper.
pub struct Guard {
    head: Vec<u8>,
    rules: Rules,
}

impl Guard {
    /// A head with this token.
    pub fn new(token: &str) -> Guard {
        Guard { head: stage::head(token, &stage::ask_body(0)), rules: Rules::tcp(stage::PORT, &[], &Limits::default()) }
    }

    /// Finds the end of the head and checks all of it.
    pub fn check(&self) {
        let end = Scan::default().advance(black_box(&self.head), &self.rules).expect("a good head");
        assert_eq!(end, Some(self.head.len()));
        black_box(check_head(&self.head, &self.rules).expect("a good head"));
    }
}

/// Checks a bearer token.
pub fn token(stage: &Stage) -> Caller {
    authenticate(&stage.vault, black_box(Some(&stage.token)), None).expect("a good token")
}

/// Reads the body in which a bot asks.
pub fn parse(body: &[u8]) -> SignRequest {
    parse_sign(black_box(body)).expect("a good body")
}

/// Every part of the path that needs no vault around it: what a recipe and a policy make of an ask, and what a keyring
/// and a ledger do for it.
pub struct Parts {
    recipe: Recipe,
    policy: Policy,
    references: BTreeMap<String, Reference>,
    meter: Meter,
    ids: ClientIds,
    keyring: Keyring,
    sealed: RefCell<SealedCredential>,
    ledger: Ledger,
    row: String,
    now: Now,
    _files: TempDir,
}

impl Parts {
    /// A bot that has placed a thousand orders in the last day, and a ledger that promises this and takes rows such as
    /// those of the stage.
    pub fn new(durability: Durability, stage: &Stage) -> Parts {
        let now = SystemClock.now();
        let (ledger, keyring, files) = stage::ledger(durability);
        let secrets = serde_json::json!({
            "card": {
                "name": stage::CREDENTIAL, "exchange": "okx", "label": null, "environment": "live", "region": "global",
                "permissions": ["read", "trade"], "ips": ["203.0.113.7"], "base_url": null, "idle_days": null,
                "created": now.wall, "masked_key": "5a95…64bc"
            },
            "secrets": {
                "api_key": stage::API_KEY, "secret": stage::SECRET, "passphrase": stage::PASSPHRASE
            }
        });
        let sealed = keyring.seal(Table::Credential, ID, 1, secrets.to_string().as_bytes()).unwrap();
        let policy = policy_file::parse(stage::POLICY, &|_| true).unwrap();
        let prices = policy.order.as_ref().map(|rules| rules.reference_price.clone()).unwrap_or_default();
        let given = |(name, price)| (name, Reference { price, given: now.wall });
        let (meter, ids) = a_day_before(now.wall);
        Parts {
            recipe: stage::okx(),
            references: prices.into_iter().map(given).collect(),
            policy,
            meter,
            ids,
            keyring,
            sealed: RefCell::new(SealedCredential::of(&sealed)),
            ledger,
            row: stage.row(),
            now,
            _files: files,
        }
    }

    /// Reads an ask.
    pub fn read<'a>(&'a self, wanted: &'a Wanted) -> Reading<'a> {
        self.recipe.read(black_box(wanted)).expect("a good ask")
    }

    /// Judges what was read.
    pub fn judge(&self, reading: &Reading<'_>) -> Verdict {
        let case = Case {
            endpoint: reading.endpoint,
            facts: &reading.facts,
            digest: [1; 32],
            mode: Mode::Normal,
            references: &self.references,
            usage: Usage { meter: &self.meter, ids: &self.ids, unknown_before: None },
            now: self.now.wall,
        };
        let verdict = evaluate(&self.policy, black_box(&case));
        assert_eq!(verdict.decision, Decision::Allow);
        verdict
    }

    /// Rows that allow a signature each, made durable together.
    pub fn append(&self, rows: usize) -> Vec<Permit> {
        let entries = (0..rows).map(|_| Entry { body: self.row.clone(), opens: Some(ID) }).collect();
        let ticket = self.ledger.enqueue(self.now.wall, entries, Vec::<Change>::new());
        let receipts = self.ledger.settle(ticket).expect("the disk takes it");
        receipts.into_iter().map(|receipt| receipt.permit.expect("it is allowed")).collect()
    }

    /// Opens the credential that a permit stands for, for the first time as it is stored.
    pub fn open(&self, permit: Permit) -> OpenSecrets {
        self.keyring.open(permit, ID, &mut self.sealed.borrow_mut()).expect("it opens")
    }

    /// Signs with parts that are open already.
    pub fn sign(&self, wanted: &Wanted) -> Content {
        self.sign_with(&stage::parts(), wanted)
    }

    /// Signs with these parts.
    pub fn sign_with(&self, parts: &OpenParts<'_>, wanted: &Wanted) -> Content {
        self.recipe.sign(black_box(wanted), parts, &stage::site(), self.now.wall).expect("it signs")
    }

    /// Looks after the ledger, as the daemon does every second.
    pub fn tend(&self) {
        self.ledger.tend().unwrap();
    }
}

fn a_day_before(now: UnixMs) -> (Meter, ClientIds) {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let (mut meter, mut ids) = (Meter::default(), ClientIds::default());
    for number in 0..1000 {
        let at = now.plus_ms(number * DAY_MS / 1000 - DAY_MS);
        let id = ClientIds::hash(&format!("another {number}"));
        let notional = Decimal::parse("742.11382").expect("a plain number");
        meter.add(&Counts { orders: 1, notional, ids: Vec::new() }, at);
        ids.remember(&[id], [7; 32], at);
    }
    (meter, ids)
}

/// Turns a signature into the answer as axum has it before hyper writes it.
pub fn answer(signed: Signed) -> axum::response::Response {
    let Content::Request(request) = signed.content else { panic!("a request was signed") };
    Answer { request, audit_seq: signed.audit_seq }.into_response()
}
