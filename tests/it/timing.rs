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
use signvault::types::id::Id;
use signvault::vault::authenticate::authenticate;
use signvault::vault::unlock::{Accept, SlotKey};
use signvault::vault::{self, Setup};
use signvault::wire::{BotAdd, CredentialAdd, CredentialSecrets};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Samples of each kind.
const SAMPLES: usize = 100_000;
/// Above this two distributions are told apart.
const TOLD_APART: f64 = 4.5;
/// Tokens of each kind. Many, because a token's own bytes take more or less time than another's: with few that shows as a
/// difference between kinds.
const MANY: usize = 1024;
/// A noisy machine may fail one measurement; a leak fails all of them.
const TRIES: usize = 4;

fn open(files: &Vault) -> vault::Vault {
    let text = recipe::built_in("okx").unwrap();
    let vault = vault::Vault::new(Setup {
        paths: Paths { state_dir: files.state_dir(), anchor_dir: files.anchor_dir() },
        durability: Durability::Process,
        care: vault::Care::default(),
        clock: Arc::new(SystemClock),
        arena: Arena::new().unwrap(),
        recipes: [("okx".to_owned(), Arc::new(Recipe::parse(text).unwrap()))].into(),
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

/// Times a refusal of one kind or the other, in random order, always from the same place in memory: t.
fn measure(kinds: [&[String]; 2], mut refuse: impl FnMut(&str)) -> f64 {
    let mut samples = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let (mut token, mut state) = (String::with_capacity(128), 0x9e37_79b9_7f4a_7c15_u64);
    while samples.iter().any(|samples| samples.len() < SAMPLES) {
        // xorshift64: the order must not be one that a branch predictor learns.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let kind = (state >> 32) as usize % 2;
        let pick = |kind: usize| kinds[kind][(state >> 40) as usize % kinds[kind].len()].as_str();
        blend(&mut token, pick(0), pick(1), kind);
        let begun = Instant::now();
        refuse(&token);
        samples[kind].push(begun.elapsed().as_nanos() as f64);
    }
    welch(&samples[0], &samples[1])
}

/// Writes one text or the other in the same steps and from the same memory, so that the caches do not tell them apart
/// before anything is measured.
fn blend(into: &mut String, first: &str, second: &str, which: usize) {
    // Hidden from the optimiser, which would make one loop for each of the two.
    let (keep, take) = black_box(((which as u8).wrapping_sub(1), (which as u8).wrapping_neg()));
    let length = black_box([first.len(), second.len()][which]);
    let at = |text: &str, index: usize| text.as_bytes().get(index).copied().unwrap_or(0);
    into.clear();
    into.extend((0..length).map(|index| char::from((at(first, index) & keep) | (at(second, index) & take))));
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
    let (good, revoked, expired) = (many("good", None), many("revoked", None), many("expired", Some(1)));
    for at in 0..MANY {
        vault.revoke_bot(&format!("revoked-{at}")).unwrap();
    }
    // The same ids with the secrets of others, and ids that nobody has beside ids that somebody has: where an id stands
    // among the others may show in the time, but not whether it is there.
    let wrong = |tokens: &[String]| -> Vec<String> {
        (0..MANY).map(|at| token(id_of(&tokens[at]), &tokens[(at + 1) % MANY])).collect()
    };
    let unknown: Vec<String> = wrong(&good).iter().map(|known| token(neighbour(id_of(known)), known)).collect();
    let pairs = [
        ("unknown id", wrong(&good), unknown),
        ("revoked", wrong(&revoked), revoked),
        ("expired", wrong(&expired), expired),
    ];
    std::thread::sleep(std::time::Duration::from_millis(1100));

    let refuse = |token: &str| assert!(authenticate(&vault, Some(token), None).is_err());
    let mut told = Vec::new();
    for (name, wrong, tokens) in pairs {
        // Each takes both places in turn: a leak follows the tokens, what the measurement itself does follows the place.
        let one = |turn: usize| match turn % 2 {
            0 => measure([&wrong, &tokens], refuse),
            _ => -measure([&tokens, &wrong], refuse),
        };
        let tries: Vec<f64> = (0..TRIES).map(one).collect();
        println!("wrong secret against {name}: t = {tries:.1?}");
        let slower = tries.iter().all(|t| *t >= TOLD_APART);
        told.extend((slower || tries.iter().all(|t| *t <= -TOLD_APART)).then_some(name));
    }
    // What a comparison that stops early would look like.
    let early = |token: &str| assert!(token.len() != good[0].len() || authenticate(&vault, Some(token), None).is_err());
    let control = measure([&["svb_short".to_owned()], &wrong(&good)], early).abs();
    println!("planted early exit: |t| = {control:.1}");
    assert!(control > TOLD_APART, "the measurement would not see an early exit: {control}");
    assert!(told.is_empty(), "can be told from a wrong secret: {told:?}");
}

fn id_of(token: &str) -> Id {
    Id::parse(token.split('_').nth(1).unwrap()).unwrap()
}

/// The id before, which no bot has and which would stand in the very same place.
fn neighbour(id: Id) -> Id {
    Id(u128::from_be_bytes(id.0).wrapping_sub(1).to_be_bytes())
}

/// A well-formed token of an id with the secret of another token.
fn token(id: Id, secret_of: &str) -> String {
    let head = format!("svb_{id}_{}", secret_of.split('_').nth(2).unwrap());
    let digest = ring::digest::digest(&ring::digest::SHA256, head.as_bytes());
    let checksum = data_encoding::BASE32_NOPAD.encode(&digest.as_ref()[..4]).to_ascii_lowercase();
    format!("{head}_{checksum}")
}
