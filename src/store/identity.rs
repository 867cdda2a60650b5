//! Whether the files that are open are still the ones that have the names. A file that was removed or replaced under an
//! open descriptor takes every write and keeps none: after a restart the name leads elsewhere.

use crate::store::StoreError;
use crate::store::file::{self, Paths};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells a file from any other that exists at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that has this name; `None` when there is none.
    ///
    /// # Errors
    /// The system's refusal to look.
    pub(crate) fn of(path: &Path) -> io::Result<Option<FileId>> {
        match path.symlink_metadata() {
            Ok(about) => Ok(Some(FileId::in_metadata(&about))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file that this was read from.
    pub(crate) fn in_metadata(about: &std::fs::Metadata) -> FileId {
        FileId { device: about.dev(), inode: about.ino() }
    }
}

/// Which file is not the one that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The database.
    Database,
    /// Its write-ahead log.
    Log,
}

impl Moved {
    /// The file's name, for the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Moved::Database => "vault.db",
            Moved::Log => "vault.db-wal",
        }
    }
}

/// The files that a connection has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    database: Option<FileId>,
    /// None until SQLite has made it.
    log: Option<FileId>,
}

impl Identity {
    /// The files that have the names now.
    ///
    /// # Errors
    /// The system's refusal to look.
    pub(crate) fn of(paths: &Paths) -> Result<Identity, StoreError> {
        let look = |path: &Path| FileId::of(path).map_err(file::failed(format!("cannot look at {}", path.display())));
        Ok(Identity { database: look(&paths.database())?, log: look(&paths.log())? })
    }

    /// These files, when the database is the one that had the name before it was opened: then it is what was opened.
    ///
    /// # Errors
    /// Another file got the name in between.
    pub(crate) fn unless_moved_since(self, before: Identity) -> Result<Identity, StoreError> {
        match self.has_same_database(&before) {
            true => Ok(self),
            false => Err(displaced(Moved::Database)),
        }
    }

    /// Whether both are of the same database.
    pub(crate) fn has_same_database(&self, other: &Identity) -> bool {
        self.database == other.database
    }

    /// Whether this is the log.
    pub(crate) fn has_log(&self, about: &std::fs::Metadata) -> bool {
        self.log == Some(FileId::in_metadata(about))
    }

    /// Which of these files has lost its name. A log that was not there yet is taken as it is found.
    ///
    /// # Errors
    /// The system's refusal to look.
    pub(crate) fn moved(&mut self, paths: &Paths) -> Result<Option<Moved>, StoreError> {
        let now = Identity::of(paths)?;
        if now.database != self.database {
            return Ok(Some(Moved::Database));
        }
        self.log = self.log.or(now.log);
        Ok((now.log != self.log).then_some(Moved::Log))
    }
}

/// A file that was removed or replaced.
pub(crate) fn displaced(moved: Moved) -> StoreError {
    let what = format!("{} was removed or replaced while it was open", moved.name());
    StoreError::File { what, source: io::ErrorKind::NotFound.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_removed_or_brought_back_is_told_from_the_one_that_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { state_dir: dir.path().to_owned(), anchor_dir: dir.path().to_owned() };
        let away = dir.path().join("away");
        std::fs::write(paths.database(), "database").unwrap();
        let mut open = Identity::of(&paths).unwrap();
        assert_eq!(open.moved(&paths).unwrap(), None);
        std::fs::write(paths.log(), "log").unwrap();
        assert_eq!(open.moved(&paths).unwrap(), None, "a log that came later");
        for (path, moved) in [(paths.database(), Moved::Database), (paths.log(), Moved::Log)] {
            std::fs::rename(&path, &away).unwrap();
            assert_eq!(open.moved(&paths).unwrap(), Some(moved), "removed");
            std::fs::copy(&away, &path).unwrap();
            assert_eq!(open.moved(&paths).unwrap(), Some(moved), "replaced by a copy");
            std::fs::rename(&away, &path).unwrap();
            assert_eq!(open.moved(&paths).unwrap(), None, "back");
        }
    }
}
