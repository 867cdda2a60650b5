//! Vaults that earlier versions made, as files in `tests/databases`: each opens, verifies and works.
//!
//! The files of the present version are made by this binary. When the format changes, make them once more before the
//! release that brings the change, and leave them alone from then on:
//!
//! ```sh
//! cargo test --test it -- --ignored databases::make_the_vault_of_this_version
//! ```

use crate::support::exchange::check_signature;
use crate::support::{Daemon, PASSWORD, SECRET, Vault};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The version that the binary writes.
const PRESENT: &str = "v1";
const NEW_PASSWORD: &str = "another horse entirely";
const BALANCE: &str = "/api/v5/account/balance";

fn databases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/databases")
}

/// What its files say of a stored vault: passwords, tokens, and what is in it.
fn about(version: &str) -> Value {
    let text = std::fs::read_to_string(databases().join(version).join("about.json")).expect("a stored vault");
    serde_json::from_str(&text).expect("JSON")
}

/// A copy of a stored vault where a daemon finds it. Git keeps neither modes nor empty directories.
fn copied(version: &str) -> Vault {
    let vault = Vault::nowhere();
    let key = vault.dir().join("key");
    std::fs::copy(databases().join(version).join("key"), &key).expect("copied");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("narrowed");
    for (name, to) in [("state", vault.state_dir()), ("anchor", vault.anchor_dir())] {
        std::fs::create_dir(&to).expect("made");
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o700)).expect("narrowed");
        for entry in std::fs::read_dir(databases().join(version).join(name)).expect("a stored vault") {
            let entry = entry.expect("an entry");
            let copy = to.join(entry.file_name());
            std::fs::copy(entry.path(), &copy).expect("copied");
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600)).expect("narrowed");
        }
    }
    vault
}

/// The clock is accepted at each unlock, because it may be behind the one under which the vault was made.
fn looks_right(vault: &Vault, daemon: &Daemon<'_>, about: &Value) {
    let verified = daemon.run(&["audit", "verify", "--json"], "").json();
    assert!(verified["rows"].as_u64() >= about["rows"].as_u64(), "{verified}");
    let key = vault.file("public-key", &daemon.run(&["audit", "public-key"], "").ok());
    let export = vault.file("export", &daemon.run(&["audit", "export"], "").ok());
    let signed = daemon.run(&["audit", "verify", &export, "--public-key", &key, "--json"], "").json();
    assert!(signed["signatures"].as_u64() >= Some(3), "two from the stored vault, and one of now: {signed}");
    let names = |noun: &str| -> Vec<String> {
        let list = daemon.run(&[noun, "list", "--json"], "").json();
        let name = |each: &Value| each["name"].as_str().expect("a name").to_owned();
        list.as_array().expect("a list").iter().map(name).collect()
    };
    assert_eq!(names("credential"), ["main", "spare"]);
    assert_eq!(names("bot"), ["bob", "eve", "joe"]);
    assert_eq!(daemon.run(&["mode", "--json"], "").json()["mode"], "reduce-only");
    assert_eq!(daemon.run(&["slot", "list", "--json"], "").json().as_array().map(Vec::len), Some(3));
    let token = |name: &str| about["tokens"][name].as_str().expect("a token").to_owned();
    check_signature(&daemon.tcp().sign(&token("bob"), "main", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");
    assert_eq!(daemon.tcp().sign(&token("eve"), "main", "GET", BALANCE, None).status, 401, "eve was revoked");
}

#[test]
fn every_vault_that_was_stored_opens_in_each_way_and_verifies() {
    let mut versions = 0;
    for entry in std::fs::read_dir(databases()).expect("stored vaults") {
        let entry = entry.expect("an entry");
        if !entry.file_type().expect("a type").is_dir() {
            continue;
        }
        versions += 1;
        let version = entry.file_name().into_string().expect("UTF-8");
        let about = about(&version);
        let text = |name: &str| about[name].as_str().expect("text").to_owned();
        for (arguments, secret) in [
            (&["--stdin"][..], text("password")),
            (&["--stdin", "--recovery"], text("recovery")),
            (&["--key-file", "key"], String::new()),
        ] {
            let vault = copied(&version);
            let daemon = vault.serve();
            daemon.run(&[&["unlock", "--accept-clock"], arguments].concat(), &secret).ok();
            looks_right(&vault, &daemon, &about);
            daemon.run(&["lock"], "").ok();
            daemon.run(&[&["unlock", "--accept-clock"], arguments].concat(), &secret).ok();
            looks_right(&vault, &daemon, &about);
        }
        let other = Vault::nowhere();
        let backup = databases().join(&version).join("backup");
        let backup = backup.to_str().expect("UTF-8");
        other.run(&["backup", "verify", backup, "--stdin"], &text("password")).ok();
        other.run(&["restore", backup, "--stdin"], &text("password")).ok();
        let restored = other.serve();
        restored.run(&["unlock", "--accept-clock", "--stdin"], &text("password")).ok();
        looks_right(&other, &restored, &about);
    }
    assert!(versions > 0, "nothing was stored");
}

#[test]
#[ignore = "writes into the sources"]
fn make_the_vault_of_this_version() {
    let vault = Vault::nowhere();
    vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).ok();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    daemon.add_credential_with("spare", &["--label", "Grüße"]);
    let limited = "grants = [\"read\", \"trade\"]\n[limits]\norders_per_day = 500\n";
    let bob = daemon.add_bot("bob", "main", &["read", "trade"]);
    let eve = daemon.add_bot("eve", "main", &["read"]);
    let joe = daemon.add_bot_under("joe", limited);
    daemon.run(&["policy", "reference", "set", "bob-policy", "BTC-USDT", "60000"], "").ok();
    let sign = |token: &str, times: usize| {
        let mut connection = daemon.tcp();
        (0..times).for_each(|_| drop(connection.sign(token, "main", "GET", BALANCE, None)));
    };
    let order =
        r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"1","sz":"1","clOrdId":"a1"}"#;
    daemon.tcp().sign(&joe, "main", "POST", "/api/v5/trade/order", Some(order)).ok();
    sign(&bob, 100);
    daemon.run(&["audit", "export"], "").ok();
    let changed = format!("{PASSWORD}\n{NEW_PASSWORD}\n");
    daemon.run(&["password", "change", "--stdin", "--rotate-key"], &changed).ok();
    sign(&bob, 100);
    sign(&joe, 50);
    daemon.run(&["bot", "revoke", "eve"], "").ok();
    daemon.run(&["mode", "reduce-only"], "").ok();
    daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery"], "").ok();
    daemon.run(&["slot", "add", "key-file", &vault.key_file()], "").ok();
    daemon.run(&["audit", "export"], "").ok();
    daemon.run(&["backup", "backup"], "").ok();
    let rows = daemon.status()["audit_sequence"].clone();
    assert_eq!(daemon.terminate(), 0);

    let to = databases().join(PRESENT);
    for dir in ["state", "anchor"] {
        std::fs::create_dir_all(to.join(dir)).expect("made");
    }
    let copy = |from: PathBuf, name: &str| {
        std::fs::copy(from, to.join(name)).expect("copied");
    };
    copy(vault.state_dir().join("vault.db"), "state/vault.db");
    copy(vault.anchor_dir().join("anchor"), "anchor/anchor");
    copy(PathBuf::from(vault.key_file()), "key");
    copy(vault.dir().join("backup"), "backup");
    let recovery = std::fs::read_to_string(vault.dir().join("recovery")).expect("a recovery key");
    let about = serde_json::json!({
        "password": NEW_PASSWORD,
        "recovery": recovery.trim_end(),
        "rows": rows,
        "tokens": { "bob": bob, "eve": eve, "joe": joe },
    });
    let text = serde_json::to_string_pretty(&about).expect("JSON") + "\n";
    std::fs::write(to.join("about.json"), text).expect("written");
}
