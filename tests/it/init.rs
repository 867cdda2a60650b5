//! `init`: what it takes, what it refuses, and the files it leaves.

use crate::support::files::{holds, mode, tree};
use crate::support::{Answer, Daemon, PASSWORD, Vault};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Stdio;

/// A user that has no files on this machine.
const NOBODY: u32 = 65534;

/// `init` with the cheapest hash and these arguments.
fn init(vault: &Vault, more: &[&str], password: &str) -> Answer {
    vault.run(&[&["init", "--stdin", "--kdf-memory-mib", "64"], more].concat(), password)
}

fn has_no_vault(vault: &Vault) -> bool {
    !vault.state_dir().join("vault.db").exists() && !vault.anchor_dir().join("anchor").exists()
}

fn slots(daemon: &Daemon) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let slots = daemon.run(&["slot", "list", "--json"], "").json();
    slots.as_array().expect("a list").iter().map(|slot| (text(&slot["kind"]), text(&slot["kdf"]))).collect()
}

#[test]
fn stdin_needs_a_place_for_the_recovery_key_or_none() {
    let vault = Vault::nowhere();
    let error = init(&vault, &[], PASSWORD).fails(2);
    assert!(error.contains("--recovery-file") && error.contains("--no-recovery"), "{error}");
    init(&vault, &["--no-recovery", "--recovery-file", "r"], PASSWORD).fails(2);
    assert!(has_no_vault(&vault));
}

#[test]
fn without_stdin_and_without_a_terminal_there_is_nobody_to_ask() {
    let vault = Vault::nowhere();
    vault.run(&["init", "--no-recovery"], PASSWORD).fails(2);
    assert!(has_no_vault(&vault));
}

#[test]
fn a_password_has_twelve_characters_at_least() {
    let vault = Vault::nowhere();
    let passwords = ["", "eleven char", "eleven char\n", "ключключ", &"x".repeat(1025)];
    for password in passwords {
        let error = init(&vault, &["--no-recovery"], password).fails(1);
        assert!(password.is_empty() || !error.contains(password.trim_end()), "{error}");
    }
    assert!(has_no_vault(&vault));
    assert_eq!(init(&vault, &["--no-recovery"], "twelve chars").ok(), "");
}

#[test]
fn a_line_loses_its_line_end_and_nothing_else() {
    for (given, meant, other) in [
        ("twelve chars\n", "twelve chars", "twelve chars "),
        ("twelve chars\r\nmore", "twelve chars", "twelve chars\r\r\n"),
        (" twelve chars \n", " twelve chars ", "twelve chars"),
    ] {
        let vault = Vault::nowhere();
        init(&vault, &["--no-recovery"], given).ok();
        let daemon = vault.serve();
        daemon.try_unlock(meant, &[]).ok();
        let refused = daemon.try_unlock(other, &[]).fails(1);
        assert!(refused.contains("unlock.failed"), "{refused}");
    }
}

#[test]
fn the_memory_for_a_guess_has_bounds() {
    let vault = Vault::nowhere();
    for memory in ["0", "63", "1025", "-1", "4294967360", "much"] {
        vault.run(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", memory], PASSWORD).fails(2);
    }
    assert!(has_no_vault(&vault));
    vault.run(&["init", "--stdin", "--no-recovery"], PASSWORD).ok();
    let daemon = vault.serve_unlocked();
    assert_eq!(slots(&daemon), [("password".to_owned(), "Argon2id 256 MiB, t=3, p=4".to_owned())]);
}

#[test]
fn the_recovery_key_is_in_its_file_alone_and_opens_the_vault() {
    let vault = Vault::nowhere();
    let made = init(&vault, &["--recovery-file", "recovery"], PASSWORD);
    assert_eq!((made.code, made.stdout.as_str(), made.stderr.as_str()), (0, "", ""));
    let path = vault.dir().join("recovery");
    assert_eq!(mode(&path), 0o600);
    let key = std::fs::read_to_string(&path).expect("a recovery key");
    assert_eq!(key.trim_end().split('-').map(str::len).collect::<Vec<_>>(), [4; 13], "groups of four");

    let daemon = vault.serve();
    daemon.try_unlock(&key, &["--recovery"]).ok();
    let kinds: Vec<String> = slots(&daemon).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["password", "recovery"]);
    daemon.run(&["lock"], "").ok();
    let typed = key.to_lowercase().replace('-', "");
    daemon.try_unlock(&typed, &["--recovery"]).ok();
}

#[test]
fn without_recovery_there_is_one_slot() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    assert_eq!(slots(&daemon).len(), 1);
}

#[test]
fn a_recovery_file_is_neither_overwritten_nor_made_through_a_link() {
    let vault = Vault::nowhere();
    let mine = vault.file("mine", "mine");
    let target = vault.dir().join("target");
    symlink(&target, vault.dir().join("link")).expect("linked");
    for path in [mine.as_str(), "link"] {
        init(&vault, &["--recovery-file", path], PASSWORD).fails(1);
    }
    init(&vault, &["--recovery-file", "no/such/dir"], PASSWORD).fails(1);
    assert_eq!(std::fs::read_to_string(&mine).expect("still there"), "mine");
    assert!(!target.exists() && vault.dir().join("link").is_symlink());
    assert!(has_no_vault(&vault));
}

#[test]
fn a_second_init_is_refused_and_changes_nothing() {
    let vault = Vault::new();
    let before = vault.files();
    let error = init(&vault, &["--recovery-file", "recovery"], "another password").fails(1);
    assert!(error.contains("there is a vault already"), "{error}");
    assert!(!vault.dir().join("recovery").exists(), "a key that opens nothing is not left behind");
    assert_eq!(vault.files(), before);
    vault.serve_unlocked();
}

#[test]
fn inits_at_the_same_time_make_one_vault() {
    for _ in 0..3 {
        let vault = Vault::nowhere();
        let passwords: Vec<String> = (0..6).map(|number| format!("password number {number}")).collect();
        let start = |password: &String| {
            let mut command = vault.command(&["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("started");
            std::io::Write::write_all(&mut child.stdin.take().expect("piped"), password.as_bytes()).expect("written");
            child
        };
        let started: Vec<_> = passwords.iter().map(start).collect();
        let ended = started.into_iter().map(|child| Answer::of(child.wait_with_output().expect("ended")));
        let codes: Vec<i32> = ended.map(|answer| answer.code).collect();
        let made = codes.iter().position(|code| *code == 0).unwrap_or_else(|| panic!("{codes:?}"));
        assert_eq!(codes.iter().filter(|code| **code == 1).count(), passwords.len() - 1, "{codes:?}");
        let daemon = vault.serve();
        daemon.try_unlock(&passwords[made], &[]).ok();
        assert_eq!(daemon.run(&["audit", "verify", "--json"], "").json()["first"], 1);
    }
}

#[test]
fn only_the_owner_may_look_at_what_is_made() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    daemon.try_unlock("not the password", &[]).fails(1);
    for (path, (mode, _)) in vault.files() {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, expected, "{}", path.display());
    }
    assert_eq!(mode(&vault.run_dir()), 0o755);
    assert_eq!(mode(&daemon.sign_socket()), 0o660);
    assert_eq!(mode(&daemon.admin_socket()), 0o660);
}

#[test]
fn a_directory_that_others_may_enter_is_refused_unless_it_is_empty() {
    let vault = Vault::nowhere();
    let open = |path: &Path| {
        std::fs::create_dir(path).expect("made");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("widened");
    };
    open(&vault.state_dir());
    std::fs::write(vault.state_dir().join("other"), "").expect("written");
    let error = init(&vault, &["--no-recovery"], PASSWORD).fails(1);
    assert!(error.contains("chmod 700"), "{error}");
    assert!(has_no_vault(&vault));

    std::fs::remove_file(vault.state_dir().join("other")).expect("removed");
    init(&vault, &["--no-recovery"], PASSWORD).ok();
    assert_eq!(mode(&vault.state_dir()), 0o700);
}

#[test]
fn a_link_in_the_place_of_a_directory_is_refused() {
    for which in ["state", "state-anchor"] {
        let vault = Vault::nowhere();
        let elsewhere = vault.dir().join("elsewhere");
        std::fs::create_dir(&elsewhere).expect("made");
        symlink(&elsewhere, vault.dir().join(which)).expect("linked");
        let error = init(&vault, &["--no-recovery"], PASSWORD).fails(1);
        assert!(error.contains("is not a directory"), "{error}");
        assert_eq!(tree(&elsewhere).len(), 1, "nothing was made behind the link");
    }
}

#[test]
fn links_in_the_places_of_files_are_not_followed() {
    let vault = Vault::nowhere();
    let target = vault.file("target", "mine");
    let dangling = vault.dir().join("dangling");
    for dir in [vault.state_dir(), vault.anchor_dir()] {
        std::fs::DirBuilder::new().create(&dir).expect("made");
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).expect("narrowed");
    }
    let database = vault.state_dir().join("vault.db");
    for to in [Path::new(&target), &dangling] {
        symlink(to, &database).expect("linked");
        init(&vault, &["--no-recovery"], PASSWORD).fails(1);
        assert!(database.is_symlink() && !dangling.exists());
        std::fs::remove_file(&database).expect("removed");
    }
    assert!(has_no_vault(&vault), "nothing is left of an init that was refused");
    for planted in ["state/vault.db.new", "state/vault.db.new-wal", "state-anchor/anchor", "state-anchor/anchor.next"] {
        symlink(&target, vault.dir().join(planted)).expect("linked");
    }
    init(&vault, &["--no-recovery"], PASSWORD).ok();
    assert!(!vault.anchor_dir().join("anchor").is_symlink());
    assert_eq!(std::fs::read_to_string(&target).expect("still there"), "mine");

    symlink(&target, vault.state_dir().join("attempts")).expect("linked");
    symlink(&target, vault.state_dir().join("attempts.next")).expect("linked");
    let daemon = vault.serve();
    daemon.unlock_patiently();
    assert!(!vault.state_dir().join("attempts").is_symlink());
    assert_eq!(std::fs::read_to_string(&target).expect("still there"), "mine");
}

#[test]
fn a_linked_lock_anchor_or_database_keeps_the_daemon_out() {
    let vault = Vault::new();
    let lock = vault.state_dir().join("daemon.lock");
    let target = vault.dir().join("target");
    symlink(&target, &lock).expect("linked");
    vault.run(&["serve", "--listen", "127.0.0.1:0"], "").fails(1);
    assert!(!target.exists());
    std::fs::remove_file(&lock).expect("removed");

    for file in [vault.anchor_dir().join("anchor"), vault.state_dir().join("vault.db")] {
        let moved = file.with_extension("moved");
        std::fs::rename(&file, &moved).expect("moved");
        symlink(&moved, &file).expect("linked");
        let daemon = vault.serve();
        let refused = daemon.try_unlock(PASSWORD, &[]);
        assert_ne!(refused.code, 0, "{}", file.display());
        drop(daemon);
        std::fs::remove_file(&file).expect("removed");
        std::fs::rename(&moved, &file).expect("moved");
    }
    vault.serve().unlock_patiently();
}

#[test]
fn nothing_that_is_typed_stands_in_the_files() {
    let vault = Vault::nowhere();
    init(&vault, &["--recovery-file", "recovery"], PASSWORD).ok();
    let key = std::fs::read_to_string(vault.dir().join("recovery")).expect("a recovery key");
    for (path, (_, content)) in vault.files() {
        assert!(!holds(&content, PASSWORD.as_bytes()), "{}", path.display());
        assert!(!holds(&content, key.trim_end().as_bytes()), "{}", path.display());
    }
}

#[test]
fn root_makes_a_vault_that_belongs_to_the_directory_s_owner() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let vault = Vault::nowhere();
    std::fs::create_dir(vault.state_dir()).expect("made");
    chown(vault.state_dir(), Some(NOBODY), Some(NOBODY)).expect("given");
    init(&vault, &["--no-recovery"], PASSWORD).ok();
    for path in vault.files().keys() {
        let about = path.symlink_metadata().expect("there");
        assert_eq!((about.uid(), about.gid()), (NOBODY, NOBODY), "{}", path.display());
    }

    std::fs::create_dir(vault.run_dir()).expect("made");
    chown(vault.run_dir(), Some(NOBODY), Some(NOBODY)).expect("given");
    std::fs::set_permissions(vault.dir(), std::fs::Permissions::from_mode(0o755)).expect("opened");
    if let Some(daemon) = vault.serve_as(NOBODY) {
        daemon.unlock();
        daemon.add_credential("main");
        assert_eq!(daemon.terminate(), 0);
        assert!(vault.files().keys().all(|path| path.symlink_metadata().is_ok_and(|about| about.uid() == NOBODY)));
    }
}
