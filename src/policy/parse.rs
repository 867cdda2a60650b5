//! From the text of a policy file to a [`Policy`], or to an error that names line and column.

use crate::policy::Policy;
use crate::types::ask::Method;
use crate::types::endpoint::Grant;
use serde::Deserialize;
use std::collections::BTreeSet;
use thiserror::Error;
use toml::Spanned;

/// The longest policy text, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why a policy's text was refused. Nothing is stored then.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PolicyError {
    /// Not TOML, or a value of the wrong kind.
    #[error("line {line}, column {column}: {problem}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A key that this version does not enforce.
    #[error(
        "line {line}, column {column}: `{key}` is not enforced by this version, so a policy that uses it is refused"
    )]
    NotEnforced {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The key.
        key: String,
    },
    /// Longer than [`MAX_BYTES`].
    #[error("the policy is longer than {MAX_BYTES} bytes")]
    TooLong,
}

#[derive(Deserialize)]
struct File {
    grants: Option<Vec<Spanned<String>>>,
    endpoints: Option<Vec<Spanned<String>>>,
}

/// Reads a policy file. `grants` is `["read"]` when it is missing; every other key narrows.
///
/// # Errors
/// [`PolicyError`], with the place in the text. A key that is unknown, or known to later versions only, is an error.
pub fn parse(text: &str) -> Result<Policy, PolicyError> {
    if text.len() > MAX_BYTES {
        return Err(PolicyError::TooLong);
    }
    let file: File = read(text)?;
    refuse_other_keys(text)?;
    let grants = match file.grants {
        None => Policy::read_only().grants,
        Some(names) => names.iter().map(|name| grant(text, name)).collect::<Result<_, _>>()?,
    };
    let endpoints = match file.endpoints {
        None => None,
        Some(lines) => Some(lines.iter().map(|line| endpoint(text, line)).collect::<Result<BTreeSet<_>, _>>()?),
    };
    Ok(Policy { grants, endpoints })
}

fn read(text: &str) -> Result<File, PolicyError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        malformed(text, at, error.message())
    })
}

/// A separate pass over the top-level keys, so that the error has the key's own place.
fn refuse_other_keys(text: &str) -> Result<(), PolicyError> {
    let table = toml::de::DeTable::parse(text).map_err(|error| malformed(text, 0, error.message()))?;
    let other = table.get_ref().keys().find(|key| !matches!(key.get_ref().as_ref(), "grants" | "endpoints"));
    other.map_or(Ok(()), |key| {
        let (line, column) = position(text, key.span().start);
        Err(PolicyError::NotEnforced { line, column, key: key.get_ref().to_string() })
    })
}

fn grant(text: &str, name: &Spanned<String>) -> Result<Grant, PolicyError> {
    let found = Grant::ALL.into_iter().find(|grant| grant.as_str() == name.get_ref());
    found.ok_or_else(|| {
        let known = Grant::ALL.map(Grant::as_str).join(", ");
        malformed(text, name.span().start, &format!("no such grant; there are {known}"))
    })
}

/// `METHOD /path`, spelled as recipes list endpoints. Only the form is checked here: what the recipe does not list can
/// never be asked for.
fn endpoint(text: &str, line: &Spanned<String>) -> Result<String, PolicyError> {
    let well_formed = line.get_ref().split_once(' ').is_some_and(|(method, path)| {
        Method::parse(method).is_some()
            && path.starts_with('/')
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-'))
    });
    match well_formed {
        true => Ok(line.get_ref().clone()),
        false => Err(malformed(
            text,
            line.span().start,
            "an endpoint is written as \"POST /api/v5/trade/order\": method, one space, exact path; no wildcards",
        )),
    }
}

fn malformed(text: &str, at: usize, problem: &str) -> PolicyError {
    let (line, column) = position(text, at);
    PolicyError::Malformed { line, column, problem: problem.to_owned() }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_reading_only() {
        assert_eq!(parse("").unwrap(), Policy::read_only());
    }

    #[test]
    fn grants_and_endpoints_are_read() {
        let policy = parse("grants = [\"read\", \"trade\"]\nendpoints = [\"POST /api/v5/trade/order\"]\n").unwrap();
        assert_eq!(policy.grants, BTreeSet::from([Grant::Read, Grant::Trade]));
        assert_eq!(policy.endpoints.unwrap().len(), 1);
    }

    #[test]
    fn errors_name_line_and_column() {
        let cases = [
            ("grants = [\"read\",\n  \"wihdraw\"]", "line 2, column 3: no such grant"),
            ("grants = 3", "line 1, column 10: "),
            ("grants = [", "line 1, column "),
            ("endpoints = [\"POST /api/*\"]", "line 1, column 14: an endpoint is written"),
            ("endpoints = [\"post /api\"]", "line 1, column 14: an endpoint is written"),
            ("\n[order]\nsides = [\"buy\"]", "line 2, column 2: `order` is not enforced by this version"),
            ("grants = [\"read\"]\n[limits]\n", "line 2, column 2: `limits` is not enforced"),
            ("grant = [\"read\"]", "line 1, column 1: `grant` is not enforced"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(parse("grants = []").unwrap().grants.is_empty());
        assert_eq!(parse("endpoints = []").unwrap().endpoints, Some(BTreeSet::new()));
    }
}
