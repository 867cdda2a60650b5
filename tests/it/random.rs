//! T75: the kernel gives no random numbers, or the same ones again. What needs some is refused in words; what needs none,
//! signatures above all, goes on.

use crate::support::signers::{ORDER, verified_ledger};
use crate::support::{API_KEY, Answer, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault};
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the words are about.
const NOT_ENOUGH: &str = "the machine has not enough random numbers";

/// `getrandom` of a running daemon, as strace makes it behave for as long as this lives.
struct Broken(Child);

impl Broken {
    fn of(daemon: &Daemon<'_>, how: &str) -> Broken {
        let inject = format!("inject=getrandom:{how}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=getrandom", "-e", &inject, "-p"]);
        strace.arg(daemon.pid().to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut broken = Broken(strace.spawn().expect("strace is installed"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_traced(daemon.pid()) {
            assert!(broken.0.try_wait().expect("a child").is_none(), "strace may not trace the daemon");
            assert!(Instant::now() < deadline, "strace does not attach");
            std::thread::sleep(Duration::from_millis(5));
        }
        broken
    }

    /// strace lets go of what it traces when it is told to end.
    fn heal(mut self) {
        crate::support::signal(self.0.id(), "TERM");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        // Gone already unless the test failed in between.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether every thread of a process is traced.
fn is_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.is_empty() && !status.contains("TracerPid:\t0")
    })
}

/// Everything that makes something new, and so needs random numbers.
fn make_something_new(daemon: &Daemon<'_>, policy: &str) -> Vec<(&'static str, Answer)> {
    let secrets = json!({ "api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE }).to_string();
    let change = format!("{PASSWORD}\nanother password\n");
    let file = |name: &str| daemon.vault.dir().join(name).to_str().expect("UTF-8").to_owned();
    let (key, backup) = (file("new-key"), file("new-backup"));
    let run = |arguments: &[&str], stdin: &str| daemon.run(arguments, stdin);
    vec![
        ("credential add", run(&["credential", "add", "new", "--exchange", "okx", "--stdin"], &secrets)),
        ("credential rotate", run(&["credential", "rotate", "main", "--stdin"], &secrets)),
        ("credential edit", run(&["credential", "edit", "main", "--label", "x"], "")),
        ("bot add", run(&["bot", "add", "new", "--credential", "main"], "")),
        ("bot rotate", run(&["bot", "rotate", "bob"], "")),
        ("policy set", run(&["policy", "set", "new", policy], "")),
        ("slot add", run(&["slot", "add", "key-file", &key], "")),
        ("password change", run(&["password", "change", "--stdin"], &change)),
        ("backup", run(&["backup", &backup], "")),
    ]
}

#[test]
#[ignore = "needs strace and the right to trace: make random"]
fn t75_without_random_numbers_nothing_new_is_made_and_signing_goes_on() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let bob = daemon.add_bot("bob", "main", &["read", "trade"]);
    let policy = vault.file("new.toml", "grants = [\"read\"]\n");
    let listed = || ["credential", "bot", "policy", "slot"].map(|of| daemon.run(&[of, "list", "--json"], "").ok());
    let before = listed();
    for how in ["error=ENOSYS", "error=EAGAIN", "error=EIO", "error=EPERM", "retval=16", "retval=32"] {
        let broken = Broken::of(&daemon, how);
        let answers = make_something_new(&daemon, &policy);
        for number in 0..8 {
            let body = format!(r#"{{"instId":"BTC-USDT","clOrdId":"{}n{number}"}}"#, &how[how.len() - 2..]);
            daemon.tcp().sign(&bob, "main", "POST", ORDER, Some(&body)).ok();
            daemon.unix().sign(&bob, "main", "GET", "/api/v5/account/balance", None).ok();
        }
        broken.heal();
        for (command, answer) in answers {
            assert_eq!(answer.code, 1, "{how}: {command}: {answer:?}");
            assert!(answer.stderr.contains(NOT_ENOUGH), "{how}: {command}: {}", answer.stderr);
        }
        let unchanged = |(one, other): (&String, &String)| one == other || other.contains("last_");
        assert!(before.iter().zip(&listed()).all(unchanged), "{how}: something was made");
    }
    assert!(!vault.log().contains("a panic"), "{}", vault.log());
    // The disk did not learn of anything either.
    daemon.run(&["lock"], "").ok();
    daemon.unlock();
    verified_ledger(&daemon);
    for (command, answer) in make_something_new(&daemon, &policy) {
        assert_eq!(answer.code, 0, "{command}: {answer:?}");
    }
}

#[test]
#[ignore = "needs strace and the right to trace: make random"]
fn t75_without_random_numbers_whatever_takes_away_goes_on() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let [bob, eve] = ["bob", "eve"].map(|name| daemon.add_bot(name, "main", &["read", "trade"]));
    let status = |token: &str| daemon.tcp().sign(token, "main", "POST", ORDER, Some(r#"{"instId":"BTC-USDT"}"#)).status;
    let broken = Broken::of(&daemon, "error=EIO");
    daemon.run(&["lock"], "").ok();
    daemon.unlock();
    assert_eq!((status(&bob), status(&eve)), (200, 200));
    daemon.run(&["bot", "revoke", "bob"], "").ok();
    assert_eq!((status(&bob), status(&eve)), (401, 200));
    daemon.run(&["mode", "cancel-only"], "").ok();
    assert_eq!(status(&eve), 403);
    daemon.run(&["mode", "cancel-only", "--bot", "eve"], "").ok();
    daemon.run(&["mode", "normal"], "").ok();
    assert_eq!(status(&eve), 403);
    broken.heal();
    daemon.kill();
    let daemon = vault.serve_unlocked();
    let status = |token: &str| daemon.tcp().sign(token, "main", "POST", ORDER, Some(r#"{"instId":"BTC-USDT"}"#)).status;
    assert_eq!((status(&bob), status(&eve)), (401, 403), "the disk knows it too");
    daemon.run(&["credential", "remove", "main"], "").ok();
    verified_ledger(&daemon);
}
