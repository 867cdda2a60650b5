//! `signvault demo`: the whole story runs, is told in both forms, and leaves nothing behind.

use crate::support::{Answer, signal};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the demo may take.
const BOUND: Duration = Duration::from_secs(15);

fn demo(temporary: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signvault"));
    command.env_clear().env("TMPDIR", temporary).env("HOME", "/nonexistent").arg("demo").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

fn answer(demo: Child) -> Answer {
    Answer::of(demo.wait_with_output().expect("the demo ends"))
}

/// Every command of the demo names its directory, so a process that was left behind would be found by it.
#[track_caller]
fn nothing_is_left_in(temporary: &Path) {
    let left: Vec<_> = std::fs::read_dir(temporary).expect("listed").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let needle = temporary.to_str().expect("UTF-8");
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        assert!(!command.contains(needle), "still running: {command}");
    }
}

#[test]
fn a_newcomer_reads_the_whole_story_and_every_step_holds() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let started = Instant::now();
    let told = answer(demo(temporary.path(), &[]));
    assert!(started.elapsed() < BOUND, "it took {:?}", started.elapsed());
    nothing_is_left_in(temporary.path());
    assert_eq!(told.stderr, "");
    let told = told.ok();
    let parts = [
        "1. Check the checker",
        "$ signvault init --stdin",
        "> POST /v1/sign HTTP/1.1",
        "> Authorization: Bearer svb_",
        "< HTTP/1.1 200 OK",
        "OK-ACCESS-SIGN",
        "< HTTP/1.1 403 Forbidden",
        "policy.grant",
        "< HTTP/1.1 401 Unauthorized",
        "< HTTP/1.1 423 Locked",
        "rows verified, 1 to",
        "the directory is gone",
        "signvault credential add okx-main --exchange okx",
    ];
    let mut rest = told.as_str();
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} does not come in its turn: {told}")).1;
    }
    assert!(!told.contains("FAILED") && !told.contains('\x1b'), "{told}");
    assert!(!told.contains("0MADE1UP2FOR3THE4DEMO5NOT6REAL7X"), "{told}");
}

#[test]
fn a_program_reads_the_same_story_as_one_object() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let told = answer(demo(temporary.path(), &["--json"]));
    nothing_is_left_in(temporary.path());
    assert_eq!(told.stderr, "");
    let story = told.json();
    assert_eq!(story["ok"], true);
    assert!(story["duration_ms"].as_u64().is_some_and(|ms| u128::from(ms) < BOUND.as_millis()), "{story}");
    let steps = story["steps"].as_array().expect("steps");
    assert_eq!(
        steps.iter().map(|step| step["number"].as_u64()).collect::<Vec<_>>(),
        (1..=15).map(Some).collect::<Vec<_>>()
    );
    let checks: Vec<&Value> = steps.iter().flat_map(|step| step["checks"].as_array().expect("checks")).collect();
    assert!(checks.len() >= 30 && checks.iter().all(|check| check["held"] == true), "{checks:?}");
    let actions = steps.iter().flat_map(|step| step["actions"].as_array().expect("actions"));
    let statuses: Vec<u64> = actions.filter_map(|action| action["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 200, 403, 403, 403, 401, 423]);
}

#[test]
fn whoever_interrupts_it_finds_nothing_left_behind() {
    for name in ["INT", "TERM", "HUP"] {
        // The story may end before the signal arrives: then once more.
        let interrupted = (0..10).any(|_| was_interrupted_by(name));
        assert!(interrupted, "SIG{name} was never in time");
    }
}

/// Starts the demo and sends a signal as soon as its daemon runs. False if the demo was faster.
fn was_interrupted_by(name: &str) -> bool {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let running = demo(temporary.path(), &[]);
    let deadline = Instant::now() + BOUND;
    while !daemon_runs(temporary.path()) {
        assert!(Instant::now() < deadline, "the daemon did not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(running.id(), name);
    let told = answer(running);
    nothing_is_left_in(temporary.path());
    if told.code == 0 {
        return false;
    }
    assert!(told.fails(1).starts_with("error: interrupted"));
    true
}

fn daemon_runs(temporary: &Path) -> bool {
    let mut dirs = std::fs::read_dir(temporary).expect("listed").flatten();
    dirs.any(|dir| dir.path().join("run/admin.sock").exists())
}

#[test]
fn where_nothing_can_be_written_it_says_so_and_fails() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let told = answer(demo(&temporary.path().join("not-there"), &[])).fails(1);
    assert!(told.contains("cannot make a temporary directory") && told.contains("TMPDIR=/tmp"), "{told}");
}

#[test]
fn a_reader_who_leaves_does_not_keep_it_from_cleaning_up() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let mut running = demo(temporary.path(), &[]);
    drop(running.stdout.take());
    assert_eq!(answer(running).fails(0), "");
    nothing_is_left_in(temporary.path());
}
