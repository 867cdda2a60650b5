//! What a configuration file may say, key by key. Every doc line states the default; what the keys mean together is
//! worked out in the parent module.

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A whole configuration file. Every key is optional and an unknown one is refused.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The loopback address for bots. Default `127.0.0.1:8731`; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Host names that the TCP port accepts besides its own. Default none.
    pub allowed_hosts: Option<Vec<String>>,
    /// The directory of the vault. Default `/var/lib/signvault` for root, otherwise `$XDG_STATE_HOME/signvault`.
    pub state_dir: Option<PathBuf>,
    /// The directory of the rollback anchor. Default the state directory's path with `-anchor` added.
    pub anchor_dir: Option<PathBuf>,
    /// The directory of both sockets. Default `/run/signvault` for root, otherwise `$XDG_RUNTIME_DIR/signvault`.
    pub run_dir: Option<PathBuf>,
    /// Whether the daemon refuses to start where something of its own hardening is missing. Default false.
    pub require_hardening: Option<bool>,
    /// Who may administer. Default root and the daemon's own user.
    #[serde(default)]
    pub admin: Admin,
    /// How the ledger is kept. Default as `full` says.
    #[serde(default)]
    pub audit: Audit,
    /// Bounds of the bots' interface. Defaults with each key.
    #[serde(default)]
    pub http: Http,
    /// What the daemon logs. Defaults with each key.
    #[serde(default)]
    pub log: Log,
}

/// `[admin]`: who may administer.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// User ids that may use the admin socket besides root and the daemon's own. Default none.
    pub uids: Option<Vec<u32>>,
}

/// `[audit]`: how the ledger is kept.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// What an acknowledged row survives. Default `full`.
    pub durability: Option<Durability>,
    /// How long anyone waits for the disk, in milliseconds: 100 to 60 000. Default 2000.
    pub max_wait_ms: Option<u32>,
    /// With less free space than this, in MiB, everyone may only read and cancel: up to 1 048 576; 0 switches that off.
    /// Default 256.
    pub low_space_mib: Option<u64>,
    /// The ledger's head is logged at least every so many rows: 1 to 1 000 000 000. Default 10 000.
    pub log_head_rows: Option<u64>,
    /// The ledger's head is logged at least every so many minutes, if there were rows: 1 to 10 080. Default 10.
    pub log_head_minutes: Option<u64>,
}

/// What an acknowledged ledger row survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Power loss: each commit waits for the disk.
    #[default]
    Full,
    /// The death of the process, not of the machine.
    Process,
}

/// `[http]`: bounds of the bots' interface.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Connections open at once, all bots together: 1 to 32 768. Default 256.
    pub max_connections: Option<u32>,
}

/// `[log]`: what the daemon writes to standard error.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least severe level that is written. Default `info`.
    pub level: Option<LogLevel>,
    /// How a line is written. Default `text`.
    pub format: Option<LogFormat>,
}

/// How severe a log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something changed.
    #[default]
    Info,
    /// How something came about.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The word as it stands in a configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why a file is not a configuration. Says where, and repeats none of its values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct NotAFile {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl File {
    /// Reads a configuration file's text.
    pub fn parse(text: &str) -> Result<File, NotAFile> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
            NotAFile { line, what: without_values(error.message()) }
        })
    }
}

/// What the parser says, less the values that it repeats: a password may have strayed into the file.
fn without_values(message: &str) -> String {
    let names_a_key =
        ["unknown field", "duplicate key", "unknown variant"].iter().any(|said| message.starts_with(said));
    match message.split_once("expected ") {
        _ if names_a_key => message.to_owned(),
        Some((_, expected)) => format!("expected {expected}"),
        None => "not understood".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_comes_along_parses() {
        assert_eq!(File::parse(include_str!("../../config/signvault.toml")), Ok(File::default()));
    }

    #[test]
    fn the_file_that_comes_along_parses_with_every_line_uncommented() {
        let shipped = include_str!("../../config/signvault.toml");
        let switched_on =
            shipped.lines().map(|line| line.strip_prefix("#").filter(|rest| !rest.starts_with(' ')).unwrap_or(line));
        let file = File::parse(&switched_on.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(file.listen, Some("127.0.0.1:8731".parse().unwrap()));
        assert_eq!((file.http.max_connections, file.require_hardening), (Some(256), Some(false)));
        let audit = Audit {
            durability: Some(Durability::Full),
            max_wait_ms: Some(2000),
            low_space_mib: Some(256),
            log_head_rows: Some(10_000),
            log_head_minutes: Some(10),
        };
        assert_eq!(file.audit, audit);
        assert_eq!(file.log, Log { level: Some(LogLevel::Info), format: Some(LogFormat::Text) });
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = File::parse("listen = \"127.0.0.1:1\"\n\n[audit]\ndurabilty = \"full\"\n").unwrap_err();
        assert_eq!(error.line, 4);
        assert!(error.what.contains("durabilty"), "{error}");
        assert_eq!(File::parse("password = \"hunter2hunter2\"").unwrap_err().line, 1);
    }

    #[test]
    fn an_error_does_not_repeat_a_value() {
        for text in ["listen = \"hunter2\"", "[http]\nmax_connections = \"hunter2\"", "run_dir = hunter2", "hunter2"] {
            let error = File::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
