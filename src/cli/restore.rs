//! `restore`: puts a backup in the place of a vault that is gone. No daemon may hold the vault.

use crate::cli::context::Context;
use crate::cli::report::{Exit, Failure, with_causes};
use crate::cli::table::pairs;
use crate::cli::unlock::With;
use crate::store::file::Paths;
use crate::types::clock::SystemClock;
use crate::vault::restore::{self, Accept, RestoreError, RestoreReport};
use crate::vault::unlock::SlotKey;
use serde_json::json;
use std::path::PathBuf;

/// `restore`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The backup
    pub file: PathBuf,
    /// What opens the backup: what opened the vault when it was made.
    #[command(flatten)]
    pub with: With,
    /// Accept a backup that is older than the anchor remembers
    #[arg(long)]
    pub accept_rollback: bool,
    /// Let limits start with what the backup says was used; say so only if nothing was signed since it was made
    #[arg(long)]
    pub reset_limits: bool,
}

/// Restores.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let secret = args.with.read("Master password of the backup: ", context)?;
    let key = SlotKey::parse(secret).map_err(|error| Failure::failed(error.to_string(), "try again"))?;
    let file = context.env.absolute(&args.file);
    let paths = Paths { state_dir: context.config.state_dir.clone(), anchor_dir: context.config.anchor_dir.clone() };
    let accept = Accept { rollback: args.accept_rollback, reset_limits: args.reset_limits };
    let restored = restore::restore(&file, &paths, &key, accept, &SystemClock).map_err(|error| why_not(&error))?;
    if restored.limits_are_spent {
        context.report.note(SPENT);
    }
    let data = json!({
        "state_version": restored.state_version,
        "audit_sequence": restored.audit_sequence,
        "created": restored.created,
        "limits_are_spent": restored.limits_are_spent,
    });
    context.report.data(&data, |_| words(&restored))
}

const SPENT: &str = "What was signed since the backup was made is unknown, so every limit of orders or notional counts as \
spent for a minute, an hour or 24 hours from now. Reads, cancels, closes and orders that only reduce are signed meanwhile. \
If nothing was signed since, restore again with --reset-limits.";

fn words(restored: &RestoreReport) -> String {
    pairs(&[
        ("backup of", restored.created.clone()),
        ("state version", restored.state_version.to_string()),
        ("audit sequence", restored.audit_sequence.to_string()),
    ])
}

pub(super) fn why_not(error: &RestoreError) -> Failure {
    Failure::new(Exit::of_code(error.code()), error.code(), with_causes(error), error.help())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{IntegrityError, StoreError};

    #[test]
    fn a_damaged_or_older_backup_is_broken_integrity_and_a_wrong_password_is_not() {
        let older = IntegrityError::Rollback { database: 1, database_row: 1, anchor: 2, anchor_row: 2 };
        let cases = [
            (RestoreError::Damaged, Exit::Broken),
            (RestoreError::Store(StoreError::Integrity(older)), Exit::Broken),
            (RestoreError::Store(StoreError::Integrity(IntegrityError::Audit { seq: 1 })), Exit::Broken),
            (RestoreError::Failed, Exit::Failed),
            (RestoreError::Exists, Exit::Failed),
        ];
        for (error, exit) in cases {
            assert_eq!(why_not(&error).exit, exit, "{error}");
        }
    }
}
