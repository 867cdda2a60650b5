//! How many instructions a signature takes, step by step, and whether that is more than it may: a number without noise,
//! for a machine that others work on too.
//!
//! ```sh
//! make instructions
//! ```
//! Every step is done as often again in a second run, and the difference is what counts: whatever is done once is in
//! neither. The whole is a request of a bot over a socket, from the first byte to the last of the answer. Refused tokens
//! are counted as well: their counts must not tell why they are refused.

#![allow(clippy::unwrap_used, reason = "a measurement that can't go on says so by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this is for")]

mod callgrind;
mod http;
mod path;
mod refusal;
mod stage;

use path::{Guard, Parts};
use signvault::crypto::mac;
use signvault::secret::ZeroizingAllocator;
use signvault::store::Durability;
use stage::Stage;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

/// As in the daemon: what memory is wiped counts.
#[global_allocator]
static ALLOCATOR: ZeroizingAllocator = ZeroizingAllocator;

/// The most that a signature may take, by this count. A third above what it took when this was last set: two runs differ by
/// less than a hundredth. Below half of it this bound is out of date, and said to be: it would let a signature become
/// twice as slow.
#[cfg(target_arch = "x86_64")]
const MOST: Count = Count { instructions: 152_000.0, blocks: 58.0 };
/// The same machine code is nowhere else; who measures elsewhere first sets a bound.
#[cfg(not(target_arch = "x86_64"))]
const MOST: Count = Count { instructions: 0.0, blocks: 0.0 };

/// How often a step is done in its shorter run. An anchor is written every 256 rows, so one is in it.
const TIMES: usize = 256;

/// How often the refusals are counted.
const REFUSED: usize = 7;

/// Bytes in a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// What this program is told when it runs inside valgrind.
const INSIDE: &str = "inside-valgrind";

/// What one signature takes of a step.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Instructions other than those of SHA-256.
    instructions: f64,
    /// Blocks that SHA-256 compresses.
    blocks: f64,
}

impl Count {
    fn without(self, others: &[Count]) -> Count {
        others.iter().fold(self, |left, other| Count {
            instructions: left.instructions - other.instructions,
            blocks: left.blocks - other.blocks,
        })
    }
}

/// Callgrind writes down what it has counted whenever this is called, and begins again from nothing.
#[inline(never)]
fn mark_a_phase(number: usize) {
    black_box(number);
}

/// Runs a step as often as it is told, and as often again, each between two marks.
fn count<T>(prepare: impl Fn(usize) -> T, run: impl Fn(T)) {
    for times in [TIMES, 2 * TIMES] {
        let prepared = prepare(times);
        mark_a_phase(0);
        run(prepared);
        mark_a_phase(1);
    }
}

/// Every step, in the order of [`Steps::read`].
fn do_every_step() {
    let stage = Stage::set(Durability::Process);
    let parts = Parts::new(Durability::Process, &stage);
    let asks: Vec<_> = (0..2 * TIMES).map(stage::ask).collect();
    let bodies: Vec<_> = (0..2 * TIMES).map(stage::ask_body).collect();
    let guard = Guard::new(&stage.token);
    let caller = path::token(&stage);
    let first = |times: usize| asks[..times].iter();
    let signed = |times| first(times).flat_map(|ask| stage.sign(caller, vec![ask.clone()])).collect::<Vec<_>>();

    count(|times| vec![0; times * BLOCK_BYTES], |bytes| _ = black_box(mac::sha256(&[&bytes])));
    count(|times| 0..times, |times| times.for_each(|_| guard.check()));
    count(|times| 0..times, |times| times.for_each(|_| _ = black_box(path::token(&stage))));
    count(|times| &bodies[..times], |bodies| bodies.iter().for_each(|body| drop(black_box(path::parse(body)))));
    count(first, |asks| asks.for_each(|ask| drop(black_box(parts.read(&ask.wanted)))));
    let read = |times| first(times).map(|ask| parts.read(&ask.wanted)).collect::<Vec<_>>();
    count(read, |readings| readings.iter().for_each(|reading| drop(black_box(parts.judge(reading)))));
    count(|times| parts.append(times), |permits| permits.into_iter().for_each(|permit| drop(parts.open(permit))));
    count(first, |asks| asks.for_each(|ask| drop(black_box(parts.sign(&ask.wanted)))));
    let tended = |times| {
        parts.tend();
        0..times
    };
    count(tended, |times| times.for_each(|_| drop(black_box(parts.append(1)))));
    count(signed, |signed| signed.into_iter().for_each(|signed| drop(black_box(path::answer(signed)))));
    let one_by_one = |times| first(times).map(|ask| vec![ask.clone()]).collect::<Vec<_>>();
    count(one_by_one, |asks| asks.into_iter().for_each(|ask| drop(black_box(stage.sign(caller, ask)))));
    count(|times| http::requests(&stage, times), |requests| http::sign_over_http(&stage, requests));
    let tokens = refusal::tokens(&stage);
    // Each is shown from the same place in memory: where a page ends, the C library goes another way.
    let mut shown = String::with_capacity(refusal::LONGEST);
    for token in std::iter::repeat_n(&tokens, REFUSED).flatten() {
        shown.clear();
        shown.push_str(token);
        count(|times| 0..times, |times| times.for_each(|_| refusal::refuse(&stage, &shown)));
    }
    mark_a_phase(2);
}

/// Reads what was counted, one step after the other.
struct Steps<'a> {
    dir: &'a Path,
    read: usize,
    /// Instructions of one block of SHA-256.
    of_a_block: f64,
}

impl<'a> Steps<'a> {
    /// Takes the first step: it says what a block of SHA-256 is.
    fn begin(dir: &'a Path) -> Steps<'a> {
        let mut steps = Steps { dir, read: 0, of_a_block: 1.0 };
        steps.of_a_block = steps.next().blocks;
        assert!(steps.of_a_block > 1.0, "SHA-256 is not found under the name it had");
        steps
    }

    fn next(&mut self) -> Count {
        // The first part of the file is what came before the first mark; then every other one lies between two steps.
        let [shorter, longer] = [2, 4].map(|part| callgrind::read(self.dir, 4 * self.read + part));
        self.read += 1;
        let one = |shorter: u64, longer: u64| (longer as f64 - shorter as f64) / TIMES as f64;
        Count {
            instructions: one(shorter.others, longer.others),
            blocks: one(shorter.sha256, longer.sha256) / self.of_a_block,
        }
    }
}

fn line(name: &str, count: Count) {
    // What is almost nothing may be less than nothing, and is not to be shown as such.
    let blocks = (count.blocks * 10.0).round() / 10.0 + 0.0;
    println!("{name:<16} {:>12.0} {blocks:>15.1}", count.instructions);
}

/// Prints the table: what a whole signature takes, and the instructions of a refusal for each reason.
fn table(dir: &Path) -> (Count, [f64; refusal::REASONS.len()]) {
    let mut steps = Steps::begin(dir);
    println!("{:<16} {:>12} {:>15}", "step", "instructions", "SHA-256 blocks");
    let mut next = |name| {
        let count = steps.next();
        line(name, count);
        count
    };
    let [guard, token, parse] = ["guard", "token", "parse"].map(&mut next);
    let in_the_vault = ["read", "policy", "open", "sign", "append"].map(&mut next);
    let answer = next("answer");
    let [vault, whole] = [steps.next(), steps.next()];
    line("rest of vault", vault.without(&in_the_vault));
    line("http", whole.without(&[guard, token, parse, vault, answer]));
    line("whole", whole);
    line("bound", MOST);
    println!("\na block of SHA-256 is {:.0} instructions here, which are counted nowhere above", steps.of_a_block);
    let last = callgrind::file_of(dir, 4 * steps.read);
    println!("the functions behind it: callgrind_annotate --inclusive=yes {}", last.display());
    let refusals = refusals(&mut steps);
    println!("\na refused token");
    for (reason, instructions) in refusal::REASONS.iter().zip(refusals) {
        println!("{reason:<40} {instructions:>10.2}");
    }
    (whole, refusals)
}

/// The instructions of a refusal for each reason: the median of several counts, because another thread of the vault may
/// have had something to do during one of them.
fn refusals(steps: &mut Steps<'_>) -> [f64; refusal::REASONS.len()] {
    let counts: Vec<_> = (0..REFUSED).map(|_| refusal::REASONS.map(|_| steps.next().instructions)).collect();
    std::array::from_fn(|reason| {
        let mut counts: Vec<f64> = counts.iter().map(|counts| counts[reason]).collect();
        counts.sort_by(f64::total_cmp);
        counts[REFUSED / 2]
    })
}

/// What is wrong with the counts, in words.
fn judge((whole, refusals): (Count, [f64; refusal::REASONS.len()])) -> Option<&'static str> {
    // Each pair by itself: where a bot stands among the others may show.
    if refusals.chunks(2).any(|pair| pair[0] != pair[1]) {
        return Some("the instructions of a refusal tell why a token is refused: find the branch that depends on it");
    }
    let within = |share: f64| whole.instructions <= share * MOST.instructions && whole.blocks <= share * MOST.blocks;
    let below_half = whole.instructions * 2.0 < MOST.instructions || whole.blocks * 2.0 < MOST.blocks;
    match (within(1.0), below_half) {
        (false, _) => Some("a signature takes more than it may: find out what made it slower"),
        (true, true) => Some("a signature takes less than half of the bound: set MOST to a third above it"),
        (true, false) => None,
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|argument| argument == INSIDE) {
        do_every_step();
        return ExitCode::SUCCESS;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    let wrong = match callgrind::run(INSIDE, "mark_a_phase", &dir) {
        Ok(()) => judge(table(&dir)).map(str::to_owned),
        Err(error) => Some(error),
    };
    match wrong {
        None => ExitCode::SUCCESS,
        Some(words) => {
            eprintln!("instructions: {words}");
            ExitCode::FAILURE
        }
    }
}
