//! `demo`: the whole story in a temporary directory, told as it happens: real commands, the real daemon in a process of
//! its own, real HTTP. Every step is checked, each signature against a second HMAC (in `verify`).
//!
//! Deliberately absent: the exchange. Nothing leaves this machine, and every secret in here is made up.

mod http;
mod stage;
mod tell;
mod verify;

use crate::cli::connect::interrupt::Interrupt;
use crate::cli::report::{Failure, Report};
use crate::config::Env;
use crate::types::clock::{Clock, SystemClock, UnixMs};
use data_encoding::HEXLOWER;
use http::Answer;
use serde_json::json;
use stage::{Ran, Stage};
use std::net::SocketAddr;
use std::path::Path;
use tell::{Teller, YES, yes_if};

/// The demo vault's password.
const PASSWORD: &str = "made up for the demo";
/// The made-up secret key: what nobody but the vault may ever have.
const SECRET: &str = "0MADE1UP2FOR3THE4DEMO5NOT6REAL7X";
/// The made-up passphrase.
const PASSPHRASE: &str = "Made-Up-For-The-Demo-1";
/// The made-up API key.
const API_KEY: &str = "deadbeef-0000-4000-8000-00000000de30";
/// The demo bot's policy.
const POLICY: &str = r#"grants = ["read", "trade"]

[order]
instruments = ["BTC-USDT", "ETH-USDT"]
max_notional = "1000"                       # USDT
reference_price = { "BTC-USDT" = "50000", "ETH-USDT" = "3000" }
max_price_deviation = "5%"

[limits]
orders_per_day = 100
"#;
/// The path that is asked for most.
const BALANCE: &str = "/api/v5/account/balance?ccy=BTC,USDT";
/// What the bot orders.
const ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"50000","sz":"0.001","clOrdId":"demo0001"}"#;
/// How far the clock of OKX may be from a signature's time, in milliseconds.
const OKX_WINDOW_MS: i64 = 30_000;

/// `demo`
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the demo.
///
/// # Errors
/// The first thing that was not as it had to be. By then nothing is left of the demo.
pub fn run(_args: Args, env: &Env, report: &Report) -> Result<(), Failure> {
    let started = SystemClock.now().boot_ms;
    let mut tell = Teller::new(*report);
    let told = Interrupt::watched()
        .map_err(|error| Failure::failed(format!("cannot watch for Ctrl-C: {error}"), "free memory and descriptors"))
        .and_then(|interrupt| story(&mut tell, env, interrupt));
    let duration_ms = SystemClock.now().boot_ms - started;
    let seconds = format!("{}.{}", duration_ms / 1000, duration_ms % 1000 / 100);
    let words = if told.is_ok() { NEXT.replace("SECONDS", &seconds) } else { String::new() };
    tell.end(told.is_ok(), duration_ms, &words)?;
    told
}

/// What plays on the stage, and what is known by then.
struct Play<'a> {
    /// Where.
    stage: Stage,
    /// Who tells.
    tell: &'a mut Teller,
    /// Where bots find the daemon.
    daemon: SocketAddr,
    /// The bot's token.
    token: String,
}

fn story(tell: &mut Teller, env: &Env, interrupt: Interrupt) -> Result<(), Failure> {
    let stage = Stage::set_up(env, interrupt)?;
    tell.say(&OPENING.replace("DIRECTORY", &stage.dir().display().to_string()))?;
    let mut play = Play { stage, tell, daemon: ([127, 0, 0, 1], 0).into(), token: String::new() };
    play.the_second_opinion_is_right()?;
    play.a_vault_is_made()?;
    play.the_daemon_starts_locked()?;
    play.it_is_unlocked()?;
    play.a_credential_goes_in()?;
    play.a_bot_gets_a_token()?;
    play.a_balance_query_is_signed()?;
    play.an_order_is_signed()?;
    play.a_drain_is_denied()?;
    play.a_withdrawal_is_denied()?;
    play.a_wrong_token_is_refused()?;
    play.locked_means_no_signature()?;
    play.the_ledger_tells_it_all()?;
    play.the_secret_is_in_no_file()?;
    play.nothing_stays()
}

impl Play<'_> {
    fn the_second_opinion_is_right(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "Check the checker",
            "The demo verifies each signature with an HMAC of its own, written out from RFC 2104. First, is that one right?",
        )?;
        let [key, text, expected] = verify::RFC_4231_CASE_2;
        let got = HEXLOWER.encode(&verify::hmac_sha256(key.as_bytes(), text.as_bytes()));
        self.tell.check("it gives the published answer of RFC 4231, test case 2", expected, &got)?;
        let known = verify::BY_ANOTHER_CLIENT;
        let got = verify::okx_signature(known.secret, known.timestamp, known.method, known.path, "");
        let what = format!("it gives what {} signed for {} {}", known.client, known.method, known.path);
        self.tell.check(&what, known.signature, &got)
    }

    fn a_vault_is_made(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "Make a vault",
            "A password opens it, through Argon2id. Here that takes 64 MiB of memory, the least allowed, to be quick;\n\
             by default it is 256 MiB. Without --stdin you are asked for the password and get a recovery key.",
        )?;
        self.command(
            &["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"],
            PASSWORD,
            "the made-up password",
        )?;
        Ok(())
    }

    fn the_daemon_starts_locked(&mut self) -> Result<(), Failure> {
        self.tell
            .step("Start the daemon", "It listens on this machine only. It starts locked: nobody can sign yet.")?;
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        self.stage.start_daemon(&serve)?;
        self.tell.command(&format!("signvault {} &", serve.join(" ")), "", None)?;
        let status = self.status()?;
        let listen = status["listen"].as_str().unwrap_or_default();
        self.daemon = listen.parse().map_err(|_| Failure::failed("status names no address", ""))?;
        self.tell.check("it says that it is locked", "locked", status["state"].as_str().unwrap_or_default())
    }

    fn it_is_unlocked(&mut self) -> Result<(), Failure> {
        self.tell.step("Unlock", "You do this once after each start. The password is never on a command line.")?;
        self.command(&["unlock", "--stdin"], PASSWORD, "the made-up password")?;
        let status = self.status()?;
        self.tell.check("it says that it is unlocked", "unlocked", status["state"].as_str().unwrap_or_default())
    }

    fn a_credential_goes_in(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "Put an API key in",
            "API key, secret key and passphrase, all made up for this demo. The secret key never comes out again.",
        )?;
        let secrets = json!({ "api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE }).to_string();
        let add = "credential add okx-demo --exchange okx --environment demo --permissions read,trade --ip 203.0.113.7 --stdin";
        self.command(&words(add), &secrets, r#"{"api_key": …, "secret": …, "passphrase": …}"#)?;
        let shown = self.command(&["credential", "list"], "", "")?;
        self.tell.check("the list does not show the secret key", YES, yes_if(!shown.stdout.contains(SECRET)))
    }

    fn a_bot_gets_a_token(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "Let a bot in",
            "A bot has a token of its own and a policy. This one may read, and trade two pairs near their price.",
        )?;
        self.stage.write("grid.toml", POLICY)?;
        self.tell.file("grid.toml", POLICY)?;
        self.command(&["policy", "set", "grid-policy", "grid.toml"], "", "")?;
        self.command(
            &words("bot add grid --credential okx-demo --policy grid-policy --token-file grid.token"),
            "",
            "",
        )?;
        self.token = self.stage.read("grid.token")?.trim_end().to_owned();
        self.tell.check("the token has its form", YES, yes_if(self.token.starts_with("svb_")))?;
        let mode = self.stage.mode("grid.token")?;
        self.tell.check("only you can read its file", "0600", &format!("{mode:04o}"))
    }

    fn a_balance_query_is_signed(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "The bot asks for a signature: a balance query",
            "This is the whole interface: one POST with the token, and back come the headers for the exchange.",
        )?;
        let answer = self.sign("GET", BALANCE, None, 200)?;
        self.verify(&answer, "GET", BALANCE, "")
    }

    fn an_order_is_signed(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "An order",
            "The body is signed exactly as the bot wrote it, to the byte. The same bytes then go to the exchange.",
        )?;
        let answer = self.sign("POST", "/api/v5/trade/order", Some(ORDER), 200)?;
        self.tell.check("the body comes back unchanged", YES, yes_if(answer.text("/body") == ORDER))?;
        self.verify(&answer, "POST", "/api/v5/trade/order", ORDER)?;
        let larger = ORDER.replace(r#""sz":"0.001""#, r#""sz":"0.01""#);
        let time = answer.text("/headers/OK-ACCESS-TIMESTAMP");
        let other = verify::okx_signature(SECRET, &time, "POST", "/api/v5/trade/order", &larger);
        let differs = larger != ORDER && other != answer.text("/headers/OK-ACCESS-SIGN");
        self.tell.check("it is no signature for ten times the size", YES, yes_if(differs))
    }

    fn a_drain_is_denied(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "The trick of the thieves: buy something worthless from themselves, at their price",
            "A key that can only trade is enough for that. The order is read from the bytes that would be signed.",
        )?;
        for (members, code) in [
            (r#""instId":"PUMP-USDT","px":"9","sz":"100""#, "policy.order.instrument"),
            (r#""instId":"ETH-USDT","px":"900000","sz":"0.001""#, "policy.order.price"),
        ] {
            let order = format!(r#"{{{members},"tdMode":"cash","side":"buy","ordType":"limit","clOrdId":"demo0002"}}"#);
            let answer = self.sign("POST", "/api/v5/trade/order", Some(&order), 403)?;
            self.tell.check("its code", code, &answer.text("/code"))?;
        }
        Ok(())
    }

    fn a_withdrawal_is_denied(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "A withdrawal",
            "The policy does not grant it, so there is no signature: the exchange never hears of it.",
        )?;
        let body = r#"{"ccy":"USDT","amt":"100","dest":"4","toAddr":"made-up","chain":"USDT-TRC20"}"#;
        let answer = self.sign("POST", "/api/v5/asset/withdrawal", Some(body), 403)?;
        self.tell.check("its code", "policy.grant", &answer.text("/code"))?;
        self.tell.check("there are no headers in it", YES, yes_if(answer.text("/headers").is_empty()))
    }

    fn a_wrong_token_is_refused(&mut self) -> Result<(), Failure> {
        self.tell.step("Somebody with a wrong token", "The right token with one character changed.")?;
        let right = self.token.clone();
        let last = if right.ends_with('a') { "b" } else { "a" };
        self.token = [&right[..right.len() - 1], last].concat();
        let answer = self.sign("GET", BALANCE, None, 401)?;
        self.token = right;
        self.tell.check("its code", "auth.failed", &answer.text("/code"))
    }

    fn locked_means_no_signature(&mut self) -> Result<(), Failure> {
        self.tell
            .step("Lock", "The vault key is wiped from memory. The same bot with its right token now gets nothing.")?;
        self.command(&["lock"], "", "")?;
        let answer = self.sign("GET", BALANCE, None, 423)?;
        self.tell.check("its code", "vault.locked", &answer.text("/code"))
    }

    fn the_ledger_tells_it_all(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "Read the ledger",
            "Every decision was written to disk before its answer went out, each row chained to the one before.",
        )?;
        self.command(&["unlock", "--stdin"], PASSWORD, "the made-up password")?;
        let listed = self.command(&["audit", "list", "--bot", "grid"], "", "")?;
        let rows = |decision: &str| listed.stdout.lines().filter(|line| line.contains(decision)).count();
        let decided = format!("{} allowed, {} denied", rows("  sign  allow  "), rows("  sign  deny  "));
        self.tell.check("what was decided for the bot", "2 allowed, 3 denied", &decided)?;
        let verified = self.command(&["audit", "verify"], "", "")?;
        let whole = verified.stdout.contains(" rows verified, 1 to ");
        self.tell.check("the chain holds from the first row to the last", YES, yes_if(whole))
    }

    fn the_secret_is_in_no_file(&mut self) -> Result<(), Failure> {
        self.tell.step(
            "Look for the secret key",
            "Through every file that the vault, the daemon and its log have written.",
        )?;
        let searched = search(self.stage.dir(), SECRET.as_bytes());
        let (files, found) =
            searched.map_err(|error| Failure::failed(format!("cannot search the files: {error}"), ""))?;
        self.tell.check(&format!("files with the secret key, of {files}"), "0", &found.to_string())
    }

    fn nothing_stays(mut self) -> Result<(), Failure> {
        self.tell.step("Stop and clean up", "The daemon locks and ends; the temporary directory goes.")?;
        let process = self.stage.daemon_pid().map(|pid| format!("/proc/{pid}"));
        let ended = self.stage.stop_daemon()?.and_then(|status| status.code());
        self.tell.check("the daemon's exit code", "0", &ended.map_or("none".to_owned(), |code| code.to_string()))?;
        let gone = process.is_some_and(|process| !Path::new(&process).exists());
        self.tell.check("its process is gone", YES, yes_if(gone))?;
        let dir = self.stage.dir().to_owned();
        drop(self.stage);
        self.tell.check("the directory is gone", YES, yes_if(!dir.exists()))
    }

    /// Runs a command that has to succeed, and tells of it.
    fn command(&mut self, arguments: &[&str], stdin: &str, stdin_in_words: &str) -> Result<Ran, Failure> {
        let ran = self.stage.run(arguments, stdin)?;
        let command = format!("signvault {}", arguments.join(" "));
        self.tell.command(&command, stdin_in_words, Some(&ran))?;
        match ran.exit {
            0 => Ok(ran),
            exit => {
                self.tell.check(&format!("{command}: the exit code"), "0", &exit.to_string())?;
                Ok(ran)
            }
        }
    }

    fn status(&mut self) -> Result<serde_json::Value, Failure> {
        let ran = self.command(&["status", "--json"], "", "")?;
        serde_json::from_str(&ran.stdout).map_err(|_| Failure::failed("status --json is no JSON", ""))
    }

    /// `POST /v1/sign` with the bot's token, to be answered with this status.
    fn sign(&mut self, method: &str, path: &str, body: Option<&str>, status: u16) -> Result<Answer, Failure> {
        let mut ask = json!({ "credential": "okx-demo", "method": method, "path": path });
        if let Some(body) = body {
            ask["body"] = body.into();
        }
        self.ask("/v1/sign", &ask.to_string(), status)
    }

    fn ask(&mut self, route: &str, body: &str, status: u16) -> Result<Answer, Failure> {
        self.stage.go_on()?;
        let request = http::post(self.daemon, route, &self.token, body);
        let answer = http::send(self.daemon, &request).map_err(|error| {
            Failure::failed(format!("no answer to POST {route}: {error}"), "see that nothing else uses the port")
        })?;
        self.tell.request(&request, &answer)?;
        self.tell.check("the answer's status", &status.to_string(), &answer.status.to_string())?;
        // The one thing that no answer may ever hold, whatever was asked.
        let leaks = answer.body.contains(SECRET) || answer.head.contains(SECRET);
        self.tell.check("the secret key is not in the answer", YES, yes_if(!leaks))?;
        Ok(answer)
    }

    /// Does what the exchange would: the key is known, the time is now, the signature covers exactly this.
    fn verify(&mut self, answer: &Answer, method: &str, path: &str, body: &str) -> Result<(), Failure> {
        let time = answer.text("/headers/OK-ACCESS-TIMESTAMP");
        let expected = verify::okx_signature(SECRET, &time, method, path, body);
        let what =
            format!("the second HMAC over timestamp + {method} + path{}", if body.is_empty() { "" } else { " + body" });
        self.tell.check(&what, &expected, &answer.text("/headers/OK-ACCESS-SIGN"))?;
        let now = SystemClock.now().wall.0;
        let fresh = UnixMs::parse_rfc3339(&time).is_some_and(|time| (now - time.0).abs() < OKX_WINDOW_MS);
        self.tell.check("its time is the daemon's own, within the exchange's 30 seconds", YES, yes_if(fresh))
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// How many files lie below a directory, and how many of them hold these bytes.
fn search(dir: &Path, bytes: &[u8]) -> std::io::Result<(usize, usize)> {
    let (mut files, mut found) = (0, 0);
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let (more_files, more_found) = search(&entry.path(), bytes)?;
            (files, found) = (files + more_files, found + more_found);
        } else if kind.is_file() {
            files += 1;
            found += usize::from(std::fs::read(entry.path())?.windows(bytes.len()).any(|window| window == bytes));
        }
    }
    Ok((files, found))
}

/// What is said before the first step.
const OPENING: &str = "\
signvault demo: the real daemon over real HTTP, in a temporary directory. Every secret is made up, and nothing leaves
this machine.

  $  a command. Each one also carries --config, --state-dir and --run-dir for DIRECTORY
  >  what the bot sends
  <  what the daemon answers (its JSON is broken into lines here)
  …  stands for the rest of a long value
";

/// What is said after the last.
const NEXT: &str = "
Every step held (SECONDS s). Nothing is left of the demo. With your own keys:

  cargo install --path . --locked                      signvault on your path
  signvault init                                       asks for a password, shows a recovery key to write down
  signvault serve &                                    or as a service, locked after every start
  signvault unlock
  signvault credential add okx-main --exchange okx     asks for the three secrets
  signvault bot add grid --credential okx-main --token-file ~/.grid-token
  signvault sign GET /api/v5/account/balance --credential okx-main --token-file ~/.grid-token --curl

README.md goes on from here; docs/bots shows ccxt, python-okx and plain HTTP.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_bytes_in_a_file_below() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("below/with"), [b"\0\xff".as_slice(), SECRET.as_bytes()].concat()).unwrap();
        std::fs::write(dir.path().join("without"), &SECRET[1..]).unwrap();
        assert_eq!(search(dir.path(), SECRET.as_bytes()).unwrap(), (2, 1));
    }
}
