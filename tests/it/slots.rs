//! `slot` and `password change`: the ways to unlock, and that one that was given up is gone.

use crate::support::files::{holds, mode};
use crate::support::{Daemon, PASSWORD, Vault};
use serde_json::{Value, json};

const NEW: &str = "a new long password";

fn slots(daemon: &Daemon) -> Vec<(u64, String)> {
    let list = daemon.run(&["slot", "list", "--json"], "").json();
    let slot = |slot: &Value| (slot["id"].as_u64().expect("id"), slot["kind"].as_str().expect("kind").to_owned());
    list.as_array().expect("a list").iter().map(slot).collect()
}

fn relocked(daemon: &Daemon) {
    daemon.run(&["lock"], "").ok();
}

/// An unlock that must fail; the failure is forgotten again, so that a test need not wait.
#[track_caller]
fn does_not_open(daemon: &Daemon, arguments: &[&str], stdin: &str) {
    let refused = daemon.run(&[&["unlock"], arguments].concat(), stdin).fails(1);
    assert!(refused.contains("unlock.failed"), "{refused}");
    daemon.vault.forget_attempts();
}

#[test]
fn each_kind_is_added_listed_used_and_removed() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.run(&["slot", "add", "password", "--stdin"], NEW).ok();
    daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery"], "").ok();
    let shown = daemon.run(&["slot", "add", "key-file", "key", "--json"], "").json();
    assert_eq!((&shown["id"], &shown["kind"]), (&json!(4), &json!("key-file")));
    let kinds = ["password", "password", "recovery", "key-file"].map(str::to_owned);
    assert_eq!(slots(&daemon), (1..).zip(kinds).collect::<Vec<_>>());
    let words = daemon.run(&["slot", "list"], "").ok();
    assert!(words.contains("Argon2id 64 MiB, t=3, p=4") && words.contains("Argon2id 256 MiB, t=3, p=4"), "{words}");

    let key = std::fs::read_to_string(vault.dir().join("recovery")).expect("a recovery key");
    assert_eq!([mode(&vault.dir().join("recovery")), mode(&vault.dir().join("key"))], [0o600; 2]);
    let ways: [(&[&str], &str, &str); 3] =
        [(&["--stdin"], NEW, "2"), (&["--stdin", "--recovery"], &key, "3"), (&["--key-file", "key"], "", "4")];
    for (arguments, stdin, number) in ways {
        relocked(&daemon);
        daemon.run(&[&["unlock"], arguments].concat(), stdin).ok();
        daemon.run(&["slot", "remove", number], "").ok();
        relocked(&daemon);
        does_not_open(&daemon, arguments, stdin);
        daemon.unlock();
    }
    assert_eq!(slots(&daemon).len(), 1);
    let ledger = daemon.run(&["audit", "list"], "").ok();
    assert!(
        ledger.contains("action=add  slot=4  kind=key-file") && ledger.contains("action=remove  slot=2"),
        "{ledger}"
    );
}

#[test]
fn an_existing_key_file_is_taken_as_it_is() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let key = vault.file("mine", "0123456789abcdef0123456789abcdef");
    daemon.run(&["slot", "add", "key-file", &key], "").ok();
    for (name, content) in [("short", "0123"), ("long", "0123456789abcdef0123456789abcdef\n")] {
        let file = vault.file(name, content);
        daemon.run(&["slot", "add", "key-file", &file], "").fails(1);
        assert_eq!(std::fs::read_to_string(&file).expect("still there"), content);
    }
    relocked(&daemon);
    daemon.unlock_with(&key);
    assert_eq!(slots(&daemon).len(), 2);
}

#[test]
fn the_last_password_stays_and_an_unknown_slot_is_not_found() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.run(&["slot", "add", "key-file", "key"], "").ok();
    let error = daemon.run(&["slot", "remove", "1"], "").fails(1);
    assert!(error.contains("last password") && error.contains("password change"), "{error}");
    assert!(daemon.run(&["slot", "remove", "9"], "").fails(1).contains("admin.not_found"));
    daemon.run(&["slot", "remove", "one"], "").fails(2);
    assert_eq!(slots(&daemon).len(), 2);
}

#[test]
fn there_are_eight_slots_at_most() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    for number in 2..=8 {
        daemon.run(&["slot", "add", "key-file", &format!("key-{number}")], "").ok();
    }
    let before = daemon.status()["state_version"].clone();
    let error = daemon.run(&["slot", "add", "key-file", "key-9"], "").fails(1);
    assert!(error.contains("eight"), "{error}");
    assert!(!vault.dir().join("key-9").exists(), "a key that opens nothing is not left behind");
    daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery"], "").fails(1);
    assert!(!vault.dir().join("recovery").exists());
    assert_eq!((slots(&daemon).len(), &daemon.status()["state_version"]), (8, &before));
    daemon.run(&["slot", "remove", "5"], "").ok();
    daemon.run(&["slot", "add", "key-file", "key-9"], "").ok();
}

#[test]
fn a_new_password_has_twelve_characters_at_least() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    for short in ["", "eleven char"] {
        daemon.run(&["slot", "add", "password", "--stdin"], short).fails(1);
        daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{short}\n")).fails(1);
    }
    daemon.run(&["slot", "add", "password"], NEW).fails(2);
    assert_eq!(slots(&daemon).len(), 1);
}

#[test]
fn t20_after_a_change_the_old_password_and_its_wrapped_key_are_gone() {
    let vault = Vault::new();
    let old: Vec<u8> =
        vault.database().query_row("SELECT wrapped FROM slot", [], |row| row.get(0)).expect("a wrapped key");
    let in_the_files = || vault.files().values().any(|(_, content)| holds(content, &old));
    assert!(in_the_files(), "what is searched for can be found");
    let older = vault.copy();

    let daemon = vault.serve_unlocked();
    let told = daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{NEW}\n"));
    assert!(told.stderr.contains("old copy of the vault's files"), "{told:?}");
    told.ok();
    assert!(!in_the_files(), "the old wrapped key is in a file, the daemon running");
    let cost = daemon.run(&["slot", "list"], "").ok();
    assert!(cost.contains("Argon2id 256 MiB, t=3, p=4"), "the cost rises to today's default: {cost}");
    relocked(&daemon);
    does_not_open(&daemon, &["--stdin"], PASSWORD);
    daemon.try_unlock(NEW, &[]).ok();
    assert!(daemon.run(&["audit", "list"], "").ok().contains("password_change"));
    assert_eq!(daemon.terminate(), 0);
    assert!(!in_the_files(), "the old wrapped key is in a file, the daemon gone");
    older.serve_unlocked();
}

#[test]
fn t20_a_removed_slot_s_wrapped_key_is_gone() {
    let vault = Vault::new();
    vault.with_key_file();
    let wrapped = "SELECT wrapped FROM slot WHERE slot_id = 2";
    let old: Vec<u8> = vault.database().query_row(wrapped, [], |row| row.get(0)).expect("a wrapped key");
    let daemon = vault.serve_unlocked();
    daemon.run(&["slot", "remove", "2"], "").ok();
    assert!(!vault.files().values().any(|(_, content)| holds(content, &old)));
}

#[test]
fn a_change_needs_the_old_password_and_counts_a_wrong_one() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let wrong = daemon.run(&["password", "change", "--stdin"], &format!("not the password\n{NEW}\n")).fails(1);
    assert!(wrong.contains("unlock.failed"), "{wrong}");
    let attempts = std::fs::read_to_string(vault.state_dir().join("attempts")).expect("a count");
    assert!(attempts.contains("\"failed\":1"), "{attempts}");
    vault.seem_to_have_failed(7);
    let soon = daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{NEW}\n")).fails(1);
    assert!(soon.contains("unlock.backoff"), "{soon}");
    assert_eq!(daemon.state(), "unlocked");
    relocked(&daemon);
    assert!(daemon.try_unlock(PASSWORD, &[]).fails(1).contains("unlock.backoff"));
    vault.forget_attempts();
    daemon.unlock();
}

#[test]
fn a_change_touches_only_the_slot_that_the_old_password_opens() {
    let vault = Vault::new();
    let key = vault.with_key_file();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    let other = "another long password";
    daemon.run(&["slot", "add", "password", "--stdin"], other).ok();
    daemon.run(&["password", "change", "--stdin"], &format!("{other}\n{NEW}\n")).ok();
    daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    relocked(&daemon);
    does_not_open(&daemon, &["--stdin"], other);
    for (arguments, stdin) in [(&["--stdin"][..], PASSWORD), (&["--key-file", &key], "")] {
        daemon.run(&[&["unlock"], arguments].concat(), stdin).ok();
        relocked(&daemon);
    }
}
