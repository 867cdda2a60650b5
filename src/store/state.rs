//! The state row: one authenticated row that says what all others must be. It is written in the same transaction as
//! every change (not with every ledger row), so a row that was swapped, dropped, inserted or taken from an older copy
//! does not match it.

use crate::audit::chain::{Link, Point};
use crate::crypto::mac;
use crate::crypto::slot::Slot;
use crate::store::record::{RecordRow, SlotRow, Table};
use crate::store::{IntegrityError, StoreError};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// What the state row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The vault.
    pub vault_id: Id,
    /// How often the vault has changed, from 1.
    pub state_version: u64,
    /// The vault key's epoch, from 1.
    pub epoch: u32,
    /// How many credentials, bots, policies and settings there are.
    pub counts: [u64; 4],
    /// SHA-256 over every record's (table, id, version, commitment).
    pub root: [u8; 32],
    /// SHA-256 over every slot's (header, commitment, wrapped key).
    pub slots: [u8; 32],
    /// SHA-256 over the schema.
    pub schema: [u8; 32],
    /// A point of the ledger's chain: the last row at the time of the change.
    pub audit: Link,
    /// The point before the first ledger row that is kept.
    pub first_kept: Point,
    /// The last point that was signed. What comes after it is verified before the first signature of an unlocked vault;
    /// what comes before it, afterwards.
    pub checkpoint: Point,
    /// The highest wall time seen.
    pub wall_high: UnixMs,
}

/// The order of [`State::counts`].
const COUNTED: [Table; 4] = [Table::Credential, Table::Bot, Table::Policy, Table::Setting];
/// The longest item of the root: the table's name, id, version and commitment, each behind its length.
const ROOT_ITEM_BYTES: usize = 4 * 4 + 10 + 16 + 8 + 32;

/// What is known of every record without opening it: enough for the root.
#[derive(Clone, Debug, Default)]
pub struct Index(BTreeMap<(Table, Id), (u64, [u8; 32])>);

impl Index {
    /// Notes a record's present version and commitment.
    pub fn put(&mut self, table: Table, id: Id, version: u64, commitment: [u8; 32]) {
        self.0.insert((table, id), (version, commitment));
    }

    /// Forgets a record.
    pub fn delete(&mut self, table: Table, id: &Id) {
        self.0.remove(&(table, *id));
    }

    /// Whether a row is the one that was noted last.
    pub(crate) fn holds(&self, table: Table, row: &RecordRow) -> bool {
        self.0.get(&(table, row.id)) == Some(&(row.version, row.sealed.commitment))
    }

    /// Every record's present version.
    pub(crate) fn versions(&self) -> BTreeMap<(Table, Id), u64> {
        self.0.iter().map(|(key, (version, _))| (*key, *version)).collect()
    }

    fn counts(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        for (table, _) in self.0.keys() {
            counts[COUNTED.iter().position(|of| of == table).expect("every table is counted")] += 1;
        }
        counts
    }

    fn root(&self) -> [u8; 32] {
        // One buffer for all: a vault may have a hundred thousand records, and each change takes this.
        let mut items = Vec::with_capacity(self.0.len() * ROOT_ITEM_BYTES);
        for ((table, id), (version, commitment)) in &self.0 {
            mac::enc_into(&mut items, &[table.name().as_bytes(), id.as_bytes(), &version.to_be_bytes(), commitment]);
        }
        mac::sha256(&[&items])
    }
}

/// SHA-256 over every slot's row.
pub fn slots_hash(slots: &[SlotRow]) -> [u8; 32] {
    let items: Vec<u8> = slots.iter().flat_map(|(header, c, wrapped)| mac::enc(&[header, c, wrapped])).collect();
    mac::sha256(&[&items])
}

/// A slot as its row stands in the database.
pub fn slot_row(slot: &Slot) -> SlotRow {
    (slot.header.to_bytes().to_vec(), slot.commitment.to_vec(), slot.wrapped.to_vec())
}

impl State {
    /// The same vault after one more change.
    pub fn after(&self, index: &Index, slots: [u8; 32], audit: Link, wall: UnixMs) -> State {
        State {
            state_version: self.state_version + 1,
            counts: index.counts(),
            root: index.root(),
            slots,
            audit,
            wall_high: self.wall_high.max(wall),
            ..self.clone()
        }
    }

    /// The same vault after a change that leaves its records and slots as they are.
    pub fn with_same_tables(&self, audit: Link, wall: UnixMs) -> State {
        let state_version = self.state_version + 1;
        State { state_version, audit, wall_high: self.wall_high.max(wall), ..self.clone() }
    }

    /// Compares with what the tables hold.
    ///
    /// # Errors
    /// [`IntegrityError::Count`] and [`IntegrityError::Manifest`], naming what differs.
    pub fn compare(&self, index: &Index, slots: [u8; 32], schema: [u8; 32]) -> Result<(), IntegrityError> {
        let counts = index.counts();
        if let Some(at) = (0..counts.len()).find(|&at| counts[at] != self.counts[at]) {
            let (found, stated) = (counts[at], self.counts[at]);
            let what = match COUNTED[at] {
                Table::Credential => "credentials",
                Table::Bot => "bots",
                Table::Policy => "policies",
                Table::Setting => "settings",
            };
            return Err(IntegrityError::Count { what, found, stated });
        }
        match () {
            () if !mac::equal(&self.root, &index.root()) => Err(IntegrityError::Manifest("a record")),
            () if !mac::equal(&self.slots, &slots) => Err(IntegrityError::Manifest("a slot")),
            () if !mac::equal(&self.schema, &schema) => Err(IntegrityError::Manifest("the schema")),
            () => Ok(()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let counts = self.counts.map(u64::to_be_bytes);
        mac::enc(&[
            self.vault_id.as_bytes(),
            &self.state_version.to_be_bytes(),
            &self.epoch.to_be_bytes(),
            &counts[0],
            &counts[1],
            &counts[2],
            &counts[3],
            &self.root,
            &self.slots,
            &self.schema,
            &self.audit.seq.to_be_bytes(),
            &self.audit.head,
            &(self.first_kept.link.seq + 1).to_be_bytes(),
            &self.first_kept.link.head,
            &self.wall_high.0.to_be_bytes(),
            &self.first_kept.digest,
            &self.checkpoint.link.seq.to_be_bytes(),
            &self.checkpoint.link.head,
            &self.checkpoint.digest,
        ])
    }

    fn parse(bytes: &[u8]) -> Option<State> {
        let items: [&[u8]; 19] = mac::dec(bytes)?.try_into().ok()?;
        let u64_at = |at: usize| items[at].try_into().ok().map(u64::from_be_bytes);
        let hash_at = |at: usize| items[at].try_into().ok();
        Some(State {
            vault_id: Id(items[0].try_into().ok()?),
            state_version: u64_at(1)?,
            epoch: u32::from_be_bytes(items[2].try_into().ok()?),
            counts: [u64_at(3)?, u64_at(4)?, u64_at(5)?, u64_at(6)?],
            root: hash_at(7)?,
            slots: hash_at(8)?,
            schema: hash_at(9)?,
            audit: Link { seq: u64_at(10)?, head: hash_at(11)? },
            first_kept: Point {
                link: Link { seq: u64_at(12)?.checked_sub(1)?, head: hash_at(13)? },
                digest: hash_at(15)?,
            },
            checkpoint: Point { link: Link { seq: u64_at(16)?, head: hash_at(17)? }, digest: hash_at(18)? },
            wall_high: UnixMs(i64::from_be_bytes(items[14].try_into().ok()?)),
        })
    }
}

/// Writes the state row.
///
/// # Errors
/// SQLite's refusal.
pub fn write(connection: &Connection, state_key: &[u8; 32], state: &State) -> rusqlite::Result<()> {
    let body = state.to_bytes();
    let mac = mac::hmac_sha256(state_key, &[&body]);
    connection.execute("INSERT OR REPLACE INTO state (one, body, mac) VALUES (1, ?1, ?2)", params![body, mac])?;
    Ok(())
}

/// The epoch that the state row names, before anything of it is authenticated.
///
/// # Errors
/// [`IntegrityError::Manifest`] when there is no state row of this layout.
pub fn told_epoch(connection: &Connection) -> Result<u32, StoreError> {
    let (body, _) = read_row(connection)?;
    let state = State::parse(&body).ok_or(IntegrityError::Manifest("the state row itself"))?;
    Ok(state.epoch)
}

/// Reads the state row and checks its MAC.
///
/// # Errors
/// [`IntegrityError::Manifest`] when it is missing, changed, or another vault's.
pub fn read(connection: &Connection, state_key: &[u8; 32], vault_id: &Id) -> Result<State, StoreError> {
    let (body, mac) = read_row(connection)?;
    let expected = mac::hmac_sha256(state_key, &[&body]);
    let authentic = mac::equal(&expected, &mac).then(|| State::parse(&body)).flatten();
    let state = authentic.filter(|state| state.vault_id == *vault_id);
    state.ok_or(IntegrityError::Manifest("the state row itself").into())
}

fn read_row(connection: &Connection) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let row =
        connection.query_row("SELECT body, mac FROM state WHERE one = 1", [], |row| Ok((row.get(0)?, row.get(1)?)));
    match row {
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(IntegrityError::Manifest("a missing state row").into()),
        other => Ok(other?),
    }
}
