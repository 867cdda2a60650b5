//! Ten thousand connections of one user on the bots' socket, while another user's bot signs: the kernel tells users apart,
//! so the first has the places that one user may have, and the second does not notice.

use crate::bots::become_user;
use crate::support::http::Connection;
use crate::support::{Daemon, Vault};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// The users: one with a crowd, one with a bot.
const CROWD: u32 = 65_534;
const BOT: u32 = 65_533;
/// Connections that the crowd opens.
const CONNECTIONS: usize = 10_000;
/// Places of one user under the default configuration: half of `max_connections`.
const OF_ONE_USER: usize = 128;
/// Signatures that a percentile is taken of, and how many times that is measured with the crowd and without.
const SIGNATURES: usize = 200;
const ROUNDS: usize = 5;
/// A signature that takes less than this is quick enough, whatever it took at other times: on a machine that does something
/// else as well, the slowest of a hundred tells of that and not of a crowd.
const QUICK: Duration = Duration::from_millis(25);

/// The open files of a process, by number.
fn descriptors(daemon: &Daemon<'_>) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its files").count()
}

/// The time that all but the slowest hundredth of signatures took, as the bot's user, each on the one connection that
/// a bot keeps.
fn slowest_but_one_in_a_hundred(socket: &Path, token: &str) -> Duration {
    let mut connection = Connection::unix(socket);
    let mut times: Vec<Duration> = (0..SIGNATURES)
        .map(|_| {
            let began = Instant::now();
            connection.sign(token, "main", "GET", "/api/v5/account/balance", None).ok();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[SIGNATURES * 99 / 100 - 1]
}

/// Runs this as another user, on a thread that ends as that user.
fn as_user<T: Send>(uid: u32, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_user(uid);
            run()
        });
        thread.join().expect("it ends")
    })
}

/// Opens so many connections and keeps those that the daemon did not close; how many it did not.
fn crowd(socket: &Path) -> Vec<UnixStream> {
    let mut streams: Vec<UnixStream> = (0..CONNECTIONS)
        .map(|_| {
            let stream = UnixStream::connect(socket).expect("connected");
            stream.set_nonblocking(true).expect("set");
            stream
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while streams.len() > OF_ONE_USER && Instant::now() < deadline {
        streams.retain_mut(is_open);
        std::thread::sleep(Duration::from_millis(20));
    }
    streams
}

fn is_open(stream: &mut UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// A middle one of several.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Needs root, to be several users, and ten thousand open files.
#[test]
#[ignore = "make crowd"]
#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it with --nocapture")]
fn t46_ten_thousand_connections_of_one_user_do_not_slow_another_down() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("as many as this user may have");
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most > CONNECTIONS as u64 + 200, "only {most} files may be open: raise ulimit -n");

    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    for path in [vault.dir(), &vault.run_dir()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("opened");
    }
    let socket: PathBuf = daemon.sign_socket();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("opened");
    let measured = || as_user(BOT, || slowest_but_one_in_a_hundred(&socket, &token));
    measured();
    let base = descriptors(&daemon);

    // Alone and in a crowd by turns, so that whatever else the machine does slows both.
    let (mut alone, mut crowded) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(measured());
        let (come, go) = (Barrier::new(2), Barrier::new(2));
        let held = std::thread::scope(|scope| {
            let visitors = scope.spawn(|| {
                become_user(CROWD);
                let mut streams = crowd(&socket);
                come.wait();
                go.wait();
                streams.retain_mut(is_open);
                streams.len()
            });
            come.wait();
            crowded.push(measured());
            go.wait();
            visitors.join().expect("it ends")
        });
        assert_eq!(held, OF_ONE_USER, "places of one user");
        let deadline = Instant::now() + Duration::from_secs(5);
        while descriptors(&daemon) > base {
            assert!(Instant::now() < deadline, "{} files are open, {base} were", descriptors(&daemon));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let (alone, crowded) = (median(alone), median(crowded));
    println!("99 of 100 signatures: {alone:?} alone, {crowded:?} in a crowd");
    assert!(crowded < QUICK.max(2 * alone), "{crowded:?} in a crowd, {alone:?} alone");
}
