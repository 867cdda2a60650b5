//! `audit`: what the ledger tells, and that it tells when it was changed.

use crate::support::files::holds;
use crate::support::http::ask;
use crate::support::{API_KEY, Answer, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault, signal};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

const BALANCE: &str = "/api/v5/account/balance";

/// The rows that a command shows with `--json`, each body parsed.
fn rows(daemon: &Daemon, arguments: &[&str]) -> Vec<Value> {
    let list = daemon.run(&[&["audit", "list", "--json"], arguments].concat(), "").json();
    let body = |row: &Value| serde_json::from_str(row["body"].as_str().expect("a body")).expect("JSON");
    list.as_array().expect("rows").iter().map(body).collect()
}

/// The lines of an export, parsed.
fn export(daemon: &Daemon) -> Vec<Value> {
    let lines = daemon.run(&["audit", "export"], "").ok();
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Two bots with a credential each: three asks of the first are allowed and two denied, one of the second is allowed.
fn busy(vault: &Vault) -> Daemon<'_> {
    let daemon = vault.serve_unlocked();
    for name in ["one", "two"] {
        daemon.add_credential(name);
    }
    let first = daemon.add_bot("first", "one", &["read"]);
    let second = daemon.add_bot("second", "two", &["read"]);
    let mut connection = daemon.tcp();
    for _ in 0..3 {
        connection.sign(&first, "one", "GET", BALANCE, None).ok();
    }
    assert_eq!(connection.sign(&first, "one", "POST", "/api/v5/trade/order", Some("{}")).status, 403);
    assert_eq!(connection.sign(&first, "two", "GET", BALANCE, None).status, 403);
    connection.sign(&second, "two", "GET", BALANCE, None).ok();
    daemon
}

#[test]
fn a_list_shows_what_it_is_asked_for_oldest_first() {
    let vault = Vault::new();
    let daemon = busy(&vault);
    assert_eq!(rows(&daemon, &["--bot", "first"]).len(), 6, "one of them tells that it was added");
    assert_eq!(rows(&daemon, &["--bot", "second"]).len(), 2);
    assert_eq!(rows(&daemon, &["--bot", "nobody"]).len(), 0);
    assert_eq!(rows(&daemon, &["--credential", "one"]).len(), 5);
    let denied = rows(&daemon, &["--denied"]);
    let codes: Vec<&Value> = denied.iter().map(|row| &row["code"]).collect();
    assert_eq!(codes, [&json!("policy.grant"), &json!("policy.credential")]);
    assert_eq!(denied[1]["credential"], Value::Null, "a credential that is not the bot's is not named");
    assert_eq!(rows(&daemon, &["--denied", "--bot", "second"]).len(), 0);
    let newest = rows(&daemon, &["--limit", "2"]);
    assert_eq!((&newest[0]["code"], &newest[1]["bot"]), (&json!("policy.credential"), &json!("second")));

    let all = rows(&daemon, &[]);
    assert_eq!(all[0]["event"], "init");
    let moment = all[4]["time"].as_str().expect("a time");
    assert!(rows(&daemon, &["--since", moment]).iter().all(|row| row["time"].as_str() >= Some(moment)));
    assert!(rows(&daemon, &["--since", moment]).len() < all.len());
    assert_eq!(rows(&daemon, &["--since", "1h"]).len(), all.len());
    assert_eq!(rows(&daemon, &["--since", "2099-01-01T00:00:00Z"]).len(), 0);
    for wrong in [&["--since", "yesterday"], &["--limit", "0"], &["--limit", "1001"]] {
        daemon.run(&[&["audit", "list"], &wrong[..]].concat(), "").fails(2);
    }
    let words = daemon.run(&["audit", "list", "--denied"], "").ok();
    assert!(words.lines().next().is_some_and(|line| line.contains("  sign  deny  policy.grant  bot=first")), "{words}");
}

#[test]
fn a_tail_shows_the_newest_and_follows_until_its_reader_goes() {
    let vault = Vault::new();
    let daemon = busy(&vault);
    let tail = daemon.run(&["audit", "tail", "-n", "2"], "").ok();
    assert_eq!(tail.lines().count(), 2);
    assert!(tail.lines().all(|line| line.contains("  sign  ")), "{tail}");
    daemon.run(&["audit", "tail", "-n", "0"], "").fails(2);

    let mut command = vault.command(&["audit", "tail", "-n", "1", "-f"]);
    let mut following = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it follows");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    assert!(lines.next().expect("a row").expect("text").contains("bot=second"));
    daemon.run(&["bot", "revoke", "second"], "").ok();
    assert!(lines.next().expect("a row").expect("text").contains("action=revoke  bot=second"));
    drop(lines);
    daemon.run(&["bot", "remove", "second"], "").ok();
    let deadline = Instant::now() + Duration::from_secs(5);
    while following.try_wait().expect("waited").is_none() {
        assert!(Instant::now() < deadline, "it follows on though nobody reads");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = Answer::of(following.wait_with_output().expect("it ended"));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn an_interrupted_tail_and_a_daemon_that_goes_end_the_following() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let follow = || {
        let mut command = vault.command(&["audit", "tail", "-f"]);
        let mut following = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it follows");
        let mut line = String::new();
        BufReader::new(following.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a row");
        following
    };
    let mut following = follow();
    // Not INT: a test that was started in the background of a shell has children that ignore it.
    signal(following.id(), "TERM");
    assert!(!following.wait().expect("it ends").success());
    let following = follow();
    daemon.terminate();
    let told = Answer::of(following.wait_with_output().expect("it ends")).fails(5);
    // Between two questions, or in the middle of one.
    assert!(told.contains("no daemon answers") || told.contains("the connection to the daemon broke"), "{told}");
}

#[test]
fn an_export_is_every_row_as_it_stands_in_the_database() {
    let vault = Vault::new();
    let daemon = busy(&vault);
    let exported = export(&daemon);
    let verified = daemon.run(&["audit", "verify", "--json"], "").json();
    let last = exported.last().expect("rows");
    assert_eq!((&verified["first"], &verified["last"], &verified["head"]), (&json!(1), &last["seq"], &last["head"]));
    assert_eq!(verified["rows"].as_u64(), Some(exported.len() as u64));
    assert_eq!((&daemon.status()["audit_sequence"], &daemon.status()["audit_head"]), (&last["seq"], &last["head"]));
    assert!(daemon.run(&["audit", "verify"], "").ok().starts_with(&format!("{} rows verified, 1 to", exported.len())));
    daemon.terminate();

    let database = vault.database();
    let mut statement =
        database.prepare("SELECT seq, lower(hex(head)), body FROM audit ORDER BY seq").expect("prepared");
    let stored = statement.query_map([], |row| {
        Ok(json!({ "seq": row.get::<_, i64>(0)?, "head": row.get::<_, String>(1)?, "body": row.get::<_, String>(2)? }))
    });
    let stored: Vec<Value> = stored.expect("rows").collect::<Result<_, _>>().expect("rows");
    assert_eq!(stored[..exported.len()], exported);
    assert!(exported.iter().all(|row| row.as_object().is_some_and(|row| row.len() == 3)));
}

#[test]
fn a_long_ledger_is_exported_and_verified_over_many_pages() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    sign_many(&daemon, &token, 110);
    let exported = export(&daemon);
    let numbers: Vec<u64> = exported.iter().map(|row| row["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(numbers.len() > 2200);
    daemon.run(&["audit", "verify"], "").ok();
    assert_eq!(rows(&daemon, &["--bot", "bob", "--limit", "1000"]).len(), 1000);
    let first = rows(&daemon, &["--credential", "main", "--since", "1h", "--limit", "1000"]);
    assert_eq!(first.len(), 1000);
}

/// So many batches of twenty asks each, all allowed.
fn sign_many(daemon: &Daemon, token: &str, batches: usize) {
    let batch = json!({ "requests": vec![ask("main", "GET", BALANCE, None); 20] }).to_string();
    let mut connection = daemon.tcp();
    for _ in 0..batches {
        let answer = connection.request("POST", "/v1/sign/batch", Some(token), Some(&batch)).ok();
        assert!(
            answer["results"].as_array().is_some_and(|results| results.iter().all(|one| one["headers"].is_object()))
        );
    }
}

#[test]
fn a_row_that_changes_under_a_running_daemon_is_named_by_verify() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    // More than the database keeps in memory.
    sign_many(&daemon, &token, 400);
    daemon.terminate();
    let row = "SELECT seq, body FROM audit WHERE body LIKE '%\"credential\",\"action\":\"add\"%'";
    let (seq, body): (i64, String) =
        vault.database().query_row(row, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row");

    let daemon = vault.serve_unlocked();
    daemon.run(&["audit", "verify"], "").ok();
    let file = std::fs::read(vault.database_path()).expect("read");
    let at = file.windows(body.len()).position(|window| window == body.as_bytes()).expect("it stands there");
    let name = at + body.find("\"main\"").expect("a name") + 1;
    let database = std::fs::File::options().write(true).open(vault.database_path()).expect("opened");
    database.write_all_at(b"evil", name as u64).expect("changed");
    let error = daemon.run(&["audit", "verify"], "").fails(6);
    let told = format!("the ledger is broken at row {seq}");
    assert!(error.contains(&told) && error.contains("vault.audit_broken"), "{error}");
    daemon.terminate();
    let daemon = vault.serve();
    let error = daemon.try_unlock(PASSWORD, &[]).fails(6);
    assert!(error.contains(&told), "{error}");
}

#[test]
fn an_old_row_of_a_long_ledger_that_was_changed_locks_the_daemon_and_keeps_it_locked() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    sign_many(&daemon, &token, 830);
    daemon.run(&["audit", "export"], "").ok();
    daemon.terminate();
    let daemon = vault.serve_unlocked();
    let verified = |status: &Value| (status["audit_verified_from"].clone(), status["audit_backlog"].clone());
    wait_until(|| verified(&daemon.status()) == (json!(1), json!(0)));
    daemon.terminate();

    vault.database().execute("UPDATE audit SET body = body || ' ' WHERE seq = 5000", []).expect("changed");
    let daemon = vault.serve_unlocked();
    wait_until(|| daemon.status()["state"] == "locked");
    let because = daemon.status()["locked_because"].as_str().expect("words").to_owned();
    assert!(because.starts_with("the ledger is broken at row 5000"), "{because}");
    assert!(daemon.run(&["status"], "").ok().contains("locked because: the ledger is broken at row 5000"));
    assert!(vault.log().contains("the vault is locked") && vault.log().contains("row 5000"), "{}", vault.log());
    let error = daemon.try_unlock(PASSWORD, &[]).fails(6);
    assert!(error.contains("vault.audit_broken") && error.contains("row 5000"), "{error}");
    daemon.terminate();
    let daemon = vault.serve();
    let error = daemon.try_unlock(PASSWORD, &[]).fails(6);
    assert!(error.contains("row 5000"), "the row of the lock says why: {error}");
    assert_eq!(daemon.status()["locked_because"], Value::Null);
}

/// Waits for something that the daemon does by itself.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn no_row_holds_a_secret_a_token_or_what_a_bot_made_up() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let mut connection = daemon.tcp();
    let signed = connection.sign(&token, "main", "GET", "/api/v5/account/balance?ccy=CANARY", None).ok();
    let body = r#"{"instId":"CANARY-USDT","tag":"CANARY"}"#;
    connection.sign(&token, "main", "POST", "/api/v5/trade/order", Some(body)).ok();
    connection.sign(&token, "CANARY", "GET", "/CANARY", None);
    connection.sign(&token, "main", "GET", "/api/v5/CANARY", None);
    connection.sign(&token, "main", "POST", "/api/v5/trade/order", Some("CANARY"));
    let signature = signed["headers"]["OK-ACCESS-SIGN"].as_str().expect("a signature");
    let exported = daemon.run(&["audit", "export"], "").ok();
    for secret in [API_KEY, SECRET, PASSPHRASE, PASSWORD, signature, &token, &token[31..83], "CANARY"] {
        assert!(!exported.contains(secret), "{secret}");
    }
    daemon.terminate();
    assert!(vault.files().values().all(|(_, content)| !holds(content, b"CANARY")));
    assert!(!vault.log().contains("CANARY"));
}

#[test]
fn the_ledger_cannot_be_read_while_locked_and_goes_on_after() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.run(&["lock"], "").ok();
    for command in [&["audit", "tail"][..], &["audit", "list"], &["audit", "verify"], &["audit", "export"]] {
        daemon.run(command, "").fails(4);
    }
    daemon.unlock();
    let events: Vec<Value> = rows(&daemon, &[]).iter().map(|row| row["event"].clone()).collect();
    assert_eq!(events, ["init", "unlock", "lock", "unlock"]);
}
