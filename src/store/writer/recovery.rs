//! After a failure: what is believed again, and when.
//!
//! | what failed or happened | what is done before the next row |
//! |---|---|
//! | a commit, a checkpoint | the connection is closed as it is; the log is written again and synced; all is verified |
//! | the database lost its name | the open one is kept; it goes on when it is back; another one is verified first |
//! | the log lost its name | the open one is folded into the database, which is then opened again |
//! | the anchor lost its name, or was not written | it is made anew from memory, or written |

use crate::audit::chain::Point;
use crate::crypto::slot::{Slot, SlotHeader};
use crate::store::anchor::Anchor;
use crate::store::identity::{Identity, Moved, displaced};
use crate::store::ledger::Change;
use crate::store::record::{self, Table};
use crate::store::state::State;
use crate::store::writer::{Writer, apply};
use crate::store::{Durability, IntegrityError, StoreError, connection, file, state, verify};
use crate::types::id::Id;
use rusqlite::{Connection, MAIN_DB, TransactionBehavior};
use std::os::unix::fs::MetadataExt;

impl Writer {
    /// Makes what a failure left sound again. Refuses to go on beside a database that is not the one left, or without an
    /// anchor.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        if self.connection.is_none() {
            self.make_durable_again()?;
            self.reopen()?;
            tracing::warn!("the database was opened again after a failure");
        }
        if self.watch.has_news(&self.paths) || self.is_displaced {
            self.check_names()?;
            self.check_anchor()?;
            self.watch.all_is_well();
        }
        self.hear_of_log()?;
        match self.anchor_is_near() {
            true => Ok(()),
            false => self.write_anchor(),
        }
    }

    /// After a failed sync the kernel takes the pages for clean: they are in its cache, perhaps not on the disk, and no
    /// later sync writes them (PostgreSQL learned this in 2018, and the name "fsyncgate" stayed). A log that was read
    /// back from the cache would be believed, and new rows would stand behind frames that are nowhere. So all of its
    /// bytes are written once more, which makes every page dirty again, and only a sync that then succeeds lets it be
    /// opened. The database's own pages need none of this: as long as a checkpoint has not succeeded the log has them,
    /// and the next one writes them again. Nor does the anchor: a slot that failed is written again whole. The names in
    /// the directory are in the file system's own journal, and one that failed takes no more writes.
    fn make_durable_again(&self) -> Result<(), StoreError> {
        let again = file::rewrite(&self.paths.log()).and_then(|()| file::sync_parent(&self.paths.log()));
        again.map_err(file::failed("the write-ahead log could not be written again"))
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let before = Identity::of(&self.paths)?;
        let mut connection = connection::open(&self.paths.database())?;
        if connection.is_readonly(MAIN_DB)? {
            let source = std::io::ErrorKind::ReadOnlyFilesystem.into();
            return Err(StoreError::File { what: "the database can only be read".to_owned(), source });
        }
        let (state, tail) = self.verify_again(&connection)?;
        connection::believe(&connection)?;
        if state.first_kept != self.state.first_kept {
            // Rows that were pruned can't be put back. A prune is alone in its transaction, so nobody else was told that it
            // did not happen.
            (self.state, self.tail) = (state, tail);
        } else if tail != self.tail || state != self.state {
            self.take_back(&mut connection)?;
        }
        self.trust(connection, before)
    }

    /// Checks that this is the database of the last acknowledged row and change. Says where it stands, which may be beyond
    /// them.
    fn verify_again(&self, connection: &Connection) -> Result<(State, Point), StoreError> {
        let (keys, state) = self.authenticate(connection)?;
        verify::compare(connection, &state, &verify::index_of(&verify::read_records(connection)?))?;
        let tail = verify::verify_chain_from(connection, &keys, &self.vault_id, self.tail)?;
        if state.state_version < self.state.state_version {
            return Err(IntegrityError::Manifest("an older database under a running vault").into());
        }
        Ok((state, tail))
    }

    /// Goes on with this connection.
    fn trust(&mut self, connection: Connection, before: Identity) -> Result<(), StoreError> {
        self.index = verify::index_of(&verify::read_records(&connection)?);
        verify::compare(&connection, &self.state, &self.index)?;
        let files = Identity::of(&self.paths)?.unless_moved_since(before)?;
        let is_another = !files.has_same_database(&self.files);
        self.files = files;
        (self.connection, self.synced) = (Some(connection), None);
        if is_another {
            // Of the file that was there before.
            self.file = None;
        }
        (self.log, self.hears_of_log) = (None, false);
        // What was marked before this connection is not anchored by it.
        self.anchoring.change(|_, _| ());
        self.replaced.clear();
        self.unsure = None;
        self.generation += 1;
        Ok(())
    }

    /// Undoes a transaction that reached the disk although its commit failed: everyone was told that nothing of it holds,
    /// and memory goes by that. No anchor has seen it.
    fn take_back(&self, connection: &mut Connection) -> Result<(), StoreError> {
        connection::synchronous(connection, Durability::Full)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in &self.replaced {
            apply(&transaction, change)?;
        }
        transaction.execute("DELETE FROM audit WHERE seq > ?1", [self.tail.link.seq as i64])?;
        state::write(&transaction, self.keys.state.expose(), &self.state)?;
        Ok(transaction.commit()?)
    }

    /// Whether the files that are open still have their names. As long as one does not nothing is written, and nothing is
    /// closed: closing would fold the log into, or remove, whatever has the names now.
    fn check_names(&mut self) -> Result<(), StoreError> {
        match (self.files.moved(&self.paths)?, self.is_displaced) {
            (None, false) => Ok(()),
            (None, true) => {
                tracing::warn!("the vault's files are back");
                self.is_displaced = false;
                Ok(())
            }
            (Some(moved), was_displaced) => {
                if !was_displaced {
                    tracing::error!(file = moved.name(), "a file was removed or replaced while it was open");
                }
                self.is_displaced = true;
                Err(displaced(moved))
            }
        }
    }

    /// Tries to go on after a file has lost its name for good. Called between requests, because it verifies everything.
    pub(super) fn take_in_moved_files(&mut self) -> Result<(), StoreError> {
        if self.connection.is_none() {
            return Ok(());
        }
        match self.files.moved(&self.paths)? {
            None => Ok(()),
            Some(Moved::Database) => self.adopt_database(),
            Some(Moved::Log) => {
                // The database is the right one. With the log folded in it is whole, whatever lies beside it.
                // Until that has succeeded it is the only one that has the last rows, so it stays open. Whoever copies the
                // file is told that it did not keep still, also if it did not succeed.
                self.generation += 1;
                let connection = self.sound()?;
                connection::synchronous(connection, Durability::Full)?;
                connection::fold(connection, "TRUNCATE")?;
                self.connection = None;
                self.recover()
            }
        }
    }

    /// Goes on with another file in the database's place, a copy perhaps, if it is what this one is, row for row. One that
    /// was refused is not looked at again until it changes.
    fn adopt_database(&mut self) -> Result<(), StoreError> {
        let path = self.paths.database();
        let Ok(about) = path.symlink_metadata() else { return Err(displaced(Moved::Database)) };
        let version = (about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec());
        if self.refused == Some(version) {
            return Err(displaced(Moved::Database));
        }
        let before = Identity::of(&self.paths)?;
        let opened = connection::open_beside(&path).and_then(|other| match self.verify_again(&other)? {
            (state, tail) if state == self.state && tail == self.tail => Ok(other),
            _ => Err(IntegrityError::Manifest("another database under a running vault").into()),
        });
        match opened {
            Err(error) => {
                tracing::error!(%error, "the file in the database's place is not the vault's");
                self.refused = Some(version);
                Err(error)
            }
            Ok(other) => {
                connection::believe(&other)?;
                self.trust(other, before)?;
                self.is_displaced = false;
                tracing::warn!("another file in the database's place was verified and is used from here on");
                Ok(())
            }
        }
    }

    /// Makes sure that the anchor is there. Memory is the truth while a vault is unlocked, so an anchor that is gone is made
    /// anew.
    fn check_anchor(&mut self) -> Result<(), StoreError> {
        let path = self.paths.anchor();
        if self.anchoring.has_lost_its_name(&path) {
            tracing::warn!("the anchor was removed or replaced; it is made anew");
            self.anchoring.replace(|mark| {
                file::private_dir(&self.paths.anchor_dir)?;
                // EXPOSE: to the anchor's MAC.
                Anchor::create(&path, self.keys.anchor.expose(), &self.vault_id, mark)
            })?;
        }
        Ok(())
    }
}

/// The changes that lead back to what stands in the tables now.
pub(super) fn replaced_by(connection: &Connection, changes: &[&Change]) -> Result<Vec<Change>, StoreError> {
    let slots = record::read_slots(connection)?;
    let slots: Vec<Slot> =
        slots.iter().filter_map(|(header, c, wrapped)| Slot::parse(header, c, wrapped).ok()).collect();
    let record = |table: Table, id: Id| -> Result<Option<Change>, StoreError> {
        let known = record::read(connection, table, &id)?;
        Ok(Some(known.map_or(Change::Delete(table, id), |row| Change::Put(table, row))))
    };
    let slot = |slot_id: u32| {
        let known = slots.iter().find(|slot| slot.header.slot_id == slot_id).cloned();
        known.map_or(Change::DeleteSlot(slot_id), Change::PutSlot)
    };
    let back = changes.iter().map(|change| match change {
        Change::Put(table, row) => record(*table, row.id),
        Change::Delete(table, id) => record(*table, *id),
        Change::PutSlot(Slot { header: SlotHeader { slot_id, .. }, .. }) | Change::DeleteSlot(slot_id) => {
            Ok(Some(slot(*slot_id)))
        }
        Change::AcceptClock(_) | Change::Checkpoint(_) | Change::Prune(_) => Ok(None),
    });
    back.filter_map(Result::transpose).collect()
}
