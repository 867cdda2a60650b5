//! The real packages, ccxt and python-okx, with the drop-ins of `docs/bots`, against a local exchange that verifies
//! signatures. Needs an interpreter with the packages of `tests/clients/requirements.txt`; `PYTHON` names it.

use crate::support::{API_KEY, Answer, Daemon, PASSPHRASE, SECRET, Vault};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
        let secrets = json!({ "api_key": api_key(environment), "secret": SECRET, "passphrase": PASSPHRASE });
        let add = ["credential", "add", environment, "--exchange", "okx", "--stdin", "--environment", environment];
        daemon.run(&add, &secrets.to_string()).ok();
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
#[ignore = "needs Python"]
fn the_pages_show_the_drop_ins_as_they_are() {
    let checked = python().arg(script("docs.py")).output().expect("python runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
