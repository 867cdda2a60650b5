//! `password change`: the old password, then a new one.

use crate::cli::context::Context;
use crate::cli::prompt::Source;
use crate::cli::report::Failure;
use crate::wire::PasswordChange;
use serde::{Deserialize, Serialize};

/// `password`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Change the master password; older backups still open with the old one
    Change {
        /// Read the old and then the new password as two lines from standard input
        #[arg(long)]
        stdin: bool,
    },
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    /// Things to know, in words.
    #[serde(default)]
    warnings: Vec<String>,
}

/// Changes the password.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let Command::Change { stdin } = command;
    let source = Source::chosen(stdin)?;
    let old = source.secret_text("Present master password: ")?;
    let new = source.new_password("New master password: ")?;
    let changed: Changed = context.admin().post("/v1/password", &PasswordChange { old, new })?;
    context.report.warnings(&changed.warnings);
    context.report.data(&changed, |_| String::new())
}
