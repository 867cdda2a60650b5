//! Changing the password, an API key or the vault key while bots sign: not one of them notices.

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
const NEWEST_PASSWORD: &str = "and a third horse";
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
        let _whatever_happens = control.stop_at_the_end();
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

#[test]
fn a_new_vault_key_disturbs_no_signature_and_ends_every_old_way_to_unlock() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery"], "").ok();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let gone = daemon.add_bot("eve", "main", &["read"]);
    daemon.run(&["backup", "before"], "").ok();
    let rotate = |old: &str, new: &str| {
        let answer = daemon.run(&["password", "change", "--stdin", "--rotate-key"], &format!("{old}\n{new}\n"));
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.stderr
    };
    let mut told = Vec::new();
    let sent = signing_during(&daemon, &token, || {
        told.push(rotate(PASSWORD, NEW_PASSWORD));
        daemon.run(&["bot", "revoke", "eve"], "").ok();
        daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery-2"], "").ok();
        told.push(rotate(NEW_PASSWORD, NEWEST_PASSWORD));
    });
    assert!(told.iter().all(|words| words.contains("signvault slot add recovery")), "{told:?}");
    assert!(sent.iter().all(|sent| is_signed_with(sent, OLD)), "every one of {} verifies", sent.len());
    assert_eq!(every_signature_has_its_row(&sent, &verified_ledger(&daemon)), sent.len());
    daemon.run(&["backup", "after"], "").ok();

    daemon.run(&["lock"], "").ok();
    for (arguments, secret) in [
        (&["unlock", "--stdin"][..], PASSWORD.to_owned()),
        (&["unlock", "--stdin"], NEW_PASSWORD.to_owned()),
        (&["unlock", "--stdin", "--recovery"], std::fs::read_to_string(vault.dir().join("recovery")).expect("there")),
        (&["unlock", "--stdin", "--recovery"], std::fs::read_to_string(vault.dir().join("recovery-2")).expect("there")),
    ] {
        wait_for_backoff(&daemon, arguments, &secret);
    }
    unlock_after_backoff(&daemon, NEWEST_PASSWORD);
    daemon.run(&["audit", "verify"], "").ok();
    daemon.unix().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    assert_eq!(daemon.unix().sign(&gone, "main", "GET", "/api/v5/account/balance", None).status, 401);
    assert_eq!(daemon.run(&["slot", "list", "--json"], "").json().as_array().map(Vec::len), Some(1));

    for (backup, opens, refused) in [("before", PASSWORD, NEWEST_PASSWORD), ("after", NEWEST_PASSWORD, PASSWORD)] {
        let (other, file) = (Vault::nowhere(), vault.dir().join(backup));
        let file = file.to_str().expect("UTF-8");
        other.run(&["restore", file, "--stdin"], refused).fails(1);
        other.run(&["restore", file, "--stdin"], opens).ok();
        let restored = other.serve();
        restored.run(&["unlock", "--stdin"], opens).ok();
        restored.unix().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
        restored.run(&["audit", "verify"], "").ok();
    }
}

/// An unlock that is refused because of its secret and not because it came too soon.
fn wait_for_backoff(daemon: &Daemon<'_>, arguments: &[&str], secret: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let error = daemon.run(arguments, secret).fails(1);
        if error.contains("unlock.failed") {
            return;
        }
        assert!(error.contains("unlock.backoff") && Instant::now() < deadline, "{error}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn unlock_after_backoff(daemon: &Daemon<'_>, password: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while daemon.run(&["unlock", "--stdin"], password).code != 0 {
        assert!(Instant::now() < deadline, "the password opens nothing");
        thread::sleep(Duration::from_millis(200));
    }
}
