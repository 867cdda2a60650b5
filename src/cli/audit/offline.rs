//! `audit verify FILE --public-key F`: an export checked without the daemon and without the vault.

use crate::audit::attested::parse_hex;
use crate::audit::export::{Checked, Checker, ExportError, find_start, first_row};
use crate::cli::context::Context;
use crate::cli::report::{Exit, Failure};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The longest line that is read: far more than a row has.
const LINE_BYTES: u64 = 1024 * 1024;
/// The longest key file that is read.
const KEY_FILE_BYTES: u64 = 1024;

/// What is said of an export that was believed.
#[derive(Debug, Serialize)]
struct Report {
    /// The vault's id.
    vault: String,
    /// Rows read.
    rows: u64,
    /// The first row.
    first: u64,
    /// The last row.
    last: u64,
    /// Rows that a signature covers, those of the signatures included.
    covered: u64,
    /// Rows after the last checkpoint, of which nothing is known.
    uncovered: u64,
    /// Signatures checked.
    signatures: u64,
}

/// Checks an export.
pub fn run(export: &Path, public_key: &Path, context: &Context) -> Result<(), Failure> {
    let key = read_key(&context.env.absolute(public_key))?;
    let export = context.env.absolute(export);
    let checked = check(&export, &key)?;
    context.report.data(&Report::of(checked), words)
}

impl Report {
    fn of(checked: Checked) -> Report {
        let Checked { vault, first, last, covered_to, signatures } = checked;
        let (rows, uncovered) = (last + 1 - first, last - covered_to);
        Report { vault: vault.to_string(), rows, first, last, covered: rows - uncovered, uncovered, signatures }
    }
}

fn words(report: &Report) -> String {
    let Report { vault, rows, first, last, covered, uncovered, signatures } = report;
    format!(
        "vault {vault}: {rows} rows, {first} to {last}; signed: {covered}, after the last checkpoint: {uncovered}; signatures checked: {signatures}\n"
    )
}

fn check(export: &Path, key: &[u8; 32]) -> Result<Checked, Failure> {
    let mut first = None;
    each_line(export, &mut |line| {
        first = first_row(line);
        Ok(false)
    })?;
    // The row that tells of a pruned beginning comes later, so an export that has one is read twice.
    let mut start = None;
    if let Some(first) = first.filter(|first| *first > 1) {
        each_line(export, &mut |line| {
            start = find_start(line, first, key);
            Ok(start.is_none())
        })?;
    }
    let mut checker = Checker::new(*key, start);
    each_line(export, &mut |line| checker.line(line).map(|()| true).map_err(broken))?;
    checker.finish().map_err(broken)
}

/// Reads a file line by line until `each` says that it is enough.
fn each_line(path: &Path, each: &mut dyn FnMut(&[u8]) -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut from = BufReader::new(File::open(path).map_err(|error| cannot_read("the export", error))?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
        if read.map_err(|error| cannot_read("the export", error))? == 0 || !each(line.trim_ascii_end())? {
            return Ok(());
        }
    }
}

/// One line of 64 hexadecimal digits, as `audit public-key` prints it.
fn read_key(path: &Path) -> Result<[u8; 32], Failure> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(KEY_FILE_BYTES).read_to_end(&mut text));
    read.map_err(|error| cannot_read("the public key", error))?;
    let key = std::str::from_utf8(text.trim_ascii()).ok().and_then(parse_hex);
    key.ok_or_else(|| {
        Failure::failed("the file holds no public key", "it is one line of 64 hex digits: signvault audit public-key")
    })
}

fn cannot_read(what: &str, error: io::Error) -> Failure {
    Failure::failed(format!("{what} can't be read: {error}"), "check the path and who may read it")
}

fn broken(error: ExportError) -> Failure {
    let help = match error {
        ExportError::Unsigned(_) => {
            "check that the key is this vault's; if it is, the export was changed after it was made"
        }
        ExportError::NoCheckpoint(_) => "an unlocked vault signs before it exports: signvault audit export",
        _ => "the export was changed after it was made, or is not whole: make another with signvault audit export",
    };
    Failure::new(Exit::Broken, "vault.audit_broken", error.to_string(), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_what_is_covered_and_what_is_not() {
        let vault = crate::types::id::Id([9; 16]);
        let report = Report::of(Checked { vault, first: 5, last: 12, covered_to: 10, signatures: 2 });
        assert_eq!((report.rows, report.covered, report.uncovered), (8, 6, 2));
        let told = "8 rows, 5 to 12; signed: 6, after the last checkpoint: 2; signatures checked: 2\n";
        assert!(words(&report).ends_with(told), "{}", words(&report));
    }
}
