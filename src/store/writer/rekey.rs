//! The transaction of a new vault key, and what a writer does about a commit of one that nobody knows the end of.

use crate::audit::chain::Point;
use crate::crypto::keys::LedgerKeys;
use crate::crypto::slot::SlotHeader;
use crate::store::anchor::Anchor;
use crate::store::ledger::Change;
use crate::store::queue::Batch;
use crate::store::record::{self, RecordRow, Table};
use crate::store::rekey::{self, Rekey};
use crate::store::state::{self, Index, State};
use crate::store::writer::recovery::replaced_by;
use crate::store::writer::{Writer, apply, not_open};
use crate::store::{Durability, IntegrityError, StoreError, file, verify};
use crate::types::id::Id;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::sync::Arc;

impl Writer {
    /// Writes batches that go together, or the one that is about a new vault key, and says the sequence number of the
    /// first row.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub(crate) fn commit_or_rekey(&mut self, batches: &mut [Batch]) -> Result<u64, StoreError> {
        if let [batch] = batches
            && let Some(rekey) = batch.rekey.take()
        {
            return self.rekey(batch, *rekey);
        }
        self.seal_again(batches)?;
        self.commit(batches)
    }

    /// Seals what waits again, and wipes the key that it was sealed under.
    ///
    /// # Errors
    /// As [`rekey::seal_again`].
    pub(crate) fn forget_old_key(&mut self, waiting: &mut [Batch]) -> Result<(), StoreError> {
        self.seal_again(waiting)?;
        self.sealer = None;
        Ok(())
    }

    /// The rows of a table that follow an id, each the one that was written last.
    ///
    /// # Errors
    /// [`IntegrityError::Tampered`] for one that was exchanged in the file; SQLite's refusal.
    pub(crate) fn records(
        &mut self,
        table: Table,
        after: Option<Id>,
        limit: u32,
    ) -> Result<Vec<RecordRow>, StoreError> {
        self.recover()?;
        let rows = record::read_after(self.sound()?, table, after, limit)?;
        match rows.iter().find(|row| !self.index.holds(table, row)) {
            None => Ok(rows),
            Some(row) => Err(IntegrityError::Tampered { table: table.name(), id: row.id }.into()),
        }
    }

    /// A record of an older key would not open any more: it is sealed again, or nothing is written.
    fn seal_again(&self, batches: &mut [Batch]) -> Result<(), StoreError> {
        let epoch = self.state.epoch;
        if let Some(sealer) = &self.sealer {
            rekey::seal_again(&**sealer, epoch, batches)?;
        }
        let mut changes = batches.iter().flat_map(|batch| &batch.changes);
        match changes.any(|change| matches!(change, Change::Put(_, row) if row.epoch != epoch)) {
            true => Err(IntegrityError::Manifest("a record of another key").into()),
            false => Ok(()),
        }
    }

    fn rekey(&mut self, batch: &Batch, rekey: Rekey) -> Result<u64, StoreError> {
        self.recover()?;
        rekey.check(&self.index, &self.state)?;
        let (sealer, epoch) = (Arc::clone(&rekey.sealer), rekey.epoch);
        let slots = slot_ids(self.sound()?)?;
        let (keys, changes) = rekey.retire(&self.keys, self.tail.link.seq, &slots)?;
        let what = file::failed("the anchor could not be written under the new key");
        // EXPOSE: to the anchor's MAC. Nobody writes it ahead from here to the end: that takes the writer.
        let spare = |anchor: &mut Anchor, mark| anchor.write_spare(keys.anchor.expose(), &self.vault_id, mark);
        self.anchoring.change(spare).map_err(what)?;
        // From here on, until the commit is known to hold or not to hold, either key may be the vault's.
        self.unsure = Some(Arc::clone(&keys));
        let mut connection = self.connection.take().ok_or_else(not_open)?;
        self.sync_as(&connection, Durability::Full)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let first = self.tail.link.seq + 1;
        let (tail, state, index) = self.replace_all(&transaction, &keys, epoch, batch, &changes)?;
        transaction.commit()?;
        self.connection = Some(connection);
        self.replaced = Vec::new();
        (self.unsure, self.sealer) = (None, Some(sealer));
        (self.keys, self.tail, self.state, self.index) = (keys, tail, state, index);
        self.anchoring.change(|anchor, _| anchor.turn());
        self.try_anchor();
        Ok(first)
    }

    fn replace_all(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &LedgerKeys,
        epoch: u32,
        batch: &Batch,
        changes: &[Change],
    ) -> Result<(Point, State, Index), StoreError> {
        self.check_slots(transaction)?;
        self.replaced = replaced_by(transaction, &changes.iter().collect::<Vec<_>>())?;
        // Everything is written anew, so that nothing that the old key sealed is left between the rows of a page.
        record::clear(transaction)?;
        for change in changes {
            apply(transaction, change)?;
        }
        let mut tail = self.tail;
        for entry in &batch.entries {
            // EXPOSE: to the chain.
            tail = tail.next(keys.audit.expose(), &self.vault_id, &entry.body);
            let mut insert = transaction.prepare_cached("INSERT INTO audit (seq, head, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![tail.link.seq as i64, tail.link.head, entry.body])?;
        }
        let index = verify::index_of(&verify::read_records(transaction)?);
        let slots = state::slots_hash(&record::read_slots(transaction)?);
        let state = State { epoch, ..self.state.after(&index, slots, tail.link, batch.wall) };
        // EXPOSE: to the state row's MAC.
        state::write(transaction, keys.state.expose(), &state)?;
        Ok((tail, state, index))
    }

    /// The keys of the database that was left, and its state row: those of before, or those of a vault key whose commit
    /// failed but reached the disk.
    pub(super) fn authenticate(&self, connection: &Connection) -> Result<(Arc<LedgerKeys>, State), StoreError> {
        let read = |keys: &Arc<LedgerKeys>| {
            // EXPOSE: to the state row's MAC.
            let state = state::read(connection, keys.state.expose(), &self.vault_id)?;
            Ok((Arc::clone(keys), state))
        };
        match (read(&self.keys), &self.unsure) {
            (Err(StoreError::Integrity(_)), Some(unsure)) => read(unsure),
            (known, _) => known,
        }
    }
}

fn slot_ids(connection: &Connection) -> Result<Vec<u32>, StoreError> {
    let slots = record::read_slots(connection)?;
    let parsed = slots.iter().map(|(header, ..)| SlotHeader::parse(header).map(|header| header.slot_id));
    parsed.collect::<Result<_, _>>().map_err(|_| IntegrityError::Manifest("a slot").into())
}
