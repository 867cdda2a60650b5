//! The command line: one word, one file, and each reads the same way: arguments, a request, what is shown.
//!
//! Deliberately absent: flags and variables that take a secret (see [`prompt`]), anything async (see [`connect`]), and
//! the daemon itself: `serve` only says what it should be started with.

pub mod audit;
pub mod backup;
pub mod bot;
pub mod connect;
pub mod context;
pub mod credential;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod file;
pub mod generate;
pub mod import;
pub mod init;
pub mod lock;
pub mod mode;
pub mod password;
pub mod policy;
pub mod prompt;
pub mod recipe;
pub mod report;
pub mod restore;
pub mod serve;
pub mod sign;
pub mod slot;
pub mod status;
pub mod table;
pub mod unlock;
pub mod usage;

use crate::config::raw::LogFormat;
use crate::config::{Config, Env, Flags};
use clap::{CommandFactory, Parser, Subcommand};
use context::Context;
use report::{Failure, Form, Report};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// A local vault for exchange API keys that judges and signs requests for trading bots.
#[derive(Debug, Parser)]
#[command(name = "signvault", version, max_term_width = 100)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Read this configuration file instead of the usual ones
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of the vault
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The directory of the rollback anchor [default: the state directory's path with -anchor added]
    #[arg(long, global = true, value_name = "DIR")]
    pub anchor_dir: Option<PathBuf>,
    /// The directory of the sockets
    #[arg(long, global = true, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Write data, and errors, as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// How the daemon writes its log
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// [`Command::Serve`] as the only one there is.
#[derive(Debug, Parser)]
struct ServeAlone {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    args: serve::Args,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new vault
    Init(init::Args),
    /// Run the daemon in the foreground
    Serve(serve::Args),
    /// Load the vault key, so that bots can be served
    Unlock(unlock::Args),
    /// Drop the vault key
    Lock,
    /// Show whether the vault is locked, and what is known of it
    Status,
    /// Change the master password
    #[command(subcommand)]
    Password(password::Command),
    /// Ways to unlock: passwords, key files, recovery keys
    #[command(subcommand)]
    Slot(slot::Command),
    /// API keys of exchanges
    #[command(subcommand)]
    Credential(credential::Command),
    /// Client programs and their tokens
    #[command(subcommand)]
    Bot(bot::Command),
    /// What bots may have signed
    #[command(subcommand)]
    Policy(policy::Command),
    /// Show or set how much may happen, whatever policies allow
    Mode(mode::Args),
    /// Have one request signed, as a bot would
    Sign(sign::Args),
    /// The ledger of every decision
    #[command(subcommand)]
    Audit(audit::Command),
    /// Write a backup of the vault to a new file
    Backup(backup::Args),
    /// Put a backup in the place of a vault that is gone
    Restore(restore::Args),
    /// What is known of an exchange: how it signs and what its endpoints may do
    #[command(subcommand)]
    Recipe(recipe::Command),
    /// Say what an error code means, why it happens and what to do
    Explain(explain::Args),
    /// Look for what is wrong with this installation, and say what to do about it
    Doctor(doctor::Args),
    /// Run the whole story in a temporary directory
    Demo(demo::Args),
    /// Man pages and shell completions
    #[command(subcommand)]
    Generate(generate::Command),
}

/// What is to be done once the command line has been dealt with.
pub enum Next {
    /// Nothing: exit.
    Exit(ExitCode),
    /// Run the daemon, and report how that ended.
    Serve(Box<serve::Start>, Report),
}

/// Does what the command line says, up to the point where the daemon would run.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: Env) -> Next {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Before anything is parsed, so that a wrong command line is reported in the form that was asked for.
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let report = Report::new(if json { Form::Json } else { Form::Words }, &env);
    let parsed = serve_alone(&arguments).map_or_else(|| usage::parse::<Cli>(arguments), Ok);
    let done = match parsed {
        Ok(Cli { global, command: Command::Serve(args) }) => {
            return match serve::prepare(args, global.flags(), &env) {
                Ok(start) => Next::Serve(Box::new(start), report),
                Err(failure) => Next::Exit(report.failure(&failure)),
            };
        }
        Ok(cli) => dispatch(cli, env, report),
        Err(usage::Stop::Shown) => Ok(()),
        Err(usage::Stop::Wrong(failure)) => Err(failure),
    };
    Next::Exit(done.map_or_else(|failure| report.failure(&failure), |()| ExitCode::SUCCESS))
}

/// The command line of `serve`, read without the other commands: to make what reads those takes a good part of a start.
/// Whatever it does not take is read again with all of them, and refused in their words.
fn serve_alone(arguments: &[OsString]) -> Option<Cli> {
    let (_, rest) = arguments.split_first().filter(|(_, rest)| rest.first().is_some_and(|word| word == "serve"))?;
    let ServeAlone { global, args } = ServeAlone::try_parse_from(rest).ok()?;
    Some(Cli { global, command: Command::Serve(args) })
}

fn dispatch(cli: Cli, env: Env, report: Report) -> Result<(), Failure> {
    let context = || -> Result<Context, Failure> {
        let config = Config::load(&cli.global.flags(), &env)?;
        Ok(Context { config, env: env.clone(), report })
    };
    match cli.command {
        Command::Init(args) => init::run(args, &context()?),
        // Has gone its own way in `run`.
        Command::Serve(_) => Ok(()),
        Command::Unlock(args) => unlock::run(args, &context()?),
        Command::Lock => lock::run(&context()?),
        Command::Status => status::run(&context()?),
        Command::Password(command) => password::run(command, &context()?),
        Command::Slot(command) => slot::run(command, &context()?),
        Command::Credential(command) => credential::run(command, &context()?),
        Command::Bot(command) => bot::run(command, &context()?),
        Command::Policy(command) => policy::run(command, &context()?),
        Command::Mode(args) => mode::run(args, &context()?),
        Command::Sign(args) => sign::run(args, &context()?),
        Command::Audit(command) => audit::run(command, &context()?),
        Command::Backup(args) => backup::run(args, &context()?),
        Command::Restore(args) => restore::run(args, &context()?),
        Command::Recipe(command) => recipe::run(command, &report),
        Command::Explain(args) => explain::run(args, &report, context),
        // Goes on where a configuration can't be read.
        Command::Doctor(args) => doctor::run(&args, &cli.global.flags(), &env, &report),
        Command::Demo(args) => demo::run(args, &env, &report),
        Command::Generate(command) => generate::run(command, Cli::command()),
    }
}

impl Global {
    /// What these flags say about the configuration.
    pub fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            state_dir: self.state_dir.clone(),
            anchor_dir: self.anchor_dir.clone(),
            run_dir: self.run_dir.clone(),
            listen: None,
            log_format: self.log_format,
        }
    }
}
