//! Where the story plays: a temporary directory, and the daemon in a process of its own. Whatever happens, dropping the
//! stage ends the process, by its pid, and takes the directory away.

use crate::cli::connect::interrupt::Interrupt;
use crate::cli::report::{Failure, with_causes};
use crate::config::Env;
use crate::crypto::random::generate_random;
use data_encoding::HEXLOWER;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// This very program, even if its file was replaced or removed since it started.
const PROGRAM: &str = "/proc/self/exe";
/// How long the daemon may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The longest path of a temporary directory: the kernel allows 107 bytes for a socket's.
const MAX_DIR_BYTES: usize = 90;

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub exit: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A temporary directory and perhaps a daemon.
pub struct Stage {
    /// The directory.
    dir: PathBuf,
    /// The daemon while it runs.
    daemon: Option<Child>,
    /// Whether somebody wants this to end.
    interrupt: Interrupt,
}

impl Stage {
    /// Makes the directory, with an empty configuration in it: this machine's own must not change the story.
    pub fn set_up(env: &Env, interrupt: Interrupt) -> Result<Stage, Failure> {
        let random = generate_random::<6>().map_err(|error| cannot("name the temporary directory", &error))?;
        let parent = env.path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
        let dir = env.absolute(&parent).join(format!("signvault-demo-{}", HEXLOWER.encode(&random)));
        if dir.as_os_str().len() > MAX_DIR_BYTES {
            return Err(Failure::failed("the path of the temporary directory is too long for a socket in it", TMPDIR));
        }
        // Fails where something has that name already, so nobody can have prepared it.
        DirBuilder::new().mode(0o700).create(&dir).map_err(|error| cannot("make a temporary directory", &error))?;
        let stage = Stage { dir, daemon: None, interrupt };
        stage.write("signvault.toml", "")?;
        Ok(stage)
    }

    /// The temporary directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts a file there.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        std::fs::write(self.dir.join(name), text).map_err(|error| cannot(&format!("write {name}"), &error))
    }

    /// The text of a file there.
    pub fn read(&self, name: &str) -> Result<String, Failure> {
        std::fs::read_to_string(self.dir.join(name)).map_err(|error| cannot(&format!("read {name}"), &error))
    }

    /// Who may do what with a file there: the last twelve bits of its mode.
    pub fn mode(&self, name: &str) -> Result<u32, Failure> {
        let metadata =
            std::fs::metadata(self.dir.join(name)).map_err(|error| cannot(&format!("look at {name}"), &error))?;
        Ok(metadata.permissions().mode() & 0o7777)
    }

    /// Whether somebody wants this to end, as a failure.
    pub fn go_on(&self) -> Result<(), Failure> {
        match self.interrupt.is_asked() {
            true => Err(Failure::failed("interrupted; the daemon is stopped and everything is removed", "")),
            false => Ok(()),
        }
    }

    /// Runs a command to its end, with this on its standard input.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Result<Ran, Failure> {
        self.go_on()?;
        let ran = self.spawn_and_wait(arguments, stdin).map_err(|error| cannot("run signvault", &error))?;
        self.go_on()?;
        Ok(ran)
    }

    /// Starts the daemon and waits until it answers: a socket has a name before anyone listens on it.
    pub fn start_daemon(&mut self, arguments: &[&str]) -> Result<(), Failure> {
        self.go_on()?;
        let log = File::create(self.dir.join("log")).map_err(|error| cannot("write the daemon's log", &error))?;
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| cannot("start the daemon", &error))?;
        let daemon = self.daemon.insert(child);
        let (socket, deadline) = (self.dir.join("run/admin.sock"), Instant::now() + PATIENCE);
        while UnixStream::connect(&socket).is_err() {
            let ended = !matches!(daemon.try_wait(), Ok(None));
            if ended || self.interrupt.is_asked() || Instant::now() > deadline {
                self.go_on()?;
                let log = self.read("log")?;
                return Err(Failure::failed(format!("the daemon did not start; its log: {}", log.trim_end()), TMPDIR));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// The daemon's process id.
    pub fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Asks the daemon to stop, as a supervisor would, and says how it ended.
    pub fn stop_daemon(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(None) };
        // Not reaped yet, so the number is still this child's.
        let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match daemon.try_wait() {
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                ended => return ended.map_err(|error| cannot("wait for the daemon", &error)),
            }
        }
        self.daemon = Some(daemon);
        Ok(None)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg0("signvault").args(arguments).current_dir(&self.dir).env_clear().env("HOME", &self.dir);
        for (flag, name) in [("--config", "signvault.toml"), ("--state-dir", "state"), ("--run-dir", "run")] {
            command.arg(flag).arg(self.dir.join(name));
        }
        // Out of the terminal's reach: Ctrl-C comes here, and here it is decided what ends first.
        command.process_group(0);
        command
    }

    fn spawn_and_wait(&self, arguments: &[&str], stdin: &str) -> io::Result<Ran> {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // A command that reads nothing closes the pipe: that is its right.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        let output = child.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(io::Error::other);
        Ok(Ran { exit: output.status.code().unwrap_or(-1), stdout: text(output.stdout)?, stderr: text(output.stderr)? })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // Gone already when it ended by itself.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What helps when the temporary directory is the trouble.
const TMPDIR: &str = "try with a short path to a directory of your own, as in: TMPDIR=/tmp signvault demo";

fn cannot(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::failed(format!("cannot {what}: {}", with_causes(error)), TMPDIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn stage_in(parent: &Path) -> Stage {
        let variables = [("TMPDIR".into(), parent.as_os_str().to_owned())].into();
        Stage::set_up(&Env { variables, working_dir: "/".into(), root: false }, Interrupt::default()).unwrap()
    }

    #[test]
    fn a_panic_leaves_no_process_and_no_directory() {
        let parent = tempfile::tempdir().unwrap();
        let mut stage = stage_in(parent.path());
        let daemon = Command::new("sleep").arg("600").spawn().unwrap();
        let process = PathBuf::from(format!("/proc/{}", daemon.id()));
        stage.daemon = Some(daemon);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _stage = stage;
            panic!("the story breaks off");
        }));
        assert!(panicked.is_err() && !process.exists());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_whose_sockets_would_have_too_long_a_path_is_refused() {
        let env = Env { variables: [("TMPDIR".into(), "/x".repeat(50).into())].into(), ..Env::default() };
        let failure = Stage::set_up(&env, Interrupt::default()).err().unwrap();
        assert!(failure.what.contains("too long") && failure.help.contains("TMPDIR=/tmp"), "{failure:?}");
    }
}
