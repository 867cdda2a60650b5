//! A copy of the database while it is written.
//!
//! With a write-ahead log the database's own file changes only when the log is folded in. So the log is folded in once,
//! with the writer held, and then not again until the file is copied: what is committed meanwhile stands in the log, and
//! the copy is what the vault was at that moment. Only that first step keeps a signature waiting.
//!
//! Closing any descriptor of the file would take SQLite's own lock on it away (`fcntl` locks belong to the process), so
//! the one that is read from stays open for as long as the connection.

use crate::store::record::SlotRow;
use crate::store::writer::Writer;
use crate::store::{StoreError, file};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

const PIECE_BYTES: usize = 1024 * 1024;

/// A database's file that keeps still.
pub(crate) struct Still {
    file: Arc<File>,
    /// Which connection promised that.
    generation: u64,
}

impl Writer {
    /// Folds the log in and leaves the file alone from then on, for as long as the result lives. With the slots that are
    /// in it.
    ///
    /// # Errors
    /// SQLite's refusal, or the file system's.
    pub(crate) fn keep_still(&mut self) -> Result<(Still, Vec<SlotRow>), StoreError> {
        self.scrub()?;
        let slots = self.slots()?;
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(open(&self.paths.database())?),
        };
        self.file = Some(Arc::clone(&file));
        Ok((Still { file, generation: self.generation }, slots))
    }

    /// Whether the file has kept still until now: a connection that was closed in between folded its log in.
    pub(crate) fn has_kept_still(&self, still: &Still) -> bool {
        self.is_sound() && self.generation == still.generation
    }

    /// Whether the log must not be folded in, because somebody copies the file. It ends by itself with the copy, whatever
    /// ends that.
    pub(super) fn is_still(&self) -> bool {
        self.file.as_ref().is_some_and(|file| Arc::strong_count(file) > 1)
    }
}

impl Still {
    /// Copies it into a new file.
    ///
    /// # Errors
    /// The file system's refusal.
    pub(crate) fn copy(&self, to: &Path) -> io::Result<()> {
        let mut to = file::create_new(to)?;
        let (mut piece, mut offset) = (vec![0; PIECE_BYTES], 0);
        loop {
            match file::read_some_at(&self.file, &mut piece, offset)? {
                0 => return Ok(()),
                length => {
                    to.write_all(&piece[..length])?;
                    offset += length as u64;
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map(File::from).map_err(|errno| file::failed(format!("cannot open {}", path.display()))(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Durability;
    use crate::store::connection;
    use crate::store::ledger::Change;
    use crate::store::queue::Batch;
    use crate::store::record::Table;
    use crate::store::verify;
    use crate::store::writer::tests::{entry, new_writer, row};

    fn bodies(path: &Path) -> Vec<String> {
        let copy = connection::open(path).unwrap();
        verify::read_rows(&copy, 0, 1000).unwrap().into_iter().map(|row| row.body).collect()
    }

    #[test]
    fn a_copy_holds_what_was_true_when_it_began_whatever_is_written_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), Durability::Full);
        writer.commit(&[Batch::of(vec![entry("two")], Vec::new())]).unwrap();
        let (still, _) = writer.keep_still().unwrap();
        for number in 0..50 {
            let change = Change::Put(Table::Bot, row(number, 1));
            writer.commit(&[Batch::of(vec![entry("later")], vec![change])]).unwrap();
            writer.tend().unwrap();
        }
        let copy = dir.path().join("copy");
        still.copy(&copy).unwrap();
        assert!(writer.has_kept_still(&still));
        connection::as_one_file(&copy).unwrap();
        assert_eq!(bodies(&copy), ["first", "two"]);
        assert!(!copy.with_extension("db-wal").exists());
        assert_eq!(writer.rows(0, 100).unwrap().len(), 52);
    }

    #[test]
    fn a_copy_that_nobody_ended_does_not_let_the_log_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), Durability::Full);
        let (still, _) = writer.keep_still().unwrap();
        let write_much = |writer: &mut Writer| {
            for _ in 0..18 {
                writer.commit(&[Batch::of(vec![entry(&"x".repeat(1_000_000))], Vec::new())]).unwrap();
            }
            writer.tend().unwrap();
            std::fs::metadata(writer.paths().database()).unwrap().len()
        };
        assert!(write_much(&mut writer) < 1_000_000);
        // The disk hung just when it was to be said that the copy is done.
        drop(still);
        assert!(write_much(&mut writer) > 18_000_000);
    }

    #[test]
    fn a_connection_that_was_closed_meanwhile_did_not_keep_still() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), Durability::Full);
        let (still, _) = writer.keep_still().unwrap();
        writer.refuse_writes().unwrap();
        assert!(writer.commit(&[Batch::of(vec![entry("refused")], Vec::new())]).is_err());
        assert!(!writer.has_kept_still(&still));
        writer.commit(&[Batch::of(vec![entry("two")], Vec::new())]).unwrap();
        assert!(!writer.has_kept_still(&still));
        let (again, _) = writer.keep_still().unwrap();
        assert!(writer.has_kept_still(&again));
    }

    #[test]
    fn a_copy_is_of_the_file_that_is_open_and_not_of_one_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), Durability::Full);
        drop(writer.keep_still().unwrap());
        // The same vault in another file, taken in after a failure.
        let (database, other) = (writer.paths().database(), dir.path().join("other"));
        writer.scrub().unwrap();
        writer.refuse_writes().unwrap();
        assert!(writer.commit(&[Batch::of(vec![entry("refused")], Vec::new())]).is_err());
        std::fs::copy(&database, &other).unwrap();
        std::fs::rename(&other, &database).unwrap();
        writer.commit(&[Batch::of(vec![entry("two")], Vec::new())]).unwrap();
        let (still, _) = writer.keep_still().unwrap();
        let copy = dir.path().join("copy");
        still.copy(&copy).unwrap();
        connection::as_one_file(&copy).unwrap();
        assert_eq!(bodies(&copy), ["first", "two"]);
    }

    #[test]
    fn a_copy_leaves_the_database_locked() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = new_writer(dir.path(), Durability::Full);
        let (still, _) = writer.keep_still().unwrap();
        still.copy(&dir.path().join("copy")).unwrap();
        assert!(writer.has_kept_still(&still));
        drop(still);
        // Another process, because the locks of one are its own.
        let database = dir.path().join("state/vault.db");
        let script = format!("import fcntl; fcntl.lockf(open({:?}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)", database);
        let tried = std::process::Command::new("python3").args(["-c", &script]).output();
        let Ok(tried) = tried else { return };
        assert!(!tried.status.success(), "SQLite's lock is gone");
    }
}
