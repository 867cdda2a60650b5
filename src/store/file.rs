//! Files and directories of a vault: where they are, and how they are made so that nobody else can read or plant them.

use crate::store::StoreError;
use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where a vault keeps its files.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The state directory, 0700.
    pub state_dir: PathBuf,
    /// The anchor's directory, 0700.
    pub anchor_dir: PathBuf,
}

impl Paths {
    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("vault.db")
    }

    /// The database's write-ahead log, while it is open or after a crash.
    pub fn log(&self) -> PathBuf {
        self.state_dir.join("vault.db-wal")
    }

    /// Space that is kept for the end of it.
    pub fn reserve(&self) -> PathBuf {
        self.state_dir.join("reserve")
    }

    /// The copy of a database of an older schema, from before it was brought to this version's.
    pub fn older_database(&self, version: u32) -> PathBuf {
        self.state_dir.join(format!("vault.db.v{version}"))
    }

    /// The count of failed unlocks.
    pub fn attempts(&self) -> PathBuf {
        self.state_dir.join("attempts")
    }

    /// The file whose lock says that a daemon holds the vault.
    pub fn lock(&self) -> PathBuf {
        self.state_dir.join("daemon.lock")
    }

    /// The anchor.
    pub fn anchor(&self) -> PathBuf {
        self.anchor_dir.join("anchor")
    }
}

/// Says what was being done when the file system refused.
pub fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
    let what = what.into();
    move |source| StoreError::File { what, source }
}

/// Makes a directory with mode 0700 if it is not there; refuses one that is a symbolic link, or that others may enter
/// and that already has something in it. An empty one is narrowed.
///
/// # Errors
/// The system's refusal, or permissions that are too wide.
pub fn private_dir(path: &Path) -> Result<(), StoreError> {
    if !is_taken(path) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed(format!("cannot make the directory {}", path.display())))?;
    }
    let about = path.symlink_metadata().map_err(failed(format!("cannot look at {}", path.display())))?;
    let refuse = |why: &str| {
        let what = format!("{} {why}", path.display());
        Err(StoreError::File { what, source: io::ErrorKind::PermissionDenied.into() })
    };
    if !about.is_dir() {
        return refuse("is not a directory");
    }
    let is_empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    match about.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ if is_empty() => {
            let narrowed = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
            narrowed.map_err(failed(format!("cannot set the mode of {}", path.display())))
        }
        _ => refuse("may be entered by others; run chmod 700 on it"),
    }
}

/// Makes a new file with mode 0600 and this content, synced, never through a symbolic link and never over another
/// file. The directory is synced too.
///
/// # Errors
/// The system's refusal.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create_new(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    sync_parent(path)
}

/// Makes a new, empty file with mode 0600: never through a symbolic link, never over another file.
///
/// # Errors
/// The system's refusal.
pub fn create_new(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?))
}

/// Replaces a file whole: the reader sees the old content or the new, also after a crash.
///
/// # Errors
/// The system's refusal.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    match std::fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => write_new(&next, content)?,
    }
    std::fs::rename(&next, path)?;
    sync_parent(path)
}

/// Writes every byte of a file again in its place, the same bytes, and syncs it: no page is taken to be on the disk only
/// because it was written before. A file that is not there has no bytes.
///
/// # Errors
/// The system's refusal.
pub fn rewrite(path: &Path) -> io::Result<()> {
    let file = match rustix::fs::open(path, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        opened => File::from(opened?),
    };
    let mut piece = vec![0; 1024 * 1024];
    let mut offset = 0;
    loop {
        let read = read_some_at(&file, &mut piece, offset)?;
        if read == 0 {
            return file.sync_data();
        }
        file.write_all_at(&piece[..read], offset)?;
        offset += read as u64;
    }
}

/// Reads what comes at a place of a file, or less: 0 bytes are its end. A read that is interrupted is made again.
///
/// # Errors
/// The system's refusal.
pub fn read_some_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            done => return done,
        }
    }
}

/// Gives a finished file its name, unless something already has it.
///
/// # Errors
/// `AlreadyExists`, or the system's refusal.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE)?;
    sync_parent(to)
}

/// Makes the names in a file's directory durable.
///
/// # Errors
/// The system's refusal.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Takes the lock that a daemon holds for as long as it lives; `None` when another has it.
///
/// # Errors
/// The lock file can't be made or opened.
pub fn lock(path: &Path) -> Result<Option<OwnedFd>, StoreError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600));
    let lock = opened.map_err(|errno| failed(format!("cannot open {}", path.display()))(errno.into()))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(failed(format!("cannot lock {}", path.display()))(errno.into())),
    }
}

/// Waits until nobody else makes a vault in this directory, and keeps others waiting until the value is dropped. The
/// lock is on the directory itself, so it leaves no file behind, and a daemon's own lock is not in its way.
///
/// # Errors
/// The directory can't be opened or locked.
pub fn alone_in(dir: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(dir, flags, Mode::empty());
    let locked = opened.and_then(|opened| {
        rustix::fs::flock(&opened, FlockOperation::LockExclusive)?;
        Ok(opened)
    });
    locked.map_err(|errno| failed(format!("cannot lock {}", dir.display()))(errno.into()))
}

/// Whether a vault's database, or what SQLite keeps beside one, is in the state directory already. A log that was left
/// alone would be played into whatever database gets the name beside it.
pub fn is_occupied(paths: &Paths) -> bool {
    let beside = |suffix: &str| {
        let mut name = paths.database().into_os_string();
        name.push(suffix);
        is_taken(Path::new(&name))
    };
    ["", "-wal", "-shm", "-journal"].into_iter().any(beside)
}

/// Whether anything has this name, be it a link that leads nowhere.
pub fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Gives files to whom a directory belongs: root's `init` must not leave files that the daemon's user can't open.
///
/// # Errors
/// The system's refusal.
pub fn give_to_owner_of(dir: &Path, files: &[PathBuf]) -> io::Result<()> {
    let owner = std::fs::metadata(dir)?;
    if !rustix::process::geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    for file in files.iter().filter(|file| file.exists()) {
        std::os::unix::fs::lchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}
