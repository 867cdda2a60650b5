//! Who listens on a Unix socket, as the kernel tells it.

use crate::cli::connect::CONNECT_TIMEOUT;
use std::io;
use std::path::Path;
use tokio::net::UnixStream;

/// The process that began to listen: the daemon, or who made the socket for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its process id; none when it lives in another process namespace.
    pub pid: Option<u32>,
    /// Its user id.
    pub uid: u32,
}

/// Connects, asks the kernel, and goes again. Nothing is sent.
///
/// # Errors
/// The kernel's refusal; nobody took the connection in time.
pub fn listener(path: &Path) -> io::Result<Listener> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await;
        let about = connected.map_err(|_| io::ErrorKind::TimedOut)??.peer_cred()?;
        let pid = about.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        Ok(Listener { pid, uid: about.uid() })
    })
}
