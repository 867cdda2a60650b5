//! Every call by which the daemon reads or changes the vault's files fails once, one after the other, as SQLite's own
//! tests do it: what it answers is typed, nothing is signed without its row, nothing that was acknowledged is lost, and
//! it heals without a restart.

use crate::run::Run;
use crate::story::Story;
use crate::support::Vault;
use crate::trace::{FILE_CALLS, calls_of_the_busiest_thread, files_of, inject, injected, serve_traced};
use crate::vaults::{Admin, Original, preloaded, serve};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Calls that the daemon makes again when they are interrupted. A sync is not: it fails, and heals, as under T67.
const INTERRUPTED: [&str; 5] = ["pwrite64", "pread64", "write", "openat", "ftruncate"];

/// The call that reads a page.
const READ: &str = "pread64";
/// What may be said of a page that can't be read.
const DAMAGED: &str = "vault.storage_corrupt";

/// What went on under a fault.
struct Told {
    wrong: Vec<String>,
    refusals: usize,
    hits: usize,
}

/// T67. A round is one call of one kind that fails; all of them, or as many as are asked for, evenly spread.
pub fn t67_each_call_that_fails_is_a_typed_refusal_and_heals(run: &mut Run) {
    let original = Original::new();
    let calls = calls_of_a_story(&original);
    let faults: Vec<(&str, &str, usize)> = FILE_CALLS
        .into_iter()
        .flat_map(|call| {
            let most = calls.get(call.trim_start_matches('?')).copied().unwrap_or(0);
            // One more than there are, so that the end of the sweep is seen.
            (1..=most + 1).flat_map(move |number| errors_of(call).iter().map(move |error| (call, *error, number)))
        })
        .collect();
    let rounds = run.rounds.min(faults.len());
    let (mut hits, mut refusals) = (0, 0);
    for index in 0..rounds {
        let (call, error, number) = faults[index * faults.len() / rounds];
        run.round(format!("{error} at call {number} of {call}"), |_| {
            let vault = original.copy();
            let options = inject(&vault, call, &format!("error={error}"), &number.to_string());
            let mut told = tell_under(&original, &vault, serve_traced(&vault, &options));
            if call == READ {
                // SQLite takes a page that can't be read back for a damaged file, and so the vault may.
                told.wrong.retain(|wrong| !wrong.contains(DAMAGED));
            }
            hits += injected(&vault).max(told.hits);
            refusals += told.refusals;
            told.wrong
        });
    }
    run.note(format!("{} faults in all, {rounds} tried, {hits} calls failed, {refusals} typed refusals", faults.len()));
    run.require(hits > rounds / 2 && refusals > rounds / 8, "too few calls failed to mean anything");
}

/// T69. A round is a story while reads and writes take less than they were given, or are interrupted, again and again:
/// it is told as if nothing were.
pub fn t69_short_and_interrupted_calls_change_nothing(run: &mut Run) {
    let original = Original::new();
    let library = preloaded(&original, "short_calls");
    for number in 0..run.rounds {
        match INTERRUPTED.get(number % (2 * INTERRUPTED.len())) {
            Some(call) => interrupted(run, &original, call, number),
            None => cut_short(run, &original, &library),
        }
    }
}

/// Every second call of a kind, every third, or every fourth, is interrupted before it did anything.
fn interrupted(run: &mut Run, original: &Original, call: &str, number: usize) {
    let when = format!("{}+{}", 1 + number % 3, 2 + number % 3);
    run.round(format!("EINTR at {when} of {call}"), |_| {
        let vault = original.copy();
        let options = inject(&vault, call, "error=EINTR", &when);
        let told = tell_under(original, &vault, serve_traced(&vault, &options));
        as_without(told)
    });
}

/// Reads and writes of files take a random part of what they were given, or are interrupted.
fn cut_short(run: &mut Run, original: &Original, library: &Path) {
    let seed = run.random.next();
    run.round(format!("short calls of seed {seed}"), |_| {
        let vault = original.copy();
        let mut command = serve(&vault);
        command.env("LD_PRELOAD", library).env("SHORT_CALLS_SEED", seed.to_string());
        as_without(tell_under(original, &vault, command))
    });
}

fn as_without(told: Told) -> Vec<String> {
    let mut wrong = told.wrong;
    if told.refusals > 0 {
        wrong.push(format!("{} answers were refusals", told.refusals));
    }
    wrong
}

/// How a call fails: only what writes can find no space.
fn errors_of(call: &str) -> &'static [&'static str] {
    if call == READ { &["EIO"] } else { &["EIO", "ENOSPC"] }
}

/// How often each call is made while nothing fails.
fn calls_of_a_story(original: &Original) -> BTreeMap<String, usize> {
    let vault = original.copy();
    let mut options = files_of(&vault);
    options.extend(["-e".to_owned(), format!("trace={}", FILE_CALLS.join(","))]);
    let told = tell_under(original, &vault, serve_traced(&vault, &options));
    assert_eq!((told.wrong, told.refusals), (Vec::<String>::new(), 0), "without a fault");
    let calls = calls_of_the_busiest_thread(&vault);
    assert!(calls.len() >= 6, "{calls:?}");
    calls
}

/// Tells the story under a fault, then starts the daemon without one and compares.
fn tell_under(original: &Original, vault: &Vault, command: Command) -> Told {
    let daemon = match vault.try_serve_by(command) {
        Ok(daemon) => daemon,
        // It may refuse to start, in words, and then starts when it is asked again.
        Err(ended) if ended.code() == Some(1) => return tell_after(original, vault),
        Err(ended) => {
            return Told { wrong: vec![format!("instead of starting it ended: {ended}")], refusals: 0, hits: 0 };
        }
    };
    let mut story = Story::of(&daemon, original);
    story.tell();
    let Story { witness, mut wrong, refusals, .. } = story;
    match daemon.terminate() {
        0 => (),
        code => wrong.push(format!("it ended with {code}")),
    }
    let daemon = vault.serve_by(serve(vault));
    Admin::of(&daemon).unlock(&original.key).ok();
    wrong.extend(witness.what_is_wrong(&daemon));
    Told { wrong, refusals, hits: 0 }
}

fn tell_after(original: &Original, vault: &Vault) -> Told {
    let mut told = tell_under(original, vault, serve(vault));
    (told.refusals, told.hits) = (told.refusals + 1, 1);
    told
}
