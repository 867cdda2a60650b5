//! Valgrind's callgrind as the counter: it runs a program on a processor of its own making and counts each instruction,
//! so that neither the load nor the speed of the machine is in the number.
//!
//! The crates for this (gungraun, once iai-callgrind) need a runner of exactly their own version to be installed beside
//! valgrind, and compare a run with the one before on the same machine. Here one program is counted in phases that it
//! marks itself, and compared with a bound in the repository; what that takes of callgrind is one option.
//!
//! Three things make the number that of the program and not of the processor:
//! - The processor that valgrind shows is always the same, without AVX-512 and without instructions for SHA-256. The
//!   latter are most of what differs, so SHA-256 is counted by the block and not by the instruction.
//! - The C library would wipe with `rep stosb`, one instruction for the processor and one for each byte to callgrind.
//!   Told that nothing is large enough for it, it wipes and copies in a loop, as it would without that instruction.
//! - `memfd_secret` is unknown to valgrind and refused, so keys are in locked memory instead; they are used the same.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the C library no longer uses `rep stosb` and `rep movsb`, in bytes: nowhere.
const TUNABLES: &str = "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000";

/// What was counted in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Every instruction but those of SHA-256.
    pub others: u64,
    /// The instructions of SHA-256's compression, whichever implementation was taken.
    pub sha256: u64,
}

/// Runs a program of ours with one argument, and says where the counts of its phases are: a phase ends with every call
/// of the function whose name ends like `mark`.
///
/// # Errors
/// In words, when there is no valgrind, or the program failed in it.
pub fn run(argument: &str, mark: &str, dir: &Path) -> Result<(), String> {
    // What an earlier run left would be taken for this one's.
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]).arg(format!("--dump-before=*::{mark}"));
    valgrind.arg(format!("--callgrind-out-file={}", file(dir).display())).arg(program).arg(argument);
    let done = valgrind.env("GLIBC_TUNABLES", TUNABLES).stdin(Stdio::null()).output();
    let done =
        done.map_err(|error| format!("valgrind did not start: {error}. Install it: its package is `valgrind`"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("valgrind: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr))),
    }
}

/// What was counted before the mark with this number, from 1, and after the one before it.
pub fn read(dir: &Path, number: usize) -> Counted {
    let path = file_of(dir, number);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total: u64 = total.and_then(|words| words.trim().parse().ok()).expect("callgrind's format 1 has a summary");
    let sha256 = own_cost(&text, |name| name.starts_with("sha2::sha256::") && name.contains("::compress"));
    Counted { others: total - sha256, sha256 }
}

/// The file of the counts before the mark with this number.
pub fn file_of(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("counts.{number}"))
}

fn file(dir: &Path) -> PathBuf {
    dir.join("counts")
}

/// The cost of the lines of functions themselves, without what they call. A function's name stands once, after a number
/// in brackets, and the number alone from then on.
fn own_cost(text: &str, is_wanted: impl Fn(&str) -> bool) -> u64 {
    let (mut names, mut inside, mut is_of_a_call, mut cost) = (HashMap::new(), false, false, 0);
    for line in text.lines() {
        if let Some((key, function)) = line.split_once('=').filter(|(key, _)| matches!(*key, "fn" | "cfn")) {
            let (id, name) = function.split_once(' ').unwrap_or((function, ""));
            let wanted = *names.entry(id.to_owned()).or_insert_with(|| is_wanted(name));
            inside = if key == "fn" { wanted } else { inside };
        } else if line.starts_with("calls=") {
            is_of_a_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let own = !std::mem::take(&mut is_of_a_call) && inside;
            let words = line.split(' ').nth(1).and_then(|words| words.parse::<u64>().ok());
            cost += words.filter(|_| own).unwrap_or(0);
        }
    }
    cost
}
