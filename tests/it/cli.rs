//! The command line itself: exit codes, what goes where, and that it repeats no secret.

use crate::support::exchange::hmac_base64;
use crate::support::{Answer, Daemon, PASSWORD, SECRET, Vault};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

const BALANCE: &str = "/api/v5/account/balance";

/// A vector file of this project.
fn vectors(name: &str) -> String {
    format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A vault with the credential `main` and a bot whose token is in the file `token`.
fn started(vault: &Vault) -> Daemon<'_> {
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    vault.file("token", &format!("{token}\n"));
    daemon
}

fn sign(daemon: &Daemon, method: &str, path: &str, more: &[&str]) -> Answer {
    let arguments = ["sign", method, path, "--credential", "main", "--token-file", "token"];
    daemon.run(&[&arguments[..], more].concat(), "")
}

#[test]
fn each_outcome_has_its_exit_code() {
    let vault = Vault::new();
    let unreachable = vault.run(&["status"], "").fails(5);
    assert!(unreachable.contains("no daemon answers at") && unreachable.contains("signvault serve"), "{unreachable}");
    for command in
        [&["unlock", "--stdin"][..], &["lock"], &["credential", "list"], &["audit", "export"], &["backup", "b"]]
    {
        vault.run(command, PASSWORD).fails(5);
    }
    vault.file("token", "svb_x");
    vault.run(&["sign", "GET", BALANCE, "--credential", "main", "--token-file", "token"], "").fails(5);
    assert!(!vault.dir().join("b").exists());

    let daemon = vault.serve();
    assert_eq!(daemon.run(&["status"], "").ok().lines().next(), Some("locked"));
    assert!(sign(&daemon, "GET", BALANCE, &[]).fails(4).contains("vault.locked"));
    daemon.run(&["credential", "list"], "").fails(4);
    daemon.run(&["frobnicate"], "").fails(2);
    daemon.run(&[], "").fails(2);
    daemon.unlock();
    assert!(sign(&daemon, "GET", BALANCE, &[]).fails(1).contains("auth.failed"));
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_denied_ask_is_exit_3_and_an_unknown_token_is_exit_1() {
    let vault = Vault::new();
    let daemon = started(&vault);
    sign(&daemon, "GET", BALANCE, &[]).ok();
    let denied = sign(&daemon, "POST", "/api/v5/asset/withdrawal", &["--body", "{}"]).fails(3);
    assert!(denied.contains("policy.grant") && denied.contains("audit row:") && denied.contains("help:"), "{denied}");
    sign(&daemon, "GET", "/api/v5/unknown", &[]).fails(3);
    sign(&daemon, "GET", "/api/v5/../balance", &[]).fails(1);
    sign(&daemon, "POST", "/api/v5/trade/order", &["--body", "{\"a\":1,\"a\":2}"]).fails(1);
    let foreign = ["sign", "GET", BALANCE, "--credential", "other", "--token-file", "token"];
    assert!(daemon.run(&foreign, "").fails(3).contains("policy.credential"));
    vault.file("token", "svb_wrong");
    assert!(sign(&daemon, "GET", BALANCE, &[]).fails(1).contains("auth.failed"));
    daemon.run(&["sign", "GET", BALANCE, "--credential", "main", "--token-file", "none"], "").fails(1);
    daemon.run(&["sign", "GET", BALANCE, "--credential", "main"], "").fails(2);
}

#[test]
fn sign_prints_what_to_send_in_the_form_that_was_asked_for() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let port = daemon.port;
    let expected = |headers: &Value, method: &str, path: &str, body: &str| {
        let time = headers["OK-ACCESS-TIMESTAMP"].as_str().expect("a time");
        assert_eq!(headers["OK-ACCESS-SIGN"], hmac_base64(SECRET, &format!("{time}{method}{path}{body}")));
    };
    let body = r#"{"instId":"BTC-USDT","note":"it's"}"#;
    let order = "/api/v5/trade/order";
    for place in [
        &[][..],
        &["--url", &format!("http://127.0.0.1:{port}")],
        &["--url", &format!("http://localhost:{port}/")],
        &["--socket", "run/sign.sock"],
    ] {
        let answer = sign(&daemon, "POST", order, &[&["--body", body, "--json"], place].concat()).json();
        expected(&answer["headers"], "POST", order, body);
        assert_eq!((&answer["body"], &answer["url"]), (&json!(body), &json!(format!("https://www.okx.com{order}"))));
    }
    vault.file("body", body);
    let words = sign(&daemon, "POST", order, &["--body-file", "body"]).ok();
    let names: Vec<&str> = words.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    let order_of = ["OK-ACCESS-KEY", "OK-ACCESS-SIGN", "OK-ACCESS-TIMESTAMP", "OK-ACCESS-PASSPHRASE", "Content-Type"];
    assert_eq!(names, order_of);

    let curl = sign(&daemon, "POST", order, &["--body", body, "--curl"]).ok();
    assert!(curl.starts_with("curl ") && curl.contains("https://www.okx.com/api/v5/trade/order"), "{curl}");
    // The shell itself says what the command would send: `curl` is replaced by something that shows its arguments.
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{curl}");
    let shown = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    assert!(shown.lines().any(|line| line == body), "{shown}");

    for wrong in [
        &["--url", "http://192.0.2.1:8731"][..],
        &["--url", "https://127.0.0.1:8731"],
        &["--url", "http://127.0.0.1:8731", "--socket", "s"],
        &["--body", "{}", "--body-file", "body"],
        &["--curl", "--json"],
    ] {
        sign(&daemon, "POST", order, wrong).fails(2);
    }
    let mut command = vault.command(&["sign", "GET", BALANCE, "--credential", "main"]);
    let answer = command.env("SIGNVAULT_TOKEN_FILE", "token").output().expect("it runs");
    Answer::of(answer).ok();
}

/// A daemon that has to end by itself.
fn serve(state_dir: &Path, run_dir: &Path, listen: &str) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signvault"));
    command.env_clear().args(["serve", "--listen", listen]);
    command.arg("--state-dir").arg(state_dir).arg("--run-dir").arg(run_dir);
    Answer::of(command.output().expect("it ends"))
}

#[test]
fn a_second_daemon_on_the_same_vault_ends_and_the_first_does_not_notice() {
    let vault = Vault::new();
    let daemon = started(&vault);
    for run_dir in [vault.run_dir(), vault.dir().join("other")] {
        let error = serve(&vault.state_dir(), &run_dir, "127.0.0.1:0").fails(1);
        assert!(error.contains("another daemon holds this state directory") && error.contains("help:"), "{error}");
    }
    sign(&daemon, "GET", BALANCE, &[]).ok();
    sign(&daemon, "GET", BALANCE, &["--url", &format!("http://127.0.0.1:{}", daemon.port)]).ok();
    assert_eq!(daemon.status()["pid"], daemon.pid());
    assert_eq!(daemon.state(), "unlocked");
}

#[test]
fn a_second_daemon_on_the_same_sockets_ends_and_the_first_does_not_notice() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let other = Vault::new();
    serve(&other.state_dir(), &vault.run_dir(), "127.0.0.1:0").fails(1);
    serve(&other.state_dir(), &other.run_dir(), &format!("127.0.0.1:{}", daemon.port)).fails(1);
    sign(&daemon, "GET", BALANCE, &[]).ok();
    assert_eq!(daemon.status()["pid"], daemon.pid());
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    let vault = Vault::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8731"] {
        let refused = vault.run(&["serve", "--listen", address], "");
        assert!([1, 2].contains(&refused.code), "{address}: {refused:?}");
        assert!(refused.stderr.contains("loopback"), "{address}: {refused:?}");
    }
    for address in ["127.0.0.1", "localhost:0", "8731", ""] {
        vault.run(&["serve", "--listen", address], "").fails(2);
    }
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let vault = Vault::new();
    let daemon = started(&vault);
    for arguments in [
        &["credential", "add", "x", "--exchange", "okx", "--secret", "hunter2"][..],
        &["credential", "add", "x", "--exchange", "okx", "--secret=hunter2"],
        &["credential", "add", "x", "--exchange", "okx", "--passphrase=hunter2"],
        &["credential", "add", "x", "--exchange", "okx", "hunter2"],
        &["credential", "add", "x", "--exchange", "okx", "--stdin=hunter2"],
        &["credential", "add", "x", "--exchange", "okx", "--environment", "hunter2"],
        &["unlock", "hunter2"],
        &["unlock", "--password", "hunter2"],
        &["unlock", "--stdin=hunter2"],
        &["unlock", "--recovery=hunter2"],
        &["unlock", "-phunter2"],
        &["init", "--password=hunter2"],
        &["init", "--stdin", "hunter2"],
        &["password", "change", "hunter2"],
        &["slot", "add", "password", "hunter2"],
        &["slot", "remove", "hunter2"],
        &["sign", "GET", BALANCE, "--credential", "main", "--token", "hunter2"],
        &["sign", "GET", BALANCE, "--credential", "main", "--token=hunter2"],
        &["serve", "--unlock=hunter2"],
        &["hunter2"],
        &["--hunter2=hunter2"],
    ] {
        for form in [&[][..], &["--json"]] {
            let answer = daemon.run(&[arguments, form].concat(), "");
            assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{arguments:?}");
            let repeated = answer.stderr.replace("--hunter2", "");
            assert!(!repeated.contains("hunter2"), "{arguments:?}: {}", answer.stderr);
        }
    }
    let mut command = vault.command(&["unlock"]);
    command.env("SIGNVAULT_PASSWORD", PASSWORD).stdin(Stdio::null());
    let answer = Answer::of(command.output().expect("it runs"));
    assert_eq!(answer.code, 2, "no variable takes a password: {answer:?}");
}

#[test]
fn everything_that_prints_data_prints_json() {
    let vault = Vault::new();
    let daemon = started(&vault);
    let commands: [&[&str]; 22] = [
        &["status"],
        &["slot", "list"],
        &["slot", "add", "key-file", "key"],
        &["credential", "list"],
        &["credential", "show", "main"],
        &["credential", "edit", "main", "--label", "x"],
        &["bot", "list"],
        &["bot", "show", "bob"],
        &["bot", "add", "eve", "--credential", "main"],
        &["bot", "rotate", "eve"],
        &["bot", "revoke", "eve"],
        &["policy", "list"],
        &["policy", "show", "bob-policy"],
        &["policy", "set", "p", "bob-policy.toml"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "tail", "-n", "1"],
        &["backup", "backup"],
        &["sign", "GET", BALANCE, "--credential", "main", "--token-file", "token"],
        &["recipe", "list"],
        &["recipe", "show", "okx"],
        &["credential", "remove", "main"],
    ];
    for command in commands {
        for arguments in [[command, &["--json"]].concat(), [&["--json"], command].concat()]
            .iter()
            .take(1 + usize::from(is_pure(command)))
        {
            let answer = daemon.run(arguments, "");
            assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{arguments:?}");
            serde_json::from_str::<Value>(&answer.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        }
    }
    for command in [&["bot", "show", "nobody"][..], &["frobnicate"], &["unlock", "--stdin"], &["credential", "add"]] {
        let answer = daemon.run(&[command, &["--json"]].concat(), "not the password");
        assert!(answer.code != 0 && answer.stdout.is_empty(), "{answer:?}");
        let problem: Value =
            serde_json::from_str(&answer.stderr).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        for member in ["type", "title", "code", "detail", "help"] {
            assert!(problem[member].is_string(), "{command:?}: {member} in {problem}");
        }
    }
}

/// Whether a command may be given twice.
fn is_pure(command: &[&str]) -> bool {
    matches!(command, ["status" | "sign", ..] | [_, "list" | "show" | "verify" | "tail", ..])
}

#[test]
fn status_tells_what_the_contract_says() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let locked = daemon.status();
    assert_eq!((&locked["state"], &locked["state_version"]), (&json!("locked"), &Value::Null));
    daemon.unlock();
    let status = daemon.status();
    assert_eq!(status["state"], "unlocked");
    assert_eq!(status["listen"], format!("127.0.0.1:{}", daemon.port));
    assert_eq!(status["sign_socket"].as_str().map(Path::new), Some(&*daemon.sign_socket()));
    assert_eq!(status["admin_socket"].as_str().map(Path::new), Some(&*daemon.admin_socket()));
    assert!(status["state_version"].is_u64() && status["audit_sequence"].is_u64() && status["degraded"].is_array());
    assert_eq!(daemon.run(&["status"], "").ok().lines().next(), Some("unlocked"));
}

#[test]
fn help_the_version_completions_and_pages_are_for_everyone() {
    let vault = Vault::nowhere();
    assert!(vault.run(&["--help"], "").ok().contains("credential"));
    for command in ["init", "unlock", "credential", "bot", "audit", "sign", "restore"] {
        assert!(vault.run(&[command, "--help"], "").ok().contains("Usage: signvault"), "{command}");
    }
    assert_eq!(vault.run(&["--version"], "").ok(), format!("signvault {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        assert!(vault.run(&["generate", "completions", shell], "").ok().contains("signvault"), "{shell}");
    }
    vault.run(&["generate", "completions", "tcsh"], "").fails(2);
    assert!(vault.run(&["generate", "man"], "").ok().contains(".TH signvault"));
    vault.run(&["generate", "man", "--out-dir", "man"], "").ok();
    for page in ["signvault.1", "signvault-unlock.1", "signvault-credential-add.1"] {
        assert!(vault.dir().join("man").join(page).is_file(), "{page}");
    }
    assert!(!vault.state_dir().exists() && !vault.run_dir().exists(), "nothing is made by asking");
}

#[test]
fn the_recipe_agrees_with_what_other_programs_signed() {
    let vault = Vault::nowhere();
    let tested = vault.run(&["recipe", "test", &vectors("okx.jsonl")], "");
    assert_eq!(tested.stdout, "854 passed, 0 failed\n", "{}", tested.stderr);
    assert_eq!(tested.code, 0);
    let json = vault.run(&["recipe", "test", &vectors("okx.jsonl"), "--exchange", "okx", "--json"], "").json();
    assert_eq!((&json["passed"], &json["failed"]), (&json!(854), &json!(0)));

    let lines = std::fs::read_to_string(vectors("okx.jsonl")).expect("vectors");
    let first = lines.lines().next().expect("a vector");
    let mut vector: Value = serde_json::from_str(first).expect("JSON");
    break_signature(&mut vector);
    let file = vault.file("broken.jsonl", &format!("{first}\n{vector}\n"));
    let broken = vault.run(&["recipe", "test", &file], "");
    assert!(broken.stdout.starts_with("1 passed, 1 failed\n"), "{broken:?}");
    assert!(broken.stdout.contains("expected") && broken.stdout.contains("got"), "{broken:?}");
    broken.fails(1);
    let file = vault.file("nonsense.jsonl", "nonsense\n");
    vault.run(&["recipe", "test", &file], "").fails(1);
    vault.run(&["recipe", "test", "no/such/file"], "").fails(1);
    vault.run(&["recipe", "test", &file, "--exchange", "nowhere"], "").fails(1);
}

/// Makes another signature of the one in a vector, wherever it stands.
fn break_signature(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name.eq_ignore_ascii_case("OK-ACCESS-SIGN") => *text = "AAAA".to_owned(),
                    other => break_signature(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(break_signature),
        _ => (),
    }
}

#[test]
fn a_recipe_shows_how_an_exchange_signs() {
    let vault = Vault::nowhere();
    let shown = vault.run(&["recipe", "show", "okx"], "").ok();
    for part in ["{time}{method}{target}{body}", "https://eea.okx.com", "POST /api/v5/trade/order", "withdraw"] {
        assert!(shown.contains(part), "{part}");
    }
    let json = vault.run(&["recipe", "show", "okx", "--json"], "").json();
    assert_eq!(json["endpoints"].as_array().map(Vec::len), Some(481));
    assert!(vault.run(&["recipe", "list"], "").ok().contains("okx"));
    vault.run(&["recipe", "show", "nowhere"], "").fails(1);
}

#[test]
fn a_reader_that_goes_early_is_no_failure() {
    let vault = Vault::nowhere();
    let mut command = vault.command(&["recipe", "show", "okx"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let answer = Answer::of(child.wait_with_output().expect("it ends"));
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused() {
    let vault = Vault::nowhere();
    let file = vault.file("c.toml", "hunter2 = 1\n");
    let error = vault.run(&["status", "--config", &file], "").fails(2);
    assert!(error.contains("c.toml"), "{error}");
    vault.run(&["status", "--config", "no/such/file"], "").fails(2);
    vault.file("empty.toml", "");
    vault.run(&["status", "--config", "empty.toml"], "").fails(5);
}
