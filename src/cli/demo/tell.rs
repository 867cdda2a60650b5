//! How the story is told: step by step as it happens to a person, as one object at the end to a program.
//!
//! Both are made of the same [`Step`]s. What is checked is told as what was expected and what came, so a step that
//! fails says why by itself.

use crate::cli::demo::http::Answer;
use crate::cli::demo::stage::Ran;
use crate::cli::report::{Failure, Form, Report, print, print_secret_json, visible};
use serde::Serialize;
use serde_json::Value;

/// The longest run of characters without a space or quote that is shown whole: a signature is, a token is not.
const MAX_RUN_CHARS: usize = 64;

/// One step of the story.
#[derive(Debug, Default, Serialize)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// What happens.
    pub title: String,
    /// What it is for.
    pub why: String,
    /// What was done.
    pub actions: Vec<Action>,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Something that was done.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// A file was written.
    File {
        /// Its name.
        name: String,
        /// What is in it.
        text: String,
    },
    /// A command was run.
    Command {
        /// As typed.
        command: String,
        /// What went in, in words; empty for nothing.
        stdin: String,
        /// The exit code; none for the daemon, which goes on.
        exit: Option<i32>,
        /// Standard output.
        stdout: String,
        /// Standard error.
        stderr: String,
    },
    /// A bot's request.
    Request {
        /// The request as it was sent, long values shortened.
        request: String,
        /// The status of the answer.
        status: u16,
        /// The status line and the headers of the answer.
        head: String,
        /// The body of the answer, long values shortened.
        answer: Value,
    },
}

/// Something that had to hold.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// How it had to be.
    pub expected: String,
    /// How it was.
    pub got: String,
    /// Whether these two are the same.
    pub held: bool,
}

/// The whole story, for a program.
#[derive(Serialize)]
struct Story<'a> {
    /// Whether every check held and the end was reached.
    ok: bool,
    /// How long it took.
    duration_ms: u64,
    /// What happened.
    steps: &'a [Step],
}

/// Tells the story.
pub struct Teller {
    /// Where words and data go.
    report: Report,
    /// What happened so far.
    steps: Vec<Step>,
}

impl Teller {
    /// A teller who has told nothing yet.
    pub fn new(report: Report) -> Teller {
        Teller { report, steps: Vec::new() }
    }

    /// Says something between the steps.
    pub fn say(&self, words: &str) -> Result<(), Failure> {
        match self.report.form {
            Form::Words => print(visible(words).as_bytes()).map(drop),
            Form::Json => Ok(()),
        }
    }

    /// Begins a step.
    pub fn step(&mut self, title: &str, why: &str) -> Result<(), Failure> {
        let number = self.steps.len() + 1;
        self.steps.push(Step { number, title: title.to_owned(), why: why.to_owned(), ..Step::default() });
        let heading = self.report.out.strong(&format!("{number}. {title}"));
        // Not through `visible`: the heading carries the colour. It is this program's own text.
        self.raw(&format!("\n{heading}\n{}", indented("   ", why)))
    }

    /// Tells of a file.
    pub fn file(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        self.say(&format!("\n     {name}:\n{}", indented("     | ", text)))?;
        self.did(Action::File { name: name.to_owned(), text: text.to_owned() })
    }

    /// Tells of a command that ran to its end, or of one that goes on.
    pub fn command(&mut self, command: &str, stdin: &str, ran: Option<&Ran>) -> Result<(), Failure> {
        let fed = if stdin.is_empty() { String::new() } else { format!("     (standard input: {stdin})") };
        let (exit, stdout, stderr) = match ran {
            Some(ran) => (Some(ran.exit), shortened(&ran.stdout), shortened(&ran.stderr)),
            None => (None, String::new(), String::new()),
        };
        let (out, err) = (indented("     ", &stdout), indented("     ", &stderr));
        self.say(&format!("\n     $ {command}{fed}\n{out}{err}"))?;
        self.did(Action::Command { command: command.to_owned(), stdin: stdin.to_owned(), exit, stdout, stderr })
    }

    /// Tells of a request and its answer.
    pub fn request(&mut self, request: &str, answer: &Answer) -> Result<(), Failure> {
        let request = shortened(&request.replace("\r\n", "\n"));
        let head = answer.head.replace("\r\n", "\n");
        let body = answer.json().and_then(|body| serde_json::to_string_pretty(&body).ok());
        let body = shortened(&body.unwrap_or_else(|| answer.body.clone()));
        let back = indented("     < ", &format!("{head}\n\n{body}"));
        self.say(&format!("\n{}\n{back}", indented("     > ", &request)))?;
        let answered = serde_json::from_str(&body).unwrap_or(Value::String(body));
        self.did(Action::Request { request, status: answer.status, head, answer: answered })
    }

    /// Tells of something that had to hold.
    ///
    /// # Errors
    /// It did not hold: the failure says what was expected and what came.
    pub fn check(&mut self, what: &str, expected: &str, got: &str) -> Result<(), Failure> {
        let held = expected == got;
        let (expected, got) = (shortened(expected), shortened(got));
        let paint = self.report.out;
        let line = match held {
            true if got == YES => format!("   {} {what}\n", paint.good("ok")),
            true => format!("   {} {what}: {}\n", paint.good("ok"), visible(&got)),
            false => format!(
                "   {} {what}\n      expected: {expected}\n      got:      {}\n",
                paint.bad("FAILED"),
                visible(&got)
            ),
        };
        self.raw(&line)?;
        let told = format!("step {}: {what}: expected {expected}, got {got}", self.steps.len());
        if let Some(step) = self.steps.last_mut() {
            step.checks.push(Check { what: what.to_owned(), expected, got, held });
        }
        if held {
            Ok(())
        } else {
            Err(Failure::failed(told, "please report this, with what `signvault --version` says"))
        }
    }

    /// Ends the story: in words with these, for a program with everything that happened.
    pub fn end(&self, ok: bool, duration_ms: u64, words: &str) -> Result<(), Failure> {
        match self.report.form {
            Form::Words => self.say(words),
            Form::Json => print_secret_json(&Story { ok, duration_ms, steps: &self.steps }),
        }
    }

    fn did(&mut self, action: Action) -> Result<(), Failure> {
        if let Some(step) = self.steps.last_mut() {
            step.actions.push(action);
        }
        Ok(())
    }

    fn raw(&self, words: &str) -> Result<(), Failure> {
        match self.report.form {
            Form::Words => print(words.as_bytes()).map(drop),
            Form::Json => Ok(()),
        }
    }
}

/// What a check of a plain fact expects.
pub const YES: &str = "yes";

/// A plain fact, to be compared with [`YES`].
pub fn yes_if(fact: bool) -> &'static str {
    if fact { YES } else { "no" }
}

/// Every line behind a margin; nothing for no text.
fn indented(margin: &str, text: &str) -> String {
    text.lines().map(|line| format!("{}\n", format!("{margin}{line}").trim_end())).collect()
}

/// A text whose long runs are cut, with their length in place of what is missing.
fn shortened(text: &str) -> String {
    let ends_run = [' ', '\n', '"'];
    let piece = |piece: &str| {
        let run = piece.trim_end_matches(ends_run);
        match run.chars().count() {
            count if count > MAX_RUN_CHARS => {
                let start: String = run.chars().take(12).collect();
                format!("{start}…[{count} characters]{}", &piece[run.len()..])
            }
            _ => piece.to_owned(),
        }
    };
    text.split_inclusive(ends_run).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cli::report::Paint;

    #[test]
    fn long_runs_are_cut_where_one_can_see_it() {
        let token = format!("svb_{}", "a".repeat(87));
        assert_eq!(
            shortened(&format!("Authorization: Bearer {token}\nHost: x")),
            "Authorization: Bearer svb_aaaaaaaa…[91 characters]\nHost: x"
        );
        let sentence = "many words ".repeat(20);
        assert_eq!(shortened(&sentence), sentence);
    }

    #[test]
    fn what_does_not_hold_is_told_with_both_sides() {
        let paint = Paint { on: false };
        let mut tell = Teller::new(Report { form: Form::Json, out: paint, err: paint });
        tell.step("Ask", "To see.").unwrap();
        tell.check("the status", "200", "200").unwrap();
        let failure = tell.check("the status", "200", "500").unwrap_err();
        assert_eq!(failure.what, "step 1: the status: expected 200, got 500");
        let held: Vec<bool> = tell.steps[0].checks.iter().map(|check| check.held).collect();
        assert_eq!(held, [true, false]);
    }

    #[test]
    fn every_line_has_the_margin() {
        assert_eq!(indented("> ", "a\n\nb"), "> a\n>\n> b\n");
        assert_eq!(indented("> ", ""), "");
    }
}
