//! Processes that this program starts, and ends by their ids.

use crate::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server has this long to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is killed when it goes out of scope.
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Outcome<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.spawn().map(Process).map_err(|error| format!("{name} does not start: {error}"))
    }

    /// Starts it and waits for the first line on its standard output, with which it says where it listens.
    pub fn start_and_hear(command: &mut Command) -> Outcome<(Process, String)> {
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let stdout = process.0.stdout.take().ok_or("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        if line.is_empty() {
            return Err(format!("{} ends before it listens", command.get_program().to_string_lossy()));
        }
        Ok((process, line.trim().to_owned()))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, as a supervisor does, and waits.
    pub fn stop(mut self) -> Outcome<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        kill_process(pid, Signal::TERM).map_err(|error| format!("SIGTERM: {error}"))?;
        self.0.wait().map(drop).map_err(|error| error.to_string())
    }

    /// Tries until it succeeds, as long as the process lives.
    pub fn wait_until<T>(&mut self, what: &str, mut attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if let Ok(Some(ended)) = self.0.try_wait() {
                return Err(format!("{what} ended ({ended}): {error}"));
            }
            if Instant::now() > deadline {
                return Err(format!("{what} does not answer: {error}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, if it ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
