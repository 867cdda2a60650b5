//! Counts of requests that were refused before anyone was known: the guard's, the token's and the rate's.
//!
//! Such a request writes no row of its own, or anyone could fill the ledger. The daemon takes the counts once a minute
//! and writes one row per peer. Monitors want them all, so they are also added up by code, and never taken.

use crate::api::peer::PeerKey;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How often each peer was refused, by code, since the counts were last taken; and how many connections there are.
#[derive(Debug, Default)]
pub struct RefusalCounts {
    counts: Mutex<Counts>,
    /// The open connections of all interfaces.
    open: AtomicU64,
}

#[derive(Debug, Default)]
struct Counts {
    /// Its size is bounded: the users of this machine times the codes of the contract.
    by_peer: BTreeMap<(PeerKey, &'static str), u64>,
    /// Since the start.
    in_all: BTreeMap<&'static str, u64>,
}

/// Counts a connection as open until it is dropped.
pub struct Open(Arc<RefusalCounts>);

impl RefusalCounts {
    /// Counts one refusal.
    pub fn record(&self, peer: PeerKey, code: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.by_peer.entry((peer, code)).or_default() += 1;
        *counts.in_all.entry(code).or_default() += 1;
    }

    /// Counts one refusal that no row will tell of.
    pub fn note(&self, code: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.in_all.entry(code).or_default() += 1;
    }

    /// Takes the counts and starts again from zero; sorted by peer, then code.
    pub fn take(&self) -> BTreeMap<(PeerKey, &'static str), u64> {
        std::mem::take(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner).by_peer)
    }

    /// All refusals since the start, by code.
    pub fn in_all(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).in_all.clone()
    }

    /// Counts a connection as open.
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// How many connections are open.
    pub fn connections(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_by_peer_and_code_until_taken() {
        let counts = RefusalCounts::default();
        counts.record(PeerKey::Tcp, "http.browser");
        counts.record(PeerKey::Uid(7), "auth.failed");
        counts.record(PeerKey::Tcp, "http.browser");
        counts.note("vault.locked");
        let taken: Vec<_> = counts.take().into_iter().collect();
        assert_eq!(taken, [((PeerKey::Tcp, "http.browser"), 2), ((PeerKey::Uid(7), "auth.failed"), 1)]);
        assert!(counts.take().is_empty());
        let in_all: Vec<_> = counts.in_all().into_iter().collect();
        assert_eq!(in_all, [("auth.failed", 1), ("http.browser", 2), ("vault.locked", 1)]);
    }

    #[test]
    fn a_connection_counts_for_as_long_as_it_is_open() {
        let counts = Arc::new(RefusalCounts::default());
        let (one, other) = (counts.open(), counts.open());
        assert_eq!(counts.connections(), 2);
        drop((one, other));
        assert_eq!(counts.connections(), 0);
    }
}
