//! Vaults of any size, built through the store in large transactions.

use data_encoding::HEXLOWER;
use signvault::audit::attested::{Covers, Kind};
use signvault::audit::chain::Link;
use signvault::audit::event::{Event, to_body};
use signvault::audit::signature::{Counted, Signature};
use signvault::crypto::kdf::Argon2Params;
use signvault::crypto::keys::{self, VaultKey};
use signvault::crypto::mac;
use signvault::crypto::slot::SlotMethod;
use signvault::recipe::{self, Recipe};
use signvault::secret::{Arena, SecretBytes};
use signvault::store::anchor::{Anchor, Mark};
use signvault::store::checkpoint::INTERVAL_ROWS;
use signvault::store::file::{self, Paths};
use signvault::store::ledger::{Entry, Ledger};
use signvault::store::opening::{Database, Depth};
use signvault::store::record::{RecordRow, Table};
use signvault::store::writer::Rollback;
use signvault::store::{Durability, first};
use signvault::types::ask::Method;
use signvault::types::clock::{Clock, Now, SystemClock, UnixMs};
use signvault::types::endpoint::{Effect, Endpoint, Grant};
use signvault::types::id::Id;
use signvault::vault::init::make_slot;
use signvault::vault::keyring::Keyring;
use signvault::vault::token::generate_token;
use signvault::vault::{Care, Setup, Vault, checkpoint};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens a vault without a hash.
pub const KEY: [u8; 32] = [0x11; 32];
/// Opens it with one, of the default cost.
pub const PASSWORD: &str = "correct horse battery";

const VAULT: Id = Id([9; 16]);
const POLICY: Id = Id([8; 16]);
const ROWS_AT_ONCE: u64 = 10_000;
/// Tokens that are kept of a vault: those of bots in equal steps through all of them.
const TOKENS: u64 = 512;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What the rows of a ledger are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Reads over half a year, with a checkpoint wherever the daemon would make one.
    Signed,
    /// Reads of the last day, and no checkpoint.
    Unsigned,
    /// Orders of the last day, which count in limits, and no checkpoint.
    UnsignedOrders,
    /// Orders of the last six days, with checkpoints: an unlock must add them up all the same.
    SignedOrders,
}

/// How much there is in a vault.
#[derive(Clone, Copy)]
pub struct Size {
    pub credentials: u64,
    pub bots: u64,
    pub rows: u64,
    pub of: Rows,
}

/// A vault that was built, and some of its bots.
pub struct Built {
    pub dir: PathBuf,
    /// A token, and the credential that goes with it.
    pub tokens: Vec<(String, String)>,
    /// Removed at the end, unless it was asked for.
    _temporary: Option<tempfile::TempDir>,
}

impl Size {
    pub const fn signed(credentials: u64, bots: u64, rows: u64) -> Size {
        Size { credentials, bots, rows, of: Rows::Signed }
    }

    fn name(&self) -> String {
        let of = match self.of {
            Rows::Signed => "signed",
            Rows::Unsigned => "unsigned",
            Rows::UnsignedOrders => "unsigned-orders",
            Rows::SignedOrders => "signed-orders",
        };
        format!("{}-{}-{}-{of}", self.credentials, self.bots, self.rows)
    }
}

pub fn paths(dir: &Path) -> Paths {
    Paths { state_dir: dir.join("state"), anchor_dir: dir.join("state-anchor") }
}

fn id(number: u64) -> Id {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Id(bytes)
}

fn credential(keyring: &Keyring, number: u64, now: UnixMs) -> RecordRow {
    let json = serde_json::json!({
        "card": {
            "name": format!("credential-{number}"), "exchange": "okx", "label": null, "environment": "live",
            "region": "global", "permissions": ["read"], "ips": ["203.0.113.7"], "base_url": null, "idle_days": null,
            "created": now, "masked_key": "abcd…wxyz"
        },
        "secrets": { "api_key": "5a95c46d-821d-4641-acce-5250b0ce64bc", "secret": "557FBBAFC3FC3D265C5D066FE442DFA0", "passphrase": "passphrase" }
    });
    keyring.seal(Table::Credential, id(number), 1, json.to_string().as_bytes()).unwrap()
}

/// A policy that lets a bot read as fast as it can.
fn policy(keyring: &Keyring) -> RecordRow {
    let text = "grants = [\"read\"]\n[limits]\nrequests_per_second = 1000000\n";
    let json = serde_json::json!({ "name": "fast", "text": text, "version": 1, "references": {} });
    keyring.seal(Table::Policy, POLICY, 1, json.to_string().as_bytes()).unwrap()
}

/// The record of a bot for one credential, and its token.
fn bot(keyring: &Keyring, number: u64, credentials: u64, now: UnixMs) -> (RecordRow, String) {
    let bot = id(number);
    let (token, hash) = generate_token(&bot).unwrap();
    let json = serde_json::json!({
        "name": format!("bot-{number}"), "token_hash": hash, "credentials": [id(number % credentials)], "policy": POLICY,
        "uids": [], "created": now, "expires": null, "revoked": false, "mode": "normal"
    });
    let row = keyring.seal(Table::Bot, bot, 1, json.to_string().as_bytes()).unwrap();
    // EXPOSE: a made-up token of a vault that is removed.
    (row, token.expose().to_owned())
}

/// A vault of a size: one that was built before in `SCALE_DIR` when that is said, or else a new one.
pub fn build(size: &Size) -> Built {
    let kept = std::env::var_os("SCALE_DIR").map(|dir| PathBuf::from(dir).join(size.name()));
    let temporary = kept.is_none().then(|| tempfile::tempdir().unwrap());
    let dir = kept.unwrap_or_else(|| temporary.as_ref().unwrap().path().to_owned());
    let list = dir.join("tokens.json");
    let tokens = match std::fs::read(&list) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(_) => {
            let tokens = build_at(&dir, size);
            std::fs::write(&list, serde_json::to_vec(&tokens).unwrap()).unwrap();
            tokens
        }
    };
    Built { dir, tokens, _temporary: temporary }
}

fn build_at(dir: &Path, size: &Size) -> Vec<(String, String)> {
    let paths = paths(dir);
    file::private_dir(&paths.state_dir).unwrap();
    file::private_dir(&paths.anchor_dir).unwrap();
    let now = SystemClock.now();
    let vault_key = VaultKey::generate().unwrap();
    // EXPOSE: to the slots that wrap it.
    let key_file = make_slot(VAULT, 1, SlotMethod::KeyFile, 0, &KEY, vault_key.expose()).unwrap();
    let method = SlotMethod::Password(Argon2Params::default());
    let password = make_slot(VAULT, 2, method, 0, PASSWORD.as_bytes(), vault_key.expose()).unwrap();
    let arena = Arena::new().unwrap();
    let (ledger_keys, record_keys) = keys::derive(&arena, VAULT, vault_key, 1).unwrap();
    let keyring = Keyring::new(record_keys, VAULT, 1);
    let (signing_key, _) = checkpoint::generate(&keyring).unwrap();
    let mut records = vec![(Table::Setting, signing_key), (Table::Policy, policy(&keyring))];
    records.extend((0..size.credentials).map(|number| (Table::Credential, credential(&keyring, number, now.wall))));
    let mut tokens = Vec::new();
    for number in 0..size.bots {
        let (row, token) = bot(&keyring, number, size.credentials, now.wall);
        records.push((Table::Bot, row));
        if number.is_multiple_of(size.bots.div_ceil(TOKENS)) {
            tokens.push((token, format!("credential-{}", number % size.credentials)));
        }
    }
    let body = to_body(now, Event::Init);
    // EXPOSE: to the chain.
    let tail = Link::START.next(ledger_keys.audit.expose(), &VAULT, &body);
    let content = first::Content { slots: &[key_file, password], records: &records };
    first::build(&paths.database(), &ledger_keys, VAULT, &content, &body, tail, now.wall).unwrap();
    let mark = Mark { state_version: 1, audit: tail };
    // EXPOSE: to the anchor.
    Anchor::create(&paths.anchor(), ledger_keys.anchor.expose(), &VAULT, mark).unwrap();
    let sealed = Database::open(&paths).unwrap().read(ledger_keys, VAULT).unwrap();
    let opened = sealed.verify(Durability::Process, Rollback::Refuse, Depth::Whole, &mut |_, _| ()).unwrap();
    fill(&Ledger::new(opened.writer), size, now);
    tokens
}

/// The text of a row as a signature makes it.
fn row(then: Now, number: u64, size: &Size) -> String {
    let is_order = matches!(size.of, Rows::UnsignedOrders | Rows::SignedOrders);
    let (bot, credential) = (number % size.bots, number % size.bots % size.credentials);
    let hash = |what: &str| mac::sha256(&[what.as_bytes(), &number.to_be_bytes()]);
    let counted = is_order.then(|| Counted {
        bot: id(bot),
        credential: id(credential),
        orders: 1,
        notional: "123.45".to_owned(),
        // The first half of a hash.
        ids: vec![HEXLOWER.encode(&hash("id")[..16])],
    });
    let (method, path, grant, effect) = match is_order {
        true => (Method::Post, "/api/v5/trade/order", Grant::Trade, Effect::Place),
        false => (Method::Get, "/api/v5/account/balance", Grant::Read, Effect::None),
    };
    let signature = Signature {
        decision: "allow",
        code: None,
        bot: &format!("bot-{bot}"),
        uid: None,
        credential: Some(&format!("credential-{credential}")),
        endpoint: Some(&Endpoint { method, path: path.into(), grant, effect }),
        channel: None,
        path_sha256: (!is_order).then(|| hash("path")),
        body_sha256: is_order.then(|| hash("body")),
        policy: "fast@1",
        rule: None,
        shadow: None,
        counted,
    };
    to_body(then, Event::Sign(&signature))
}

fn fill(ledger: &Ledger, size: &Size, now: Now) {
    let (days, signs) = match size.of {
        Rows::Signed => (180, true),
        Rows::Unsigned | Rows::UnsignedOrders => (1, false),
        Rows::SignedOrders => (6, true),
    };
    let mut written = 0;
    while written < size.rows {
        let batch = ROWS_AT_ONCE.min(size.rows - written);
        let passed = days * DAY_MS * i64::try_from(written).unwrap() / i64::try_from(size.rows).unwrap();
        let then = Now { wall: now.wall.plus_ms(passed - days * DAY_MS), ..now };
        let entry = |at| Entry { body: row(then, written + at, size), opens: None };
        ledger.settle(ledger.enqueue(then.wall, (0..batch).map(entry).collect(), Vec::new())).unwrap();
        written += batch;
        if signs && ledger.unsigned_rows() >= INTERVAL_ROWS {
            let attest =
                |covers: Covers| to_body(then, Event::Checkpoint(Box::new(covers.sign(Kind::Checkpoint, &[5; 32]))));
            ledger.checkpoint(then.wall, attest).unwrap();
        }
        ledger.tend().unwrap();
    }
    ledger.close().unwrap();
}

/// A locked vault over what was built.
pub fn vault(dir: &Path, durability: Durability) -> Vault {
    let okx = Arc::new(Recipe::parse(recipe::built_in("okx").unwrap()).unwrap());
    Vault::new(Setup {
        paths: paths(dir),
        durability,
        care: Care::default(),
        clock: Arc::new(SystemClock),
        arena: Arena::new().unwrap(),
        recipes: [("okx".to_owned(), okx)].into(),
    })
}

/// The bytes that open the vault by its key file.
pub fn key() -> SecretBytes {
    SecretBytes::new(KEY.to_vec())
}
