//! The thread that signs: it takes every ask that waits and hands them to the vault together, so that they share one
//! durable commit. While the disk works the connections go on being read, and whoever waits too long gets a typed
//! answer.

use crate::types::clock::{Clock, SystemClock};
use crate::vault::Vault;
use crate::vault::sign::{Asked, Refusal, Signed, sign};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// A shorter gap than this is no stop, in milliseconds.
const SHORTEST_STOP_MS: u64 = 1000;
/// How long after a stop what is read counts as having come in before it, in milliseconds.
const AFTER_A_STOP_MS: u64 = 500;
/// Asks that are judged in one go at most.
const MOST_TOGETHER: usize = 256;

/// Requests that wait for the thread at most: one for each of the most connections there can be. While a disk hangs the
/// thread takes none, and those that gave up still have their place.
const MOST_WAITING: usize = 4096;

/// What became of an ask.
pub type Outcome = Result<Signed, Refusal>;

/// Asks of one request and where their outcomes go.
struct Job {
    asked: Vec<Asked>,
    reply: oneshot::Sender<Vec<Outcome>>,
}

/// The way to the signing thread. It ends when the last of these is gone.
#[derive(Clone)]
pub struct Signer {
    jobs: SyncSender<Job>,
    wait: Duration,
    awake: Arc<Mutex<Awake>>,
}

/// Whether the process has been running all the time. It may have been stopped, or the machine suspended; what came in
/// meanwhile is as old as that, and nobody can tell how old. By the boot clock, which goes on while a machine sleeps.
#[derive(Debug)]
struct Awake {
    /// When it was last seen running.
    seen_ms: u64,
    /// Until when what is read may have come in before that.
    stale_until_ms: u64,
}

impl Awake {
    /// It runs now. After a gap longer than anyone waits, whatever is read in the next moment may be too old.
    fn note(&mut self, now_ms: u64, wait: Duration) -> bool {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if now_ms.saturating_sub(self.seen_ms) > wait_ms.max(SHORTEST_STOP_MS) {
            self.stale_until_ms = now_ms + AFTER_A_STOP_MS;
        }
        self.seen_ms = now_ms;
        now_ms < self.stale_until_ms
    }
}

/// The signing thread is gone: something in it panicked, and the process is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Signer {
    /// Starts the thread. `wait` bounds how long an ask waits for its ledger row; `broken` is set when the thread
    /// panics, and then the process must end: it comes back locked.
    ///
    /// # Errors
    /// The kernel gave no thread.
    pub fn start(vault: Arc<Vault>, wait: Duration, broken: watch::Sender<bool>) -> std::io::Result<Signer> {
        let (jobs, waiting) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("signer".to_owned()).spawn(move || {
            let alarm = Alarm(broken);
            work(&vault, &waiting);
            drop(alarm);
        })?;
        let awake = Arc::new(Mutex::new(Awake { seen_ms: boot_ms(), stale_until_ms: 0 }));
        Ok(Signer { jobs, wait, awake })
    }

    /// Notes that the process runs, again and again, until it is aborted.
    pub async fn watch_for_stops(self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(SHORTEST_STOP_MS / 4));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.is_just_back();
        }
    }

    fn is_just_back(&self) -> bool {
        self.awake.lock().note(boot_ms(), self.wait)
    }

    /// Judges and signs, one outcome for each ask. An ask whose row is not durable in time is refused; its row may
    /// still be written, but its signature is never released.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn sign(&self, asked: Vec<Asked>) -> Result<Vec<Outcome>, Gone> {
        let count = asked.len();
        if self.is_just_back() {
            return Ok(unavailable(count));
        }
        let (reply, outcomes) = oneshot::channel();
        match self.jobs.try_send(Job { asked, reply }) {
            Ok(()) => (),
            Err(TrySendError::Full(_)) => return Ok(unavailable(count)),
            Err(TrySendError::Disconnected(_)) => return Err(Gone),
        }
        match tokio::time::timeout(self.wait, outcomes).await {
            // An outcome that is there is taken before the time-out, however late both are.
            Ok(_) if self.is_just_back() => Ok(unavailable(count)),
            Ok(outcomes) => outcomes.map_err(|_| Gone),
            Err(_) => Ok(unavailable(count)),
        }
    }
}

fn boot_ms() -> u64 {
    SystemClock.now().boot_ms
}

fn unavailable(count: usize) -> Vec<Outcome> {
    (0..count).map(|_| Err(Refusal::Unavailable)).collect()
}

fn work(vault: &Vault, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        let mut asks = jobs[0].asked.len();
        while asks < MOST_TOGETHER
            && let Ok(next) = waiting.try_recv()
        {
            asks += next.asked.len();
            jobs.push(next);
        }
        answer(vault, jobs);
    }
}

fn answer(vault: &Vault, mut jobs: Vec<Job>) {
    // Who gave up waiting is not signed for.
    jobs.retain(|job| !job.reply.is_closed());
    let (replies, asked): (Vec<_>, Vec<_>) =
        jobs.into_iter().map(|job| ((job.asked.len(), job.reply), job.asked)).unzip();
    let mut outcomes = sign(vault, asked.into_iter().flatten().collect()).into_iter();
    for (count, reply) in replies {
        // A receiver that is gone by now dropped its answer: the row stands, the signature goes nowhere.
        let _ = reply.send(outcomes.by_ref().take(count).collect());
    }
}

/// Sounds when the thread unwinds.
struct Alarm(watch::Sender<bool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_right_after_a_stop_may_be_from_before_it() {
        let mut awake = Awake { seen_ms: 1000, stale_until_ms: 0 };
        let wait = Duration::from_secs(2);
        let notes = [3000, 5001, 5500, 5501, 7501].map(|now_ms| awake.note(now_ms, wait));
        assert_eq!(notes, [false, true, true, false, false]);
        assert!(awake.note(100_000, wait), "a machine that slept");
    }
}
