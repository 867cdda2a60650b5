//! Bots that sign as fast as they can, each on its own connection, and what the ledger says about it afterwards.

use crate::support::Daemon;
use crate::support::http::{Connection, Response};
use ring::digest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The path of every order.
pub const ORDER: &str = "/api/v5/trade/order";

/// A request and its answer.
pub struct Sent {
    /// When its first byte was sent.
    pub at: Instant,
    /// The body to be signed; no other request has the same.
    pub body: String,
    /// What came back.
    pub response: Response,
}

impl Sent {
    /// The sequence number, of a request that was signed.
    pub fn audit_seq(&self) -> Option<u64> {
        (self.response.status == 200).then(|| self.response.json()["audit_seq"].as_u64().expect("a number"))
    }
}

/// Where bots sign, also after the daemon has gone.
#[derive(Clone)]
pub struct Place {
    port: u16,
    socket: PathBuf,
}

impl Place {
    /// Where this daemon's bots sign.
    pub fn of(daemon: &Daemon<'_>) -> Place {
        Place { port: daemon.port, socket: daemon.sign_socket() }
    }

    /// Over TCP for even numbers, over the Unix socket for odd ones.
    pub fn connect(&self, number: usize) -> io::Result<Connection> {
        match number % 2 {
            0 => Connection::try_tcp(self.port),
            _ => Connection::try_unix(&self.socket),
        }
    }
}

/// How signers are told to stop, and how far they are.
#[derive(Default)]
pub struct Control {
    /// Set to stop them.
    pub over: AtomicBool,
    /// How many answers have come.
    pub answers: AtomicUsize,
}

impl Control {
    /// Waits until so many more answers have come.
    #[track_caller]
    pub fn wait_for_more(&self, more: usize) {
        let goal = self.answers.load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.answers.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < deadline, "the signers came to a halt");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops the signers.
    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Stops the signers at the end of a scope, also when something in it failed: a scope waits for its threads.
    pub fn stop_at_the_end(&self) -> impl Drop + '_ {
        StopsThem(self)
    }
}

struct StopsThem<'a>(&'a Control);

impl Drop for StopsThem<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// One signer's requests, and how its last connection ended if not by being told to.
pub struct Log {
    /// Every answered request.
    pub sent: Vec<Sent>,
    /// Why the last request has no answer.
    pub ended: Option<io::Error>,
    /// Whether the connection ended between answers and not inside one.
    pub cleanly: bool,
}

/// Signs orders until told to stop or the daemon is gone. `round` and `number` make its bodies its own.
pub fn sign_until_over(place: &Place, token: &str, round: usize, number: usize, control: &Control) -> Log {
    let mut log = Log { sent: Vec::new(), ended: None, cleanly: true };
    while !control.over.load(Ordering::Relaxed) && log.ended.is_none() {
        match place.connect(number) {
            Ok(connection) => sign_on(connection, token, &format!("r{round}n{number}"), control, &mut log),
            Err(error) => log.ended = Some(error),
        }
    }
    log
}

/// Signs on one connection until it ends or is to be closed.
fn sign_on(mut connection: Connection, token: &str, name: &str, control: &Control, log: &mut Log) {
    while !control.over.load(Ordering::Relaxed) {
        let body = format!(r#"{{"instId":"BTC-USDT","clOrdId":"{name}c{}"}}"#, log.sent.len());
        let at = Instant::now();
        match connection.try_sign(token, "main", "POST", ORDER, Some(&body)) {
            Ok(response) => {
                let closes = response.header("connection") == Some("close");
                log.sent.push(Sent { at, body, response });
                control.answers.fetch_add(1, Ordering::Relaxed);
                if closes {
                    return;
                }
            }
            Err(error) => {
                log.cleanly = connection.is_closed();
                log.ended = Some(error);
                return;
            }
        }
    }
}

/// SHA-256 in hexadecimal, by ring.
pub fn sha256_hex(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ledger of an unlocked daemon by sequence number, after `audit verify` said that it holds.
pub fn verified_ledger(daemon: &Daemon<'_>) -> BTreeMap<u64, Value> {
    daemon.run(&["audit", "verify"], "").ok();
    let exported = daemon.run(&["audit", "export"], "").ok();
    let rows = exported.lines().map(|line| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let body = serde_json::from_str(row["body"].as_str().expect("text")).expect("JSON");
        (row["seq"].as_u64().expect("a number"), body)
    });
    let rows: Vec<(u64, Value)> = rows.collect();
    assert!(rows.iter().map(|(seq, _)| *seq).eq(1..=rows.len() as u64), "sequence numbers have no gap");
    rows.into_iter().collect()
}

/// Every signature has its own row, which allows it and is about the very body that was signed. Says how many.
#[track_caller]
pub fn every_signature_has_its_row<'a>(
    sent: impl IntoIterator<Item = &'a Sent>,
    ledger: &BTreeMap<u64, Value>,
) -> usize {
    let (signed, wrong) = compare_with_ledger(sent, ledger);
    assert!(wrong.is_empty(), "{wrong:?}");
    signed
}

/// How many were signed, and what is wrong about their rows.
pub fn compare_with_ledger<'a>(
    sent: impl IntoIterator<Item = &'a Sent>,
    ledger: &BTreeMap<u64, Value>,
) -> (usize, Vec<String>) {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    let mut signed = 0;
    for (seq, sent) in sent.into_iter().filter_map(|sent| Some((sent.audit_seq()?, sent))) {
        signed += 1;
        match ledger.get(&seq) {
            None => wrong.push(format!("row {seq} is gone")),
            Some(row) if row["decision"] != "allow" => wrong.push(format!("row {seq} allows nothing")),
            Some(row) if row["body_sha256"] != sha256_hex(&sent.body) => {
                wrong.push(format!("row {seq} is about another body"));
            }
            Some(_) if !seen.insert(seq) => wrong.push(format!("row {seq} stands for two signatures")),
            Some(_) => (),
        }
    }
    (signed, wrong)
}
