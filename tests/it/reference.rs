//! The vault format, read by a program that shares no code with this one: `tests/reference/open_vault.py`.
//!
//! ```sh
//! PYTHON=path/to/venv/bin/python cargo test --test it reference -- --ignored
//! ```

use crate::prune::old_vault;
use crate::support::{API_KEY, Answer, PASSPHRASE, PASSWORD, SECRET, Vault};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A script of the reference reader under the interpreter that `PYTHON` names.
fn python(script: &str, arguments: &[&Path], options: &[&str], stdin: &[u8]) -> Answer {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let mut command = Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
    command.arg("-B").arg(scripts.join(script)).args(arguments).args(options);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the interpreter starts");
    child.stdin.take().expect("piped").write_all(stdin).expect("it reads");
    Answer::of(child.wait_with_output().expect("it ends"))
}

/// A vault with something in every table that this version writes, at rest. Says where the database is.
fn a_vault_at_rest(vault: &Vault) -> PathBuf {
    let made = ["init", "--stdin", "--recovery-file", "recovery", "--kdf-memory-mib", "64"];
    vault.run(&made, PASSWORD).ok();
    std::fs::write(vault.dir().join("key"), [7; 32]).expect("written");
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    daemon.add_credential_with("spare", &["--label", "Grüße"]);
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    daemon.run(&["slot", "add", "key-file", "key"], "").ok();
    daemon.run(&["credential", "remove", "spare"], "").ok();
    daemon.run(&["audit", "export"], "").ok();
    assert_eq!(daemon.terminate(), 0);
    vault.state_dir().join("vault.db")
}

#[test]
#[ignore = "needs python3 with cryptography"]
fn the_reader_opens_a_vault_whose_key_was_replaced_twice() {
    let vault = Vault::nowhere();
    vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).ok();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    let sign = || daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    let (second, third) = ("a second long password", "a third long password");
    for (old, new) in [(PASSWORD, second), (second, third)] {
        sign();
        daemon.run(&["password", "change", "--stdin", "--rotate-key"], &format!("{old}\n{new}\n")).ok();
    }
    sign();
    assert_eq!(daemon.terminate(), 0);
    let database = vault.state_dir().join("vault.db");
    python("open_vault.py", &[&database], &[], PASSWORD.as_bytes()).fails(1);
    let opened = python("open_vault.py", &[&database], &["--reveal"], third.as_bytes()).json();
    assert_eq!(opened["state"]["epoch"], 3);
    assert_eq!(opened["audit"]["first_seq"], 1);
    assert_eq!(record(&opened, "credential")["secrets"]["secret"], SECRET);
    let contents = opened["records"].as_array().expect("records").iter().map(|record| &record["content"]);
    let ranges: Vec<_> = contents.filter(|content| content["setting"] == "audit_key").collect();
    assert_eq!((&ranges[0]["first_seq"], ranges.len()), (&1.into(), 2));
    let end = |at: usize, name: &str| ranges[at][name].as_u64().expect("a number");
    assert_eq!(end(0, "last_seq") + 1, end(1, "first_seq"));
    let shown = python("open_vault.py", &[&database], &[], third.as_bytes()).ok();
    assert!(!shown.contains(ranges[0]["key"].as_str().expect("a key")), "a key is a secret");
}

#[test]
#[ignore = "needs python3 with cryptography"]
fn the_reader_opens_a_vault_that_was_signed_pruned_and_given_another_key() {
    let vault = old_vault(20);
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    daemon.run(&["audit", "prune", "--before", "30d"], "").ok();
    let changed = format!("{PASSWORD}\na second long password\n");
    daemon.run(&["password", "change", "--stdin", "--rotate-key"], &changed).ok();
    daemon.run(&["audit", "export"], "").ok();
    assert_eq!(daemon.terminate(), 0);
    let database = vault.state_dir().join("vault.db");
    let opened = python("open_vault.py", &[&database], &["--reveal"], b"a second long password").json();
    assert_eq!(opened["state"]["epoch"], 2);
    assert_eq!(opened["audit"]["first_seq"], 24, "init, unlock, 20 notes and lock are gone");
    assert_eq!(opened["audit"]["signatures"], 3, "the checkpoints before the prune and the export, and the prune");
    assert_eq!(record(&opened, "credential")["secrets"]["secret"], SECRET);
}

fn record<'a>(vault: &'a Value, table: &str) -> &'a Value {
    let of_table = vault["records"].as_array().expect("records").iter().find(|record| record["table"] == table);
    &of_table.expect("one of each")["content"]
}

#[test]
#[ignore = "needs python3 with cryptography"]
fn the_reader_opens_a_vault_that_the_binary_made_with_each_kind_of_slot() {
    let vault = Vault::nowhere();
    let database = a_vault_at_rest(&vault);
    let recovery = std::fs::read(vault.dir().join("recovery")).expect("a recovery key");
    let key = vault.dir().join("key");
    let with_password = python("open_vault.py", &[&database], &["--reveal"], PASSWORD.as_bytes()).json();
    let with_recovery = python("open_vault.py", &[&database], &["--reveal", "--recovery"], &recovery).json();
    let with_key = python("open_vault.py", &[&database, Path::new("--key-file"), &key], &["--reveal"], b"").json();
    assert_eq!(with_password, with_recovery);
    assert_eq!(with_password, with_key);
    let secrets = serde_json::json!({ "api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE });
    assert_eq!(record(&with_password, "credential")["secrets"], secrets);
    assert_eq!(record(&with_password, "credential")["card"]["name"], "main");
    assert_eq!(record(&with_password, "bot")["name"], "bob");
    let policy = record(&with_password, "policy");
    let text = policy["text"].as_str().expect("text");
    assert!(text.starts_with("grants = [\"read\", \"trade\"]\n"), "{text}");
    assert_eq!((&policy["name"], &policy["version"]), (&"bob-policy".into(), &1.into()));
    assert_eq!(with_password["audit"]["first_seq"], 1);
    assert_eq!(with_password["audit"]["signatures"], 1, "of the checkpoint before the export");
    assert!(with_password["state"]["audit_seq"].as_u64() < with_password["audit"]["last_seq"].as_u64());
}

#[test]
#[ignore = "needs python3 with cryptography"]
fn the_reader_shows_no_secret_unless_it_is_told_to() {
    let vault = Vault::nowhere();
    let database = a_vault_at_rest(&vault);
    let shown = python("open_vault.py", &[&database], &[], format!("{PASSWORD}\r\n").as_bytes()).ok();
    for secret in [API_KEY, SECRET, PASSPHRASE] {
        assert!(!shown.contains(secret));
    }
    assert!(shown.contains("bob"));
}

#[test]
#[ignore = "needs python3 with cryptography"]
fn the_reader_refuses_another_password_and_a_changed_byte() {
    let vault = Vault::nowhere();
    let database = a_vault_at_rest(&vault);
    let refused = python("open_vault.py", &[&database], &[], b"another password\n").fails(1);
    assert_eq!(refused, "open_vault: no password slot opens with this\n");
    let mut bytes = std::fs::read(&database).expect("read");
    let at = bytes.windows(8).position(|eight| eight == b"SGNVAULT").expect("a slot's header");
    bytes[at + 40] ^= 1;
    std::fs::write(&database, bytes).expect("written");
    python("open_vault.py", &[&database], &[], PASSWORD.as_bytes()).fails(1);
}

#[test]
#[ignore = "needs python3 with cryptography"]
fn the_reader_gives_the_known_answers() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/vault_format_kat.json");
    let told = python("known_answers.py", &[&vectors], &[], b"").ok();
    assert!(told.ends_with(", 0 failed\n"), "{told}");
}
