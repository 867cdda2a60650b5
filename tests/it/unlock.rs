//! `unlock` and `lock`: what opens a vault, what does not, and what a wrong guess costs.

use crate::support::files::holds;
use crate::support::http::{Connection, Response};
use crate::support::{Daemon, PASSWORD, SECRET, Vault};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// `POST /v1/unlock` with this secret, as a program would send it.
fn ask(daemon: &Daemon, kind: &str, secret: &str) -> Response {
    let body = json!({ "secret": { kind: secret } }).to_string();
    daemon.admin().request("POST", "/v1/unlock", None, Some(&body))
}

fn attempts(vault: &Vault) -> Option<Value> {
    let text = std::fs::read(vault.state_dir().join("attempts")).ok()?;
    Some(serde_json::from_slice(&text).expect("JSON"))
}

fn last_unlock(daemon: &Daemon) -> Value {
    let rows = daemon.run(&["audit", "list", "--json"], "").json();
    let bodies = rows.as_array().expect("rows").iter().map(|row| row["body"].as_str().expect("a body"));
    let mut rows = bodies.map(|body| serde_json::from_str::<Value>(body).expect("JSON"));
    rows.rfind(|row| row["event"] == "unlock").expect("an unlock")
}

#[test]
fn the_password_unlocks_and_lock_locks() {
    let vault = Vault::new();
    let daemon = vault.serve();
    assert_eq!(daemon.state(), "locked");
    let quiet = daemon.try_unlock(PASSWORD, &[]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    assert_eq!(daemon.state(), "unlocked");
    daemon.run(&["lock"], "").ok();
    daemon.run(&["lock"], "").ok();
    assert_eq!(daemon.state(), "locked");
    let told = daemon.try_unlock(PASSWORD, &["--json"]).json();
    assert_eq!((&told["slot"], &told["failed_attempts"]), (&json!(1), &json!(0)));
    assert_eq!(told["audit_sequence"], daemon.status()["audit_sequence"]);
    assert!(!vault.log().contains(PASSWORD));
}

#[test]
fn a_wrong_password_fails_and_is_told_of_at_the_next_unlock() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let error = daemon.try_unlock("not the password", &[]).fails(1);
    assert!(error.contains("unlock.failed") && !error.contains("not the password"), "{error}");
    assert_eq!(daemon.state(), "locked");
    std::thread::sleep(Duration::from_millis(1000));
    let told = daemon.try_unlock(PASSWORD, &[]);
    assert!(told.stderr.contains("failed attempts since the last unlock: 1"), "{told:?}");
    assert_eq!(last_unlock(&daemon)["failed_attempts"], 1);
    assert_eq!(daemon.try_unlock(PASSWORD, &["--json"]).json()["failed_attempts"], 0);
}

#[test]
fn t14_every_password_but_the_very_same_bytes_is_wrong() {
    let vault = Vault::nowhere();
    let password = "caf\u{e9} au lait, s.v.p.";
    vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], password).ok();
    let daemon = vault.serve();
    let twins = [
        format!("{password}\0"),
        format!("{password}\n"),
        format!(" {password}"),
        password.replace('\u{e9}', "e\u{301}"),
        password.to_uppercase(),
        password[..password.len() - 1].to_owned(),
        "x".repeat(1024),
    ];
    let mut answers = Vec::new();
    for twin in &twins {
        let answer = ask(&daemon, "password", twin);
        assert_eq!((answer.status, answer.code().as_str()), (403, "unlock.failed"), "{twin:?}");
        answers.push(answer.body);
        vault.forget_attempts();
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "one answer for every wrong password");
    assert_eq!(ask(&daemon, "password", password).status, 200);
}

#[test]
fn t14_what_cannot_be_a_secret_is_refused_before_it_is_hashed_or_counted() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let too_long = "x".repeat(1025);
    let long_key = "A".repeat(53);
    let mut times = Vec::new();
    for (kind, secret) in [
        ("password", ""),
        ("password", too_long.as_str()),
        ("recovery", ""),
        ("recovery", "AAAA-BBBB"),
        ("recovery", long_key.as_str()),
        ("key_file", ""),
        ("key_file", "AAAA"),
        ("key_file", "not base64!"),
        ("pin", "1234"),
    ] {
        let began = Instant::now();
        let answer = ask(&daemon, kind, secret);
        times.push(began.elapsed());
        assert_eq!((answer.status, answer.code().as_str()), (400, "admin.invalid"), "{kind} {secret}");
        assert!(secret.is_empty() || !holds(&answer.body, secret.as_bytes()), "{kind} {secret}");
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "{times:?}");
    assert_eq!(attempts(&vault), None);
    for line in ["", "\n", &too_long] {
        daemon.try_unlock(line, &[]).fails(1);
    }
    assert_eq!(attempts(&vault), None);
    daemon.unlock();
}

#[test]
fn a_key_file_has_32_bytes_and_opens_its_slot_alone() {
    let vault = Vault::new();
    let key = vault.with_key_file();
    let daemon = vault.serve();
    let bytes = std::fs::read(&key).expect("a key");
    assert_eq!(bytes.len(), 32);
    for (name, content) in [("short", &bytes[..31]), ("long", &[&bytes[..], b"\n"].concat()), ("empty", &[])] {
        let path = vault.dir().join(name);
        std::fs::write(&path, content).expect("written");
        daemon.run(&["unlock", "--key-file", path.to_str().expect("UTF-8")], "").fails(1);
    }
    daemon.run(&["unlock", "--key-file", "nothing/here"], "").fails(1);
    daemon.run(&["unlock", "--key-file", &key, "--stdin"], "").fails(2);
    daemon.run(&["unlock", "--key-file", &key, "--recovery"], "").fails(2);
    assert!(attempts(&vault).is_some_and(|attempts| attempts["failed"] == 0));

    let wrong = vault.file("wrong", &"k".repeat(32));
    assert!(daemon.run(&["unlock", "--key-file", &wrong], "").fails(1).contains("unlock.failed"));
    vault.forget_attempts();
    daemon.unlock_with(&key);
    assert_eq!(daemon.state(), "unlocked");
}

#[test]
fn a_recovery_key_with_a_wrong_letter_fails() {
    let vault = Vault::nowhere();
    let init = ["init", "--stdin", "--recovery-file", "recovery", "--kdf-memory-mib", "64"];
    vault.run(&init, PASSWORD).ok();
    let key = std::fs::read_to_string(vault.dir().join("recovery")).expect("a recovery key");
    let daemon = vault.serve();
    let other = if key.starts_with('A') { "B" } else { "A" };
    let wrong = format!("{other}{}", &key[1..]);
    assert!(daemon.try_unlock(&wrong, &["--recovery"]).fails(1).contains("unlock.failed"));
    vault.forget_attempts();
    assert!(daemon.try_unlock(&key, &[]).fails(1).contains("unlock.failed"), "it is no password");
    vault.forget_attempts();
    daemon.try_unlock(&key, &["--recovery"]).ok();
}

#[test]
fn the_wait_doubles_and_a_restart_does_not_shorten_it() {
    let vault = Vault::new();
    let daemon = vault.serve();
    // A wrong key file fails at once, where the hash of a password could outlast the wait.
    let wrong = |daemon: &Daemon| assert_eq!(ask(daemon, "key_file", &BASE64_STANDARD.encode([7; 32])).status, 403);
    let wait_ms = |daemon: &Daemon| {
        let answer = ask(daemon, "password", PASSWORD);
        assert_eq!((answer.status, answer.code().as_str()), (429, "unlock.backoff"));
        assert!(answer.header("retry-after").is_some());
        answer.json()["retry_after_ms"].as_u64().expect("a number")
    };
    wrong(&daemon);
    let wait = wait_ms(&daemon);
    assert!(wait <= 1000, "{wait} ms");
    std::thread::sleep(Duration::from_millis(wait + 5));
    wrong(&daemon);
    let wait = wait_ms(&daemon);
    assert!((1001..=2000).contains(&wait), "{wait} ms");
    daemon.kill();

    let daemon = vault.serve();
    assert!(daemon.try_unlock(PASSWORD, &[]).fails(1).contains("retry after:"));
    std::thread::sleep(Duration::from_millis(wait_ms(&daemon) + 5));
    wrong(&daemon);
    let wait = wait_ms(&daemon);
    assert!((2001..=4000).contains(&wait), "{wait} ms");
    assert_eq!(attempts(&vault).expect("a count")["failed"], 3, "those who were told to wait are not counted");

    vault.seem_to_have_failed(40);
    let wait = wait_ms(&daemon);
    assert!((50_000..=60_000).contains(&wait), "a minute at most: {wait} ms");
    vault.forget_attempts();
    daemon.unlock();
    assert_eq!(attempts(&vault).expect("a count")["failed"], 0);
}

#[test]
fn a_back_off_holds_for_every_way_to_unlock() {
    let vault = Vault::new();
    let key = vault.with_key_file();
    let daemon = vault.serve();
    vault.seem_to_have_failed(7);
    assert!(daemon.run(&["unlock", "--key-file", &key], "").fails(1).contains("unlock.backoff"));
    assert!(daemon.try_unlock(PASSWORD, &["--accept-rollback"]).fails(1).contains("unlock.backoff"));
}

#[test]
fn one_hash_runs_at_a_time_and_the_others_are_sent_away() {
    let vault = Vault::new();
    let daemon = vault.serve();
    for password in ["not the password", PASSWORD] {
        let before = daemon.peak_memory_kib();
        let together = Barrier::new(40);
        let socket = daemon.admin_socket();
        let body = json!({ "secret": { "password": password } }).to_string();
        let one = || {
            let mut connection = Connection::unix(&socket);
            together.wait();
            connection.request("POST", "/v1/unlock", None, Some(&body))
        };
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        let sent_away = answers.iter().filter(|answer| answer.status == 429).collect::<Vec<_>>();
        assert!(sent_away.iter().all(|answer| answer.code() == "unlock.backoff"));
        assert!(sent_away.len() >= 20, "{} of 40 were sent away", sent_away.len());
        let hashed = answers.iter().find(|answer| answer.status != 429).expect("one was tried");
        assert_eq!(hashed.status, if password == PASSWORD { 200 } else { 403 });
        let grown = daemon.peak_memory_kib() - before;
        assert!(grown < (64 + 24) * 1024, "{grown} KiB more: more than one hash at a time");
        vault.forget_attempts();
    }
    assert_eq!(daemon.state(), "unlocked");
}

#[test]
fn a_daemon_without_a_vault_says_so_until_there_is_one() {
    let vault = Vault::nowhere();
    let daemon = vault.serve();
    assert_eq!(daemon.state(), "uninitialized");
    let error = daemon.try_unlock(PASSWORD, &[]).fails(1);
    assert!(error.contains("no vault here yet") && error.contains("signvault init"), "{error}");
    assert_eq!(daemon.tcp().sign("svb_x", "main", "GET", "/api/v5/account/balance", None).status, 423);

    daemon.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).ok();
    assert_eq!(daemon.state(), "locked");
    daemon.unlock();
    assert_eq!(daemon.state(), "unlocked");
}

#[test]
fn the_daemon_unlocks_itself_with_a_password_from_its_standard_input() {
    let vault = Vault::new();
    let refused = vault.run(&["serve", "--listen", "127.0.0.1:0", "--unlock-stdin"], "not the password");
    assert!(refused.fails(1).contains("did not open"));
    std::thread::sleep(Duration::from_millis(1000));
    let daemon = vault.serve_and_tell(&["--unlock-stdin"], &format!("{PASSWORD}\n"));
    assert_eq!(daemon.state(), "unlocked");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn while_locked_everything_says_so_to_everyone() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    daemon.run(&["lock"], "").ok();
    let tokens = [Some(token.as_str()), Some("svb_x"), None];
    let path = "/v1/whoami";
    let answers = tokens.map(|token| daemon.tcp().request("GET", path, token, None));
    assert!(answers.iter().all(|answer| answer.status == 423 && answer.body == answers[0].body));
    for command in [
        &["credential", "list"][..],
        &["credential", "show", "main"],
        &["bot", "list"],
        &["policy", "list"],
        &["slot", "list"],
        &["audit", "list"],
        &["audit", "verify"],
        &["backup", "b"],
        &["bot", "revoke", "bob"],
    ] {
        assert!(daemon.run(command, "").fails(4).contains("vault.locked"), "{command:?}");
    }
    assert!(!vault.dir().join("b").exists(), "a backup that was refused leaves no file");
    daemon.unlock();
    let answer = daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None);
    crate::support::exchange::check_signature(&answer.ok(), SECRET, "GET", "/api/v5/account/balance", "");
}
