//! Work that belongs to no request: the anchor every second, a row about refused requests every minute.

use crate::api::tally::RefusalCounts;
use crate::vault::Vault;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Ticks, seconds, between rows about refused requests.
const TICKS_PER_NOTE: u64 = 60;

/// Runs until it is aborted.
pub async fn tend(vault: Arc<Vault>, counts: Arc<RefusalCounts>) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1_u64.. {
        ticks.tick().await;
        let tended = tokio::task::spawn_blocking({
            let vault = Arc::clone(&vault);
            move || vault.tend()
        });
        if let Ok(Err(error)) = tended.await {
            tracing::error!(%error, "the anchor could not be brought up to date");
        }
        if tick.is_multiple_of(TICKS_PER_NOTE) {
            note_refusals(&vault, &counts).await;
        }
    }
}

/// Writes one row for each peer that was refused since the last time. While the vault is locked the counts go on.
pub async fn note_refusals(vault: &Arc<Vault>, counts: &RefusalCounts) {
    if !vault.is_unlocked() {
        return;
    }
    let mut by_peer: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for ((peer, code), count) in counts.take() {
        by_peer.entry(peer.to_string()).or_default().insert(code.to_owned(), count);
    }
    let vault = Arc::clone(vault);
    let noted = tokio::task::spawn_blocking(move || {
        by_peer.iter().try_for_each(|(peer, counts)| vault.audit_refused(peer, counts))
    });
    if let Ok(Err(error)) = noted.await {
        tracing::error!(%error, "refused requests could not be noted");
    }
}
