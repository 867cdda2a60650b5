//! Opening files that somebody else puts in their place. Such a name may be a pipe that nobody writes to, or a device
//! without an end, and a daemon that waits for either serves nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The longest configuration file: far more than all keys with all comments.
const MOST_BYTES: u64 = 1024 * 1024;

/// Opens a file to read it, without waiting for whatever else may have its name.
///
/// # Errors
/// Those of opening, and one that says so of anything but a plain file.
pub fn open(path: &Path) -> io::Result<File> {
    let at_once = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(at_once.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    Ok(file)
}

/// The text of a configuration file.
///
/// # Errors
/// As [`open`]; and for more than a MiB, or what is no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than a MiB")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_a_mib_long_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (length, is_read) in [(0, true), (MOST_BYTES, true), (MOST_BYTES + 1, false)] {
            std::fs::write(&path, vec![b'#'; length as usize]).unwrap();
            assert_eq!(read_text(&path).is_ok_and(|text| text.len() as u64 == length), is_read, "{length}");
        }
    }

    #[test]
    fn what_is_no_file_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path(), Path::new("/dev/zero")] {
            assert_eq!(open(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(open(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
