//! A ledger over a database in a temporary directory, whose files can be looked at as a crash would leave them.

use crate::audit::chain::Link;
use crate::crypto::keys::{self, LedgerKeys};
use crate::crypto::slot::{Slot, SlotHeader, SlotMethod};
use crate::secret::Arena;
use crate::store::anchor::{Anchor, Mark};
use crate::store::file::{self, Paths};
use crate::store::ledger::Ledger;
use crate::store::opening::{Database, Depth};
use crate::store::record::read_slots;
use crate::store::writer::{Rollback, Writer};
use crate::store::{Durability, connection, first};
use crate::types::clock::UnixMs;
use crate::types::id::Id;
use std::collections::BTreeMap;
use std::path::Path;

const VAULT: Id = Id([9; 16]);
/// What the first row of every database says.
pub const FIRST: &str = "first";

/// A ledger and its files.
pub struct Bed {
    dir: tempfile::TempDir,
    /// The ledger.
    pub ledger: Ledger,
}

/// All that a database and its anchor say once they have been verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// How often it has changed.
    pub state_version: u64,
    /// The ledger's rows, from the first.
    pub rows: Vec<String>,
    /// The versions of records by table and the first byte of the id.
    pub records: BTreeMap<(&'static str, u8), u64>,
    /// What marks a slot, by its number.
    pub slots: BTreeMap<u32, u64>,
    /// What the anchor remembers: a state version and a row.
    pub anchored: (u64, u64),
}

impl Bed {
    /// A new database.
    pub fn new() -> Bed {
        let dir = directory();
        let paths = paths_in(dir.path());
        let keys = keys();
        let tail = Link::START.next(keys.audit.expose(), &VAULT, FIRST);
        first::build(
            &paths.database(),
            &keys,
            VAULT,
            &first::Content { slots: &[], records: &[] },
            FIRST,
            tail,
            UnixMs(0),
        )
        .unwrap();
        let mark = Mark { state_version: 1, audit: tail };
        Anchor::create(&paths.anchor(), keys.anchor.expose(), &VAULT, mark).unwrap();
        Bed::over(dir)
    }

    fn over(dir: tempfile::TempDir) -> Bed {
        let ledger = Ledger::new(open(&paths_in(dir.path())));
        Bed { dir, ledger }
    }

    /// The process ends here, and another opens what it left.
    pub fn crashed(self) -> Bed {
        Bed::over(self.image())
    }

    /// The ledger is closed, and opened again.
    pub fn closed_and_opened(self) -> Bed {
        self.ledger.close().unwrap();
        drop(self.ledger);
        Bed::over(self.dir)
    }

    /// What a process would find that opened the files as they are at this moment.
    pub fn content(&self) -> Content {
        let image = self.image();
        let paths = paths_in(image.path());
        let (_, mark) = Anchor::open(&paths.anchor(), keys().anchor.expose(), &VAULT).unwrap();
        let slots = read_slots(&connection::open_for_slots(&paths.database()).unwrap()).unwrap();
        let slots = slots.iter().map(|(header, ..)| SlotHeader::parse(header).unwrap());
        let sealed = Database::open(&paths).unwrap().read(keys(), VAULT).unwrap();
        let records = sealed.records().iter().map(|(table, row)| ((table.name(), row.id.0[0]), row.version)).collect();
        let state_version = sealed.state().state_version;
        let mut rows = Vec::new();
        let opened = sealed
            .verify(Durability::Full, Rollback::Refuse, Depth::Whole, &mut |_, body| rows.push(body.to_owned()))
            .unwrap();
        assert_eq!(opened.writer.tail().seq, rows.len() as u64);
        Content {
            state_version,
            rows,
            records,
            slots: slots.map(|header| (header.slot_id, header.created_s)).collect(),
            anchored: (mark.state_version, mark.audit.seq),
        }
    }

    fn image(&self) -> tempfile::TempDir {
        let dir = directory();
        let (from, to) = (paths_in(self.dir.path()), paths_in(dir.path()));
        for (from, to) in [(from.state_dir, to.state_dir), (from.anchor_dir, to.anchor_dir)] {
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        dir
    }
}

/// A slot with a number and a mark; what it wraps is of no interest here.
pub fn slot(slot_id: u32, mark: u64) -> Slot {
    let header = SlotHeader { vault_id: VAULT, method: SlotMethod::KeyFile, salt: [1; 32], slot_id, created_s: mark };
    Slot::wrap(header, &[2; 32], &[3; 32]).unwrap()
}

fn open(paths: &Paths) -> Writer {
    let sealed = Database::open(paths).unwrap().read(keys(), VAULT).unwrap();
    sealed.verify(Durability::Full, Rollback::Refuse, Depth::Whole, &mut |_, _| ()).unwrap().writer
}

/// The same keys every time.
fn keys() -> LedgerKeys {
    let vault_key = slot(1, 0).unwrap_key(&[2; 32]).unwrap();
    keys::derive(&Arena::new().unwrap(), VAULT, vault_key, 1).unwrap().0
}

/// A directory in memory where the system has one: every step looks at all files.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let paths = paths_in(dir.path());
    file::private_dir(&paths.state_dir).unwrap();
    file::private_dir(&paths.anchor_dir).unwrap();
    dir
}

fn paths_in(dir: &Path) -> Paths {
    Paths { state_dir: dir.join("state"), anchor_dir: dir.join("anchor") }
}
