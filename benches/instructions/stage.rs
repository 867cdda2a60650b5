//! What the measurements of the sign path share: a vault on a temporary disk, a bot under a full policy, and the orders
//! that it asks to have signed, as ccxt writes them.

use signvault::audit::chain::Link;
use signvault::audit::event::{Event, to_body};
use signvault::crypto::keys::{self, LedgerKeys, VaultKey};
use signvault::crypto::slot::{SlotKind, SlotMethod};
use signvault::recipe::sign::{Parts, Site};
use signvault::recipe::{self, Recipe};
use signvault::secret::{Arena, SecretBytes, SecretText};
use signvault::store::anchor::{Anchor, Mark};
use signvault::store::file::{self, Paths};
use signvault::store::ledger::Ledger;
use signvault::store::opening::{Database, Depth};
use signvault::store::record::Table;
use signvault::store::writer::Rollback;
use signvault::store::{Durability, first};
use signvault::types::ask::{Ask, Method, Request, Wanted};
use signvault::types::clock::{Clock, SystemClock};
use signvault::types::credential::Environment;
use signvault::types::id::Id;
use signvault::vault::authenticate::{Caller, authenticate};
use signvault::vault::init::make_slot;
use signvault::vault::keyring::Keyring;
use signvault::vault::sign::{Asked, Signed, sign};
use signvault::vault::unlock::{Accept, SlotKey};
use signvault::vault::{Care, Setup, Vault, checkpoint};
use signvault::wire::audit::AuditQuery;
use signvault::wire::policy::PolicySet;
use signvault::wire::{BotAdd, CredentialAdd, CredentialSecrets, SignRequest};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Opens the vault: with a file no time goes into a password's hash.
const KEY_FILE: [u8; 32] = [0x11; 32];

/// The vault's id.
pub const VAULT: Id = Id([9; 16]);

/// The name of the one credential.
pub const CREDENTIAL: &str = "okx-main";

/// Its parts, all made up.
pub const API_KEY: &str = "5a95c46d-821d-4641-acce-5250b0ce64bc";
pub const SECRET: &str = "557FBBAFC3FC3D265C5D066FE442DFA0";
pub const PASSPHRASE: &str = "a passphrase";

/// What is measured repeats itself after so many orders; a client id may come again with the same order.
pub const ORDERS: usize = 1000;

/// Every rule and every limit, all of them wide enough: a denial is found sooner than an approval.
pub const POLICY: &str = r#"
grants = ["read", "trade"]

[order]
instruments = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"]
sides = ["buy", "sell"]
types = ["limit", "post_only", "market"]
max_size = { "BTC-USDT" = "5000", "ETH-USDT" = "5000", "SOL-USDT" = "5000", "XRP-USDT" = "5000" }
max_notional = "20000"
max_price_deviation = "5%"
reference_price = { "BTC-USDT" = "60123.4", "ETH-USDT" = "3011.57", "SOL-USDT" = "151.02", "XRP-USDT" = "0.5217" }
reference_price_max_age = "24h"

[limits]
requests_per_second = 1000000
orders_per_minute = 10000000
orders_per_hour = 10000000
orders_per_day = 10000000
notional_per_hour = "1000000000000000"
notional_per_day = "1000000000000000"
"#;

const INSTRUMENTS: [&str; 4] = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"];
const PRICES: [&str; 4] = ["60123.4", "3011.57", "151.02", "0.5217"];
const SIZES: [&str; 4] = ["0.0123", "0.25", "4.75", "1520"];

/// An unlocked vault with one credential and one bot.
pub struct Stage {
    /// The vault.
    pub vault: Arc<Vault>,
    /// The bot's token.
    pub token: String,
    _files: TempDir,
}

impl Stage {
    /// A vault of its own, with this durability.
    pub fn set(durability: Durability) -> Stage {
        let files = directory();
        found(files.path());
        let okx = Arc::new(okx());
        let vault = Arc::new(Vault::new(Setup {
            paths: paths(files.path()),
            durability,
            care: Care { low_space_bytes: 0, ..Care::default() },
            clock: Arc::new(SystemClock),
            arena: Arena::new().unwrap(),
            recipes: [("okx".to_owned(), okx)].into(),
        }));
        let key = SlotKey { kind: SlotKind::KeyFile, secret: SecretBytes::new(KEY_FILE.to_vec()) };
        vault.unlock(&key, Accept::default()).unwrap();
        vault.set_policy("maker", PolicySet { text: POLICY.to_owned() }).unwrap();
        vault.add_credential(credential()).unwrap();
        let bot = BotAdd {
            name: "maker-1".to_owned(),
            credentials: vec![CREDENTIAL.to_owned()],
            policy: Some("maker".to_owned()),
            uids: Vec::new(),
            expires_in_s: None,
        };
        // EXPOSE: the token of a vault that is removed.
        let token = vault.add_bot(bot).unwrap().token.expose().to_owned();
        Stage { vault, token, _files: files }
    }

    /// Has asks signed, and takes nothing but signatures.
    pub fn sign(&self, caller: Caller, asks: Vec<Ask>) -> Vec<Signed> {
        let asked = asks.into_iter().map(|ask| Asked { caller, uid: None, ask }).collect();
        sign(&self.vault, asked).into_iter().map(|outcome| outcome.expect("a signature")).collect()
    }

    /// The text of the row about a signature.
    pub fn row(&self) -> String {
        let caller = authenticate(&self.vault, Some(&self.token), None).expect("a good token");
        self.sign(caller, vec![ask(0)]);
        let newest = AuditQuery { newest: Some(true), limit: Some(1), ..AuditQuery::default() };
        self.vault.audit_rows(newest).unwrap().rows.remove(0).body
    }
}

/// The credential's parts in the clear, for measuring what is done with them.
pub fn parts() -> Parts<'static> {
    Parts { api_key: API_KEY, secret: SECRET.as_bytes(), passphrase: Some(PASSPHRASE) }
}

/// Where the credential is good.
pub fn site() -> Site<'static> {
    Site { environment: Environment::Live, region: "global", base_url: None }
}

/// The recipe that the orders are for.
pub fn okx() -> Recipe {
    Recipe::parse(recipe::built_in("okx").expect("built in")).expect("a recipe")
}

/// A directory below `target`: a disk, where the one for temporary files may be memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn paths(dir: &Path) -> Paths {
    Paths { state_dir: dir.join("state"), anchor_dir: dir.join("anchor") }
}

fn credential() -> CredentialAdd {
    let text = |text: &str| SecretText::new(text.to_owned());
    CredentialAdd {
        name: CREDENTIAL.to_owned(),
        exchange: "okx".to_owned(),
        secrets: CredentialSecrets { api_key: text(API_KEY), secret: text(SECRET), passphrase: text(PASSPHRASE) },
        label: None,
        environment: Environment::Live,
        region: None,
        permissions: vec!["read".to_owned(), "trade".to_owned()],
        ips: vec!["203.0.113.7".to_owned()],
        base_url: None,
        idle_days: None,
    }
}

/// Makes a vault's files, with nothing in it, and hands out its keys.
fn found(dir: &Path) -> (LedgerKeys, Keyring) {
    let paths = paths(dir);
    file::private_dir(&paths.state_dir).unwrap();
    file::private_dir(&paths.anchor_dir).unwrap();
    let now = SystemClock.now();
    let vault_key = VaultKey::generate().unwrap();
    // EXPOSE: to the slot that wraps it.
    let slot = make_slot(VAULT, 1, SlotMethod::KeyFile, 0, &KEY_FILE, vault_key.expose()).unwrap();
    let (ledger_keys, record_keys) = keys::derive(&Arena::new().unwrap(), VAULT, vault_key, 1).unwrap();
    let keyring = Keyring::new(record_keys, VAULT, 1);
    let (signing_key, _) = checkpoint::generate(&keyring).unwrap();
    let body = to_body(now, Event::Init);
    // EXPOSE: to the chain.
    let tail = Link::START.next(ledger_keys.audit.expose(), &VAULT, &body);
    let content = first::Content { slots: &[slot], records: &[(Table::Setting, signing_key)] };
    first::build(&paths.database(), &ledger_keys, VAULT, &content, &body, tail, now.wall).unwrap();
    let mark = Mark { state_version: 1, audit: tail };
    // EXPOSE: to the anchor.
    Anchor::create(&paths.anchor(), ledger_keys.anchor.expose(), &VAULT, mark).unwrap();
    (ledger_keys, keyring)
}

/// A ledger that no vault stands in front of, the keyring of its records, and the directory that both live in.
pub fn ledger(durability: Durability) -> (Ledger, Keyring, TempDir) {
    let files = directory();
    let (keys, keyring) = found(files.path());
    let sealed = Database::open(&paths(files.path())).unwrap().read(keys, VAULT).unwrap();
    let opened = sealed.verify(durability, Rollback::Refuse, Depth::Whole, &mut |_, _| ()).unwrap();
    (Ledger::new(opened.writer), keyring, files)
}

/// The words of the order with a number, as ccxt sends them.
pub fn order(number: usize) -> String {
    let number = number % ORDERS;
    let (kind, side) = (number % INSTRUMENTS.len(), if number.is_multiple_of(2) { "buy" } else { "sell" });
    format!(
        r#"{{"instId":"{}","side":"{side}","ordType":"limit","sz":"{}","tdMode":"cash","px":"{}","clOrdId":"e847386590ce4dBCf00d{number:012x}","tag":"e847386590ce4dBC"}}"#,
        INSTRUMENTS[kind], SIZES[kind], PRICES[kind],
    )
}

/// The ask for that order.
pub fn ask(number: usize) -> Ask {
    let request = Request { method: Method::Post, path: "/api/v5/trade/order".to_owned(), body: Some(order(number)) };
    Ask { credential: CREDENTIAL.to_owned(), wanted: Wanted::Request(request) }
}

/// The body in which a bot asks for that order.
pub fn ask_body(number: usize) -> Vec<u8> {
    let request = SignRequest {
        credential: CREDENTIAL.to_owned(),
        method: "POST".to_owned(),
        path: "/api/v5/trade/order".to_owned(),
        body: Some(order(number)),
    };
    serde_json::to_vec(&request).unwrap()
}

/// The port of the interface that the requests are for.
pub const PORT: u16 = 8787;

/// The head of a request for a signature, as an HTTP client for one connection writes it.
pub fn head(token: &str, body: &[u8]) -> Vec<u8> {
    format!(
        "POST /v1/sign HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nAccept-Encoding: identity\r\nContent-Length: {}\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\r\n",
        body.len()
    )
    .into_bytes()
}
