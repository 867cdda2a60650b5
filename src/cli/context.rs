//! What a command works with once the command line is understood.

use crate::cli::connect::Admin;
use crate::cli::report::Report;
use crate::config::{Config, Env};

/// What a command works with.
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// What the process was started with.
    pub env: Env,
    /// Where words and data go.
    pub report: Report,
}

impl Context {
    /// A client of the daemon's admin socket.
    pub fn admin(&self) -> Admin {
        Admin::at(&self.config.admin_socket())
    }
}
