//! The command line as typed: parsed, or an error that says which flag is wrong and repeats no value.
//!
//! The parser's own messages quote what was typed. A secret that somebody put behind a flag that does not exist would
//! then stand in a log, so the messages are made here.

use crate::cli::report::{Failure, print};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::ffi::OsString;

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Stop {
    /// Help or the version was asked for and shown.
    Shown,
    /// The command line is wrong.
    Wrong(Failure),
}

/// Reads a command line, the program's name first.
pub fn parse<C: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<C, Stop> {
    C::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match print(error.render().to_string().as_bytes()) {
            Ok(_) => Stop::Shown,
            Err(failure) => Stop::Wrong(failure),
        },
        _ => Stop::Wrong(Failure::usage(what_is_wrong(&error), help(&error))),
    })
}

fn what_is_wrong(error: &clap::Error) -> String {
    let argument = said(error, ContextKind::InvalidArg).join(", ");
    match error.kind() {
        ErrorKind::UnknownArgument => match flag_name(&argument) {
            Some(name) => format!("unexpected argument {name}"),
            None => "unexpected argument".to_owned(),
        },
        ErrorKind::InvalidSubcommand => "unrecognized subcommand".to_owned(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a subcommand is missing".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("missing: {argument}"),
        ErrorKind::ArgumentConflict => match said(error, ContextKind::PriorArg).join(", ") {
            prior if prior == argument => format!("{argument} is given more than once"),
            prior => format!("{argument} cannot be used with {prior}"),
        },
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => format!("wrong value for {argument}{}", because(error)),
        ErrorKind::InvalidUtf8 => "an argument is not valid utf-8".to_owned(),
        _ => format!("wrong use of {argument}"),
    }
}

fn help(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return error.render().to_string();
    }
    let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    let suggestion = suggested.into_iter().flat_map(|kind| said(error, kind)).next();
    let valid = said(error, ContextKind::ValidValue).join(", ");
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string().lines().next().unwrap_or_default().trim().to_owned(),
        _ => String::new(),
    };
    match suggestion {
        Some(suggestion) => format!("did you mean {suggestion}? --help shows what there is"),
        None if !valid.is_empty() => format!("use one of: {valid}"),
        None if !usage.is_empty() => format!("{usage}; --help shows more"),
        None => "--help shows what there is".to_owned(),
    }
}

/// What a value's parser found wrong, unless it repeats the value.
fn because(error: &clap::Error) -> String {
    let value = said(error, ContextKind::InvalidValue).concat();
    match error.source().map(|cause| cause.to_string()) {
        Some(cause) if value.is_empty() || !cause.contains(&value) => format!(": {cause}"),
        _ => String::new(),
    }
}

fn said(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// The name of a flag, if what was typed looks like one: `--secret`, `-s`. Never what stands behind it.
fn flag_name(typed: &str) -> Option<&str> {
    let name = typed.split('=').next().unwrap_or_default();
    let letters = name.trim_start_matches('-');
    let dashes = name.len() - letters.len();
    let plain = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let short_enough = if dashes == 1 { letters.len() == 1 } else { letters.len() <= 24 };
    ((1..=2).contains(&dashes) && plain && short_enough).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cli::Cli;
    use crate::cli::report::Exit;
    use clap::CommandFactory;

    fn parsed(line: &str) -> Result<Cli, Failure> {
        parse(line.split(' ').map(OsString::from)).map_err(|stop| match stop {
            Stop::Wrong(failure) => failure,
            Stop::Shown => panic!("something was shown"),
        })
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        let lines = "init --stdin --recovery-file r
init --stdin --no-recovery --kdf-memory-mib 64
serve --listen 127.0.0.1:0 --unlock-stdin
unlock
unlock --stdin --accept-rollback --accept-clock
unlock --recovery --stdin
unlock --key-file k
restore f --recovery --stdin
lock
status --json
--json status
password change --stdin
password change --stdin --rotate-key
slot list
slot add password --stdin
slot add recovery
slot add key-file k
slot remove 2
credential add main --exchange okx --stdin
credential add main --exchange okx --label l --environment demo --region eea --permissions read,trade --ip 1.2.3.4 --ip ::1
credential add main --exchange okx --base-url https://x --idle-days 14
credential list
credential show main
credential edit main --rename other --label x
credential rotate main --stdin
credential remove main
credential import --from-file f --name main --exchange okx --key-var K --secret-var S --passphrase-var P
credential import --from-file f --name main --exchange okx --format freqtrade
bot add grid --credential a --credential b --policy p --uid 1000 --uid 1001 --expires 90d --token-file t --json
bot list
bot show grid
bot rotate grid --token-file t
bot revoke grid
bot remove grid
policy set grid f.toml
policy list
policy show grid
policy remove grid
sign GET /api/v5/account/balance?ccy=BTC --credential main --token-file t --socket s --curl
sign POST /api/v5/trade/order --credential main --url http://127.0.0.1:8731 --body {} --json
sign POST /api/v5/trade/order --credential main --body-file b
audit tail -n 5 -f
audit list --bot b --credential c --since 24h --denied --limit 10
audit verify
audit verify e.jsonl --public-key k
audit export
audit prune --before 30d
audit prune --before 2026-01-02T03:04:05Z --json
audit public-key
backup f
backup ./verify
backup verify f --stdin
backup verify f --key-file k
restore f --stdin --accept-rollback
restore f --reset-limits
recipe list
recipe show okx
recipe test v.jsonl --exchange okx
explain 50113
explain policy.limit --json
explain 50119 --credential main --exchange okx
explain --stdin --credential main
explain -
doctor
doctor --verbose --json
demo
generate man --out-dir d
generate completions fish
status --config c --state-dir s --anchor-dir a --run-dir r --log-format json";
        for line in lines.lines() {
            parsed(&format!("signvault {line}")).unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
        }
    }

    #[test]
    fn commands_of_other_versions_are_unknown() {
        let lines = "audit prune|audit prune --before x|audit verify --public-key k
explain|explain x|explain 50113 --stdin|explain 50113 50110|doctor x|audit verify f|verify f|backup|backup verify|backup f verify g|sign";
        for line in lines.split(['|', '\n']) {
            let failure = parsed(&format!("signvault {line}")).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{line}");
        }
    }

    #[test]
    fn a_wrong_command_line_repeats_no_value() {
        let lines = "credential add --secret hunter2|credential add main --exchange okx --secret=hunter2
credential add main hunter2 --exchange okx|unlock hunter2|unlock --stdin=hunter2|unlock -phunter2
hunter2|init --kdf-memory-mib hunter2|init --no-recovery --recovery-file hunter2
credential add main --exchange okx --environment hunter2|serve --listen hunter2|bot add b --expires hunter2
explain hunter2|explain 50113 hunter2|password change hunter2|slot remove hunter2|--log-format hunter2 status|status --=hunter2|status --Hhunter2";
        for line in lines.split(['|', '\n']) {
            let failure = parsed(&format!("signvault {line}")).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{line}");
            assert!(!format!("{failure:?}").contains("hunter2"), "{line}: {failure:?}");
        }
    }

    #[test]
    fn a_wrong_flag_is_named() {
        assert_eq!(parsed("signvault credential add --secret x").unwrap_err().what, "unexpected argument --secret");
        assert_eq!(parsed("signvault unlok").unwrap_err().help, "did you mean unlock? --help shows what there is");
        let outside = parsed("signvault init --kdf-memory-mib 63").unwrap_err();
        assert!(outside.what.contains("--kdf-memory-mib"), "{outside:?}");
    }
}
