//! Around the daemon's own process: how soon it answers, what memory it holds, and what idle connections cost.

use crate::machine::{Placement, place, processors};
use crate::report::{Report, mib, middle, ms, number, spread, us};
use crate::vaults::{Built, PASSWORD, Size, build};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon over a vault's directory. It is ended with the value.
struct Daemon {
    child: Child,
    dir: PathBuf,
    port: u16,
}

/// A connection that is kept open.
struct Connection<S>(S);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn serve(dir: &Path, port: u16, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signvault"));
    command.env_clear().env("HOME", dir).env("SIGNVAULT_LOG_LEVEL", "error").envs(more.iter().copied());
    command.arg("serve").arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--state-dir").arg(dir.join("state")).arg("--run-dir").arg(dir.join("run"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Starts a program and says how long it took until it answered.
fn first_answer(mut command: Command, port: u16) -> (Child, Duration) {
    let begun = Instant::now();
    let child = command.spawn().unwrap();
    let stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(_) => assert!(begun.elapsed() < PATIENCE, "nobody answers"),
        }
    };
    let request = format!("GET /health HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    Connection(stream).ask_bytes(request.as_bytes());
    (child, begun.elapsed())
}

impl Daemon {
    fn start(dir: &Path, more: &[(&str, &str)]) -> Daemon {
        let port = free_port();
        let (child, _) = first_answer(serve(dir, port, more), port);
        Daemon { child, dir: dir.to_owned(), port }
    }

    fn admin(&self, path: &str, body: &Value) {
        let stream = UnixStream::connect(self.dir.join("run/admin.sock")).unwrap();
        stream.set_read_timeout(Some(10 * PATIENCE)).unwrap();
        Connection(stream).post(path, "localhost", "", &body.to_string());
    }

    fn unlock(&self) {
        self.admin("/v1/unlock", &json!({ "secret": { "password": PASSWORD } }));
    }

    fn lock(&self) {
        self.admin("/v1/lock", &json!({}));
    }

    /// Rows that it has not verified since it was unlocked.
    fn rows_to_verify(&self) -> u64 {
        let request = b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let stream = UnixStream::connect(self.dir.join("run/admin.sock")).unwrap();
        let status: Value = serde_json::from_str(&Connection(stream).ask_bytes(request)).unwrap();
        status["audit_backlog"].as_u64().unwrap()
    }

    /// A number of the kernel's about it, in KiB.
    fn kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn rss(&self) -> u64 {
        // What a helper thread has left to do is done by then.
        std::thread::sleep(Duration::from_millis(200));
        self.kib("VmRSS")
    }

    fn socket(&self) -> Connection<UnixStream> {
        Connection(UnixStream::connect(self.dir.join("run/sign.sock")).unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<S: Read + Write> Connection<S> {
    fn post(&mut self, path: &str, host: &str, more: &str, body: &str) -> Duration {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{more}content-type: application/json\r\n");
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        let begun = Instant::now();
        self.ask_bytes(request.as_bytes());
        begun.elapsed()
    }

    /// Asks for a signature.
    fn sign(&mut self, host: &str, token: &str, credential: &str) -> Duration {
        let body = format!(r#"{{"credential":"{credential}","method":"GET","path":"/api/v5/account/balance"}}"#);
        self.post("/v1/sign", host, &format!("authorization: Bearer {token}\r\n"), &body)
    }

    /// Sends a request and reads one answer, which must be a success. Returns its body.
    fn ask_bytes(&mut self, request: &[u8]) -> String {
        self.0.write_all(request).unwrap();
        let (mut answer, mut whole) = (Vec::with_capacity(4096), None);
        while whole.is_none_or(|whole| answer.len() < whole) {
            let mut some = [0; 4096];
            let count = self.0.read(&mut some).unwrap();
            assert!(count > 0, "closed: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&some[..count]);
            whole = whole.or_else(|| whole_length(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
        let answer = String::from_utf8(answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

/// How long an answer is, once its head is there.
fn whole_length(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    Some(end + length.unwrap_or(0))
}

/// From the start of the process to its first answer, against a program that can do nothing else.
pub fn start(report: &mut Report, scratch: &Path) {
    let floor = compile_floor(scratch);
    let built = build(&Size::signed(10, 10, 10));
    let [mut floors, mut daemons] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let port = free_port();
        let mut command = Command::new(&floor);
        command.env_clear().arg(port.to_string());
        let (mut child, time) = first_answer(command, port);
        child.wait().unwrap();
        floors.push(ms(time));
        let port = free_port();
        let (child, time) = first_answer(serve(&built.dir, port, &[]), port);
        drop(Daemon { child, dir: built.dir.clone(), port });
        daemons.push(ms(time));
    }
    let ratios: Vec<f64> = daemons.iter().zip(&floors).map(|(daemon, floor)| daemon / floor).collect();
    let row = vec![number(middle(&floors)), number(middle(&daemons)), spread(&ratios)];
    let about =
        "From exec to the first answer, against a static program that answers one request: fifteen of each in turn.";
    report.table("start", about, &["floor ms", "daemon ms", "daemon ÷ floor"], &[row]);
}

fn compile_floor(scratch: &Path) -> PathBuf {
    std::fs::create_dir_all(scratch).unwrap();
    let floor = scratch.join("floor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scale/floor.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort"]);
    assert!(command.arg("-o").arg(&floor).arg(source).status().unwrap().success());
    floor
}

/// Memory at each station of a daemon's life.
pub fn memory(report: &mut Report, sizes: &[Size], signatures: usize) {
    let rows: Vec<Vec<Value>> = sizes.iter().map(|size| memory_of(size, signatures)).collect();
    let about = format!(
        "Memory of the daemon in MiB (VmRSS), unlocked by password (Argon2id takes 256 MiB meanwhile): locked after the start, \
         unlocked, after {signatures} signatures of many bots, locked again, unlocked again; and the most there was (VmHWM)."
    );
    let columns =
        ["credentials", "bots", "rows", "locked", "unlocked", "signed", "locked again", "unlocked again", "peak"];
    report.table("memory", &about, &columns, &rows);
}

fn memory_of(size: &Size, signatures: usize) -> Vec<Value> {
    let built = build(size);
    let daemon = Daemon::start(&built.dir, &[("SIGNVAULT_AUDIT_DURABILITY", "process")]);
    let mut row = vec![json!(size.credentials), json!(size.bots), json!(size.rows), mib(daemon.rss())];
    daemon.unlock();
    row.push(mib(daemon.rss()));
    let mut connection = daemon.socket();
    for (token, credential) in built.tokens.iter().cycle().take(signatures) {
        connection.sign("localhost", token, credential);
    }
    row.push(mib(daemon.rss()));
    daemon.lock();
    row.push(mib(daemon.rss()));
    daemon.unlock();
    row.push(mib(daemon.rss()));
    row.push(mib(daemon.kib("VmHWM")));
    row
}

/// What a bot waits for a signature of daemons over vaults of these sizes, in turn; the first is what the others are compared
/// with.
pub fn growth(report: &mut Report, sizes: &[Size]) {
    let vaults: Vec<(Built, Daemon)> = sizes.iter().map(verified).collect();
    let mut medians = vec![Vec::new(); vaults.len()];
    let all = processors().unwrap();
    let pids: Vec<u32> = vaults.iter().map(|(_, daemon)| daemon.child.id()).collect();
    place(Placement::Pinned, &pids, &all).unwrap();
    for _ in 0..9 {
        for (at, (built, daemon)) in vaults.iter().enumerate() {
            medians[at].push(busy(daemon, true, built));
        }
    }
    place(Placement::Free, &[], &all).unwrap();
    let of = |at: usize| -> Vec<f64> { medians[at].iter().zip(&medians[0]).map(|(of, to)| of / to).collect() };
    let row = |at: usize| {
        let Size { credentials, bots, rows, .. } = sizes[at];
        vec![json!(credentials), json!(bots), json!(rows), number(middle(&medians[at])), spread(&of(at))]
    };
    let rows: Vec<Vec<Value>> = (0..sizes.len()).map(row).collect();
    let about = "Growth, as a bot sees it: the median signature over TCP with `process` durability, up to 512 bots in turn over one \
                 connection, client and daemons on one processor. The ratios are to the first line, paired within each of nine interleaved rounds.";
    report.table("served", about, &["credentials", "bots", "rows", "sign us", "× first"], &rows);
}

/// A daemon that is unlocked and has verified every row.
fn verified(size: &Size) -> (Built, Daemon) {
    let built = build(size);
    let daemon = Daemon::start(&built.dir, &[("SIGNVAULT_AUDIT_DURABILITY", "process")]);
    daemon.unlock();
    while daemon.rows_to_verify() > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    (built, daemon)
}

/// What idle connections cost: memory for each, and the time of a signature on one that is busy.
pub fn idle(report: &mut Report, counts: &[usize]) {
    let built = build(&Size::signed(10, 10, 10));
    let mut rows = Vec::new();
    for over_tcp in [false, true] {
        for &count in counts {
            rows.push(idle_case(&built, over_tcp, count));
        }
    }
    let about = "Idle keep-alive connections beside a busy one: the median signature, against that of the same daemon before they were \
                 opened, in five rounds, and the memory that each holds. The machine's limit of open files is shared by both kinds of \
                 sockets, and one user has half the places on the Unix socket: a dash stands where there are not so many.";
    report.table("idle", about, &["socket", "idle", "sign us", "× none idle", "KiB each", "RSS MiB"], &rows);
}

fn idle_case(built: &Built, over_tcp: bool, count: usize) -> Vec<Value> {
    let kind = if over_tcp { "tcp" } else { "unix" };
    let more = [("SIGNVAULT_AUDIT_DURABILITY", "process"), ("SIGNVAULT_MAX_CONNECTIONS", "32768")];
    let daemon = Daemon::start(&built.dir, &more);
    daemon.unlock();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let places = usize::try_from((files - 32) / 2).unwrap().min(32_768) / if over_tcp { 1 } else { 2 };
    if count + 2 > places {
        return vec![json!(kind), json!(count), Value::Null, Value::Null, Value::Null, Value::Null];
    }
    let (address, path) = (("127.0.0.1", daemon.port), daemon.dir.join("run/sign.sock"));
    let host = if over_tcp { format!("127.0.0.1:{}", daemon.port) } else { "localhost".to_owned() };
    let [mut alone, mut beside, mut each] = [const { Vec::new() }; 3];
    let mut most = 0;
    for _ in 0..5 {
        alone.push(busy(&daemon, over_tcp, built));
        let before = daemon.rss();
        let mut tcp: Vec<Connection<TcpStream>> = Vec::new();
        let mut unix: Vec<Connection<UnixStream>> = Vec::new();
        for _ in 0..count {
            let (token, credential) = &built.tokens[0];
            // Used once and kept: what a bot's pool of connections does.
            if over_tcp {
                tcp.push(Connection(TcpStream::connect(address).unwrap()));
                tcp.last_mut().unwrap().sign(&host, token, credential);
            } else {
                unix.push(Connection(UnixStream::connect(&path).unwrap()));
                unix.last_mut().unwrap().sign(&host, token, credential);
            }
        }
        let rss = daemon.rss();
        most = most.max(rss);
        each.push(rss.saturating_sub(before) as f64 / count as f64);
        beside.push(busy(&daemon, over_tcp, built));
    }
    let ratios: Vec<f64> = beside.iter().zip(&alone).map(|(beside, alone)| beside / alone).collect();
    // The first round's: later ones find the memory of the ones before.
    vec![json!(kind), json!(count), number(middle(&beside)), spread(&ratios), number(each[0]), mib(most)]
}

/// The median signature on one connection.
fn busy(daemon: &Daemon, over_tcp: bool, built: &Built) -> f64 {
    fn times<S: Read + Write>(connection: &mut Connection<S>, host: &str, built: &Built) -> f64 {
        let tokens = built.tokens.iter().cycle().take(3000);
        let times: Vec<f64> = tokens.map(|(token, credential)| us(connection.sign(host, token, credential))).collect();
        middle(&times[500..])
    }
    if over_tcp {
        let stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        times(&mut Connection(stream), &format!("127.0.0.1:{}", daemon.port), built)
    } else {
        times(&mut daemon.socket(), "localhost", built)
    }
}
