//! Work that belongs to no request: the ledger, its anchor and its space every second, a row about refused requests
//! every minute; and the anchor and the ledger's log before a signature has to wait for them.

use crate::api::signer::Signer;
use crate::api::tally::RefusalCounts;
use crate::vault::Vault;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Between two ticks.
const TICK: Duration = Duration::from_secs(1);

/// Ticks between rows about refused requests.
const TICKS_PER_NOTE: u64 = 60;

/// How long nothing is done ahead after that has failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// Runs until it is aborted. Work that a disk hangs on to is waited for; the ticks go on, and notice that it hangs.
pub async fn tend(vault: Arc<Vault>, counts: Arc<RefusalCounts>) {
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut working, mut is_note_due) = (None::<JoinHandle<()>>, false);
    let mut disk_work = None;
    for tick in 1_u64.. {
        ticks.tick().await;
        let before = std::mem::replace(&mut disk_work, vault.disk_work());
        if disk_work.is_some() && disk_work == before {
            vault.note_late();
        }
        is_note_due |= tick.is_multiple_of(TICKS_PER_NOTE);
        if working.as_ref().is_none_or(JoinHandle::is_finished) {
            let note = std::mem::take(&mut is_note_due);
            working = Some(tokio::spawn(tend_once(Arc::clone(&vault), Arc::clone(&counts), note)));
        }
    }
}

/// Does what the next signatures would otherwise wait for, whenever there is something. Runs until it is aborted.
pub async fn tend_ahead(vault: Arc<Vault>, signer: Signer) {
    loop {
        signer.due().await;
        if !vault.is_due() {
            continue;
        }
        let vault = Arc::clone(&vault);
        let tended = tokio::task::spawn_blocking(move || vault.tend_ahead()).await;
        if let Ok(Err(error)) = tended {
            tracing::warn!(%error, "the ledger could not be looked after ahead of need");
            // Until then commits do it themselves.
            tokio::time::sleep(AFTER_A_FAILURE).await;
        }
    }
}

async fn tend_once(vault: Arc<Vault>, counts: Arc<RefusalCounts>, note: bool) {
    let tended = tokio::task::spawn_blocking({
        let vault = Arc::clone(&vault);
        move || vault.tend()
    });
    // What failed says so itself.
    let _ = tended.await;
    if note {
        note_refusals(&vault, &counts).await;
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
