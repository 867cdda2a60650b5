//! `credential import`: takes a key out of another program's file, and says which lines to delete there.
//!
//! What is read are a `.env` file and a freqtrade `config.json`. Errors name lines and variables, never what they hold.

use crate::cli::context::Context;
use crate::cli::credential::notes::{Notes, send};
use crate::cli::file::read_secret;
use crate::cli::report::Failure;
use crate::secret::SecretText;
use crate::wire::{CredentialChanged, CredentialSecrets};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

pub mod dotenv;
pub mod relaxed_json;

/// The longest file that is imported from, in bytes.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// `credential import`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to read
    #[arg(long, value_name = "PATH")]
    pub from_file: PathBuf,
    /// The name that bots will use
    #[arg(long)]
    pub name: String,
    /// The exchange
    #[arg(long)]
    pub exchange: String,
    /// How the file is written [default: freqtrade for a name that ends in .json, otherwise env]
    #[arg(long)]
    pub format: Option<Format>,
    /// The variable with the API key
    #[arg(long, value_name = "NAME")]
    pub key_var: Option<String>,
    /// The variable with the secret key
    #[arg(long, value_name = "NAME")]
    pub secret_var: Option<String>,
    /// The variable with the passphrase
    #[arg(long, value_name = "NAME")]
    pub passphrase_var: Option<String>,
    /// What is noted about it.
    #[command(flatten)]
    pub notes: Notes,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// NAME=value lines
    Env,
    /// A freqtrade config.json
    Freqtrade,
}

/// Why nothing can be taken out of a file. Holds names and line numbers only.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is not UTF-8.
    #[error("the file is not text")]
    NotText,
    /// A line of a `.env` file is not understood.
    #[error("line {0} is not understood")]
    Line(usize),
    /// The variable is not there.
    #[error("there is no variable {0}")]
    Missing(String),
    /// The variable is there twice, and programs differ in which counts.
    #[error("the variable {name} is set twice, on lines {first} and {second}")]
    Twice {
        /// The variable.
        name: String,
        /// Where it is set first.
        first: usize,
        /// Where it is set again.
        second: usize,
    },
    /// The JSON is not understood.
    #[error("line {0} is not understood as a freqtrade configuration")]
    Json(usize),
    /// The file is for another exchange than `--exchange` says.
    #[error("exchange.name in the file is another exchange")]
    OtherExchange,
    /// A value is there and empty.
    #[error("{0} is empty")]
    Empty(String),
}

/// A value in a file.
pub struct Found {
    /// What it is called there.
    pub name: String,
    /// The line it starts on, from 1, where that is known.
    pub line: Option<usize>,
    /// The value.
    pub value: SecretText,
}

/// The three secrets in a file.
pub struct Key {
    /// The API key.
    pub api_key: Found,
    /// The secret key.
    pub secret: Found,
    /// The passphrase.
    pub passphrase: Found,
}

/// Adds the credential and says what to delete.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let path = context.env.absolute(&args.from_file);
    let file = read_secret(&path, MAX_FILE_BYTES)?;
    let Key { api_key, secret, passphrase } = match args.variables()? {
        // EXPOSE: the file is searched for the three values that were asked for.
        Some(names) => text(file.expose()).and_then(|text| from_env(text, names)),
        None => from_freqtrade(file.expose(), &args.exchange),
    }
    .map_err(|error| Failure::failed(error.to_string(), "correct the file, or use: signvault credential add"))?;
    let to_delete =
        [&api_key, &secret, &passphrase].map(|found| ToDelete { line: found.line, name: found.name.clone() });
    let secrets = CredentialSecrets { api_key: api_key.value, secret: secret.value, passphrase: passphrase.value };
    let changed = send(args.name, args.exchange, secrets, args.notes, context)?;
    context.report.warnings(&changed.warnings);
    context.report.data(&Imported { changed, to_delete }, |imported| imported.advice(&path))
}

/// What came of an import.
#[derive(Serialize)]
struct Imported {
    /// The new credential.
    #[serde(flatten)]
    changed: CredentialChanged,
    /// What still stands in the file.
    to_delete: [ToDelete; 3],
}

/// A line that should no longer be in the file.
#[derive(Serialize)]
struct ToDelete {
    /// Where it is, from 1, where that is known.
    line: Option<usize>,
    /// What it is called.
    name: String,
}

impl Imported {
    fn advice(&self, path: &Path) -> String {
        let place = |found: &ToDelete| match found.line {
            Some(line) => format!("line {line} ({})", found.name),
            None => found.name.clone(),
        };
        let places: Vec<String> = self.to_delete.iter().map(place).collect();
        format!("now delete from {}: {}\n", path.display(), places.join(", "))
    }
}

impl Args {
    /// The variables to read; none for a freqtrade file.
    fn variables(&self) -> Result<Option<[&str; 3]>, Failure> {
        let named = [&self.key_var, &self.secret_var, &self.passphrase_var].map(|name| name.as_deref());
        let any = named.iter().any(Option::is_some);
        let by_name = if self.from_file.extension().is_some_and(|end| end == "json") && !any {
            Format::Freqtrade
        } else {
            Format::Env
        };
        match (self.format.unwrap_or(by_name), named) {
            (Format::Env, [Some(key), Some(secret), Some(passphrase)]) => Ok(Some([key, secret, passphrase])),
            (Format::Env, _) => Err(Failure::usage(
                "which variable is which is not known",
                "name all three: --key-var, --secret-var, --passphrase-var",
            )),
            (Format::Freqtrade, _) if any => {
                Err(Failure::usage("a freqtrade file has no variables", "leave --key-var and the like out"))
            }
            (Format::Freqtrade, _) => Ok(None),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, ImportError> {
    std::str::from_utf8(bytes).map_err(|_| ImportError::NotText)
}

/// Takes three variables out of a `.env` file.
pub fn from_env(text: &str, [key, secret, passphrase]: [&str; 3]) -> Result<Key, ImportError> {
    let file = dotenv::parse(text)?;
    Ok(Key {
        api_key: variable(&file, key)?,
        secret: variable(&file, secret)?,
        passphrase: variable(&file, passphrase)?,
    })
}

fn variable(file: &[dotenv::Assignment<'_>], name: &str) -> Result<Found, ImportError> {
    let mut assignments = file.iter().filter(|assignment| assignment.name == name);
    let found = assignments.next().ok_or_else(|| ImportError::Missing(name.to_owned()))?;
    if let Some(again) = assignments.next() {
        return Err(ImportError::Twice { name: name.to_owned(), first: found.line, second: again.line });
    }
    not_empty(Found { name: name.to_owned(), line: Some(found.line), value: found.value() })
}

fn not_empty(found: Found) -> Result<Found, ImportError> {
    if found.value.is_empty() { Err(ImportError::Empty(found.name)) } else { Ok(found) }
}

/// The part of a freqtrade configuration that concerns the exchange.
#[derive(Deserialize)]
struct Freqtrade<'a> {
    /// The exchange and its key.
    #[serde(borrow)]
    exchange: FreqtradeExchange<'a>,
}

/// Borrowed, so that where a value stands in the file can be told from where it stands in memory.
#[derive(Deserialize)]
struct FreqtradeExchange<'a> {
    /// The exchange.
    #[serde(default, borrow)]
    name: Option<Cow<'a, str>>,
    /// The API key.
    #[serde(borrow)]
    key: Cow<'a, str>,
    /// The secret key.
    #[serde(borrow)]
    secret: Cow<'a, str>,
    /// The passphrase.
    #[serde(borrow)]
    password: Cow<'a, str>,
}

/// Takes the key out of a freqtrade `config.json`, comments and trailing commas allowed.
pub fn from_freqtrade(bytes: &[u8], exchange: &str) -> Result<Key, ImportError> {
    let plain = relaxed_json::without_extras(bytes);
    let config: Freqtrade<'_> =
        serde_json::from_slice(&plain).map_err(|error| ImportError::Json(error.line().max(1)))?;
    let FreqtradeExchange { name, key, secret, password } = config.exchange;
    if name.is_some_and(|name| !name.eq_ignore_ascii_case(exchange)) {
        return Err(ImportError::OtherExchange);
    }
    let found = |name: &str, value: Cow<'_, str>| {
        let line = match value {
            Cow::Borrowed(value) => line_of(&plain, value),
            Cow::Owned(_) => None,
        };
        not_empty(Found { name: name.to_owned(), line, value: SecretText::new(value.into_owned()) })
    };
    Ok(Key {
        api_key: found("exchange.key", key)?,
        secret: found("exchange.secret", secret)?,
        passphrase: found("exchange.password", password)?,
    })
}

/// The line on which a value stands that was borrowed from this text.
fn line_of(text: &[u8], value: &str) -> Option<usize> {
    let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let before = text.get(..start)?;
    Some(before.iter().filter(|byte| **byte == b'\n').count() + 1)
}

#[cfg(test)]
mod tests;
