//! T79 to T86: what is left of secrets in the memory of a daemon, in the dumps that anyone can make of it, and on its disk.
//!
//! Looked for are all pieces of 16 bytes of the exchange secret, the password, the vault key, every subkey and the keys
//! that the password became, which the test works out anew from the vault's file. A text that is planted in a request
//! that never ends must be found in each place: otherwise the scanner would be blind.

use crate::support::http::Connection;
use crate::support::scan::{Scanner, files, memory};
use crate::support::signers::Place;
use crate::support::{API_KEY, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault, signal};
use serde_json::json;
use signvault::crypto::kdf::{derive_kek, hkdf_sha256};
use signvault::crypto::keys::{Subkey, derive_subkey};
use signvault::crypto::mac::{enc, sha256};
use signvault::crypto::slot::{Slot, SlotMethod};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const BALANCE: &str = "/api/v5/account/balance";
/// Stands in the clear in the memory of a daemon that waits for the rest of a request.
const PLANTED: &str = "planted-5f1c0b7e9d2a4c6688e3";
/// How many signatures "many" are; a hundred thousand with `RESIDUE_SIGNATURES=100000`.
fn many() -> usize {
    std::env::var("RESIDUE_SIGNATURES").ok().and_then(|number| number.parse().ok()).unwrap_or(10_000)
}

/// A daemon with a credential, a bot, and a text planted in its memory.
struct Scene<'a> {
    daemon: Daemon<'a>,
    token: String,
    /// Open for as long as the scene.
    _planting: Connection,
}

impl<'a> Scene<'a> {
    fn of(vault: &'a Vault, command: Command) -> Scene<'a> {
        let daemon = vault.serve_by(command);
        daemon.unlock();
        daemon.add_credential("main");
        let token = daemon.add_bot("bob", "main", &["read", "trade"]);
        let planting = plant(&daemon);
        Scene { daemon, token, _planting: planting }
    }

    fn usual(vault: &'a Vault) -> Scene<'a> {
        Scene::of(vault, serve(vault))
    }

    /// Signs from several connections at once, then waits for a second.
    fn load(&self, signatures: usize) {
        let (place, token) = (&Place::of(&self.daemon), &self.token);
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    let mut connection = place.connect(number).expect("connected");
                    for _ in 0..signatures / 8 {
                        assert_eq!(connection.sign(token, "main", "GET", BALANCE, None).status, 200);
                    }
                });
            }
        });
        thread::sleep(Duration::from_secs(1));
    }
}

/// Sends the beginning of a request, which the daemon keeps until the rest comes or it has waited long enough.
fn plant(daemon: &Daemon<'_>) -> Connection {
    let mut connection = daemon.tcp();
    connection.send(format!("POST /v1/sign HTTP/1.1\r\nX-Planted: {PLANTED}").as_bytes()).expect("sent");
    thread::sleep(Duration::from_millis(50));
    connection
}

fn serve(vault: &Vault) -> Command {
    vault.command(&["serve", "--listen", "127.0.0.1:0"])
}

/// Every key that opens anything, worked out from the password and a copy of the database.
fn keys(vault: &Vault, password: &str) -> Vec<(String, Vec<u8>)> {
    let copy = tempfile::tempdir().expect("a directory");
    for (path, bytes) in files(&vault.state_dir()) {
        let name = Path::new(&path).file_name().expect("a name");
        if name.to_string_lossy().starts_with("vault.db") {
            std::fs::write(copy.path().join(name), bytes).expect("written");
        }
    }
    let database = rusqlite::Connection::open(copy.path().join("vault.db")).expect("opened");
    let mut slots = database.prepare("SELECT header, commitment, wrapped FROM slot").expect("slots");
    let blob = |row: &rusqlite::Row<'_>, at| row.get::<_, Vec<u8>>(at);
    let slots = slots.query_map([], |row| Ok((blob(row, 0)?, blob(row, 1)?, blob(row, 2)?))).expect("rows");
    let mut keys = vec![];
    for (header, commitment, wrapped) in slots.map(|slot| slot.expect("a slot")) {
        let slot = Slot::parse(&header, &commitment, &wrapped).expect("a slot");
        let SlotMethod::Password(cost) = &slot.header.method else { continue };
        let Ok(vault_key) = slot.unwrap_key(password.as_bytes()) else { continue };
        let kek = derive_kek(password.as_bytes(), &slot.header.salt, &sha256(&[&header]), cost).expect("a hash");
        let vault_id = slot.header.vault_id;
        let wrap = hkdf_sha256::<32>(kek.as_ref(), vault_id.as_bytes(), &enc(&[b"signvault/1/wrap", &header]));
        keys.extend([("KEK".to_owned(), kek.to_vec()), ("wrapping key".to_owned(), wrap.to_vec())]);
        keys.extend(Subkey::ALL.map(|subkey| {
            let key = derive_subkey(&vault_id, vault_key.expose(), subkey, 1);
            (format!("subkey {}", subkey.as_str()), key.to_vec())
        }));
        keys.push(("vault key".to_owned(), vault_key.expose().to_vec()));
    }
    assert!(keys.len() >= 10, "no slot opened");
    keys
}

/// What is looked for, by name.
struct Wanted(Vec<(String, Scanner)>);

impl Wanted {
    /// All that is never in the clear while the vault is unlocked.
    fn while_unlocked(vault: &Vault, password: &str) -> Wanted {
        let texts = [("secret", SECRET), ("password", password)];
        let texts = texts.map(|(name, text)| (name.to_owned(), Scanner::new(&[text])));
        let keys = keys(vault, password).into_iter().map(|(name, key)| (name, Scanner::for_keys([key.as_slice()])));
        Wanted(texts.into_iter().chain(keys).collect())
    }

    /// After a lock also what went out in answers.
    fn after_lock(vault: &Vault, password: &str) -> Wanted {
        let mut wanted = Wanted::while_unlocked(vault, password);
        wanted.0.push(("passphrase".to_owned(), Scanner::new(&[PASSPHRASE])));
        wanted
    }

    fn found(&self, bytes: &[u8]) -> Vec<&str> {
        self.0.iter().filter(|(_, scanner)| scanner.finds(bytes)).map(|(name, _)| name.as_str()).collect()
    }

    fn is_nowhere_in(&self, place: &str, bytes: &[u8]) {
        assert!(Scanner::new(&[PLANTED]).finds(bytes), "{place}: the scanner does not find what is there");
        assert_eq!(self.found(bytes), Vec::<&str>::new(), "{place}");
    }
}

/// What `gcore` (gdb) writes of a process.
fn gcore(pid: u32, all: bool) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut gcore = Command::new("gcore");
    if all {
        gcore.arg("-a");
    }
    let done = gcore.arg("-o").arg(dir.path().join("core")).arg(pid.to_string()).output().expect("gdb is installed");
    let core = dir.path().join(format!("core.{pid}"));
    std::fs::read(core).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

/// Every way to look into a living process.
fn look_into(pid: u32) -> [(&'static str, Vec<u8>); 3] {
    let memory = memory(pid).expect("root may read it");
    [("/proc/PID/mem", memory), ("gcore", gcore(pid, false)), ("gcore -a", gcore(pid, true))]
}

#[test]
#[ignore = "make leaks"]
fn t80_an_unlocked_vault_shows_no_secret_and_no_key_a_second_after_its_last_signature() {
    let vault = Vault::new();
    let scene = Scene::usual(&vault);
    scene.load(many());
    let _planted = plant(&scene.daemon);
    let wanted = Wanted::while_unlocked(&vault, PASSWORD);
    for (place, bytes) in look_into(scene.daemon.pid()) {
        wanted.is_nowhere_in(place, &bytes);
    }
    assert_eq!(scene.daemon.terminate(), 0);
}

/// A story after which a lock must leave nothing: its name, what happens, and the password that opens afterwards.
type Story = (&'static str, fn(&Scene<'_>), &'static str);

const STORIES: [Story; 5] = [
    ("use", |scene| scene.load(80), PASSWORD),
    ("a failed unlock", failed_unlock, PASSWORD),
    ("many signatures", |scene| scene.load(many()), PASSWORD),
    ("a malformed import", malformed_imports, PASSWORD),
    ("a change of the password", change_password, NEW_PASSWORD),
];
const WRONG_PASSWORD: &str = "Qk7-wrong-Vw3xT9pL2mZr";
const NEW_PASSWORD: &str = "Jd5-other-Hn8bY6sC1fGq";

fn failed_unlock(scene: &Scene<'_>) {
    scene.daemon.run(&["lock"], "").ok();
    assert_ne!(scene.daemon.run(&["unlock", "--stdin"], WRONG_PASSWORD).code, 0);
}

fn malformed_imports(scene: &Scene<'_>) {
    let secrets = json!({ "api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE }).to_string();
    let add = ["credential", "add", "other", "--exchange", "okx", "--stdin"];
    for text in [
        secrets.replace("api_key", "apikey"),
        format!("{secrets}}}"),
        format!("[{SECRET:?}]"),
        secrets[..60].to_owned(),
    ] {
        assert_ne!(scene.daemon.run(&add, &text).code, 0);
    }
}

fn change_password(scene: &Scene<'_>) {
    scene.daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{NEW_PASSWORD}\n")).ok();
}

#[test]
#[ignore = "make leaks"]
fn t79_a_locked_vault_has_left_nothing_in_memory() {
    for (story, tell, password) in STORIES {
        let vault = Vault::new();
        let scene = Scene::usual(&vault);
        tell(&scene);
        let mut wanted = Wanted::after_lock(&vault, password);
        for text in [PASSWORD, WRONG_PASSWORD, NEW_PASSWORD] {
            wanted.0.push((text.to_owned(), Scanner::new(&[text])));
        }
        scene.daemon.run(&["lock"], "").ok();
        thread::sleep(Duration::from_millis(300));
        let _planted = plant(&scene.daemon);
        for (place, bytes) in look_into(scene.daemon.pid()) {
            wanted.is_nowhere_in(&format!("{story}: {place}"), &bytes);
        }
    }
}

/// Has the kernel refuse a call of the daemon's.
fn refusing(vault: &Vault, call: &str) -> Command {
    let usual = serve(vault);
    let mut command = Command::new("strace");
    let inject = format!("inject={call}:error=EPERM");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
    command.arg(usual.get_program()).args(usual.get_args()).current_dir(vault.dir());
    command
}

/// The process id of the daemon itself, where strace is its parent.
fn pid_of(daemon: &Daemon<'_>) -> u32 {
    daemon.status()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid")
}

/// The mappings of a process that have all of these flags in their last line.
fn mappings_with(pid: u32, flags: &[&str]) -> Vec<String> {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("readable");
    let (mut head, mut found) = ("", Vec::new());
    for line in smaps.lines() {
        match line.strip_prefix("VmFlags: ") {
            Some(has) if flags.iter().all(|flag| has.split(' ').any(|one| one == *flag)) => found.push(head.to_owned()),
            Some(_) => (),
            None if line.split(' ').next().is_some_and(|word| word.contains('-')) => head = line,
            None => (),
        }
    }
    found
}

#[test]
#[ignore = "make leaks"]
fn t80_without_memfd_secret_the_keys_are_in_one_locked_mapping_that_is_not_dumped_and_status_says_so() {
    let vault = Vault::new();
    let scene = Scene::of(&vault, refusing(&vault, "memfd_secret"));
    let pid = pid_of(&scene.daemon);
    scene.load(80);
    let degraded = scene.daemon.status()["degraded"].to_string();
    assert!(degraded.contains("memfd_secret"), "{degraded}");
    let found = mappings_with(pid, &["lo", "dd", "wf"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let _planted = plant(&scene.daemon);
    let wanted = Wanted::while_unlocked(&vault, PASSWORD);
    let range = found[0].split(' ').next().expect("a range");
    let whole = memory(pid).expect("root may read it");
    // The keys that are kept, and no others; the secret stays sealed here too.
    let kept: Vec<&str> = wanted.found(&whole);
    assert!(
        kept.contains(&"vault key") && kept.iter().all(|name| *name == "vault key" || name.starts_with("subkey")),
        "{kept:?}"
    );
    let (start, end) = range.split_once('-').expect("a range");
    let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).expect("a number"));
    assert_eq!(end - start, 32 * 1024);
    signal(pid, "TERM");
    assert_eq!(scene.daemon.ends(), 0);
}

/// Has the kernel refuse what keeps a process from being dumped. Of the calls about limits that is one: which, a first run
/// that is only watched tells.
fn dumpable(vault: &Vault) -> Command {
    let usual = serve(vault);
    let trace = vault.dir().join("trace");
    let traced = |options: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c unlimited; exec strace -f -qq -e trace=prctl,prlimit64 \"$@\"", "sh"]);
        command.args(options).arg(usual.get_program()).args(usual.get_args()).current_dir(vault.dir());
        command
    };
    let daemon = vault.serve_by(traced(&["-o", &trace.display().to_string()]));
    signal(pid_of(&daemon), "TERM");
    assert_eq!(daemon.ends(), 0);
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let about_limits = trace.lines().filter(|line| line.contains("prlimit64("));
    let nth = about_limits.take_while(|line| !line.contains("RLIMIT_CORE, {")).count() + 1;
    let limit = format!("inject=prlimit64:error=EPERM:when={nth}");
    traced(&["-o", "/dev/null", "-e", "inject=prctl:error=EPERM", "-e", &limit])
}

#[test]
#[ignore = "make leaks"]
fn t81_a_crash_leaves_no_core_and_one_that_is_forced_has_no_secret_in_it() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable");
    assert_eq!(pattern.trim(), "core", "cores are looked for where a process was started");
    for name in ["ABRT", "SEGV"] {
        let vault = Vault::new();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]);
        let usual = serve(&vault);
        let scene = Scene::of(&vault, {
            command.arg(usual.get_program()).args(usual.get_args()).current_dir(vault.dir());
            command
        });
        scene.load(80);
        crash(scene.daemon.pid(), name);
        assert_ne!(scene.daemon.ends(), 0);
        assert_eq!(cores(vault.dir()), Vec::<PathBuf>::new(), "{name}");

        let vault = Vault::new();
        let scene = Scene::of(&vault, dumpable(&vault));
        let degraded = scene.daemon.status()["degraded"].to_string();
        assert!(degraded.contains("not_dumpable") && degraded.contains("no_core"), "{degraded}");
        scene.load(many());
        let _planted = plant(&scene.daemon);
        let wanted = Wanted::while_unlocked(&vault, PASSWORD);
        crash(pid_of(&scene.daemon), name);
        assert_ne!(scene.daemon.ends(), 0);
        let core = cores(vault.dir()).pop().unwrap_or_else(|| panic!("{name}: nothing was dumped"));
        wanted.is_nowhere_in(name, &std::fs::read(core).expect("readable"));
    }
}

/// Ends a process as an error of its own would. Rust's handler of SIGSEGV takes itself away and tries again what went
/// wrong; where nothing did, that is the end of it, and the second signal meets no handler.
fn crash(pid: u32, name: &str) {
    let pid_of_thread = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    for _ in 0..2 {
        if rustix::process::test_kill_process(pid_of_thread).is_ok() {
            signal(pid, name);
            thread::sleep(Duration::from_millis(200));
        }
        if name != "SEGV" {
            break;
        }
    }
}

fn cores(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))).collect()
}

#[test]
#[ignore = "make leaks"]
fn t83_nothing_of_a_secret_is_on_the_disk_nor_in_a_file_that_is_open_and_gone() {
    let vault = Vault::new();
    let image = vault.dir().join("image");
    let disk = RawDisk::over(&image, &vault.state_dir());
    let scene = Scene::usual(&vault);
    scene.load(800);
    malformed_imports(&scene);
    let backup = vault.dir().join("backup").display().to_string();
    scene.daemon.run(&["backup", &backup], "").ok();
    change_password(&scene);
    let mut wanted = Wanted::after_lock(&vault, NEW_PASSWORD);
    wanted.0.push(("old password".to_owned(), Scanner::new(&[PASSWORD])));
    let open = files_open(scene.daemon.pid());
    assert!(open.len() > 3, "{open:?}");
    let anchors = files(&vault.anchor_dir());
    let places = open.into_iter().chain(files(&vault.state_dir())).chain(anchors);
    for (place, bytes) in places.chain([("the backup".to_owned(), std::fs::read(&backup).expect("readable"))]) {
        assert_eq!(wanted.found(&bytes), Vec::<&str>::new(), "{place}");
    }
    assert_eq!(scene.daemon.terminate(), 0);
    drop(disk);
    let raw = std::fs::read(&image).expect("readable");
    assert!(Scanner::new(&["CREATE TABLE credential"]).finds(&raw), "the image is not where it was looked for");
    assert_eq!(wanted.found(&raw), Vec::<&str>::new(), "the raw disk");
}

/// The content of every regular file that a process has open, also of those without a name.
fn files_open(pid: u32) -> Vec<(String, Vec<u8>)> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a directory").flatten().map(|entry| entry.path());
    let regular = fds.filter(|path| path.metadata().is_ok_and(|about| about.is_file()));
    regular.filter_map(|path| Some((path.display().to_string(), std::fs::read(&path).ok()?))).collect()
}

/// A file system in a file, mounted over a vault that moves onto it. Unmounted when it is dropped.
struct RawDisk(PathBuf);

impl RawDisk {
    fn over(image: &Path, state_dir: &Path) -> RawDisk {
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            let done = Command::new(program).args(arguments).stdout(Stdio::null()).output().expect("it runs");
            assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let held: Vec<_> = files(state_dir);
        std::fs::File::create(image).and_then(|file| file.set_len(96 << 20)).expect("made");
        run("mkfs.ext4", &["-q".as_ref(), image.as_os_str()]);
        run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), state_dir.as_os_str()]);
        std::fs::set_permissions(state_dir, std::fs::Permissions::from_mode(0o700)).expect("set");
        for (path, bytes) in held {
            std::fs::write(&path, bytes).expect("written");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("set");
        }
        RawDisk(state_dir.to_owned())
    }
}

impl Drop for RawDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(thread::panicking() || unmounted.is_ok_and(|status| status.success()), "it stays mounted");
    }
}

#[test]
fn t85_the_keys_are_locked_not_dumped_and_not_inherited_and_nothing_is_swapped() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    if daemon.status()["memory"] != "secret" {
        // What a kernel without it does instead is a test of its own.
        return;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("readable");
    let swapped = status.lines().find_map(|line| line.strip_prefix("VmSwap:")).map(str::trim);
    assert_eq!(swapped, Some("0 kB"));
    let secret = mappings_with(daemon.pid(), &["lo", "dd", "dc"]);
    assert!(secret.len() == 1 && secret[0].contains("secretmem"), "{secret:?}");
}

#[test]
fn t86_files_are_the_daemon_s_alone() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let own = rustix::process::geteuid().as_raw();
    let mode = |path: &Path| path.symlink_metadata().expect("there").permissions().mode() & 0o7777;
    for dir in [vault.state_dir(), vault.anchor_dir()] {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
        for (path, _) in files(&dir) {
            assert_eq!(mode(Path::new(&path)), 0o600, "{path}");
            assert_eq!(std::fs::metadata(&path).expect("there").uid(), own, "{path}");
        }
    }
    assert_eq!(mode(&vault.run_dir()), 0o755);
    assert_eq!([mode(&daemon.sign_socket()), mode(&daemon.admin_socket())], [0o660, 0o660]);
}

#[test]
fn t86_a_link_that_waits_under_a_name_is_not_followed_and_what_it_names_stays() {
    let target_of = |vault: &Vault| {
        let target = vault.dir().join("target");
        std::fs::write(&target, "mine").expect("written");
        target
    };
    for name in ["state/daemon.lock", "state/vault.db", "state-anchor/anchor", "run/sign.sock", "run/admin.sock"] {
        let vault = Vault::new();
        let (target, link) = (target_of(&vault), vault.dir().join(name));
        std::fs::create_dir_all(link.parent().expect("a directory")).expect("made");
        let _ = std::fs::remove_file(&link);
        symlink(&target, &link).expect("linked");
        if let Ok(daemon) = vault.try_serve_by(serve(&vault)) {
            assert_ne!(daemon.run(&["unlock", "--stdin"], PASSWORD).code, 0, "{name}");
        }
        assert_eq!(std::fs::read(&target).expect("there"), b"mine", "{name}");
        assert!(link.is_symlink(), "{name}");
    }
    for name in ["state", "state-anchor", "run"] {
        let vault = Vault::nowhere();
        let target = vault.dir().join("elsewhere");
        std::fs::create_dir(&target).expect("made");
        symlink(&target, vault.dir().join(name)).expect("linked");
        assert!(vault.try_serve_by(serve(&vault)).is_err(), "{name}");
        assert_eq!(std::fs::read_dir(&target).expect("there").count(), 0, "{name}");
    }
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let (target, link) = (target_of(&vault), vault.dir().join("backup"));
    symlink(&target, &link).expect("linked");
    assert_ne!(daemon.run(&["backup", &link.display().to_string()], "").code, 0);
    assert_eq!(std::fs::read(&target).expect("there"), b"mine");
}
