//! The real packages, ccxt and python-okx, with the drop-ins of `docs/bots`, against a local exchange that verifies
//! signatures. Needs an interpreter with the packages of `tests/clients/requirements.txt`; `PYTHON` names it.

use crate::support::{API_KEY, Answer, Daemon, PASSPHRASE, SECRET, Vault};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Every ready policy, and how many steps its table in `tests/clients/tables.py` has.
const POLICIES: [(&str, usize); 8] = [
    ("ccxt-general", 98),
    ("freqtrade-futures", 51),
    ("freqtrade-spot", 74),
    ("read-only-monitor", 35),
    ("rebalancer", 63),
    ("shadow-trial", 21),
    ("spot-maker", 77),
    ("swap-reduce-only", 39),
];

/// The local exchange, ended by its pid when the test is over.
struct Exchange {
    child: Child,
    port: String,
}

impl Exchange {
    /// Starts one that knows the usual key in both environments.
    fn start(vault: &Vault) -> Exchange {
        let key = |environment: &str| json!({ "key": api_key(environment), "secret": SECRET, "passphrase": PASSPHRASE, "environment": environment });
        let keys = vault.file("keys.json", &json!([key("live"), key("demo")]).to_string());
        let mut command = python();
        command.arg(script("exchange.py")).args(["--credentials", &keys]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("a line");
        Exchange { child, port: port.trim().to_owned() }
    }

    /// Runs the clients' suite against it and says how it went.
    fn suite(&self, daemon: &Daemon<'_>, token_file: &str, credential: &str, more: &[&str]) -> Answer {
        let socket = daemon.sign_socket();
        let output = python()
            .arg(script("run.py"))
            .args(["--socket", socket.to_str().expect("UTF-8"), "--token-file", token_file])
            .args(["--credential", credential, "--exchange-port", &self.port])
            .args(more)
            .output();
        Answer::of(output.expect("python runs"))
    }

    /// Runs the table of a ready policy against it and says how it went.
    fn table(&self, daemon: &Daemon<'_>, policy: &str, credential: &str) -> Answer {
        let vault = daemon.vault;
        let signvault = json!([
            env!("CARGO_BIN_EXE_signvault"),
            "--state-dir",
            vault.state_dir().to_str().expect("UTF-8"),
            "--run-dir",
            vault.run_dir().to_str().expect("UTF-8"),
        ]);
        let output = python()
            .env("HOME", vault.dir())
            .arg(script("policies.py"))
            .args([policy, "--signvault", &signvault.to_string()])
            .args(["--socket", daemon.sign_socket().to_str().expect("UTF-8")])
            .args(["--credential", credential, "--exchange-port", &self.port])
            .output();
        Answer::of(output.expect("python runs"))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Gone already when it failed to start.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key of its own for each environment, so that a mistake between them shows.
fn api_key(environment: &str) -> String {
    match environment {
        "live" => API_KEY.to_owned(),
        _ => API_KEY.replace('5', "6"),
    }
}

/// Adds the exchange's key for an environment, under the name of that.
fn add_credential(daemon: &Daemon<'_>, environment: &str) {
    let secrets = json!({ "api_key": api_key(environment), "secret": SECRET, "passphrase": PASSPHRASE });
    let add = ["credential", "add", environment, "--exchange", "okx", "--stdin", "--environment", environment];
    daemon.run(&add, &secrets.to_string()).ok();
}

fn python() -> Command {
    Command::new(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

#[test]
#[ignore = "needs Python with ccxt and python-okx"]
fn ccxt_and_python_okx_trade_through_the_vault() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let exchange = Exchange::start(&vault);
    let policy = script("policy.toml");
    daemon.run(&["policy", "set", "clients", policy.to_str().expect("UTF-8")], "").ok();
    let mut tokens = Vec::new();
    for environment in ["live", "demo"] {
        add_credential(&daemon, environment);
        let token_file = vault.dir().join(format!("token-{environment}")).display().to_string();
        let bot = format!("bot-{environment}");
        let add = ["bot", "add", &bot, "--credential", environment, "--policy", "clients", "--token-file", &token_file];
        daemon.run(&add, "").ok();
        let told = exchange.suite(&daemon, &token_file, environment, &[]).ok();
        assert!(told.contains("22 passed, 0 failed"), "{told}");
        tokens.push(token_file);
    }
    daemon.run(&["lock"], "").ok();
    let told = exchange.suite(&daemon, &tokens[0], "live", &["--locked"]).ok();
    assert!(told.contains("2 passed, 0 failed"), "{told}");
}

#[test]
#[ignore = "needs Python with ccxt and python-okx"]
fn every_ready_policy_lets_its_bot_work_and_denies_what_is_over_each_limit() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let exchange = Exchange::start(&vault);
    add_credential(&daemon, "live");
    let failed: Vec<String> = POLICIES
        .iter()
        .map(|(policy, steps)| (exchange.table(&daemon, policy, "live"), policy, format!("{steps} passed, 0 failed")))
        .filter(|(told, _, expected)| told.stdout.lines().last() != Some(expected))
        .map(|(told, policy, expected)| format!("{policy}, expected {expected}:\n{}{}", told.stdout, told.stderr))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_ready_policy_has_a_table() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/policies");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, POLICIES.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
#[ignore = "needs Python"]
fn the_pages_show_the_drop_ins_as_they_are() {
    let checked = python().arg(script("docs.py")).output().expect("python runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
