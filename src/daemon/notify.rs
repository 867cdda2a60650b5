//! What the service manager is told, and what it says when it starts the daemon (sd_notify(3), sd_listen_fds(3)). Without
//! one, nothing here does anything.

use crate::vault::Vault;
use parking_lot::Mutex;
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How long what is told of the vault may be old.
const LOOK: Duration = Duration::from_secs(1);

/// How long a service manager that does not listen is waited for: bots wait meanwhile.
const PATIENCE: Duration = Duration::from_millis(100);

/// Between two beats at least: more of them would tell no more, and keep the event loop from its work.
const SHORTEST: Duration = Duration::from_millis(10);

/// Tells how the service is; a message that does not arrive changes nothing here.
pub fn tell(states: &[NotifyState<'_>]) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else { return };
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    if let Err(error) = send(&address, &message) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Sends to a socket with a path, or after `@` with none: [`sd_notify::notify`] knows only the first, and waits for ever
/// where nobody reads.
fn send(address: &OsStr, message: &str) -> io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// In a few words, what `systemctl status` shows.
fn words(vault: &Vault) -> &'static str {
    match (vault.is_unlocked(), vault.is_initialized()) {
        (true, _) => "unlocked",
        (false, true) => "locked: run `signvault unlock`",
        (false, false) => "uninitialized: run `signvault init`",
    }
}

/// Everything is there. Says what the vault is, for the log.
pub fn ready(vault: &Vault) -> &'static str {
    let state = words(vault);
    tell(&[NotifyState::Ready, NotifyState::Status(state)]);
    state
}

/// Keeps the service manager told of what the vault is, until it is aborted.
pub async fn keep_told(vault: Arc<Vault>) {
    let mut told = words(&vault);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = words(&vault);
        if now != told {
            tell(&[NotifyState::Status(now)]);
            told = now;
        }
    }
}

/// The configuration is about to be read again.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now().into_iter();
    tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
}

/// Pings the service manager for as long as the part that signs is well: the event loop turns, and no turn of the signing
/// thread hangs but on a disk. A disk that hangs is no reason to be started again: it would hang then too, and lock,
/// status and revoke work meanwhile.
#[derive(Debug)]
pub struct Watchdog {
    /// Half of what the service manager waits; none when it does not.
    every: Option<Duration>,
    /// Counts stretches of the event loop.
    beats: AtomicU64,
    seen: Mutex<Seen>,
}

/// What was seen last.
#[derive(Debug)]
struct Seen {
    pinged: Instant,
    /// The beats at that time.
    beats: u64,
    /// The turn that is under way, and since when.
    turn: Option<u64>,
    since: Instant,
}

impl Watchdog {
    /// As the service manager asked for it. No time at all means that it did not.
    pub fn asked_for() -> Watchdog {
        let most = sd_notify::watchdog_enabled().filter(|most| !most.is_zero());
        Watchdog::every(most.map(|most| most / 2))
    }

    fn every(every: Option<Duration>) -> Watchdog {
        let seen = Seen { pinged: Instant::now(), beats: 0, turn: None, since: Instant::now() };
        Watchdog { every, beats: AtomicU64::new(0), seen: Mutex::new(seen) }
    }

    /// Counts beats on the event loop until it is aborted; returns at once when nobody waits for them.
    pub async fn beat(&self) {
        let Some(every) = self.every else { return };
        let mut beats = tokio::time::interval((every / 4).max(SHORTEST));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            self.beats.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pings if it is time and all is well. `turn` is the one that is under way, unless it waits for the disk. To be called
    /// often, from outside of the event loop.
    pub fn look(&self, turn: impl FnOnce() -> Option<u64>) {
        if let Some(every) = self.every
            && self.seen.lock().is_well(every, turn(), self.beats.load(Ordering::Relaxed), Instant::now())
        {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

impl Seen {
    /// Whether it is time for a ping, and there may be one.
    fn is_well(&mut self, every: Duration, turn: Option<u64>, beats: u64, now: Instant) -> bool {
        if turn != self.turn {
            (self.turn, self.since) = (turn, now);
        }
        let hangs = turn.is_some() && now - self.since > every;
        let is_well = now - self.pinged >= every / 2 && beats != self.beats && !hangs;
        if is_well {
            (self.pinged, self.beats) = (now, beats);
        }
        is_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_or_a_turn_that_hangs_gets_no_ping() {
        let began = Instant::now();
        let mut seen = Seen { pinged: began, beats: 0, turn: None, since: began };
        let mut look = |after_ms: u64, turn: Option<u64>, beats: u64| {
            seen.is_well(Duration::from_millis(1000), turn, beats, began + Duration::from_millis(after_ms))
        };
        assert!(!look(100, None, 1), "too early");
        assert!(look(500, None, 1));
        assert!(!look(1500, None, 1), "no beat");
        assert!(look(1600, Some(7), 2), "a turn has just begun");
        assert!(look(2600, Some(7), 3));
        assert!(!look(2601, Some(7), 4) && !look(9000, Some(7), 5), "the same turn for longer than that");
        assert!(look(9001, Some(8), 6), "it is over");
    }

    #[test]
    fn nobody_is_pinged_who_did_not_ask() {
        Watchdog::every(None).look(|| panic!("looked"));
    }
}
