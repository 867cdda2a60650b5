//! What tests say shortly: a vault in a temporary directory, a daemon over it, requests to it.

pub mod exchange;
pub mod files;
pub mod http;
pub mod scan;
pub mod signers;

use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The password of every vault that a test makes.
pub const PASSWORD: &str = "correct horse battery";
/// The credential that [`Vault::with_credential`] adds: made up, of OKX's form.
pub const API_KEY: &str = "5a95c46d-821d-4641-acce-5250b0ce64bc";
/// Its secret.
pub const SECRET: &str = "557FBBAFC3FC3D265C5D066FE442DFA0";
/// Its passphrase.
pub const PASSPHRASE: &str = "=L&RA0K9CkXJ$x9}l$b5F!coQ,ciX";

/// A state directory and a run directory, both temporary.
pub struct Vault {
    dir: tempfile::TempDir,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// The answer of a finished process.
    pub fn of(output: Output) -> Answer {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().unwrap_or(-1);
        Answer { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Standard output, of a command that had to succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {} stderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output as JSON, of a command that had to succeed.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    /// Standard error, of a command that had to fail with this code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {} stderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

impl Vault {
    /// Directories without a vault in them.
    pub fn nowhere() -> Vault {
        Vault { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A new vault with the cheapest password hash and no recovery key.
    pub fn new() -> Vault {
        let vault = Vault::nowhere();
        vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).ok();
        vault
    }

    /// The temporary directory that holds everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// The anchor directory.
    pub fn anchor_dir(&self) -> PathBuf {
        self.dir().join("state-anchor")
    }

    /// The run directory.
    pub fn run_dir(&self) -> PathBuf {
        self.dir().join("run")
    }

    /// Writes a file beside the vault and says where.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.dir().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The binary with this vault's directories and a clean environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signvault"));
        command.env_clear().env("HOME", self.dir()).env("PATH", "/usr/bin:/bin").current_dir(self.dir());
        command.args(arguments).arg("--state-dir").arg(self.state_dir()).arg("--run-dir").arg(self.run_dir());
        command
    }

    /// Runs a command with this on its standard input.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Answer {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        // A command that reads nothing closes the pipe: that is its right.
        let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
        Answer::of(child.wait_with_output().expect("the binary ends"))
    }

    /// Starts the daemon, locked.
    pub fn serve(&self) -> Daemon<'_> {
        self.serve_with(&[])
    }

    /// Starts the daemon with more arguments.
    pub fn serve_with(&self, more: &[&str]) -> Daemon<'_> {
        self.serve_by(self.command(&[&["serve", "--listen", "127.0.0.1:0"], more].concat()))
    }

    /// Starts the daemon by this command; its standard error goes to the log.
    pub fn serve_by(&self, command: Command) -> Daemon<'_> {
        let started = self.try_serve_by(command);
        started.unwrap_or_else(|ended| panic!("the daemon ended: {ended}; log: {}", self.log()))
    }

    /// Starts the daemon by this command, when that may fail: then this is how it ended.
    pub fn try_serve_by(&self, mut command: Command) -> Result<Daemon<'_>, ExitStatus> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir().join("log")).expect("log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("the daemon starts");
        Daemon::wait_or_end(self, child)
    }

    /// Starts the daemon and unlocks it.
    pub fn serve_unlocked(&self) -> Daemon<'_> {
        let daemon = self.serve();
        daemon.unlock();
        daemon
    }

    /// What the daemons of this vault have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("log")).expect("log")
    }
}

/// A running daemon. It is killed, by its pid, when the test is over.
pub struct Daemon<'a> {
    /// Its vault.
    pub vault: &'a Vault,
    child: Child,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl<'a> Daemon<'a> {
    /// Waits until a daemon that was started over this vault answers.
    pub fn wait_for(vault: &'a Vault, child: Child) -> Daemon<'a> {
        Daemon::wait_or_end(vault, child)
            .unwrap_or_else(|ended| panic!("the daemon ended: {ended}; log: {}", vault.log()))
    }

    fn wait_or_end(vault: &'a Vault, mut child: Child) -> Result<Daemon<'a>, ExitStatus> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let status = vault.run(&["status", "--json"], "");
            if status.code == 0 {
                let listen = status.json()["listen"].as_str().expect("listen").to_owned();
                let port = listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
                return Ok(Daemon { vault, child, port });
            }
            if let Ok(Some(ended)) = child.try_wait() {
                return Err(ended);
            }
            assert!(Instant::now() < deadline, "the daemon did not start; log: {}", vault.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Unlocks with the usual password.
    pub fn unlock(&self) {
        self.run(&["unlock", "--stdin"], PASSWORD).ok();
    }

    /// Runs a command against this daemon.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Answer {
        self.vault.run(arguments, stdin)
    }

    /// `status --json`.
    pub fn status(&self) -> serde_json::Value {
        self.run(&["status", "--json"], "").json()
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bots' socket.
    pub fn sign_socket(&self) -> PathBuf {
        self.vault.run_dir().join("sign.sock")
    }

    /// The admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.vault.run_dir().join("admin.sock")
    }

    /// Adds a credential of the usual secrets.
    pub fn add_credential(&self, name: &str) {
        self.add_credential_with(name, &["--permissions", "read,trade", "--ip", "203.0.113.7"]);
    }

    /// Adds a credential of the usual secrets with more arguments.
    pub fn add_credential_with(&self, name: &str, more: &[&str]) {
        let secrets = serde_json::json!({ "api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE }).to_string();
        self.run(&[&["credential", "add", name, "--exchange", "okx", "--stdin"], more].concat(), &secrets).ok();
    }

    /// Adds a bot with these grants and returns its token.
    pub fn add_bot(&self, name: &str, credential: &str, grants: &[&str]) -> String {
        // A rate that no test reaches by accident: tests ask faster than any bot.
        let unchecked = if grants.contains(&"session") { "session_unchecked = true\n" } else { "" };
        let text = format!("grants = {grants:?}\n{unchecked}[limits]\nrequests_per_second = 1000000\n");
        self.add_bot_with(name, credential, &text)
    }

    /// Adds a bot for the credential `main` under a policy of this text, named after it, and says its token.
    pub fn add_bot_under(&self, name: &str, text: &str) -> String {
        self.add_bot_with(name, "main", text)
    }

    fn add_bot_with(&self, name: &str, credential: &str, text: &str) -> String {
        let policy = format!("{name}-policy");
        let file = self.vault.file(&format!("{policy}.toml"), text);
        self.run(&["policy", "set", &policy, &file], "").ok();
        let added = self.run(&["bot", "add", name, "--credential", credential, "--policy", &policy], "");
        added.ok().trim_end().to_owned()
    }

    /// Asks the daemon to stop, as a supervisor does, and says its exit code.
    pub fn terminate(mut self) -> i32 {
        signal(self.child.id(), "TERM");
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Waits until the daemon ends by itself and says its exit code.
    pub fn ends(mut self) -> i32 {
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Ends the daemon as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Gone already when the test ended it itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process, by its pid.
pub fn signal(pid: u32, name: &str) {
    let signal = match name {
        "TERM" => Signal::TERM,
        "KILL" => Signal::KILL,
        "INT" => Signal::INT,
        "HUP" => Signal::HUP,
        "ABRT" => Signal::ABORT,
        "SEGV" => Signal::SEGV,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        _ => panic!("no signal {name}"),
    };
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("sent");
}
