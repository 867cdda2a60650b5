//! T27: how long a refused token takes says nothing about why it was refused. Measured in the process, without HTTP in
//! between, by Welch's t-test over interleaved samples (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant
//! time?", 2017); a planted early exit shows that the measurement would see a difference.

#![allow(clippy::print_stdout, reason = "a measurement says what it measured")]

use crate::support::{PASSWORD, Vault};
use signvault::recipe::{self, Recipe};
use signvault::secret::{Arena, SecretBytes, SecretText};
use signvault::store::Durability;
use signvault::store::file::Paths;
use signvault::types::clock::SystemClock;
use signvault::vault::authenticate::authenticate;
use signvault::vault::unlock::{Accept, SlotKey};
use signvault::vault::{self, Setup};
use signvault::wire::{BotAdd, CredentialAdd, CredentialSecrets};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Samples of each kind.
const SAMPLES: usize = 100_000;
/// Above this two distributions are told apart.
const TOLD_APART: f64 = 4.5;
/// Tokens of each kind.
const MANY: usize = 64;
/// A noisy machine may fail one measurement; a leak fails all of them.
const TRIES: usize = 4;

fn open(files: &Vault) -> vault::Vault {
    let text = recipe::built_in("okx").unwrap();
    let vault = vault::Vault::new(Setup {
        paths: Paths { state_dir: files.state_dir(), anchor_dir: files.anchor_dir() },
        durability: Durability::Process,
        clock: Arc::new(SystemClock),
        arena: Arena::new().unwrap(),
        recipes: BTreeMap::from([("okx".to_owned(), Arc::new(Recipe::parse(text).unwrap()))]),
    });
    let secret = SecretBytes::new(PASSWORD.as_bytes().to_vec());
    vault.unlock(&SlotKey { kind: signvault::crypto::slot::SlotKind::Password, secret }, Accept::default()).unwrap();
    vault
}

fn add_bot(vault: &vault::Vault, name: &str, expires_in_s: Option<u64>) -> String {
    let add = BotAdd {
        name: name.to_owned(),
        credentials: vec!["main".to_owned()],
        policy: None,
        uids: Vec::new(),
        expires_in_s,
    };
    vault.add_bot(add).unwrap().token.expose().to_owned()
}

fn add_credential(vault: &vault::Vault) {
    let part = |text: &str| SecretText::new(text.to_owned());
    let secrets = CredentialSecrets { api_key: part("key"), secret: part("secret"), passphrase: part("passphrase") };
    let add = serde_json::json!({
        "name": "main", "exchange": "okx", "secrets": { "api_key": "", "secret": "", "passphrase": "" }
    });
    let mut add: CredentialAdd = serde_json::from_value(add).unwrap();
    add.secrets = secrets;
    vault.add_credential(add).unwrap();
}

/// Welch's t of two sets of samples, with the slowest tenth of both left out: that is the scheduler, not the code.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let cut = {
        let mut all: Vec<f64> = one.iter().chain(other).copied().collect();
        all.sort_by(f64::total_cmp);
        all[all.len() * 9 / 10]
    };
    let about = |samples: &[f64]| {
        let kept: Vec<f64> = samples.iter().copied().filter(|sample| *sample <= cut).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean, spread), (other_mean, other_spread)) = (about(one), about(other));
    (mean - other_mean) / (spread + other_spread).sqrt()
}

/// Interleaves the two so that both see the same machine, and swaps who goes first.
fn measure(mut one: impl FnMut(), mut other: impl FnMut()) -> f64 {
    let (mut ones, mut others) = (Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES));
    let timed = |run: &mut dyn FnMut()| {
        let begun = Instant::now();
        run();
        begun.elapsed().as_nanos() as f64
    };
    for round in 0..SAMPLES {
        if round % 2 == 0 {
            ones.push(timed(&mut one));
            others.push(timed(&mut other));
        } else {
            others.push(timed(&mut other));
            ones.push(timed(&mut one));
        }
    }
    welch(&ones, &others).abs()
}

/// Tokens of one kind. Many, taken in turn, so that what is measured is the kind and not one token's place in memory.
struct Kind {
    tokens: Vec<String>,
    next: usize,
}

impl Kind {
    fn of(tokens: Vec<String>) -> Kind {
        Kind { tokens, next: 0 }
    }

    fn take(&mut self) -> &str {
        self.next = (self.next + 1) % self.tokens.len();
        &self.tokens[self.next]
    }
}

#[test]
#[ignore = "a measurement: wants an optimised build and a quiet machine; run by make timing"]
fn t27_the_time_of_a_refusal_does_not_tell_why() {
    let files = Vault::new();
    let vault = open(&files);
    add_credential(&vault);
    let many = |kind: &str, expires| -> Vec<String> {
        (0..MANY).map(|at| add_bot(&vault, &format!("{kind}-{at}"), expires)).collect()
    };
    let (good, revoked, unknown) = (many("good", None), many("revoked", None), many("gone", None));
    let expired = many("expired", Some(1));
    for at in 0..MANY {
        vault.revoke_bot(&format!("revoked-{at}")).unwrap();
        vault.remove_bot(&format!("gone-{at}")).unwrap();
    }
    // Ids of bots that are there with the secrets of others; checksums of their own make them well-formed.
    let wrong: Vec<String> = (0..MANY).map(|at| with_id_of(&good[at], &good[(at + 1) % MANY])).collect();
    std::thread::sleep(std::time::Duration::from_millis(1100));

    let refuse = |token: &str| assert!(authenticate(&vault, Some(token), None).is_err());
    for (name, tokens) in [("unknown id", unknown), ("revoked", revoked), ("expired", expired)] {
        let told: Vec<f64> = (0..TRIES)
            .map(|_| {
                let (mut one, mut other) = (Kind::of(wrong.clone()), Kind::of(tokens.clone()));
                measure(|| refuse(one.take()), || refuse(other.take()))
            })
            .collect();
        println!("wrong secret against {name}: |t| = {told:.1?}");
        assert!(told.iter().any(|t| *t < TOLD_APART), "{name} can be told from a wrong secret: {told:?}");
    }
    // What a comparison that stops early would look like.
    let early = |token: &str| assert!(token.len() != good[0].len() || authenticate(&vault, Some(token), None).is_err());
    let (mut one, mut other) = (Kind::of(vec!["svb_short".to_owned()]), Kind::of(wrong.clone()));
    let control = measure(|| early(one.take()), || early(other.take()));
    println!("planted early exit: |t| = {control:.1}");
    assert!(control > TOLD_APART, "the measurement would not see an early exit: {control}");
}

fn with_id_of(id_of: &str, secret_of: &str) -> String {
    let (id, secret) = (id_of.split('_').nth(1).unwrap(), secret_of.split('_').nth(2).unwrap());
    let head = format!("svb_{id}_{secret}");
    let digest = ring::digest::digest(&ring::digest::SHA256, head.as_bytes());
    let checksum = data_encoding::BASE32_NOPAD.encode(&digest.as_ref()[..4]).to_ascii_lowercase();
    format!("{head}_{checksum}")
}
