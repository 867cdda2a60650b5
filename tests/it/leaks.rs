//! The canary test: planted secrets, every route, many errors, the log at its most talkative, and afterwards nothing of
//! any secret in any place where it does not belong.

use crate::support::http::ask;
use crate::support::{Daemon, Vault};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;

/// As long a piece of a secret as must not be found: shorter ones could stand anywhere by chance.
const WINDOW: usize = 16;

/// Looks for pieces of secrets in any of the forms that programs write them in.
struct Scanner {
    pieces: HashSet<Vec<u8>>,
    /// Whether any piece begins with these two bytes: most places are passed over by that alone.
    beginnings: Vec<bool>,
}

impl Scanner {
    fn new(secrets: &[&str]) -> Scanner {
        let forms = secrets.iter().flat_map(|secret| forms(secret.as_bytes()));
        let pieces = forms.flat_map(|form| form.windows(WINDOW).map(<[u8]>::to_vec).collect::<Vec<_>>());
        let pieces: HashSet<Vec<u8>> = pieces.collect();
        let mut beginnings = vec![false; 1 << 16];
        pieces.iter().for_each(|piece| beginnings[Scanner::beginning(piece)] = true);
        Scanner { pieces, beginnings }
    }

    fn beginning(piece: &[u8]) -> usize {
        usize::from(piece[0]) << 8 | usize::from(piece[1])
    }

    fn finds(&self, haystack: &[u8]) -> bool {
        let mut windows = haystack.windows(WINDOW);
        windows.any(|window| self.beginnings[Scanner::beginning(window)] && self.pieces.contains(window))
    }
}

/// A secret as it is, as JSON writes it, in hexadecimal, in base64 at every alignment, and in UTF-16.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(secret);
    let json = json!(text).to_string();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![
        secret.to_vec(),
        json.as_bytes()[1..json.len() - 1].to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        utf16,
    ];
    for shift in 0..3 {
        // The first characters depend on what stands before the secret, the last on what stands after it.
        let encoded = BASE64_STANDARD.encode([&vec![0; shift], secret].concat());
        let whole = encoded.len() - 4;
        forms.push(encoded.as_bytes()[if shift == 0 { 0 } else { 4 }..whole].to_vec());
    }
    forms
}

/// Every file below a directory, as bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).expect("readable"))).collect()
}

/// All memory that a process may write to, as far as it can be read; `None` when it may not be read at all.
fn memory(pid: u32) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut mem = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let mut piece = vec![0; (end - start) as usize];
        // Pages of memfd_secret can't be read by anyone: that is their point.
        if mem.seek(SeekFrom::Start(start)).is_ok() && mem.read_exact(&mut piece).is_ok() {
            all.extend(piece);
        }
    }
    Some(all)
}

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
fn no_planted_secret_is_found_where_it_does_not_belong() {
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
