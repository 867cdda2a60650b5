//! What was typed after `cargo test --test faults --`.

use crate::run::Program;

/// How to use it.
pub const USAGE: &str = "\
usage: cargo test --test faults -- [PART OF A NAME]... [--short | --full] [--rounds N] [--seed N] [--list]

Runs the programs whose names contain one of the parts, or all: --short (the default) takes minutes for all together,
--full an hour or more. Without any argument it is a few seconds of one program.";

/// What `cargo test` passes on to every test binary; it means nothing here.
const FOR_OTHERS: [&str; 7] =
    ["--nocapture", "--no-capture", "--show-output", "--ignored", "--include-ignored", "--exact", "--quiet"];

/// The same, with a value.
const FOR_OTHERS_WITH_A_VALUE: [&str; 2] = ["--test-threads", "--skip"];

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Parts of names.
    pub names: Vec<String>,
    /// How long.
    pub length: Option<Length>,
    /// Another number of rounds.
    pub rounds: Option<usize>,
    /// Another seed than today's.
    pub seed: Option<u64>,
    /// Only list.
    pub list: bool,
}

/// How long each program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// What a check on every change can wait for.
    Short,
    /// Everything.
    Full,
}

impl Arguments {
    /// Reads them.
    ///
    /// # Errors
    /// The argument that was not understood.
    pub fn parse(given: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        let mut given = given.into_iter();
        while let Some(word) = given.next() {
            match word.as_str() {
                "--list" => arguments.list = true,
                "--short" => arguments.length = Some(Length::Short),
                "--full" => arguments.length = Some(Length::Full),
                "--rounds" => arguments.rounds = Some(number(&word, given.next())?),
                "--seed" => arguments.seed = Some(number(&word, given.next())?),
                other if FOR_OTHERS.contains(&other) => (),
                other if FOR_OTHERS_WITH_A_VALUE.contains(&other) => drop(given.next()),
                other if other.starts_with('-') => return Err(other.to_owned()),
                _ => arguments.names.push(word),
            }
        }
        Ok(arguments)
    }

    /// Whether a program is meant.
    pub fn mean(&self, program: &Program) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| program.name.contains(part.as_str()))
    }

    /// Whether these are words of this binary's own, not such as `cargo test NAME` says to all.
    pub fn are_for_us_alone(&self) -> bool {
        self.length.is_some() || self.rounds.is_some() || self.seed.is_some()
    }
}

fn number<T: std::str::FromStr>(word: &str, given: Option<String>) -> Result<T, String> {
    given.and_then(|number| number.parse().ok()).ok_or_else(|| format!("{word} needs a number"))
}
