//! `serve`: what the daemon is to be started with. Running it is not this layer's business.

use crate::cli::prompt::Source;
use crate::cli::report::Failure;
use crate::config::{Config, Env, Flags};
use crate::secret::SecretBytes;
use std::net::SocketAddr;

/// `serve`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The loopback address for bots; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Read the password as one line from standard input and unlock at once
    #[arg(long)]
    pub unlock_stdin: bool,
}

/// What the daemon is started with.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// Where it came from, to read it again.
    pub source: (Flags, Env),
    /// The password to unlock with, when it is to unlock at once.
    pub password: Option<SecretBytes>,
}

/// Works out the configuration and reads the password, before the daemon opens anything.
pub fn prepare(args: Args, flags: Flags, env: &Env) -> Result<Start, Failure> {
    let flags = Flags { listen: args.listen, ..flags };
    let config = Config::load(&flags, env)?;
    let password = args.unlock_stdin.then(|| Source::Stdin.secret("")).transpose()?;
    Ok(Start { config, source: (flags, env.clone()), password })
}
