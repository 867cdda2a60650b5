//! What `doctor` finds: the daemon's part of it, to which the command adds its own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be checked.
    Skip,
    /// It works, and should be seen to.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

impl Level {
    /// The word in front of a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Skip => "skip",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// What one check found. Never a secret, a token or an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The stable name of the check, `group.what`.
    pub check: String,
    /// How grave it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do; empty when there is nothing to do.
    pub help: String,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &str, what: impl Into<String>) -> Finding {
        Finding::new(check, Level::Ok, what, "")
    }

    /// It could not be checked.
    pub fn skip(check: &str, what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(check, Level::Skip, what, help)
    }

    /// It should be seen to.
    pub fn warn(check: &str, what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(check, Level::Warn, what, help)
    }

    /// It does not work, or is not safe.
    pub fn fail(check: &str, what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding::new(check, Level::Fail, what, help)
    }

    /// A finding of any level.
    pub fn new(check: &str, level: Level, what: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { check: check.to_owned(), level, what: what.into(), help: help.into() }
    }
}

/// The answer of `GET /v1/doctor`: what only the daemon knows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// One or more for each check.
    pub findings: Vec<Finding>,
    /// How many rows of the ledger were looked at, the newest first.
    pub rows: u64,
    /// The oldest of them: RFC 3339, UTC. Null when none was.
    pub since: Option<String>,
}
