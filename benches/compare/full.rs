//! `all`: every comparison, one table, and whether the promises about speed are kept.

use crate::Outcome;
use crate::bounds;
use crate::load::{Arrival, Load, Transport};
use crate::long;
use crate::machine::{self, Placement};
use crate::own::Responder;
use crate::peers::{self, Agent, Installed, Server};
use crate::report::{self, Results};
use crate::rounds::{Care, Plan, Subject, TRIES, Work, measure};
use crate::table;
use crate::vault::{Durability, Vault};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon's names in the table.
pub const PROCESS: &str = "signvault process";
/// With rows that survive power loss.
pub const FULL: &str = "signvault full";
/// Over its Unix socket, in a table of TCP.
pub const UNIX: &str = "signvault process, Unix socket";
/// The build for measurements without a ledger.
pub const NO_LEDGER: &str = "signvault without the ledger write";
/// The build for measurements with a commit for each ask.
pub const COMMIT_EACH: &str = "signvault full, a commit for each ask";
/// A write of 4 KiB and its sync.
pub const SYNC: &str = "fdatasync of 4 KiB";

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// The signvault to measure
    #[arg(long, default_value = "target/bench/signvault")]
    binary: PathBuf,
    /// The same with the feature bench-variants
    #[arg(long, default_value = "target/bench/signvault-variants")]
    variants: PathBuf,
    /// Where vaults are made, and the table is written: table.md and table.json
    #[arg(long, default_value = "target/bench")]
    below: PathBuf,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_parser = PARTS.map(|(name, _)| name))]
    only: Vec<String>,
    /// Rounds of each load
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    installed: Installed,
}

/// What the parts share.
pub struct Bench {
    /// How carefully.
    pub care: Care,
    /// The binary under test.
    pub binary: PathBuf,
    /// Where vaults are made.
    pub below: PathBuf,
    variants: PathBuf,
    installed: Installed,
    dir: tempfile::TempDir,
    hello: Responder,
    raw: Responder,
}

type Part = fn(&Bench, &mut Results) -> Outcome<()>;

/// The parts of the table, in its order.
const PARTS: [(&str, Part); 8] = [
    ("closed", closed),
    ("open", open),
    ("batch", batches),
    ("peers", peers),
    ("agents", agents),
    ("bots", bots),
    ("start", long::start_and_memory),
    ("log", long::log_size),
];

/// Measures everything, or what is asked for.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    for (binary, how) in [(&arguments.binary, ""), (&arguments.variants, " --features bench-variants")] {
        if !binary.exists() {
            let name = binary.display();
            return Err(format!(
                "{name} is missing: `cargo build --profile dist{how}`, copied there; `make bench` does it"
            ));
        }
    }
    peers::check(&arguments.installed)?;
    let below = std::path::absolute(&arguments.below).map_err(|error| error.to_string())?;
    let dir = tempfile::tempdir_in(&below).map_err(|error| format!("{}: {error}", below.display()))?;
    let bench = Bench {
        care: Care { rounds: arguments.rounds, tries: TRIES, processors: machine::processors()? },
        binary: arguments.binary.clone(),
        variants: arguments.variants.clone(),
        installed: arguments.installed.clone(),
        hello: Responder::start("hello", "axum hello", dir.path())?,
        raw: Responder::start("raw", "raw tokio", dir.path())?,
        below,
        dir,
    };
    let machine = machine::words(&bench.care.processors);
    let mut results = Results { machine, ..Results::default() };
    for (name, part) in PARTS {
        if arguments.only.is_empty() || arguments.only.iter().any(|only| only == name) {
            part(&bench, &mut results)?;
        }
    }
    report::write(&results, &bench.below)?;
    bounds::verdict(&results)
}

impl Bench {
    /// Vaults of the kinds that most tables show.
    fn vaults(&self) -> Outcome<Vaults> {
        Ok(Vaults {
            process: Vault::new(&self.binary, &self.below)?,
            full: Vault::new(&self.binary, &self.below)?,
            no_ledger: Vault::variant(&self.variants, "no-ledger", &self.below)?,
            commit_each: Vault::variant(&self.variants, "commit-each", &self.below)?,
        })
    }

    /// Measures these beside the bare server, and shows the table at once.
    pub fn measure(&self, results: &mut Results, plan: &Plan, mut subjects: Vec<Subject>) -> Outcome<()> {
        let asked = subjects.iter().position(|subject| matches!(subject.work, Work::Answer(..))).ok_or("no server")?;
        subjects.insert(0, self.hello.subject(plan.transport, &subjects[asked])?);
        let group = measure(plan, &subjects, &self.care)?;
        println!("{}", table::group(&group));
        results.groups.push(group);
        Ok(())
    }
}

struct Vaults {
    process: Vault,
    full: Vault,
    no_ledger: Vault,
    commit_each: Vault,
}

fn ms(time_ms: u64) -> Duration {
    Duration::from_millis(time_ms)
}

fn plan(about: &'static str, transport: Transport, connections: usize, placement: Placement, time_ms: u64) -> Plan {
    Plan { about, transport, load: Load { arrival: Arrival::Closed, connections, time: ms(time_ms) }, placement }
}

fn closed(bench: &Bench, results: &mut Results) -> Outcome<()> {
    for transport in [Transport::Tcp, Transport::Unix] {
        let vaults = bench.vaults()?;
        let process = vaults.process.serve_a_bot(Durability::Process)?;
        let full = vaults.full.serve_a_bot(Durability::Full)?;
        let no_ledger = vaults.no_ledger.serve_a_bot(Durability::Process)?;
        let commit_each = vaults.commit_each.serve_a_bot(Durability::Full)?;
        for (placement, connections) in [
            (Placement::Pinned, 1),
            (Placement::Pinned, 16),
            (Placement::Pinned, 64),
            (Placement::Free, 1),
            (Placement::Free, 4),
            (Placement::Free, 16),
            (Placement::Free, 64),
        ] {
            let mut subjects = vec![process.one(PROCESS, transport), full.one(FULL, transport)];
            subjects.push(bench.raw.subject(transport, &subjects[0])?);
            match (transport, placement, connections) {
                (Transport::Tcp, Placement::Pinned, 1) => {
                    subjects.push(process.one(UNIX, Transport::Unix));
                    subjects.push(no_ledger.one(NO_LEDGER, transport));
                    let (work, name) = (Work::Sync(bench.dir.path().join("sync")), SYNC.to_owned());
                    subjects.push(Subject { name, pids: Vec::new(), work });
                }
                (Transport::Tcp, Placement::Pinned, 16) => subjects.push(commit_each.one(COMMIT_EACH, transport)),
                _ => (),
            }
            bench.measure(results, &plan("closed loop", transport, connections, placement, 700), subjects)?;
        }
    }
    Ok(())
}

fn open(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let vaults = bench.vaults()?;
    let process = vaults.process.serve_a_bot(Durability::Process)?;
    let full = vaults.full.serve_a_bot(Durability::Full)?;
    let no_ledger = vaults.no_ledger.serve_a_bot(Durability::Process)?;
    for (transport, rate, time_ms) in [
        (Transport::Tcp, 500, 6000),
        (Transport::Tcp, 5000, 2000),
        (Transport::Unix, 500, 4000),
        (Transport::Unix, 5000, 2000),
    ] {
        let load = Load { arrival: Arrival::Open(rate), connections: 16, time: ms(time_ms) };
        let plan = Plan { about: "open loop", transport, load, placement: Placement::Free };
        let subjects =
            vec![process.one(PROCESS, transport), full.one(FULL, transport), no_ledger.one(NO_LEDGER, transport)];
        bench.measure(results, &plan, subjects)?;
    }
    Ok(())
}

fn batches(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let vaults = bench.vaults()?;
    let process = vaults.process.serve_a_bot(Durability::Process)?;
    let full = vaults.full.serve_a_bot(Durability::Full)?;
    for connections in [1, 16] {
        let subjects = vec![process.batch(PROCESS, Transport::Tcp), full.batch(FULL, Transport::Tcp)];
        bench.measure(
            results,
            &plan("batches of 20", Transport::Tcp, connections, Placement::Pinned, 700),
            subjects,
        )?;
    }
    Ok(())
}

fn peers(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let (vaults, installed) = (bench.vaults()?, &bench.installed);
    let process = vaults.process.serve_a_bot(Durability::Process)?;
    let full = vaults.full.serve_a_bot(Durability::Full)?;
    let servers = [
        Server::fastify(installed, &process.token)?,
        Server::fastapi(installed, &process.token, "NORMAL", bench.dir.path())?,
        Server::fastapi(installed, &process.token, "FULL", bench.dir.path())?,
    ];
    for (connections, placement) in [(1, Placement::Pinned), (1, Placement::Free), (16, Placement::Free)] {
        let mut subjects = vec![process.one(PROCESS, Transport::Tcp), full.one(FULL, Transport::Tcp)];
        for server in &servers {
            subjects.push(server.subject(&subjects[0])?);
        }
        bench.measure(results, &plan("web servers", Transport::Tcp, connections, placement, 1000), subjects)?;
    }
    Ok(())
}

fn agents(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let vault = Vault::new(&bench.binary, &bench.below)?;
    let process = vault.serve_a_bot(Durability::Process)?;
    let agent = Agent::start(bench.dir.path())?;
    for (connections, placement) in [(1, Placement::Pinned), (16, Placement::Free)] {
        let subjects = vec![process.one(PROCESS, Transport::Unix), agent.ed25519()?, agent.ecdsa()?];
        bench.measure(results, &plan("ssh-agent", Transport::Unix, connections, placement, 1000), subjects)?;
    }
    Ok(())
}

fn bots(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let vault = Vault::new(&bench.binary, &bench.below)?;
    let process = vault.serve_a_bot(Durability::Process)?;
    let mut subjects = vec![process.one(PROCESS, Transport::Tcp), process.one(UNIX, Transport::Unix)];
    subjects.extend(peers::clients(&bench.installed, &process));
    bench.measure(results, &plan("what a bot waits", Transport::Tcp, 1, Placement::Pinned, 1000), subjects)?;
    let mut subjects = vec![process.one(PROCESS, Transport::Tcp)];
    subjects.extend(peers::in_process(&bench.installed));
    bench.measure(results, &plan("signing in the bot", Transport::Tcp, 1, Placement::Pinned, 1000), subjects)
}

impl Bench {
    /// A directory for what is neither a vault nor kept.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
