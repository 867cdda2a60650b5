//! What a command says: data on standard output, words on standard error, and the exit code.
//!
//! The errors of all commands meet here as a [`Failure`]: what happened, what to do about it, and how the process ends.

use crate::cli::connect::ConnectError;
use crate::cli::file::FileError;
use crate::cli::prompt::PromptError;
use crate::config::{ConfigError, Env};
use crate::secret::SecretText;
use crate::secret::read::ReadSecretError;
use crate::types::duration::in_words;
use crate::wire::Problem;
use serde::Serialize;
use serde_json::json;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 1: it failed.
    Failed = 1,
    /// 2: the command line or the configuration is wrong.
    Usage = 2,
    /// 3: the policy denied.
    Denied = 3,
    /// 4: the vault is locked.
    Locked = 4,
    /// 5: no daemon answered.
    Unreachable = 5,
    /// 6: the vault or its ledger is not what it was.
    Broken = 6,
}

/// Codes that say that something was tampered with, rolled back or damaged.
const BROKEN: [&str; 7] = [
    "vault.tampered",
    "vault.manifest_mismatch",
    "vault.schema_mismatch",
    "vault.rollback_detected",
    "vault.audit_broken",
    "vault.storage_corrupt",
    "vault.kdf_out_of_bounds",
];

impl Exit {
    /// The exit code for a problem that the daemon answered with.
    pub fn of(problem: &Problem) -> Exit {
        let concerns_admin = ["unlock.", "admin."].iter().any(|start| problem.code.starts_with(start));
        match problem.status {
            _ if BROKEN.contains(&problem.code.as_str()) => Exit::Broken,
            423 => Exit::Locked,
            403 | 409 | 429 if !concerns_admin => Exit::Denied,
            _ => Exit::Failed,
        }
    }

    /// The exit code for what this process itself found wrong with a vault.
    pub fn of_code(code: &str) -> Exit {
        if BROKEN.contains(&code) { Exit::Broken } else { Exit::Failed }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// The stable, dotted code.
    pub code: String,
    /// What happened.
    pub what: String,
    /// What to do.
    pub help: String,
    /// The daemon's own words, when it was the daemon that refused.
    pub problem: Option<Box<Problem>>,
}

impl Failure {
    /// A command line that cannot be meant.
    pub fn usage(what: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, "cli.usage", what, help)
    }

    /// Anything that has no exit code of its own.
    pub fn failed(what: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::new(Exit::Failed, "cli.failed", what, help)
    }

    /// A failure that this process, not the daemon, found.
    pub fn new(exit: Exit, code: &str, what: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { exit, code: code.to_owned(), what: what.into(), help: help.into(), problem: None }
    }

    /// The same error for whoever wrote a program: the daemon's problem, or one shaped like it.
    fn to_json(&self) -> String {
        let own = || json!({ "type": "about:blank", "title": "the command failed", "code": self.code, "detail": self.what, "help": self.help });
        let problem = self.problem.as_ref().and_then(|problem| serde_json::to_value(problem).ok());
        problem.unwrap_or_else(own).to_string()
    }

    /// The lines for a person.
    fn to_words(&self, paint: Paint) -> String {
        let mut words = format!("{} {} ({})\n", paint.bad("error:"), visible(&self.what), self.code);
        if let Some(problem) = &self.problem {
            words.extend(problem.rule.iter().map(|rule| format!("  rule: {}\n", visible(rule))));
            words
                .extend(problem.retry_after_ms.iter().map(|ms| format!("  retry after: {ms} ms ({})\n", roughly(*ms))));
            words.extend(problem.audit_seq.iter().map(|seq| format!("  audit row: {seq}\n")));
        }
        if !self.help.is_empty() {
            words.push_str(&format!("{} {}\n", paint.strong("help:"), visible(&self.help)));
        }
        words
    }
}

/// A wait as people count it, rounded up.
fn roughly(ms: u64) -> String {
    let seconds = ms.div_ceil(1000).max(1);
    let unit = match seconds {
        0..=120 => 1,
        121..=7200 => 60,
        _ => 3600,
    };
    in_words(seconds.next_multiple_of(unit))
}

/// An error with everything that caused it, on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        let exit = Exit::of(&problem);
        let what = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
        Failure { exit, code: problem.code.clone(), what, help: problem.help.clone(), problem: Some(Box::new(problem)) }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        let exit = if error.is_unreachable() { Exit::Unreachable } else { Exit::Failed };
        let code = if error.is_unreachable() { "cli.unreachable" } else { "cli.failed" };
        match error {
            ConnectError::Refused(problem) => Failure::from(*problem),
            error => Failure::new(exit, code, with_causes(&error), error.help()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(Exit::Usage, "cli.config", with_causes(&error), error.help())
    }
}

impl From<PromptError> for Failure {
    fn from(error: PromptError) -> Failure {
        let exit = if matches!(error, PromptError::NotATerminal) { Exit::Usage } else { Exit::Failed };
        let code = if exit == Exit::Usage { "cli.usage" } else { "cli.failed" };
        Failure::new(exit, code, with_causes(&error), error.help())
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::failed(with_causes(&error), error.help())
    }
}

impl From<ReadSecretError> for Failure {
    fn from(error: ReadSecretError) -> Failure {
        Failure::failed(with_causes(&error), "check what comes in on standard input")
    }
}

/// How a command's data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Words,
    /// For programs.
    Json,
}

/// Where a command's words and data go.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How data is written.
    pub form: Form,
    /// Colour for standard output.
    pub out: Paint,
    /// Colour for standard error.
    pub err: Paint,
}

impl Report {
    /// A report in this form, coloured where a person looks and does not mind.
    pub fn new(form: Form, env: &Env) -> Report {
        let wanted = env.text("NO_COLOR").is_none() && env.text("TERM") != Some("dumb");
        let out = Paint { on: wanted && io::stdout().is_terminal() };
        Report { form, out, err: Paint { on: wanted && io::stderr().is_terminal() } }
    }

    /// Writes data: as JSON, or in the words that are made of it.
    pub fn data<T: Serialize>(&self, data: &T, words: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        match self.form {
            Form::Words => print(words(data).as_bytes()).map(drop),
            Form::Json => print_secret_json(data),
        }
    }

    /// Says something that is no error. In JSON form standard error is for errors alone.
    pub fn note(&self, words: &str) {
        if self.form == Form::Words {
            say(&format!("{}\n", visible(words)));
        }
    }

    /// Says things to know.
    pub fn warnings(&self, warnings: &[String]) {
        for warning in warnings.iter().filter(|_| self.form == Form::Words) {
            say(&format!("{} {}\n", self.err.strong("warning:"), visible(warning)));
        }
    }

    /// Says what failed and gives the code to exit with.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        match self.form {
            Form::Words => say(&failure.to_words(self.err)),
            Form::Json => say(&format!("{}\n", failure.to_json())),
        }
        ExitCode::from(failure.exit as u8)
    }
}

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// A person looks at a terminal and has not asked for plain text.
    pub on: bool,
}

impl Paint {
    /// Something wrong.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// Something as it should be.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Something that stands out.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, style: &str, text: &str) -> String {
        if self.on { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text with its control characters made visible: a label or a ledger row must not be able to drive the terminal.
pub fn visible(text: &str) -> String {
    let made_visible =
        |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(made_visible).collect()
}

/// Whether anybody still reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as is known.
    There,
    /// It was closed. Whoever did that has read enough, so it is no failure.
    Gone,
}

/// Writes to standard output.
pub fn print(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut out = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from).map_err(cannot_print)?;
    // Straight to the descriptor: the standard library's buffer for it lives until exit and is never wiped.
    match out.write_all(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(cannot_print(error)),
        Ok(()) => Ok(Reader::There),
    }
}

fn cannot_print(error: io::Error) -> Failure {
    Failure::failed(format!("cannot write to standard output: {error}"), "check where the output goes")
}

/// Writes one line that is a secret to standard output.
pub fn print_secret_line(secret: &SecretText) -> Result<(), Failure> {
    // EXPOSE: the person asked for exactly this line, and it is shown only once.
    let mut line = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
    line.extend_from_slice(secret.expose().as_bytes());
    line.push(b'\n');
    print(&line).map(drop)
}

/// Writes data, which may hold a secret, to standard output as JSON.
pub fn print_secret_json<T: Serialize>(data: &T) -> Result<(), Failure> {
    let json = serde_json::to_vec_pretty(data).map_err(|_| Failure::failed("cannot write the answer as json", ""))?;
    let mut json = Zeroizing::new(json);
    json.push(b'\n');
    print(&json).map(drop)
}

/// Writes words to standard error. There is nobody left to tell when that fails.
fn say(words: &str) {
    let _ = io::stderr().write_all(words.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str) -> Problem {
        Problem {
            kind: "about:blank".into(),
            title: "title".into(),
            status,
            code: code.into(),
            detail: "detail".into(),
            help: "help".into(),
            rule: None,
            retry_after_ms: None,
            audit_seq: None,
            applied: None,
        }
    }

    #[test]
    fn a_wait_is_told_as_people_count_it_and_never_too_short() {
        let cases = [(1, "1 second"), (1001, "2 seconds"), (120_000, "2 minutes"), (121_000, "3 minutes")];
        for (ms, words) in cases.into_iter().chain([(7_200_001, "3 hours"), (86_399_975, "24 hours"), (0, "1 second")])
        {
            assert_eq!(roughly(ms), words);
        }
    }

    #[test]
    fn every_problem_has_its_exit_code() {
        let cases = [
            (400, "ask.body_ambiguous", Exit::Failed),
            (400, "admin.invalid", Exit::Failed),
            (401, "auth.failed", Exit::Failed),
            (403, "policy.grant", Exit::Denied),
            (403, "unlock.failed", Exit::Failed),
            (404, "admin.not_found", Exit::Failed),
            (409, "policy.replay", Exit::Denied),
            (409, "admin.exists", Exit::Failed),
            (409, "vault.tampered", Exit::Broken),
            (409, "vault.manifest_mismatch", Exit::Broken),
            (409, "vault.schema_mismatch", Exit::Broken),
            (409, "vault.rollback_detected", Exit::Broken),
            (409, "vault.audit_broken", Exit::Broken),
            (409, "vault.storage_corrupt", Exit::Broken),
            (409, "vault.kdf_out_of_bounds", Exit::Broken),
            (423, "vault.locked", Exit::Locked),
            (429, "policy.rate", Exit::Denied),
            (429, "policy.limit", Exit::Denied),
            (429, "unlock.backoff", Exit::Failed),
            (500, "internal", Exit::Failed),
            (503, "audit.unavailable", Exit::Failed),
            (503, "clock.jump", Exit::Failed),
        ];
        for (status, code, exit) in cases {
            assert_eq!(Exit::of(&problem(status, code)), exit, "{status} {code}");
        }
        assert_eq!([Exit::Failed as u8, Exit::Usage as u8, Exit::Denied as u8], [1, 2, 3]);
        assert_eq!([Exit::Locked as u8, Exit::Unreachable as u8, Exit::Broken as u8], [4, 5, 6]);
    }

    #[test]
    fn words_say_what_happened_and_what_to_do() {
        let mut denied = problem(403, "policy.grant");
        denied.rule = Some("grants".into());
        denied.audit_seq = Some(7);
        let words = Failure::from(denied).to_words(Paint { on: false });
        assert_eq!(words, "error: detail (policy.grant)\n  rule: grants\n  audit row: 7\nhelp: help\n");
    }

    #[test]
    fn in_json_the_daemon_s_problem_comes_out_as_it_came_in() {
        let denied = problem(403, "policy.grant");
        let json = Failure::from(denied.clone()).to_json();
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), denied);
        let own: serde_json::Value = serde_json::from_str(&Failure::usage("a", "b").to_json()).unwrap();
        assert_eq!(
            (own["code"].as_str(), own["detail"].as_str(), own["help"].as_str()),
            (Some("cli.usage"), Some("a"), Some("b"))
        );
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(visible("a\x1b[31mb\tc\u{9b}"), "a\\u{1b}[31mb\\tc\\u{9b}");
        assert_eq!(visible("ключ"), "ключ");
    }
}
