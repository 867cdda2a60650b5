//! The runtime, with threads beside the one that serves: they wait for hashes, and for a disk.

use parking_lot::Mutex;
use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// As many are there from the start, and whoever was started stays: a process in which a thread begins without the memory for
/// all of its stacks ends, so usually none has to begin.
const AT_HAND: usize = 3;

/// A runtime of one thread, with at most so many helpers. Where there is room for one of them but not for all that are wanted
/// at the start, there are fewer.
///
/// # Errors
/// The system's refusal of what it needs, or of any thread at all.
pub fn build(most: usize) -> io::Result<Runtime> {
    // The runtime would panic where not even one can be started.
    let tried = std::thread::Builder::new().spawn(|| ())?;
    tried.join().map_err(|_| io::Error::other("a thread ended as it began"))?;
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(most).thread_keep_alive(Duration::from_secs(u64::from(u32::MAX)));
    // A thread asks for the seed of its maps once: as it begins, because later there may be no random numbers, and locking,
    // revoking and unlocking go on without any.
    builder.on_thread_start(|| _ = std::panic::catch_unwind(RandomState::new));
    let runtime = builder.build()?;
    // None of what they are given ends before all of it is given.
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    for _ in 0..AT_HAND {
        let gate = Arc::clone(&gate);
        runtime.spawn_blocking(move || drop(gate.lock()));
    }
    drop(closed);
    Ok(runtime)
}
