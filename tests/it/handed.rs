//! What the daemon is handed from outside, when it is not what it should be: sockets, keys, configuration files and messages
//! from a service manager that is confused, or from someone who wants the daemon to stand still. It serves or says why
//! not, and it does so soon.

use crate::bots::become_user;
use crate::support::http::Connection;
use crate::support::{Daemon, PASSWORD, Vault, signal};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How soon something happens that happens at all.
const SOON: Duration = Duration::from_secs(10);

fn serve(vault: &Vault) -> Command {
    vault.command(&["serve", "--listen", "127.0.0.1:0"])
}

fn is_alive(daemon: &Daemon<'_>) -> bool {
    daemon.tcp().request("GET", "/health", None, None).status == 200
}

#[track_caller]
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How a process ended and what it said, if it ended soon; otherwise it is ended here.
fn ends(mut child: Child) -> Option<(Option<i32>, String)> {
    let deadline = Instant::now() + SOON;
    while child.try_wait().expect("a state").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("killed");
            child.wait().expect("it ends");
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut told = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut told).expect("UTF-8");
    Some((child.wait().expect("it ended").code(), told))
}

/// Something that is no proper file: what it is called here, and how it is made where nothing is.
type Odd = (&'static str, fn(&Path));

fn odd_files() -> [Odd; 5] {
    [
        ("a pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made")),
        ("a directory", |path| std::fs::create_dir(path).expect("made")),
        ("a GiB", |path| File::create(path).and_then(|file| file.set_len(1 << 30)).expect("made")),
        ("without an end", |path| symlink("/dev/zero", path).expect("made")),
        ("nowhere", |path| symlink("nowhere", path).expect("made")),
    ]
}

fn clear(path: &Path) {
    // A directory is not removed by the one, anything else not by the other.
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_dir(path);
}

/// A daemon that is told of sockets; descriptor 3 is what the shell makes of `redirection`.
fn told_of(vault: &Vault, sockets: &str, redirection: &str) -> Child {
    let usual = serve(vault);
    let mut command = Command::new("sh");
    let script = format!("exec 3>&- {redirection}; export LISTEN_FDS={sockets} LISTEN_PID=$$; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(usual.get_program()).args(usual.get_args());
    command.env_clear().env("HOME", vault.dir()).env("PATH", "/usr/bin:/bin").current_dir(vault.dir());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
}

#[test]
fn sockets_that_are_none_or_not_there_are_refused_in_words() {
    let vault = Vault::new();
    let cases = [
        ("1", ""),
        ("1", "3</dev/null"),
        ("1", "3<."),
        ("2", "3</dev/null"),
        ("1000000", ""),
        ("2147483644", ""),
        ("2147483648", ""),
        ("4294967295", ""),
        ("18446744073709551616", ""),
        ("-1", ""),
        ("many", ""),
    ];
    for (sockets, redirection) in cases {
        let ended = ends(told_of(&vault, sockets, redirection));
        let (code, told) = ended.unwrap_or_else(|| panic!("{sockets} sockets, {redirection:?}: it goes on"));
        let is_refusal = code == Some(1) && told.contains("the service manager opened") && !told.contains("panicked");
        assert!(is_refusal, "{sockets} sockets, {redirection:?}: {code:?} {told}");
    }
}

#[test]
fn sockets_of_another_process_are_not_touched() {
    let vault = Vault::new();
    for (pid, sockets) in [("1", "3"), ("0", "1"), ("4294967295", "1")] {
        let mut command = serve(&vault);
        command.env("LISTEN_PID", pid).env("LISTEN_FDS", sockets);
        let daemon = vault.serve_by(command);
        assert!(is_alive(&daemon));
        assert_eq!(daemon.terminate(), 0);
    }
}

#[test]
fn a_key_that_is_no_file_leaves_a_locked_daemon_and_does_not_hold_up_its_start() {
    let vault = Vault::new();
    let credentials = vault.dir().join("credentials");
    std::fs::create_dir(&credentials).expect("made");
    let key = credentials.join("signvault.key");
    for (what, make) in odd_files() {
        clear(&key);
        make(&key);
        let before = std::fs::read_to_string(vault.dir().join("log")).unwrap_or_default().len();
        let mut command = serve(&vault);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        let daemon = vault.serve_by(command);
        assert_eq!(daemon.state(), "locked", "{what}");
        assert!(vault.log().split_off(before).contains("the vault stays locked"), "{what}: {}", vault.log());
        daemon.unlock();
        assert_eq!(daemon.terminate(), 0);
    }
}

#[test]
fn a_configuration_that_is_no_file_is_refused_at_the_start() {
    let vault = Vault::new();
    let path = vault.dir().join("signvault.toml");
    for (what, make) in odd_files() {
        clear(&path);
        make(&path);
        let mut command = serve(&vault);
        command.arg("--config").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (code, told) = ends(command.spawn().expect("it starts")).unwrap_or_else(|| panic!("{what}: it goes on"));
        assert!(code == Some(2) && told.contains("configuration file"), "{what}: {code:?} {told}");
    }
}

#[test]
fn a_configuration_that_became_something_else_changes_nothing_and_holds_nothing_up() {
    let vault = Vault::new();
    let path = vault.file("signvault.toml", "[log]\nlevel = \"info\"\n");
    let daemon = vault.serve_by(vault.command(&["serve", "--listen", "127.0.0.1:0", "--config", &path]));
    let path = Path::new(&path);
    for (number, (what, make)) in odd_files().into_iter().enumerate() {
        clear(path);
        make(path);
        signal(daemon.pid(), "HUP");
        let refusals = || vault.log().matches("everything is as before").count();
        soon(what, || refusals() == number + 1);
        assert!(is_alive(&daemon), "{what}");
    }
    assert!(daemon.peak_memory_kib() < 512 * 1024, "{} KiB", daemon.peak_memory_kib());
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_storm_of_reloads_keeps_nobody_from_signing_and_the_last_one_counts() {
    let vault = Vault::new();
    let path = vault.file("signvault.toml", "[log]\nlevel = \"info\"\n");
    let daemon = vault.serve_by(vault.command(&["serve", "--listen", "127.0.0.1:0", "--config", &path]));
    daemon.unlock();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    let mut connection = daemon.tcp();
    for round in 0..2000 {
        signal(daemon.pid(), "HUP");
        if round % 20 == 0 {
            connection.sign(&token, "main", "GET", "/api/v5/account/balance", None).ok();
        }
    }
    vault.file("signvault.toml", "[http]\nmax_connections = 7\n");
    signal(daemon.pid(), "HUP");
    soon("the last one is taken", || vault.log().contains("keys=http.max_connections"));
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_reload_that_comes_during_an_unlock_waits_for_it() {
    let vault = Vault::new();
    let mut command = vault.command(&["serve", "--listen", "127.0.0.1:0", "--unlock-stdin"]);
    let log = File::create(vault.dir().join("log")).expect("log");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(PASSWORD.as_bytes()).expect("it reads");
    // The socket is there before the hash of the password begins.
    soon("it listens", || vault.run_dir().join("admin.sock").exists());
    std::thread::sleep(Duration::from_millis(50));
    signal(child.id(), "HUP");
    let daemon = Daemon::wait_for(&vault, child);
    assert_eq!(daemon.state(), "unlocked");
    soon("it is read again", || vault.log().contains("the configuration was read again"));
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_service_manager_that_does_not_listen_does_not_hold_the_daemon_up() {
    let vault = Vault::new();
    let address = vault.dir().join("notify");
    let deaf = UnixDatagram::bind(&address).expect("bound");
    let mut command = serve(&vault);
    command.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", "400000");
    let daemon = vault.serve_by(command);
    for _ in 0..50 {
        signal(daemon.pid(), "HUP");
        std::thread::sleep(Duration::from_millis(20));
    }
    let began = Instant::now();
    assert!(is_alive(&daemon));
    daemon.unlock();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(daemon.terminate(), 0);
    drop(deaf);
}

#[test]
fn a_service_manager_is_told_where_it_listens_and_nowhere_else() {
    let vault = Vault::new();
    let long = "x".repeat(200);
    let directory = vault.dir().to_str().expect("UTF-8").to_owned();
    for address in ["", "relative", "/nowhere/at/all", "/dev/null", &directory, &long, "@", &format!("@{long}")] {
        let mut command = serve(&vault);
        command.env("NOTIFY_SOCKET", address);
        let daemon = vault.serve_by(command);
        assert!(is_alive(&daemon), "{address}");
        assert_eq!(daemon.terminate(), 0, "{address}");
    }
    // One that has no file is a service manager's as well: sd_notify(3).
    let name = format!("signvault-test-{}", std::process::id());
    let manager = SocketAddr::from_abstract_name(&name).and_then(|address| UnixDatagram::bind_addr(&address));
    let manager = manager.expect("bound");
    manager.set_read_timeout(Some(SOON)).expect("set");
    let mut command = serve(&vault);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let daemon = vault.serve_by(command);
    let mut text = [0; 64];
    let length = manager.recv(&mut text).expect("a message in time");
    assert!(text[..length].starts_with(b"READY=1\n"));
    daemon.unlock();
    let length = manager.recv(&mut text).expect("a message in time, also from the process that is confined");
    assert_eq!(&text[..length], b"STATUS=unlocked\n");
}

#[test]
fn a_watchdog_of_no_time_or_for_ever_is_no_reason_to_spin_or_to_panic() {
    let vault = Vault::new();
    let address = vault.dir().join("notify");
    let manager = UnixDatagram::bind(&address).expect("bound");
    for time in ["0", "1", "100", "18446744073709551615", "18446744073709551616", "-1", "soon", ""] {
        let mut command = serve(&vault);
        command.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", time);
        let daemon = vault.serve_by(command);
        let before = processor_ms(&daemon);
        std::thread::sleep(Duration::from_secs(1));
        let used = processor_ms(&daemon) - before;
        assert!(is_alive(&daemon) && used < 200, "{time}: {used} ms of a second");
        manager.set_nonblocking(true).expect("set");
        while manager.recv(&mut [0; 64]).is_ok() {}
        assert_eq!(daemon.terminate(), 0, "{time}");
    }
    assert!(!vault.log().contains("panicked"), "{}", vault.log());
}

/// Processor time that the daemon has used: proc(5), `utime` and `stime` in the kernel's hundredths.
fn processor_ms(daemon: &Daemon<'_>) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("stat");
    let numbers = stat.rsplit_once(')').expect("a name").1.split_whitespace().skip(11).take(2);
    numbers.map(|number| number.parse::<u64>().expect("a number")).sum::<u64>() * 10
}

/// Needs root, to be somebody else.
#[test]
fn another_user_gets_nothing_from_the_admin_socket_even_where_it_is_open_to_all() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    for path in [vault.dir(), &vault.run_dir()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("opened");
    }
    let admin = daemon.admin_socket();
    std::fs::set_permissions(&admin, std::fs::Permissions::from_mode(0o666)).expect("opened");
    let before = daemon.status()["state_version"].clone();
    let answers = std::thread::spawn(move || {
        become_user(65_534);
        let asks = [
            ("GET", "/metrics", None),
            ("GET", "/v1/status", None),
            ("GET", "/v1/bots", None),
            ("GET", "/v1/audit", None),
            ("POST", "/v1/lock", Some("{}")),
            ("POST", "/v1/unlock", Some("{}")),
            ("POST", "/v1/backup", Some("{}")),
        ];
        asks.map(|(method, path, body)| (path, Connection::unix(&admin).request(method, path, None, body)))
    });
    for (path, answer) in answers.join().expect("answers") {
        assert_eq!((answer.status, answer.code().as_str()), (401, "auth.failed"), "{path}");
    }
    assert_eq!((daemon.state().as_str(), &daemon.status()["state_version"]), ("unlocked", &before));
}
