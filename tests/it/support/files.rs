//! A vault's files: copies of them, what is in them, and edits that no daemon would make.

use crate::support::{Daemon, PASSWORD, Vault};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Every file and directory by its path, with its mode and content (a link's target, nothing for a directory).
pub type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// What is below a directory, itself included; nothing when it is not there.
pub fn tree(dir: &Path) -> Tree {
    let Ok(about) = dir.symlink_metadata() else { return Tree::new() };
    let content = match () {
        () if about.is_symlink() => std::fs::read_link(dir).expect("a link").into_os_string().into_encoded_bytes(),
        () if about.is_file() => std::fs::read(dir).expect("readable"),
        () => Vec::new(),
    };
    let mut found = Tree::from([(dir.to_owned(), (about.mode(), content))]);
    if about.is_dir() {
        for entry in std::fs::read_dir(dir).expect("readable") {
            found.extend(tree(&entry.expect("an entry").path()));
        }
    }
    found
}

/// The permission bits of a file or directory.
pub fn mode(path: &Path) -> u32 {
    path.symlink_metadata().expect("it is there").permissions().mode() & 0o777
}

/// Whether these bytes stand anywhere in those.
pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    std::fs::set_permissions(to, from.metadata().expect("there").permissions()).expect("narrowed");
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}

impl Vault {
    /// A copy of the state and anchor directories elsewhere. No daemon may hold the vault.
    pub fn copy(&self) -> Vault {
        let copy = Vault::nowhere();
        copy_dir(&self.state_dir(), &copy.state_dir());
        copy_dir(&self.anchor_dir(), &copy.anchor_dir());
        copy
    }

    /// What is in the state and anchor directories.
    pub fn files(&self) -> Tree {
        let mut files = tree(&self.state_dir());
        files.extend(tree(&self.anchor_dir()));
        files
    }

    /// The database's path.
    pub fn database_path(&self) -> PathBuf {
        self.state_dir().join("vault.db")
    }

    /// The database, opened as anyone could who may write to the file. No daemon may hold the vault.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database_path()).expect("opened")
    }

    /// Runs statements on the database behind the vault's back.
    pub fn edit(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Forgets the failed attempts, as anyone could who may write to the directory: so that a test need not wait.
    pub fn forget_attempts(&self) {
        std::fs::write(self.state_dir().join("attempts"), r#"{"failed":0,"last_ms":0}"#).expect("written");
    }

    /// Makes it seem as if so many attempts had failed, the last just now.
    pub fn seem_to_have_failed(&self, failed: u32) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        let content = format!(r#"{{"failed":{failed},"last_ms":{now}}}"#);
        std::fs::write(self.state_dir().join("attempts"), content).expect("written");
    }

    /// A key file of this vault's that opens it without a password hash, in a slot of its own.
    pub fn with_key_file(&self) -> String {
        let daemon = self.serve_unlocked();
        let path = self.key_file();
        daemon.run(&["slot", "add", "key-file", &path], "").ok();
        daemon.terminate();
        path
    }

    /// Starts the daemon with more arguments and this on its standard input.
    pub fn serve_and_tell(&self, more: &[&str], stdin: &str) -> Daemon<'_> {
        let mut command = self.command(&[&["serve", "--listen", "127.0.0.1:0"], more].concat());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir().join("log")).expect("log");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("the daemon starts");
        child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
        Daemon::wait_for(self, child)
    }

    /// Starts the daemon as another user; nothing when that user may not run the binary where it is.
    pub fn serve_as(&self, uid: u32) -> Option<Daemon<'_>> {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir().join("log")).expect("log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).uid(uid).gid(uid);
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            spawned => Some(Daemon::wait_for(self, spawned.expect("the daemon starts"))),
        }
    }

    /// Where [`Vault::with_key_file`] puts it.
    pub fn key_file(&self) -> String {
        self.dir().join("key").to_str().expect("UTF-8").to_owned()
    }
}

impl Daemon<'_> {
    /// Unlocks with a key file.
    pub fn unlock_with(&self, key_file: &str) {
        self.run(&["unlock", "--key-file", key_file], "").ok();
    }

    /// `unlock --stdin` with this line and more arguments.
    pub fn try_unlock(&self, password: &str, more: &[&str]) -> crate::support::Answer {
        self.run(&[&["unlock", "--stdin"], more].concat(), password)
    }

    /// The most memory that the daemon has had, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("VmHWM");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// The state that `status --json` tells.
    pub fn state(&self) -> String {
        self.status()["state"].as_str().expect("a state").to_owned()
    }

    /// Unlocks with the usual password, waiting out whatever back-off there is.
    pub fn unlock_patiently(&self) {
        for _ in 0..80 {
            let answer = self.try_unlock(PASSWORD, &[]);
            if answer.code == 0 {
                return;
            }
            assert!(answer.stderr.contains("unlock.backoff"), "{answer:?}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("it does not unlock");
    }
}
