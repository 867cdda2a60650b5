//! `cells`: some loads, chosen on the command line. For whoever changes the daemon and wants to see what it did.

use crate::Outcome;
use crate::load::{Arrival, Load, Transport};
use crate::machine::{self, Placement};
use crate::own::Responder;
use crate::rounds::{Care, Plan, TRIES, measure};
use crate::table;
use crate::vault::{Durability, Vault};
use std::path::PathBuf;
use std::time::Duration;

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// The signvault to measure; several are told apart by their place
    #[arg(long, required = true, value_delimiter = ',')]
    binary: Vec<PathBuf>,
    /// How it is reached
    #[arg(long, value_delimiter = ',', default_value = "tcp")]
    transports: Vec<Transport>,
    /// How many connections at once
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    connections: Vec<usize>,
    /// What a ledger row survives
    #[arg(long, value_delimiter = ',', default_value = "process,full")]
    durability: Vec<Durability>,
    /// So many asks a second, answered or not, instead of the next when the last is answered
    #[arg(long)]
    rate: Option<u32>,
    /// Batches of 20, too
    #[arg(long)]
    batch: bool,
    /// Client and server on one processor
    #[arg(long)]
    pinned: bool,
    /// For each subject in each round
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds of each load
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// SIGNVAULT_BENCH of the daemons: no-ledger or commit-each; for a build with the feature bench-variants
    #[arg(long)]
    variant: Option<String>,
    /// Where vaults are made; its file system is what rows are synced to
    #[arg(long, default_value = "target")]
    below: PathBuf,
}

/// Measures, and writes a table for each load as soon as there is one.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let care = Care { rounds: arguments.rounds, tries: TRIES, processors: machine::processors()? };
    let dir = tempfile::tempdir_in(&arguments.below).map_err(|error| error.to_string())?;
    let hello = Responder::start("hello", "axum hello", dir.path())?;
    let raw = Responder::start("raw", "raw tokio", dir.path())?;
    let mut vaults = Vec::new();
    for (place, binary) in arguments.binary.iter().enumerate() {
        for durability in &arguments.durability {
            let vault = match &arguments.variant {
                Some(variant) => Vault::variant(binary, variant, &arguments.below)?,
                None => Vault::new(binary, &arguments.below)?,
            };
            let which = if arguments.binary.len() > 1 { format!(" {}", place + 1) } else { String::new() };
            vaults.push((format!("signvault{which} {}", durability.word()), *durability, vault));
        }
    }
    let bots = vaults.iter().map(|(name, durability, vault)| Ok((name, vault.serve_a_bot(*durability)?)));
    let bots = bots.collect::<Outcome<Vec<_>>>()?;
    let placement = if arguments.pinned { Placement::Pinned } else { Placement::Free };
    for transport in arguments.transports.iter().copied() {
        let mut signing = Vec::new();
        for (name, bot) in &bots {
            signing.push(bot.one(name, transport));
            signing.extend(arguments.batch.then(|| bot.batch(&format!("{name}, batch"), transport)));
        }
        let mut subjects = vec![hello.subject(transport, &signing[0])?, raw.subject(transport, &signing[0])?];
        subjects.extend(signing);
        for connections in arguments.connections.iter().copied() {
            let arrival = arguments.rate.map_or(Arrival::Closed, Arrival::Open);
            let load = Load { arrival, connections, time: Duration::from_secs_f64(arguments.seconds) };
            let plan = Plan { about: "cells", transport, load, placement };
            println!("{}", table::group(&measure(&plan, &subjects, &care)?));
        }
    }
    Ok(())
}
