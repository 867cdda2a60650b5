//! Checkpoints: the chain signed up to a row, so that an export can be checked by anyone, and so that an unlock need not
//! verify every row that there ever was before it answers.
//!
//! A checkpoint's row stands right after the last row that it covers, says where the one before it stands, and is chained
//! like every other. So an unlock can walk back over the checkpoints alone, believing each by its own head, until all that
//! is older can't matter to a limit.

use crate::audit::attested::{Attested, Covers, Kind, Told};
use crate::audit::chain::Point;
use crate::crypto::keys::LedgerKeys;
use crate::crypto::mac::{self, Keyed};
use crate::store::ledger::{Change, Entry, Ledger};
use crate::store::queue::Batch;
use crate::store::state::State;
use crate::store::writer::Writer;
use crate::store::{IntegrityError, StoreError};
use crate::types::clock::UnixMs;
use rusqlite::{Connection, OptionalExtension};
use std::thread;

/// After so many rows there is a checkpoint.
pub const INTERVAL_ROWS: u64 = 16_384;
/// Rows that are checked while others wait for the writer: fewer than a commit takes.
const PAGE: u32 = 100;

impl Ledger {
    /// How many rows were written since the last checkpoint's own.
    pub fn unsigned_rows(&self) -> u64 {
        let standing = self.standing();
        let signed = standing.state.checkpoint.link.seq;
        standing.tail.seq.saturating_sub(if signed == 0 { 0 } else { signed + 1 })
    }

    /// Signs every row that there is: `attest` makes the text of the row that says so. Returns the row's number.
    ///
    /// # Errors
    /// As every write.
    pub fn checkpoint(&self, wall: UnixMs, attest: impl FnOnce(Covers) -> String) -> Result<u64, StoreError> {
        self.with_writer(|writer| {
            let covers = writer.covers_now()?;
            write(writer, wall, attest(covers), Change::Checkpoint(covers.at))
        })
    }

    /// Checks a page of rows after a point, at most to row `last`, and returns the point after them. `each` may end it
    /// before a row by saying no. The writer is free again before this returns.
    ///
    /// # Errors
    /// [`IntegrityError::Audit`] names the first row that does not follow.
    pub fn verify_page(
        &self,
        at: Point,
        last: u64,
        each: &mut dyn FnMut(u64, &str) -> bool,
    ) -> Result<Point, StoreError> {
        let limit = last.saturating_sub(at.link.seq).min(u64::from(PAGE)) as u32;
        let next = self.with_writer(|writer| writer.verify_page(at, limit, each));
        // Whoever waits to sign goes first.
        thread::yield_now();
        next
    }
}

/// Writes a row that attests something, in a transaction of its own.
pub(super) fn write(writer: &mut Writer, wall: UnixMs, body: String, change: Change) -> Result<u64, StoreError> {
    writer.commit(&[Batch::at(wall, vec![Entry { body, opens: None }], vec![change])])
}

/// The point after which an unlock must verify before anything is signed: the last checkpoint, or an older one when rows
/// since `moment` that count in limits are older than that. A small ledger is verified whole.
///
/// # Errors
/// [`IntegrityError::Audit`] names a checkpoint's row that is not what was written.
pub fn start(connection: &Connection, keys: &LedgerKeys, state: &State, moment: UnixMs) -> Result<Point, StoreError> {
    let last: i64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM audit", [], |row| row.get(0))?;
    let kept = state.first_kept.link.seq;
    if (last as u64).saturating_sub(kept) < INTERVAL_ROWS || state.checkpoint.link.seq <= kept {
        return Ok(state.first_kept);
    }
    let mut row = read(connection, keys, state, state.checkpoint.link.seq + 1)?;
    if row.attested.point() != state.checkpoint {
        return Err(IntegrityError::Audit { seq: state.checkpoint.link.seq + 1 }.into());
    }
    let mut start = state.checkpoint;
    while is_since(&row, moment) {
        let before = match row.attested.from {
            from if from <= kept => None,
            from => Some(read(connection, keys, state, from)?),
        };
        if row.attested.counts {
            start = before.as_ref().map_or(state.first_kept, |before| before.attested.point());
        }
        match before {
            None => break,
            Some(before) => row = before,
        }
    }
    Ok(start)
}

/// A checkpoint's row, authenticated by itself: its head follows from the head that it names.
fn read(connection: &Connection, keys: &LedgerKeys, state: &State, seq: u64) -> Result<Told, StoreError> {
    let text = "SELECT head, body FROM audit WHERE seq = ?1";
    let row: Option<(Vec<u8>, String)> =
        connection.query_row(text, [seq as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let believed = row.and_then(|(head, body)| {
        let (kind, told) = Attested::parse(&body)?;
        let before = &told.attested;
        let follows = kind == Kind::Checkpoint && before.to + 1 == seq && before.from <= before.to;
        let audit_key = Keyed::new(keys.audit_key(seq));
        let due = mac::chain_link(&audit_key, &state.vault_id, seq, &before.head, body.as_bytes());
        (follows && mac::equal(&due, &head)).then_some(told)
    });
    Ok(believed.ok_or(IntegrityError::Audit { seq })?)
}

/// Whether a row that the checkpoint covers may be from `moment` or later.
fn is_since(row: &Told, moment: UnixMs) -> bool {
    UnixMs::parse_rfc3339(&row.time).is_none_or(|time| time >= moment)
}
