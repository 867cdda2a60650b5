//! How a vault behaves when there is much in it: the time of an unlock, and of a signature, with many credentials, bots
//! and ledger rows. A program, not a benchmark of criterion: each size is measured once over a vault of its own.
//!
//! ```sh
//! make scale
//! ```
//! Vaults are built through the store, in one transaction, and opened through the real [`Vault`] by a key file, so that
//! no time is that of a password hash: what `unlock` takes is this plus one Argon2. Signatures are made one after the
//! other with every row synced to the disk, so their time is mostly the disk's; the line `sync` is the disk by itself.

#![allow(clippy::unwrap_used, reason = "a measurement that can't go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "the table is what this is for")]

use signvault::audit::attested::Kind;
use signvault::audit::chain::Link;
use signvault::audit::event::{Event, to_body};
use signvault::crypto::keys::{self, VaultKey};
use signvault::crypto::slot::{SlotKind, SlotMethod};
use signvault::recipe::{self, Recipe};
use signvault::secret::{Arena, SecretBytes};
use signvault::store::anchor::{Anchor, Mark};
use signvault::store::checkpoint::INTERVAL_ROWS;
use signvault::store::file::{self, Paths};
use signvault::store::ledger::{Change, Entry, Ledger};
use signvault::store::opening::{Database, Depth};
use signvault::store::record::{RecordRow, Table};
use signvault::store::writer::Rollback;
use signvault::store::{Durability, first};
use signvault::types::ask::{Ask, Method, Request, Wanted};
use signvault::types::clock::{Clock, Now, SystemClock, UnixMs};
use signvault::types::id::Id;
use signvault::vault::authenticate::authenticate;
use signvault::vault::init::make_slot;
use signvault::vault::keyring::Keyring;
use signvault::vault::lock::Why;
use signvault::vault::sign::{Asked, sign};
use signvault::vault::token::generate_token;
use signvault::vault::unlock::{Accept, SlotKey};
use signvault::vault::{Care, Setup, Vault, checkpoint};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEY: [u8; 32] = [0x11; 32];
const VAULT: Id = Id([9; 16]);
const SIGNATURES: usize = 250;
const ROWS_AT_ONCE: u64 = 10_000;

/// How much there is in a vault.
struct Size {
    credentials: u64,
    bots: u64,
    rows: u64,
}

const SIZES: [Size; 6] = [
    Size { credentials: 10, bots: 10, rows: 10 },
    Size { credentials: 1000, bots: 1000, rows: 10 },
    Size { credentials: 10_000, bots: 10_000, rows: 10 },
    Size { credentials: 50_000, bots: 50_000, rows: 10 },
    Size { credentials: 10, bots: 10, rows: 1_000_000 },
    Size { credentials: 10_000, bots: 10_000, rows: 1_000_000 },
];

fn id(number: u64) -> Id {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Id(bytes)
}

fn paths(dir: &Path) -> Paths {
    Paths { state_dir: dir.join("state"), anchor_dir: dir.join("anchor") }
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

/// The record of a bot for one credential, and its token when it is the one that will sign.
fn bot(keyring: &Keyring, number: u64, now: UnixMs) -> (RecordRow, String) {
    let bot = id(number);
    let (token, hash) = generate_token(&bot).unwrap();
    let json = serde_json::json!({
        "name": format!("bot-{number}"), "token_hash": hash, "credentials": [id(number)], "policy": null, "uids": [],
        "created": now, "expires": null, "revoked": false, "mode": "normal"
    });
    let row = keyring.seal(Table::Bot, bot, 1, json.to_string().as_bytes()).unwrap();
    // EXPOSE: a made-up token of a vault that is removed.
    (row, token.expose().to_owned())
}

/// Builds a vault of a size and says the token of a bot in the middle.
fn build(dir: &Path, size: &Size) -> String {
    let paths = paths(dir);
    file::private_dir(&paths.state_dir).unwrap();
    file::private_dir(&paths.anchor_dir).unwrap();
    let now = SystemClock.now();
    let vault_key = VaultKey::generate().unwrap();
    // EXPOSE: to the slot that wraps it.
    let slot = make_slot(VAULT, 1, SlotMethod::KeyFile, 0, &KEY, vault_key.expose()).unwrap();
    let arena = Arena::new().unwrap();
    let (ledger_keys, record_keys) = keys::derive(&arena, VAULT, vault_key, 1).unwrap();
    let keyring = Keyring::new(record_keys, VAULT, 1);
    let (signing_key, _) = checkpoint::generate(&keyring).unwrap();
    let mut records = vec![(Table::Setting, signing_key)];
    records.extend((0..size.credentials).map(|number| (Table::Credential, credential(&keyring, number, now.wall))));
    let mut token = String::new();
    for number in 0..size.bots {
        let (row, made) = bot(&keyring, number, now.wall);
        records.push((Table::Bot, row));
        if number == size.bots / 2 {
            token = made;
        }
    }
    let body = to_body(now, Event::Init);
    // EXPOSE: to the chain.
    let tail = Link::START.next(ledger_keys.audit.expose(), &VAULT, &body);
    let content = first::Content { slots: &[slot], records: &records };
    first::build(&paths.database(), &ledger_keys, VAULT, &content, &body, tail, now.wall).unwrap();
    let mark = Mark { state_version: 1, audit: tail };
    // EXPOSE: to the anchor.
    Anchor::create(&paths.anchor(), ledger_keys.anchor.expose(), &VAULT, mark).unwrap();
    let sealed = Database::open(&paths).unwrap().read(ledger_keys, VAULT).unwrap();
    let opened = sealed.verify(Durability::Full, Rollback::Refuse, Depth::Whole, &mut |_, _| ()).unwrap();
    fill(&Ledger::new(opened.writer), size.rows, now);
    token
}

/// Rows as a signature makes them, from half a year ago until now, with a checkpoint wherever the daemon would make one.
fn fill(ledger: &Ledger, rows: u64, now: Now) {
    let half_a_year_ms = 180 * 24 * 60 * 60 * 1000;
    let mut written = 0;
    while written < rows {
        let batch = ROWS_AT_ONCE.min(rows - written);
        let passed = half_a_year_ms * i64::try_from(written).unwrap() / i64::try_from(rows).unwrap();
        let then = Now { wall: now.wall.plus_ms(passed - half_a_year_ms), ..now };
        let row = to_body(then, Event::Backup).replace(
            "\"event\":\"backup\"",
            &format!("\"event\":\"sign\",\"decision\":\"allow\",\"bot\":\"bot-5\",\"credential\":\"credential-5\",\"endpoint\":\"GET /api/v5/account/balance\",\"grant\":\"read\",\"effect\":\"read\",\"path_sha256\":\"{}\",\"policy\":\"read-only@1\"", "ab".repeat(32)),
        );
        let entries = (0..batch).map(|_| Entry { body: row.clone(), opens: None }).collect();
        ledger.settle(ledger.enqueue(then.wall, entries, Vec::<Change>::new())).unwrap();
        written += batch;
        if ledger.unsigned_rows() >= INTERVAL_ROWS {
            let attest = |covers: signvault::audit::attested::Covers| {
                to_body(then, Event::Checkpoint(Box::new(covers.sign(Kind::Checkpoint, &[5; 32]))))
            };
            ledger.checkpoint(then.wall, attest).unwrap();
        }
        ledger.tend().unwrap();
    }
    ledger.close().unwrap();
}

fn vault(dir: &Path) -> Vault {
    let okx = Arc::new(Recipe::parse(recipe::built_in("okx").unwrap()).unwrap());
    Vault::new(Setup {
        paths: paths(dir),
        durability: Durability::Full,
        care: Care::default(),
        clock: Arc::new(SystemClock),
        arena: Arena::new().unwrap(),
        recipes: [("okx".to_owned(), okx)].into(),
    })
}

fn ask(size: &Size) -> Ask {
    let request = Request { method: Method::Get, path: "/api/v5/account/balance".to_owned(), body: None };
    Ask { credential: format!("credential-{}", size.bots / 2), wanted: Wanted::Request(request) }
}

fn unlock(vault: &Vault) -> Duration {
    let key = SlotKey { kind: SlotKind::KeyFile, secret: SecretBytes::new(KEY.to_vec()) };
    let begun = Instant::now();
    vault.unlock(&key, Accept::default()).unwrap();
    begun.elapsed()
}

/// The times of signatures, and of one synced write of 4 KiB after each, so that a disk that is slow for a while is slow
/// for both; sorted. At most so many a second: the rate that a bot has without a policy.
fn signatures(vault: &Vault, token: &str, size: &Size, disk: &mut File) -> [Vec<Duration>; 2] {
    let (mut times, mut syncs): (Vec<Duration>, Vec<Duration>) = (0..SIGNATURES)
        .map(|_| {
            let ask = ask(size);
            let begun = Instant::now();
            let caller = authenticate(vault, Some(token), None).unwrap();
            sign(vault, vec![Asked { caller, uid: None, ask }]).pop().unwrap().unwrap();
            let took = begun.elapsed();
            std::thread::sleep(Duration::from_millis(21).saturating_sub(took));
            let begun = Instant::now();
            disk.write_all(&[0; 4096]).unwrap();
            disk.sync_data().unwrap();
            (took, begun.elapsed())
        })
        .unzip();
    times.sort();
    syncs.sort();
    [times, syncs]
}

fn ms(time: Duration) -> String {
    format!("{}.{:02}", time.as_micros() / 1000, time.as_micros() % 1000 / 10)
}

fn middle_and_worst(times: &[Duration]) -> String {
    format!("{:>8} {:>8}", ms(times[times.len() / 2]), ms(times[times.len() * 99 / 100]))
}

fn measure(size: &Size) {
    let dir = tempfile::tempdir().unwrap();
    let token = build(dir.path(), size);
    let vault = vault(dir.path());
    let mut disk = File::create(dir.path().join("sync")).unwrap();
    let unlocked = unlock(&vault);
    // While the old rows are still being verified, as the daemon does it.
    let meanwhile = std::thread::scope(|scope| {
        let tending = scope.spawn(|| {
            while vault.position().is_some_and(|position| position.audit_backlog > 0) {
                vault.tend().unwrap();
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let large = size.rows > INTERVAL_ROWS;
        let times = if large { signatures(&vault, &token, size, &mut disk)[0].clone() } else { Vec::new() };
        tending.join().unwrap();
        times
    });
    let [times, syncs] = signatures(&vault, &token, size, &mut disk);
    let meanwhile = if meanwhile.is_empty() { format!("{:>17}", "-") } else { middle_and_worst(&meanwhile) };
    println!(
        "{:>11} {:>6} {:>9} {:>9}  {}  {}  {}",
        size.credentials,
        size.bots,
        size.rows,
        ms(unlocked),
        middle_and_worst(&times),
        meanwhile,
        middle_and_worst(&syncs)
    );
    vault.lock(Why::Asked).unwrap();
}

fn main() {
    println!("milliseconds; an unlock is without the password hash; a signature is one bot's, one after the other");
    println!(
        "{:>11} {:>6} {:>9} {:>9}  {:>17}  {:>17}  {:>17}",
        "credentials", "bots", "rows", "unlock", "sign p50/p99", "while verifying", "sync p50/p99"
    );
    for size in SIZES {
        measure(&size);
    }
}
