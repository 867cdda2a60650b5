//! Signed exports that anyone can check, and a ledger whose oldest rows were pruned.

use crate::support::{PASSWORD, Vault};
use serde_json::{Value, json};
use signvault::crypto::kdf::Argon2Params;
use signvault::crypto::slot::SlotKind;
use signvault::secret::{Arena, SecretBytes};
use signvault::store::Durability;
use signvault::store::file::Paths;
use signvault::types::clock::{Clock, Now, SystemClock};
use signvault::vault::lock::Why;
use signvault::vault::unlock::{Accept, SlotKey};
use signvault::vault::{Care, Setup, init};
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The machine's clocks, forty days ago.
struct FortyDaysAgo;

impl Clock for FortyDaysAgo {
    fn now(&self) -> Now {
        let now = SystemClock.now();
        Now { wall: now.wall.plus_ms(-40 * DAY_MS), ..now }
    }
}

/// A vault that was made, used for `notes` rows and locked forty days ago.
pub fn old_vault(notes: usize) -> Vault {
    let made = Vault::nowhere();
    let paths = Paths { state_dir: made.state_dir(), anchor_dir: made.anchor_dir() };
    let password = || SecretBytes::new(PASSWORD.as_bytes().to_vec());
    let cost = Argon2Params::parse(65_536, 3, 4).expect("a cost");
    init::create(&paths, &password(), None, cost, &FortyDaysAgo).expect("made");
    let setup = Setup {
        paths,
        durability: Durability::Full,
        care: Care::default(),
        clock: Arc::new(FortyDaysAgo),
        arena: Arena::new().expect("memory"),
        recipes: BTreeMap::new().into(),
    };
    let vault = signvault::vault::Vault::new(setup);
    vault.unlock(&SlotKey { kind: SlotKind::Password, secret: password() }, Accept::default()).expect("unlocked");
    let counts = [("auth.failed".to_owned(), 1)].into();
    for _ in 0..notes {
        vault.audit_refused("tcp", &counts).expect("noted");
    }
    vault.lock(Why::Asked).expect("locked");
    made
}

/// The public key and an export of a vault, in files.
fn exported(vault: &Vault) -> (String, String) {
    let key = vault.file("key", &vault.run(&["audit", "public-key"], "").ok());
    (vault.file("export", &vault.run(&["audit", "export"], "").ok()), key)
}

fn verify(vault: &Vault, export: &str, key: &str) -> Value {
    vault.run(&["audit", "verify", export, "--public-key", key, "--json"], "").json()
}

#[track_caller]
fn refused(vault: &Vault, export: &str, key: &str, told: &str) {
    let error = vault.run(&["audit", "verify", export, "--public-key", key], "").fails(6);
    assert!(error.contains(told) && error.contains("vault.audit_broken"), "{error}");
}

#[test]
fn an_export_is_verified_without_daemon_and_vault() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let (export, key) = exported(&vault);
    let shown = daemon.run(&["audit", "public-key", "--json"], "").json();
    let vault_id = shown["vault"].clone();
    let text = std::fs::read_to_string(&key).expect("a key");
    assert_eq!((shown["algorithm"].as_str(), shown["key"].as_str()), (Some("ed25519"), Some(text.trim_end())));
    daemon.terminate();
    std::fs::remove_dir_all(vault.state_dir()).expect("removed");
    let told =
        json!({ "vault": vault_id, "rows": 4, "first": 1, "last": 4, "covered": 4, "uncovered": 0, "signatures": 1 });
    assert_eq!(verify(&vault, &export, &key), told);
    let words = vault.run(&["audit", "verify", &export, "--public-key", &key], "").ok();
    assert!(
        words.ends_with("4 rows, 1 to 4; signed: 4, after the last checkpoint: 0; signatures checked: 1\n"),
        "{words}"
    );
}

#[test]
fn an_export_without_news_signs_nothing_more() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (first, _) = exported(&vault);
    let first = std::fs::read(first).expect("read");
    let (second, key) = exported(&vault);
    assert_eq!(std::fs::read(&second).expect("read"), first);
    daemon.add_credential("main");
    let (third, _) = exported(&vault);
    assert_eq!(verify(&vault, &third, &key)["signatures"], 2);
}

#[test]
fn a_changed_export_a_wrong_key_and_half_of_it_are_refused_with_the_row() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let (export, key) = exported(&vault);
    let sound = std::fs::read_to_string(&export).expect("read");
    let lines: Vec<&str> = sound.lines().collect();
    let with = |lines: &[&str]| vault.file("changed", &(lines.join("\n") + "\n"));
    refused(&vault, &with(&[lines[0], lines[1], &lines[2].replace("main", "evil"), lines[3]]), &key, "row 4:");
    refused(&vault, &with(&[lines[0], lines[2], lines[3]]), &key, "row 2 is missing");
    refused(&vault, &with(&[lines[1], lines[2], lines[3]]), &key, "row 2: the rows before it are missing");
    refused(&vault, &with(&lines[..3]), &key, "row 1 and all others are not signed");
    refused(&vault, &with(&[lines[0], "{", lines[2], lines[3]]), &key, "row 2: the line is no row");
    let forged = lines[3].replace(r#"\"from\":0"#, r#"\"from\":1"#);
    refused(&vault, &with(&[lines[0], lines[1], lines[2], &forged]), &key, "row 4: it is not signed by this key");
    refused(&vault, &vault.file("changed", ""), &key, "not signed");
    let other = vault.file("other", &("11".repeat(32) + "\n"));
    refused(&vault, &export, &other, "row 4: it is not signed by this key");

    for (wrong, told) in [("", "no public key"), ("zz", "no public key"), (&"AA".repeat(32), "no public key")] {
        let file = vault.file("other", wrong);
        let error = vault.run(&["audit", "verify", &export, "--public-key", &file], "").fails(1);
        assert!(error.contains(told), "{error}");
    }
    vault.run(&["audit", "verify", &export, "--public-key", "nowhere"], "").fails(1);
    vault.run(&["audit", "verify", "nowhere", "--public-key", &key], "").fails(1);
    vault.run(&["audit", "verify", &export], "").fails(2);
    vault.run(&["audit", "verify", "--public-key", &key], "").fails(2);
}

#[test]
fn rows_after_the_last_checkpoint_are_told_as_uncovered() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (_, key) = exported(&vault);
    daemon.add_credential("main");
    daemon.terminate();
    let database = vault.database();
    let mut statement = database.prepare("SELECT seq, lower(hex(head)), body FROM audit ORDER BY seq").expect("sql");
    let lines = statement.query_map([], |row| {
        let (seq, head, body): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(json!({ "seq": seq, "head": head, "body": body }).to_string() + "\n")
    });
    let lines: String = lines.expect("rows").collect::<Result<_, _>>().expect("rows");
    let told = verify(&vault, &vault.file("export", &lines), &key);
    assert_eq!((&told["rows"], &told["covered"], &told["uncovered"]), (&json!(5), &json!(3), &json!(2)));
}

#[test]
fn old_rows_are_pruned_and_everything_goes_on_without_them() {
    let vault = old_vault(30);
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    for wrong in ["6d", "2099-01-01T00:00:00Z"] {
        let error = daemon.run(&["audit", "prune", "--before", wrong], "").fails(1);
        assert!(error.contains("the last 7 days") && error.contains("admin.invalid"), "{error}");
    }
    daemon.run(&["audit", "prune", "--before", "yesterday"], "").fails(2);
    let nothing = daemon.run(&["audit", "prune", "--before", "50d", "--json"], "").json();
    assert_eq!(nothing, json!({ "rows": 0, "first": 1, "is_done": true }));
    let told = daemon.run(&["audit", "prune", "--before", "30d"], "").ok();
    assert_eq!(told, "33 rows pruned, the first that is kept is 34\n", "init, unlock, thirty rows and a lock");

    let rows = daemon.run(&["audit", "list", "--json", "--limit", "1000"], "").json();
    assert_eq!(rows[0]["seq"], 34);
    let page = daemon.run(&["audit", "tail", "-n", "1"], "").ok();
    assert!(page.contains("  prune  ") && page.contains("from=1  to=33"), "{page}");
    assert_eq!(daemon.run(&["audit", "verify", "--json"], "").json()["first"], 34);
    daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    let (export, key) = exported(&vault);
    let told = verify(&vault, &export, &key);
    assert_eq!((&told["first"], &told["uncovered"], &told["signatures"]), (&json!(34), &json!(0), &json!(3)));
    let kept = std::fs::read_to_string(&export).expect("read");
    let unsaid: String = kept.lines().filter(|line| !line.contains("prune")).map(|line| format!("{line}\n")).collect();
    refused(&vault, &vault.file("changed", &unsaid), &key, "row 34: the rows before it are missing");

    daemon.run(&["backup", "old.backup"], "").ok();
    daemon.terminate();
    let bytes = std::fs::read(vault.database_path()).expect("read");
    assert!(!bytes.windows(11).any(|window| window == b"auth.failed"), "what is pruned is overwritten");
    let daemon = vault.serve_unlocked();
    daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    daemon.terminate();
    std::fs::remove_dir_all(vault.state_dir()).expect("removed");
    vault.run(&["restore", "old.backup", "--stdin", "--accept-rollback"], PASSWORD).ok();
    let daemon = vault.serve_unlocked();
    assert_eq!(daemon.run(&["audit", "verify", "--json"], "").json()["first"], 34);
    daemon.run(&["lock"], "").ok();
    daemon.run(&["audit", "prune", "--before", "30d"], "").fails(4);
    daemon.run(&["audit", "public-key"], "").fails(4);
}

#[test]
fn a_beginning_that_was_taken_out_by_another_is_never_a_pruned_one() {
    let vault = old_vault(30);
    vault.database().execute("DELETE FROM audit WHERE seq <= 20", []).expect("deleted");
    let error = vault.serve().try_unlock(PASSWORD, &[]).fails(6);
    assert!(error.contains("the ledger is broken at row 1"), "{error}");

    let vault = old_vault(30);
    let daemon = vault.serve_unlocked();
    daemon.run(&["audit", "prune", "--before", "30d"], "").ok();
    daemon.terminate();
    let sound = std::fs::read(vault.database_path()).expect("read");
    for (change, row) in [
        ("DELETE FROM audit WHERE seq = 34", 34),
        ("UPDATE audit SET body = replace(body, '\"to\":33', '\"to\":34') WHERE body LIKE '%\"prune\"%'", 36),
        ("DELETE FROM audit WHERE body LIKE '%\"prune\"%'", 36),
        ("INSERT INTO audit VALUES (33, zeroblob(32), '{}')", 33),
    ] {
        vault.database().execute(change, []).expect(change);
        let error = vault.serve().try_unlock(PASSWORD, &[]).fails(6);
        assert!(error.contains(&format!("the ledger is broken at row {row}")), "{change}: {error}");
        std::fs::write(vault.database_path(), &sound).expect("put back");
    }
    vault.serve_unlocked();
}

#[test]
fn a_daemon_that_is_killed_while_it_prunes_has_pruned_or_not() {
    let vault = old_vault(30);
    let daemon = vault.serve_unlocked();
    let mut pruning = vault.command(&["audit", "prune", "--before", "30d"]).spawn().expect("started");
    daemon.kill();
    pruning.wait().expect("it ends");
    let daemon = vault.serve_unlocked();
    let first = daemon.run(&["audit", "verify", "--json"], "").json()["first"].clone();
    assert!(first == 1 || first == 34, "{first}");
    daemon.run(&["audit", "prune", "--before", "30d"], "").ok();
    assert_eq!(daemon.run(&["audit", "verify", "--json"], "").json()["first"], 34);
}

#[test]
fn a_row_that_was_planted_behind_a_pruned_ledger_is_refused() {
    let vault = old_vault(3);
    let daemon = vault.serve_unlocked();
    daemon.run(&["audit", "prune", "--before", "30d"], "").ok();
    let last = daemon.status()["audit_sequence"].as_i64().expect("a number");
    daemon.terminate();
    let planted = "INSERT INTO audit VALUES (?1, zeroblob(32), '{}')";
    vault.database().execute(planted, [last + 2]).expect("planted");
    let error = vault.serve().try_unlock(PASSWORD, &[]).fails(6);
    assert!(error.contains("vault.audit_broken"), "{error}");
}
