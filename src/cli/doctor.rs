//! `doctor`: looks for what is wrong with an installation and says what to do about each thing.
//!
//! What only the daemon knows it tells itself (`GET /v1/doctor`); what can be seen without one is looked at here, a file
//! for each group of checks. Nothing is changed, nothing is sent to a bot's or an exchange's address, and files of others
//! (bots' configurations, token files, `.env`) are not read. What is printed may be shown to anyone.

mod clock;
mod config_file;
mod daemon;
mod files;
mod port;
mod proc;
mod process;
mod sockets;
mod units;

use crate::cli::report::{Failure, Paint, Report, visible};
use crate::config::{Env, Flags};
use crate::wire::doctor::{Finding, Level};
use serde_json::json;
use std::path::PathBuf;

/// `doctor`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line begins with `fail` (it does not work, or is not safe), `warn` (it works, and should be seen \
                        to), `skip` (it could not be checked) or `ok` (with --verbose). The exit code is 1 when a line \
                        fails, otherwise 0. A daemon that is down or locked does not end it: what can be checked is. Files \
                        of others, such as a bot's configuration, are not searched."
)]
pub struct Args {
    /// Show what is well, too
    #[arg(long, short)]
    pub verbose: bool,
    /// Look for unit files in this directory instead of the usual ones; may be repeated
    #[arg(long, value_name = "DIR", hide = true)]
    pub unit_dir: Vec<PathBuf>,
}

/// Looks at everything.
pub fn run(args: &Args, flags: &Flags, env: &Env, report: &Report) -> Result<(), Failure> {
    let (config, mut findings) = config_file::look(flags, env)?;
    let (running, told) = daemon::look(&config);
    findings.extend(told);
    let keeper = clock::look(&mut findings);
    findings.push(keeper);
    findings.extend(process::look(running.as_ref()));
    findings.extend(files::look(&config, running.as_ref()));
    findings.extend(sockets::look(&config, running.as_ref()));
    findings.extend(port::look(&config, running.as_ref()));
    findings.extend(units::look(&args.unit_dir, env));
    tell(findings, args.verbose, report)
}

/// How many findings there are of each level.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    checks: usize,
    failed: usize,
    warnings: usize,
    skipped: usize,
}

impl Tally {
    fn of(findings: &[Finding]) -> Tally {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        let (failed, warnings, skipped) = (count(Level::Fail), count(Level::Warn), count(Level::Skip));
        Tally { checks: findings.len(), failed, warnings, skipped }
    }

    fn words(&self) -> String {
        let parts = [(self.failed, "failed"), (self.warnings, "to see to"), (self.skipped, "not checked")];
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        match parts.is_empty() {
            true => format!("{} checks, nothing found", self.checks),
            false => format!("{} checks: {}", self.checks, parts.join(", ")),
        }
    }
}

fn tell(mut findings: Vec<Finding>, verbose: bool, report: &Report) -> Result<(), Failure> {
    let tally = Tally::of(&findings);
    findings.retain(|finding| verbose || finding.level != Level::Ok);
    // Stable: within a group they stay in the order in which they were looked at.
    findings.sort_by(|one, other| group(one).cmp(group(other)));
    let data = json!({
        "findings": findings,
        "checks": tally.checks,
        "failed": tally.failed,
        "warnings": tally.warnings,
        "skipped": tally.skipped,
    });
    report.data(&data, |_| in_words(&findings, &tally, report.out))?;
    match tally.failed {
        0 => Ok(()),
        failed => Err(Failure::failed(
            format!("{failed} of {} checks failed", tally.checks),
            "each line that begins with fail has a line of help",
        )),
    }
}

/// The first word of a check's name.
fn group(finding: &Finding) -> &str {
    finding.check.split('.').next().unwrap_or_default()
}

fn in_words(findings: &[Finding], tally: &Tally, paint: Paint) -> String {
    let mut words = String::new();
    for (at, finding) in findings.iter().enumerate() {
        if at == 0 || group(&findings[at - 1]) != group(finding) {
            words.push_str(&format!("{}\n", paint.strong(group(finding))));
        }
        let level = format!("{:4}", finding.level.as_str());
        let level = match finding.level {
            Level::Ok => paint.good(&level),
            Level::Fail => paint.bad(&level),
            Level::Warn | Level::Skip => paint.strong(&level),
        };
        words.push_str(&format!("  {level}  {} ({})\n", one_line(&finding.what), finding.check));
        if !finding.help.is_empty() {
            words.push_str(&format!("        help: {}\n", one_line(&finding.help)));
        }
    }
    words + &tally.words() + "\n"
}

fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_is_one_line() {
        let findings = [Finding::ok("a.b", "fine"), Finding::ok("a.c", "fine")];
        let tally = Tally::of(&findings);
        assert_eq!(in_words(&[], &tally, Paint { on: false }), "2 checks, nothing found\n");
    }

    #[test]
    fn each_finding_is_a_line_under_its_group_with_a_line_of_help() {
        let findings = [
            Finding::fail("files.mode", "too\nwide", "chmod 700"),
            Finding::skip("files.owner", "not seen", ""),
            Finding::warn("slot.spare", "only\x1b one", "add one"),
        ];
        let words = in_words(&findings, &Tally::of(&findings), Paint { on: false });
        let expected = "files\n  fail  too\\nwide (files.mode)\n        help: chmod 700\n  skip  not seen (files.owner)\n\
                        slot\n  warn  only\\u{1b} one (slot.spare)\n        help: add one\n\
                        3 checks: 1 failed, 1 to see to, 1 not checked\n";
        assert_eq!(words, expected);
    }
}
