//! Disks that hang, fail or fill up, and files that lose their names, under a running daemon: no signature without its
//! row, what must hold at once holds at once, and all of it heals without a restart.

use crate::support::http::Response;
use crate::support::signers::verified_ledger;
use crate::support::{Daemon, PASSWORD, Vault};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BALANCE: &str = "/api/v5/account/balance";
const ORDER: &str = "/api/v5/trade/order";
const CANCEL: &str = "/api/v5/trade/cancel-order";
const ONE_ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"1"}"#;
const ONE_CANCEL: &str = r#"{"instId":"BTC-USDT","ordId":"1"}"#;

/// A daemon with the credential `main` and the bots `bob` and `eve`, whose tokens come with it.
fn furnished(daemon: &Daemon<'_>) -> (String, String) {
    daemon.add_credential("main");
    (daemon.add_bot("bob", "main", &["read", "trade"]), daemon.add_bot("eve", "main", &["read", "trade"]))
}

fn balance(daemon: &Daemon<'_>, token: &str) -> Response {
    daemon.tcp().sign(token, "main", "GET", BALANCE, None)
}

fn ready(daemon: &Daemon<'_>) -> Value {
    daemon.tcp().request("GET", "/ready", None, None).json()
}

/// An admin's request over HTTP, and how long it took.
fn admin(daemon: &Daemon<'_>, method: &str, path: &str, body: Option<Value>) -> (Response, Duration) {
    let (began, body) = (Instant::now(), body.map(|body| body.to_string()));
    let answer = daemon.admin().request(method, path, None, body.as_deref());
    (answer, began.elapsed())
}

/// Refused for want of a row, and nothing in the answer that could be used.
#[track_caller]
fn unavailable(answer: &Response) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "audit.unavailable"));
    assert!(answer.json().get("headers").is_none(), "a signature leaked: {answer:?}");
}

/// Waits until something is so.
#[track_caller]
fn soon(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Every allowed row of the ledger was signed for, or its ask was answered 503: what came back is all there.
fn all_signed_are_in_the_ledger(daemon: &Daemon<'_>, signed: &[u64]) {
    let ledger = verified_ledger(daemon);
    for seq in signed {
        assert_eq!(ledger[seq]["decision"], "allow", "row {seq}");
    }
}

/// A tracer that changes what some of the daemon's calls do. It lets go, by its own pid, when it is dropped.
struct Tampered(Child);

impl Tampered {
    fn syncs(daemon: &Daemon<'_>, how: &str) -> Tampered {
        Tampered::calls(daemon, "fsync,fdatasync", how)
    }

    fn calls(daemon: &Daemon<'_>, calls: &str, how: &str) -> Tampered {
        let mut command = Command::new("strace");
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{how}"));
        command.args(["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
        command.args(["-p", &daemon.pid().to_string()]).stderr(Stdio::piped());
        let mut tracer = command.spawn().expect("strace is there");
        // It says so once it holds the process.
        let mut said = [0; 1];
        tracer.stderr.as_mut().expect("piped").read_exact(&mut said).expect("attached");
        thread::sleep(Duration::from_millis(200));
        Tampered(tracer)
    }
}

impl Drop for Tampered {
    fn drop(&mut self) {
        crate::support::signal(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root and strace"]
fn a_disk_that_hangs_stops_nothing_in_memory_and_owes_nothing_in_the_end() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (bob, eve) = furnished(&daemon);
    let signed = balance(&daemon, &bob).ok()["audit_seq"].as_u64().expect("a row");
    let hung = Tampered::syncs(&daemon, "delay_enter=9000000");

    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let began = Instant::now();
            (balance(&daemon, &bob), began.elapsed())
        });
        thread::sleep(Duration::from_millis(300));
        // More ordinary actions than there are places for, each in the hands of the disk or waiting for one that is.
        let adding: Vec<_> = (0..12)
            .map(|number| {
                let body = json!({ "text": "grants = [\"read\"]" });
                let daemon = &daemon;
                scope.spawn(move || admin(daemon, "PUT", &format!("/v1/policies/p{number}"), Some(body)))
            })
            .collect();
        thread::sleep(Duration::from_millis(300));

        let urgent = [
            ("POST", "/v1/bots/bob/revoke", None),
            ("PUT", "/v1/mode", Some(json!({ "mode": "cancel-only" }))),
            ("PUT", "/v1/mode", Some(json!({ "mode": "reduce-only", "bot": "eve" }))),
        ];
        for (method, path, body) in urgent {
            let (answer, took) = admin(&daemon, method, path, body);
            unavailable(&answer);
            assert_eq!(answer.json()["applied"], "memory", "{path}");
            assert!(took < Duration::from_secs(1), "{path} took {took:?}");
        }
        assert_eq!(ready(&daemon)["checks"]["audit"], "the row about a revocation is not written yet");
        for (path, token) in [("/health", None), ("/ready", None), ("/v1/whoami", Some(&*eve))] {
            let began = Instant::now();
            daemon.unix().request("GET", path, token, None);
            assert!(began.elapsed() < Duration::from_secs(1), "{path}");
        }
        for path in ["/v1/status", "/v1/mode", "/v1/bots", "/v1/credentials", "/v1/policies"] {
            let (answer, took) = admin(&daemon, "GET", path, None);
            assert!(answer.status == 200 && took < Duration::from_secs(1), "{path}: {} {took:?}", answer.status);
        }
        assert_eq!(daemon.unix().request("GET", "/v1/whoami", Some(&bob), None).status, 401);
        let whoami = daemon.unix().request("GET", "/v1/whoami", Some(&eve), None).ok();
        assert_eq!(whoami["mode"], "cancel-only");

        let (asked, took) = asking.join().expect("asked");
        unavailable(&asked);
        assert!(took < Duration::from_millis(2700), "{took:?}");
        for added in adding {
            let (answer, took) = added.join().expect("added");
            unavailable(&answer);
            assert!(answer.json().get("applied").is_none());
            assert!(took < Duration::from_secs(3), "{took:?}");
        }

        let (answer, took) = admin(&daemon, "POST", "/v1/lock", None);
        unavailable(&answer);
        assert!(answer.json()["applied"] == "memory" && took < Duration::from_secs(1), "{answer:?} {took:?}");
        assert_eq!(daemon.status()["state"], "locked");
        assert!(ready(&daemon)["checks"]["audit"].as_str().expect("words").contains("not written yet"));
        assert_eq!(balance(&daemon, &eve).status, 423);
        let refused = daemon.run(&["unlock", "--stdin"], PASSWORD).fails(1);
        assert!(refused.contains("audit.unavailable"), "{refused}");
    });

    drop(hung);
    soon("the lock is finished", || ready(&daemon)["checks"]["audit"] == "unknown while the vault is locked");
    daemon.unlock();
    all_signed_are_in_the_ledger(&daemon, &[signed]);
    let ledger = verified_ledger(&daemon);
    let count = |event: &str| ledger.values().filter(|row| row["event"] == event).count();
    assert_eq!((count("lock"), count("mode")), (1, 2));
    assert_eq!(ledger.values().filter(|row| row["action"] == "revoke").count(), 1);
    assert_eq!(daemon.status()["mode"], "cancel-only");
    // Whatever became of the policies, memory says what the disk says.
    let before = daemon.run(&["policy", "list", "--json"], "").ok();
    drop(daemon);
    let daemon = vault.serve_unlocked();
    assert_eq!(daemon.run(&["policy", "list", "--json"], "").ok(), before);
    assert_eq!(daemon.unix().request("GET", "/v1/whoami", Some(&bob), None).status, 401);
}

#[test]
#[ignore = "needs root and strace"]
fn a_stop_is_heard_while_the_disk_hangs() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (bob, _) = furnished(&daemon);
    let signed = balance(&daemon, &bob).ok()["audit_seq"].as_u64().expect("a row");
    let hung = Tampered::syncs(&daemon, "delay_enter=15000000");
    let (stop, asked) = thread::scope(|scope| {
        let asking = scope.spawn(|| balance(&daemon, &bob));
        thread::sleep(Duration::from_millis(500));
        crate::support::signal(daemon.pid(), "TERM");
        (Instant::now(), asking.join().expect("asked"))
    });
    unavailable(&asked);
    soon("it has stopped", || vault.log().contains("stopped"));
    assert!(stop.elapsed() < Duration::from_secs(12), "{:?}", stop.elapsed());
    // The tracer keeps the thread that the disk had for a while longer.
    assert_eq!(daemon.ends(), 0);
    drop(hung);
    let daemon = vault.serve_unlocked();
    all_signed_are_in_the_ledger(&daemon, &[signed]);
}

#[test]
#[ignore = "needs root and strace"]
fn a_disk_that_fails_to_sync_signs_nothing_and_heals_without_a_restart() {
    for error in ["EIO", "ENOSPC", "EROFS"] {
        let vault = Vault::new();
        let daemon = vault.serve_unlocked();
        let (bob, _) = furnished(&daemon);
        let first = balance(&daemon, &bob).ok()["audit_seq"].as_u64().expect("a row");
        let failing = Tampered::syncs(&daemon, &format!("error={error}"));
        for _ in 0..3 {
            unavailable(&balance(&daemon, &bob));
            unavailable(&admin(&daemon, "PUT", "/v1/policies/p", Some(json!({ "text": "grants = [\"read\"]" }))).0);
        }
        assert_eq!(ready(&daemon)["ready"], false, "{error}");
        drop(failing);
        soon("it signs again", || balance(&daemon, &bob).status == 200);
        let second = balance(&daemon, &bob).ok()["audit_seq"].as_u64().expect("a row");
        assert_eq!(ready(&daemon)["ready"], true);
        assert!(daemon.run(&["policy", "show", "p"], "").fails(1).contains("admin.not_found"), "{error}");
        all_signed_are_in_the_ledger(&daemon, &[first, second]);
    }
}

#[test]
fn files_that_are_moved_away_are_noticed_by_the_next_request_and_all_goes_on_when_they_are_back() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (bob, _) = furnished(&daemon);
    for file in ["vault.db", "vault.db-wal"] {
        let (here, away) = (vault.state_dir().join(file), vault.dir().join("away"));
        balance(&daemon, &bob).ok();
        std::fs::rename(&here, &away).expect("moved");
        unavailable(&balance(&daemon, &bob));
        assert!(vault.log().contains(&format!("file=\"{file}\"")), "the log names it");
        if here.exists() {
            // The daemon went on without it already: its own log is whole.
            continue;
        }
        std::fs::rename(&away, &here).expect("moved back");
        balance(&daemon, &bob).ok();
        assert_eq!(ready(&daemon)["ready"], true);
    }
    verified_ledger(&daemon);
}

#[test]
fn copies_and_removals_heal_by_themselves_and_another_database_never_does() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (bob, _) = furnished(&daemon);
    let (database, log) = (vault.state_dir().join("vault.db"), vault.state_dir().join("vault.db-wal"));
    let copy = vault.dir().join("copy");
    let replaced_by_a_copy = |path: &Path| {
        std::fs::copy(path, &copy).expect("copied");
        std::fs::rename(&copy, path).expect("replaced");
    };
    let hurts: [(&str, &dyn Fn()); 3] = [
        ("the log is removed", &|| std::fs::remove_file(&log).expect("removed")),
        ("the database is replaced by a copy", &|| replaced_by_a_copy(&database)),
        ("the log is replaced by a copy", &|| replaced_by_a_copy(&log)),
    ];
    for (what, hurt) in hurts {
        hurt();
        // The work of a second may have been quicker.
        let answer = balance(&daemon, &bob);
        assert!(answer.status == 200 || answer.code() == "audit.unavailable", "{what}");
        soon(what, || balance(&daemon, &bob).status == 200);
        verified_ledger(&daemon);
    }
    let other = Vault::new();
    let away = vault.dir().join("away");
    std::fs::rename(&database, &away).expect("moved");
    std::fs::copy(other.state_dir().join("vault.db"), &database).expect("planted");
    for _ in 0..3 {
        unavailable(&balance(&daemon, &bob));
        thread::sleep(Duration::from_millis(700));
    }
    std::fs::rename(&away, &database).expect("moved back");
    balance(&daemon, &bob).ok();
    verified_ledger(&daemon);
}

#[test]
fn an_anchor_that_is_removed_comes_back_and_one_that_cannot_stops_signing() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (bob, _) = furnished(&daemon);
    let anchor = vault.anchor_dir().join("anchor");
    std::fs::remove_file(&anchor).expect("removed");
    balance(&daemon, &bob).ok();
    assert!(anchor.exists());
    // Not even root makes a file where a directory is.
    std::fs::remove_file(&anchor).expect("removed");
    std::fs::create_dir(&anchor).expect("made");
    unavailable(&balance(&daemon, &bob));
    unavailable(&balance(&daemon, &bob));
    assert_eq!(ready(&daemon)["ready"], false);
    std::fs::remove_dir(&anchor).expect("removed");
    balance(&daemon, &bob).ok();
    daemon.run(&["lock"], "").ok();
    daemon.unlock();
}

/// The daemon reaches the directories that it was started with and no others, so a new one of that name needs a new start.
#[test]
fn an_anchor_directory_that_is_removed_stops_signing_until_a_new_start() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (bob, _) = furnished(&daemon);
    let (dir, away) = (vault.anchor_dir(), vault.dir().join("away"));
    std::fs::rename(&dir, &away).expect("moved");
    unavailable(&balance(&daemon, &bob));
    unavailable(&balance(&daemon, &bob));
    assert_eq!(ready(&daemon)["ready"], false);
    std::fs::rename(&away, &dir).expect("moved back");
    soon("the same directory is reached again", || balance(&daemon, &bob).status == 200);
    std::fs::rename(&dir, &away).expect("moved");
    unavailable(&balance(&daemon, &bob));
    daemon.kill();
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::rename(&away, &dir).expect("moved back");
    let daemon = vault.serve_unlocked();
    balance(&daemon, &bob).ok();
}

/// A small file system of its own in memory. It is taken away when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: &Path, mib: u32) -> SmallDisk {
        std::fs::create_dir(path).expect("made");
        let options = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).status();
        assert!(mounted.expect("mount is there").success(), "needs root");
        SmallDisk(path.to_owned())
    }

    /// Leaves only so many MiB.
    fn fill_up_to(&self, left_mib: u64) {
        let about = rustix::fs::statvfs(&self.0).expect("there");
        let bytes = (about.f_bavail * about.f_frsize).saturating_sub(left_mib * 1024 * 1024);
        let mut ballast = std::fs::File::create(self.0.join("ballast")).expect("made");
        // The end of the disk comes in the middle of a piece.
        for _ in 0..bytes.div_ceil(65_536) {
            if ballast.write_all(&[1; 65_536]).is_err() {
                break;
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root, to mount a small disk"]
fn a_disk_that_fills_up_goes_cancel_only_then_signs_cancels_from_its_reserve_and_heals() {
    let vault = Vault::nowhere();
    let disk = SmallDisk::at(&vault.state_dir(), 64);
    vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"], PASSWORD).ok();
    let mut command = vault.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SIGNVAULT_AUDIT_LOW_SPACE_MIB", "8");
    let daemon = vault.serve_by(command);
    daemon.unlock();
    let (bob, _) = furnished(&daemon);
    let reserve = vault.state_dir().join("reserve");
    soon("there is a reserve", || reserve.metadata().is_ok_and(|about| about.len() == 16 * 1024 * 1024));
    let post = |path: &str, body: &str| daemon.tcp().sign(&bob, "main", "POST", path, Some(body));
    post(ORDER, ONE_ORDER).ok();

    disk.fill_up_to(6);
    soon("it is cancel-only", || daemon.status()["mode"] == "cancel-only");
    assert!(daemon.status()["warnings"].to_string().contains("little space"));
    assert!(daemon.run(&["mode"], "").ok().contains("by the disk"));
    assert_eq!(post(ORDER, ONE_ORDER).code(), "policy.mode");
    let mut signed = vec![post(CANCEL, ONE_CANCEL).ok()["audit_seq"].as_u64().expect("a row")];
    assert!(reserve.exists());

    disk.empty();
    soon("it is as before", || daemon.status()["mode"] == "normal");
    disk.fill_up_to(0);
    soon("it is full", || balance(&daemon, &bob).status == 503);
    let rows = || daemon.status()["audit_sequence"].as_u64().expect("unlocked");
    for _ in 0..50 {
        signed.push(post(CANCEL, ONE_CANCEL).ok()["audit_seq"].as_u64().expect("a row"));
    }
    assert!(!reserve.exists(), "it was given up");
    let before = rows();
    for _ in 0..50 {
        unavailable(&balance(&daemon, &bob));
        unavailable(&post(ORDER, ONE_ORDER));
    }
    assert_eq!(rows(), before, "no denial eats what is left");
    assert!(ready(&daemon)["checks"]["audit"].as_str().expect("words").contains("full"));
    daemon.run(&["bot", "revoke", "eve"], "").ok();
    daemon.run(&["mode", "reduce-only"], "").ok();
    daemon.run(&["lock"], "").ok();

    disk.empty();
    daemon.unlock();
    soon("it is as the admin said", || daemon.status()["mode"] == "reduce-only");
    daemon.run(&["mode", "normal"], "").ok();
    post(ORDER, ONE_ORDER).ok();
    soon("there is a reserve again", || reserve.exists());
    all_signed_are_in_the_ledger(&daemon, &signed);
    let told = verified_ledger(&daemon);
    let told: Vec<&Value> = told.values().filter(|row| row["why"] == "disk").map(|row| &row["mode"]).collect();
    assert_eq!(told[..2], [&json!("cancel-only"), &json!("normal")], "{told:?}");
}

#[test]
fn the_head_goes_to_the_log_at_an_unlock_at_a_lock_and_after_so_many_rows() {
    let vault = Vault::new();
    let mut command = vault.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SIGNVAULT_AUDIT_LOG_HEAD_ROWS", "10");
    let daemon = vault.serve_by(command);
    daemon.unlock();
    let (bob, _) = furnished(&daemon);
    for _ in 0..10 {
        balance(&daemon, &bob).ok();
    }
    let lines = || vault.log().matches("ledger head").count();
    soon("a line after ten rows", || lines() >= 2);
    daemon.run(&["lock"], "").ok();
    daemon.unlock();
    let log = vault.log();
    for (seq, row) in daemon.run(&["audit", "export"], "").ok().lines().enumerate() {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let line = format!("sequence={} head=\"{}\"", seq + 1, row["head"].as_str().expect("a head"));
        let is_end = row["body"].as_str().is_some_and(|body| body.contains("\"lock\"") || body.contains("\"unlock\""));
        assert!(!is_end || log.contains(&line), "{line}");
    }
    assert!(lines() >= 4);
}

#[test]
#[ignore = "needs root and strace"]
fn a_configuration_on_a_disk_that_hangs_is_read_again_while_bots_sign() {
    let vault = Vault::new();
    let config = vault.file("signvault.toml", "[log]\nlevel = \"info\"\n");
    let daemon = vault.serve_by(vault.command(&["serve", "--listen", "127.0.0.1:0", "--config", &config]));
    daemon.unlock();
    let (bob, _) = furnished(&daemon);
    let mut connection = daemon.tcp();
    vault.file("signvault.toml", "[http]\nmax_connections = 7\n");
    let hung = Tampered::calls(&daemon, "openat", "delay_enter=4000000");
    crate::support::signal(daemon.pid(), "HUP");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        connection.sign(&bob, "main", "GET", BALANCE, None).ok();
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    let is_taken = || vault.log().contains("keys=http.max_connections");
    assert!(!is_taken(), "it did not hang");
    soon("the configuration is taken when the disk goes on", is_taken);
    // Nor does a disk that hangs keep the daemon from its end.
    crate::support::signal(daemon.pid(), "HUP");
    thread::sleep(Duration::from_millis(200));
    let told = Instant::now();
    assert_eq!(daemon.terminate(), 0);
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
    drop(hung);
}
