//! A vault's database on its way from a file to a [`Writer`]: what is believed grows step by step, and nothing is changed
//! before all of it is.
//!
//! ```text
//! Database ─ read(keys) ─▶ Sealed ─ verify(…) ─▶ Opened
//! a whole file of          the state row's MAC,     the chain, the anchor
//! this schema              the manifest
//! ```
//! Between the last two steps the vault opens the records: among them are the keys of older parts of the chain.

use crate::audit::attested;
use crate::audit::chain::{Link, Point};
use crate::crypto::keys::{LedgerKeys, RetiredKey};
use crate::store::file::Paths;
use crate::store::identity::Identity;
use crate::store::record::{RecordRow, Table};
use crate::store::state::{self, Index, State};
use crate::store::writer::{Rollback, Writer};
use crate::store::{Durability, IntegrityError, StoreError, checkpoint, connection, verify};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use rusqlite::Connection;
use std::sync::Arc;

/// A whole SQLite file with this version's schema. Nothing in it is authenticated yet.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    paths: Paths,
    files: Identity,
}

/// A database whose records are those that its authenticated state row lists. They are still sealed.
pub struct Sealed {
    connection: Connection,
    paths: Paths,
    files: Identity,
    keys: LedgerKeys,
    vault_id: Id,
    index: Index,
    state: State,
    records: Vec<(Table, RecordRow)>,
}

/// A database that was opened and verified.
pub struct Opened {
    /// Its writer.
    pub writer: Writer,
    /// The refusal of a database older than the anchor remembers, if it was accepted.
    pub accepted: Option<IntegrityError>,
    /// The rows after this point were verified. It is the one before the first kept row when all were.
    pub verified_after: Point,
}

/// How much of the chain is verified before a database is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All of it.
    Whole,
    /// What was not signed yet, and what counts in limits since this moment. Of a small ledger that is all of it.
    Since(UnixMs),
}

/// What a [`Writer`] is made of.
pub(crate) struct Parts {
    pub(crate) connection: Connection,
    pub(crate) paths: Paths,
    pub(crate) keys: Arc<LedgerKeys>,
    pub(crate) vault_id: Id,
    pub(crate) durability: Durability,
    pub(crate) index: Index,
    pub(crate) state: State,
    pub(crate) files: Identity,
    /// Whether a row since the last checkpoint counts in rolling limits.
    pub(crate) counts: bool,
}

impl Database {
    /// Opens the file and compares its schema.
    ///
    /// # Errors
    /// As [`connection::open`].
    pub fn open(paths: &Paths) -> Result<Database, StoreError> {
        let files = Identity::of(paths)?;
        Ok(Database { connection: connection::open(&paths.database())?, paths: paths.clone(), files })
    }

    /// The epoch of the vault key that the state row names. Keys must be derived before the row can be authenticated; of
    /// a wrong epoch they don't authenticate it.
    ///
    /// # Errors
    /// [`IntegrityError::Manifest`] when there is none.
    pub fn told_epoch(&self) -> Result<u32, StoreError> {
        state::told_epoch(&self.connection)
    }

    /// Authenticates the state row and compares the tables with it.
    ///
    /// # Errors
    /// [`IntegrityError`] names what is wrong.
    pub fn read(self, keys: LedgerKeys, vault_id: Id) -> Result<Sealed, StoreError> {
        let Database { connection, paths, files } = self;
        let state = state::read(&connection, keys.state.expose(), &vault_id)?;
        let records = verify::read_records(&connection)?;
        let index = verify::index_of(&records);
        verify::compare(&connection, &state, &index)?;
        Ok(Sealed { connection, paths, files, keys, vault_id, index, state, records })
    }
}

impl Sealed {
    /// Every record, still sealed.
    pub fn records(&self) -> &[(Table, RecordRow)] {
        &self.records
    }

    /// What the state row says.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Gives the keys that chained older rows, the oldest first.
    pub fn retire(&mut self, keys: Vec<RetiredKey>) {
        self.keys.retired = keys;
    }

    /// Verifies the whole chain and says where it ends: for a copy that has no anchor and will not be written.
    ///
    /// # Errors
    /// As [`Sealed::verify`].
    pub fn verify_chain(&self) -> Result<Link, StoreError> {
        let (state, start) = (&self.state, self.state.first_kept);
        Ok(verify::verify_chain(&self.connection, &self.keys, state, start, &mut |_, _| ())?.link)
    }

    /// Verifies the chain as deep as is said, and compares it with the anchor. `each_row` sees every row that is verified.
    ///
    /// # Errors
    /// [`IntegrityError`] names what is wrong; nothing was changed.
    pub fn verify(
        self,
        durability: Durability,
        rollback: Rollback,
        depth: Depth,
        each_row: &mut dyn FnMut(u64, &str),
    ) -> Result<Opened, StoreError> {
        let Sealed { connection, paths, files, keys, vault_id, index, state, .. } = self;
        let start = match depth {
            Depth::Whole => state.first_kept,
            Depth::Since(moment) => checkpoint::start(&connection, &keys, &state, moment)?,
        };
        let mut counts = false;
        let mut each_row = |seq: u64, body: &str| {
            counts |= seq > state.checkpoint.link.seq && attested::counts(body);
            each_row(seq, body);
        };
        let tail = verify::verify_chain(&connection, &keys, &state, start, &mut each_row)?;
        let (anchor, anchored, accepted) =
            verify::open_anchor(&paths, &connection, &keys, &state, tail.link, rollback)?;
        connection::believe(&connection)?;
        let files = Identity::of(&paths)?.unless_moved_since(files)?;
        let parts =
            Parts { connection, paths, keys: Arc::new(keys), vault_id, durability, index, state, files, counts };
        Ok(Opened { writer: Writer::new(parts, tail, anchor, anchored), accepted, verified_after: start })
    }
}
