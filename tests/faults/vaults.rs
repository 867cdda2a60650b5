//! Vaults that can be copied for each round, and an admin who takes no for an answer.

use crate::support::http::{Connection, Response};
use crate::support::{Daemon, PASSWORD, Vault};
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The bot that [`Original::new`] makes.
pub const BOT: &str = "bob";

/// The file that holds some of the disk back. There is nothing in it.
pub const RESERVE: &str = "reserve";

/// A vault with the credential `main`, a bot and a key file, which no daemon holds: each round has a copy of it.
pub struct Original {
    vault: Vault,
    /// The bot's token.
    pub token: String,
    /// What opens it, as `unlock` is told it: a key file, which costs no password hash.
    pub key: Value,
}

impl Original {
    /// Makes one.
    pub fn new() -> Original {
        let vault = Vault::new();
        let daemon = vault.serve_unlocked();
        daemon.add_credential("main");
        let token = daemon.add_bot(BOT, "main", &["read", "trade"]);
        let path = vault.key_file();
        daemon.run(&["slot", "add", "key-file", &path], "").ok();
        assert_eq!(daemon.terminate(), 0);
        // What a daemon holds back of the disk it makes again, and a small disk has no room for a copy.
        let _ = std::fs::remove_file(vault.state_dir().join(RESERVE));
        let key = std::fs::read(&path).expect("a key file");
        Original { vault, token, key: json!({ "key_file": data_encoding::BASE64.encode(&key) }) }
    }

    /// The vault itself.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// A copy for one round.
    pub fn copy(&self) -> Vault {
        self.vault.copy()
    }
}

/// An admin of a daemon, on a connection for each request, as the daemon wants it.
#[derive(Clone)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    /// Of this daemon.
    pub fn of(daemon: &Daemon<'_>) -> Admin {
        Admin { socket: daemon.admin_socket() }
    }

    /// One request, when the daemon may be gone.
    pub fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Response> {
        let body = body.map(Value::to_string);
        Connection::try_unix(&self.socket)?.try_request(method, path, None, body.as_deref())
    }

    /// One request.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.try_ask(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Unlocks, waiting out the back-off of attempts that a fault cut short.
    pub fn unlock(&self, key: &Value) -> Response {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.ask("POST", "/v1/unlock", Some(&json!({ "secret": key })));
            if answer.status != 429 || Instant::now() > deadline {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What `status` says.
    pub fn status(&self) -> Value {
        self.ask("GET", "/v1/status", None).ok()
    }

    /// The whole ledger is checked.
    pub fn verify(&self) -> Response {
        self.ask("GET", "/v1/audit/verify", None)
    }

    /// Adds a bot for the credential `main`.
    pub fn try_add_bot(&self, name: &str) -> io::Result<Response> {
        self.try_ask("POST", "/v1/bots", Some(&json!({ "name": name, "credentials": ["main"] })))
    }
}

/// A command, run by another program that becomes or watches it.
pub fn command_under(inner: Command, program: &str, options: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().args(options).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(inner.get_current_dir().expect("a directory"));
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// The command that starts a vault's daemon.
pub fn serve(vault: &Vault) -> Command {
    vault.command(&["serve", "--listen", "127.0.0.1:0"])
}

/// The password of a vault as `unlock` is told it.
pub fn password() -> Value {
    json!({ "password": PASSWORD })
}

/// Copies the files of one directory into another that is there.
pub fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}

/// A library to preload into the daemon, compiled from the file of that name here by the same compiler as the database.
pub fn preloaded(original: &Original, name: &str) -> PathBuf {
    let library = original.vault().dir().join(name).with_extension("so");
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library);
    compile.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults").join(name).with_extension("c"));
    assert!(compile.status().expect("cc runs").success());
    library
}
