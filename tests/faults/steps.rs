//! What is done in several steps is killed before each of them: making a vault, restoring one, changing the password.
//! There is the old state or the new one and nothing between, and the command works when it is run again.

use crate::run::Run;
use crate::support::{Answer, PASSWORD, Vault};
use crate::trace::{Attached, FILE_CALLS, calls_of_the_busiest_thread, finished_log, log_of};
use crate::vaults::{Admin, Original, command_under, password};
use crate::witness::told;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

/// The password that the password is changed to.
const NEW_PASSWORD: &str = "horse battery correct";
/// Ways to change it: the arguments, and whether other ways to unlock stay.
const CHANGES: [(&[&str], bool); 2] =
    [(&["password", "change", "--stdin"], true), (&["password", "change", "--stdin", "--rotate-key"], false)];
/// Calls that only `init` and `restore` make, besides those of a daemon.
const MAKING_CALLS: [&str; 5] = ["?mkdir", "?renameat2", "?rmdir", "?unlinkat", "?fchown"];

const INIT: [&str; 5] = ["init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64"];

/// `init` killed: a round is one call before which it dies.
pub fn t21_an_init_that_is_killed_leaves_nothing_or_a_vault(run: &mut Run) {
    let traced = Vault::nowhere();
    run_traced(&traced, &INIT, PASSWORD, &only_trace()).ok();
    let mut whole = 0;
    for (call, number) in spread(&calls_of_the_busiest_thread(&traced), run.rounds) {
        run.round(format!("init killed at call {number} of {call}"), |_| {
            let vault = Vault::nowhere();
            run_traced(&vault, &INIT, PASSWORD, &kill_at(call, number));
            after_the_second_try(&vault, &vault.run(&INIT, PASSWORD), &password(), &mut whole)
        });
    }
    run.note(format!("{whole} times the vault was whole already"));
}

/// `restore` killed, into a place without an anchor and beside the anchor of the vault that is gone: a round is one call
/// before which it dies.
pub fn t21_a_restore_that_is_killed_leaves_nothing_or_a_vault(run: &mut Run) {
    let original = Original::new();
    let backup = back_up(&original);
    let key = original.vault().key_file();
    let restore = ["restore", backup.as_str(), "--key-file", key.as_str()];
    let mut whole = 0;
    for (has_anchor, beside) in [(false, "into an empty place"), (true, "beside the anchor")] {
        let traced = place_to_restore(&original, has_anchor);
        run_traced(&traced, &restore, "", &only_trace()).ok();
        let calls = calls_of_the_busiest_thread(&traced);
        for (call, number) in spread(&calls, run.rounds.div_ceil(2)) {
            run.round(format!("restore {beside} killed at call {number} of {call}"), |_| {
                let vault = place_to_restore(&original, has_anchor);
                run_traced(&vault, &restore, "", &kill_at(call, number));
                after_the_second_try(&vault, &vault.run(&restore, ""), &original.key, &mut whole)
            });
        }
    }
    run.note(format!("{whole} times the vault was whole already"));
}

/// T21. A round is one call of the daemon before which it dies while the password changes, alone or with the vault key.
pub fn t21_a_password_change_that_is_killed_leaves_exactly_one_password(run: &mut Run) {
    let original = Original::new();
    let rounds = run.rounds.div_ceil(CHANGES.len());
    let mut opened = [0, 0];
    for (change, keeps_key_file) in CHANGES {
        let calls = calls_of_a_change(&original, change);
        for (call, number) in spread(&calls, rounds) {
            run.round(format!("{} killed at call {number} of {call}", change.join(" ")), |_| {
                let vault = original.copy();
                let daemon = vault.serve();
                Admin::of(&daemon).unlock(&original.key).ok();
                let attached = Attached::to(&daemon, &kill_at(call, number));
                let said = daemon.run(change, &format!("{PASSWORD}\n{NEW_PASSWORD}\n"));
                daemon.kill();
                drop(attached);
                let opens = Opens::which(&vault, &original);
                opened[0] += usize::from(opens.new);
                opened[1] += usize::from(opens.old);
                opens.what_is_wrong(&said, keeps_key_file).into_iter().collect()
            });
        }
    }
    run.note(format!("the new password opened {} times, the old one {} times", opened[0], opened[1]));
}

/// What opens a vault in which all must be as it was.
struct Opens {
    new: bool,
    old: bool,
    key_file: bool,
}

impl Opens {
    fn which(vault: &Vault, original: &Original) -> Opens {
        let opens = |secret: &Value| {
            // So that nobody waits for another secret's failure.
            vault.forget_attempts();
            let daemon = vault.serve();
            let answer = Admin::of(&daemon).unlock(secret);
            match answer.status {
                200 => {
                    Admin::of(&daemon).verify().ok();
                    daemon.tcp().sign(&original.token, "main", "GET", "/api/v5/account/balance", None).ok();
                    true
                }
                403 => false,
                _ => panic!("{answer:?}"),
            }
        };
        let new = opens(&json!({ "password": NEW_PASSWORD }));
        Opens { new, old: opens(&password()), key_file: opens(&original.key) }
    }

    /// Exactly one password opens, the new one if that was said; and so does the key file, unless the key it wraps went.
    fn what_is_wrong(&self, said: &Answer, keeps_key_file: bool) -> Option<String> {
        let Opens { new, old, key_file } = *self;
        let holds = match said.code {
            0 => new && !old,
            1 | 5 => new != old,
            _ => false,
        };
        let Answer { code, stderr, .. } = said;
        (!holds || key_file != (old || keeps_key_file)).then(|| {
            format!("the change ended with {code} ({stderr}); of new, old and key file open: {new}, {old}, {key_file}")
        })
    }
}

fn calls_of_a_change(original: &Original, change: &[&str]) -> BTreeMap<String, usize> {
    let vault = original.copy();
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    let attached = Attached::to(&daemon, &only_trace());
    daemon.run(change, &format!("{PASSWORD}\n{NEW_PASSWORD}\n")).ok();
    drop(attached);
    calls_of_the_busiest_thread(&vault)
}

/// Every call that was counted and which of its kind it is, or as many as there are rounds for, evenly spread.
fn spread(calls: &BTreeMap<String, usize>, rounds: usize) -> Vec<(&str, usize)> {
    let all: Vec<(&str, usize)> =
        calls.iter().flat_map(|(call, most)| (1..=*most).map(move |number| (call.as_str(), number))).collect();
    assert!(all.len() > 10, "{calls:?}");
    let rounds = rounds.min(all.len());
    (0..rounds).map(|round| all[round * all.len() / rounds]).collect()
}

fn only_trace() -> Vec<String> {
    vec!["-e".to_owned(), format!("trace={}", [&FILE_CALLS[..], &MAKING_CALLS[..]].concat().join(","))]
}

fn kill_at(call: &str, number: usize) -> Vec<String> {
    let inject = format!("inject={call}:signal=KILL:when={number}");
    vec!["-e".to_owned(), format!("trace={call}"), "-e".to_owned(), inject]
}

/// Runs a command under strace to its end, whichever that is.
fn run_traced(vault: &Vault, arguments: &[&str], stdin: &str, options: &[String]) -> Answer {
    let log = log_of(vault).to_str().expect("UTF-8").to_owned();
    let before = ["-D", "-f", "-qq", "-o", &log];
    let options: Vec<&str> = before.into_iter().chain(options.iter().map(String::as_str)).collect();
    let mut command = command_under(vault.command(arguments), "strace", &options);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("strace runs");
    // Who dies before reading it has no use for it.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let answer = Answer::of(child.wait_with_output().expect("it ends"));
    finished_log(vault);
    answer
}

/// The command was run again: it made the vault, or says that there is one, and either opens.
fn after_the_second_try(vault: &Vault, again: &Answer, secret: &Value, whole: &mut usize) -> Vec<String> {
    let exists = again.code == 1 && again.stderr.contains("already");
    *whole += usize::from(exists);
    match again.code == 0 || exists {
        true => does_not_open(vault, secret).into_iter().collect(),
        false => vec![format!("run again it ended with {}: {}", again.code, again.stderr)],
    }
}

fn does_not_open(vault: &Vault, secret: &Value) -> Option<String> {
    let daemon = vault.serve();
    let answer = Admin::of(&daemon).unlock(secret);
    if answer.status != 200 {
        return Some(format!("it does not unlock: {}", told(&answer)));
    }
    let verified = Admin::of(&daemon).verify();
    (verified.status != 200).then(|| format!("its ledger does not follow: {}", told(&verified)))
}

fn back_up(original: &Original) -> String {
    let vault = original.vault();
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    let backup: PathBuf = vault.dir().join("backup");
    let backup = backup.to_str().expect("UTF-8").to_owned();
    daemon.run(&["backup", &backup], "").ok();
    // As after a disk that died at once: the anchor knows no more than the backup.
    daemon.kill();
    backup
}

/// A place for a vault to be restored to, with or without the anchor of the one that is gone.
fn place_to_restore(original: &Original, has_anchor: bool) -> Vault {
    match has_anchor {
        false => Vault::nowhere(),
        true => {
            let vault = original.copy();
            std::fs::remove_dir_all(vault.state_dir()).expect("removed");
            vault
        }
    }
}
