//! The daemon under a service manager: what it is told and tells, sockets that were opened for it, a key that is handed
//! over, and the configuration read again. The manager here is the test; a real one is in `tests/systemd/`.

use crate::support::http::Connection;
use crate::support::{Daemon, PASSWORD, Vault, signal};
use serde_json::Value;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where a service manager hears from its services.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        Manager(socket)
    }

    /// The next message that is no ping.
    fn hears(&self) -> String {
        loop {
            let text = self.hears_anything().expect("a message in time");
            if text != "WATCHDOG=1" {
                return text;
            }
        }
    }

    fn hears_anything(&self) -> Option<String> {
        let mut text = [0; 4096];
        let length = self.0.recv(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text[..length]).trim_end().to_owned())
    }

    /// Pings within some time.
    fn pings_within(&self, time: Duration) -> usize {
        self.0.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        let until = Instant::now() + time;
        let mut pings = 0;
        while Instant::now() < until {
            pings += usize::from(self.hears_anything().is_some_and(|text| text == "WATCHDOG=1"));
        }
        pings
    }
}

fn serve(vault: &Vault) -> Command {
    vault.command(&["serve", "--listen", "127.0.0.1:0"])
}

fn get(mut connection: Connection, path: &str) -> u16 {
    connection.request("GET", path, None, None).status
}

fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_service_manager_is_told_of_each_step() {
    let vault = Vault::new();
    let manager = Manager::at(&vault.dir().join("notify"));
    let mut command = serve(&vault);
    command.env("NOTIFY_SOCKET", vault.dir().join("notify"));
    let daemon = vault.serve_by(command);
    assert_eq!(manager.hears(), "READY=1\nSTATUS=locked: run `signvault unlock`");
    daemon.unlock();
    assert_eq!(manager.hears(), "STATUS=unlocked");
    signal(daemon.pid(), "HUP");
    let reloading = manager.hears();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(manager.hears(), "STOPPING=1");
}

#[test]
fn the_watchdog_is_pinged_while_all_is_well_and_not_while_the_process_stands() {
    let vault = Vault::new();
    let manager = Manager::at(&vault.dir().join("notify"));
    let mut command = serve(&vault);
    command.env("NOTIFY_SOCKET", vault.dir().join("notify")).env("WATCHDOG_USEC", "2000000");
    let daemon = vault.serve_by(command);
    let pings = manager.pings_within(Duration::from_secs(4));
    assert!(pings >= 3, "{pings} pings in twice the time in which one is due");
    signal(daemon.pid(), "STOP");
    manager.pings_within(Duration::from_millis(300));
    assert_eq!(manager.pings_within(Duration::from_secs(2)), 0);
    signal(daemon.pid(), "CONT");
    assert!(manager.pings_within(Duration::from_secs(3)) > 0);
    assert_eq!(daemon.terminate(), 0);
}

/// A daemon that finds this socket open when it starts.
fn serve_over(vault: &Vault, socket: impl Into<OwnedFd>) -> Command {
    let usual = serve(vault);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\""]);
    command.arg(usual.get_program()).args(usual.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("HOME", vault.dir()).current_dir(vault.dir()).stdin(Stdio::from(socket.into()));
    command
}

#[test]
fn a_port_that_the_service_manager_opened_is_the_one_that_is_served() {
    let vault = Vault::new();
    let held = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = held.local_addr().expect("an address");
    let log = std::fs::File::create(vault.dir().join("log")).expect("log");
    let mut command = serve_over(&vault, held.try_clone().expect("cloned"));
    let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
    let daemon = Daemon::wait_for(&vault, child);
    assert_eq!(daemon.status()["listen"], address.to_string());
    assert_eq!(get(Connection::tcp(address.port()), "/health"), 200);
    // Who comes while no daemon is there is served by the next one.
    daemon.kill();
    let waiting = Connection::tcp(address.port());
    let child = serve_over(&vault, held).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let _daemon = Daemon::wait_for(&vault, child);
    assert_eq!(get(waiting, "/health"), 200);
}

#[test]
fn a_socket_that_nobody_would_serve_is_refused() {
    let vault = Vault::new();
    let refused = |socket: OwnedFd, told: &str| {
        let ended = serve_over(&vault, socket).stderr(Stdio::piped()).output().expect("it ends");
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && words.contains(told), "{words}");
    };
    refused(UnixListener::bind(vault.dir().join("other.sock")).expect("bound").into(), "nothing here is served there");
    refused(TcpListener::bind("0.0.0.0:0").expect("bound").into(), "is not a loopback address");
    refused(UnixDatagram::unbound().expect("made").into(), "no listening stream socket");
}

/// A daemon whose service manager hands this over as its key file.
fn serve_with_key<'a>(vault: &'a Vault, key: Option<&[u8]>) -> Daemon<'a> {
    let credentials = vault.dir().join("credentials");
    let _ = std::fs::remove_dir_all(&credentials);
    std::fs::create_dir(&credentials).expect("made");
    if let Some(key) = key {
        std::fs::write(credentials.join("signvault.key"), key).expect("written");
    }
    let mut command = serve(vault);
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    vault.serve_by(command)
}

#[test]
fn a_key_that_is_handed_over_unlocks_and_a_wrong_one_leaves_a_daemon_that_a_person_can_unlock() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.run(&["slot", "add", "key-file", "key"], "").ok();
    assert_eq!(daemon.terminate(), 0);
    let key = std::fs::read(vault.dir().join("key")).expect("a key");
    for (handed, state, told) in [
        (Some(key.as_slice()), "unlocked", ""),
        (None, "locked", "no key was handed over"),
        (Some([7; 32].as_slice()), "locked", "no unattended unlock"),
        (Some(b"short".as_slice()), "locked", "it is not a key file of 32 bytes"),
    ] {
        let before = vault.log().len();
        let daemon = serve_with_key(&vault, handed);
        assert_eq!(daemon.status()["state"], state);
        let log = vault.log().split_off(before);
        assert!(log.contains(told) && log.contains("ERROR") == (state == "locked" && handed.is_some()), "{log}");
        assert_eq!(get(daemon.tcp(), "/health"), 200);
        assert_eq!(get(daemon.tcp(), "/ready"), if state == "unlocked" { 200 } else { 503 });
        // A wrong key was an attempt, and the next one has to wait.
        soon("a person can unlock it", || daemon.run(&["unlock", "--stdin"], PASSWORD).code == 0);
        assert_eq!(get(daemon.tcp(), "/ready"), 200);
        assert_eq!(daemon.terminate(), 0);
    }
}

#[test]
fn a_reload_takes_what_can_change_and_names_what_cannot() {
    let vault = Vault::new();
    let config = vault.file("signvault.toml", "[log]\nlevel = \"warn\"\n");
    let mut command = vault.command(&["serve", "--listen", "127.0.0.1:0", "--config", &config]);
    command.env_remove("SIGNVAULT_LOG_LEVEL");
    let daemon = vault.serve_by(command);
    assert!(!vault.log().contains("INFO"), "{}", vault.log());

    vault.file("signvault.toml", "max_wait_ms = 5\nhunter2 =");
    signal(daemon.pid(), "HUP");
    soon("a configuration that is not understood is refused", || vault.log().contains("everything is as before"));
    assert!(!vault.log().contains("hunter2"));

    vault.file("signvault.toml", "[log]\nlevel = \"info\"\n[audit]\ndurability = \"process\"\nlow_space_mib = 0\n");
    signal(daemon.pid(), "HUP");
    soon("what cannot change is named", || vault.log().contains("keys=audit.durability"));
    soon("what can is taken", || vault.log().contains("the configuration was read again"));
    daemon.unlock();
    assert_eq!(daemon.status()["state"], "unlocked");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn every_item_of_the_hardening_is_in_the_status() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let status = daemon.status();
    let items: Vec<&str> = status["hardening"].as_array().expect("a list").iter().filter_map(name).collect();
    let all = "environment not_dumpable no_core no_new_privileges key_memory memory_lock landlock seccomp";
    assert_eq!(items.join(" "), all);
    let missing = status["hardening"].as_array().expect("a list").iter().filter(|item| item["holds"] == false).count();
    assert_eq!(status["degraded"].as_array().expect("a list").len(), missing);
    let words = daemon.run(&["status"], "").ok();
    assert!(words.contains("hardening:") && words.contains("seccomp"), "{words}");
    // Where all of it holds, as here, the daemon also starts when all of it is required.
    assert_eq!(daemon.terminate(), 0);
    if missing == 0 {
        let mut command = serve(&vault);
        command.env("SIGNVAULT_REQUIRE_HARDENING", "true");
        assert_eq!(vault.serve_by(command).terminate(), 0);
    }
}

fn name(item: &Value) -> Option<&str> {
    item["item"].as_str()
}

/// Needs strace, and the right to trace.
#[test]
#[ignore = "make hardening"]
fn a_kernel_that_refuses_an_item_is_told_of_or_refused() {
    for (call, item) in
        [("landlock_create_ruleset", "landlock"), ("seccomp", "seccomp"), ("memfd_secret", "key_memory")]
    {
        let vault = Vault::new();
        let traced = |required: &str| {
            let usual = serve(&vault);
            let mut command = Command::new("strace");
            let inject = format!("inject={call}:error=ENOSYS");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            command.args(["-E", &format!("SIGNVAULT_REQUIRE_HARDENING={required}")]);
            command.arg(usual.get_program()).args(usual.get_args()).current_dir(vault.dir());
            command
        };
        let daemon = vault.serve_by(traced("false"));
        let status = daemon.status();
        let degraded = status["degraded"].to_string();
        assert!(degraded.contains(item), "{call}: {degraded}");
        // strace passes nothing on.
        signal(u32::try_from(status["pid"].as_u64().expect("a pid")).expect("a pid"), "TERM");
        assert_eq!(daemon.ends(), 0);
        let refused = traced("true").stdin(Stdio::null()).output().expect("it ends");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && told.contains("could not be hardened"), "{call}: {told}");
    }
}
