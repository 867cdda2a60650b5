//! Counts of requests that were refused before anyone was known: the guard's, the token's and the rate's.
//!
//! Such a request writes no row of its own, or anyone could fill the ledger. The daemon takes the counts once a minute
//! and writes one row per peer.

use crate::api::peer::PeerKey;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How often each peer was refused, by code, since the counts were last taken.
#[derive(Debug, Default)]
pub struct RefusalCounts {
    /// Its size is bounded: the users of this machine times the codes of the contract.
    counts: Mutex<BTreeMap<(PeerKey, &'static str), u64>>,
}

impl RefusalCounts {
    /// Counts one refusal.
    pub fn record(&self, peer: PeerKey, code: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((peer, code)).or_default() += 1;
    }

    /// Takes the counts and starts again from zero; sorted by peer, then code.
    pub fn take(&self) -> BTreeMap<(PeerKey, &'static str), u64> {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
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
        let taken: Vec<_> = counts.take().into_iter().collect();
        assert_eq!(taken, [((PeerKey::Tcp, "http.browser"), 2), ((PeerKey::Uid(7), "auth.failed"), 1)]);
        assert!(counts.take().is_empty());
    }
}
