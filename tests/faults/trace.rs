//! strace: makes system calls of the daemon fail, and writes down those that it makes.

use crate::support::{Daemon, Vault};
use crate::vaults::{RESERVE, command_under, serve};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The calls by which a vault's files are read and changed. The question mark lets strace pass over what a machine does
/// not have.
pub const FILE_CALLS: [&str; 11] = [
    "fdatasync",
    "fsync",
    "pwrite64",
    "pread64",
    "write",
    "openat",
    "?open",
    "?rename",
    "ftruncate",
    "fallocate",
    "?unlink",
];

/// Options that keep strace to the files of a vault: what it does to others (libraries, sockets, the log) is not meant.
pub fn files_of(vault: &Vault) -> Vec<String> {
    let in_state = ["vault.db", "vault.db-wal", "attempts", "attempts.next", "daemon.lock", "backup.tmp", RESERVE, ""];
    let in_anchor = ["anchor", "anchor.next", ""];
    let state = in_state.map(|name| path_of(&vault.state_dir(), name));
    let paths = state.into_iter().chain(in_anchor.map(|name| path_of(&vault.anchor_dir(), name)));
    paths.flat_map(|path| ["-P".to_owned(), path.to_str().expect("UTF-8").to_owned()]).collect()
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    if name.is_empty() { dir.to_owned() } else { dir.join(name) }
}

/// Where strace writes.
pub fn log_of(vault: &Vault) -> PathBuf {
    vault.dir().join("strace")
}

/// The command that starts a vault's daemon under strace with these options. The daemon is the child of whoever runs
/// it, and strace ends with the daemon.
pub fn serve_traced(vault: &Vault, options: &[String]) -> Command {
    let log = log_of(vault).to_str().expect("UTF-8").to_owned();
    let before = ["-D", "-f", "-qq", "-o", &log];
    let options: Vec<&str> = before.into_iter().chain(options.iter().map(String::as_str)).collect();
    command_under(serve(vault), "strace", &options)
}

/// Options that make a call do something else, `when` as strace writes it. Strace counts for each thread by itself.
pub fn inject(vault: &Vault, call: &str, what: &str, when: &str) -> Vec<String> {
    let mut options = files_of(vault);
    options.extend(["-e".to_owned(), format!("trace={call}")]);
    options.extend(["-e".to_owned(), format!("inject={call}:{what}:when={when}")]);
    options
}

/// How often a call was made to do something else.
pub fn injected(vault: &Vault) -> usize {
    finished_log(vault).matches("(INJECTED").count()
}

/// How often the busiest thread made each call, of a daemon that ran under strace.
pub fn calls_of_the_busiest_thread(vault: &Vault) -> BTreeMap<String, usize> {
    let mut by_thread: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in finished_log(vault).lines() {
        let mut words = line.splitn(2, ' ');
        let (Some(thread), Some(rest)) = (words.next(), words.next()) else { continue };
        if let Some((call, _)) = rest.trim_start().split_once('(').filter(|(call, _)| !call.contains([' ', '<', '-'])) {
            *by_thread.entry((call.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((call, _), count) in by_thread {
        let known = most.entry(call).or_default();
        *known = count.max(*known);
    }
    most
}

/// What strace wrote about a daemon that has ended, once it is all there.
pub fn finished_log(vault: &Vault) -> String {
    let read =
        || std::fs::read(log_of(vault)).map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut before = read();
    loop {
        // With -qq there is no line about the end: strace is done when nothing more comes and nobody has the file open.
        std::thread::sleep(Duration::from_millis(10));
        let now = read();
        if now == before && !is_being_written(&log_of(vault)) || Instant::now() > deadline {
            return now;
        }
        before = now;
    }
}

/// Whether a process called strace has this file open.
fn is_being_written(path: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let tracers = processes.filter(|process| {
        std::fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim_end() == "strace")
    });
    let mut files =
        tracers.flat_map(|process| std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    files.any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == path))
}

/// Strace beside a daemon that runs already. It lets go when this is dropped.
pub struct Attached {
    strace: Child,
}

impl Attached {
    /// Attaches to every thread of the daemon. Needs root.
    pub fn to(daemon: &Daemon<'_>, options: &[String]) -> Attached {
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(log_of(daemon.vault)).args(["-p", &daemon.pid().to_string()]).args(options);
        let strace = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace runs");
        let attached = Attached { strace };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !is_traced(daemon.pid()) {
            assert!(Instant::now() < deadline, "strace can't attach: it needs root");
            std::thread::sleep(Duration::from_millis(5));
        }
        // A thread that was just taken runs on until it is stopped for the first time.
        std::thread::sleep(Duration::from_millis(100));
        attached
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // On this signal strace takes its hands off and ends.
        crate::support::signal(self.strace.id(), "TERM");
        let _ = self.strace.wait();
    }
}

/// Whether every thread of a process has a tracer.
fn is_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
    let mut states = threads.map(|thread| std::fs::read_to_string(thread.path().join("status")).unwrap_or_default());
    states.all(|state| !state.lines().any(|line| line.starts_with("TracerPid:\t0")))
}
