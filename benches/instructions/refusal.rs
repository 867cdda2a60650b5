//! What a refused token costs, by why it is refused: the same instructions, whatever is wrong with it. A branch that
//! depends on one of the reasons shows here on every machine; whether it shows in the time is up to the processor.

use crate::stage::{CREDENTIAL, Stage};
use signvault::crypto::mac;
use signvault::types::base32;
use signvault::types::id::Id;
use signvault::vault::authenticate::authenticate;
use signvault::wire::BotAdd;
use std::hint::black_box;
use std::time::Duration;

/// The reasons in the order of [`tokens`]: each pair asks for the bot at one and the same place.
pub const REASONS: [&str; 6] = [
    "unknown id",
    "the secret of another bot",
    "revoked",
    "revoked, and the secret of another bot",
    "expired",
    "expired, and the secret of another bot",
];

/// No token has more bytes.
pub const LONGEST: usize = 128;

/// A token for each reason.
pub fn tokens(stage: &Stage) -> [String; 6] {
    let good = &stage.token;
    let revoked = add_bot(stage, "revoked", None);
    let expired = add_bot(stage, "expired", Some(1));
    stage.vault.revoke_bot("revoked").expect("the bot is there");
    std::thread::sleep(Duration::from_millis(1100));
    // Nobody has the id before, and it would stand where this one does.
    let neighbour = Id(u128::from_be_bytes(id_of(good).0).wrapping_sub(1).to_be_bytes());
    let [of_good, of_revoked, of_expired] =
        [good, &revoked, &expired].map(|token| write(id_of(token), secret_of(token)));
    assert_eq!(
        [&of_good, &of_revoked, &of_expired],
        [good, &revoked, &expired],
        "a token is written as the vault does"
    );
    let wrong = |of: &str, secret: &str| write(id_of(of), secret_of(secret));
    [
        write(neighbour, secret_of(good)),
        wrong(good, &revoked),
        revoked.clone(),
        wrong(&revoked, good),
        expired.clone(),
        wrong(&expired, good),
    ]
}

/// Shows a token that is refused.
pub fn refuse(stage: &Stage, token: &str) {
    assert!(authenticate(&stage.vault, black_box(Some(token)), None).is_err(), "it is refused");
}

fn add_bot(stage: &Stage, name: &str, expires_in_s: Option<u64>) -> String {
    let (name, credentials) = (name.to_owned(), vec![CREDENTIAL.to_owned()]);
    let add = BotAdd { name, credentials, policy: Some("maker".to_owned()), uids: Vec::new(), expires_in_s };
    // EXPOSE: the token of a vault that is removed.
    stage.vault.add_bot(add).expect("there is room").token.expose().to_owned()
}

fn id_of(token: &str) -> Id {
    Id::parse(token.split('_').nth(1).expect("an id")).expect("an id")
}

fn secret_of(token: &str) -> &str {
    token.split('_').nth(2).expect("a secret")
}

/// A token of these parts, with the checksum that belongs to them.
fn write(id: Id, secret: &str) -> String {
    let mut token = format!("svb_{id}_{secret}");
    let checksum = mac::sha256(&[token.as_bytes()]);
    token.push('_');
    base32::push(&mut token, &checksum[..4]);
    token
}
