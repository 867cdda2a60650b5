//! The README is run, so that it cannot rot. Comments in it, which a reader does not see, say how:
//!
//! - `<!-- run -->` before a block: its commands are run.
//! - `<!-- run: COMMANDS -->`: these are run at this place. They check what was just said, or stand in for a command that
//!   asks a person.
//! - `<!-- needs python3 and curl -->` and `<!-- needs python3 and curl: COMMANDS -->`: the same, by the test that has both.
//! - `<!-- file: NAME -->` before a block: the block is written to this file.
//! - `<!-- not run: REASON -->` before a block: it is not.
//!
//! Every block of commands or code has one of them. All commands run in one shell, in order, in an empty home directory,
//! with [`PREAMBLE`] before them; port 8731 and `/run/signvault` stand for this run's own.

use crate::support::Answer;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const README: &str = include_str!("../../README.md");

/// What the commands may use besides the shell.
const PREAMBLE: &str = r#"
PASSWORD='correct horse battery'
export SIGNVAULT_STATE_DIR="$HOME/state"
daemon=
start_daemon() {
  signvault serve 2>>daemon.log & daemon=$!
  until signvault status >/dev/null 2>&1; do kill -0 "$daemon"; sleep 0.02; done
}
stop_daemon() { kill "$daemon"; wait "$daemon"; daemon=; }
exits() {
  expected=$1; shift; code=0; "$@" || code=$?
  test "$code" = "$expected" || { echo "exit code $code instead of $expected: $*" >&2; exit 70; }
}
trap 'test -z "$daemon" || kill "$daemon"' EXIT
set -x
"#;

/// What is found in the README.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Commands that need only the binary.
    Run(String),
    /// Commands that need python3 and curl.
    Needs(String),
    /// A file.
    File(String, String),
    /// A block that is not run.
    NotRun,
}

/// Reads the README in order.
fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut mark: Option<String> = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ") {
            let mut comment = comment.to_owned();
            while !comment.ends_with("-->") {
                comment = format!("{comment}\n{}", lines.next().expect("a comment ends").1);
            }
            let comment = comment.trim_end_matches("-->").trim().to_owned();
            match comment.split_once(": ") {
                Some(("run", commands)) => found.push(Piece::Run(commands.to_owned())),
                Some(("needs python3 and curl", commands)) => found.push(Piece::Needs(commands.to_owned())),
                _ => mark = Some(comment),
            }
        } else if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let block = block.join("\n") + "\n";
            let mark = mark.take().unwrap_or_else(|| panic!("the block on line {} has no mark", number + 1));
            found.push(marked(&mark, block).unwrap_or_else(|| panic!("line {}: unknown mark: {mark}", number + 1)));
        } else {
            assert!(mark.is_none() || line.is_empty(), "line {}: a mark stands right before its block", number + 1);
        }
    }
    found
}

fn marked(mark: &str, block: String) -> Option<Piece> {
    match mark.split_once(": ") {
        None if mark == "run" => Some(Piece::Run(block)),
        None if mark == "needs python3 and curl" => Some(Piece::Needs(block)),
        Some(("file", name)) => Some(Piece::File(name.to_owned(), block)),
        Some(("not run", _)) => Some(Piece::NotRun),
        _ => None,
    }
}

/// A home directory to run the README in.
struct Home {
    dir: tempfile::TempDir,
    port: u16,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Given back at once; the daemon takes it a moment later.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port").port();
        std::fs::write(dir.path().join("signvault.toml"), "").expect("written");
        Home { dir, port }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text with this run's port and sockets.
    fn here(&self, text: &str) -> String {
        let sockets = format!("{}/", self.path("run").display());
        text.replace("8731", &self.port.to_string()).replace("/run/signvault/", &sockets)
    }

    /// Runs what is wanted of the README, in order, in one shell.
    fn run(&self, wanted: impl Fn(&Piece) -> bool, path: &str, exchange: &str) -> Answer {
        let mut script = format!("set -eu\n{PREAMBLE}");
        for piece in pieces(README).iter().filter(|piece| wanted(piece)) {
            match piece {
                Piece::Run(commands) | Piece::Needs(commands) => script.push_str(&(self.here(commands) + "\n")),
                Piece::File(name, text) => std::fs::write(self.path(name), self.here(text)).expect("written"),
                Piece::NotRun => {}
            }
        }
        let program = Path::new(env!("CARGO_BIN_EXE_signvault")).parent().expect("a directory");
        let mut shell = Command::new("sh");
        shell.env_clear().env("HOME", self.dir.path()).env("PATH", format!("{}:{path}", program.display()));
        shell.env("SIGNVAULT_CONFIG", self.path("signvault.toml")).env("SIGNVAULT_RUN_DIR", self.path("run"));
        shell.env("SIGNVAULT_LISTEN", format!("127.0.0.1:{}", self.port)).env("EXCHANGE", exchange);
        shell.current_dir(self.dir.path()).args(["-c", &script]).stdin(Stdio::null());
        Answer::of(shell.output().expect("sh runs"))
    }
}

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[test]
fn the_commands_do_what_the_readme_says() {
    let needs_only_the_binary = |piece: &Piece| matches!(piece, Piece::Run(_) | Piece::File(..));
    Home::new().run(needs_only_the_binary, PATH, "").ok();
}

/// The local exchange. It is ended, by its pid, when the test is over.
struct Exchange {
    process: Child,
    url: String,
}

impl Exchange {
    fn start() -> Exchange {
        use std::io::{BufRead, BufReader};
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/exchange.py");
        let mut command = Command::new("python3");
        let mut process = command.arg(program).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let mut port = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut port).expect("a port");
        Exchange { process, url: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs python3 and curl"]
fn the_scripts_of_the_readme_reach_the_exchange() {
    let exchange = Exchange::start();
    // The interpreter itself: a version manager's launcher looks for its versions in the home directory.
    let interpreter = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let interpreter = Answer::of(interpreter.expect("python3 runs")).ok();
    let python = Path::new(interpreter.trim()).parent().expect("a directory");
    let said = Home::new().run(|_| true, &format!("{}:{PATH}", python.display()), &exchange.url).ok();
    assert_eq!(said.matches("\"OK-ACCESS-SIGN\":").count(), 2, "one answer for each curl command: {said}");
}

#[test]
fn the_scripts_are_those_of_the_page_about_plain_http() {
    let page = include_str!("../../docs/bots/plain.md");
    for piece in pieces(README) {
        let shown = match piece {
            Piece::File(name, text) if name.ends_with(".py") || name.ends_with(".lines") => text,
            Piece::Needs(text) if text.starts_with("ask=") => text,
            _ => continue,
        };
        assert!(page.contains(&shown), "docs/bots/plain.md does not show:\n{shown}");
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    let sources = ["src", "tests/it", "tests/faults", "tests/systemd"].map(sources_below).concat();
    let pages = [(README, 10), (include_str!("../../SECURITY.md"), 10), (include_str!("../../docs/logs.md"), 8)];
    for (text, least) in pages {
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
        let names: Vec<&str> =
            quoted.filter(|word| word.matches('_').count() >= 3 && !word.contains(['/', ' '])).collect();
        assert!(names.len() >= least, "{names:?}");
        for name in names {
            let defined = ["fn", "def"].iter().any(|word| sources.contains(&format!("{word} {name}(")));
            assert!(defined, "there is no test {name}");
        }
    }
}

fn sources_below(dir: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).expect("listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &sources_below(path.to_str().expect("UTF-8"));
        } else if path.extension().is_some_and(|end| end == "rs" || end == "py") {
            text += &std::fs::read_to_string(&path).expect("read");
        }
    }
    text
}

#[test]
fn links_to_files_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for text in [README, include_str!("../../SECURITY.md"), include_str!("../../CHANGELOG.md")] {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with(['#', 'h'])) {
            assert!(root.join(target).exists(), "{target} is linked and not there");
        }
    }
}

#[test]
fn the_readme_lists_every_command_and_only_these() {
    let help = Answer::of(Command::new(env!("CARGO_BIN_EXE_signvault")).arg("--help").output().expect("runs")).ok();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> =
        listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    let table =
        README.split_once("| command | does |").and_then(|(_, rest)| rest.split_once("\n\n")).expect("a table").0;
    let first_cells = table.lines().filter_map(|row| row.split('|').nth(1));
    let named: Vec<&str> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let named: Vec<&str> = named.iter().filter_map(|name| name.split(' ').next()).collect();
    for command in &commands {
        assert!(named.contains(command), "the README does not list {command}");
    }
    assert!(named.iter().all(|name| commands.contains(name)), "{named:?}");
}
