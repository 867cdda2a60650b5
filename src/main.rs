//! One binary: the command line, and the daemon.

use signvault::cli::report::{Failure, with_causes};
use signvault::cli::{self, Next};
use signvault::config::Env;
use signvault::daemon::{self, clock::KernelClock};
use signvault::secret::ZeroizingAllocator;
use std::process::ExitCode;
use std::sync::Arc;

/// Wipes all memory that is given back: parsers and formatters make copies of secrets that nobody owns.
#[global_allocator]
static ALLOCATOR: ZeroizingAllocator = ZeroizingAllocator;

fn main() -> ExitCode {
    // Before there is a secret. Refused only where nothing could be dumped anyway.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    match cli::run(std::env::args_os(), Env::of_process()) {
        Next::Exit(code) => code,
        Next::Serve(start, report) => {
            let cli::serve::Start { config, source, password } = *start;
            match daemon::run(daemon::Start { config, source, password, clock: Arc::new(KernelClock) }) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => report.failure(&Failure::failed(with_causes(&error), error.help())),
            }
        }
    }
}
