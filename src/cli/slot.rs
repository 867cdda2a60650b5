//! `slot`: the ways to unlock. Each wraps the same vault key, so losing one loses nothing.

use crate::cli::connect::item_path;
use crate::cli::context::Context;
use crate::cli::file::PrivateFile;
use crate::cli::init::{Recovery, shown_recovery_key, written_recovery_key};
use crate::cli::prompt::Source;
use crate::cli::report::Failure;
use crate::cli::table::table;
use crate::cli::unlock::{KEY_FILE_BYTES, key_file, on_the_wire};
use crate::crypto::random::fill_random;
use crate::secret::SecretBytes;
use crate::wire::{SlotAdd, SlotCard, SlotSecret};
use serde_json::Value;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// `slot`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the slots
    List,
    /// Add a way to unlock
    #[command(subcommand)]
    Add(Add),
    /// Remove a slot; the last one stays
    Remove {
        /// The slot's number
        #[arg(value_name = "ID")]
        id: u32,
    },
}

/// `slot add`
#[derive(Debug, clap::Subcommand)]
pub enum Add {
    /// Another password
    Password {
        /// Read the new password as one line from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// A new recovery key
    Recovery {
        /// Write the recovery key to this new file (0600) instead of showing it
        #[arg(long, value_name = "PATH")]
        recovery_file: Option<PathBuf>,
    },
    /// A key file of 32 bytes, made where there is none
    KeyFile {
        /// The key file
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
}

/// Lists, adds or removes.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::List => {
            let slots: Vec<SlotCard> = context.admin().get("/v1/slots")?;
            context.report.data(&slots, |slots| listed(slots))
        }
        Command::Add(add) => run_add(add, context),
        Command::Remove { id } => {
            context.admin().delete::<Value>(&item_path("/v1/slots", &id.to_string()))?;
            Ok(())
        }
    }
}

fn listed(slots: &[SlotCard]) -> String {
    let row = |slot: &SlotCard| {
        [slot.id.to_string(), slot.kind.clone(), slot.created.clone(), slot.kdf.clone().unwrap_or_default()]
    };
    table(["ID", "KIND", "CREATED", "COST"], &slots.iter().map(row).collect::<Vec<_>>())
}

fn run_add(add: Add, context: &Context) -> Result<(), Failure> {
    match add {
        Add::Password { stdin } => {
            let password = Source::chosen(stdin)?.new_password("Password for the new slot: ")?;
            send(SlotSecret::Password(password), context)
        }
        Add::Recovery { recovery_file } => {
            let recovery = match &recovery_file {
                Some(path) => written_recovery_key(&context.env.absolute(path))?,
                None => shown_recovery_key()?,
            };
            add_recovery(recovery, context)
        }
        Add::KeyFile { path } => add_key_file(&context.env.absolute(&path), context),
    }
}

fn add_recovery(recovery: Recovery, context: &Context) -> Result<(), Failure> {
    let key = recovery.key.as_ref().map(|key| SlotSecret::Recovery(key.to_text()));
    key.map_or(Ok(()), |key| send(key, context))?;
    recovery.keep();
    Ok(())
}

fn add_key_file(path: &Path, context: &Context) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        return send(key_file(path)?, context);
    }
    let mut key = Zeroizing::new(vec![0; KEY_FILE_BYTES]);
    fill_random(&mut key).map_err(|error| Failure::failed(error.to_string(), "try again once the machine is up"))?;
    let file = PrivateFile::with(path, &[&key])?;
    send(SlotSecret::KeyFile(on_the_wire(&SecretBytes::from(key))), context)?;
    file.keep();
    Ok(())
}

fn send(secret: SlotSecret, context: &Context) -> Result<(), Failure> {
    let slot: SlotCard = context.admin().post("/v1/slots", &SlotAdd { secret })?;
    context.report.data(&slot, |_| String::new())
}
