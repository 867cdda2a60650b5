//! One database in a temporary directory, and what a commit leaves when it fails half way.

use super::*;
use crate::crypto::keys::{self, VaultKey};
use crate::crypto::record::SealedRecord;
use crate::crypto::slot::{Slot, SlotHeader};
use crate::secret::Arena;
use crate::store::file;
use crate::store::first;
use crate::store::ledger::Entry;
use crate::store::opening::{Database, Depth};
use crate::store::record::{RecordRow, Table};
use crate::types::clock::UnixMs;
use std::path::Path;

mod ahead;
mod moved;

pub(crate) const VAULT: Id = Id([9; 16]);

/// An open writer over a new database whose only row says `first`.
pub(crate) fn new_writer(dir: &Path, durability: Durability) -> Writer {
    let paths = Paths { state_dir: dir.join("state"), anchor_dir: dir.join("anchor") };
    file::private_dir(&paths.state_dir).unwrap();
    file::private_dir(&paths.anchor_dir).unwrap();
    let (keys, _) = keys::derive(&Arena::new().unwrap(), VAULT, VaultKey::generate().unwrap(), 1).unwrap();
    let tail = Link::START.next(keys.audit.expose(), &VAULT, "first");
    let content = first::Content { slots: &[], records: &[] };
    first::build(&paths.database(), &keys, VAULT, &content, "first", tail, UnixMs(0)).unwrap();
    let mark = Mark { state_version: 1, audit: tail };
    Anchor::create(&paths.anchor(), keys.anchor.expose(), &VAULT, mark).unwrap();
    open(&paths, keys, durability).unwrap()
}

fn open(paths: &Paths, keys: LedgerKeys, durability: Durability) -> Result<Writer, StoreError> {
    let sealed = Database::open(paths)?.read(keys, VAULT)?;
    Ok(sealed.verify(durability, Rollback::Refuse, Depth::Whole, &mut |_, _| ())?.writer)
}

/// Closes a writer and opens its database again, with every check.
fn reopened(writer: Writer) -> Writer {
    let (paths, keys) = (writer.paths.clone(), Arc::clone(&writer.keys));
    drop(writer);
    open(&paths, Arc::into_inner(keys).unwrap(), Durability::Full).unwrap()
}

pub(crate) fn entry(body: &str) -> Entry {
    Entry { body: body.to_owned(), opens: None }
}

/// A record that only the manifest looks at.
pub(crate) fn row(id: u8, version: u64) -> RecordRow {
    let sealed = SealedRecord { salt: [id; 32], commitment: [version as u8; 32], ciphertext: vec![id; 64] };
    RecordRow { id: Id([id; 16]), version, epoch: 1, sealed }
}

impl Writer {
    fn anchored(&self) -> Mark {
        self.anchoring.known().mark
    }
}

fn put(id: u8, version: u64) -> Change {
    Change::Put(Table::Bot, row(id, version))
}

fn bodies(writer: &mut Writer) -> Vec<String> {
    writer.rows(0, 1000).unwrap().into_iter().map(|row| row.body).collect()
}

fn versions(writer: &Writer) -> Vec<(u8, u64)> {
    let records = verify::read_records(writer.sound().unwrap()).unwrap();
    records.into_iter().map(|(_, row)| (row.id.0[0], row.version)).collect()
}

/// Commits, and then forgets it as if the disk had failed after it took the commit: the case that nobody can tell from
/// one where it did not take it.
fn commit_unheard(writer: &mut Writer, batch: Batch) {
    let anchor = std::fs::read(writer.paths.anchor()).unwrap();
    let before = (writer.state.clone(), writer.tail, writer.anchored());
    let replaced = replaced_by(writer.sound().unwrap(), &batch.changes.iter().collect::<Vec<_>>()).unwrap();
    writer.commit(&[batch]).unwrap();
    std::fs::write(writer.paths.anchor(), anchor).unwrap();
    (writer.state, writer.tail) = (before.0, before.1);
    writer.anchoring.pretend(None, before.2);
    (writer.connection, writer.replaced) = (None, replaced);
}

#[test]
fn a_transaction_that_reached_the_disk_though_its_commit_failed_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    writer.commit(&[Batch::of(vec![entry("two")], vec![put(1, 1), put(2, 1)])]).unwrap();
    let before = (writer.state.clone(), writer.tail);
    let changes = vec![put(1, 2), put(3, 1), Change::Delete(Table::Bot, Id([2; 16]))];
    commit_unheard(&mut writer, Batch::of(vec![entry("unheard"), entry("unheard too")], changes));

    assert_eq!(bodies(&mut writer), ["first", "two"]);
    assert_eq!((writer.state.clone(), writer.tail), before);
    assert_eq!(versions(&writer), [(1, 1), (2, 1)]);

    let mut writer = reopened(writer);
    assert_eq!(bodies(&mut writer), ["first", "two"]);
    assert_eq!(versions(&writer), [(1, 1), (2, 1)]);
}

#[test]
fn a_prune_that_reached_the_disk_though_its_commit_failed_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    writer.commit(&[Batch::of(vec![entry("two"), entry("three")], Vec::new())]).unwrap();
    let two = writer.verify_page(Point::START, 2, &mut |_, _| true).unwrap();
    commit_unheard(&mut writer, Batch::of(vec![entry("pruned")], vec![Change::Prune(two)]));
    assert_eq!(bodies(&mut writer), ["three", "pruned"], "rows that are gone can't be put back");
    assert_eq!(writer.state().first_kept, two);
    writer.commit(&[Batch::of(vec![entry("five")], Vec::new())]).unwrap();
    assert_eq!(bodies(&mut reopened(writer)), ["three", "pruned", "five"]);
}

#[test]
fn the_first_number_after_a_failure_is_that_of_the_row_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    commit_unheard(&mut writer, Batch::of(vec![entry("unheard")], Vec::new()));
    let first = writer.commit(&[Batch::of(vec![entry("two")], Vec::new())]).unwrap();
    assert_eq!((first, writer.tail().seq), (2, 2));
    assert_eq!(bodies(&mut writer), ["first", "two"]);
    reopened(writer);
}

#[test]
fn t21_a_slot_that_an_unheard_commit_changed_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    let slot = |slot_id, secret: &[u8; 32]| {
        let method = crate::crypto::slot::SlotMethod::KeyFile;
        let header = SlotHeader { vault_id: VAULT, method, salt: [1; 32], slot_id, created_s: 0 };
        Slot::wrap(header, secret, &[5; 32]).unwrap()
    };
    writer.commit(&[Batch::of(vec![entry("two")], vec![Change::PutSlot(slot(1, &[1; 32]))])]).unwrap();
    let before = writer.slots().unwrap();
    let changes = vec![Change::PutSlot(slot(1, &[2; 32])), Change::PutSlot(slot(2, &[3; 32]))];
    commit_unheard(&mut writer, Batch::of(vec![entry("unheard")], changes));
    assert_eq!(writer.slots().unwrap(), before);
    reopened(writer);
}

#[test]
fn a_database_that_another_wrote_while_it_was_closed_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    writer.commit(&[Batch::of(vec![entry("two")], vec![put(1, 1)])]).unwrap();
    writer.connection = None;
    let other = Connection::open(writer.paths.database()).unwrap();
    other.execute("DELETE FROM bot", []).unwrap();
    drop(other);
    let refused = writer.commit(&[Batch::of(vec![entry("three")], Vec::new())]).unwrap_err();
    assert!(matches!(refused, StoreError::Integrity(IntegrityError::Count { what: "bots", .. })), "{refused:?}");
    assert!(!writer.is_sound());
}

#[test]
fn rows_that_were_added_by_another_while_it_was_closed_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    writer.connection = None;
    let other = Connection::open(writer.paths.database()).unwrap();
    other.execute("INSERT INTO audit (seq, head, body) VALUES (2, zeroblob(32), 'planted')", []).unwrap();
    drop(other);
    let refused = writer.commit(&[Batch::of(vec![entry("two")], Vec::new())]).unwrap_err();
    assert!(matches!(refused, StoreError::Integrity(IntegrityError::Audit { seq: 2 })), "{refused:?}");
}

#[test]
fn the_anchor_follows_every_change_and_every_256th_row() {
    for durability in [Durability::Full, Durability::Process] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), durability);
        for _ in 0..255 {
            writer.commit(&[Batch::of(vec![entry("row")], Vec::new())]).unwrap();
        }
        assert_eq!(writer.anchored().audit.seq, 1);
        writer.commit(&[Batch::of(vec![entry("row")], Vec::new())]).unwrap();
        assert_eq!(writer.anchored().audit, writer.tail());
        writer.commit(&[Batch::of(vec![entry("row")], vec![put(1, 1)])]).unwrap();
        assert_eq!((writer.anchored().audit, writer.anchored().state_version), (writer.tail(), 2));
    }
}

#[test]
fn nothing_more_is_written_while_a_change_is_not_in_the_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    writer.refuse_anchor().unwrap();
    writer.commit(&[Batch::of(vec![entry("change")], vec![put(1, 1)])]).unwrap();
    let refused = writer.commit(&[Batch::of(vec![entry("refused")], Vec::new())]).unwrap_err();
    assert!(matches!(refused, StoreError::File { .. }), "{refused:?}");
    writer.mend_anchor().unwrap();
    assert_eq!(writer.commit(&[Batch::of(vec![entry("three")], Vec::new())]).unwrap(), 3);
    assert_eq!(bodies(&mut writer), ["first", "change", "three"]);
}

#[test]
fn opening_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    writer.commit(&[Batch::of(vec![entry("two")], Vec::new())]).unwrap();
    let anchor = std::fs::read(writer.paths.anchor()).unwrap();
    let writer = reopened(writer);
    assert_eq!(std::fs::read(writer.paths.anchor()).unwrap(), anchor, "the anchor waits for a sound unlock");
}
