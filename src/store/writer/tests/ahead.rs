//! The anchor that is written ahead of need, and a log that is folded in because it is long.

use super::*;
use crate::crypto::keys::RetiredKey;
use crate::store::rekey::{Rekey, Sealer};
use crate::store::writer::anchoring::{Marked, ROWS_AHEAD, Ready, Unsynced};

/// As many rows, each in a commit of its own.
fn write(writer: &mut Writer, rows: u64) {
    for _ in 0..rows {
        writer.commit(&[Batch::of(vec![entry("row")], Vec::new())]).unwrap();
    }
}

/// A writer whose commits are not synced, with so many rows after its first.
fn with_rows(dir: &Path, rows: u64) -> Writer {
    let mut writer = new_writer(dir, Durability::Process);
    write(&mut writer, rows);
    writer
}

fn unsynced(writer: &mut Writer) -> Unsynced {
    match writer.mark_ahead().unwrap() {
        Some(Marked::Unsynced(unsynced)) => unsynced,
        _ => panic!("its log is not synced"),
    }
}

fn synced(writer: &mut Writer) -> Ready {
    let unsynced = unsynced(writer);
    writer.after_sync(unsynced.sync()).unwrap().expect("nothing has changed")
}

/// What the anchor's file says.
fn told(writer: &Writer) -> u64 {
    // The lock on it is the writer's.
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(writer.paths.anchor(), copy.path()).unwrap();
    Anchor::open(copy.path(), writer.keys.anchor.expose(), &VAULT).unwrap().1.audit.seq
}

struct Retires;

impl Sealer for Retires {
    fn retire(&self, _: &RetiredKey) -> Result<RecordRow, StoreError> {
        Ok(RecordRow { epoch: 2, ..row(9, 1) })
    }

    fn seal_again(&self, _: Table, row: &RecordRow) -> Result<RecordRow, StoreError> {
        Ok(RecordRow { epoch: 2, ..row.clone() })
    }
}

fn rekey(writer: &mut Writer) -> Result<u64, StoreError> {
    let (keys, _) = keys::derive(&Arena::new().unwrap(), VAULT, VaultKey::generate().unwrap(), 2).unwrap();
    let (records, dropped, slots) = (Vec::new(), Vec::new(), Vec::new());
    let mut batch = Batch::of(vec![entry("a new key")], Vec::new());
    batch.rekey = Some(Box::new(Rekey { keys, epoch: 2, records, dropped, slots, sealer: Arc::new(Retires) }));
    writer.commit_or_rekey(&mut [batch])
}

#[test]
fn what_is_anchored_ahead_no_commit_anchors() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), ROWS_AHEAD - 1);
    assert!(!writer.is_due());
    write(&mut writer, 1);
    assert!(writer.is_due());
    assert!(synced(&mut writer).write().unwrap());
    assert!(!writer.is_due());
    let anchored = 1 + ROWS_AHEAD;
    assert_eq!((writer.anchored().audit, told(&writer)), (writer.tail(), anchored));
    write(&mut writer, 255);
    assert_eq!(told(&writer), anchored);
    write(&mut writer, 1);
    assert_eq!(told(&writer), anchored + 256);
    assert!(writer.mark_ahead().unwrap().is_none(), "it is anchored");
    reopened(writer);
}

#[test]
fn nothing_is_anchored_that_came_after_the_sync() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 9);
    let ready = synced(&mut writer);
    write(&mut writer, 5);
    assert_eq!(told(&writer), 1, "not before it is written");
    assert!(ready.write().unwrap());
    assert_eq!((told(&writer), writer.tail().seq), (10, 15));
    reopened(writer);
}

#[test]
fn with_every_commit_synced_there_is_nothing_to_sync() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Full);
    write(&mut writer, 3);
    match writer.mark_ahead().unwrap() {
        Some(Marked::Synced(ready)) => assert!(ready.write().unwrap()),
        _ => panic!("it is synced"),
    }
    assert_eq!(told(&writer), 4);
    assert!(writer.log.is_none());
}

#[test]
fn a_late_tender_finds_that_the_commit_wrote_the_anchor_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 130);
    let (late, ready) = (unsynced(&mut writer), synced(&mut writer));
    write(&mut writer, 126);
    assert_eq!(told(&writer), 257);
    assert!(!ready.write().unwrap());
    let late = writer.after_sync(late.sync()).unwrap().unwrap();
    assert!(!late.write().unwrap());
    assert_eq!((writer.anchored().audit.seq, told(&writer)), (257, 257));
    reopened(writer);
}

#[test]
fn an_anchor_of_an_older_state_is_not_written_over_that_of_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let ready = synced(&mut writer);
    writer.commit(&[Batch::of(vec![entry("change")], vec![put(1, 1)])]).unwrap();
    assert!(!ready.write().unwrap());
    assert_eq!((writer.anchored().state_version, told(&writer)), (2, 5));
}

#[test]
fn a_mark_of_a_connection_that_was_left_is_not_anchored() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let (one, two, ready) = (unsynced(&mut writer), unsynced(&mut writer), synced(&mut writer));
    writer.refuse_writes().unwrap();
    assert!(writer.commit(&[Batch::of(vec![entry("refused")], Vec::new())]).is_err());
    assert!(writer.after_sync(one.sync()).unwrap().is_none(), "it is closed");
    write(&mut writer, 1);
    assert!(writer.after_sync(two.sync()).unwrap().is_none(), "it is another");
    assert!(!ready.write().unwrap());
    assert_eq!(told(&writer), 1);
    // The next one has a descriptor of its own.
    assert!(synced(&mut writer).write().unwrap());
    assert_eq!(told(&writer), 5);
    reopened(writer);
}

#[test]
fn a_mark_of_before_a_new_vault_key_is_not_anchored_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let (one, ready) = (unsynced(&mut writer), synced(&mut writer));
    rekey(&mut writer).unwrap();
    assert_eq!(told(&writer), 5);
    assert!(writer.after_sync(one.sync()).unwrap().is_none());
    assert!(!ready.write().unwrap());
    write(&mut writer, 2);
    assert!(synced(&mut writer).write().unwrap());
    assert_eq!(told(&writer), 7);
    // Both slots are the new key's.
    write(&mut writer, 1);
    assert!(synced(&mut writer).write().unwrap());
    assert_eq!(told(&writer), 8);
}

#[test]
fn a_new_vault_key_whose_commit_fails_keeps_its_slot_of_the_anchor_from_older_marks() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let ready = synced(&mut writer);
    writer.fail_before_commit().unwrap();
    assert!(rekey(&mut writer).is_err());
    let anchor = std::fs::read(writer.paths.anchor()).unwrap();
    assert!(!ready.write().unwrap(), "either key may be the vault's");
    assert_eq!(std::fs::read(writer.paths.anchor()).unwrap(), anchor);
    write(&mut writer, 1);
    reopened(writer);
}

#[test]
fn with_a_file_away_nothing_is_anchored() {
    for name in [Paths::database, Paths::log] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = with_rows(dir.path(), 3);
        let marked = unsynced(&mut writer);
        let (here, away) = (name(&writer.paths), dir.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        assert!(writer.after_sync(marked.sync()).unwrap().is_none());
        assert!(writer.mark_ahead().is_err());
        assert!(!writer.is_due());
        std::fs::rename(&away, &here).unwrap();
        assert!(synced(&mut writer).write().unwrap());
        assert_eq!(told(&writer), 4);
        reopened(writer);
    }
}

#[test]
fn an_anchor_that_was_made_anew_is_not_given_an_older_mark() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let ready = synced(&mut writer);
    std::fs::remove_file(writer.paths.anchor()).unwrap();
    write(&mut writer, 1);
    let made = told(&writer);
    assert!(!ready.write().unwrap());
    assert_eq!(told(&writer), made);
    reopened(writer);
}

#[test]
fn a_sync_that_fails_closes_the_connection_and_nothing_is_anchored() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let marked = unsynced(&mut writer).unsyncable();
    assert!(matches!(writer.after_sync(marked.sync()), Err(StoreError::File { .. })));
    assert!(!writer.is_sound());
    assert_eq!(told(&writer), 1);
    // One of a connection that is not the present one any more says nothing of this one.
    write(&mut writer, 1);
    let marked = unsynced(&mut writer).unsyncable();
    writer.connection = None;
    write(&mut writer, 1);
    assert!(writer.after_sync(marked.sync()).is_err());
    assert!(writer.is_sound());
    assert_eq!(bodies(&mut reopened(writer)).len(), 6);
}

#[test]
fn after_an_anchor_that_could_not_be_written_ahead_nothing_is_until_it_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    let (ready, another) = (synced(&mut writer), synced(&mut writer));
    writer.refuse_anchor().unwrap();
    assert!(matches!(ready.write(), Err(StoreError::File { .. })));
    assert!(!writer.is_sound() && !writer.is_due());
    assert!(writer.commit(&[Batch::of(vec![entry("refused")], Vec::new())]).is_err());
    assert!(!another.write().unwrap(), "the writer has to");
    writer.mend_anchor().unwrap();
    write(&mut writer, 1);
    assert_eq!(told(&writer), 4, "before the row");
    assert!(writer.is_sound());
    reopened(writer);
}

#[test]
fn a_descriptor_of_the_log_that_is_closed_leaves_the_database_locked() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path(), 3);
    assert!(synced(&mut writer).write().unwrap());
    assert!(writer.log.take().is_some());
    // Another process, because the locks of one are its own.
    let database = writer.paths.database();
    let script = format!("import fcntl; fcntl.lockf(open({database:?}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)");
    let Ok(tried) = std::process::Command::new("python3").args(["-c", &script]).output() else { return };
    assert!(!tried.status.success(), "SQLite's lock is gone");
}

#[test]
fn a_log_is_folded_when_it_is_long_and_begun_anew_in_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Process);
    let size = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    let (mut folds, mut longest) = (0, 0);
    let row = "x".repeat(200_000);
    for _ in 0..400 {
        writer.commit(&[Batch::of(vec![entry(&row)], Vec::new())]).unwrap();
        if writer.is_due() {
            let before = size(writer.paths.database());
            writer.tend().unwrap();
            folds += 1;
            assert!(size(writer.paths.database()) > before + 16_000_000, "all of it");
        }
        longest = longest.max(size(writer.paths.log()));
    }
    assert_eq!(folds, 5, "86 MB of frames");
    assert!((16 << 20..17 << 20).contains(&longest), "{longest}");
    writer.tend().unwrap();
    assert_eq!(writer.rows(0, 1000).unwrap().len(), 401);
    reopened(writer);
}

#[test]
fn a_log_of_many_rows_is_folded_before_it_is_long() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Process);
    let rows = || (0..64).map(|_| entry(&"x".repeat(600))).collect();
    let size = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    for turn in 1..=96 {
        let before = size(writer.paths.database());
        writer.commit(&[Batch::of(rows(), Vec::new())]).unwrap();
        writer.tend().unwrap();
        assert_eq!(size(writer.paths.database()) > before, turn % 48 == 0, "{turn}");
    }
    assert!(size(writer.paths.log()) < 4 << 20);
    reopened(writer);
}

#[test]
fn a_log_that_was_laid_out_is_read_to_the_end_of_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Process);
    let (paths, keys) = (writer.paths.clone(), Arc::clone(&writer.keys));
    let commit = |writer: &mut Writer| writer.commit(&[Batch::of(vec![entry("row")], Vec::new())]).unwrap();
    let size = || std::fs::metadata(paths.log()).unwrap().len();
    commit(&mut writer);
    let before = std::fs::read(paths.log()).unwrap();
    for _ in 0..2 {
        writer.lay_out_log().unwrap();
        assert_eq!(size(), 16 << 20);
    }
    let laid_out = std::fs::read(paths.log()).unwrap();
    assert!(laid_out.starts_with(&before) && laid_out[before.len()..].iter().all(|byte| *byte == 0));
    for _ in 0..9 {
        commit(&mut writer);
    }
    assert_eq!(size(), 16 << 20);
    // What a daemon that was killed leaves behind.
    let files = [paths.database(), paths.log()].map(|path| (std::fs::read(&path).unwrap(), path));
    drop(writer);
    files.iter().for_each(|(content, path)| std::fs::write(path, content).unwrap());
    let mut again = open(&paths, Arc::into_inner(keys).unwrap(), Durability::Full).unwrap();
    assert_eq!(again.rows(0, 100).unwrap().len(), 11);
}

#[test]
fn a_log_that_is_another_is_not_laid_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Process);
    writer.commit(&[Batch::of(vec![entry("row")], Vec::new())]).unwrap();
    std::fs::rename(writer.paths.log(), dir.path().join("log")).unwrap();
    std::fs::write(writer.paths.log(), "other").unwrap();
    assert!(writer.lay_out_log().is_err());
    assert_eq!(std::fs::read(writer.paths.log()).unwrap(), b"other");
}

#[test]
fn a_second_that_is_over_does_not_fold_a_short_log() {
    for durability in [Durability::Full, Durability::Process] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), durability);
        write(&mut writer, 3);
        let before = std::fs::metadata(writer.paths.database()).unwrap().modified().unwrap();
        writer.tend().unwrap();
        assert_eq!(told(&writer), 4);
        assert_eq!(std::fs::metadata(writer.paths.database()).unwrap().modified().unwrap(), before);
    }
}

#[test]
fn a_log_that_grew_because_nobody_could_fold_it_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = new_writer(dir.path(), Durability::Process);
    let (still, _) = writer.keep_still().unwrap();
    for _ in 0..40 {
        writer.commit(&[Batch::of(vec![entry(&"x".repeat(1_000_000))], Vec::new())]).unwrap();
    }
    writer.tend().unwrap();
    assert!(!writer.is_due(), "somebody copies the file");
    assert!(std::fs::metadata(writer.paths.log()).unwrap().len() > 40_000_000);
    drop(still);
    assert!(writer.is_due());
    writer.tend().unwrap();
    assert_eq!(std::fs::metadata(writer.paths.log()).unwrap().len(), 0);
    reopened(writer);
}
