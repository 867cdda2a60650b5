//! `backup`: a copy of the vault in a new file. It is sealed like the vault itself and opens with the same passwords.

use crate::cli::context::Context;
use crate::cli::file::PrivateFile;
use crate::cli::report::{Failure, Form};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// `backup`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The new file; an existing one is never overwritten
    pub file: PathBuf,
}

/// Writes the backup. A file that is not whole does not stay.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let path = context.env.absolute(&args.file);
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
