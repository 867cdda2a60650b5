//! The form of a policy file: which keys there are, and each value with its place in the text. What the values mean is
//! [`crate::policy::parse`]'s.
//!
//! Everything is taken from the TOML parser's own tables, not through serde: so every refusal has a place, a number keeps
//! the digits it was written with, and no error repeats what stands in the file.

use crate::types::decimal::Decimal;
use crate::types::duration::parse_seconds;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest policy text, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Every key that a policy may have, by its path: sections have their keys below them.
pub const KEYS: [&str; 27] = [
    "grants",
    "endpoints",
    "enforcement",
    "session_unchecked",
    "order",
    "order.instruments",
    "order.sides",
    "order.types",
    "order.max_size",
    "order.max_notional",
    "order.reduce_only",
    "order.contract_value",
    "order.contract_value.value",
    "order.contract_value.kind",
    "order.max_price_deviation",
    "order.reference_price",
    "order.reference_price_max_age",
    "limits",
    "limits.requests_per_second",
    "limits.orders_per_minute",
    "limits.orders_per_hour",
    "limits.orders_per_day",
    "limits.notional_per_hour",
    "limits.notional_per_day",
    "transfer",
    "transfer.addresses",
    "transfer.max_amount",
];

/// The tables of the file.
const SECTIONS: [&str; 3] = ["order", "limits", "transfer"];

/// The longest key that an error repeats. A longer one is no misspelt key of ours.
const LONGEST_REPEATED: usize = 24;

/// Why a policy's text was refused. Nothing is stored then. No text repeats a value of the file.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PolicyError {
    /// Not TOML, a value that means nothing, or one that contradicts another.
    #[error("line {line}, column {column}: {problem}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A key that there is not. A rule that nobody would enforce must not look like one.
    #[error("line {line}, column {column}: unknown key{}; {help}", .key.as_ref().map(|key| format!(" `{key}`")).unwrap_or_default())]
    UnknownKey {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The key, where it is short and plain enough to be a misspelt one.
        key: Option<String>,
        /// The keys that there are, or where this one belongs.
        help: String,
    },
    /// Longer than [`MAX_BYTES`].
    #[error("the policy is longer than {MAX_BYTES} bytes")]
    TooLong,
}

/// A file with known keys only, its sections in their places.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    table: DeTable<'a>,
}

/// The value of a key.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    text: &'a str,
    path: &'static str,
    key_at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

/// A text of the file, with its place.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    text: &'a str,
    path: &'static str,
    at: usize,
    /// What it says.
    pub says: &'a str,
}

impl<'a> Document<'a> {
    /// Reads a file's form.
    ///
    /// # Errors
    /// A text that is too long or no TOML, a key that there is not, a section that is no table.
    pub fn read(text: &'a str) -> Result<Document<'a>, PolicyError> {
        if text.len() > MAX_BYTES {
            return Err(PolicyError::TooLong);
        }
        let table = DeTable::parse(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            PolicyError::at(text, at, error.message())
        })?;
        let document = Document { text, table: table.into_inner() };
        refuse_unknown(text, "", &document.table)?;
        for path in SECTIONS {
            if let Some(section) = document.find(path) {
                section
                    .table(&format!("it is a section: [{path}] once, on a line of its own, and its keys below it"))?;
            }
        }
        Ok(document)
    }

    /// The value at a path of [`KEYS`], when the file has it.
    pub fn find(&'a self, path: &'static str) -> Option<Item<'a>> {
        match path.split_once('.') {
            None => Item::member(self.text, &self.table, path),
            Some((section, _)) => {
                let section = self.table.get(section)?.get_ref().as_table()?;
                Item::member(self.text, section, path)
            }
        }
    }
}

impl<'a> Item<'a> {
    fn member(text: &'a str, table: &'a DeTable<'a>, path: &'static str) -> Option<Item<'a>> {
        let (key, value) = table.get_key_value(last(path))?;
        Some(Item { text, path, key_at: key.span().start, value })
    }

    /// Refuses what the value says.
    pub fn refuse(&self, problem: &str) -> PolicyError {
        PolicyError::at(self.text, self.value.span().start, &format!("`{}`: {problem}", self.path))
    }

    /// Refuses that the key is there at all.
    pub fn refuse_key(&self, problem: &str) -> PolicyError {
        PolicyError::at(self.text, self.key_at, &format!("`{}`: {problem}", self.path))
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Result<bool, PolicyError> {
        self.value.get_ref().as_bool().ok_or_else(|| self.refuse("it is true or false"))
    }

    /// A text.
    pub fn word(&self, meaning: &str) -> Result<Word<'a>, PolicyError> {
        let at = self.value.span().start;
        match self.value.get_ref() {
            DeValue::String(says) => Ok(Word { text: self.text, path: self.path, at, says }),
            _ => Err(self.refuse(meaning)),
        }
    }

    /// A list of texts, each of them once.
    pub fn words(&self, meaning: &str) -> Result<Vec<Word<'a>>, PolicyError> {
        let list = self.value.get_ref().as_array().ok_or_else(|| self.refuse(meaning))?;
        let mut seen = BTreeSet::new();
        let read = |value: &'a Spanned<DeValue<'a>>| {
            let word = Item { value, ..*self }.word(meaning)?;
            if seen.insert(word.says) { Ok(word) } else { Err(word.refuse("this stands in the list twice")) }
        };
        list.iter().map(read).collect()
    }

    /// A whole number within bounds, as a number or as text.
    pub fn whole(&self, bounds: RangeInclusive<u64>) -> Result<u64, PolicyError> {
        let number = self.digits().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.and_then(|digits| digits.parse().ok()).filter(|number| bounds.contains(number));
        number.ok_or_else(|| {
            self.refuse(&format!("it is a whole number from {} to {}, without a unit", bounds.start(), bounds.end()))
        })
    }

    /// An exact number above zero: text, or a whole number.
    pub fn decimal(&self) -> Result<Decimal, PolicyError> {
        if self.value.get_ref().is_float() {
            return Err(self.refuse("a number with a point is written as text, so that it stays exact: \"0.5\""));
        }
        let number = self.digits().and_then(|digits| Decimal::parse(digits).ok());
        number.filter(|number| !number.is_zero()).ok_or_else(|| {
            self.refuse("it is a plain number above zero, at most 18 digits and 18 places, as text: \"0.5\"")
        })
    }

    /// `"5%"` as `0.05`: over nothing and under all of it.
    pub fn percent(&self) -> Result<Decimal, PolicyError> {
        let meaning = "it is a percentage over 0% and under 100%, as text: \"5%\"";
        let percent = self.word(meaning)?.says.strip_suffix('%').and_then(|number| Decimal::parse(number).ok());
        let percent = percent.filter(|percent| !percent.is_zero() && *percent < Decimal::from(100));
        let hundredth = Decimal::parse("0.01").expect("a plain number");
        percent.map(|percent| percent.times(&hundredth)).ok_or_else(|| self.refuse(meaning))
    }

    /// A duration in seconds.
    pub fn seconds(&self) -> Result<u64, PolicyError> {
        let meaning = "it is a duration, a whole number with a unit: \"90s\", \"10m\", \"24h\", \"7d\"";
        parse_seconds(self.word(meaning)?.says).map_err(|_| self.refuse(meaning))
    }

    /// The entries of a table whose keys are names, in the order of the file.
    pub fn entries(&self, meaning: &str) -> Result<Vec<(Word<'a>, Item<'a>)>, PolicyError> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.refuse(meaning))?;
        let mut keys: Vec<_> = table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            let at = key.span().start;
            let name = Word { text: self.text, path: self.path, at, says: key.get_ref() };
            (name, Item { key_at: at, value, ..*self })
        };
        Ok(keys.into_iter().map(entry).collect())
    }

    /// The value at a path below this one's, which must be there. `meaning` says what it is, with an example.
    pub fn need(&self, path: &'static str, meaning: &str) -> Result<Item<'a>, PolicyError> {
        Item::member(self.text, self.table(meaning)?, path)
            .ok_or_else(|| PolicyError::at(self.text, self.key_at, &format!("`{path}` is missing here; {meaning}")))
    }

    fn table(&self, meaning: &str) -> Result<&'a DeTable<'a>, PolicyError> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.refuse(meaning))?;
        refuse_unknown(self.text, self.path, table)?;
        Ok(table)
    }

    fn digits(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
            _ => None,
        }
    }
}

impl Word<'_> {
    /// Refuses what it says.
    pub fn refuse(&self, problem: &str) -> PolicyError {
        PolicyError::at(self.text, self.at, &format!("`{}`: {problem}", self.path))
    }
}

impl PolicyError {
    /// A problem at a byte of the text.
    pub fn at(text: &str, at: usize, problem: &str) -> PolicyError {
        let (line, column) = position(text, at);
        PolicyError::Malformed { line, column, problem: problem.to_owned() }
    }

    /// A key of a section that does not have it.
    pub fn unknown_key(text: &str, at: usize, key: Option<&str>, section: &str) -> PolicyError {
        let (line, column) = position(text, at);
        PolicyError::UnknownKey { line, column, key: key.map(str::to_owned), help: whereabouts(key, section) }
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    // A byte order mark is no character of the first line: no editor counts it.
    let before = text.get(..at).unwrap_or(text).trim_start_matches('\u{feff}');
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The first key of a table that the section of this path does not have.
fn refuse_unknown(text: &str, section: &str, table: &DeTable<'_>) -> Result<(), PolicyError> {
    let known = |key: &str| KEYS.iter().any(|path| parent(path) == section && last(path) == key);
    let unknown = table.keys().filter(|key| !known(key.get_ref())).min_by_key(|key| key.span().start);
    unknown.map_or(Ok(()), |key| Err(PolicyError::unknown_key(text, key.span().start, shown(key.get_ref()), section)))
}

/// An unknown key as an error may repeat it.
fn shown(key: &str) -> Option<&str> {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    (plain && (1..=LONGEST_REPEATED).contains(&key.len())).then_some(key)
}

/// The keys of a section, or where a key that is not among them belongs.
fn whereabouts(key: Option<&str>, section: &str) -> String {
    let elsewhere = KEYS.iter().find(|path| parent(path) != section && key == Some(last(path)));
    match elsewhere.map(|path| parent(path)) {
        Some("") => "it stands at the head of the file, before any [section]".to_owned(),
        Some(other) => format!("it stands under [{other}]"),
        None => {
            let keys: Vec<&str> = KEYS.iter().filter(|path| parent(path) == section).map(|path| last(path)).collect();
            format!("there are {}", keys.join(", "))
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}
