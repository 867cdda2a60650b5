//! The peers: what else could make a signature for a bot, and what bots ask with. Each must be there; the table would
//! otherwise be better by what is missing.

use crate::Outcome;
use crate::child::Process;
use crate::framing::{Protocol, Request};
use crate::load::{Address, Transport};
use crate::rounds::{Subject, Work};
use crate::vault::{Bot, ask};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the peers' own sources are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/peers");
/// What must be importable in Python.
const MODULES: &str = "import aiohttp, ccxt, fastapi, httptools, httpx, okx, requests, uvicorn, uvloop";
/// What Node must find.
const FASTIFY: &str = "require('fastify'); if (+process.versions.node.split('.')[0] < 20) throw 'older than 20'";
/// The size of what an agent signs: a time, a method, a path and an order.
const MESSAGE: [u8; 256] = [b'x'; 256];

/// What `make bench` has installed.
#[derive(clap::Args, Clone)]
pub struct Installed {
    /// A Python with what benches/compare/peers/requirements.txt and tests/clients/requirements.txt name
    #[arg(long, default_value = "target/venv/bin/python")]
    python: PathBuf,
    /// The node_modules of benches/compare/peers/package.json
    #[arg(long, default_value = "target/bench/npm/node_modules")]
    node_modules: PathBuf,
}

/// Whether every peer is there; which one is not, and how to get it.
pub fn check(installed: &Installed) -> Outcome<()> {
    let mut missing = Vec::new();
    let mut must = |what: &str, how: &str, command: &mut Command| {
        let there = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            missing.push(format!("{what} is missing: {how}"));
        }
    };
    let pip = "run `make bench`, which installs it into target/venv";
    must(
        "FastAPI, uvicorn, ccxt, python-okx or an HTTP client of Python",
        pip,
        &mut python(installed, &["-c", MODULES]),
    );
    let npm = "install Node 20 or later with npm, and run `make bench`, which fetches it into target/bench/npm";
    must("fastify", npm, node(installed, &[]).args(["-e", FASTIFY]));
    for tool in ["ssh-agent", "ssh-add", "ssh-keygen"] {
        must(tool, "install openssh-client", Command::new("sh").args(["-c", "command -v \"$0\"", tool]));
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\nerror: ")) }
}

fn python(installed: &Installed, arguments: &[&str]) -> Command {
    let mut command = Command::new(&installed.python);
    // No files of bytecode beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1").args(arguments);
    command
}

fn node(installed: &Installed, arguments: &[&str]) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", &installed.node_modules).args(arguments);
    command
}

fn source(name: &str) -> String {
    format!("{SOURCES}/{name}")
}

/// A web server that signs, in a process of its own.
pub struct Server {
    name: &'static str,
    process: Process,
    address: Address,
}

impl Server {
    fn start(name: &'static str, mut command: Command) -> Outcome<Server> {
        let (process, address) = Process::start_and_hear(&mut command).map_err(|error| format!("{name}: {error}"))?;
        let address = address.parse().map_err(|_| format!("{name} says {address:?}"))?;
        Ok(Server { name, process, address: Address::Tcp(address) })
    }

    /// fastify, without a ledger.
    pub fn fastify(installed: &Installed, token: &str) -> Outcome<Server> {
        Server::start("fastify", node(installed, &[&source("server.cjs"), token]))
    }

    /// FastAPI with a row in SQLite for each signature, synced (`FULL`) or not (`NORMAL`).
    pub fn fastapi(installed: &Installed, token: &str, synchronous: &'static str, dir: &Path) -> Outcome<Server> {
        let name = if synchronous == "FULL" { "FastAPI + SQLite FULL" } else { "FastAPI + SQLite NORMAL" };
        let database = dir.join(format!("{synchronous}.db"));
        let mut command = python(installed, &[&source("server.py"), token]);
        command.arg(database).arg(synchronous);
        Server::start(name, command)
    }

    /// As a subject that is asked what this other one is asked.
    pub fn subject(&self, other: &Subject) -> Outcome<Subject> {
        let Work::Answer(_, asked) = &other.work else { return Err(format!("{} is asked nothing", other.name)) };
        let work = Work::Answer(self.address.clone(), asked.clone());
        Ok(Subject { name: self.name.to_owned(), pids: vec![self.process.id()], work })
    }
}

/// An ssh-agent that holds two keys.
pub struct Agent {
    process: Process,
    socket: PathBuf,
    dir: PathBuf,
}

impl Agent {
    /// Starts one and gives it its keys.
    pub fn start(dir: &Path) -> Outcome<Agent> {
        let socket = dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start(&mut command)?;
        process.wait_until("ssh-agent", || if socket.exists() { Ok(()) } else { Err("no socket".to_owned()) })?;
        for kind in ["ed25519", "ecdsa"] {
            let key = dir.join(kind);
            quietly(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&key))?;
            quietly(Command::new("ssh-add").arg(&key).env("SSH_AUTH_SOCK", &socket))?;
        }
        Ok(Agent { process, socket, dir: dir.to_owned() })
    }

    /// Signing with an Ed25519 key.
    pub fn ed25519(&self) -> Outcome<Subject> {
        self.subject("ssh-agent ed25519", "ed25519", "ssh-ed25519")
    }

    /// Signing with a key on the curve P-256.
    pub fn ecdsa(&self) -> Outcome<Subject> {
        self.subject("ssh-agent ecdsa-p256", "ecdsa", "ecdsa-sha2-nistp256")
    }

    fn subject(&self, name: &str, key: &str, algorithm: &'static str) -> Outcome<Subject> {
        let path = self.dir.join(key).with_extension("pub");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let key = text.split(' ').nth(1).and_then(|key| BASE64_STANDARD.decode(key).ok()).ok_or("no public key")?;
        let request = Request::new(Protocol::SshAgent, sign_request(&key), (algorithm, 1));
        let work = Work::Answer(Address::Unix(self.socket.clone()), request);
        Ok(Subject { name: name.to_owned(), pids: vec![self.process.id()], work })
    }
}

/// SSH_AGENTC_SIGN_REQUEST (draft-ietf-sshm-ssh-agent, 3.6): the key, the message, no flags.
fn sign_request(key: &[u8]) -> Vec<u8> {
    const SIGN_REQUEST: u8 = 13;
    let with_length = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let payload = [&[SIGN_REQUEST][..], &with_length(key), &with_length(&MESSAGE), &0_u32.to_be_bytes()].concat();
    with_length(&payload)
}

fn quietly(command: &mut Command) -> Outcome<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", said())) }
}

/// Signing inside a bot that has the secret.
pub fn in_process(installed: &Installed) -> Vec<Subject> {
    let one = |name: &'static str| {
        let installed = installed.clone();
        let command = Box::new(move || python(&installed, &[&source("in_process.py"), name]));
        Subject { name: format!("{name}, in the bot"), pids: Vec::new(), work: Work::Run(command, String::new()) }
    };
    ["ccxt", "python-okx"].map(one).into()
}

/// What a bot waits, by the client that it asks with.
pub fn clients(installed: &Installed, bot: &Bot<'_>) -> Vec<Subject> {
    const CLIENTS: [(&str, &str, &str); 9] = [
        ("Python, signvault_client.py (Unix socket)", "clients.py", "plain"),
        ("Python, http.client (Unix socket)", "clients.py", "http.client-unix"),
        ("Python, http.client (TCP)", "clients.py", "http.client-tcp"),
        ("Python, aiohttp (TCP)", "clients.py", "aiohttp"),
        ("Python, httpx.Client (TCP)", "clients.py", "httpx"),
        ("Python, requests.Session (TCP)", "clients.py", "requests"),
        ("Node, http.Agent (Unix socket)", "clients.mjs", "agent-unix"),
        ("Node, http.Agent (TCP)", "clients.mjs", "agent-tcp"),
        ("Node, fetch (TCP)", "clients.mjs", "fetch"),
    ];
    let (tcp, unix) = (bot.daemon.address(Transport::Tcp).to_string(), bot.daemon.address(Transport::Unix).to_string());
    let port = tcp.rsplit(':').next().unwrap_or_default().to_owned();
    let token_file = bot.token_file.to_string_lossy().into_owned();
    let one = |(name, file, client): (&str, &'static str, &'static str)| {
        let (installed, port, unix, token_file) = (installed.clone(), port.clone(), unix.clone(), token_file.clone());
        let command = Box::new(move || {
            let arguments = [&source(file), client, &port, &unix, &token_file];
            if file.ends_with(".py") { python(&installed, &arguments) } else { node(&installed, &arguments) }
        });
        Subject { name: name.to_owned(), pids: vec![bot.daemon.id()], work: Work::Run(command, ask().to_string()) }
    };
    CLIENTS.map(one).into()
}
