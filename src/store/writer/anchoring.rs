//! The anchor of an open vault. The writer writes it after every change and every 256th row; and ahead of that, so that no
//! commit has to, whoever tends the ledger does, while others write.
//!
//! ```text
//!   writer   commit │ commit │ mark │ commit │ commit │ look │ commit │ commit │ commit
//!   tender                      └─ the log is synced ─┘    └─ the anchor is written ─
//! ```
//!
//! What the anchor remembers must be on the disk. Where each commit is synced it is; elsewhere the log is synced first, by
//! a descriptor of its own: closing that one takes no lock from SQLite, whose locks are on the database. Whether the mark
//! still holds is looked at after that. A failed sync closes the connection, like that of a commit.

use crate::crypto::keys::LedgerKeys;
use crate::store::anchor::{Anchor, Mark};
use crate::store::identity::{Moved, displaced};
use crate::store::writer::Writer;
use crate::store::{Durability, StoreError, file};
use crate::types::id::Id;
use crate::types::mutex::Mutex;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The anchor is written at least every so many rows.
pub(super) const ROWS_PER_ANCHOR: u64 = 256;
/// After so many rows it is written ahead: each time costs two syncs, and what is left of the rows is time for them also on
/// a busy processor.
pub(super) const ROWS_AHEAD: u64 = ROWS_PER_ANCHOR / 2;

/// The anchor, for the writer and whoever writes it ahead. Who holds both locks took `file` first.
#[derive(Debug)]
pub(super) struct Anchoring {
    /// Held while the disk takes a slot.
    file: Mutex<Anchor>,
    /// Held for a moment: a commit that needs no anchor does not wait for one that is being written.
    known: Mutex<Known>,
}

/// What is known of the anchor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// What it remembers.
    pub(super) mark: Mark,
    /// Whether it could not be written the last time: nothing else is, until it can be.
    pub(super) has_failed: bool,
    /// Counts keys, connections and anchor files. A mark of an older one is not written ahead.
    era: u64,
}

impl Anchoring {
    pub(super) fn new(anchor: Anchor, mark: Mark) -> Arc<Anchoring> {
        let known = Known { mark, has_failed: false, era: 0 };
        Arc::new(Anchoring { file: Mutex::new(anchor), known: Mutex::new(known) })
    }

    pub(super) fn known(&self) -> Known {
        *self.known.lock()
    }

    /// Whether the file that is open is not the one with this name any more.
    pub(super) fn has_lost_its_name(&self, path: &Path) -> bool {
        self.file.lock().has_lost_its_name(path)
    }

    /// Changes what the anchor is, and ends the era: what was marked before is not written ahead any more.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Anchor, Mark) -> T) -> T {
        let mut file = self.file.lock();
        let mark = {
            let mut known = self.known.lock();
            known.era += 1;
            known.mark
        };
        change(&mut file, mark)
    }

    /// Goes on with another anchor, which must be written before any row.
    ///
    /// # Errors
    /// Whatever kept it from being made; the old one stays, and must be written.
    pub(super) fn replace(&self, make: impl FnOnce(Mark) -> Result<Anchor, StoreError>) -> Result<(), StoreError> {
        self.known.lock().has_failed = true;
        self.change(|anchor, mark| make(mark).map(|made| *anchor = made))
    }

    fn write(&self, keys: &LedgerKeys, vault_id: &Id, mark: Mark) -> io::Result<()> {
        self.write_into(&mut self.file.lock(), keys, vault_id, mark)
    }

    /// Writes it unless it remembers as much by now, or the era is over. Says whether it did.
    fn write_ahead(&self, era: u64, keys: &LedgerKeys, vault_id: &Id, mark: Mark) -> io::Result<bool> {
        let mut file = self.file.lock();
        let known = self.known();
        let is_newer = (mark.state_version, mark.audit.seq) > (known.mark.state_version, known.mark.audit.seq);
        match is_newer && known.era == era && !known.has_failed {
            true => self.write_into(&mut file, keys, vault_id, mark).map(|()| true),
            false => Ok(false),
        }
    }

    fn write_into(&self, file: &mut Anchor, keys: &LedgerKeys, vault_id: &Id, mark: Mark) -> io::Result<()> {
        // EXPOSE: to the anchor's MAC.
        let written = file.write(keys.anchor.expose(), vault_id, mark);
        let mut known = self.known.lock();
        known.has_failed = written.is_err();
        if written.is_ok() {
            known.mark = mark;
        }
        written
    }
}

/// What the anchor may remember as soon as it is on the disk.
pub(crate) enum Marked {
    /// It is.
    Synced(Ready),
    /// It is in the log, and the log is not synced.
    Unsynced(Unsynced),
}

/// A mark that is not synced.
pub(crate) struct Unsynced {
    ready: Ready,
    log: Arc<File>,
    generation: u64,
}

/// What came of syncing it.
pub(crate) struct Tried {
    ready: Ready,
    generation: u64,
    outcome: io::Result<()>,
}

impl Unsynced {
    /// Syncs the log; others write meanwhile.
    pub(crate) fn sync(self) -> Tried {
        Tried { outcome: self.log.sync_data(), ready: self.ready, generation: self.generation }
    }
}

/// A mark that is on the disk, and that the anchor may remember.
pub(crate) struct Ready {
    anchoring: Arc<Anchoring>,
    era: u64,
    keys: Arc<LedgerKeys>,
    vault_id: Id,
    mark: Mark,
}

impl Ready {
    /// Has the anchor remember it, unless it remembers more by now or the keys or files are others. Says whether it did.
    ///
    /// # Errors
    /// The file system's refusal: nothing is written until the anchor can be.
    pub(crate) fn write(self) -> Result<bool, StoreError> {
        let written = self.anchoring.write_ahead(self.era, &self.keys, &self.vault_id, self.mark);
        written.map_err(file::failed("the anchor could not be written"))
    }
}

impl Writer {
    fn mark(&self) -> Mark {
        Mark { state_version: self.state.state_version, audit: self.tail.link }
    }

    /// Whether so many more rows make an anchor due with them.
    pub(super) fn needs_anchor(&self, rows: u64) -> bool {
        self.tail.link.seq + rows >= self.anchoring.known().mark.audit.seq + ROWS_PER_ANCHOR
    }

    /// Whether the anchor is sound, and recent enough that more rows may be written before it is.
    pub(super) fn anchor_is_near(&self) -> bool {
        let Known { mark, has_failed, .. } = self.anchoring.known();
        !has_failed
            && mark.state_version == self.state.state_version
            && self.tail.link.seq < mark.audit.seq + 2 * ROWS_PER_ANCHOR
    }

    pub(super) fn try_anchor(&mut self) {
        if let Err(error) = self.write_anchor() {
            tracing::error!(%error, "the anchor could not be written; nothing more is signed until it can");
        }
    }

    /// Has the anchor remember what stands now, all of which is synced.
    pub(super) fn write_anchor(&mut self) -> Result<(), StoreError> {
        let (mark, known) = (self.mark(), self.anchoring.known());
        if mark == known.mark && !known.has_failed {
            return Ok(());
        }
        let written = self.anchoring.write(&self.keys, &self.vault_id, mark);
        written.map_err(file::failed("the anchor could not be written"))
    }

    /// What stands now, to be anchored while others write; none when the anchor remembers it.
    ///
    /// # Errors
    /// The disk's refusal.
    pub(crate) fn mark_ahead(&mut self) -> Result<Option<Marked>, StoreError> {
        self.recover()?;
        let (mark, Known { mark: anchored, era, .. }) = (self.mark(), self.anchoring.known());
        if mark == anchored {
            return Ok(None);
        }
        let (anchoring, keys) = (Arc::clone(&self.anchoring), Arc::clone(&self.keys));
        let ready = Ready { anchoring, era, keys, vault_id: self.vault_id, mark };
        Ok(Some(match self.durability {
            Durability::Full => Marked::Synced(ready),
            Durability::Process => Marked::Unsynced(Unsynced { ready, log: self.log()?, generation: self.generation }),
        }))
    }

    /// Whether a mark may be anchored after the log was synced: not when the connection, the keys or the files are others
    /// by now, or one of them is not sound.
    ///
    /// # Errors
    /// The sync failed, and nobody can tell what of the log is on the disk: the connection is closed.
    pub(crate) fn after_sync(&mut self, tried: Tried) -> Result<Option<Ready>, StoreError> {
        let Tried { ready, generation, outcome } = tried;
        let is_same = self.generation == generation;
        if is_same && outcome.is_err() {
            self.connection = None;
        }
        outcome.map_err(file::failed("the write-ahead log could not be synced"))?;
        let holds = is_same && self.is_sound() && self.anchoring.known().era == ready.era;
        Ok((holds && self.files.moved(&self.paths)?.is_none()).then_some(ready))
    }

    /// A descriptor of the log that SQLite has open, for as long as the connection. It is opened before anything of it
    /// failed, so a sync of it tells of every failure since.
    pub(super) fn log(&mut self) -> Result<Arc<File>, StoreError> {
        if let Some(log) = &self.log {
            return Ok(Arc::clone(log));
        }
        let path = self.paths.log();
        let cannot = || file::failed(format!("cannot open {}", path.display()));
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let log = File::from(rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| cannot()(errno.into()))?);
        let about = log.metadata().map_err(cannot())?;
        match self.files.moved(&self.paths)? {
            None if self.files.has_log(&about) => (),
            moved => return Err(displaced(moved.unwrap_or(Moved::Log))),
        }
        // Its name may be as new as it is.
        file::sync_parent(&path).map_err(cannot())?;
        Ok(Arc::clone(self.log.insert(Arc::new(log))))
    }
}

#[cfg(test)]
impl Unsynced {
    /// The same, but the sync fails: of a pipe there is none.
    pub(crate) fn unsyncable(self) -> Unsynced {
        let (pipe, _) = io::pipe().unwrap();
        Unsynced { log: Arc::new(File::from(std::os::fd::OwnedFd::from(pipe))), ..self }
    }
}

#[cfg(test)]
impl Anchoring {
    /// Exchanges the anchor, and what it is taken to remember.
    pub(super) fn pretend(&self, anchor: Option<Anchor>, mark: Mark) {
        if let Some(anchor) = anchor {
            *self.file.lock() = anchor;
        }
        self.known.lock().mark = mark;
    }
}

#[cfg(feature = "bench-variants")]
impl Writer {
    /// Takes the anchor for up to date.
    pub(super) fn pretend_anchored(&self) {
        self.anchoring.known.lock().mark = self.mark();
    }
}

#[cfg(test)]
impl Writer {
    /// Exchanges the anchor for one that can't be written.
    pub(crate) fn refuse_anchor(&mut self) -> Result<(), StoreError> {
        let mark = self.anchoring.known().mark;
        self.anchoring.pretend(Some(Anchor::read_only(&self.paths.anchor())), mark);
        Ok(())
    }

    /// Takes the anchor as it is on the disk.
    pub(crate) fn mend_anchor(&mut self) -> Result<(), StoreError> {
        // The lock on the file goes with the one that is open.
        self.refuse_anchor()?;
        // EXPOSE: to the anchor's MAC.
        let (anchor, mark) = Anchor::open(&self.paths.anchor(), self.keys.anchor.expose(), &self.vault_id)?;
        self.anchoring.pretend(Some(anchor), mark);
        Ok(())
    }
}
