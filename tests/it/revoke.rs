//! `bot revoke`, `bot remove`, `bot rotate`, `mode` and `lock` under load: from the row on that tells of it nothing is
//! signed, whatever was in flight. Which of many goes first is left to chance here; `make races` tries the orders out.

use crate::support::signers::{
    Control, ORDER, Place, Sent, every_signature_has_its_row, sign_until_over, verified_ledger,
};
use crate::support::{Daemon, Vault};
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// Connections, half of each transport.
const SIGNERS: usize = 64;

/// A daemon with the bots `bob` and `eve`.
fn with_two_bots(vault: &Vault) -> (Daemon<'_>, String, String) {
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let bob = daemon.add_bot("bob", "main", &["read", "trade"]);
    let eve = daemon.add_bot("eve", "main", &["read", "trade"]);
    (daemon, bob, eve)
}

/// Signs on all connections, runs a command in the middle of it, and goes on for a while. Says what was sent, and when
/// the command had returned.
fn signing_around(daemon: &Daemon<'_>, token: &str, command: &[&str]) -> (Vec<Sent>, Instant) {
    let (place, control) = (Place::of(daemon), Control::default());
    thread::scope(|scope| {
        let (place, control) = (&place, &control);
        let signers: Vec<_> =
            (0..SIGNERS).map(|number| scope.spawn(move || sign_until_over(place, token, 0, number, control))).collect();
        let _whatever_happens = control.stop_at_the_end();
        control.wait_for_more(10 * SIGNERS);
        let answer = daemon.run(command, "");
        // A slow disk under this load may owe the row for a moment; what was said holds all the same.
        assert!(answer.code == 0 || answer.stderr.contains("it holds from now on"), "{answer:?}");
        let returned = Instant::now();
        control.wait_for_more(4 * SIGNERS);
        control.stop();
        let logs: Vec<_> = signers.into_iter().map(|signer| signer.join().expect("a signer")).collect();
        assert!(logs.iter().all(|log| log.ended.is_none()), "a connection broke");
        wait_until_nothing_is_owed(daemon);
        (logs.into_iter().flat_map(|log| log.sent).collect(), returned)
    })
}

fn wait_until_nothing_is_owed(daemon: &Daemon<'_>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let ready = || daemon.tcp().request("GET", "/ready", None, None).json();
    while !matches!(ready()["checks"]["audit"].as_str(), None | Some("unknown while the vault is locked")) {
        assert!(Instant::now() < deadline, "{}", ready());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The row that satisfies this.
fn row_of(ledger: &BTreeMap<u64, Value>, wanted: impl Fn(&Value) -> bool) -> u64 {
    let mut found = ledger.iter().filter(|(_, row)| wanted(row)).map(|(seq, _)| *seq);
    let seq = found.next().expect("a row about it");
    assert_eq!(found.next(), None, "one row about it");
    seq
}

/// What came back is `200` before and only `refused` after, by the clock and by the ledger.
#[track_caller]
fn ends_at(sent: &[Sent], returned: Instant, refused: u16, ledger: &BTreeMap<u64, Value>, end: u64) {
    for sent in sent {
        let status = sent.response.status;
        assert!(status == 200 || status == refused, "{:?}", sent.response);
        assert!(status == refused || sent.at < returned, "signed although asked after the command had returned");
    }
    let signed = every_signature_has_its_row(sent, ledger);
    let refusals = sent.len() - signed;
    assert!(signed >= SIGNERS && refusals >= SIGNERS, "{signed} signed, {refusals} refused");
    let last = sent.iter().filter_map(Sent::audit_seq).max();
    assert!(last < Some(end), "row {last:?} was signed for after row {end}");
    let later = ledger.range(end..).find(|(_, row)| row["bot"] == "bob" && row["decision"] == "allow");
    assert_eq!(later, None, "a row after the end allows a signature");
}

#[test]
fn t33_no_signature_is_later_than_a_revoke() {
    let vault = Vault::new();
    let (daemon, bob, eve) = with_two_bots(&vault);
    let (sent, returned) = signing_around(&daemon, &bob, &["bot", "revoke", "bob"]);
    let ledger = verified_ledger(&daemon);
    let end = row_of(&ledger, |row| row["action"] == "revoke");
    ends_at(&sent, returned, 401, &ledger, end);
    daemon.tcp().sign(&eve, "main", "GET", "/api/v5/account/balance", None).ok();
}

#[test]
fn t33_no_signature_is_later_than_a_removal() {
    let vault = Vault::new();
    let (daemon, bob, eve) = with_two_bots(&vault);
    let (sent, returned) = signing_around(&daemon, &bob, &["bot", "remove", "bob"]);
    let ledger = verified_ledger(&daemon);
    let end = row_of(&ledger, |row| row["event"] == "bot" && row["action"] == "remove");
    ends_at(&sent, returned, 401, &ledger, end);
    daemon.tcp().sign(&eve, "main", "GET", "/api/v5/account/balance", None).ok();
}

#[test]
fn t33_no_signature_is_later_than_a_lock() {
    let vault = Vault::new();
    let (daemon, bob, _) = with_two_bots(&vault);
    let (sent, returned) = signing_around(&daemon, &bob, &["lock"]);
    daemon.unlock();
    let ledger = verified_ledger(&daemon);
    let end = row_of(&ledger, |row| row["event"] == "lock");
    ends_at(&sent, returned, 423, &ledger, end);
    assert_eq!(ledger[&(end + 1)]["event"], "unlock", "nothing stands between the lock and the unlock");
}

#[test]
fn t33_no_order_is_later_than_cancel_only() {
    for command in [&["mode", "cancel-only"][..], &["mode", "cancel-only", "--bot", "bob"]] {
        let vault = Vault::new();
        let (daemon, bob, _) = with_two_bots(&vault);
        let (sent, returned) = signing_around(&daemon, &bob, command);
        let ledger = verified_ledger(&daemon);
        let end = row_of(&ledger, |row| row["event"] == "mode");
        ends_at(&sent, returned, 403, &ledger, end);
        daemon.run(&[&["mode", "normal"], &command[2..]].concat(), "").ok();
        daemon.tcp().sign(&bob, "main", "POST", ORDER, Some(r#"{"instId":"BTC-USDT"}"#)).ok();
    }
}

#[test]
fn t33_no_signature_for_a_token_is_later_than_its_rotation() {
    let vault = Vault::new();
    let (daemon, bob, _) = with_two_bots(&vault);
    let (sent, returned) = signing_around(&daemon, &bob, &["bot", "rotate", "bob"]);
    let ledger = verified_ledger(&daemon);
    let end = row_of(&ledger, |row| row["event"] == "bot" && row["action"] == "rotate");
    ends_at(&sent, returned, 401, &ledger, end);
    let new = daemon.run(&["bot", "rotate", "bob"], "").ok();
    daemon.unix().sign(new.trim_end(), "main", "GET", "/api/v5/account/balance", None).ok();
}

#[test]
fn t33_no_signature_is_later_than_the_removal_of_its_credential() {
    let vault = Vault::new();
    let (daemon, bob, _) = with_two_bots(&vault);
    let (sent, returned) = signing_around(&daemon, &bob, &["credential", "remove", "main"]);
    let ledger = verified_ledger(&daemon);
    let end = row_of(&ledger, |row| row["event"] == "credential" && row["action"] == "remove");
    ends_at(&sent, returned, 403, &ledger, end);
}
