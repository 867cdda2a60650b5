//! The wall clock jumps, stands still, or shows another century, while the daemon runs. No signature ever carries a time
//! more than five seconds off the line of the boot clock, and signing goes on ten seconds after the clock is back.
//!
//! The clock is libfaketime's (Debian: faketime), preloaded into the daemon and told what to show by a file. The boot
//! clock stays the kernel's.

use crate::run::Run;
use crate::support::http::{Connection, Response};
use crate::support::{Daemon, Vault};
use crate::trace::serve_traced;
use crate::vaults::{Admin, Original};
use crate::witness::told;
use signvault::types::clock::UnixMs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the clock is made to show, as faketime writes it; and whether it shows that at once or only by and by.
const JUMPS: [(&str, &str); 7] = [
    ("an hour ahead", "+3600"),
    ("an hour behind", "-3600"),
    ("31 seconds ahead", "+31"),
    ("31 seconds behind", "-31"),
    ("after 2038", "@2038-01-19 03:14:09"),
    ("after 2106", "@2106-02-07 06:28:17"),
    ("frozen", FROZEN),
];
/// The calls that ask the kernel whether a time server keeps its clock.
const ADJUST: &str = "adjtimex,clock_adjtime";
/// Stands for the moment at which the clock stops.
const FROZEN: &str = "frozen";
/// As it is.
const RIGHT: &str = "+0";
/// Where Debian puts the library, on the machines that it knows.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
/// A signature's time may be off by this much.
const TOLERANCE_MS: i64 = 5000;
/// How long the clock must be back before it is believed again.
const SETTLED: Duration = Duration::from_secs(10);

/// T71. A round is one jump and the way back; all at the same time, each with a daemon of its own.
pub fn t71_a_clock_that_jumps_signs_nothing_and_heals(run: &mut Run) {
    let library = LIBRARIES.iter().map(Path::new).find(|path| path.exists());
    let library = library.expect("libfaketime is not there: apt-get install faketime");
    let original = Original::new();
    for _ in 0..run.rounds.div_ceil(JUMPS.len()) {
        let wrong: Vec<Vec<String>> = thread::scope(|scope| {
            let jumping: Vec<_> =
                JUMPS.iter().map(|(_, shown)| scope.spawn(|| jump(&original, library, shown))).collect();
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
        std::fs::write(&file, RIGHT).expect("written");
        let shown = file.to_str().expect("UTF-8").to_owned();
        let library = library.to_str().expect("UTF-8").to_owned();
        let mut options = ["-e".to_owned(), format!("trace={ADJUST}"), "-e".to_owned(), no_time_server()].to_vec();
        for (name, value) in [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", shown.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("TZ", "UTC"),
        ] {
            options.extend(["-E".to_owned(), format!("{name}={value}")]);
        }
        let command = serve_traced(vault, &options);
        Shown { daemon: vault.serve_by(command), file, token, wrong: Vec::new(), signed: 0 }
    }

    fn show(&self, what: &str) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, what).and_then(|()| std::fs::rename(&next, &self.file)).expect("written");
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

fn jump(original: &Original, library: &Path, shown: &str) -> Vec<String> {
    let vault = original.copy();
    let mut clock = Shown::by(&vault, library, &original.token);
    Admin::of(&clock.daemon).unlock(&original.key).ok();
    let before = clock.ask_for(Duration::from_millis(500));
    clock.require(before.1.is_none(), format!("refused while the clock was right: {before:?}"));
    if shown == FROZEN {
        // Right at first, and wrong once it has stood still for longer than the tolerance.
        let stopped = UnixMs(now_ms()).to_string();
        clock.show(&stopped[..19].replace('T', " "));
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

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("in this age")
}
