//! In one process: what an unlock and a signature take, without sockets. The allocator is the daemon's.

use crate::report::{Report, middle, ms, number, spread, us};
use crate::vaults::{Built, PASSWORD, Rows, Size, build, key, vault};
use serde_json::{Value, json};
use signvault::crypto::kdf::{Argon2Params, derive_kek};
use signvault::crypto::slot::SlotKind;
use signvault::secret::SecretBytes;
use signvault::store::Durability;
use signvault::types::ask::{Ask, Method, Request, Wanted};
use signvault::vault::Vault;
use signvault::vault::authenticate::authenticate;
use signvault::vault::lock::Why;
use signvault::vault::sign::{Asked, sign};
use signvault::vault::unlock::{Accept, SlotKey};
use std::time::{Duration, Instant};

/// Rounds: each visits every vault, so that whatever else the machine does meets all of them.
const ROUNDS: usize = 9;
const SIGNATURES: usize = 2000;
const SYNCED_SIGNATURES: usize = 200;

/// A vault, open.
struct Open {
    size: Size,
    built: Built,
    vault: Vault,
    unlock: Duration,
}

fn by_key_file() -> SlotKey {
    SlotKey { kind: SlotKind::KeyFile, secret: key() }
}

fn by_password() -> SlotKey {
    SlotKey { kind: SlotKind::Password, secret: SecretBytes::new(PASSWORD.as_bytes().to_vec()) }
}

fn unlock(vault: &Vault, key: &SlotKey) -> Duration {
    let begun = Instant::now();
    vault.unlock(key, Accept::default()).unwrap();
    begun.elapsed()
}

impl Open {
    /// Builds and unlocks, three times, or once where verifying all rows takes long; the time is the middle one's. All of its
    /// rows are verified when this returns.
    fn new(size: Size, durability: Durability) -> Open {
        let built = build(&size);
        let vault = vault(&built.dir, durability);
        let count = if size.rows > 1_000_000 { 1 } else { 3 };
        let mut times: Vec<Duration> = (0..count)
            .map(|_| {
                if vault.is_unlocked() {
                    verify_all(&vault);
                    vault.lock(Why::Asked).unwrap();
                }
                unlock(&vault, &by_key_file())
            })
            .collect();
        verify_all(&vault);
        times.sort();
        Open { size, built, vault, unlock: times[count / 2] }
    }

    /// The median time of a signature, of many bots in turn.
    fn sign(&self, count: usize) -> f64 {
        let mut times: Vec<Duration> = self
            .built
            .tokens
            .iter()
            .cycle()
            .take(count)
            .map(|(token, credential)| {
                let path = "/api/v5/account/balance".to_owned();
                let request = Request { method: Method::Get, path, body: None };
                let ask = Ask { credential: credential.clone(), wanted: Wanted::Request(request) };
                let begun = Instant::now();
                let caller = authenticate(&self.vault, Some(token), None).unwrap();
                sign(&self.vault, vec![Asked { caller, uid: None, ask }]).pop().unwrap().unwrap();
                begun.elapsed()
            })
            .collect();
        times.sort();
        us(times[count / 2])
    }
}

/// Does what the daemon does between requests, until every row is verified.
fn verify_all(vault: &Vault) {
    loop {
        vault.tend().unwrap();
        if vault.position().is_none_or(|position| position.audit_backlog == 0) {
            return;
        }
    }
}

/// Signatures and unlocks of vaults of these sizes; the first is what the others are compared with.
pub fn growth(report: &mut Report, sizes: &[Size]) {
    let open = |durability| -> Vec<Open> { sizes.iter().map(|size| Open::new(*size, durability)).collect() };
    let (process, unlocks) = {
        let vaults = open(Durability::Process);
        (rounds(&vaults, SIGNATURES), vaults.iter().map(|open| open.unlock).collect::<Vec<_>>())
    };
    let full = rounds(&open(Durability::Full), SYNCED_SIGNATURES);
    let rows: Vec<Vec<Value>> = (0..sizes.len())
        .map(|at| {
            let Size { credentials, bots, rows, .. } = sizes[at];
            vec![
                json!(credentials),
                json!(bots),
                json!(rows),
                number(middle(&process[at])),
                spread(&ratios(&process[at], &process[0])),
                spread(&ratios(&full[at], &full[0])),
                number(ms(unlocks[at])),
            ]
        })
        .collect();
    let about = "Growth: the median signature in one process, up to 512 bots in turn, and an unlock without the password hash. The \
                 ratios are to the first line, paired within each of nine interleaved rounds.";
    let columns = ["credentials", "bots", "rows", "sign us, process", "× first, process", "× first, full", "unlock ms"];
    report.table("growth", about, &columns, &rows);
}

fn rounds(vaults: &[Open], count: usize) -> Vec<Vec<f64>> {
    let mut medians = vec![Vec::new(); vaults.len()];
    for _ in 0..ROUNDS {
        for (at, open) in vaults.iter().enumerate() {
            // What a daemon does every second, before the clock is looked at.
            open.vault.tend().unwrap();
            open.sign(count / 10);
            medians[at].push(open.sign(count));
        }
    }
    for open in vaults {
        assert!(open.vault.is_unlocked(), "{} rows", open.size.rows);
        open.vault.lock(Why::Asked).unwrap();
    }
    medians
}

fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

/// An unlock by password against nothing but the password hash, in turn.
pub fn unlock_against_hash(report: &mut Report) {
    let cases = [
        ("nothing to verify", Rows::Unsigned, 10),
        ("100 000 reads since the last checkpoint", Rows::Unsigned, 100_000),
        ("100 000 orders since the last checkpoint", Rows::UnsignedOrders, 100_000),
        ("100 000 orders of six days, with checkpoints", Rows::SignedOrders, 100_000),
    ];
    let rows: Vec<Vec<Value>> = cases.iter().map(|(what, of, rows)| unlock_case(what, *of, *rows)).collect();
    let about = "Unlock by password (Argon2id, 256 MiB, 3 passes, 4 lanes) of a vault with 1000 credentials and 1000 bots, \
                 against the hash alone: nine of each in turn.";
    report.table("unlock", about, &["ledger", "hash ms", "unlock ms", "unlock ÷ hash", "by key file ms"], &rows);
}

fn unlock_case(what: &str, of: Rows, rows: u64) -> Vec<Value> {
    let built = build(&Size { credentials: 1000, bots: 1000, rows, of });
    let vault = vault(&built.dir, Durability::Full);
    let hash = || {
        let begun = Instant::now();
        derive_kek(PASSWORD.as_bytes(), &[7; 32], &[8; 32], &Argon2Params::default()).unwrap();
        ms(begun.elapsed())
    };
    let [mut hashes, mut unlocks, mut bare] = [const { Vec::new() }; 3];
    let unlocked = |key: &SlotKey, into: &mut Vec<f64>| {
        into.push(ms(unlock(&vault, key)));
        vault.lock(Why::Asked).unwrap();
    };
    for _ in 0..ROUNDS {
        hashes.push(hash());
        unlocked(&by_password(), &mut unlocks);
        unlocked(&by_key_file(), &mut bare);
    }
    let ratio = spread(&ratios(&unlocks, &hashes));
    vec![json!(what), number(middle(&hashes)), number(middle(&unlocks)), ratio, number(middle(&bare))]
}
