//! Who drives the event loop: usually the thread that signs, and while a disk keeps that one, the main thread.
//!
//! ```text
//!   signer   loop │ turn │ loop │ turn │ loop │ turn ─────── the disk hangs ───────│ loop │ …
//!   main     ····looks up every LOOK··················│ loop ······················│ ···
//! ```
//!
//! A turn is a commit, and it is taken between two stretches of the loop by the same thread: neither the asks nor their
//! outcomes change threads, which costs more than the commit does. The price is that nothing else is served during a
//! turn. That is some microseconds; when it is more, the main thread takes the loop over until the signer is back, and
//! connections are accepted, read and answered as always.

use crate::api::signer::{LOOK, Signer, Turns};
use crate::store::work::Work;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// What both threads know.
#[derive(Default)]
struct Relay {
    /// The turns.
    work: Work,
    /// Whether the main thread drives the loop, or is about to.
    is_relieved: AtomicBool,
    /// Told when the main thread is to leave the loop.
    leave: Notify,
}

/// What is done every [`LOOK`], whoever drives the loop; it is told the turn that is under way.
pub type Look = Box<dyn Fn(Option<u64>) + Send + Sync>;

/// The two threads of a daemon that serves.
pub struct Relayed<T> {
    relay: Arc<Relay>,
    runtime: Arc<Runtime>,
    signer: Signer,
    look: Look,
    signing: JoinHandle<()>,
    served: Receiver<T>,
}

impl<T: Send + 'static> Relayed<T> {
    /// Starts to serve, and the thread that signs.
    ///
    /// # Errors
    /// The kernel gave no thread.
    pub fn start(
        runtime: Runtime,
        (signer, turns): (Signer, Turns),
        look: Look,
        serving: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<Relayed<T>> {
        let (relay, runtime) = (Arc::new(Relay::default()), Arc::new(runtime));
        let (tell, served) = channel();
        let over = Arc::clone(&relay);
        runtime.spawn(async move {
            // Main waits for this and nothing else.
            let _ = tell.send(serving.await);
            over.leave.notify_one();
        });
        let named = thread::Builder::new().name("signer".to_owned());
        let signing = named.spawn({
            let (relay, runtime) = (Arc::clone(&relay), Arc::clone(&runtime));
            move || relay.take_turns(&runtime, turns)
        })?;
        Ok(Relayed { relay, runtime, signer, look, signing, served })
    }

    /// Waits for the end of serving and relieves the signer meanwhile where a disk keeps it. Returns what serving came
    /// to; none when it, or the thread that signs, panicked.
    pub fn watch(&self) -> Option<T> {
        let mut before = None;
        loop {
            match self.served.recv_timeout(LOOK) {
                Ok(served) => return Some(served),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => (self.look)(self.relay.work.under_way()),
            }
            // A turn that lasts from one look to the next takes long.
            let now = self.relay.work.under_way();
            let is_long = now.is_some() && now == before;
            if is_long || self.signing.is_finished() {
                self.relieve(now);
            }
            before = now;
        }
    }

    /// Drives the loop until the signer is back from this turn.
    fn relieve(&self, turn: Option<u64>) {
        self.relay.is_relieved.store(true, Ordering::SeqCst);
        // It may have come back just now: then nobody would say so again.
        if self.relay.work.under_way() == turn {
            self.runtime.block_on(self.until_told_to_leave());
        }
        self.relay.is_relieved.store(false, Ordering::SeqCst);
    }

    async fn until_told_to_leave(&self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.relay.leave.notified() => return,
                _ = looks.tick() => (self.look)(self.relay.work.under_way()),
            }
        }
    }

    /// Ends both, waiting at most twice this long: whoever a disk hangs on to is left behind.
    pub fn end(self, within: Duration) {
        self.signer.end();
        let began = Instant::now();
        while !self.signing.is_finished() && began.elapsed() < within {
            thread::sleep(Duration::from_millis(1));
        }
        // A signer that is left behind has the runtime as well.
        if let Some(runtime) = Arc::into_inner(self.runtime) {
            runtime.shutdown_timeout(within);
        }
    }
}

impl Relay {
    fn take_turns(&self, runtime: &Runtime, mut turns: Turns) {
        while let Some(turn) = runtime.block_on(turns.next()) {
            let working = self.work.begin();
            turns.sign(turn);
            drop(working);
            if self.is_relieved.load(Ordering::SeqCst) {
                self.leave.notify_one();
            }
        }
    }
}
