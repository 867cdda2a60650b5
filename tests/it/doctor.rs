//! `doctor`: a healthy installation is passed over in silence, each planted fault is found, and nothing else beside it.
//! What needs days to pass is tested in process, where the clock is set by hand.

use crate::support::{API_KEY, Answer, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault, signal};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use signvault::daemon::clock::KernelClock;
use signvault::types::clock::Clock;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const BALANCE: &str = "/api/v5/account/balance";
const CONFIG: &str = "[audit]\nlow_space_mib = 1\n";

/// A vault beside a configuration file and a directory without units.
fn prepared() -> Vault {
    let vault = Vault::new();
    fs::create_dir(vault.dir().join("units")).expect("made");
    vault.file("signvault.toml", CONFIG);
    set_mode(&vault.dir().join("signvault.toml"), 0o600);
    vault
}

/// The daemon over a vault that is well but for the backup: two ways to unlock, a bound key, a bot that signs with it.
fn furnished(vault: &Vault) -> Daemon<'_> {
    let daemon = vault.serve_with(&["--config", "signvault.toml"]);
    daemon.unlock();
    daemon.run(&["slot", "add", "key-file", "key"], "").ok();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    sign(&daemon, &token, "main");
    vault.file("token", &token);
    daemon
}

/// The daemon over a vault of which nothing is to be said.
fn healthy(vault: &Vault) -> Daemon<'_> {
    let daemon = furnished(vault);
    back_up(&daemon);
    daemon
}

fn back_up(daemon: &Daemon<'_>) {
    let _ = fs::remove_file(daemon.vault.dir().join("backup"));
    daemon.run(&["backup", "backup"], "").ok();
}

fn sign(daemon: &Daemon<'_>, token: &str, credential: &str) {
    daemon.tcp().sign(token, credential, "GET", BALANCE, None).ok();
}

/// `doctor`, after a look whether it prints a secret. `listen` is where bots are configured to ask.
fn doctor_at(vault: &Vault, listen: &str, more: &[&str]) -> Answer {
    let usual = ["doctor", "--config", "signvault.toml", "--unit-dir", "units"];
    let mut command = vault.command(&[&usual[..], more].concat());
    let answer = Answer::of(command.env("SIGNVAULT_LISTEN", listen).output().expect("it runs"));
    let token = fs::read_to_string(vault.dir().join("token")).unwrap_or_else(|_| SECRET.to_owned());
    for secret in [PASSWORD, SECRET, PASSPHRASE, API_KEY, &token] {
        let tail = &secret[secret.len() - 16..];
        assert!(!answer.stdout.contains(tail) && !answer.stderr.contains(tail), "a secret is printed: {answer:?}");
    }
    answer
}

/// `doctor` where no port is configured, or another daemon of this machine would be looked at.
fn doctor(vault: &Vault, more: &[&str]) -> Answer {
    doctor_at(vault, "127.0.0.1:0", more)
}

/// What is found besides what this machine is to blame for, as `level check`.
fn found(vault: &Vault) -> Vec<String> {
    read(&doctor(vault, &["--json"]))
}

fn read(answer: &Answer) -> Vec<String> {
    let told: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("no JSON: {answer:?}"));
    let findings = told["findings"].as_array().expect("findings");
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    let failed = findings.iter().filter(|finding| finding["level"] == "fail").count();
    assert_eq!(told["failed"], failed, "{told}");
    assert_eq!(answer.code, i32::from(failed > 0), "{answer:?}");
    for finding in findings.iter().filter(|finding| finding["level"] != "skip") {
        assert!(!text(finding, "help").is_empty(), "no help: {finding}");
    }
    let shown = |finding: &Value| format!("{} {}", text(finding, "level"), text(finding, "check"));
    let mut found: Vec<String> = findings.iter().map(shown).filter(|found| !is_of_this_machine(found)).collect();
    found.sort();
    found
}

/// What a machine may have whatever is installed: nobody keeps its clock, its kernel protects less.
fn is_of_this_machine(found: &str) -> bool {
    found == "warn daemon.hardening" || (found == "warn clock.synchronised" && !KernelClock.is_synchronised())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

/// What is found while a file has this mode.
fn found_with_mode(vault: &Vault, path: &Path, mode: u32) -> Vec<String> {
    let before = path.metadata().expect("there").permissions();
    set_mode(path, mode);
    let found = found(vault);
    fs::set_permissions(path, before).expect("put back");
    found
}

#[test]
fn a_healthy_installation_is_one_line_and_with_verbose_every_check_is_told() {
    let vault = prepared();
    let daemon = healthy(&vault);
    assert_eq!(found(&vault), [""; 0]);
    let status = daemon.status();
    let items =
        status["hardening"].as_array().map_or(0, |items| items.iter().filter(|item| item["holds"] == false).count());
    let weak = items + status["degraded"].as_array().map_or(0, Vec::len);
    let is_machine_well = weak == 0 && KernelClock.is_synchronised();
    let words = doctor(&vault, &[]);
    let last = words.stdout.lines().last().expect("a line").to_owned();
    match is_machine_well {
        true => assert!(words.stdout == format!("{last}\n") && last.ends_with(" checks, nothing found"), "{words:?}"),
        false => assert!(last.ends_with(" to see to") && !last.contains("failed"), "{words:?}"),
    }
    assert_eq!((words.code, words.stderr.as_str()), (0, ""));

    let all = doctor(&vault, &["--verbose", "--json"]).json();
    let findings = all["findings"].as_array().expect("findings");
    let names: Vec<&str> = findings.iter().filter_map(|one| one["check"].as_str()).collect();
    assert_eq!(all["checks"], names.len());
    let expected = "backup.age bot.credential bot.expiry bot.policy bot.revoked bot.seen clock.jump clock.jumps \
                    clock.keeper clock.synchronised config.file credential.bot credential.idle credential.ip credential.use \
                    credential.withdraw daemon.answers daemon.hardening daemon.version disk.anchor disk.space \
                    files.anchor files.apart files.run files.state files.way ledger.write policy.flaw port.holder \
                    process.memory_lock slot.recovery slot.spare socket.admin socket.sign unit.drift vault.mode vault.state";
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md")).expect("docs/doctor.md");
    for name in expected.split_whitespace() {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    for name in names.into_iter().chain(["daemon.doctor", "unit.drop_in", "vault.contents"]) {
        assert!(page.contains(&format!("`{name}`")), "docs/doctor.md does not name {name}");
    }
}

#[test]
fn faults_in_files_are_found_one_by_one() {
    let vault = prepared();
    let _daemon = healthy(&vault);
    let (state, anchor, run) = (vault.state_dir(), vault.anchor_dir(), vault.run_dir());
    let config = vault.dir().join("signvault.toml");
    for (path, mode, check) in [
        (state.clone(), 0o755, "fail files.state"),
        (vault.database_path(), 0o644, "fail files.state"),
        (anchor.clone(), 0o750, "fail files.anchor"),
        (anchor.join("anchor"), 0o640, "fail files.anchor"),
        (run.clone(), 0o777, "fail files.run"),
        (run.join("sign.sock"), 0o666, "fail socket.sign"),
        (run.join("admin.sock"), 0o666, "fail socket.admin"),
        (config.clone(), 0o666, "fail config.file"),
    ] {
        assert_eq!(found_with_mode(&vault, &path, mode), [check], "{}", path.display());
    }
    // Both directories lie in it.
    assert_eq!(found_with_mode(&vault, vault.dir(), 0o777), ["fail files.way"; 2]);

    symlink("/etc/passwd", state.join("vault.db.v0")).expect("planted");
    assert_eq!(found(&vault), ["fail files.state"], "a symbolic link");
    fs::remove_file(state.join("vault.db.v0")).expect("removed");
    if rustix::process::geteuid().is_root() {
        chown(state.join("daemon.lock"), Some(54_321), None).expect("given away");
        assert_eq!(found(&vault), ["fail files.state"], "another owner");
        chown(state.join("daemon.lock"), Some(0), None).expect("taken back");
    }
    fs::write(&config, "[audit]\nlow_space_mbi = 1\n").expect("written");
    assert_eq!(found(&vault), ["fail config.file"], "an unknown key");
    fs::write(&config, CONFIG).expect("written");
    assert_eq!(found(&vault), [""; 0], "all was put back");
}

#[test]
fn who_listens_and_what_the_process_may_do_is_looked_at() {
    let vault = prepared();
    let daemon = healthy(&vault);
    let run = vault.run_dir();
    // A bot that is told `localhost` would ask here first.
    let squatter = TcpListener::bind(("::1", daemon.port)).or_else(|_| TcpListener::bind(("127.0.0.2", daemon.port)));
    let squatter = squatter.expect("a port");
    assert_eq!(found(&vault), ["fail port.holder"]);
    drop(squatter);

    fs::rename(run.join("sign.sock"), run.join("aside")).expect("moved");
    assert_eq!(found(&vault), ["fail socket.sign"], "there is none");
    let thief = UnixListener::bind(run.join("sign.sock")).expect("planted");
    set_mode(&run.join("sign.sock"), 0o660);
    assert_eq!(found(&vault), ["fail socket.sign"], "it is somebody else's");
    drop(thief);
    fs::rename(run.join("aside"), run.join("sign.sock")).expect("put back");

    let process = Pid::from_raw(i32::try_from(daemon.pid()).expect("a pid"));
    let before = prlimit(process, Resource::Memlock, Rlimit { current: Some(4096), maximum: Some(4096) });
    assert_eq!(found(&vault), ["warn process.memory_lock"]);
    // Only root may raise it again; for others the rest is a little less silent.
    let is_back = prlimit(process, Resource::Memlock, before.expect("limited")).is_ok();

    let folder = vault.dir().join("units/signvault.service.d");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("local.conf"), "[Service]\nEnvironment=A=hunter2\nProtectSystem=no\n").expect("planted");
    let told = doctor(&vault, &[]).stdout;
    assert!(told.contains("ProtectSystem (unit.drop_in)") && !told.contains("hunter2"), "{told}");
    let found_now = found(&vault);
    assert_eq!(
        found_now.iter().filter(|found| !found.contains("memory_lock")).collect::<Vec<_>>(),
        ["fail unit.drop_in"]
    );
    fs::remove_file(folder.join("local.conf")).expect("removed");
    if is_back {
        assert_eq!(found(&vault), [""; 0], "all was put back");
    }
}

#[test]
fn a_unit_that_is_not_the_one_that_came_along_is_found() {
    let vault = prepared();
    let _daemon = healthy(&vault);
    let shipped =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/signvault.service")).expect("a unit");
    let installed = vault.dir().join("units/signvault.service");
    fs::write(&installed, &shipped).expect("installed");
    assert_eq!(found(&vault), [""; 0]);
    fs::write(&installed, shipped.replace("RestartSec=1s", "RestartSec=2s")).expect("changed");
    assert_eq!(found(&vault), ["warn unit.drift"]);
    fs::write(&installed, shipped.replace("ProtectSystem=strict", "ProtectSystem=no")).expect("weakened");
    assert_eq!(found(&vault), ["fail unit.drift"]);
    assert!(doctor(&vault, &[]).stdout.contains("protects less than the one that came along: ProtectSystem"));
}

#[test]
fn a_daemon_that_hangs_or_is_gone_is_said_and_the_rest_is_looked_at_all_the_same() {
    let vault = prepared();
    let daemon = healthy(&vault);
    signal(daemon.pid(), "STOP");
    let began = Instant::now();
    let configured = format!("127.0.0.1:{}", daemon.port);
    let found_then = read(&doctor_at(&vault, &configured, &["--json"]));
    signal(daemon.pid(), "CONT");
    assert!(began.elapsed() < Duration::from_secs(30), "it waits for a daemon that hangs");
    assert_eq!(found_then, ["fail daemon.answers", "skip vault.contents"]);

    daemon.run(&["lock"], "").ok();
    assert_eq!(found(&vault), ["skip vault.contents", "warn vault.state"]);
    daemon.terminate();
    let gone = ["fail daemon.answers", "skip vault.contents"];
    assert_eq!(found(&vault), gone);
    set_mode(&vault.state_dir(), 0o755);
    assert_eq!(found(&vault), ["fail daemon.answers", "fail files.state", "skip vault.contents"]);
    set_mode(&vault.state_dir(), 0o700);
    let squatter = TcpListener::bind("127.0.0.1:0").expect("a port");
    let configured = squatter.local_addr().expect("an address").to_string();
    let told = doctor_at(&vault, &configured, &["--json"]);
    assert_eq!(read(&told), ["fail daemon.answers", "fail port.holder", "skip vault.contents"]);
    assert!(told.stdout.contains(&format!("process {}", std::process::id())), "{told:?}");
}

#[test]
fn a_disk_with_little_space_is_found() {
    let vault = prepared();
    vault.file("signvault.toml", "[audit]\nlow_space_mib = 1048576\n");
    let daemon = vault.serve_with(&["--config", "signvault.toml"]);
    daemon.unlock();
    daemon.run(&["slot", "add", "key-file", "key"], "").ok();
    back_up(&daemon);
    assert_eq!(found(&vault), ["fail disk.space"]);
    daemon.terminate();
    assert_eq!(found(&vault), ["fail daemon.answers", "fail disk.space", "skip vault.contents"]);
}

#[test]
fn faults_of_slots_and_backups_are_found_one_by_one() {
    let vault = prepared();
    let daemon = furnished(&vault);
    assert_eq!(found(&vault), ["warn backup.age"]);
    back_up(&daemon);
    assert_eq!(found(&vault), [""; 0]);
    daemon.run(&["slot", "remove", "2"], "").ok();
    assert_eq!(found(&vault), ["warn slot.spare"]);
    daemon.run(&["slot", "add", "recovery", "--recovery-file", "recovery"], "").ok();
    let key = fs::read_to_string(vault.dir().join("recovery")).expect("a recovery key");
    let told = doctor(&vault, &["--json"]);
    assert!(!told.stdout.contains(&key[..9]), "{told:?}");
    assert_eq!(read(&told), ["warn slot.recovery"]);
    daemon.run(&["unlock", "--recovery", "--stdin"], &key).ok();
    assert_eq!(found(&vault), [""; 0], "it was tried, while the vault was unlocked");
    daemon.run(&["mode", "cancel-only"], "").ok();
    assert_eq!(found(&vault), ["warn vault.mode"]);
    daemon.run(&["mode", "normal"], "").ok();
    daemon.run(&["mode", "reduce-only", "--bot", "bob"], "").ok();
    assert_eq!(found(&vault), ["warn vault.mode"]);
}

#[test]
fn faults_of_credentials_are_found_one_by_one() {
    let vault = prepared();
    let daemon = healthy(&vault);
    let edit = |more: &[&str]| drop(daemon.run(&[&["credential", "edit", "main"], more].concat(), "").ok());
    edit(&["--permissions", "read,withdraw"]);
    assert_eq!(found(&vault), ["warn credential.withdraw"]);
    edit(&["--permissions", "read", "--ip", ""]);
    assert_eq!(found(&vault), ["warn credential.ip"], "a key that only reads is not deleted");
    for (days, words) in
        [("7", "; 7 days are left"), ("3", "; only 3 days are left"), ("1", "; less than a day is left")]
    {
        edit(&["--permissions", "trade", "--idle-days", days]);
        let told = doctor(&vault, &["--json"]);
        assert_eq!(read(&told), ["warn credential.idle", "warn credential.ip"], "{days}");
        assert!(told.stdout.contains(words), "{told:?}");
        assert!(daemon.status()["warnings"].to_string().contains(words), "{days}");
    }
    edit(&["--permissions", "trade", "--idle-days", "8"]);
    assert_eq!(found(&vault), ["warn credential.ip"]);
    edit(&["--ip", "203.0.113.7"]);
    assert_eq!(found(&vault), [""; 0]);

    daemon.add_credential("spare");
    assert_eq!(found(&vault), ["warn credential.bot"]);
    let token = daemon.run(&["bot", "add", "both", "--credential", "main", "--credential", "spare"], "").ok();
    assert_eq!(found(&vault), ["warn bot.seen"]);
    sign(&daemon, token.trim_end(), "main");
    assert_eq!(found(&vault), ["warn credential.use"]);
    sign(&daemon, token.trim_end(), "spare");
    assert_eq!(found(&vault), [""; 0]);
}

#[test]
fn faults_of_bots_are_found_one_by_one() {
    let vault = prepared();
    let daemon = healthy(&vault);
    let add = |name: &str, credential: &str, expires: &str| {
        let token = daemon.run(&["bot", "add", name, "--credential", credential, "--expires", expires], "").ok();
        token.trim_end().to_owned()
    };
    let remove = |name: &str| drop(daemon.run(&["bot", "remove", name], "").ok());
    add("joe", "main", "90d");
    assert_eq!(found(&vault), ["warn bot.seen"]);
    remove("joe");
    sign(&daemon, &add("joe", "main", "2d"), "main");
    assert_eq!(found(&vault), ["warn bot.expiry"]);
    let status = daemon.status()["warnings"].to_string();
    assert!(status.contains("joe: its token expires; only 2 days are left"), "{status}");
    remove("joe");
    sign(&daemon, &add("joe", "main", "2s"), "main");
    thread::sleep(Duration::from_millis(2100));
    assert_eq!(found(&vault), ["fail bot.expiry"]);
    remove("joe");
    sign(&daemon, &add("joe", "main", "90d"), "main");
    daemon.run(&["bot", "revoke", "joe"], "").ok();
    assert_eq!(found(&vault), ["warn bot.revoked"]);
    remove("joe");
    daemon.add_credential("spare");
    sign(&daemon, &add("joe", "spare", "90d"), "spare");
    assert_eq!(found(&vault), [""; 0]);
    daemon.run(&["credential", "remove", "spare"], "").ok();
    assert_eq!(found(&vault), ["warn bot.credential"]);
}

#[test]
fn what_ends_soon_goes_to_the_log_once_after_an_unlock() {
    let vault = prepared();
    let daemon = furnished(&vault);
    daemon.run(&["credential", "edit", "main", "--ip", "", "--idle-days", "3"], "").ok();
    daemon.run(&["lock"], "").ok();
    let lines = || vault.log().lines().filter(|line| line.contains("only 3 days are left")).count();
    assert_eq!(lines(), 0, "{}", vault.log());
    daemon.unlock();
    let deadline = Instant::now() + Duration::from_secs(10);
    while lines() == 0 {
        assert!(Instant::now() < deadline, "nothing in the log: {}", vault.log());
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(lines(), 1, "{}", vault.log());
    assert!(vault.log().contains("credential=main days_left=3"), "{}", vault.log());
}
