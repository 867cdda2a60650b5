//! The thread that signs: it takes every ask that waits and hands them to the vault together, so that they share one
//! durable commit. While the disk works the connections go on being read, and whoever waits too long gets a typed
//! answer.

use crate::vault::Vault;
use crate::vault::sign::{Asked, Refusal, Signed, sign};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Asks that are judged in one go at most.
const MOST_TOGETHER: usize = 256;

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
    jobs: Sender<Job>,
    wait: Duration,
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
        let (jobs, waiting) = channel();
        thread::Builder::new().name("signer".to_owned()).spawn(move || {
            let alarm = Alarm(broken);
            work(&vault, &waiting);
            drop(alarm);
        })?;
        Ok(Signer { jobs, wait })
    }

    /// Judges and signs, one outcome for each ask. An ask whose row is not durable in time is refused; its row may
    /// still be written, but its signature is never released.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn sign(&self, asked: Vec<Asked>) -> Result<Vec<Outcome>, Gone> {
        let count = asked.len();
        let (reply, outcomes) = oneshot::channel();
        self.jobs.send(Job { asked, reply }).map_err(|_| Gone)?;
        match tokio::time::timeout(self.wait, outcomes).await {
            Ok(outcomes) => outcomes.map_err(|_| Gone),
            Err(_) => Ok((0..count).map(|_| Err(Refusal::Unavailable)).collect()),
        }
    }
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
