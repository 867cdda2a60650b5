//! Files that hold secrets: made so that nobody else can read or plant them, read into memory that is wiped.

use crate::secret::SecretBytes;
use crate::secret::read::{ReadSecretError, read_secret_to_end};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a file could not be made or read. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Something stands there already, perhaps a link that somebody else planted.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// It could not be made.
    #[error("cannot make {}", .0.display())]
    Make(PathBuf, #[source] io::Error),
    /// It could not be written to.
    #[error("cannot write to {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// It could not be opened.
    #[error("cannot open {}", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// It could not be read, or is too long.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] ReadSecretError),
}

impl FileError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            FileError::Exists(_) => "choose another name: an existing file is never overwritten",
            FileError::Make(..) | FileError::Write(..) => "check that the directory is there, yours, and has room",
            FileError::Open(..) | FileError::Read(..) => "check the path and who may read it",
        }
    }
}

/// A new file that only its owner can read. It is taken away again unless it is [kept](PrivateFile::keep), so that what
/// fails half-way leaves nothing behind.
#[derive(Debug)]
pub struct PrivateFile {
    /// The open file, made by this process.
    file: File,
    /// Where it is.
    path: PathBuf,
    /// Whether it stays.
    kept: bool,
}

impl PrivateFile {
    /// Makes a new file with mode 0600; an existing file or link is an error.
    pub fn create(path: &Path) -> Result<PrivateFile, FileError> {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let opened = File::options().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path);
        match opened {
            Ok(file) => Ok(PrivateFile { file, path: path.to_owned(), kept: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(FileError::Exists(path.to_owned())),
            Err(error) => Err(FileError::Make(path.to_owned(), error)),
        }
    }

    /// Makes a new file that holds these pieces, one after the other.
    pub fn with(path: &Path, pieces: &[&[u8]]) -> Result<PrivateFile, FileError> {
        let mut made = PrivateFile::create(path)?;
        for piece in pieces {
            made.file.write_all(piece).map_err(|error| made.cannot_write(error))?;
        }
        made.sync()?;
        Ok(made)
    }

    /// Waits until the file and its name are on the disk.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(|error| self.cannot_write(error))?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| self.cannot_write(error))
    }

    /// Lets the file stay.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn cannot_write(&self, error: io::Error) -> FileError {
        FileError::Write(self.path.clone(), error)
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Reads a whole file that holds secrets.
pub fn read_secret(path: &Path, max_bytes: usize) -> Result<SecretBytes, FileError> {
    let file = File::open(path).map_err(|error| FileError::Open(path.to_owned(), error))?;
    read_secret_to_end(&file, max_bytes).map_err(|error| FileError::Read(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_private_file_is_its_owner_s_alone_and_goes_unless_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = PrivateFile::with(&path, &[b"secret", b"\n"]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
        PrivateFile::with(&path, &[b"secret", b"\n"]).unwrap().keep();
        assert_eq!(read_secret(&path, 16).unwrap().expose(), b"secret\n");
        assert!(matches!(read_secret(&path, 6), Err(FileError::Read(..))));
    }

    #[test]
    fn nothing_that_exists_is_overwritten_or_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        symlink(&target, &link).unwrap();
        assert!(matches!(PrivateFile::create(&link), Err(FileError::Exists(_))));
        assert!(!target.exists() && link.is_symlink());
        std::fs::write(&target, "mine").unwrap();
        assert!(matches!(PrivateFile::create(&target), Err(FileError::Exists(_))));
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    }
}
