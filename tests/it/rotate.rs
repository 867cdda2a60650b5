//! Changing the password and an API key while bots sign: not one of them notices.

use crate::support::exchange::hmac_base64;
use crate::support::signers::{
    Control, ORDER, Place, Sent, every_signature_has_its_row, sign_until_over, verified_ledger,
};
use crate::support::{API_KEY, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

const SIGNERS: usize = 8;
const NEW_PASSWORD: &str = "another horse entirely";
/// Key, secret and passphrase before and after, made up.
const OLD: [&str; 3] = [API_KEY, SECRET, PASSPHRASE];
const NEW: [&str; 3] = ["a87ff679-0000-4641-acce-5250b0ce64bc", "0F57FBBAFC3FC3D265C5D066FE442D11", "new:pass phrase"];

/// Signs on all connections while commands run, and says what was sent.
fn signing_during(daemon: &Daemon<'_>, token: &str, commands: impl FnOnce()) -> Vec<Sent> {
    let (place, control) = (Place::of(daemon), Control::default());
    thread::scope(|scope| {
        let (place, control) = (&place, &control);
        let signers: Vec<_> =
            (0..SIGNERS).map(|number| scope.spawn(move || sign_until_over(place, token, 0, number, control))).collect();
        control.wait_for_more(5 * SIGNERS);
        commands();
        control.wait_for_more(5 * SIGNERS);
        control.stop();
        let logs: Vec<_> = signers.into_iter().map(|signer| signer.join().expect("a signer")).collect();
        assert!(logs.iter().all(|log| log.ended.is_none()), "a connection broke");
        logs.into_iter().flat_map(|log| log.sent).collect()
    })
}

/// Whether a signature was made with exactly these, by what the exchange would compute.
fn is_signed_with(sent: &Sent, [key, secret, passphrase]: [&str; 3]) -> bool {
    let answer = sent.response.ok();
    let header = |name: &str| answer["headers"][name].as_str().expect("a header").to_owned();
    let message = format!("{}POST{ORDER}{}", header("OK-ACCESS-TIMESTAMP"), sent.body);
    header("OK-ACCESS-KEY") == key
        && header("OK-ACCESS-PASSPHRASE") == passphrase
        && header("OK-ACCESS-SIGN") == hmac_base64(secret, &message)
}

#[test]
fn a_password_change_disturbs_no_signature_and_ends_the_old_password() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let sent = signing_during(&daemon, &token, || {
        daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{NEW_PASSWORD}\n")).ok();
    });
    assert!(sent.iter().all(|sent| is_signed_with(sent, OLD)), "every one of {} verifies", sent.len());
    assert_eq!(every_signature_has_its_row(&sent, &verified_ledger(&daemon)), sent.len());

    daemon.run(&["lock"], "").ok();
    daemon.run(&["unlock", "--stdin"], PASSWORD).fails(1);
    // The first failure is answered with a second of back-off.
    thread::sleep(Duration::from_millis(1100));
    daemon.run(&["unlock", "--stdin"], NEW_PASSWORD).ok();
    daemon.unix().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
}

#[test]
fn a_key_rotation_disturbs_no_signature_and_never_mixes_old_and_new() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let secrets = |[key, secret, passphrase]: [&str; 3]| {
        json!({ "api_key": key, "secret": secret, "passphrase": passphrase }).to_string()
    };
    let mut turns = Vec::new();
    let sent = signing_during(&daemon, &token, || {
        for next in [NEW, OLD, NEW, OLD, NEW] {
            let before = Instant::now();
            daemon.run(&["credential", "rotate", "main", "--stdin"], &secrets(next)).ok();
            turns.push((before, Instant::now(), next));
        }
    });
    for sent in &sent {
        let with_old = is_signed_with(sent, OLD);
        assert!(with_old || is_signed_with(sent, NEW), "a mixture: {:?}", sent.response);
    }
    let (_, last, newest) = *turns.last().expect("turns");
    let after: Vec<&Sent> = sent.iter().filter(|sent| sent.at > last).collect();
    assert!(!after.is_empty() && after.iter().all(|sent| is_signed_with(sent, newest)));
    let before = sent.iter().filter(|sent| is_signed_with(sent, OLD)).count();
    assert!(before > 0 && before < sent.len(), "{before} of {} with the old secret", sent.len());
    assert_eq!(every_signature_has_its_row(&sent, &verified_ledger(&daemon)), sent.len());
}
