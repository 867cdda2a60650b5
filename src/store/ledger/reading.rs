//! Looking into the ledger's database, and copying it. Whoever looks waits for the writer like everyone else.

use crate::audit::chain::Link;
use crate::store::ledger::{Ledger, Standing};
use crate::store::record::{RecordRow, SlotRow, Table};
use crate::store::writer::Writer;
use crate::store::{StoreError, connection, file};
use crate::types::id::Id;
use std::path::Path;

/// A row as stored.
#[derive(Clone, Debug)]
pub struct StoredRow {
    /// Its sequence number.
    pub seq: u64,
    /// The chain value after it.
    pub head: Vec<u8>,
    /// Its text.
    pub body: String,
}

/// What a full check of the ledger found: every row from `first` to `last` follows.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    /// The first kept row.
    pub first: u64,
    /// The last row.
    pub last: Link,
}

impl Ledger {
    /// The rows of a table that follow an id, still sealed.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn records(&self, table: Table, after: Option<Id>, limit: u32) -> Result<Vec<RecordRow>, StoreError> {
        self.with_writer(|writer| writer.records(table, after, limit))
    }

    /// The slots as they stand in the database.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn slots(&self) -> Result<Vec<SlotRow>, StoreError> {
        self.with_writer(Writer::slots)
    }

    /// Durable rows after `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn rows(&self, after: u64, limit: u32) -> Result<Vec<StoredRow>, StoreError> {
        self.with_writer(|writer| writer.rows(after, limit))
    }

    /// Checks every stored row, page by page so that signing goes on meanwhile.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`](crate::store::IntegrityError::Audit) names the first row that does not follow.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let Standing { state, tail: end, .. } = self.standing();
        let mut at = state.first_kept;
        while at.link.seq < end.seq {
            at = self.verify_page(at, u64::MAX, &mut |_, _| true)?;
        }
        Ok(Verified { first: self.standing().state.first_kept.link.seq + 1, last: at.link })
    }

    /// A consistent copy of the database as one SQLite file, for a backup, and what is in it. Others write meanwhile.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn snapshot(&self, to: &Path) -> Result<(Standing, Vec<SlotRow>), StoreError> {
        let (still, standing, slots) = self.with_writer_at_length(|writer| {
            let (still, slots) = writer.keep_still()?;
            Ok((still, Standing::of(writer), slots))
        })?;
        let copied =
            still.copy(to).map_err(file::failed(format!("the database could not be copied to {}", to.display())));
        let kept_still = self.with_writer(|writer| Ok(writer.has_kept_still(&still)))?;
        copied?;
        match kept_still {
            true => connection::as_one_file(to).map(|()| (standing, slots)),
            false => {
                let what = "the database was opened again in the middle of a copy".to_owned();
                Err(StoreError::File { what, source: std::io::ErrorKind::Interrupted.into() })
            }
        }
    }

    /// Overwrites what changes left behind in the write-ahead log and in free pages.
    ///
    /// # Errors
    /// SQLite's refusal.
    pub fn scrub(&self) -> Result<(), StoreError> {
        self.with_writer_at_length(Writer::scrub)
    }
}
