//! What is measured by itself: a start, memory, and the write-ahead log under a load that lasts.

use crate::Outcome;
use crate::child::Process;
use crate::framing::Request;
use crate::full::Bench;
use crate::load::{self, Address, Arrival, Load, Transport};
use crate::machine;
use crate::own;
use crate::report::Results;
use crate::responders::WORD;
use crate::rounds::{Spread, Work};
use crate::vault::{Durability, Vault};
use memchr::memmem;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Starts of each program, in turns.
const STARTS: usize = 40;
/// Credentials of the vault whose memory is looked at.
const CREDENTIALS: usize = 1000;
/// How long the log is watched.
const FULL_LOAD: Duration = Duration::from_secs(60);
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// From the call that starts a program to its first answer, and the memory of a daemon.
pub fn start_and_memory(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let vault = Vault::new(&bench.binary, &bench.below)?;
    let (mut floor, mut daemon, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let listen = free_address()?;
        let mut command = own::command("floor", &listen, &bench.dir().join("unused"))?;
        floor.push(first_answer(command.stdin(Stdio::null()), &listen, (WORD, 1))?);
        let listen = free_address()?;
        let mut command = vault.serving(&listen, Durability::Full);
        daemon.push(first_answer(command.stderr(Stdio::null()), &listen, ("alive", 1))?);
        ratio.push(daemon[daemon.len() - 1] / floor[floor.len() - 1]);
    }
    results.value("start: the floor, a thread for each connection (ms)", floor);
    results.value("start: signvault, locked (ms)", daemon);
    results.value(START, ratio);
    results.value(LOCKED, vec![resident_mib(vault.serve(Durability::Full)?.id())?]);
    results.value(UNLOCKED, vec![unlocked_mib(bench)?]);
    Ok(())
}

/// The start as a multiple of the floor's.
pub const START: &str = "start: signvault × the floor";
/// Memory of a locked daemon.
pub const LOCKED: &str = "RSS of a locked daemon (MiB)";
/// Memory of one with a thousand credentials.
pub const UNLOCKED: &str = "RSS of a daemon unlocked with 1000 credentials, after signatures (MiB)";
/// The write-ahead log at its longest.
pub const LOG: &str = "write-ahead log during 60 s at full load, at most (MiB)";

/// An address that nobody listens on.
fn free_address() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.to_string()).map_err(|error| error.to_string())
}

/// Milliseconds from before the program is started until it has answered.
fn first_answer(command: &mut Command, listen: &str, expect: (&'static str, usize)) -> Outcome<f64> {
    let address = Address::Tcp(listen.parse().map_err(|_| format!("{listen} is no address"))?);
    let request = Request::get(listen, "/health", expect);
    let begun = Instant::now();
    let _process = Process::start(command)?;
    loop {
        match load::ask_once(&address, &request) {
            Ok(answer) if memmem::find(&answer, expect.0.as_bytes()).is_some() => {
                return Ok(begun.elapsed().as_secs_f64() * 1e3);
            }
            Ok(answer) => return Err(format!("the first answer is {}", String::from_utf8_lossy(&answer))),
            Err(error) if begun.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_micros(20)),
        }
    }
}

fn resident_mib(pid: u32) -> Outcome<f64> {
    Ok(machine::resident_kib(pid)? as f64 / 1024.0)
}

/// A daemon that has unlocked a large vault with the usual password hash, and signed.
fn unlocked_mib(bench: &Bench) -> Outcome<f64> {
    let vault = Vault::usual(&bench.binary, &bench.below)?;
    {
        let daemon = vault.serve(Durability::Process)?;
        daemon.unlock()?;
        for number in 1..CREDENTIALS {
            daemon.add_credential(&format!("credential-{number}"))?;
        }
        daemon.stop()?;
    }
    let bot = vault.serve_a_bot(Durability::Process)?;
    let subject = bot.one("", Transport::Tcp);
    let Work::Answer(address, request) = &subject.work else { return Err("a bot asks".to_owned()) };
    let load = Load { arrival: Arrival::Closed, connections: 16, time: Duration::from_millis(500) };
    load::run(&load, address, request)?;
    resident_mib(bot.daemon.id())
}

/// How long the write-ahead log becomes while a daemon has all that it can do for a minute.
pub fn log_size(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let vault = Vault::new(&bench.binary, &bench.below)?;
    let bot = vault.serve_a_bot(Durability::Process)?;
    let subject = bot.one("", Transport::Tcp);
    let Work::Answer(address, request) = &subject.work else { return Err("a bot asks".to_owned()) };
    let load = Load { arrival: Arrival::Closed, connections: 16, time: FULL_LOAD };
    let (log, is_over) = (vault.log_file(), AtomicBool::new(false));
    let (sample, most) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&log, &is_over));
        let sample = load::run(&load, address, request);
        is_over.store(true, Ordering::Relaxed);
        (sample, watching.join().unwrap_or(f64::INFINITY))
    });
    results.value("signatures a second for 60 s, 16 connections, process durability", vec![sample?.per_second]);
    results.value(LOG, vec![most]);
    Ok(())
}

/// The greatest size of a file that was seen, in MiB.
fn watch(path: &Path, is_over: &AtomicBool) -> f64 {
    let mut most = 0;
    while !is_over.load(Ordering::Relaxed) {
        most = most.max(path.metadata().map_or(0, |about| about.len()));
        std::thread::sleep(Duration::from_millis(10));
    }
    most as f64 / MIB
}

impl Results {
    /// Notes what was measured once or a few times.
    fn value(&mut self, name: &'static str, values: Vec<f64>) {
        let spread = Spread::of(values.into_iter());
        println!("{name}: {:.2} ({:.2}..{:.2})", spread.median, spread.least, spread.most);
        self.values.insert(name.to_owned(), spread);
    }
}
