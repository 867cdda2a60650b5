//! Files that lose their names under an open vault, and syncs that fail.

use super::*;

fn said(body: &str) -> [Batch; 1] {
    [Batch::of(vec![entry(body)], Vec::new())]
}

/// A writer with some rows in its log.
fn with_rows(dir: &Path) -> Writer {
    let mut writer = new_writer(dir, Durability::Full);
    writer.commit(&[Batch::of(vec![entry("two")], vec![put(1, 1)])]).unwrap();
    writer.commit(&said("three")).unwrap();
    writer
}

fn is_displaced(refused: Result<u64, StoreError>) -> bool {
    matches!(refused, Err(StoreError::File { what, .. }) if what.contains("removed or replaced"))
}

#[test]
fn nothing_is_written_while_a_file_is_away_and_all_goes_on_when_it_is_back() {
    for name in [Paths::database, Paths::log] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = with_rows(dir.path());
        let (here, away) = (name(&writer.paths), dir.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        for _ in 0..2 {
            assert!(is_displaced(writer.commit(&said("refused"))));
            assert!(!writer.is_sound());
        }
        std::fs::rename(&away, &here).unwrap();
        assert_eq!(writer.commit(&said("four")).unwrap(), 4);
        assert_eq!(bodies(&mut reopened(writer)), ["first", "two", "three", "four"]);
    }
}

#[test]
fn a_log_that_is_gone_for_good_loses_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    std::fs::remove_file(writer.paths.log()).unwrap();
    assert!(is_displaced(writer.commit(&said("refused"))));
    writer.tend().unwrap();
    assert_eq!(writer.commit(&said("four")).unwrap(), 4);
    let mut writer = reopened(writer);
    assert_eq!(bodies(&mut writer), ["first", "two", "three", "four"]);
    assert_eq!(versions(&writer), [(1, 1)]);
}

#[test]
fn a_foreign_log_is_refused_until_it_is_gone_and_no_row_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    let older = std::fs::read(writer.paths.log()).unwrap();
    writer.commit(&[Batch::of(vec![entry("four")], vec![put(1, 2)])]).unwrap();
    std::fs::remove_file(writer.paths.log()).unwrap();
    std::fs::write(writer.paths.log(), older).unwrap();
    assert!(is_displaced(writer.commit(&said("refused"))));
    assert!(writer.tend().is_err(), "an older log hides the last rows");
    assert!(writer.commit(&said("refused")).is_err());
    std::fs::remove_file(writer.paths.log()).unwrap();
    assert_eq!(writer.commit(&said("five")).unwrap(), 5);
    assert_eq!(bodies(&mut reopened(writer)), ["first", "two", "three", "four", "five"]);
}

#[test]
fn a_whole_copy_in_the_database_s_place_is_verified_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    let copy = dir.path().join("copy");
    std::fs::copy(writer.paths.database(), &copy).unwrap();
    std::fs::rename(&copy, writer.paths.database()).unwrap();
    assert!(is_displaced(writer.commit(&said("refused"))));
    writer.tend().unwrap();
    assert_eq!(writer.commit(&said("four")).unwrap(), 4);
    assert_eq!(bodies(&mut reopened(writer)), ["first", "two", "three", "four"]);
}

#[test]
fn another_file_in_the_database_s_place_is_refused_and_neither_it_nor_the_log_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    writer.fold_log("TRUNCATE").unwrap();
    let (here, away) = (writer.paths.database(), dir.path().join("away"));
    let older = std::fs::read(&here).unwrap();
    let size = older.len();
    writer.commit(&[Batch::of(vec![entry("four")], vec![put(1, 2)])]).unwrap();
    writer.fold_log("TRUNCATE").unwrap();
    for planted in [b"no database".to_vec(), vec![0; size], older, Vec::new()] {
        std::fs::rename(&here, &away).unwrap();
        std::fs::write(&here, &planted).unwrap();
        for _ in 0..2 {
            assert!(writer.tend().is_err());
            assert!(is_displaced(writer.commit(&said("refused"))));
        }
        assert!(std::fs::read(&here).unwrap() == planted, "{} bytes", planted.len());
        assert!(writer.paths.log().exists());
        std::fs::rename(&away, &here).unwrap();
        writer.commit(&said("next")).unwrap();
        writer.fold_log("TRUNCATE").unwrap();
    }
    assert_eq!(bodies(&mut reopened(writer))[3..], ["four", "next", "next", "next", "next"]);
}

#[test]
fn a_writer_that_ends_while_its_files_are_away_touches_nothing_that_has_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let writer = with_rows(dir.path());
    let (paths, keys) = (writer.paths.clone(), Arc::clone(&writer.keys));
    let away = dir.path().join("away");
    std::fs::rename(paths.database(), &away).unwrap();
    std::fs::write(paths.database(), "another").unwrap();
    let log = std::fs::read(paths.log()).unwrap();
    drop(writer);
    assert_eq!(std::fs::read(paths.database()).unwrap(), b"another");
    assert_eq!(std::fs::read(paths.log()).unwrap(), log);
    std::fs::rename(&away, paths.database()).unwrap();
    assert_eq!(
        bodies(&mut open(&paths, Arc::into_inner(keys).unwrap(), Durability::Full).unwrap()),
        ["first", "two", "three"]
    );
}

#[test]
fn an_anchor_that_is_gone_or_anothers_is_made_anew_before_the_next_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    let path = writer.paths.anchor();
    std::fs::remove_file(&path).unwrap();
    writer.commit(&said("four")).unwrap();
    assert!(path.exists());
    std::fs::remove_dir_all(&writer.paths.anchor_dir).unwrap();
    writer.commit(&said("five")).unwrap();
    assert!(path.exists());
    std::fs::write(dir.path().join("another"), [0; 512]).unwrap();
    std::fs::rename(dir.path().join("another"), &path).unwrap();
    writer.commit(&said("six")).unwrap();
    reopened(writer);
}

#[test]
fn an_anchor_that_can_t_be_made_anew_stops_the_next_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    let anchor_dir = writer.paths.anchor_dir.clone();
    std::fs::remove_dir_all(&anchor_dir).unwrap();
    std::fs::write(&anchor_dir, "in the way").unwrap();
    for _ in 0..2 {
        assert!(matches!(writer.commit(&said("refused")), Err(StoreError::File { .. })));
        assert!(!writer.is_sound());
    }
    std::fs::remove_file(&anchor_dir).unwrap();
    assert_eq!(writer.commit(&said("four")).unwrap(), 4);
    assert!(writer.is_sound());
    reopened(writer);
}

#[test]
fn the_log_is_written_again_byte_for_byte_before_it_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = with_rows(dir.path());
    let long = "x".repeat(3_000_000);
    writer.commit(&said(&long)).unwrap();
    writer.connection = None;
    let log = writer.paths.log();
    let (before, written) = (std::fs::read(&log).unwrap(), std::fs::metadata(&log).unwrap().modified().unwrap());
    assert!(before.len() > 3_000_000, "a failure folds nothing in");
    std::thread::sleep(std::time::Duration::from_millis(20));
    writer.recover().unwrap();
    assert_eq!(std::fs::read(&log).unwrap(), before);
    assert!(std::fs::metadata(&log).unwrap().modified().unwrap() > written);
    // What can't be written again is not believed.
    writer.connection = None;
    std::fs::rename(&log, dir.path().join("log")).unwrap();
    std::fs::create_dir(&log).unwrap();
    assert!(matches!(writer.recover(), Err(StoreError::File { .. })));
    std::fs::remove_dir(&log).unwrap();
    std::fs::rename(dir.path().join("log"), &log).unwrap();
    writer.recover().unwrap();
    assert_eq!(bodies(&mut writer).last(), Some(&long));
}
