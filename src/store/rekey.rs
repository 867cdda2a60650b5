//! A new vault key: everything that the old one sealed or authenticated is replaced in one transaction, with the new
//! slots, the new state row and the ledger row that tells of it.
//!
//! ```text
//! anchor, spare slot: the mark of before, under the new key     (a crash here: the old key, the other slot)
//! transaction: records, slots, the retired audit key, state row, ledger row
//! commit                                                        (a crash here: the new key, the spare slot)
//! anchor, other slot: the mark of after, under the new key
//! ```
//! Rows up to the last one before the transaction stay chained under the old audit key, which is sealed as a record so
//! that they can be verified.
//!
//! Deliberately absent: how anything is sealed. The vault gives the rows, and a [`Sealer`] for what can only be known
//! here: where the old chain ends, and what was sealed under the old key and waits behind the new one.

use crate::crypto::keys::{LedgerKeys, RetiredKey};
use crate::crypto::slot::Slot;
use crate::store::ledger::Change;
use crate::store::queue::Batch;
use crate::store::record::{RecordRow, Table};
use crate::store::state::{Index, State};
use crate::store::{IntegrityError, StoreError};
use crate::types::id::Id;
use std::fmt;
use std::sync::Arc;

/// Seals under the new vault key.
pub trait Sealer: Send + Sync {
    /// The record that keeps the audit key of the epoch that ends.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be sealed.
    fn retire(&self, key: &RetiredKey) -> Result<RecordRow, StoreError>;

    /// A record of the old key as one of the new, with the same id and version.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be opened or sealed.
    fn seal_again(&self, table: Table, row: &RecordRow) -> Result<RecordRow, StoreError>;
}

/// What a new vault key replaces.
pub struct Rekey {
    /// The new keys. The retired ones are added when it is known where the old chain ends.
    pub keys: LedgerKeys,
    /// The new key's epoch.
    pub epoch: u32,
    /// Every record there is, sealed under the new key.
    pub records: Vec<(Table, RecordRow)>,
    /// Records that end with the old key.
    pub dropped: Vec<(Table, Id)>,
    /// The slots that wrap the new key. All others go.
    pub slots: Vec<Slot>,
    /// Seals what is left.
    pub sealer: Arc<dyn Sealer>,
}

impl fmt::Debug for Rekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rekey").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Rekey {
    /// Checks that these are the records of the index, each in its present version: one that came or changed since they
    /// were sealed again would be lost.
    ///
    /// # Errors
    /// [`IntegrityError::Manifest`].
    pub(crate) fn check(&self, index: &Index, state: &State) -> Result<(), StoreError> {
        let mut expected = index.versions();
        let mut known = |table: Table, id, version: Option<u64>| {
            let found = expected.remove(&(table, id));
            found.is_some_and(|found| version.is_none_or(|version| version == found))
        };
        let all_known = self.dropped.iter().all(|(table, id)| known(*table, *id, None))
            && self
                .records
                .iter()
                .all(|(table, row)| row.epoch == self.epoch && known(*table, row.id, Some(row.version)));
        match all_known && expected.is_empty() && self.epoch == state.epoch + 1 {
            true => Ok(()),
            false => Err(IntegrityError::Manifest("what was sealed again").into()),
        }
    }

    /// The new keys, with those that chained the rows up to `last`, and what changes in the tables: among it the record
    /// of the audit key that retires. `slots` are those of before.
    ///
    /// # Errors
    /// As [`Sealer::retire`].
    pub(crate) fn retire(
        self,
        old: &LedgerKeys,
        last: u64,
        slots: &[u32],
    ) -> Result<(Arc<LedgerKeys>, Vec<Change>), StoreError> {
        let retiring = old.retiring(last);
        let row = self.sealer.retire(&retiring)?;
        let mut keys = self.keys;
        keys.retired = old.retired.iter().cloned().chain([retiring]).collect();
        let gone = slots.iter().map(|slot_id| Change::DeleteSlot(*slot_id));
        let gone = gone.chain(self.dropped.into_iter().map(|(table, id)| Change::Delete(table, id)));
        let records = self.records.into_iter().chain([(Table::Setting, row)]);
        let new =
            records.map(|(table, row)| Change::Put(table, row)).chain(self.slots.into_iter().map(Change::PutSlot));
        Ok((Arc::new(keys), gone.chain(new).collect()))
    }
}

/// Seals again what waits and was sealed under an older key than the present one.
///
/// # Errors
/// As [`Sealer::seal_again`]; the rest stays as it is.
pub(crate) fn seal_again(sealer: &dyn Sealer, epoch: u32, waiting: &mut [Batch]) -> Result<(), StoreError> {
    for change in waiting.iter_mut().flat_map(|batch| &mut batch.changes) {
        if let Change::Put(table, row) = change
            && row.epoch < epoch
        {
            *row = sealer.seal_again(*table, row)?;
        }
    }
    Ok(())
}
