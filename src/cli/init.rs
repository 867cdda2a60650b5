//! `init`: makes a vault that no daemon holds yet.

use crate::cli::context::Context;
use crate::cli::file::PrivateFile;
use crate::cli::prompt::{Source, Terminal};
use crate::cli::report::{Failure, with_causes};
use crate::crypto::kdf::Argon2Params;
use crate::crypto::recovery::RecoveryKey;
use crate::secret::SecretBytes;
use crate::store::file::Paths;
use crate::types::clock::SystemClock;
use crate::vault::init::{self, InitError, Made};
use std::path::{Path, PathBuf};

/// `init`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read the password as one line from standard input; needs --recovery-file or --no-recovery
    #[arg(long)]
    pub stdin: bool,
    /// Write the recovery key to this new file (0600) instead of showing it
    #[arg(long, value_name = "PATH", conflicts_with = "no_recovery")]
    pub recovery_file: Option<PathBuf>,
    /// Make no recovery key: a forgotten password is then the end of the vault
    #[arg(long)]
    pub no_recovery: bool,
    /// Memory for each password guess, in MiB
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=1024))]
    pub kdf_memory_mib: u32,
}

/// Makes the vault. Everything that can be refused is, before anything is made.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.stdin && args.recovery_file.is_none() && !args.no_recovery {
        return Err(Failure::usage(
            "--stdin needs --recovery-file or --no-recovery",
            "there is nobody to show the recovery key to",
        ));
    }
    let source = Source::chosen(args.stdin)?;
    let cost = cost(args.kdf_memory_mib)?;
    let password = source.new_password("New master password: ")?;
    // EXPOSE: the bytes of the password are what the vault is made with.
    let password = SecretBytes::new(password.expose().as_bytes().to_vec());
    let recovery = recovery_key(&args, &context.env.working_dir)?;
    let made = create(context, &password, recovery.key.as_ref(), cost)?;
    recovery.keep();
    if let Some(kept) = made.kept_anchor {
        let words = format!("The anchor of a vault that was here before is kept as {}.", kept.display());
        context.report.note(&words);
    }
    if source == Source::Terminal {
        context.report.note("The vault is made. Next: signvault serve, then signvault unlock.");
    }
    Ok(())
}

/// A recovery key that was made, and the file it was written to.
pub struct Recovery {
    /// The key; none with `--no-recovery`.
    pub key: Option<RecoveryKey>,
    /// The file, which goes again unless it is kept.
    file: Option<PrivateFile>,
}

impl Recovery {
    /// Lets the file stay: the key is in use.
    pub fn keep(self) {
        if let Some(file) = self.file {
            file.keep();
        }
    }
}

fn recovery_key(args: &Args, working_dir: &Path) -> Result<Recovery, Failure> {
    match &args.recovery_file {
        _ if args.no_recovery => Ok(Recovery { key: None, file: None }),
        Some(path) => written_recovery_key(&working_dir.join(path)),
        None => shown_recovery_key(),
    }
}

/// A new recovery key in a new file.
pub fn written_recovery_key(path: &Path) -> Result<Recovery, Failure> {
    let key = generate()?;
    // EXPOSE: the person asked for the key in this file.
    let file = PrivateFile::with(path, &[key.to_text().expose().as_bytes(), b"\n"])?;
    Ok(Recovery { key: Some(key), file: Some(file) })
}

/// A new recovery key, shown once and confirmed to have been written down.
pub fn shown_recovery_key() -> Result<Recovery, Failure> {
    let mut terminal = Terminal::open()?;
    let key = generate()?;
    terminal.show(b"\nThe recovery key opens the vault when the password is lost. It is shown only now:\n\n  ")?;
    // EXPOSE: shown once, on the terminal itself and never in a redirected output.
    terminal.show(key.to_text().expose().as_bytes())?;
    terminal.show(b"\n\nWrite it down and keep it away from this machine.\n")?;
    terminal.confirm("Is it written down?")?;
    Ok(Recovery { key: Some(key), file: None })
}

fn generate() -> Result<RecoveryKey, Failure> {
    RecoveryKey::generate().map_err(|error| Failure::failed(error.to_string(), "try again once the machine is up"))
}

fn cost(memory_mib: u32) -> Result<Argon2Params, Failure> {
    let usual = Argon2Params::default();
    Argon2Params::parse(memory_mib * 1024, usual.passes(), usual.lanes())
        .map_err(|error| Failure::usage(error.to_string(), "choose 64 to 1024 MiB"))
}

fn create(
    context: &Context,
    password: &SecretBytes,
    recovery: Option<&RecoveryKey>,
    cost: Argon2Params,
) -> Result<Made, Failure> {
    let paths = Paths { state_dir: context.config.state_dir.clone(), anchor_dir: context.config.anchor_dir.clone() };
    init::create(&paths, password, recovery, cost, &SystemClock).map_err(|error| {
        let help = match &error {
            InitError::Exists => "unlock it, or name another place with --state-dir",
            InitError::Held => "lock it first: signvault lock",
            InitError::Password => "several words make a password that is long and can be remembered",
            InitError::Machine(_) => "free some memory, or choose less with --kdf-memory-mib",
            InitError::Store(_) => "check that the directories are yours and have room",
        };
        Failure::failed(with_causes(&error), help)
    })
}
