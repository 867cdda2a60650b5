//! One run of a program: how many rounds, from which seed, and what went wrong.

use crate::random::Random;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// A program of this binary.
pub struct Program {
    /// Its function's name.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Rounds of a short run.
    pub short: usize,
    /// Rounds of a full run.
    pub full: usize,
    /// What it does.
    pub run: fn(&mut Run),
}

/// A program that is running.
pub struct Run {
    /// How many rounds it may make; what a round is, each program says.
    pub rounds: usize,
    /// Whether this is the short run: programs whose length is not a number of rounds wait less.
    pub is_short: bool,
    /// Its random numbers.
    pub random: Random,
    done: usize,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Run {
    /// A run from its first round.
    pub fn new(rounds: usize, is_short: bool, seed: u64) -> Run {
        let random = Random::new(seed);
        Run { rounds, is_short, random, done: 0, notes: Vec::new(), failures: Vec::new() }
    }

    /// One round: what is wrong after it, if anything, is what it returns or how it panics.
    pub fn round(&mut self, name: impl AsRef<str>, round: impl FnOnce(&mut Random) -> Vec<String>) {
        let random = &mut self.random;
        let wrong = catch_unwind(AssertUnwindSafe(|| round(random))).unwrap_or_else(|panic| vec![told(panic)]);
        self.done += 1;
        for wrong in wrong {
            self.fail(format!("{}: {wrong}", name.as_ref()));
        }
    }

    /// Something is wrong.
    pub fn fail(&mut self, what: String) {
        println!("  FAILED {what}");
        self.failures.push(what);
    }

    /// Something that must hold for the whole run.
    pub fn require(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.fail(otherwise.to_owned());
        }
    }

    /// A figure or a remark for the last line.
    pub fn note(&mut self, words: String) {
        self.notes.push(words);
    }

    /// Rounds that are over.
    pub fn done(&self) -> usize {
        self.done
    }
}

impl Program {
    /// Runs it, says how it went, and whether nothing failed.
    pub fn passes(&self, mut run: Run, seed: u64) -> bool {
        println!("{} (seed {seed})", self.name);
        let began = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.run)(&mut run))) {
            run.fail(told(panic));
        }
        let (done, failed) = (run.done, run.failures.len());
        println!("  {done} rounds, {failed} failures, {:.1} s", began.elapsed().as_secs_f64());
        for note in &run.notes {
            println!("  {note}");
        }
        failed == 0
    }
}

fn told(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or("a panic".to_owned())
}
