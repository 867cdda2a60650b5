//! `bot`: tokens and what they reach.

use crate::support::files::mode;
use crate::support::http::Connection;
use crate::support::{Answer, Daemon, Vault};
use rustix::process::{Gid, Uid};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

const BALANCE: &str = "/api/v5/account/balance";
/// A user that has no files on this machine.
const NOBODY: u32 = 65534;

/// An unlocked vault with the credentials `one` and `two`.
fn started(vault: &Vault) -> Daemon<'_> {
    let daemon = vault.serve_unlocked();
    daemon.add_credential("one");
    daemon.add_credential("two");
    daemon
}

fn add(daemon: &Daemon, name: &str, more: &[&str]) -> Answer {
    daemon.run(&[&["bot", "add", name, "--credential", "one"], more].concat(), "")
}

fn token(daemon: &Daemon, name: &str, more: &[&str]) -> String {
    add(daemon, name, more).ok().trim_end().to_owned()
}

fn status(daemon: &Daemon, token: &str) -> u16 {
    daemon.tcp().sign(token, "one", "GET", BALANCE, None).status
}

fn shown(daemon: &Daemon, name: &str) -> Value {
    daemon.run(&["bot", "show", name, "--json"], "").json()
}

/// The pieces of a token: id, secret, checksum. Panics when it is not of the contract's form.
fn pieces(token: &str) -> (String, String, String) {
    let parts: Vec<&str> = token.split('_').collect();
    assert_eq!(parts[0], "svb");
    assert_eq!(parts[1..].iter().map(|part| part.len()).collect::<Vec<_>>(), [26, 52, 7], "{token}");
    let base32 = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    assert!(parts[1..].iter().all(|part| base32(part)), "{token}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

fn checksum(before: &str) -> String {
    data_encoding::BASE32_NOPAD.encode(&Sha256::digest(before)[..4]).to_lowercase()
}

#[test]
fn a_token_has_the_form_that_programs_can_check() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let made = add(&daemon, "bob", &[]).ok();
    assert_eq!(made.lines().count(), 1, "the token line alone");
    let (id, secret, sum) = pieces(made.trim_end());
    assert_eq!(sum, checksum(&format!("svb_{id}_{secret}")));

    let json = add(&daemon, "eve", &["--json"]).json();
    let members: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["id", "name", "token"]);
    let (other_id, other_secret, _) = pieces(json["token"].as_str().expect("a token"));
    assert_eq!(json["name"], "eve");
    assert!(id != other_id && secret != other_secret);
    assert_eq!(shown(&daemon, "eve")["id"], json["id"]);
}

#[test]
fn a_token_is_shown_once_and_stands_nowhere() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let token = token(&daemon, "bob", &[]);
    assert_eq!(status(&daemon, &token), 200);
    let (_, secret, _) = pieces(&token);
    for command in [&["bot", "show", "bob", "--json"][..], &["bot", "list", "--json"], &["audit", "export"]] {
        assert!(!daemon.run(command, "").ok().contains(&secret), "{command:?}");
    }
    daemon.terminate();
    assert!(!vault.log().contains(&secret));
    let files = vault.files();
    assert!(files.values().all(|(_, content)| !crate::support::files::holds(content, secret.as_bytes())));
}

#[test]
fn a_token_file_is_new_and_its_owner_s_alone() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let path = vault.dir().join("token");
    assert_eq!(add(&daemon, "bob", &["--token-file", "token"]).ok(), "");
    assert_eq!(mode(&path), 0o600);
    let token = std::fs::read_to_string(&path).expect("a token");
    assert_eq!(status(&daemon, token.trim_end()), 200);
    let told = add(&daemon, "eve", &["--token-file", "other", "--json"]).json();
    assert_eq!(told["token"], Value::Null);
    assert!(told["token_file"].as_str().is_some_and(|place| Path::new(place).is_absolute()));

    let before = daemon.status()["state_version"].clone();
    let target = vault.dir().join("target");
    symlink(&target, vault.dir().join("link")).expect("linked");
    for place in ["token", "link", "no/such/dir"] {
        add(&daemon, "mallory", &["--token-file", place]).fails(1);
        daemon.run(&["bot", "rotate", "bob", "--token-file", place], "").fails(1);
    }
    assert!(!target.exists());
    assert_eq!(std::fs::read_to_string(&path).expect("a token"), token);
    assert_eq!(daemon.status()["state_version"], before, "no token was made that nobody has");
    add(&daemon, "bob", &["--token-file", "late"]).fails(1);
    assert!(!vault.dir().join("late").exists(), "a file without a token does not stay");
}

#[test]
fn a_name_is_taken_once_and_what_is_named_must_be_there() {
    let vault = Vault::new();
    let daemon = started(&vault);
    token(&daemon, "bob", &[]);
    let before = daemon.status()["state_version"].clone();
    assert!(add(&daemon, "bob", &[]).fails(1).contains("admin.exists"));
    assert!(add(&daemon, "eve", &["--credential", "none"]).fails(1).contains("no credential of that name"));
    assert!(add(&daemon, "eve", &["--policy", "none"]).fails(1).contains("no policy of that name"));
    daemon.run(&["bot", "add", "eve"], "").fails(2);
    for expires in ["0d", "90", "-1d", "1.5h", "soon", "200000d"] {
        add(&daemon, "eve", &["--expires", expires]).fails(2);
    }
    for name in ["", "a b", "../x", "x\n", "\u{2028}", &"n".repeat(65)] {
        assert!(add(&daemon, name, &[]).fails(1).contains("name of a bot"), "{name:?}");
    }
    for verb in ["show", "rotate", "revoke", "remove"] {
        assert!(daemon.run(&["bot", verb, "nobody"], "").fails(1).contains("admin.not_found"), "{verb}");
    }
    assert_eq!(daemon.status()["state_version"], before);
}

#[test]
fn a_bot_without_a_policy_may_read_and_nothing_else() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let token = token(&daemon, "bob", &[]);
    assert_eq!(status(&daemon, &token), 200);
    let order = daemon.tcp().sign(&token, "one", "POST", "/api/v5/trade/order", Some("{}"));
    assert_eq!((order.status, order.code().as_str()), (403, "policy.grant"));
    assert_eq!(
        (&shown(&daemon, "bob")["policy"], &shown(&daemon, "bob")["grants"]),
        (&json!("read-only"), &json!(["read"]))
    );
}

#[test]
fn a_token_stops_working_when_it_expires() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let short = token(&daemon, "short", &["--expires", "2s"]);
    let long = token(&daemon, "long", &["--expires", "90d"]);
    assert_eq!((status(&daemon, &short), status(&daemon, &long)), (200, 200));
    assert!(shown(&daemon, "short")["expires"].is_string());
    let mut connection = daemon.tcp();
    std::thread::sleep(Duration::from_millis(2050));
    let expired = connection.sign(&short, "one", "GET", BALANCE, None);
    let unknown = daemon.tcp().sign("svb_x", "one", "GET", BALANCE, None);
    assert_eq!((expired.status, &expired.body), (401, &unknown.body), "like any other failure");
    assert_eq!(status(&daemon, &long), 200);
}

#[test]
fn one_answer_for_every_token_that_does_not_work() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let good = token(&daemon, "bob", &[]);
    let revoked = token(&daemon, "eve", &[]);
    daemon.run(&["bot", "revoke", "eve"], "").ok();
    let (id, secret, _) = pieces(&good);
    let other_id = format!("{}{}", if id.starts_with('b') { 'c' } else { 'b' }, &id[1..]);
    let other_secret = format!("{}{}", if secret.starts_with('b') { 'c' } else { 'b' }, &secret[1..]);
    let whole = |id: &str, secret: &str| format!("svb_{id}_{secret}_{}", checksum(&format!("svb_{id}_{secret}")));
    assert_eq!(whole(&id, &secret), good);
    let tokens = [
        revoked,
        whole(&other_id, &secret),
        whole(&id, &other_secret),
        good.to_uppercase(),
        format!("{good}x"),
        good[..good.len() - 1].to_owned(),
        "svb_".to_owned(),
    ];
    let answers = tokens.map(|token| daemon.tcp().sign(&token, "one", "GET", BALANCE, None));
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (401, &answers[0].body));
    }
    assert_eq!(answers[0].code(), "auth.failed");
    let none = daemon.tcp().request("GET", "/v1/whoami", None, None);
    assert_eq!(none.body, answers[0].body);
    assert_eq!(status(&daemon, &good), 200);
}

#[test]
fn each_bot_has_its_own_credentials_and_cannot_tell_foreign_from_unknown() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let one = daemon.add_bot("bot-one", "one", &["read"]);
    let two = daemon.add_bot("bot-two", "two", &["read"]);
    let both = daemon.run(&["bot", "add", "both", "--credential", "one", "--credential", "two"], "").ok();
    let ask = |token: &str, credential: &str| daemon.tcp().sign(token.trim_end(), credential, "GET", BALANCE, None);
    for (token, own, foreign) in [(&one, "one", "two"), (&two, "two", "one")] {
        assert_eq!(ask(token, own).status, 200);
        let strip = |answer: &crate::support::http::Response| {
            let mut problem = answer.json();
            problem.as_object_mut().expect("an object").remove("audit_seq");
            (answer.status, problem.to_string())
        };
        let answers = [foreign, "none", "", "../one", "ONE"].map(|name| strip(&ask(token, name)));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(answers[0].0, 403);
        assert!(answers[0].1.contains("policy.credential"), "{}", answers[0].1);
    }
    assert_eq!((ask(&both, "one").status, ask(&both, "two").status), (200, 200));
}

#[test]
fn a_rotation_ends_the_old_token_and_brings_a_revoked_bot_back() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let first = token(&daemon, "bob", &[]);
    let second = daemon.run(&["bot", "rotate", "bob"], "").ok().trim_end().to_owned();
    assert_eq!(pieces(&first).0, pieces(&second).0, "the bot is the same");
    assert_eq!((status(&daemon, &first), status(&daemon, &second)), (401, 200));
    daemon.run(&["bot", "revoke", "bob"], "").ok();
    assert_eq!((status(&daemon, &second), shown(&daemon, "bob")["revoked"].clone()), (401, json!(true)));
    assert!(daemon.run(&["bot", "list"], "").ok().contains("revoked"));
    let third = daemon.run(&["bot", "rotate", "bob", "--token-file", "token"], "");
    assert_eq!(third.ok(), "");
    let third = std::fs::read_to_string(vault.dir().join("token")).expect("a token");
    assert_eq!((status(&daemon, &second), status(&daemon, third.trim_end())), (401, 200));

    daemon.terminate();
    let daemon = vault.serve_unlocked();
    assert_eq!((status(&daemon, &second), status(&daemon, third.trim_end())), (401, 200));
    daemon.run(&["bot", "remove", "bob"], "").ok();
    assert_eq!(status(&daemon, third.trim_end()), 401);
    assert!(daemon.run(&["bot", "show", "bob"], "").fails(1).contains("admin.not_found"));
    let again = token(&daemon, "bob", &[]);
    assert_eq!((status(&daemon, &again), status(&daemon, third.trim_end())), (200, 401));
}

#[test]
fn after_a_revoke_returns_no_ledger_row_allows_the_bot_anything() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let token = daemon.add_bot("bob", "one", &["read"]);
    let allowed: Vec<u64> = std::thread::scope(|scope| {
        let signer = || {
            let mut connection = daemon.tcp();
            let mut rows = Vec::new();
            loop {
                let answer = connection.sign(&token, "one", "GET", BALANCE, None);
                match answer.status {
                    200 => rows.push(answer.json()["audit_seq"].as_u64().expect("a row")),
                    401 => return rows,
                    other => panic!("{other}"),
                }
            }
        };
        let signers: Vec<_> = (0..4).map(|_| scope.spawn(signer)).collect();
        std::thread::sleep(Duration::from_millis(200));
        daemon.run(&["bot", "revoke", "bob"], "").ok();
        signers.into_iter().flat_map(|signer| signer.join().expect("it ends")).collect()
    });
    let revoked = daemon.run(&["audit", "list", "--limit", "1000", "--json"], "").json();
    let revoke = revoked
        .as_array()
        .expect("rows")
        .iter()
        .rfind(|row| row["body"].as_str().is_some_and(|b| b.contains("revoke")));
    let revoke = revoke.expect("a row about it")["seq"].as_u64().expect("a number");
    assert!(!allowed.is_empty() && allowed.iter().all(|seq| *seq < revoke), "{revoke}: {:?}", allowed.iter().max());
}

#[test]
fn t28_a_bot_that_is_bound_to_a_user_is_refused_over_tcp_and_to_others() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let own = rustix::process::geteuid().as_raw();
    let mine = token(&daemon, "mine", &["--uid", &own.to_string()]);
    let theirs = token(&daemon, "theirs", &["--uid", &NOBODY.to_string(), "--uid", "65533"]);
    let free = token(&daemon, "free", &[]);
    let over_tcp = |token: &str| status(&daemon, token);
    let over_unix = |token: &str| daemon.unix().sign(token, "one", "GET", BALANCE, None).status;
    assert_eq!([over_tcp(&mine), over_tcp(&theirs), over_tcp(&free)], [401, 401, 200]);
    assert_eq!([over_unix(&mine), over_unix(&theirs), over_unix(&free)], [200, 401, 200]);
    assert_eq!(shown(&daemon, "theirs")["uids"], json!([NOBODY, 65533]));

    if !rustix::process::geteuid().is_root() {
        return;
    }
    for path in [vault.dir(), &vault.run_dir()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("opened");
    }
    std::fs::set_permissions(daemon.sign_socket(), std::fs::Permissions::from_mode(0o666)).expect("opened");
    std::fs::set_permissions(daemon.admin_socket(), std::fs::Permissions::from_mode(0o666)).expect("opened");
    let (sign, admin) = (daemon.sign_socket(), daemon.admin_socket());
    let ask = move |token: &String| Connection::unix(&sign).sign(token, "one", "GET", BALANCE, None).status;
    let tokens = [mine, theirs, free];
    let as_nobody = std::thread::spawn(move || {
        become_user(NOBODY);
        let refused = Connection::unix(&admin).request("GET", "/v1/status", None, None);
        (tokens.each_ref().map(ask), refused.status)
    });
    assert_eq!(as_nobody.join().expect("answers"), ([401, 200, 200], 401));
    let rows = daemon.run(&["audit", "list", "--bot", "theirs"], "").ok();
    assert!(rows.contains(&format!("uid={NOBODY}")), "{rows}");
}

/// Makes this one thread another user's. It cannot go back, so it must be a thread of its own.
pub fn become_user(uid: u32) {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("another group");
    rustix::thread::set_thread_res_uid(uid, uid, uid).expect("another user");
}

#[test]
fn whoami_tells_a_bot_about_itself_alone() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let token = daemon.add_bot("bob", "one", &["read", "trade"]);
    let about = daemon.tcp().request("GET", "/v1/whoami", Some(&token), None).ok();
    assert_eq!(
        (&about["bot"], &about["policy"], &about["grants"]),
        (&json!("bob"), &json!("bob-policy"), &json!(["read", "trade"]))
    );
    let credentials = about["credentials"].as_array().expect("cards");
    assert_eq!(credentials.len(), 1);
    assert_eq!((&credentials[0]["name"], &credentials[0]["exchange"]), (&json!("one"), &json!("okx")));
    assert!(
        about["words"]
            .as_array()
            .is_some_and(|words| words.contains(&json!("may not withdraw funds from the exchange")))
    );
    assert!(about["limits"].is_object());
    let text = about.to_string();
    for secret in [crate::support::SECRET, crate::support::PASSPHRASE, crate::support::API_KEY, "\"two\""] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(daemon.tcp().request("GET", "/v1/whoami", Some("svb_x"), None).status, 401);
    assert_eq!(daemon.tcp().request("POST", "/v1/whoami", Some(&token), Some("{}")).status, 405);
    assert!(shown(&daemon, "bob")["last_seen"].is_string());
}
