//! An export, checked by whoever has it and the public key, without the vault: every digest is worked out again from row
//! to row, and every signature must be over the digest that is found. Without the vault's own key the heads can't be made
//! again; a digest covers them all the same.
//!
//! What a signature can't tell is how many rows there were after the last signed one: whoever hands over an export may
//! leave its end out. Compare the last row with `status` or with a later export.

use crate::audit::attested::{Attested, Kind, Told, parse_hex};
use crate::audit::chain::{Link, Point, digest};
use crate::crypto::ed25519::KEY_BYTES;
use crate::types::id::Id;
use serde::Deserialize;

/// A line of an export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    head: String,
    body: String,
}

/// Why an export is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A line that no export has.
    #[error("row {0}: the line is no row of an export")]
    Malformed(u64),
    /// A row is missing, twice, or out of its order.
    #[error("row {0} is missing, or out of its place")]
    Gap(u64),
    /// A signed row that does not fit the rows before it.
    #[error("row {0}: what it signs is not what comes before it")]
    Differs(u64),
    /// A signature that does not verify.
    #[error("row {0}: it is not signed by this key")]
    Unsigned(u64),
    /// The rows do not begin with the first, and no signed row says that those before were pruned.
    #[error("row {0}: the rows before it are missing, and no signed row tells that they were pruned")]
    NoBeginning(u64),
    /// Nothing in it is signed.
    #[error("row {0} and all others are not signed: there is no checkpoint")]
    NoCheckpoint(u64),
}

impl ExportError {
    /// The row.
    pub fn seq(&self) -> u64 {
        match *self {
            ExportError::Malformed(seq)
            | ExportError::Gap(seq)
            | ExportError::Differs(seq)
            | ExportError::Unsigned(seq)
            | ExportError::NoBeginning(seq)
            | ExportError::NoCheckpoint(seq) => seq,
        }
    }
}

/// What an export that was believed holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The vault.
    pub vault: Id,
    /// The first row.
    pub first: u64,
    /// The last row.
    pub last: u64,
    /// The last row that a signature covers, its own row included.
    pub covered_to: u64,
    /// How many signatures were checked.
    pub signatures: u64,
}

/// Reads an export line by line, in memory that does not grow.
#[derive(Debug)]
pub struct Checker {
    key: [u8; KEY_BYTES],
    /// The point before the first row: known at once when it is row 1.
    start: Option<Point>,
    first: u64,
    at: Point,
    vault: Option<Id>,
    /// The row of the last checkpoint.
    checkpoint: Option<u64>,
    signatures: u64,
}

impl Checker {
    /// A reader of an export that begins with row 1, or after `start`, which [`find_start`] found.
    pub fn new(key: [u8; KEY_BYTES], start: Option<Point>) -> Checker {
        let at = start.unwrap_or(Point::START);
        Checker { key, start, first: at.link.seq + 1, at, vault: None, checkpoint: None, signatures: 0 }
    }

    /// Takes in the next line.
    ///
    /// # Errors
    /// [`ExportError`] names the row; the rest is not worth reading.
    pub fn line(&mut self, line: &[u8]) -> Result<(), ExportError> {
        let due = self.at.link.seq + 1;
        let (row, head) = parse(line).ok_or(ExportError::Malformed(due))?;
        if row.seq != due {
            let begins = due == self.first && self.start.is_none();
            return Err(if begins { ExportError::NoBeginning(row.seq) } else { ExportError::Gap(due) });
        }
        if let Some((kind, told)) = Attested::parse(&row.body) {
            self.signature(due, kind, &told.attested)?;
        } else if claims_to_attest(&row.body) {
            return Err(ExportError::Malformed(due));
        }
        let link = Link { seq: due, head };
        self.at = Point { link, digest: digest(&self.at.digest, due, &head, &row.body) };
        Ok(())
    }

    fn signature(&mut self, seq: u64, kind: Kind, attested: &Attested) -> Result<(), ExportError> {
        if self.vault.is_some_and(|vault| vault != attested.vault) {
            return Err(ExportError::Differs(seq));
        }
        if !attested.is_signed_by(kind, &self.key) {
            return Err(ExportError::Unsigned(seq));
        }
        let fits = match kind {
            Kind::Checkpoint => {
                let before = self.checkpoint.is_none_or(|before| before == attested.from);
                before && attested.from <= attested.to && attested.point() == self.at
            }
            // The rows are gone, or were exported before they were; either way they are behind this one.
            Kind::Prune => attested.to < seq,
        };
        if !fits {
            return Err(ExportError::Differs(seq));
        }
        self.vault = Some(attested.vault);
        self.signatures += 1;
        if kind == Kind::Checkpoint {
            self.checkpoint = Some(seq);
        }
        Ok(())
    }

    /// Says what was read.
    ///
    /// # Errors
    /// [`ExportError::NoCheckpoint`] when there is nothing that a signature covers.
    pub fn finish(self) -> Result<Checked, ExportError> {
        match (self.vault, self.checkpoint) {
            (Some(vault), Some(covered_to)) => {
                let (first, last) = (self.first, self.at.link.seq);
                Ok(Checked { vault, first, last, covered_to, signatures: self.signatures })
            }
            _ => Err(ExportError::NoCheckpoint(self.first)),
        }
    }
}

/// The first row's number in an export; `None` when that is no row.
pub fn first_row(line: &[u8]) -> Option<u64> {
    parse(line).map(|(row, _)| row.seq)
}

/// The point before an export that begins with `first`, if this line is the signed row that tells of it.
pub fn find_start(line: &[u8], first: u64, key: &[u8; KEY_BYTES]) -> Option<Point> {
    let (row, _) = parse(line)?;
    let (kind, Told { attested, .. }) = Attested::parse(&row.body)?;
    let tells = kind == Kind::Prune && attested.to.checked_add(1) == Some(first) && row.seq >= first;
    (tells && attested.is_signed_by(Kind::Prune, key)).then(|| attested.point())
}

fn claims_to_attest(body: &str) -> bool {
    [r#""event":"checkpoint""#, r#""event":"prune""#].iter().any(|event| body.contains(event))
}

fn parse(line: &[u8]) -> Option<(Line, [u8; 32])> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let head = parse_hex(&line.head)?;
    Some((line, head))
}

#[cfg(test)]
mod tests;
