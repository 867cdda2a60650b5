//! From an older schema to this version's: a copy first, then everything in one transaction.
//!
//! ```text
//! the state row of the old schema is authentic, all of the vault is verified
//!   ─▶ a copy beside the database: `vault.db.v1`, synced
//!   ─▶ one transaction: every migration that is missing, `user_version`, a ledger row, the state row with the new schema
//!   ─▶ the anchor
//! ```
//! What ends in between is the old vault or the new one, and the next unlock goes on from there. The copy is a vault of its
//! time, for the version of the program that made it; it is never removed, because only a person knows when it is not
//! needed any more.

use crate::store::record;
use crate::store::state::{self, State};
use crate::store::writer::{Writer, not_open};
use crate::store::{Durability, StoreError, connection, file, verify};
use crate::types::clock::UnixMs;
use rusqlite::{TransactionBehavior, params};
use std::fs::File;
use std::io;

impl Writer {
    /// From which version of the schema to which the database must be brought; none when it is this version's.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn migration_due(&self) -> Result<Option<(u32, u32)>, StoreError> {
        let (from, to) = (connection::version(self.sound()?)?, connection::newest());
        Ok((from < to).then_some((from, to)))
    }

    /// Brings the database to this version's schema. `body` is the ledger row that says so.
    ///
    /// # Errors
    /// The database is old or new, whole in either case; this writer is of no use any more.
    pub fn migrate(&mut self, from: u32, body: &str, wall: UnixMs) -> Result<(), StoreError> {
        self.keep_older(from)?;
        let mut connection = self.connection.take().ok_or_else(not_open)?;
        self.sync_as(&connection, Durability::Full)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        connection::migrate(&transaction, from)?;
        // EXPOSE: to the chain.
        let tail = self.tail.next(self.keys.audit.expose(), &self.vault_id, body);
        let row = params![tail.link.seq as i64, tail.link.head, body];
        transaction.execute("INSERT INTO audit (seq, head, body) VALUES (?1, ?2, ?3)", row)?;
        let index = verify::index_of(&verify::read_records(&transaction)?);
        let slots = state::slots_hash(&record::read_slots(&transaction)?);
        let schema = connection::schema_hash(&transaction)?;
        let state = State { schema, ..self.state.after(&index, slots, tail.link, wall) };
        // EXPOSE: to the state row's MAC.
        state::write(&transaction, self.keys.state.expose(), &state)?;
        transaction.commit()?;
        self.connection = Some(connection);
        (self.tail, self.state, self.index) = (tail, state, index);
        self.try_anchor();
        Ok(())
    }

    /// A copy that no crash leaves half: it has another name until it is whole and synced.
    fn keep_older(&mut self, version: u32) -> Result<(), StoreError> {
        let kept = self.paths.older_database(version);
        let next = kept.with_extension("next");
        let failed = || file::failed(format!("the database could not be copied to {}", kept.display()));
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
            _ => (),
        }
        let (still, _) = self.keep_still()?;
        still.copy(&next).map_err(failed())?;
        connection::as_one_file(&next)?;
        let synced = File::open(&next).and_then(|file| file.sync_all());
        synced.and_then(|()| std::fs::rename(&next, &kept)).and_then(|()| file::sync_parent(&kept)).map_err(failed())
    }
}
