//! `backup` and `restore`: a copy that opens elsewhere, or not at all.

use crate::support::exchange::check_signature;
use crate::support::files::{holds, mode, tree};
use crate::support::{Answer, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const BALANCE: &str = "/api/v5/account/balance";

/// A daemon over a vault with the credential `main`, the bot `bob` and a key file; and bob's token.
fn started(vault: &Vault) -> (Daemon<'_>, String) {
    let daemon = vault.serve_unlocked();
    daemon.run(&["slot", "add", "key-file", &vault.key_file()], "").ok();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    (daemon, token)
}

/// Makes a backup in a file of this name beside the vault.
fn backup(daemon: &Daemon, name: &str) -> PathBuf {
    let path = daemon.vault.dir().join(name);
    daemon.run(&["backup", name], "").ok();
    path
}

/// `restore` with the key file of `source`, which costs no password hash.
fn restore(to: &Vault, file: &Path, source: &Vault, more: &[&str]) -> Answer {
    let file = file.to_str().expect("UTF-8");
    to.run(&[&["restore", file, "--key-file", &source.key_file()], more].concat(), "")
}

#[test]
fn a_backup_is_made_while_bots_sign_and_opens_elsewhere_with_the_same_tokens() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    let done = AtomicBool::new(false);
    let signed = std::thread::scope(|scope| {
        let signer = scope.spawn(|| {
            let mut connection = daemon.tcp();
            let mut signed = 0;
            while !done.load(Ordering::Relaxed) {
                connection.sign(&token, "main", "GET", BALANCE, None).ok();
                signed += 1;
            }
            signed
        });
        for number in 0..5 {
            backup(&daemon, &format!("backup-{number}"));
        }
        done.store(true, Ordering::Relaxed);
        signer.join().expect("it signs all the while")
    });
    assert!(signed > 5, "{signed}");
    let state_version = daemon.status()["state_version"].clone();

    let other = Vault::nowhere();
    let file = vault.dir().join("backup-4");
    let told = other.run(&["restore", file.to_str().expect("UTF-8"), "--stdin", "--json"], PASSWORD).json();
    assert_eq!(told["state_version"], state_version);
    let restored = other.serve_unlocked();
    check_signature(&restored.tcp().sign(&token, "main", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");
    restored.run(&["audit", "verify"], "").ok();
    let rows = restored.run(&["audit", "list"], "").ok();
    assert!(rows.contains("  backup") && rows.contains("  restore  "), "{rows}");
    for (path, (mode, _)) in other.files() {
        assert_eq!(mode & 0o777, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    assert!(!other.state_dir().join("restore.tmp").exists());
    check_signature(&daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");
}

#[test]
fn a_backup_file_is_new_sealed_and_its_owner_s_alone() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    let path = backup(&daemon, "backup");
    assert_eq!(mode(&path), 0o600);
    let content = std::fs::read(&path).expect("read");
    for plain in [SECRET, PASSPHRASE, PASSWORD, &token, "SQLite format 3", "CREATE TABLE", "bob", "main"] {
        assert!(!holds(&content, plain.as_bytes()), "{plain}");
    }
    let told = daemon.run(&["backup", "json", "--json"], "").json();
    assert_eq!(told["bytes"].as_u64(), Some(std::fs::metadata(vault.dir().join("json")).expect("there").len()));

    let target = vault.dir().join("target");
    symlink(&target, vault.dir().join("link")).expect("linked");
    for place in ["backup", "link", "no/such/dir"] {
        daemon.run(&["backup", place], "").fails(1);
    }
    assert!(!target.exists());
    assert_eq!(std::fs::read(&path).expect("read"), content);
    let left = tree(&vault.state_dir());
    assert!(left.keys().all(|path| !path.to_string_lossy().contains("backup")), "{:?}", left.keys());
}

#[test]
fn a_copy_that_was_planted_in_the_way_of_a_backup_is_not_followed() {
    let vault = Vault::new();
    let (daemon, _) = started(&vault);
    let target = vault.file("target", "mine");
    symlink(&target, vault.state_dir().join("backup.tmp")).expect("linked");
    backup(&daemon, "backup");
    assert_eq!(std::fs::read_to_string(&target).expect("still there"), "mine");
    restore(&Vault::nowhere(), &vault.dir().join("backup"), &vault, &[]).ok();
}

#[test]
fn t20_only_what_opened_the_vault_then_opens_the_backup() {
    let vault = Vault::new();
    let (daemon, _) = started(&vault);
    daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery"], "").ok();
    let file = backup(&daemon, "backup");
    let file = file.to_str().expect("UTF-8");
    let new = "a new long password";
    daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{new}\n")).ok();
    let later = backup(&daemon, "later");
    let recovery = std::fs::read_to_string(vault.dir().join("recovery")).expect("a recovery key");

    let other = Vault::nowhere();
    for (arguments, stdin) in
        [(&["--stdin"][..], new), (&["--stdin"], "not the password"), (&["--stdin", "--recovery"], &"A".repeat(52))]
    {
        let error = other.run(&[&["restore", file], arguments].concat(), stdin).fails(1);
        assert!(error.contains("unlock.failed"), "{error}");
    }
    other.run(&["restore", file, "--stdin"], "").fails(1);
    other.run(&["restore", file], PASSWORD).fails(2);
    other.run(&["restore", "no/such/file", "--stdin"], PASSWORD).fails(1);
    assert!(!other.state_dir().exists() && !other.anchor_dir().exists(), "nothing was written");
    other.run(&["restore", file, "--stdin"], PASSWORD).ok();
    other.serve_unlocked();
    let by_key = Vault::nowhere();
    restore(&by_key, &later, &vault, &[]).ok();
    let by_recovery = Vault::nowhere();
    by_recovery.run(&["restore", file, "--stdin", "--recovery"], &recovery).ok();
    by_recovery.serve_unlocked();
}

#[test]
fn t24_a_backup_that_was_changed_cut_or_lengthened_is_refused_and_nothing_is_written() {
    let vault = Vault::new();
    let (daemon, _) = started(&vault);
    let whole = std::fs::read(backup(&daemon, "backup")).expect("read");
    let other = Vault::nowhere();
    let changed = vault.dir().join("changed");
    let refused = |content: &[u8], what: &str| {
        std::fs::write(&changed, content).expect("written");
        let answer = restore(&other, &changed, &vault, &[]);
        // A flip in what the key file's slot is opened with looks like another key, and must.
        assert!([1, 6].contains(&answer.code), "{what}: {answer:?}");
        assert!(answer.code == 6 || answer.stderr.contains("unlock.failed"), "{what}: {answer:?}");
        assert!(!other.state_dir().exists() && !other.anchor_dir().exists(), "{what}: something was written");
        answer.code
    };
    let mut broken = 0;
    let head = (0..87 + 2 * 163 + 40).step_by(9);
    for at in head.chain((0..whole.len()).step_by(whole.len() / 37)).chain([whole.len() - 1]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        broken += i32::from(refused(&flipped, &format!("byte {at}")) == 6);
    }
    assert!(broken > 60, "{broken}");
    for length in [0, 1, 8, 86, 87, 249, 250, 300, 413, 414, 417, whole.len() / 2, whole.len() - 1] {
        assert_eq!(refused(&whole[..length], &format!("cut at {length}")), 6, "cut at {length}");
    }
    for more in [&b"\0"[..], b"more", &whole] {
        assert_eq!(refused(&[&whole[..], more].concat(), "lengthened"), 6);
    }
    assert_eq!(refused(b"not a backup", "something else"), 6);
    restore(&other, &vault.dir().join("backup"), &vault, &[]).ok();
}

#[test]
fn a_backup_goes_nowhere_where_a_vault_is() {
    let vault = Vault::new();
    let (daemon, _) = started(&vault);
    let file = backup(&daemon, "backup");
    daemon.terminate();
    let before = vault.files();
    let error = restore(&vault, &file, &vault, &["--accept-rollback"]).fails(1);
    assert!(error.contains("there is a vault already") && error.contains("admin.exists"), "{error}");
    assert_eq!(vault.files(), before);

    let other = Vault::nowhere();
    std::fs::create_dir(other.state_dir()).expect("made");
    std::fs::set_permissions(other.state_dir(), std::fs::Permissions::from_mode(0o700)).expect("narrowed");
    let target = other.dir().join("target");
    symlink(&target, other.state_dir().join("vault.db")).expect("linked");
    restore(&other, &file, &vault, &[]).fails(1);
    assert!(!target.exists() && !other.anchor_dir().join("anchor").exists());
    std::fs::remove_file(other.state_dir().join("vault.db")).expect("removed");
    let mine = other.dir().join("mine");
    std::fs::create_dir(&mine).expect("made");
    std::fs::write(mine.join("file"), "mine").expect("written");
    symlink(&mine, other.state_dir().join("restore.tmp")).expect("linked");
    restore(&other, &file, &vault, &[]).ok();
    assert_eq!(std::fs::read_to_string(mine.join("file")).expect("still there"), "mine");
}

#[test]
fn t24_an_older_backup_than_the_anchor_remembers_must_be_accepted() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    let older = backup(&daemon, "older");
    daemon.run(&["bot", "revoke", "bob"], "").ok();
    let newest = backup(&daemon, "newest");
    daemon.terminate();
    std::fs::rename(vault.state_dir(), vault.dir().join("lost")).expect("lost");
    let anchor = tree(&vault.anchor_dir());
    for file in [&older, &newest] {
        // Even the newest lacks the row about the daemon's end.
        let error = restore(&vault, file, &vault, &[]).fails(6);
        assert!(error.contains("vault.rollback_detected") && error.contains("--accept-rollback"), "{error}");
        assert!(!vault.state_dir().exists());
        assert_eq!(tree(&vault.anchor_dir()), anchor);
    }
    restore(&vault, &older, &vault, &["--accept-rollback"]).ok();
    let daemon = vault.serve();
    daemon.unlock_with(&vault.key_file());
    assert_eq!(daemon.tcp().sign(&token, "main", "GET", BALANCE, None).status, 200, "it is the older state");
}

#[test]
fn a_restore_beside_a_running_daemon_is_unlocked_by_it() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    let file = backup(&daemon, "backup");
    let other = Vault::nowhere();
    let waiting = other.serve();
    assert_eq!(waiting.state(), "uninitialized");
    restore(&other, &file, &vault, &[]).ok();
    waiting.unlock_with(&vault.key_file());
    assert_eq!(waiting.tcp().sign(&token, "main", "GET", BALANCE, None).status, 200);
}

#[test]
fn root_restores_a_vault_that_belongs_to_the_directory_s_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let vault = Vault::new();
    let (daemon, _) = started(&vault);
    let file = backup(&daemon, "backup");
    let other = Vault::nowhere();
    std::fs::create_dir(other.state_dir()).expect("made");
    chown(other.state_dir(), Some(65534), Some(65534)).expect("given");
    restore(&other, &file, &vault, &[]).ok();
    for path in other.files().keys() {
        let about = path.symlink_metadata().expect("there");
        assert_eq!((about.uid(), about.gid()), (65534, 65534), "{}", path.display());
    }
}

#[test]
fn a_log_that_was_left_alone_keeps_restore_and_init_away() {
    let vault = Vault::new();
    let backup = vault.dir().join("kept").display().to_string();
    let daemon = vault.serve_unlocked();
    daemon.run(&["backup", &backup], "").ok();
    daemon.kill();
    std::fs::remove_file(vault.state_dir().join("vault.db")).unwrap();
    assert!(vault.state_dir().join("vault.db-wal").exists());
    vault.run(&["restore", &backup, "--stdin", "--accept-rollback"], PASSWORD).fails(1);
    vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).fails(1);
    std::fs::remove_file(vault.state_dir().join("vault.db-wal")).unwrap();
    vault.run(&["restore", &backup, "--stdin", "--accept-rollback"], PASSWORD).ok();
    vault.serve_unlocked();
}

#[test]
fn an_anchor_that_does_not_verify_is_not_written_over_unasked() {
    let vault = Vault::new();
    let backup = vault.dir().join("kept").display().to_string();
    let daemon = vault.serve_unlocked();
    daemon.run(&["backup", &backup], "").ok();
    assert_eq!(daemon.terminate(), 0);
    std::fs::remove_dir_all(vault.state_dir()).unwrap();
    let anchor = vault.anchor_dir().join("anchor");
    std::fs::write(&anchor, [7; 512]).unwrap();
    vault.run(&["restore", &backup, "--stdin"], PASSWORD).fails(6);
    assert_eq!(std::fs::read(&anchor).unwrap(), [7; 512]);
    vault.run(&["restore", &backup, "--stdin", "--accept-rollback"], PASSWORD).ok();
    vault.serve_unlocked();
}

#[test]
fn verify_says_what_a_backup_holds_needs_no_daemon_and_leaves_nothing() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok();
    let file = backup(&daemon, "./verify");
    let rows = daemon.status()["audit_sequence"].as_u64().expect("a number");
    assert_eq!(daemon.terminate(), 0);
    let before = vault.files();
    // A file that is named like the subcommand.
    let told = vault.run(&["backup", "verify", "./verify", "--stdin", "--json"], PASSWORD).json();
    assert_eq!((&told["credentials"], &told["bots"], &told["slots"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!((&told["first_row"], told["last_row"].as_u64()), (&1.into(), Some(rows)));
    let words = vault.run(&["backup", "verify", "verify", "--key-file", &vault.key_file()], "").ok();
    assert!(words.contains("ledger rows") && words.contains(&format!("the last is {rows}")), "{words}");

    let error = vault.run(&["backup", "verify", "verify", "--stdin"], "not the password").fails(1);
    assert!(error.contains("unlock.failed"), "{error}");
    let mut changed = std::fs::read(&file).expect("read");
    let at = changed.len() / 2;
    changed[at] ^= 1;
    std::fs::write(&file, &changed).expect("written");
    let error = vault.run(&["backup", "verify", "verify", "--key-file", &vault.key_file()], "").fails(6);
    assert!(error.contains("vault.storage_corrupt"), "{error}");
    vault.run(&["backup", "verify", "no-such-file", "--stdin"], PASSWORD).fails(1);
    vault.run(&["backup", "verify"], "").fails(2);
    assert_eq!(vault.files(), before, "the state directory is not touched");
}

#[test]
fn limits_are_spent_after_a_restore_unless_a_person_says_otherwise() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    let policy = "grants = [\"read\", \"trade\"]\n[limits]\norders_per_hour = 5\n";
    daemon.run(&["policy", "set", "bob-policy", &vault.file("policy.toml", policy)], "").ok();
    let file = backup(&daemon, "backup");
    let order = |id: &str, more: &str| {
        format!(
            r#"{{"instId":"BTC-USDT","tdMode":"cross","side":"sell","ordType":"market","sz":"1","clOrdId":"{id}"{more}}}"#
        )
    };
    for (more, status) in [(&[][..], 429), (&["--reset-limits"], 200)] {
        let other = Vault::nowhere();
        let answer = restore(&other, &file, &vault, more);
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(answer.stderr.contains("--reset-limits"), status == 429, "{}", answer.stderr);
        let daemon = other.serve();
        daemon.unlock_with(&vault.key_file());
        let mut bot = daemon.tcp();
        let response = bot.sign(&token, "main", "POST", "/api/v5/trade/order", Some(&order("a", "")));
        assert_eq!(response.status, status, "{response:?}");
        if status == 429 {
            let problem = response.json();
            assert_eq!(
                (&problem["code"], &problem["rule"]),
                (&"policy.limit".into(), &"limits.orders_per_hour".into())
            );
            let wait = problem["retry_after_ms"].as_u64().expect("a wait");
            assert!((3_000_000..=3_600_000).contains(&wait), "{wait}");
            assert!(problem["help"].as_str().is_some_and(|help| help.contains("--reset-limits")), "{problem}");
        }
        let used =
            bot.request("GET", "/v1/whoami", Some(&token), None).ok()["limits"]["orders_per_hour"]["used"].clone();
        assert_eq!(used, if status == 429 { 5 } else { 1 });
        let reduces = order("b", r#","reduceOnly":true"#);
        bot.sign(&token, "main", "POST", "/api/v5/trade/order", Some(&reduces)).ok();
        bot.sign(&token, "main", "GET", BALANCE, None).ok();
        let rows = daemon.run(&["audit", "export"], "").ok();
        assert!(rows.contains(&format!(r#"\"reset_limits\":{}"#, status == 200)), "{rows}");
    }
}

#[test]
fn nothing_is_made_beside_a_daemon_that_has_the_vault_open() {
    let vault = Vault::new();
    let (daemon, token) = started(&vault);
    let file = backup(&daemon, "backup");
    std::fs::rename(vault.state_dir(), vault.dir().join("lost")).expect("lost");
    let anchor = tree(&vault.anchor_dir());
    let error = restore(&vault, &file, &vault, &["--accept-rollback"]).fails(1);
    assert!(error.contains("has the vault of this anchor open") && error.contains("signvault lock"), "{error}");
    let error = vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).fails(1);
    assert!(error.contains("has the vault of this anchor open"), "{error}");
    assert!(!vault.state_dir().join("vault.db").exists());
    assert_eq!(tree(&vault.anchor_dir()), anchor);
    std::fs::remove_dir_all(vault.state_dir()).expect("removed");
    std::fs::rename(vault.dir().join("lost"), vault.state_dir()).expect("found");
    daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok();
}

#[test]
fn init_keeps_the_anchor_of_a_vault_that_is_gone_and_says_where() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.run(&["backup", "backup"], "").ok();
    assert_eq!(daemon.terminate(), 0);
    let anchor = std::fs::read(vault.anchor_dir().join("anchor")).expect("read");
    std::fs::rename(vault.state_dir(), vault.dir().join("lost")).expect("lost");
    let made = vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD);
    let kept = vault.anchor_dir().join("anchor.kept-1");
    assert!(made.code == 0 && made.stderr.contains(kept.to_str().expect("UTF-8")), "{made:?}");
    assert_eq!(std::fs::read(kept).expect("kept"), anchor);
    vault.serve_unlocked();
}
