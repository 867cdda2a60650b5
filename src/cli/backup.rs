//! `backup`: a copy of the vault in a new file. It is sealed like the vault itself and opens with the same passwords.
//! `backup verify` opens one, checks all of it and throws it away again; that needs no daemon.

use crate::cli::context::Context;
use crate::cli::file::PrivateFile;
use crate::cli::report::{Failure, Form};
use crate::cli::restore::why_not;
use crate::cli::table::pairs;
use crate::cli::unlock::With;
use crate::crypto::random::generate_random;
use crate::vault::restore;
use crate::vault::unlock::SlotKey;
use data_encoding::HEXLOWER;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// `backup`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// The new file; an existing one is never overwritten. A file named like a subcommand: ./verify
    #[arg(required = true)]
    pub file: Option<PathBuf>,
    /// What else can be done with backups.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// `backup …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Open a backup and check all of it: every chunk, every record, every row of the ledger
    Verify {
        /// The backup
        file: PathBuf,
        /// What opens the backup: what opened the vault when it was made.
        #[command(flatten)]
        with: With,
    },
}

/// Writes a backup, or verifies one.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match (args.command, args.file) {
        (Some(Command::Verify { file, with }), _) => verify(&file, &with, context),
        (None, Some(file)) => write(&file, context),
        (None, None) => Err(Failure::usage("a backup needs a file", "name one that is not there yet")),
    }
}

fn verify(file: &Path, with: &With, context: &Context) -> Result<(), Failure> {
    let secret = with.read("Master password of the backup: ", context)?;
    let key = SlotKey::parse(secret).map_err(|error| Failure::failed(error.to_string(), "try again"))?;
    let random: [u8; 8] = generate_random().map_err(|error| Failure::failed(error.to_string(), "try again"))?;
    let parent = context.env.path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
    let temporary = parent.join(format!("signvault-verify-{}", HEXLOWER.encode(&random)));
    let report = restore::verify(&context.env.absolute(file), &key, &temporary).map_err(|error| why_not(&error))?;
    context.report.data(&report, |report| {
        let rows = (report.last_row + 1).saturating_sub(report.first_row);
        pairs(&[
            ("backup of", report.created.clone()),
            ("state version", report.state_version.to_string()),
            ("ledger rows", format!("{rows}, the last is {}", report.last_row)),
            ("credentials", report.credentials.to_string()),
            ("bots", report.bots.to_string()),
            ("policies", report.policies.to_string()),
            ("ways to unlock", report.slots.to_string()),
            ("key epoch", report.epoch.to_string()),
        ])
    })
}

/// Writes the backup. A file that is not whole does not stay.
fn write(file: &Path, context: &Context) -> Result<(), Failure> {
    let path = context.env.absolute(file);
    let mut file = PrivateFile::create(&path)?;
    let shows_progress = context.report.form == Form::Words && io::stderr().is_terminal();
    let progress = |bytes: u64| {
        if shows_progress {
            let _ = write!(io::stderr(), "\r{} ", size(bytes));
        }
    };
    let bytes = context.admin().download("/v1/backup", &mut file, progress)?;
    file.sync()?;
    file.keep();
    if shows_progress {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let place = path.display().to_string();
    context.report.data(&json!({ "file": place, "bytes": bytes }), |_| format!("{}\n", size(bytes)))
}

/// A number of bytes for a person.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = bytes.saturating_mul(10);
    let mut unit = "bytes";
    for larger in units {
        if tenths < 10_240 {
            break;
        }
        (tenths, unit) = (tenths / 1024, larger);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, words) in [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1_600_000, "1.5 MiB")] {
            assert_eq!(size(bytes), words);
        }
        assert!(size(u64::MAX).ends_with("TiB"));
    }
}
