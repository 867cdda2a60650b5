//! `restore`: puts a backup in the place of a vault that is gone. No daemon may hold the vault.

use crate::cli::Context;
use crate::cli::prompt::Source;
use crate::cli::report::{Exit, Failure, with_causes};
use crate::crypto::slot::SlotKind;
use crate::store::file::Paths;
use crate::types::clock::SystemClock;
use crate::vault::backup;
use crate::vault::unlock::SlotKey;
use std::path::PathBuf;

/// `restore`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The backup
    pub file: PathBuf,
    /// Read the backup's password as one line from standard input
    #[arg(long)]
    pub stdin: bool,
    /// Accept a backup that is older than the anchor remembers
    #[arg(long)]
    pub accept_rollback: bool,
}

/// Restores.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let password = Source::chosen(args.stdin)?.secret("Master password of the backup: ")?;
    let file = context.env.absolute(&args.file);
    let paths = Paths { state_dir: context.config.state_dir.clone(), anchor_dir: context.config.anchor_dir.clone() };
    let key = SlotKey { kind: SlotKind::Password, secret: password };
    let restored = backup::restore(&file, &paths, &key, args.accept_rollback, &SystemClock).map_err(|error| {
        let code = error.code();
        Failure::new(Exit::of_code(code), code, with_causes(&error), error.help())
    })?;
    context.report.data(&restored, |restored| {
        format!(
            "restored: state version {}, ledger row {}, made {}",
            restored.state_version, restored.audit_sequence, restored.created
        )
    })
}
