//! The canary test: planted secrets, every route, many errors, the log at its most talkative, and afterwards nothing of
//! any secret in any place where it does not belong.

use crate::support::http::ask;
use crate::support::scan::{Scanner, files, memory};
use crate::support::{Daemon, Vault};
use serde_json::json;
use std::process::Stdio;

const PASSWORD: &str = "Planted-Master-Passw0rd-98e1";
const NEW_PASSWORD: &str = "Planted-Second-Passw0rd-51c7";
const WRONG_PASSWORD: &str = "Planted-Wr0ng-Password-7d20f3";
const SECRET: &str = "9C1F77A0D3B84E26B5A1C0FFEE5EC12E";
const NEW_SECRET: &str = "0B5EED11A7E4D94C83F2D00DFEEDC0DE";
const PASSPHRASE: &str = "Planted\"Pass\\phrase\u{1f511}-4411ab";
const ASCII_PASSPHRASE: &str = "Planted\"Pass\\phrase!-4411ab!";
const API_KEY: &str = "11111111-2222-4333-8444-555555555555";

fn secrets(secret: &str, passphrase: &str) -> String {
    json!({ "api_key": API_KEY, "secret": secret, "passphrase": passphrase }).to_string()
}

/// Runs commands and keeps everything they print.
struct Heard<'a, 'b> {
    daemon: &'a Daemon<'b>,
    said: Vec<(String, Vec<u8>)>,
}

impl Heard<'_, '_> {
    fn run(&mut self, arguments: &[&str], stdin: &str) {
        let answer = self.daemon.run(arguments, stdin);
        self.said.push((arguments.join(" "), [answer.stdout.into_bytes(), answer.stderr.into_bytes()].concat()));
    }
}

/// Does everything that handles a secret, well and badly.
fn live(heard: &mut Heard<'_, '_>, token: &str) {
    let add = ["credential", "add", "more", "--exchange", "okx", "--stdin"];
    heard.run(&add, &secrets(SECRET, PASSPHRASE));
    heard.run(&add, &secrets(&format!(" {SECRET}"), ASCII_PASSPHRASE));
    heard.run(&add, &secrets(SECRET, &format!("{ASCII_PASSPHRASE}\n")));
    heard.run(&add, &format!("{}}}", secrets(SECRET, ASCII_PASSPHRASE)));
    heard.run(&add, &secrets(SECRET, ASCII_PASSPHRASE).replace("api_key", "apikey"));
    heard.run(&add, &format!("[{SECRET:?}]"));
    heard.run(&["credential", "add", "main", "--exchange", "okx", "--stdin"], &secrets(SECRET, ASCII_PASSPHRASE));
    heard.run(&["credential", "rotate", "main", "--stdin"], &secrets(NEW_SECRET, ASCII_PASSPHRASE));
    heard.run(&["credential", "rotate", "nobody", "--stdin"], &secrets(NEW_SECRET, ASCII_PASSPHRASE));
    heard.run(&["credential", "edit", "main", "--label", "x"], "");
    heard.run(&["credential", "list", "--json"], "");
    heard.run(&["credential", "show", "main"], "");
    heard.run(&["unlock", "--stdin"], WRONG_PASSWORD);
    heard.run(&["password", "change", "--stdin"], &format!("{WRONG_PASSWORD}\n{NEW_PASSWORD}\n"));
    std::thread::sleep(std::time::Duration::from_millis(3100));
    heard.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{NEW_PASSWORD}\n"));
    heard.run(&["slot", "add", "password", "--stdin"], WRONG_PASSWORD);
    heard.run(&["bot", "list", "--json"], "");
    heard.run(&["policy", "set", "odd", "/dev/stdin"], &format!("grants = [\"{SECRET}\"]"));
    heard.run(&["audit", "export"], "");
    heard.run(&["status", "--json"], "");
    heard.run(&["doctor", "--verbose"], "");
    heard.run(&["doctor", "--verbose", "--json"], "");
    let asks = [
        ask("main", "POST", "/api/v5/trade/order", Some(&format!("{{\"sz\":\"{SECRET}\"}}"))),
        ask("main", "POST", &format!("/api/v5/{SECRET}"), None),
        ask(SECRET, "GET", "/api/v5/account/balance", None),
        ask("main", "POST", "/api/v5/trade/order", Some(&format!("{{\"{SECRET}\":1,\"{SECRET}\":2}}"))),
        json!({ "credential": "main", "method": SECRET, "path": "/" }),
        json!({ SECRET: 1 }),
        json!(SECRET),
    ];
    for (at, ask) in asks.iter().enumerate() {
        let answer = heard.daemon.tcp().request("POST", "/v1/sign", Some(token), Some(&ask.to_string()));
        assert_ne!(answer.status, 500);
        // A signed order is given back as it was sent: that is the bot's own text.
        let body = if answer.status == 200 { Vec::new() } else { answer.body };
        heard.said.push((format!("ask {at}"), [answer.head.into_bytes(), body].concat()));
    }
    for token in [format!("{token}x"), SECRET.to_owned()] {
        let answer = heard.daemon.unix().request("GET", "/v1/whoami", Some(&token), None);
        heard.said.push(("wrong token".to_owned(), answer.body));
    }
    let answer = heard.daemon.unix().request("GET", "/v1/whoami", Some(token), None);
    heard.said.push(("whoami".to_owned(), answer.body));
    let backup = heard.daemon.vault.dir().join("backup").display().to_string();
    heard.run(&["backup", &backup], "");
}

#[test]
fn t84_no_planted_secret_is_found_where_it_does_not_belong() {
    let vault = Vault::nowhere();
    let recovery = vault.dir().join("recovery").display().to_string();
    vault.run(&["init", "--stdin", "--recovery-file", &recovery, "--kdf-memory-mib", "64"], PASSWORD).ok();
    let recovery_key = std::fs::read_to_string(&recovery).expect("the recovery key");
    let mut command = vault.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SIGNVAULT_LOG_LEVEL", "trace").stdin(Stdio::null());
    let daemon = vault.serve_by(command);
    daemon.run(&["unlock", "--stdin"], PASSWORD).ok();
    daemon.run(&["credential", "add", "main", "--exchange", "okx", "--stdin"], &secrets(SECRET, ASCII_PASSPHRASE)).ok();
    let token = daemon.add_bot("bob", "main", &["read", "trade", "session"]);

    let mut heard = Heard { daemon: &daemon, said: Vec::new() };
    live(&mut heard, &token);
    let signed = daemon.tcp().sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
    let session = daemon.tcp().request("POST", "/v1/session", Some(&token), Some(r#"{"credential":"main"}"#)).ok();
    assert_eq!(signed["headers"]["OK-ACCESS-PASSPHRASE"], ASCII_PASSPHRASE);

    let bare_recovery = recovery_key.trim().replace('-', "");
    let never = [PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, SECRET, NEW_SECRET, recovery_key.trim(), &bare_recovery];
    // The token's second part is its id, which is no secret.
    let token_secret = token.split('_').nth(2).expect("a secret part");
    let only_in_headers = [PASSPHRASE, ASCII_PASSPHRASE, token_secret];
    let scanner = Scanner::new(&[&never[..], &only_in_headers[..]].concat());
    assert!(scanner.finds(signed.to_string().as_bytes()), "the scanner finds what is there");
    let only_the_key = Scanner::new(&never);
    assert!(!only_the_key.finds(signed.to_string().as_bytes()), "the secret stands in an answer");
    assert!(!only_the_key.finds(session.to_string().as_bytes()), "the secret stands in a login");

    let mut places = std::mem::take(&mut heard.said);
    places.extend(files(&vault.state_dir()));
    places.extend(files(&vault.anchor_dir()));
    places.push(("the log".to_owned(), vault.log().into_bytes()));
    places.push(("the backup".to_owned(), std::fs::read(vault.dir().join("backup")).expect("a backup")));
    for name in ["cmdline", "environ"] {
        places.push((name.to_owned(), std::fs::read(format!("/proc/{}/{name}", daemon.pid())).unwrap_or_default()));
    }
    assert!(vault.log().contains("unlocked"), "the log is not where it was looked for");
    for (place, bytes) in &places {
        assert!(!scanner.finds(bytes), "a secret stands in: {place}");
    }

    daemon.run(&["lock"], "").ok();
    if let Some(memory) = memory(daemon.pid()) {
        let planted = format!("{:?}", daemon.vault.run_dir());
        assert!(Scanner::new(&[planted.trim_matches('"')]).finds(&memory), "the scanner finds what is in memory");
        if scanner.finds(&memory) {
            let all = never.iter().chain(&only_in_headers);
            let left: Vec<_> = all.filter(|secret| Scanner::new(&[**secret]).finds(&memory)).collect();
            panic!("after lock, memory still holds {left:?}");
        }
    }
}

/// Panics with secrets in scope are in `panics.rs`.
#[test]
fn t82_the_log_says_nothing_of_a_secret_however_much_it_says_and_in_either_form() {
    for (form, begins) in [("json", "{"), ("text", "2")] {
        let vault = Vault::nowhere();
        vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).ok();
        let mut command = vault.command(&["serve", "--listen", "127.0.0.1:0", "--log-format", form]);
        command.env("SIGNVAULT_LOG_LEVEL", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        let daemon = vault.serve_by(command);
        daemon.run(&["unlock", "--stdin"], PASSWORD).ok();
        let add = ["credential", "add", "main", "--exchange", "okx", "--stdin"];
        daemon.run(&add, &secrets(SECRET, ASCII_PASSPHRASE)).ok();
        let token = daemon.add_bot("bob", "main", &["read", "trade", "session"]);
        live(&mut Heard { daemon: &daemon, said: Vec::new() }, &token);
        crate::support::signal(daemon.pid(), "HUP");
        daemon.run(&["lock"], "").ok();
        assert_eq!(daemon.terminate(), 0);
        let token_secret = token.split('_').nth(2).expect("a secret part");
        let texts = [PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, SECRET, NEW_SECRET, PASSPHRASE, ASCII_PASSPHRASE];
        let scanner = Scanner::new(&[&texts[..], &[token_secret, API_KEY]].concat());
        let log = vault.log();
        assert!(log.lines().all(|line| line.starts_with(begins)) && log.contains("unlocked"), "{form}: {log}");
        assert!(!scanner.finds(log.as_bytes()), "{form}: {log}");
    }
}
