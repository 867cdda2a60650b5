//! `explain`: what an error code means, why it happens, and what to do. The words are data; here they are found and shown.
//!
//! Needs no daemon, unless a credential is named: then its card is asked for, and what of it bears on the error is told.

use crate::cli::connect::item_path;
use crate::cli::context::Context;
use crate::cli::report::{Exit, Failure, Report, visible};
use crate::recipe::errors::{ErrorCode, Errors, OWN, Topic, built_in, is_code};
use crate::secret::read::read_secret_to_end;
use crate::types::clock::{Clock, SystemClock};
use crate::wire::{CredentialCard, CredentialChanged};
use body::{Found, codes_in};
use serde_json::{Value, json};
use std::io;

mod body;
mod card;

/// The longest text that is read from standard input, in bytes.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// The exchange of whoever names none.
const USUAL_EXCHANGE: &str = "okx";

/// `explain`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An exchange's code, such as 50113, or signvault's own, such as policy.limit; - reads as --stdin does
    #[arg(value_parser = code, required_unless_present = "stdin", conflicts_with = "stdin")]
    pub code: Option<String>,
    /// Explain every code in an answer that is read from standard input: HTTP, WebSocket, one or more
    #[arg(long)]
    pub stdin: bool,
    /// Tell what of this credential's card bears on the error
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// The exchange that the code is from [default: the credential's, or okx]
    #[arg(long, value_name = "NAME")]
    pub exchange: Option<String>,
}

/// What a code on the command line may look like.
fn code(text: &str) -> Result<String, &'static str> {
    let is_own = || own().is_ok_and(|own| own.find(text).is_some());
    match text == "-" || is_code(text) || is_own() {
        true => Ok(text.to_owned()),
        false => Err("a code is a number or words with dots between them, such as 50113 or policy.limit"),
    }
}

/// One code with all there is to say about it.
struct Explained<'a> {
    errors: &'a Errors,
    topic: &'a Topic,
    listed: &'a ErrorCode,
    times: usize,
    /// What the credential's card says to it.
    card: Vec<String>,
}

/// Explains what was asked about. `context` is made only when a daemon is to be asked.
pub fn run(args: Args, report: &Report, context: impl FnOnce() -> Result<Context, Failure>) -> Result<(), Failure> {
    let is_text = args.stdin || args.code.as_deref() == Some("-");
    let found = match args.code.filter(|_| !is_text) {
        Some(code) => vec![Found { code, times: 1 }],
        None => codes_in(read_secret_to_end(io::stdin(), MAX_TEXT_BYTES)?.expose())?,
    };
    let card = args.credential.map(|name| known(&name, context)).transpose()?;
    let exchange = match (&args.exchange, &card) {
        (Some(asked), Some(card)) if *asked != card.exchange => {
            return Err(Failure::usage("the credential is another exchange's", "leave --exchange out"));
        }
        (Some(asked), _) => asked.as_str(),
        (None, Some(card)) => card.exchange.as_str(),
        (None, None) => USUAL_EXCHANGE,
    };
    let tables = [own()?, table(exchange)?];
    let explained: Vec<_> = found.iter().filter_map(|found| explain(&tables, found, card.as_ref())).collect();
    let unknown: Vec<&str> = unknown(&tables, &found);
    if !explained.is_empty() {
        show(&explained, is_text, report)?;
        if card.is_none() && explained.iter().any(|explained| !explained.topic.card.is_empty()) {
            report.note("--credential NAME tells what of that credential's card bears on it");
        }
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(nothing_known(&unknown, &tables[1])),
    }
}

fn own() -> Result<Errors, Failure> {
    table(OWN)
}

fn table(name: &str) -> Result<Errors, Failure> {
    let text = built_in(name).ok_or_else(|| {
        Failure::failed("the errors of that exchange are not known", "signvault recipe list shows the exchanges")
    })?;
    Errors::parse(text)
        .map_err(|flaw| Failure::failed(format!("the table of errors is broken: {flaw}"), "use another build"))
}

fn known(name: &str, context: impl FnOnce() -> Result<Context, Failure>) -> Result<CredentialCard, Failure> {
    let shown: CredentialChanged = context()?.admin().get(&item_path("/v1/credentials", name))?;
    Ok(shown.credential)
}

fn explain<'a>(tables: &'a [Errors], found: &Found, card: Option<&CredentialCard>) -> Option<Explained<'a>> {
    let (errors, (topic, listed)) =
        tables.iter().find_map(|errors| errors.find(&found.code).map(|listed| (errors, listed)))?;
    let now = SystemClock.now().wall;
    let says = |card| topic.card.iter().map(|aspect| card::says(card, *aspect, &errors.title, now)).collect();
    Some(Explained { errors, topic, listed, times: found.times, card: card.map(says).unwrap_or_default() })
}

fn unknown<'a>(tables: &[Errors], found: &'a [Found]) -> Vec<&'a str> {
    let codes = found.iter().map(|found| found.code.as_str());
    codes.filter(|code| tables.iter().all(|errors| errors.find(code).is_none())).collect()
}

/// The codes are repeated here: each has the form of a code, so it is nothing that could be a secret.
fn nothing_known(codes: &[&str], exchange: &Errors) -> Failure {
    let what = match codes {
        [code] => format!("nothing is known of the code {code}"),
        codes => format!("nothing is known of the codes {}", codes.join(", ")),
    };
    let help = match codes.iter().all(|code| code.contains('.')) {
        true => "docs/errors.md has all that are known here".to_owned(),
        false => format!("{} lists its own; docs/errors.md has all that are known here", exchange.about),
    };
    Failure::new(Exit::Failed, "cli.unknown_code", what, help)
}

fn show(explained: &[Explained<'_>], is_text: bool, report: &Report) -> Result<(), Failure> {
    let each: Vec<Value> = explained.iter().map(as_json).collect();
    let data = match (is_text, each.as_slice()) {
        // Whoever asks about one code gets one object.
        (false, [one]) => one.clone(),
        _ => Value::Array(each),
    };
    report.data(&data, |_| explained.iter().map(words).collect::<Vec<_>>().join("\n"))
}

fn as_json(explained: &Explained<'_>) -> Value {
    let Explained { errors, topic, listed, times, card } = explained;
    json!({
        "code": listed.code,
        "of": errors.name,
        "message": listed.message,
        "http": listed.http,
        "times": times,
        "means": topic.means,
        "why": topic.why,
        "help": topic.help,
        "credential": card,
    })
}

fn words(explained: &Explained<'_>) -> String {
    let Explained { errors, topic, listed, times, card } = explained;
    let mut words = listed.code.to_string();
    if let Some(message) = &listed.message {
        words.push_str(&format!(" {}: {message}", errors.title));
    }
    if !listed.http.is_empty() {
        let statuses: Vec<String> = listed.http.iter().map(u16::to_string).collect();
        words.push_str(&format!(" (HTTP {})", statuses.join(" or ")));
    }
    if *times > 1 {
        words.push_str(&format!(", {times} times"));
    }
    words.push_str(&format!("\n{}\n", topic.means));
    words.push_str(&section("why", &topic.why));
    words.push_str(&section("what to do", &topic.help));
    words.push_str(&section("this credential", card));
    visible(&words)
}

fn section<T: AsRef<str>>(heading: &str, lines: &[T]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.iter().map(|line| format!("  - {}\n", line.as_ref()));
    format!("{heading}:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: &str, times: usize) -> String {
        let tables = [own().unwrap(), table("okx").unwrap()];
        let found = Found { code: code.to_owned(), times };
        words(&explain(&tables, &found, None).unwrap_or_else(|| panic!("{code} is unknown")))
    }

    #[test]
    fn a_code_is_told_with_its_message_its_reasons_and_advice() {
        let told = told("50113", 2);
        assert!(told.starts_with("50113 OKX: Invalid signature. (HTTP 401), 2 times\n"), "{told}");
        assert!(told.contains("\nwhy:\n  - ") && told.contains("\nwhat to do:\n  - "), "{told}");
        assert!(!told.contains("this credential"), "nobody asked about one");
    }

    #[test]
    fn a_code_of_its_own_has_no_message_of_an_exchange() {
        assert!(told("policy.limit", 1).starts_with("policy.limit (HTTP 429)\n"));
        assert!(told("http.timeout", 1).starts_with("http.timeout\n"));
        assert!(told("50011", 1).contains("(HTTP 200 or 429)"));
    }

    #[test]
    fn only_what_has_the_form_of_a_code_is_taken_from_the_command_line() {
        for text in ["50113", "-", "internal", "policy.limit", "99999", "no.such.code"] {
            assert_eq!(code(text).as_deref(), Ok(text));
        }
        for text in ["x", "hunter2", "", "5 0", "Policy.Limit"] {
            let error = code(text).unwrap_err();
            assert!(text.is_empty() || text == "x" || !error.contains(text), "{error}");
        }
    }
}
