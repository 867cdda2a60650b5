//! Rounds: every subject under the same load one after the other, several times over, and ratios only within a round.
//!
//! What others used of the processors is watched. A round in which that was much is measured again, a few times; which of
//! the tries was the quietest is the one that counts, and it is said how quiet it was.

use crate::Outcome;
use crate::framing::Request;
use crate::load::{self, Address, Arrival, Load, Transport};
use crate::machine::{self, Placement, Watch};
use hdrhistogram::Histogram;
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// More than this, in processors, and a round is measured again.
const MUCH: f64 = 0.08;

/// How often a round is measured at most, where there is time for it.
pub const TRIES: usize = 4;

/// What has a row in a table.
pub struct Subject {
    /// Its name in the table.
    pub name: String,
    /// Its processes.
    pub pids: Vec<u32>,
    /// What it does.
    pub work: Work,
}

/// What a subject does.
pub enum Work {
    /// Answers this there.
    Answer(Address, Request),
    /// Runs for so many seconds, its last argument, reads this, and writes its own [`Figures`].
    Run(Box<dyn Fn() -> Command>, String),
    /// Appends 4 KiB to a file and waits for the disk.
    Sync(PathBuf),
}

/// One load on some subjects.
#[derive(Clone, Copy)]
pub struct Plan {
    /// What the comparison is about.
    pub about: &'static str,
    /// How servers are reached.
    pub transport: Transport,
    /// How they are asked.
    pub load: Load,
    /// Where they run.
    pub placement: Placement,
}

impl Plan {
    /// A short name: `closed tcp 1 pinned`, `open unix 16 at 500 free`.
    pub fn key(&self) -> String {
        let transport = if self.transport == Transport::Tcp { "tcp" } else { "unix" };
        let placement = if self.placement == Placement::Pinned { "pinned" } else { "free" };
        let Load { arrival, connections, .. } = self.load;
        match arrival {
            Arrival::Closed => format!("{} {transport} {connections} {placement}", self.about),
            Arrival::Open(rate) => format!("{} {transport} {connections} at {rate} {placement}", self.about),
        }
    }

    fn title(&self) -> String {
        let transport = if self.transport == Transport::Tcp { "TCP" } else { "Unix socket" };
        let placement = match self.placement {
            Placement::Pinned => "client and server on one processor",
            Placement::Free => "placed freely",
        };
        let connections = match self.load.connections {
            1 => "1 connection".to_owned(),
            many => format!("{many} connections"),
        };
        let about = self.about;
        match self.load.arrival {
            Arrival::Closed => format!("{about}: {transport}, {connections}, {placement}"),
            Arrival::Open(rate) => format!("{about}: {transport}, {rate}/s over {connections}, {placement}"),
        }
    }
}

/// How all of it is measured.
pub struct Care {
    /// Rounds of each group.
    pub rounds: usize,
    /// How often a round is measured at most.
    pub tries: usize,
    /// The processors that there are.
    pub processors: CpuSet,
}

/// One subject under one load in one round.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Figures {
    /// Half of the answers were faster, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 were.
    pub p99_us: f64,
    /// 999 of 1000 were.
    pub p999_us: f64,
    /// All were, or as fast.
    pub max_us: f64,
    /// Answers in a second.
    pub per_second: f64,
    /// Time of the server on a processor for each answer, in microseconds.
    pub cpu_us: Option<f64>,
    /// The server's memory in RAM afterwards, in MiB.
    pub rss_mib: Option<f64>,
    /// How many answers the quantiles are of.
    pub answers: u64,
}

/// A subject's figures, a round each.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The subject.
    pub name: String,
    /// Its figures.
    pub rounds: Vec<Figures>,
}

/// What was measured under one load. The first row is what the others are compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// What the bounds call it.
    pub key: String,
    /// Transport, connections and placement in words.
    pub title: String,
    /// A row for each subject.
    pub rows: Vec<Row>,
    /// What others used in each round, in processors.
    pub foreign: Vec<f64>,
    /// How many rounds were measured again because that was much.
    pub again: usize,
}

/// The middle of some values, the least and the greatest.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Half are below it.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// Of these values, of which there is at least one.
    pub fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (half, last) = (values.len() / 2, values.len() - 1);
        let median =
            if values.len().is_multiple_of(2) { (values[half - 1] + values[half]) / 2.0 } else { values[half] };
        Spread { median, least: values[0], most: values[last] }
    }
}

impl Row {
    /// A figure over all rounds.
    pub fn figure(&self, figure: impl Fn(&Figures) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(figure))
    }

    /// A figure as a multiple of another row's in the same round.
    pub fn ratio(&self, other: &Row, figure: impl Fn(&Figures) -> f64) -> Spread {
        Spread::of(self.rounds.iter().zip(&other.rounds).map(|(own, other)| figure(own) / figure(other)))
    }
}

impl Group {
    /// The row of this subject.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Takes the rounds of another measurement of the same.
    pub fn append(&mut self, next: Group) {
        for (row, more) in self.rows.iter_mut().zip(next.rows) {
            row.rounds.extend(more.rounds);
        }
        self.foreign.extend(next.foreign);
        self.again += next.again;
    }
}

/// Measures these subjects under one load, in rounds.
pub fn measure(plan: &Plan, subjects: &[Subject], care: &Care) -> Outcome<Group> {
    let rows = subjects.iter().map(|subject| Row { name: subject.name.clone(), rounds: Vec::new() }).collect();
    let mut group = Group { key: plan.key(), title: plan.title(), rows, foreign: Vec::new(), again: 0 };
    for number in 0..care.rounds {
        let (mut best, mut tries) = (round(number, plan, subjects, care)?, 1);
        while best.1 > MUCH && tries < care.tries {
            eprintln!("{}: others used {:.2} processors, so this round is measured again", group.key, best.1);
            let next = round(number, plan, subjects, care)?;
            best = if next.1 < best.1 { next } else { best };
            tries += 1;
        }
        group.again += tries - 1;
        group.foreign.push(best.1);
        for (row, figures) in group.rows.iter_mut().zip(best.0) {
            row.rounds.push(figures);
        }
    }
    machine::place(Placement::Free, &[], &care.processors)?;
    Ok(group)
}

/// One round, and what others used of the processors in it. Each begins with another subject.
fn round(number: usize, plan: &Plan, subjects: &[Subject], care: &Care) -> Outcome<(Vec<Figures>, f64)> {
    let ours: BTreeSet<u32> = subjects.iter().flat_map(|subject| subject.pids.iter().copied()).collect();
    let ours: Vec<u32> = ours.into_iter().collect();
    let watch = Watch::start(&ours);
    let mut figures = vec![None; subjects.len()];
    for at in (0..subjects.len()).map(|at| (at + number) % subjects.len()) {
        let subject = &subjects[at];
        machine::place(plan.placement, &subject.pids, &care.processors)?;
        figures[at] = Some(figures_of(&plan.load, subject).map_err(|error| format!("{}: {error}", subject.name))?);
    }
    Ok((figures.into_iter().flatten().collect(), watch.foreign(&ours)))
}

fn figures_of(load: &Load, subject: &Subject) -> Outcome<Figures> {
    let (address, request) = match &subject.work {
        Work::Answer(address, request) => (address, request),
        Work::Run(command, stdin) => return run(command(), stdin, load.time),
        Work::Sync(path) => return sync(path, load.time),
    };
    let cpu = || subject.pids.iter().map(|pid| machine::cpu_time(*pid)).sum::<Duration>();
    let before = cpu();
    let sample = load::run(load, address, request)?;
    let cpu = cpu().saturating_sub(before).as_secs_f64() * 1e6 / sample.answers as f64;
    let rss: u64 = subject.pids.iter().map(|pid| machine::resident_kib(*pid)).sum::<Outcome<u64>>()?;
    let figures = Figures::of(&sample.times, sample.per_second);
    Ok(Figures { cpu_us: Some(cpu), rss_mib: Some(rss as f64 / 1024.0), ..figures })
}

impl Figures {
    fn of(times: &Histogram<u64>, per_second: f64) -> Figures {
        let quantile = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
        Figures {
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: times.max() as f64 / 1e3,
            per_second,
            cpu_us: None,
            rss_mib: None,
            answers: times.len(),
        }
    }
}

fn run(mut command: Command, stdin: &str, time: Duration) -> Outcome<Figures> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("{name}: {error}");
    command.arg(time.as_secs_f64().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // A program that reads nothing closes the pipe: that is its right.
    let _ = child.stdin.take().ok_or("no standard input")?.write_all(stdin.as_bytes());
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{name} wrote no figures: {error}"))
}

fn sync(path: &Path, time: Duration) -> Outcome<Figures> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::options().create(true).append(true).open(path).map_err(failed)?;
    let mut times = load::histogram();
    let began = Instant::now();
    while began.elapsed() < time {
        let begun = Instant::now();
        file.write_all(&[0; 4096]).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        times.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(Figures::of(&times, times.len() as f64 / began.elapsed().as_secs_f64()))
}
