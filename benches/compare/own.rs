//! The servers that this program is itself, started.

use crate::Outcome;
use crate::child::Process;
use crate::load::{Address, Transport};
use crate::responders::{ROLE, WORD};
use crate::rounds::{Subject, Work};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A responder in a process of its own.
pub struct Responder {
    name: &'static str,
    process: Process,
    tcp: Address,
    unix: Address,
}

impl Responder {
    /// Starts one; its socket stands in this directory.
    pub fn start(kind: &'static str, name: &'static str, dir: &Path) -> Outcome<Responder> {
        let socket: PathBuf = dir.join(format!("{kind}.sock"));
        let mut command = command(kind, "127.0.0.1:0", &socket)?;
        let (process, tcp) = Process::start_and_hear(&mut command)?;
        let tcp = tcp.parse().map_err(|_| format!("{kind} says {tcp:?}"))?;
        Ok(Responder { name, process, tcp: Address::Tcp(tcp), unix: Address::Unix(socket) })
    }

    /// As a subject that is asked what this other one is asked.
    pub fn subject(&self, transport: Transport, other: &Subject) -> Outcome<Subject> {
        let Work::Answer(_, asked) = &other.work else { return Err(format!("{} is asked nothing", other.name)) };
        let address = if transport == Transport::Tcp { &self.tcp } else { &self.unix }.clone();
        let work = Work::Answer(address, asked.clone().expecting((WORD, 1)));
        Ok(Subject { name: self.name.to_owned(), pids: vec![self.process.id()], work })
    }
}

/// The command that starts a responder.
pub fn command(kind: &str, tcp: &str, unix: &Path) -> Outcome<Command> {
    let own = std::env::current_exe().map_err(|error| format!("this program has no name: {error}"))?;
    let mut command = Command::new(own);
    command.args([ROLE, kind, tcp]).arg(unix);
    Ok(command)
}
