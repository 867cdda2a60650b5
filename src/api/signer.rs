//! Asks wait here for their turn: all that wait are judged and signed together, so that they share one durable commit.
//!
//! ```text
//!   handlers ──► waiting ──► Turns::next ──► Turns::sign ──► Turns::next ──► handlers
//!                            event loop       disk            event loop
//! ```
//!
//! The thread that takes turns drives the event loop in between (`src/daemon/relay.rs`), so an ask goes to the disk and
//! back without a change of threads. A disk that hangs keeps that thread; another one drives the loop then, and whoever
//! waits too long gets a typed answer.

use crate::api::answers::Answers;
use crate::types::clock::boot_ns;
use crate::vault::Vault;
use crate::vault::sign::{Asked, Refusal, Signed, sign};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};

/// A shorter gap than this is no stop, in milliseconds.
const SHORTEST_STOP_MS: u64 = 1000;
/// How long after a stop what is read counts as having come in before it, in milliseconds.
const AFTER_A_STOP_MS: u64 = 500;
/// Asks that are judged in one turn at most, but for the last batch of them.
const MOST_TOGETHER: usize = 256;

/// How often [`Signer::look`] wants to be called.
pub const LOOK: Duration = Duration::from_millis(100);

/// Requests that wait for their turn at most: one for each of the most connections there can be. While a disk hangs
/// there are no turns, and those that gave up still have their place.
const MOST_WAITING: usize = 32_768;

/// What became of an ask.
pub type Outcome = Result<Signed, Refusal>;

/// Asks of one request and where their outcomes go.
struct Job {
    asked: Vec<Asked>,
    reply: Reply,
}

/// Where the outcomes of a request go.
struct Reply {
    /// None once somebody has waited too long and was told so.
    to: Option<oneshot::Sender<Vec<Outcome>>>,
    count: usize,
    /// The number of looks when it came.
    since: u64,
    /// When it came, by the boot clock.
    since_ns: u64,
}

/// Where handlers leave their asks.
#[derive(Clone)]
pub struct Signer {
    waiting: Arc<Mutex<Waiting>>,
    awake: Arc<Mutex<Awake>>,
    /// Told after a turn when the ledger is to be looked after before the next ones have to do it themselves.
    due: Arc<Notify>,
    answers: Arc<Answers>,
    wait: Duration,
}

/// What waits for a turn.
#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    /// Who waits for the turn that is under way.
    in_turn: Vec<Reply>,
    /// How often somebody has looked.
    looks: u64,
    /// Wakes whoever takes turns.
    taker: Option<Waker>,
    /// Whether there will be no more turns.
    is_over: watch::Sender<bool>,
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

/// Nobody takes turns any more: what did so panicked, and the process is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Signer {
    /// A place for asks, and the turns that empty it. `wait` bounds how long an ask waits for its ledger row.
    pub fn new(vault: Arc<Vault>, wait: Duration) -> (Signer, Turns) {
        let awake = Awake { seen_ms: ms(boot_ns()), stale_until_ms: 0 };
        let awake = Arc::new(Mutex::new(awake));
        let signer = Signer { waiting: Arc::default(), awake, due: Arc::default(), answers: Arc::default(), wait };
        (signer.clone(), Turns { signer, vault, outcomes: Vec::new(), ended_ns: 0 })
    }

    /// Answers whoever has waited too long for a disk, and notes that the process runs. Must be called every [`LOOK`],
    /// whatever else happens: a timer for each ask would cost more than many of its other steps, and every pause between
    /// calls would be taken for a stop.
    pub fn look(&self) {
        let now_ns = boot_ns();
        self.is_just_back(now_ns);
        let mut waiting = self.waiting.lock();
        waiting.looks += 1;
        let most = self.wait.as_millis().div_ceil(LOOK.as_millis());
        let looks = waiting.looks;
        let is_late = |reply: &Reply| u128::from(looks - reply.since) > most;
        let give_up = |reply: &mut Reply| reply.give(unavailable, &self.answers, now_ns);
        waiting.in_turn.iter_mut().filter(|reply| is_late(reply)).for_each(give_up);
        // Nothing of these is judged any more.
        waiting.jobs.extract_if(.., |job| is_late(&job.reply)).for_each(|mut job| give_up(&mut job.reply));
    }

    fn is_just_back(&self, now_ns: u64) -> bool {
        self.awake.lock().note(ms(now_ns), self.wait)
    }

    /// What became of asks so far.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// How many requests wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().jobs.len()
    }

    /// Judges and signs, one outcome for each ask. An ask whose row is not durable in time is refused; its row may
    /// still be written, but its signature is never released.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn sign(&self, asked: Vec<Asked>) -> Result<Vec<Outcome>, Gone> {
        let count = asked.len();
        let (to, outcomes) = oneshot::channel();
        let since_ns = boot_ns();
        {
            let mut waiting = self.waiting.lock();
            if *waiting.is_over.borrow() {
                return Err(Gone);
            }
            if waiting.jobs.len() >= MOST_WAITING {
                return Ok(unavailable(count));
            }
            let reply = Reply { to: Some(to), count, since: waiting.looks, since_ns };
            waiting.jobs.push(Job { asked, reply });
            if let Some(taker) = waiting.taker.take() {
                taker.wake();
            }
        }
        outcomes.await.map_err(|_| Gone)
    }

    /// Says that there are no more turns. Whoever waits, or asks later, is told that they are [`Gone`].
    pub fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_over.send_replace(true);
        waiting.jobs.clear();
        waiting.in_turn.clear();
        if let Some(taker) = waiting.taker.take() {
            taker.wake();
        }
    }

    /// Waits until there is something to do for [`Vault::tend_ahead`], perhaps done by now.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// Waits until there are no more turns.
    pub async fn gone(&self) {
        let mut is_over = self.waiting.lock().is_over.subscribe();
        // The sender is this signer's own, so it is there.
        let _ = is_over.wait_for(|is_over| *is_over).await;
    }
}

/// The turns, for the one thread that takes them.
pub struct Turns {
    signer: Signer,
    vault: Arc<Vault>,
    /// What the last turn brought.
    outcomes: Vec<Outcome>,
    /// When it ended, by the boot clock.
    ended_ns: u64,
}

/// The asks of one turn.
pub struct Turn(Vec<Asked>);

impl Turns {
    /// Gives out what the last turn brought, then waits for asks; none once there are no more turns. Awaited on the event
    /// loop, so whoever gets an outcome goes on right there.
    pub async fn next(&mut self) -> Option<Turn> {
        self.give_out();
        // Answers first: under load somebody always waits already.
        tokio::task::yield_now().await;
        if self.vault.is_due() {
            self.signer.due.notify_one();
        }
        poll_fn(|cx| self.signer.waiting.lock().poll_take(cx)).await
    }

    /// Judges and signs what waited. Works with the disk, so it is called with nobody waiting for this thread.
    pub fn sign(&mut self, Turn(asked): Turn) {
        let count = asked.len();
        self.outcomes = match self.signer.is_just_back(boot_ns()) {
            true => unavailable(count),
            false => sign(&self.vault, asked),
        };
        self.ended_ns = boot_ns();
        if self.signer.is_just_back(self.ended_ns) {
            self.outcomes = unavailable(count);
        }
    }

    fn give_out(&mut self) {
        let replies = std::mem::take(&mut self.signer.waiting.lock().in_turn);
        let mut outcomes = self.outcomes.drain(..);
        for mut reply in replies {
            reply.give(|count| outcomes.by_ref().take(count).collect(), &self.signer.answers, self.ended_ns);
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.signer.end();
    }
}

impl Reply {
    /// Makes the outcomes and gives them, once. A receiver that is gone by now dropped its answer, and one that waited too
    /// long has another: the row stands, the signature goes nowhere.
    fn give(&mut self, outcomes: impl FnOnce(usize) -> Vec<Outcome>, answers: &Answers, now_ns: u64) {
        let outcomes = outcomes(self.count);
        if let Some(to) = self.to.take() {
            answers.record(&outcomes, now_ns.saturating_sub(self.since_ns));
            let _ = to.send(outcomes);
        }
    }

    fn is_awaited(&self) -> bool {
        self.to.as_ref().is_some_and(|to| !to.is_closed())
    }
}

impl Waiting {
    /// Takes as many as belong into one turn. Who gave up waiting is not signed for.
    fn poll_take(&mut self, cx: &Context<'_>) -> Poll<Option<Turn>> {
        if *self.is_over.borrow() {
            return Poll::Ready(None);
        }
        self.jobs.retain(|job| job.reply.is_awaited());
        if self.jobs.is_empty() {
            self.taker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut asked = Vec::new();
        let together = self.jobs.iter().scan(0, |asks, job| {
            let before = *asks;
            *asks += job.reply.count;
            (before < most_together()).then_some(())
        });
        for job in self.jobs.drain(..together.count()) {
            asked.extend(job.asked);
            self.in_turn.push(job.reply);
        }
        Poll::Ready(Some(Turn(asked)))
    }
}

fn most_together() -> usize {
    #[cfg(feature = "bench-variants")]
    if crate::store::bench::variant() == crate::store::bench::Variant::CommitEach {
        return 1;
    }
    MOST_TOGETHER
}

/// Milliseconds of a time in nanoseconds.
fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn unavailable(count: usize) -> Vec<Outcome> {
    (0..count).map(|_| Err(Refusal::Unavailable)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ask::{Ask, Method, Request, Wanted};
    use crate::types::id::Id;
    use crate::vault::authenticate::Caller;
    use std::pin::pin;

    fn signer(wait: Duration) -> Signer {
        let awake = Arc::new(Mutex::new(Awake { seen_ms: ms(boot_ns()), stale_until_ms: 0 }));
        Signer { waiting: Arc::default(), awake, due: Arc::default(), answers: Arc::default(), wait }
    }

    fn asks(count: usize) -> Vec<Asked> {
        let request = || Request { method: Method::Get, path: "/".to_owned(), body: None };
        let caller = Caller { bot: Id([0; 16]), token: [0; 32] };
        let ask = || Ask { credential: "main".to_owned(), wanted: Wanted::Request(request()) };
        (0..count).map(|_| Asked { caller, uid: None, ask: ask() }).collect()
    }

    fn take(signer: &Signer) -> Poll<Option<usize>> {
        let taken = signer.waiting.lock().poll_take(&Context::from_waker(Waker::noop()));
        taken.map(|turn| turn.map(|Turn(asked)| asked.len()))
    }

    /// What became of a request by now: how many outcomes it got.
    fn told(
        request: std::pin::Pin<&mut impl Future<Output = Result<Vec<Outcome>, Gone>>>,
    ) -> Poll<Result<usize, Gone>> {
        let outcomes = request.poll(&mut Context::from_waker(Waker::noop()));
        outcomes.map(|outcomes| outcomes.map(|outcomes| outcomes.len()))
    }

    #[test]
    fn a_turn_takes_all_that_wait_up_to_a_bound_and_nobody_who_has_gone() {
        let signer = signer(Duration::from_secs(2));
        let (mut gone, mut first) = (Box::pin(signer.sign(asks(7))), pin!(signer.sign(asks(MOST_TOGETHER - 1))));
        let (mut second, mut third) = (pin!(signer.sign(asks(20))), pin!(signer.sign(asks(1))));
        assert!(told(gone.as_mut()).is_pending() && told(first.as_mut()).is_pending());
        assert!(told(second.as_mut()).is_pending() && told(third.as_mut()).is_pending());
        drop(gone);
        assert_eq!(take(&signer), Poll::Ready(Some(MOST_TOGETHER + 19)), "a batch is not split");
        assert_eq!(take(&signer), Poll::Ready(Some(1)));
        assert_eq!(take(&signer), Poll::Pending);
        signer.end();
        assert_eq!(take(&signer), Poll::Ready(None));
        assert_eq!(told(third.as_mut()), Poll::Ready(Err(Gone)));
        assert_eq!(told(pin!(signer.sign(asks(1)))), Poll::Ready(Err(Gone)));
    }

    #[test]
    fn whoever_waits_too_long_is_told_so_in_a_turn_or_before_it() {
        let signer = signer(3 * LOOK);
        let (mut hangs, mut waits) = (pin!(signer.sign(asks(2))), pin!(signer.sign(asks(1))));
        assert!(told(hangs.as_mut()).is_pending());
        assert_eq!(take(&signer), Poll::Ready(Some(2)));
        signer.look();
        assert!(told(waits.as_mut()).is_pending());
        (0..2).for_each(|_| signer.look());
        assert!(told(hangs.as_mut()).is_pending());
        signer.look();
        assert_eq!(told(hangs.as_mut()), Poll::Ready(Ok(2)));
        assert!(told(waits.as_mut()).is_pending());
        signer.look();
        assert_eq!(told(waits.as_mut()), Poll::Ready(Ok(1)));
        assert_eq!(signer.answers().ends(), [0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(take(&signer), Poll::Pending, "nobody waits");
        let in_turn = &signer.waiting.lock().in_turn;
        assert_eq!((in_turn.len(), in_turn[0].count), (1, 2), "its outcomes have a place to be dropped");
    }

    #[test]
    fn what_is_read_right_after_a_stop_may_be_from_before_it() {
        let mut awake = Awake { seen_ms: 1000, stale_until_ms: 0 };
        let wait = Duration::from_secs(2);
        let notes = [3000, 5001, 5500, 5501, 7501].map(|now_ms| awake.note(now_ms, wait));
        assert_eq!(notes, [false, true, true, false, false]);
        assert!(awake.note(100_000, wait), "a machine that slept");
    }
}
