//! T74: too little memory. What can't be hashed is refused in words and leaves everything as it was; a daemon that the
//! kernel ends for want of memory comes back locked.

use crate::support::{Daemon, PASSWORD, Vault, signal};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// What the words are about.
const NOT_ENOUGH: &str = "the machine has not enough memory ";

impl Daemon<'_> {
    /// A number of the kernel's about the daemon, in bytes.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the number");
        1024 * line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB")
    }

    /// Waits until it has its threads: the main one, the signer and the helpers, which stay. What is looked at here is the
    /// memory of a hash, not that of a thread.
    fn wait_for_helpers(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.memory("Threads") < 5 * 1024 {
            assert!(Instant::now() < deadline, "it has no helpers");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Bounds what the daemon may have from now on, of address space or of data; nothing stands for no bound.
    fn bound(&self, resource: Resource, bytes: Option<u64>) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        prlimit(Some(pid), resource, Rlimit { current: bytes, maximum: None }).expect("this user may raise it again");
    }
}

/// The hash takes 64 MiB, and stacks for its threads. Below that, at it and above, until there is enough.
#[test]
fn t74_an_unlock_without_the_memory_for_its_hash_is_refused_in_words_and_succeeds_once_there_is_enough() {
    for (resource, of) in [(Resource::As, "VmSize"), (Resource::Data, "VmData")] {
        let vault = Vault::new();
        let daemon = vault.serve();
        daemon.wait_for_helpers();
        let mut refused = 0;
        for more in (0..72).step_by(6).chain((72..400).step_by(40)) {
            let files = vault.files();
            daemon.bound(resource, Some(daemon.memory(of) + more * MIB));
            let answer = daemon.try_unlock(PASSWORD, &[]);
            daemon.bound(resource, None);
            if answer.code == 0 {
                daemon.run(&["lock"], "").ok();
                continue;
            }
            refused += 1;
            assert!(answer.stderr.contains(NOT_ENOUGH), "{more} MiB more: {}\n{}", answer.stderr, vault.log());
            assert_eq!(daemon.state(), "locked");
            // A log that is empty says nothing: SQLite makes it before it needs the memory that it does not get.
            let is_empty_log = |path: &std::path::Path| {
                path.ends_with("vault.db-wal") && std::fs::metadata(path).is_ok_and(|about| about.len() == 0)
            };
            let known = |path: &std::path::Path| !path.ends_with("attempts") && !is_empty_log(path);
            let changed = vault.files().into_iter().filter(|(path, now)| known(path) && files.get(path) != Some(now));
            let changed: Vec<_> = changed.map(|(path, _)| path).collect();
            assert!(changed.is_empty(), "{more} MiB more: {changed:?} changed; {}", answer.stderr);
            // At once: what could not be tried is no failed attempt.
            assert_eq!(daemon.try_unlock(PASSWORD, &["--json"]).json()["failed_attempts"], 0, "{more} MiB more");
            daemon.run(&["lock"], "").ok();
        }
        assert!(refused >= 10, "{of}: only {refused} were refused: the bound was too high to mean anything");
        assert!(!vault.log().contains("panic"), "{}", vault.log());
        daemon.unlock();
    }
}

#[test]
fn t74_a_daemon_that_is_ended_in_the_middle_of_the_hash_comes_back_locked_and_unlocks() {
    let vault = Vault::nowhere();
    // Long enough to be met in the middle of.
    vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "512"], PASSWORD).ok();
    let before = vault.files();
    let daemon = vault.serve();
    let unhashed = daemon.memory("VmRSS");
    std::thread::scope(|scope| {
        let unlocking = scope.spawn(|| daemon.try_unlock(PASSWORD, &[]));
        let deadline = Instant::now() + Duration::from_secs(10);
        while daemon.memory("VmRSS") < unhashed + 16 * MIB {
            assert!(Instant::now() < deadline && !unlocking.is_finished(), "it never hashed");
        }
        signal(daemon.pid(), "KILL");
        assert_ne!(unlocking.join().expect("a client").code, 0);
    });
    drop(daemon);
    for (path, content) in before {
        assert_eq!(vault.files().get(&path), Some(&content), "{}", path.display());
    }
    let daemon = vault.serve();
    assert_eq!(daemon.state(), "locked");
    daemon.unlock_patiently();
}
