//! `unlock`: a password, a recovery key or a key file, sent to the daemon.

use crate::cli::context::Context;
use crate::cli::file::read_secret;
use crate::cli::prompt::Source;
use crate::cli::report::Failure;
use crate::secret::{SecretBytes, SecretText};
use crate::wire::{SlotSecret, UnlockRequest, Unlocked};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::path::{Path, PathBuf};

/// Bytes of a key file.
pub const KEY_FILE_BYTES: usize = 32;

/// What opens a slot.
#[derive(Debug, clap::Args)]
pub struct With {
    /// Read the password or recovery key as one line from standard input
    #[arg(long, conflicts_with = "key_file")]
    pub stdin: bool,
    /// Use the recovery key
    #[arg(long, conflicts_with = "key_file")]
    pub recovery: bool,
    /// Use a key file of exactly 32 bytes
    #[arg(long, value_name = "PATH")]
    pub key_file: Option<PathBuf>,
}

/// `unlock`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to unlock with.
    #[command(flatten)]
    pub with: With,
    /// Accept a vault that is older than its anchor remembers; this is written to the ledger
    #[arg(long)]
    pub accept_rollback: bool,
    /// Accept a wall clock that jumped or went back
    #[arg(long)]
    pub accept_clock: bool,
}

/// Unlocks.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let secret = args.with.read("Master password: ", context)?;
    let (accept_rollback, accept_clock) = (args.accept_rollback, args.accept_clock);
    let request = UnlockRequest { secret, accept_rollback, accept_clock };
    let unlocked: Unlocked = context.admin().post("/v1/unlock", &request)?;
    if unlocked.failed_attempts > 0 {
        context.report.note(&format!("failed attempts since the last unlock: {}", unlocked.failed_attempts));
    }
    context.report.warnings(&unlocked.warnings);
    context.report.data(&unlocked, |_| String::new())
}

impl With {
    /// Reads or asks for the secret.
    pub fn read(&self, question: &str, context: &Context) -> Result<SlotSecret, Failure> {
        if let Some(path) = &self.key_file {
            return key_file(&context.env.absolute(path));
        }
        let source = Source::chosen(self.stdin)?;
        match self.recovery {
            true => Ok(SlotSecret::Recovery(source.secret_text("Recovery key: ")?)),
            false => Ok(SlotSecret::Password(source.secret_text(question)?)),
        }
    }
}

/// A key file's bytes as they go over the wire.
pub fn key_file(path: &Path) -> Result<SlotSecret, Failure> {
    let key = read_secret(path, KEY_FILE_BYTES)?;
    match key.len() {
        KEY_FILE_BYTES => Ok(SlotSecret::KeyFile(on_the_wire(&key))),
        _ => Err(Failure::failed(
            "a key file has exactly 32 bytes",
            "signvault slot add key-file PATH makes one where there is none",
        )),
    }
}

/// Bytes in base64.
pub fn on_the_wire(key: &SecretBytes) -> SecretText {
    // EXPOSE: the daemon derives the slot's key from these bytes.
    SecretText::new(BASE64_STANDARD.encode(key.expose()))
}
