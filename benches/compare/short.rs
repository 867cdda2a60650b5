//! `short`: is a signature as fast as it was? A guard for every change, so it may neither fail by chance nor let a daemon
//! through that is twice as slow.
//!
//! Noise makes things slower and nothing faster. So the best of several rounds is compared with the bare server's best,
//! both on one processor, and a bound that is not kept has more rounds until it is, up to a minute of them.

use crate::Outcome;
use crate::load::{Arrival, Load, Transport};
use crate::machine::{self, Placement};
use crate::own::Responder;
use crate::rounds::{Care, Figures, Group, Plan, Subject, measure};
use crate::vault::{Durability, Vault};
use std::path::PathBuf;
use std::time::Duration;

/// Rounds at least.
const LEAST: usize = 4;
/// Rounds at most: a bound that is not kept by then is broken.
const MOST: usize = 14;
/// For each subject in a round.
const TIME: Duration = Duration::from_millis(400);

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// The signvault to measure
    #[arg(long, default_value = "target/bench/signvault")]
    binary: PathBuf,
    /// Where its vault is made
    #[arg(long, default_value = "target/bench")]
    below: PathBuf,
}

/// How much more than usual a figure may be: as far from what is usual as from twice that.
const SLACK: f64 = 1.4;

/// A figure of the daemon as a multiple of the bare server's, each at its best.
struct Guard {
    about: &'static str,
    plan: &'static str,
    figure: fn(&Figures) -> f64,
    /// What it is when nothing is wrong: the middle of several runs. To be lowered when signatures have become faster.
    usual: f64,
}

const GUARDS: [Guard; 5] = [
    Guard { about: "p50, TCP, 1 connection", plan: "one tcp 1 pinned", figure: |one| one.p50_us, usual: 1.85 },
    Guard { about: "p50, Unix socket, 1 connection", plan: "one unix 1 pinned", figure: |one| one.p50_us, usual: 1.95 },
    Guard { about: "processor time of one, TCP, 16 connections", plan: "one tcp 16 pinned", figure: cpu, usual: 2.4 },
    Guard { about: "p50, batch of 20", plan: "batch of 20 tcp 1 pinned", figure: |one| one.p50_us, usual: 9.8 },
    Guard { about: "processor time, batch of 20", plan: "batch of 20 tcp 1 pinned", figure: cpu, usual: 23.0 },
];

fn cpu(figures: &Figures) -> f64 {
    figures.cpu_us.unwrap_or(f64::INFINITY)
}

/// Measures until every bound is kept, and fails when one never is.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let care = Care { rounds: 1, tries: 1, processors: machine::processors()? };
    let below = std::path::absolute(&arguments.below).map_err(|error| error.to_string())?;
    let dir = tempfile::tempdir_in(&below).map_err(|error| format!("{}: {error}", below.display()))?;
    let hello = Responder::start("hello", "axum hello", dir.path())?;
    let vault = Vault::new(&arguments.binary, &below)?;
    let bot = vault.serve_a_bot(Durability::Process)?;
    let mut plans = Vec::new();
    for (about, transport, connections) in [
        ("one", Transport::Tcp, 1),
        ("one", Transport::Unix, 1),
        ("one", Transport::Tcp, 16),
        ("batch of 20", Transport::Tcp, 1),
    ] {
        let load = Load { arrival: Arrival::Closed, connections, time: TIME };
        let asked = if about == "one" { bot.one("signvault", transport) } else { bot.batch("signvault", transport) };
        let subjects = [hello.subject(transport, &asked)?, asked];
        plans.push((Plan { about, transport, load, placement: Placement::Pinned }, subjects));
    }
    let groups = rounds(&plans, &care)?;
    println!("signvault × axum hello, each at its best, of {} rounds:", groups[0].foreign.len());
    for guard in &GUARDS {
        println!("  {:>6.2}, at most {:>5.2}: {}", guard.ratio(&groups), SLACK * guard.usual, guard.about);
    }
    match GUARDS.iter().filter(|guard| !guard.is_kept(&groups)).count() {
        0 => Ok(()),
        broken => Err(format!("{broken} of the bounds above are broken: something made signatures slower")),
    }
}

fn rounds(plans: &[(Plan, [Subject; 2])], care: &Care) -> Outcome<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for number in 0..MOST {
        for (at, (plan, subjects)) in plans.iter().enumerate() {
            let next = measure(plan, subjects, care)?;
            match groups.get_mut(at) {
                Some(group) => group.append(next),
                None => groups.push(next),
            }
        }
        if number + 1 >= LEAST && GUARDS.iter().all(|guard| guard.is_kept(&groups)) {
            break;
        }
    }
    Ok(groups)
}

impl Guard {
    fn ratio(&self, groups: &[Group]) -> f64 {
        let best = |group: &Group, row: usize| group.rows[row].figure(self.figure).least;
        let group = groups.iter().find(|group| group.key == self.plan);
        group.map_or(f64::NAN, |group| best(group, 1) / best(group, 0))
    }

    fn is_kept(&self, groups: &[Group]) -> bool {
        self.ratio(groups) <= SLACK * self.usual
    }
}
