//! How long each step of a signature takes, in the order of the path, and the whole of it in the vault.
//!
//! ```sh
//! make steps
//! ```
//! A table at the end has the medians. One of its rows has a bound, and beyond it this fails: judging, opening and signing
//! are what stands between an ask and its signature whatever disk and network do, and take five microseconds at most.
//! The other times are this machine's; for a number that is the same everywhere see `make instructions`.

#![allow(clippy::unwrap_used, reason = "a measurement that can't go on says so by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this is for")]

#[path = "instructions/path.rs"]
mod path;
#[path = "instructions/stage.rs"]
mod stage;

use criterion::{BatchSize, Bencher, Criterion};
use path::{Guard, Parts};
use signvault::secret::{ZeroizingAllocator, scrub_stack};
use signvault::store::Durability;
use signvault::store::ledger::Permit;
use signvault::types::ask::Ask;
use stage::Stage;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// As in the daemon: wiping what is freed is part of every step.
#[global_allocator]
static ALLOCATOR: ZeroizingAllocator = ZeroizingAllocator;

/// The row with a bound.
const BOUNDED: &str = "policy, open and sign";
/// What it may take, in nanoseconds.
const MOST_NS: f64 = 5000.0;

/// Commits between two looks after the ledger. The daemon does that every second; here it is not in the measured time.
const COMMITS: u64 = 256;

/// The rows of the table, in the order in which they were measured.
struct Steps {
    criterion: Criterion,
    names: Vec<String>,
}

impl Steps {
    fn measure(&mut self, name: &str, measured: impl FnMut(&mut Bencher<'_>)) {
        self.criterion.bench_function(name, measured);
        self.names.push(name.to_owned());
    }
}

/// Permits, of which each opens once; more rows are written when they are used up.
struct Permits<'a> {
    parts: &'a Parts,
    left: Vec<Permit>,
}

impl Permits<'_> {
    fn take(&mut self) -> Permit {
        if self.left.is_empty() {
            self.parts.tend();
            self.left = self.parts.append(1000);
        }
        self.left.pop().expect("rows were written")
    }
}

fn before_the_vault(steps: &mut Steps, stage: &Stage) {
    let guard = Guard::new(&stage.token);
    let body = stage::ask_body(0);
    steps.measure("guard", |bencher| bencher.iter(|| guard.check()));
    steps.measure("token", |bencher| bencher.iter(|| path::token(stage)));
    steps.measure("parse", |bencher| bencher.iter(|| path::parse(&body)));
}

fn inside_the_vault(steps: &mut Steps, parts: &Parts) {
    let ask = stage::ask(0);
    let reading = parts.read(&ask.wanted);
    let mut permits = Permits { parts, left: Vec::new() };
    steps.measure("read", |bencher| bencher.iter(|| parts.read(&ask.wanted)));
    steps.measure("policy", |bencher| bencher.iter(|| parts.judge(&reading)));
    steps.measure("open", |bencher| {
        bencher.iter_batched(|| permits.take(), |permit| drop(black_box(parts.open(permit))), BatchSize::SmallInput);
    });
    steps.measure("sign", |bencher| bencher.iter(|| parts.sign(&ask.wanted)));
    steps.measure(BOUNDED, |bencher| {
        let all_three = |permit| {
            let verdict = parts.judge(&reading);
            let secrets = parts.open(permit);
            let content = parts.sign_with(&secrets.parts().unwrap(), &ask.wanted);
            drop(secrets);
            scrub_stack();
            (verdict, content)
        };
        bencher.iter_batched(|| permits.take(), all_three, BatchSize::SmallInput);
    });
}

fn ledger(steps: &mut Steps, parts: &Parts, durability: &str) {
    for rows in [1, 16, 64] {
        steps.measure(&format!("append {rows}, {durability}"), |bencher| {
            let mut commits = 0;
            bencher.iter_batched(
                || now_and_then(&mut commits, || parts.tend()),
                |()| parts.append(rows),
                BatchSize::NumIterations(COMMITS),
            );
        });
    }
}

fn whole_vault(steps: &mut Steps, stage: &Stage, durability: &str) {
    let caller = path::token(stage);
    for (name, together) in [("one ask", 1), ("twenty asks", 20)] {
        let asks: Vec<Ask> = (0..together).map(stage::ask).collect();
        steps.measure(&format!("vault {name}, {durability}"), |bencher| {
            let mut commits = 0;
            let prepare = || {
                now_and_then(&mut commits, || stage.vault.tend().unwrap());
                asks.clone()
            };
            bencher.iter_batched(prepare, |asks| stage.sign(caller, asks), BatchSize::NumIterations(COMMITS));
        });
    }
}

/// Does it every so many times.
fn now_and_then(times: &mut u64, tend: impl FnOnce()) {
    if times.is_multiple_of(COMMITS) {
        tend();
    }
    *times += 1;
}

fn answer(steps: &mut Steps, stage: &Stage) {
    let caller = path::token(stage);
    let signed = || stage.sign(caller, vec![stage::ask(0)]).remove(0);
    let measured = |bencher: &mut Bencher<'_>| bencher.iter_batched(signed, path::answer, BatchSize::SmallInput);
    steps.measure("answer", measured);
    stage.vault.tend().unwrap();
}

/// The median that criterion has written down for a row, in nanoseconds.
fn median_ns(dir: &Path, name: &str) -> f64 {
    let file = dir.join(name).join("new/estimates.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let estimates: serde_json::Value = serde_json::from_str(&text).unwrap();
    estimates["median"]["point_estimate"].as_f64().expect("criterion's own format")
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("steps")
}

fn main() -> ExitCode {
    let criterion = Criterion::default()
        .without_plots()
        .output_directory(&directory())
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500));
    let mut steps = Steps { criterion, names: Vec::new() };
    let stage = Stage::set(Durability::Process);
    before_the_vault(&mut steps, &stage);
    for (name, durability) in [("process", Durability::Process), ("full", Durability::Full)] {
        let stage = Stage::set(durability);
        let parts = Parts::new(durability, &stage);
        if durability == Durability::Process {
            inside_the_vault(&mut steps, &parts);
        }
        ledger(&mut steps, &parts, name);
        whole_vault(&mut steps, &stage, name);
    }
    answer(&mut steps, &stage);
    println!("{:<28} {:>12} {:>12}", "step", "median µs", "bound µs");
    for name in &steps.names {
        let bound = if name == BOUNDED { format!("{:.2}", MOST_NS / 1000.0) } else { "-".to_owned() };
        println!("{name:<28} {:>12.3} {bound:>12}", median_ns(&directory(), name) / 1000.0);
    }
    if median_ns(&directory(), BOUNDED) <= MOST_NS {
        return ExitCode::SUCCESS;
    }
    eprintln!("steps: {BOUNDED} take more than they may together: find out what made them slower");
    ExitCode::FAILURE
}
