//! Stopping: what is in flight finishes, what is idle closes, and nobody is waited for longer than a bound.

use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How a listener's connections ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection closed by itself.
    All,
    /// This many were still open when the time was over and were cut off.
    CutOff(usize),
}

/// Waits for connections that were told to stop.
pub async fn drain(mut connections: JoinSet<()>, within: Duration) -> Drained {
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(within, all_done).await.is_ok() {
        return Drained::All;
    }
    let left = connections.len();
    connections.shutdown().await;
    Drained::CutOff(left)
}
