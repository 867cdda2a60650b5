//! `password change`: the old password, then a new one.

use crate::cli::context::Context;
use crate::cli::prompt::{Source, Terminal};
use crate::cli::report::Failure;
use crate::wire::{PasswordChange, SlotCard};
use serde::{Deserialize, Serialize};

/// `password`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Change the master password; older backups still open with the old one
    Change {
        /// Read the old and then the new password as two lines from standard input
        #[arg(long)]
        stdin: bool,
        /// Replace the vault key too: whoever had the old one can open nothing that is written from then on. All other
        /// ways to unlock are removed
        #[arg(long)]
        rotate_key: bool,
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
    let Command::Change { stdin, rotate_key } = command;
    let source = Source::chosen(stdin)?;
    if rotate_key && source == Source::Terminal {
        confirm_loss_of_slots(context)?;
    }
    let old = source.secret_text("Present master password: ")?;
    let new = source.new_password("New master password: ")?;
    let changed: Changed = context.admin().post("/v1/password", &PasswordChange { old, new, rotate_key })?;
    context.report.warnings(&changed.warnings);
    context.report.data(&changed, |_| String::new())
}

/// Only the slot whose password is given can wrap another key, so whoever has others is asked first.
fn confirm_loss_of_slots(context: &Context) -> Result<(), Failure> {
    let slots: Vec<SlotCard> = context.admin().get("/v1/slots")?;
    if slots.len() < 2 {
        return Ok(());
    }
    let mut terminal = Terminal::open()?;
    terminal.show(told(&slots).as_bytes())?;
    Ok(terminal.confirm("Replace the key and remove the others?")?)
}

fn told(slots: &[SlotCard]) -> String {
    let list: Vec<String> = slots.iter().map(|slot| format!("  {} ({})\n", slot.id, slot.kind)).collect();
    format!(
        "There are {} ways to unlock, and only the one whose password you give now stays:\n{}",
        slots.len(),
        list.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_sees_every_slot_that_may_go() {
        let slot = |id, kind: &str| SlotCard { id, kind: kind.to_owned(), created: String::new(), kdf: None };
        let text = told(&[slot(1, "password"), slot(7, "recovery")]);
        assert!(text.contains("2 ways") && text.contains("  1 (password)\n") && text.contains("  7 (recovery)\n"));
    }
}
