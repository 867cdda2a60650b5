//! Database files that nobody made: mutations of a real one, opened the way every unlock opens one.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const PAGE_BYTES: usize = 4096;

/// Numbers that look random and are the same in every run: SplitMix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.throw() % end.max(1) as u64) as usize
    }
}

/// Changes a file in one way out of ten.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let page = |dice: &mut Dice| dice.below(length.div_ceil(PAGE_BYTES)) * PAGE_BYTES;
    let page_end = |start: usize| (start + PAGE_BYTES).min(length);
    match dice.below(10) {
        0 | 1 => bytes[dice.below(length)] ^= 1 << dice.below(8),
        2 => bytes[dice.below(length)] = [0, 0xff, 0x7f, 0x80][dice.below(4)],
        // The heads of the file and of its pages decide what the rest means.
        3 => bytes[dice.below(length.min(100))] = dice.throw() as u8,
        4 => {
            let at = page(dice) + dice.below(12);
            if at < length {
                bytes[at] = dice.throw() as u8;
            }
        }
        5 => {
            let (one, other) = (page(dice), page(dice));
            let taken = bytes[one..page_end(one)].to_vec();
            let at = other.min(length - taken.len());
            let kept = bytes[at..at + taken.len()].to_vec();
            bytes[at..at + taken.len()].copy_from_slice(&taken);
            let back = one.min(length - kept.len());
            bytes[back..back + kept.len()].copy_from_slice(&kept);
        }
        6 => {
            let start = page(dice);
            bytes[start..page_end(start)].fill_with(|| dice.throw() as u8);
        }
        7 => bytes.truncate(if dice.below(2) == 0 { page(dice) } else { dice.below(length) }),
        8 => {
            let (from, many) = (dice.below(length), 1 + dice.below(600));
            let piece = bytes[from..(from + many).min(length)].to_vec();
            let to = dice.below(length - piece.len() + 1);
            bytes[to..to + piece.len()].copy_from_slice(&piece);
        }
        _ => {
            let (at, many) = (dice.below(length), dice.below(2 * PAGE_BYTES));
            let noise: Vec<u8> = (0..many).map(|_| dice.throw() as u8).collect();
            bytes.splice(at..at, noise);
        }
    }
}

/// What is asked of every file: a refusal that changes nothing, or exactly the content that was written.
struct Target {
    rounds: Rounds,
    shown: String,
    bodies: Vec<String>,
    /// How many of the last rows stand in the log alone, behind the anchor.
    loose: usize,
    opened: u32,
}

impl Target {
    fn over(rounds: Rounds, loose: usize) -> Target {
        rounds.bed.unlock().unwrap();
        let (shown, mut bodies) = (rounds.bed.shown(), bodies(&rounds.bed));
        bodies.pop();
        rounds.bed.lock();
        rounds.put_back();
        Target { rounds, shown, bodies, loose, opened: 0 }
    }

    fn round(&mut self, seed: u64) {
        let mut dice = Dice(seed);
        let names: Vec<&PathBuf> = self.rounds.sound.keys().filter(|path| is_sqlite(path)).collect();
        let path = names[dice.below(names.len())];
        let mut bytes = self.rounds.sound[path].clone();
        for _ in 0..=dice.below(4) {
            mutate(&mut bytes, &mut dice);
        }
        std::fs::write(path, &bytes).unwrap();
        let (began, before) = (Instant::now(), files(&self.rounds.bed));
        match self.rounds.bed.unlock() {
            Ok(_) => {
                self.says_what_was_written();
                self.rounds.bed.lock();
                self.opened += 1;
            }
            Err(error) => self.rounds.nothing_changed_since(&before, &error, "a mutated file"),
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
        self.rounds.put_back();
    }

    fn says_what_was_written(&self) {
        assert_eq!(self.rounds.bed.shown(), self.shown);
        let found = bodies(&self.rounds.bed);
        let (own, found) = found.split_last().unwrap();
        assert!(own.contains(r#""event":"unlock""#), "{own}");
        assert!(self.bodies.starts_with(found) && found.len() + self.loose >= self.bodies.len(), "rows are missing");
        self.rounds.bed.vault.audit_verify().unwrap();
    }

    fn run(&mut self, seeds: std::ops::Range<u64>) {
        for seed in seeds {
            let round = catch_unwind(AssertUnwindSafe(|| self.round(seed)));
            assert!(round.is_ok(), "that was the file of seed {seed}");
        }
    }
}

fn is_sqlite(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vault.db"))
}

fn bodies(bed: &Bed) -> Vec<String> {
    bed.rows().into_iter().map(|row| row.body).collect()
}

/// A database that was closed properly.
fn closed() -> Target {
    Target::over(Rounds::furnished(), 0)
}

/// A database and its log, as a crash leaves them.
fn crashed() -> Target {
    let (bed, bob, _) = Bed::in_memory().furnish();
    let bed = bed.reopened();
    // What is shown tells of the last signature; those that may be lost tell nothing else.
    bed.sign(&bob, "main").unwrap();
    bed.vault.set_mode(Mode::CancelOnly, None).unwrap();
    for _ in 0..3 {
        bed.sign(&bob, "main").unwrap();
    }
    Target::over(Rounds::over(bed.crash_image(), bob), 3)
}

#[test]
fn t25_a_mutated_database_is_refused_or_means_the_same() {
    let mut target = closed();
    target.run(0..1500);
    assert!((10..700).contains(&target.opened), "{} of 1500 opened", target.opened);
}

#[test]
fn t25_a_mutated_database_with_a_log_is_refused_or_means_the_same() {
    let mut target = crashed();
    target.run(1_000_000..1_001_500);
    assert!((10..1000).contains(&target.opened), "{} of 1500 opened", target.opened);
}

/// As many files as one has time for, and no more memory for the last than for the first: `make fuzz-database`.
#[test]
#[ignore = "it takes as long as it is given"]
#[allow(clippy::print_stderr, reason = "how many there were, and what they cost, is what it is run for")]
fn t25_many_mutated_databases() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("FUZZ_SEED", 10_000_000), number("FUZZ_ROUNDS", 100_000));
    let (mut one, mut other) = (closed(), crashed());
    one.run(first..first + 1000);
    let before = peak_memory_kib();
    one.run(first + 1000..first + count / 2);
    other.run(first + count / 2..first + count);
    let grown = peak_memory_kib() - before;
    eprintln!("{count} files: {} and {} opened; {grown} KiB more memory", one.opened, other.opened);
    assert!(grown < 32 * 1024, "{grown} KiB more");
}

fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
