//! The program under test: a vault made by its own commands, and a daemon over it.

use crate::Outcome;
use crate::child::Process;
use crate::framing::{NUMBER, Request};
use crate::load::{Address, Transport};
use crate::rounds::{Subject, Work};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Of the vault that is made for each measurement, and of nothing else.
const PASSWORD: &str = "correct horse battery";
/// What a bot may do that places orders within amounts; no limit that rolls, which would end a measurement.
const POLICY: &str = r#"
grants = ["read", "trade"]

[order]
instruments = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"]
sides = ["buy", "sell"]
types = ["limit", "post_only", "ioc"]
max_size = { "BTC-USDT" = "0.5", "ETH-USDT" = "5", "SOL-USDT" = "50", "XRP-USDT" = "5000" }
max_notional = "10000"

[limits]
requests_per_second = 1000000
"#;
/// An order as ccxt writes it; its client id is new each time.
const ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60123.4","sz":"0.0123","clOrdId":"NUMBER","tag":"e847386590ce4dBC","reduceOnly":"false","stpMode":"cancel_maker","banAmend":"false"}"#;
/// Where orders go.
const ORDER_PATH: &str = "/api/v5/trade/order";
/// The header that only a signed answer has.
const SIGNATURE: &str = "OK-ACCESS-SIGN";
/// Asks in a batch: the most that one may have.
const BATCH: usize = 20;

/// What a ledger row survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// Power loss.
    Full,
    /// The death of the daemon.
    Process,
}

impl Durability {
    /// As the configuration writes it.
    pub fn word(self) -> &'static str {
        match self {
            Durability::Full => "full",
            Durability::Process => "process",
        }
    }
}

/// A vault in a temporary directory.
pub struct Vault {
    dir: tempfile::TempDir,
    binary: PathBuf,
    /// What the build for measurements does.
    variant: Option<String>,
}

impl Vault {
    /// A vault that this binary makes below a directory, with the cheapest password hash.
    pub fn new(binary: &Path, below: &Path) -> Outcome<Vault> {
        Vault::init(binary, None, below, &["--kdf-memory-mib", "64"])
    }

    /// A vault of a build with the feature `bench-variants`, which does something else: `no-ledger`, `commit-each`.
    pub fn variant(binary: &Path, variant: &str, below: &Path) -> Outcome<Vault> {
        Vault::init(binary, Some(variant), below, &["--kdf-memory-mib", "64"])
    }

    /// A vault with the password hash that everyone gets.
    pub fn usual(binary: &Path, below: &Path) -> Outcome<Vault> {
        Vault::init(binary, None, below, &[])
    }

    fn init(binary: &Path, variant: Option<&str>, below: &Path, more: &[&str]) -> Outcome<Vault> {
        let dir = tempfile::tempdir_in(below).map_err(|error| format!("{}: {error}", below.display()))?;
        let vault = Vault { dir, binary: binary.to_owned(), variant: variant.map(str::to_owned) };
        vault.run(&[&["init", "--stdin", "--no-recovery"], more].concat(), PASSWORD)?;
        Ok(vault)
    }

    /// The database's write-ahead log.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("state/vault.db-wal")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let dir = self.dir.path();
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .env("HOME", dir)
            .env("PATH", "/usr/bin:/bin")
            .envs(self.variant.iter().map(|variant| ("SIGNVAULT_BENCH", variant)));
        command.args(arguments).arg("--state-dir").arg(dir.join("state")).arg("--run-dir").arg(dir.join("run"));
        command
    }

    /// Runs a command of it, and says what it wrote.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Outcome<String> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.binary.display()))?;
        // A command that reads nothing closes the pipe: that is its right.
        let _ = child.stdin.take().ok_or("no standard input")?.write_all(stdin.as_bytes());
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("signvault {}: {}", arguments.join(" "), text(&output.stderr))),
        }
    }

    /// The command that is the daemon.
    pub fn serving(&self, listen: &str, durability: Durability) -> Command {
        let mut command = self.command(&["serve", "--listen", listen]);
        command.env("SIGNVAULT_AUDIT_DURABILITY", durability.word());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts the daemon, locked.
    pub fn serve(&self, durability: Durability) -> Outcome<Daemon<'_>> {
        let log_path = self.dir.path().join("log");
        let log = File::options().create(true).append(true).open(&log_path).map_err(|error| error.to_string())?;
        let mut command = self.serving("127.0.0.1:0", durability);
        command.stderr(log);
        let mut process = Process::start(&mut command)?;
        let status = process.wait_until("signvault", || self.run(&["status", "--json"], ""));
        let log = || std::fs::read_to_string(&log_path).unwrap_or_default();
        let status = status.map_err(|error| format!("{error}; its log: {}", log()))?;
        let status: Value = serde_json::from_str(&status).map_err(|error| error.to_string())?;
        let listen = status["listen"].as_str().and_then(|listen| listen.parse().ok());
        Ok(Daemon { vault: self, process, tcp: listen.ok_or("signvault does not say where it listens")? })
    }

    /// Starts the daemon, unlocked, with one credential and one bot.
    pub fn serve_a_bot(&self, durability: Durability) -> Outcome<Bot<'_>> {
        let daemon = self.serve(durability)?;
        daemon.unlock()?;
        daemon.add_credential("main")?;
        let policy = self.dir.path().join("policy.toml");
        std::fs::write(&policy, POLICY).map_err(|error| error.to_string())?;
        self.run(&["policy", "set", "maker", &policy.to_string_lossy()], "")?;
        let token_file = self.dir.path().join("token");
        let arguments = ["bot", "add", "bob", "--credential", "main", "--policy", "maker", "--token-file"];
        self.run(&[&arguments[..], &[&token_file.to_string_lossy()]].concat(), "")?;
        let token = std::fs::read_to_string(&token_file).map_err(|error| error.to_string())?;
        Ok(Bot { daemon, token: token.trim().to_owned(), token_file })
    }
}

/// A daemon with a bot that may place orders.
pub struct Bot<'a> {
    /// The daemon.
    pub daemon: Daemon<'a>,
    /// What the bot shows.
    pub token: String,
    /// Where it stands.
    pub token_file: PathBuf,
}

impl Bot<'_> {
    /// As a subject that is asked for one signature.
    pub fn one(&self, name: &str, transport: Transport) -> Subject {
        let address = self.daemon.address(transport);
        let request = Request::post(&host(&address), "/v1/sign", Some(&self.token), &ask().to_string(), (SIGNATURE, 1));
        self.subject(name, Work::Answer(address, request))
    }

    /// As a subject that is asked for a batch of them.
    pub fn batch(&self, name: &str, transport: Transport) -> Subject {
        let (address, requests) =
            (self.daemon.address(transport), json!({ "requests": vec![ask(); BATCH] }).to_string());
        let expect = (SIGNATURE, BATCH);
        let request = Request::post(&host(&address), "/v1/sign/batch", Some(&self.token), &requests, expect);
        self.subject(name, Work::Answer(address, request))
    }

    fn subject(&self, name: &str, work: Work) -> Subject {
        Subject { name: name.to_owned(), pids: vec![self.daemon.id()], work }
    }
}

/// A running daemon.
pub struct Daemon<'a> {
    vault: &'a Vault,
    process: Process,
    tcp: SocketAddr,
}

impl Daemon<'_> {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where bots reach it.
    pub fn address(&self, transport: Transport) -> Address {
        match transport {
            Transport::Tcp => Address::Tcp(self.tcp),
            Transport::Unix => Address::Unix(self.vault.dir.path().join("run/sign.sock")),
        }
    }

    /// Unlocks it.
    pub fn unlock(&self) -> Outcome<()> {
        self.vault.run(&["unlock", "--stdin"], PASSWORD).map(drop)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(self) -> Outcome<()> {
        self.process.stop()
    }

    /// Adds a credential of made-up secrets.
    pub fn add_credential(&self, name: &str) -> Outcome<()> {
        let secrets = json!({
            "api_key": "5a95c46d-821d-4641-acce-5250b0ce64bc", "secret": "557FBBAFC3FC3D265C5D066FE442DFA0",
            "passphrase": "Correct-Horse-1"
        });
        let arguments = ["credential", "add", name, "--exchange", "okx", "--stdin", "--permissions", "read,trade"];
        self.vault.run(&[&arguments[..], &["--ip", "203.0.113.7"]].concat(), &secrets.to_string()).map(drop)
    }
}

/// What a bot asks for; the number in it becomes another each time.
pub fn ask() -> Value {
    let order = ORDER.replace("NUMBER", &format!("b{NUMBER}"));
    json!({ "credential": "main", "method": "POST", "path": ORDER_PATH, "body": order })
}

/// The host that a request names.
fn host(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}
