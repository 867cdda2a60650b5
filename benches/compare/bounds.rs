//! What is promised about speed, in the promise's words, and whether it was kept.

use crate::Outcome;
use crate::full::{COMMIT_EACH, FULL, NO_LEDGER, PROCESS, SYNC, UNIX};
use crate::long::{LOCKED, LOG, START, UNLOCKED};
use crate::report::Results;
use crate::rounds::{Figures, Spread};
use serde::Serialize;

/// The bare server.
const HELLO: &str = "axum hello";

/// Which side of a limit is kept.
#[derive(Clone, Copy)]
enum Side {
    AtMost(f64),
    AtLeast(f64),
}

struct Bound {
    promise: &'static str,
    side: Side,
    measured: fn(&Results) -> Option<Spread>,
}

/// Every promise that is a figure of this table.
const BOUNDS: [Bound; 19] = [
    Bound {
        promise: "process durability, TCP, 1 connection, pinned: p50 × hello",
        side: Side::AtMost(2.3),
        measured: |results| ratio(results, "closed loop tcp 1 pinned", PROCESS, HELLO, p50),
    },
    Bound {
        promise: "… its p99 × its p50",
        side: Side::AtMost(3.0),
        measured: |results| within(results, "closed loop tcp 1 pinned", PROCESS, |one| one.p99_us / one.p50_us),
    },
    Bound {
        promise: "… its p99.9 × its p50",
        side: Side::AtMost(10.0),
        measured: |results| within(results, "closed loop tcp 1 pinned", PROCESS, |one| one.p999_us / one.p50_us),
    },
    Bound {
        promise: "… p50 over the Unix socket × p50 over TCP",
        side: Side::AtMost(1.0),
        measured: |results| ratio(results, "closed loop tcp 1 pinned", UNIX, PROCESS, p50),
    },
    Bound {
        promise: "process durability, TCP, 16 connections, pinned: answers/s × hello",
        side: Side::AtLeast(0.60),
        measured: |results| ratio(results, "closed loop tcp 16 pinned", PROCESS, HELLO, rate),
    },
    Bound {
        promise: "process durability, TCP, 64 connections, pinned: answers/s × hello",
        side: Side::AtLeast(0.60),
        measured: |results| ratio(results, "closed loop tcp 64 pinned", PROCESS, HELLO, rate),
    },
    Bound {
        promise: "full durability, TCP, 16 connections, pinned: answers/s × hello",
        side: Side::AtLeast(0.50),
        measured: |results| ratio(results, "closed loop tcp 16 pinned", FULL, HELLO, rate),
    },
    Bound {
        promise: "… answers/s × a commit for each ask",
        side: Side::AtLeast(4.0),
        measured: |results| ratio(results, "closed loop tcp 16 pinned", FULL, COMMIT_EACH, rate),
    },
    Bound {
        promise: "full durability, 1 connection: (p50 − p50 of process) ÷ p50 of fdatasync",
        side: Side::AtMost(1.6),
        measured: syncs,
    },
    Bound {
        promise: "500/s over 16 connections, process durability: p99.9 × without the ledger write",
        side: Side::AtMost(2.0),
        measured: |results| ratio(results, "open loop tcp 16 at 500 free", PROCESS, NO_LEDGER, p999),
    },
    Bound {
        promise: "write-ahead log during 60 s at full load, MiB",
        side: Side::AtMost(64.0),
        measured: |results| results.values.get(LOG).copied(),
    },
    Bound {
        promise: "p50 × FastAPI + SQLite NORMAL, 1 connection, pinned",
        side: Side::AtMost(0.2),
        measured: |results| ratio(results, "web servers tcp 1 pinned", PROCESS, "FastAPI + SQLite NORMAL", p50),
    },
    Bound {
        promise: "p50 × fastify, 1 connection, pinned",
        side: Side::AtMost(1.0),
        measured: |results| ratio(results, "web servers tcp 1 pinned", PROCESS, "fastify", p50),
    },
    Bound {
        promise: "p50 × ssh-agent with Ed25519, Unix socket, 1 connection, pinned",
        side: Side::AtMost(0.1),
        measured: |results| ratio(results, "ssh-agent unix 1 pinned", PROCESS, "ssh-agent ed25519", p50),
    },
    Bound {
        promise: "answers/s × FastAPI + SQLite NORMAL, 16 connections",
        side: Side::AtLeast(10.0),
        measured: |results| ratio(results, "web servers tcp 16 free", PROCESS, "FastAPI + SQLite NORMAL", rate),
    },
    Bound {
        promise: "answers/s × fastify, 16 connections",
        side: Side::AtLeast(1.6),
        measured: |results| ratio(results, "web servers tcp 16 free", PROCESS, "fastify", rate),
    },
    Bound {
        promise: "exec to first answer × the floor",
        side: Side::AtMost(3.0),
        measured: |results| results.values.get(START).copied(),
    },
    Bound {
        promise: "RSS locked, MiB",
        side: Side::AtMost(12.0),
        measured: |results| results.values.get(LOCKED).copied(),
    },
    Bound {
        promise: "RSS unlocked with 1000 credentials, MiB",
        side: Side::AtMost(20.0),
        measured: |results| results.values.get(UNLOCKED).copied(),
    },
];

/// A promise and what was measured.
#[derive(Serialize)]
pub struct Check {
    promise: &'static str,
    bound: String,
    measured: Option<Spread>,
    is_kept: Option<bool>,
}

fn p50(figures: &Figures) -> f64 {
    figures.p50_us
}

fn p999(figures: &Figures) -> f64 {
    figures.p999_us
}

fn rate(figures: &Figures) -> f64 {
    figures.per_second
}

/// A figure of a subject as a multiple of another's, in the same rounds.
fn ratio(results: &Results, key: &str, name: &str, other: &str, figure: fn(&Figures) -> f64) -> Option<Spread> {
    let group = results.group(key)?;
    Some(group.row(name)?.ratio(group.row(other)?, figure))
}

/// A figure of one subject.
fn within(results: &Results, key: &str, name: &str, figure: fn(&Figures) -> f64) -> Option<Spread> {
    Some(results.group(key)?.row(name)?.figure(figure))
}

/// How many syncs one durable row costs.
fn syncs(results: &Results) -> Option<Spread> {
    let group = results.group("closed loop tcp 1 pinned")?;
    let rounds = |name| Some(group.row(name)?.rounds.iter());
    let all = rounds(FULL)?.zip(rounds(PROCESS)?).zip(rounds(SYNC)?);
    Some(Spread::of(all.map(|((full, process), sync)| (full.p50_us - process.p50_us) / sync.p50_us)))
}

impl Bound {
    fn check(&self, results: &Results) -> Check {
        let measured = (self.measured)(results);
        let (bound, is_kept) = match self.side {
            Side::AtMost(limit) => (format!("≤ {limit}"), measured.map(|spread| spread.median <= limit)),
            Side::AtLeast(limit) => (format!("≥ {limit}"), measured.map(|spread| spread.median >= limit)),
        };
        Check { promise: self.promise, bound, measured, is_kept }
    }
}

/// Every promise, and what was measured.
pub fn checks(results: &Results) -> Vec<Check> {
    BOUNDS.iter().map(|bound| bound.check(results)).collect()
}

/// The promises as a table.
pub fn table(results: &Results) -> String {
    let mut text = String::from("\n### Promises\n\n| promise | bound | measured | |\n|---|---|---|---|\n");
    for Check { promise, bound, measured, is_kept } in checks(results) {
        let measured = measured.map_or("–".to_owned(), |Spread { median, least, most }| {
            if least == most { format!("{median:.2}") } else { format!("{median:.2} ({least:.2}..{most:.2})") }
        });
        let verdict = is_kept.map_or("not measured", |is_kept| if is_kept { "met" } else { "NOT met" });
        text.push_str(&format!("| {promise} | {bound} | {measured} | {verdict} |\n"));
    }
    text
}

/// Fails when a promise that was measured is not kept.
pub fn verdict(results: &Results) -> Outcome<()> {
    let broken = checks(results).iter().filter(|check| check.is_kept == Some(false)).count();
    if broken == 0 { Ok(()) } else { Err(format!("{broken} promises are not met")) }
}
