//! Thousands of connections and hardly a file descriptor: the daemon takes what it can, waits without spinning, answers
//! its admin, and is as before when they are gone.

use crate::run::Run;
use crate::support::Daemon;
use crate::support::http::Connection;
use crate::vaults::{Admin, Original, command_under, serve};
use crate::witness::told;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// What the daemon may have open: what it needs, and a little.
const DESCRIPTORS: &str = "--nofile=40:40";
/// Connections held at the same time while more come.
const HELD: usize = 200;
/// How long one waits to be connected: no longer than until the next.
const CONNECT: Duration = Duration::from_millis(5);
/// How long the processor time is measured.
const MEASURED: Duration = Duration::from_secs(4);
/// The kernel's unit of processor time, in milliseconds.
const TICK_MS: u64 = 10;

/// T73. A round is one connection.
pub fn t73_thousands_of_connections_do_not_spin_it_or_shut_its_admin_out(run: &mut Run) {
    let original = Original::new();
    let connects = run.rounds;
    run.round(format!("{connects} connections, 40 descriptors"), |_| crowd(&original, connects));
}

fn crowd(original: &Original, connects: usize) -> Vec<String> {
    let vault = original.copy();
    let daemon = vault.serve_by(command_under(serve(&vault), "prlimit", &[DESCRIPTORS]));
    let admin = Admin::of(&daemon);
    admin.unlock(&original.key).ok();
    let mut wrong = Vec::new();
    let address: SocketAddr = ([127, 0, 0, 1], daemon.port).into();
    let mut held = Vec::new();
    for _ in 0..connects {
        if held.len() >= HELD {
            held.remove(0);
        }
        held.extend(TcpStream::connect_timeout(&address, CONNECT).ok());
    }
    let before = processor_ms(&daemon);
    thread::sleep(MEASURED);
    let used = (processor_ms(&daemon) - before) as f64 / MEASURED.as_millis() as f64;
    wrong.extend((used >= 0.05).then(|| format!("it uses {:.1} % of a processor to wait", used * 100.0)));
    for what in ["status", "lock", "unlock"] {
        let began = Instant::now();
        let answer = match what {
            "status" => admin.try_ask("GET", "/v1/status", None),
            "lock" => admin.try_ask("POST", "/v1/lock", None),
            _ => Ok(admin.unlock(&original.key)),
        };
        match answer {
            Ok(answer) if answer.status == 200 && began.elapsed() < Duration::from_secs(2) => (),
            other => {
                let told = other.map_or_else(|error| error.to_string(), |answer| told(&answer));
                wrong.push(format!("{what} under the crowd, after {:.1?}: {told}", began.elapsed()));
                break;
            }
        }
    }
    drop(held);
    wrong.extend(is_not_as_before(&daemon, &original.token));
    wrong
}

/// Signs again, soon, over both transports.
fn is_not_as_before(daemon: &Daemon<'_>, token: &str) -> Option<String> {
    let signs = |connection: std::io::Result<Connection>| {
        let answer = connection?.try_sign(token, "main", "GET", "/api/v5/account/balance", None)?;
        Ok::<bool, std::io::Error>(answer.status == 200)
    };
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let both = [signs(Connection::try_tcp(daemon.port)), signs(Connection::try_unix(&daemon.sign_socket()))];
        if both.into_iter().all(|one| one.is_ok_and(|signed| signed)) {
            return None;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Some("it does not sign five seconds after they are gone".to_owned())
}

/// Processor time that a process has used: proc(5), `utime` and `stime`.
fn processor_ms(daemon: &Daemon<'_>) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("stat");
    let after_the_name = stat.rsplit_once(')').expect("a name").1;
    let numbers: Vec<u64> = after_the_name.split_whitespace().skip(11).take(2).map(|n| n.parse().unwrap()).collect();
    numbers.iter().sum::<u64>() * TICK_MS
}
