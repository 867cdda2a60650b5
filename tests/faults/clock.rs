//! The wall clock jumps, stands still, or shows another century, while the daemon runs. No signature ever carries a time
//! more than five seconds off the line of the boot clock, and signing goes on ten seconds after the clock is back.
//!
//! The clock is that of `shown_clock.c`, preloaded into the daemon and told what to show by a file. The boot clock stays the
//! kernel's.

use crate::run::Run;
use crate::support::http::{Connection, Response};
use crate::support::{Daemon, Vault};
use crate::trace::serve_traced;
use crate::vaults::{Admin, Original, preloaded};
use crate::witness::told;
use signvault::types::clock::UnixMs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the clock is made to show.
#[derive(Clone, Copy)]
enum Clock {
    /// So many seconds more than the kernel's.
    Off(i64),
    /// So many seconds since 1970, always.
    At(i64),
    /// The moment at which it is told to, from then on.
    Frozen,
}

const JUMPS: [(&str, Clock); 7] = [
    ("an hour ahead", Clock::Off(3600)),
    ("an hour behind", Clock::Off(-3600)),
    ("31 seconds ahead", Clock::Off(31)),
    ("31 seconds behind", Clock::Off(-31)),
    ("after 2038", Clock::At(2_147_483_649)),
    ("after 2106", Clock::At(4_294_967_297)),
    ("frozen", Clock::Frozen),
];
/// As it is.
const RIGHT: Clock = Clock::Off(0);
/// The calls that ask the kernel whether a time server keeps its clock.
const ADJUST: &str = "adjtimex,clock_adjtime";
/// A signature's time may be off by this much.
const TOLERANCE_MS: i64 = 5000;
/// How long the clock must be back before it is believed again.
const SETTLED: Duration = Duration::from_secs(10);

/// T71. A round is one jump and the way back; all at the same time, each with a daemon of its own.
pub fn t71_a_clock_that_jumps_signs_nothing_and_heals(run: &mut Run) {
    let original = Original::new();
    let library = preloaded(&original, "shown_clock");
    for _ in 0..run.rounds.div_ceil(JUMPS.len()) {
        let wrong: Vec<Vec<String>> = thread::scope(|scope| {
            let jumping: Vec<_> =
                JUMPS.iter().map(|(_, shown)| scope.spawn(|| jump(&original, &library, *shown))).collect();
            jumping.into_iter().map(|one| one.join().unwrap_or_else(|_| vec!["a panic".to_owned()])).collect()
        });
        for ((name, _), wrong) in JUMPS.iter().zip(wrong) {
            run.round(name, |_| wrong);
        }
    }
}

/// The kernel does not know of the clock that is shown here, and may say of its own that a time server keeps it.
fn no_time_server() -> String {
    format!("inject={ADJUST}:error=EPERM")
}

/// A daemon whose clock shows what a file says.
struct Shown<'a> {
    daemon: Daemon<'a>,
    file: PathBuf,
    token: &'a str,
    wrong: Vec<String>,
    signed: usize,
}

impl<'a> Shown<'a> {
    fn by(vault: &'a Vault, library: &Path, token: &'a str) -> Shown<'a> {
        let file = vault.dir().join("clock");
        std::fs::write(&file, RIGHT.bytes()).expect("written");
        let shown = file.to_str().expect("UTF-8").to_owned();
        let library = library.to_str().expect("UTF-8").to_owned();
        let mut options = ["-e".to_owned(), format!("trace={ADJUST}"), "-e".to_owned(), no_time_server()].to_vec();
        for (name, value) in [("LD_PRELOAD", library.as_str()), ("SHOWN_CLOCK", shown.as_str())] {
            options.extend(["-E".to_owned(), format!("{name}={value}")]);
        }
        let command = serve_traced(vault, &options);
        Shown { daemon: vault.serve_by(command), file, token, wrong: Vec::new(), signed: 0 }
    }

    /// In place: the daemon has the file mapped.
    fn show(&self, what: Clock) {
        let file = File::options().write(true).open(&self.file).expect("the clock's file");
        file.write_all_at(&what.bytes(), 0).expect("written");
    }

    /// Asks once; a signature must carry the right time.
    fn ask(&mut self) -> Response {
        let mut connection = Connection::tcp(self.daemon.port);
        let before = now_ms();
        let answer = connection.sign(self.token, "main", "GET", "/api/v5/account/balance", None);
        let after = now_ms();
        if answer.status == 200 {
            self.signed += 1;
            let time = answer.json()["headers"]["OK-ACCESS-TIMESTAMP"].as_str().and_then(UnixMs::parse_rfc3339);
            let time = time.expect("a timestamp").0;
            if time < before - TOLERANCE_MS || time > after + TOLERANCE_MS {
                self.wrong.push(format!("a signature carries the time {time} at {before}"));
            }
        } else if answer.status != 503 || answer.code() != "clock.jump" {
            self.wrong.push(format!("answered {}", told(&answer)));
        }
        answer
    }

    /// Asks for some time; says when it was first signed and when it was first refused.
    fn ask_for(&mut self, time: Duration) -> (Option<Duration>, Option<Duration>) {
        let began = Instant::now();
        let (mut signed, mut refused) = (None, None);
        while began.elapsed() < time {
            let first = if self.ask().status == 200 { &mut signed } else { &mut refused };
            first.get_or_insert(began.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
        (signed, refused)
    }

    fn require(&mut self, holds: bool, otherwise: String) {
        if !holds {
            self.wrong.push(otherwise);
        }
    }
}

fn jump(original: &Original, library: &Path, shown: Clock) -> Vec<String> {
    let vault = original.copy();
    let mut clock = Shown::by(&vault, library, &original.token);
    Admin::of(&clock.daemon).unlock(&original.key).ok();
    let before = clock.ask_for(Duration::from_millis(500));
    clock.require(before.1.is_none(), format!("refused while the clock was right: {before:?}"));
    if matches!(shown, Clock::Frozen) {
        // Right at first, and wrong once it has stood still for longer than the tolerance.
        clock.show(shown);
        let (_, refused) = clock.ask_for(Duration::from_secs(8));
        clock.require(refused.is_some(), "signed on by a clock that stands still".to_owned());
    } else {
        clock.show(shown);
        let (signed, _) = clock.ask_for(Duration::from_secs(2));
        clock.require(signed.is_none(), format!("signed by a clock that jumped: {signed:?}"));
    }
    clock.show(RIGHT);
    let (signed, _) = clock.ask_for(SETTLED + Duration::from_secs(2));
    let early = signed.is_some_and(|after| after < SETTLED - Duration::from_millis(500));
    clock.require(!early, format!("signed before the clock was back for ten seconds: {signed:?}"));
    clock.require(signed.is_some(), "it does not heal".to_owned());
    let Shown { daemon, mut wrong, signed, .. } = clock;
    if daemon.terminate() != 0 || signed < 3 {
        wrong.push(format!("it did not end well; {signed} signatures"));
    }
    wrong
}

impl Clock {
    /// As `shown_clock.c` reads it.
    fn bytes(self) -> [u8; 16] {
        const PER_SECOND: i64 = 1_000_000_000;
        let (added, stands) = match self {
            Clock::Off(seconds) => (seconds * PER_SECOND, 0),
            Clock::At(seconds) => (0, seconds * PER_SECOND),
            Clock::Frozen => (0, now_ms() * 1_000_000),
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&added.to_ne_bytes());
        bytes[8..].copy_from_slice(&stands.to_ne_bytes());
        bytes
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("in this age")
}
