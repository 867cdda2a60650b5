//! The load generator: one thread, as cheap as a client can be. One connection is a blocking socket; more are one epoll.
//!
//! Closed: a connection asks again when it has its answer. Open: asks fall due at a fixed rate, whether the last ones have
//! been answered or not, and an answer's time counts from when its ask was due, so that a stall shows in every ask
//! behind it.

use crate::Outcome;
use crate::framing::Request;
use hdrhistogram::Histogram;
use memchr::memmem;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Nobody answers more slowly than this without being broken.
const PATIENCE: Duration = Duration::from_secs(10);
/// The token of the timer; connections have theirs by number.
const TIMER: Token = Token(usize::MAX - 1);

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// On loopback.
    Tcp(SocketAddr),
    /// In the file system.
    Unix(PathBuf),
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// TCP on loopback.
    Tcp,
    /// A Unix socket.
    Unix,
}

/// How asks come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one when the last one is answered.
    Closed,
    /// So many a second, all connections together.
    Open(u32),
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// How asks come.
    pub arrival: Arrival,
    /// Over how many connections.
    pub connections: usize,
    /// For how long, without the warm-up.
    pub time: Duration,
}

/// What came of it.
pub struct Sample {
    /// How long each took, in nanoseconds.
    pub times: Histogram<u64>,
    /// Answers in a second.
    pub per_second: f64,
    /// All answers, those of the warm-up too: what the server worked for.
    pub answers: u64,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(address: &Address, is_blocking: bool) -> std::io::Result<Stream> {
        let stream = match address {
            Address::Tcp(address) => Stream::Tcp(TcpStream::connect(address)?),
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        match &stream {
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nonblocking(!is_blocking)?;
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nonblocking(!is_blocking)?;
            }
        }
        Ok(stream)
    }

    fn descriptor(&self) -> i32 {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
        }
    }

    /// A request is small: it fits into the buffer of a socket that has answered all before it.
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// One connection, with at most one ask under way.
struct Connection {
    stream: Stream,
    request: Request,
    buffer: Vec<u8>,
    filled: usize,
    /// When the ask under way was due.
    due: Option<Instant>,
}

impl Connection {
    fn open(address: &Address, request: &Request, is_blocking: bool) -> Outcome<Connection> {
        let stream = Stream::connect(address, is_blocking).map_err(|error| format!("{address}: {error}"))?;
        Ok(Connection { stream, request: request.clone(), buffer: vec![0; 64 * 1024], filled: 0, due: None })
    }

    fn ask(&mut self, due: Instant, number: &mut u64) -> Outcome<()> {
        self.due = Some(due);
        self.stream.send(self.request.next(number)).map_err(|error| format!("an ask was not taken: {error}"))
    }

    /// The whole answer, once it is there; none while more is to come.
    fn receive(&mut self) -> Outcome<Option<&[u8]>> {
        loop {
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(format!("no answer: {error}")),
            }
            if let Some(length) = self.request.protocol.answer(&self.buffer[..self.filled])? {
                self.filled = 0;
                let answer = &self.buffer[..length];
                let is_whole = length >= self.request.least;
                return if is_whole {
                    Ok(Some(answer))
                } else {
                    Err(format!("too short: {}", String::from_utf8_lossy(answer)))
                };
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(out, "{address}"),
            Address::Unix(path) => write!(out, "{}", path.display()),
        }
    }
}

/// One ask, and its answer: for whoever wants to look into it.
pub fn ask_once(address: &Address, request: &Request) -> Outcome<Vec<u8>> {
    let mut connection = Connection::open(address, request, true)?;
    connection.ask(Instant::now(), &mut first_number())?;
    let answer = connection.receive()?.ok_or("no answer in time")?;
    Ok(answer.to_vec())
}

/// Numbers begin at the time of day in nanoseconds, so that no two runs use one twice.
fn first_number() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or_default()
}

/// Puts this load on a server. Any answer but a good one ends it.
///
/// # Errors
/// With what went wrong: the server's own words when it refused.
pub fn run(load: &Load, address: &Address, request: &Request) -> Outcome<Sample> {
    let answer = ask_once(address, request)?;
    let (word, count) = request.expect;
    if memmem::find_iter(&answer, word).count() != count {
        let answer = String::from_utf8_lossy(&answer);
        return Err(format!("{word:?} does not stand {count} times in an answer of {address}: {answer}"));
    }
    let mut request = request.clone();
    // Of a batch, an item that was refused is shorter than one that was signed.
    request.least = answer.len() * 19 / 20;
    let (record, request) = (Record::new(load), &request);
    match load {
        Load { arrival: Arrival::Closed, connections: 1, .. } => one_connection(record, address, request),
        _ => Crowd::connect(load, address, request)?.run(record),
    }
}

/// Times in nanoseconds, to three digits, up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds that a histogram has")
}

/// Which answers count.
struct Record {
    times: Histogram<u64>,
    from: Instant,
    until: Instant,
    answers: u64,
    number: u64,
}

impl Record {
    fn new(load: &Load) -> Record {
        let times = histogram();
        let from = Instant::now() + (load.time / 5).min(Duration::from_millis(300));
        Record { times, from, until: from + load.time, answers: 0, number: first_number() }
    }

    fn answered(&mut self, due: Instant, now: Instant) {
        self.answers += 1;
        if due >= self.from {
            self.times.saturating_record(u64::try_from((now - due).as_nanos()).unwrap_or(u64::MAX));
        }
    }

    fn finish(self) -> Sample {
        let seconds = (self.until - self.from).as_secs_f64();
        Sample { per_second: self.times.len() as f64 / seconds, times: self.times, answers: self.answers }
    }
}

fn one_connection(mut record: Record, address: &Address, request: &Request) -> Outcome<Sample> {
    let mut connection = Connection::open(address, request, true)?;
    let mut now = Instant::now();
    while now < record.until {
        connection.ask(now, &mut record.number)?;
        connection.receive()?.ok_or("no answer in time")?;
        let answered = Instant::now();
        record.answered(now, answered);
        now = answered;
    }
    Ok(record.finish())
}

/// Connections that one thread serves.
struct Crowd {
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections with nothing under way.
    idle: Vec<usize>,
    /// Asks that are due and for which no connection was idle.
    late: VecDeque<Instant>,
    pace: Option<Pace>,
}

/// The rate at which asks fall due.
struct Pace {
    timer: OwnedFd,
    next: Instant,
    period: Duration,
}

impl Crowd {
    fn connect(load: &Load, address: &Address, request: &Request) -> Outcome<Crowd> {
        let failed = |error: std::io::Error| format!("epoll: {error}");
        let poll = Poll::new().map_err(failed)?;
        let mut connections = Vec::new();
        for number in 0..load.connections {
            let connection = Connection::open(address, request, false)?;
            let descriptor = connection.stream.descriptor();
            poll.registry().register(&mut SourceFd(&descriptor), Token(number), Interest::READABLE).map_err(failed)?;
            connections.push(connection);
        }
        let pace = match load.arrival {
            Arrival::Closed => None,
            Arrival::Open(per_second) => {
                let pace = Pace::start(per_second)?;
                let descriptor = pace.timer.as_raw_fd();
                poll.registry().register(&mut SourceFd(&descriptor), TIMER, Interest::READABLE).map_err(failed)?;
                Some(pace)
            }
        };
        let idle = (0..connections.len()).collect();
        Ok(Crowd { poll, connections, idle, late: VecDeque::new(), pace })
    }

    fn run(mut self, mut record: Record) -> Outcome<Sample> {
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            let is_over = now >= record.until;
            if !is_over {
                self.fall_due(now);
            }
            self.ask(&mut record)?;
            let under_way = self.connections.len() - self.idle.len();
            if is_over && under_way == 0 {
                return Ok(record.finish());
            }
            self.poll.poll(&mut events, Some(PATIENCE)).map_err(|error| format!("epoll: {error}"))?;
            if events.is_empty() {
                return Err(format!("{under_way} asks have no answer after {} s", PATIENCE.as_secs()));
            }
            for event in &events {
                match event.token() {
                    TIMER => self.pace.iter().for_each(Pace::acknowledge),
                    Token(number) => self.receive(number, &mut record)?,
                }
            }
        }
    }

    fn fall_due(&mut self, now: Instant) {
        match &mut self.pace {
            None => self.late.extend(std::iter::repeat_n(now, self.idle.len())),
            Some(pace) => {
                while pace.next <= now {
                    self.late.push_back(pace.next);
                    pace.next += pace.period;
                }
            }
        }
    }

    fn ask(&mut self, record: &mut Record) -> Outcome<()> {
        while let Some(number) = self.idle.pop_if(|_| !self.late.is_empty()) {
            let due = self.late.pop_front().unwrap_or(record.until);
            self.connections[number].ask(due, &mut record.number)?;
        }
        Ok(())
    }

    fn receive(&mut self, number: usize, record: &mut Record) -> Outcome<()> {
        let connection = &mut self.connections[number];
        if connection.receive()?.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        let due = connection.due.take().ok_or("an answer that nobody asked for")?;
        record.answered(due, now);
        // Closed: at once, so that the next answer is already being made while this thread looks at the others.
        if self.pace.is_none() && now < record.until {
            return connection.ask(now, &mut record.number);
        }
        self.idle.push(number);
        Ok(())
    }
}

impl Pace {
    fn start(per_second: u32) -> Outcome<Pace> {
        let period = Duration::from_secs(1) / per_second;
        let failed = |error| format!("a timer: {error}");
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK).map_err(failed)?;
        let spec = Timespec { tv_sec: 0, tv_nsec: i64::from(period.subsec_nanos()) };
        let next = Instant::now() + period;
        let every = Itimerspec { it_interval: spec, it_value: spec };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every).map_err(failed)?;
        Ok(Pace { timer, next, period })
    }

    /// Takes note of the timer, so that it wakes us again. What is due is told by the clock.
    fn acknowledge(&self) {
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
    }
}
