use super::*;
use crate::api::guard::Rules;
use crate::api::limits::Limits;
use crate::api::tally::RefusalCounts;
use axum::Router;
use axum::routing::get;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::Instant;

const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn run_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("ours");
    directory
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn bind(directory: &Path) -> Result<Listener, ListenError> {
    bind_unix(directory, "sign.sock", None).map(|listener| Listener::of_unix(listener).expect("the runtime's"))
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    for address in ["0.0.0.0:0", "[::]:0", "192.168.1.1:0", "[::ffff:127.0.0.1]:0", "[fe80::1]:0", "255.255.255.255:0"]
    {
        let outcome = bind_tcp(address.parse().expect("an address"));
        assert!(matches!(outcome, Err(ListenError::NotLoopback(_))), "{address}");
    }
    let listener = bind_tcp("127.0.0.1:0".parse().expect("an address")).expect("binds");
    let address = listener.local_addr().expect("has one");
    assert_ne!(address.port(), 0);
    assert!(matches!(bind_tcp(address), Err(ListenError::Tcp { .. })), "taken");
}

#[test]
fn a_socket_has_its_mode_and_group() {
    in_runtime(async {
        let directory = run_directory();
        let group = rustix::process::getgid();
        let _listener = bind_unix(directory.path(), "sign.sock", Some(group)).expect("binds");
        let file = std::fs::symlink_metadata(directory.path().join("sign.sock")).expect("is there");
        assert_eq!((file.mode() & 0o7777, file.gid()), (0o660, group.as_raw()));
    });
}

#[test]
fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
    in_runtime(async {
        let directory = run_directory();
        drop(BlockingUnixListener::bind(directory.path().join("sign.sock")).expect("binds"));
        let first = bind(directory.path()).expect("takes the stale one over");
        assert!(matches!(bind(directory.path()), Err(ListenError::InUse(_))));
        drop(first);
        bind(directory.path()).expect("takes over again");
    });
}

#[test]
fn of_two_daemons_that_start_together_one_waits_for_none() {
    in_runtime(async {
        let directory = run_directory();
        let _lock = lock_directory(directory.path(), Path::new("x")).expect("locks");
        assert!(matches!(bind(directory.path()), Err(ListenError::InUse(_))));
    });
}

#[test]
fn whatever_else_has_the_name_stays_where_it_is() {
    in_runtime(async {
        let directory = run_directory();
        let path = directory.path().join("sign.sock");
        std::fs::write(&path, "precious").expect("writes");
        assert!(matches!(bind(directory.path()), Err(ListenError::Occupied(_))));
        assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
        std::fs::remove_file(&path).expect("ours");

        let elsewhere = run_directory();
        drop(BlockingUnixListener::bind(elsewhere.path().join("stale")).expect("binds"));
        symlink(elsewhere.path().join("stale"), &path).expect("links");
        assert!(matches!(bind(directory.path()), Err(ListenError::Occupied(_))));
        assert!(elsewhere.path().join("stale").exists());
    });
}

#[test]
fn the_stale_socket_of_another_user_is_not_taken_over() {
    if !geteuid().is_root() {
        return; // Only root can give a file away.
    }
    in_runtime(async {
        let directory = run_directory();
        let path = directory.path().join("sign.sock");
        drop(BlockingUnixListener::bind(&path).expect("binds"));
        std::os::unix::fs::lchown(&path, Some(65534), None).expect("root may");
        assert!(matches!(bind(directory.path()), Err(ListenError::Occupied(_))));
        assert!(path.exists());
    });
}

#[test]
fn a_directory_that_others_can_write_to_or_a_link_is_refused() {
    in_runtime(async {
        let directory = run_directory();
        for mode in [0o777, 0o775, 0o1777] {
            std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).expect("ours");
            assert!(matches!(bind(directory.path()), Err(ListenError::Directory(_))), "{mode:o}");
        }
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("ours");
        let outer = run_directory();
        symlink(directory.path(), outer.path().join("run")).expect("links");
        assert!(matches!(bind(&outer.path().join("run")), Err(ListenError::Directory(_))));
        assert!(matches!(bind(&outer.path().join("missing")), Err(ListenError::Directory(_))));
        let long = outer.path().join("a".repeat(100));
        assert!(matches!(bind(&long), Err(ListenError::PathTooLong(_))));
    });
}

#[test]
fn groups_are_found_by_their_exact_name() {
    let groups = "root:x:0:\nsignvault-bots2:x:7:\nsignvault-bots:x:998:alice,bob\nbroken\n";
    assert_eq!(find_group(groups, "signvault-bots"), Some(Gid::from_raw(998)));
    assert_eq!(find_group(groups, "root"), Some(Gid::ROOT));
    assert_eq!(find_group(groups, "signvault"), None);
    assert_eq!(find_group("signvault-bots:x:many:", "signvault-bots"), None);
}

/// A served socket and what is needed to talk to it and stop it.
struct Served {
    directory: tempfile::TempDir,
    counts: Arc<RefusalCounts>,
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<Drained>,
}

impl Served {
    fn start(limits: Limits, slow: Duration) -> Served {
        let directory = run_directory();
        let counts = Arc::new(RefusalCounts::default());
        let router = Router::new().route("/slow", get(move || async move { tokio::time::sleep(slow).await }));
        let interface = Interface::new(router, Rules::unix(&limits), limits, counts.clone());
        let (stop, stopped) = watch::channel(false);
        let listener = bind(directory.path()).expect("binds");
        Served { directory, counts, stop, done: tokio::spawn(serve(listener, interface, stopped)) }
    }

    fn connect(&self) -> BlockingUnixStream {
        let stream = BlockingUnixStream::connect(self.directory.path().join("sign.sock")).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("an option");
        stream
    }

    async fn stop(self) -> Drained {
        self.stop.send_replace(true);
        self.done.await.expect("does not panic")
    }
}

/// Reads to the end in a thread, so that the server can go on.
async fn rest(mut stream: BlockingUnixStream) -> String {
    tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("closed in order");
        text
    })
    .await
    .expect("does not panic")
}

async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[test]
fn stopping_finishes_what_is_in_flight_and_closes_the_rest_at_once() {
    in_runtime(async {
        let served = Served::start(Limits::default(), Duration::from_millis(500));
        let (mut busy, idle, mut half) = (served.connect(), served.connect(), served.connect());
        busy.write_all(REQUEST).expect("sends");
        half.write_all(&REQUEST[..20]).expect("sends");
        a_moment().await;
        let began = Instant::now();
        let (idle, half, busy) = (tokio::spawn(rest(idle)), tokio::spawn(rest(half)), tokio::spawn(rest(busy)));
        let stopping = tokio::spawn(served.stop());
        assert_eq!(idle.await.expect("ends"), "");
        assert_eq!(half.await.expect("ends"), "");
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        let answer = busy.await.expect("ends");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(stopping.await.expect("ends"), Drained::All);
    });
}

#[test]
fn stopping_does_not_wait_for_ever() {
    in_runtime(async {
        let limits = Limits { drain_time: Duration::from_millis(200), ..Limits::default() };
        let served = Served::start(limits, Duration::from_secs(60));
        let mut busy = served.connect();
        busy.write_all(REQUEST).expect("sends");
        a_moment().await;
        assert_eq!(served.stop().await, Drained::CutOff(1));
    });
}

#[test]
fn a_peer_over_its_cap_is_closed_at_once_and_gets_its_places_back() {
    in_runtime(async {
        let limits = Limits { connections_per_peer: 2, ..Limits::default() };
        let served = Served::start(limits, Duration::ZERO);
        let (first, mut second) = (served.connect(), served.connect());
        a_moment().await;
        assert_eq!(rest(served.connect()).await, "");
        assert_eq!(served.counts.take().into_values().sum::<u64>(), 1);
        second.write_all(REQUEST).expect("sends");
        drop(first);
        a_moment().await;
        let mut third = served.connect();
        third.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sends");
        assert!(rest(third).await.starts_with("HTTP/1.1 400 "));
        drop(second);
        assert_eq!(served.stop().await, Drained::All);
    });
}
