//! What a signature costs, as a multiple of what a bare web server needs to say hello in the same round.
//!
//! `make bench` measures the daemon and its peers and writes one table; `make bench-short` is the part of it that CI runs.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this is for")]

mod bounds;
mod cells;
mod child;
mod framing;
mod full;
mod load;
mod long;
mod machine;
mod own;
mod peers;
mod report;
mod responders;
mod rounds;
mod short;
mod table;
mod vault;

use clap::{Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;

/// What a step came to; the text says what failed and what to do.
pub type Outcome<T> = Result<T, String>;

/// Measures signvault and its peers.
#[derive(Parser)]
struct Arguments {
    /// Passed by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything beside everyone, in one table, and whether the promises are kept
    All(full::Arguments),
    /// Is it as fast as it was? For every change; a minute at most
    Short(short::Arguments),
    /// Some loads on signvault and the two responders
    Cells(cells::Arguments),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match &words[..] {
        [role, kind, tcp, unix] if role == responders::ROLE => responders::respond(kind, tcp, Path::new(unix)),
        _ => match Arguments::parse().command {
            Command::All(arguments) => full::run(&arguments),
            Command::Short(arguments) => short::run(&arguments),
            Command::Cells(arguments) => cells::run(&arguments),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
