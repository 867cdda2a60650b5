//! A disk as a power cut leaves it. What was synced is there. Of what was not, anything may be: all of it, nothing, the
//! first half of the last write, or any sector and not its neighbour, in any order. A name that was made, changed or
//! removed is there for certain only once its directory was synced.

use crate::random::Random;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files by their names.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A change of a file's content.
#[derive(Clone, Debug)]
pub enum Change {
    /// These bytes at this place.
    Write(u64, Vec<u8>),
    /// A new length.
    Truncate(u64),
}

/// A change of a directory.
#[derive(Clone, Debug)]
enum Naming {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it is lost.
    All,
    /// None of it is.
    None,
    /// The last changes are, and the one before them is cut short.
    Tail,
    /// Any piece of this many bytes is or is not.
    Pieces(u64),
}

impl Loss {
    /// Each kind, in turn.
    pub const KINDS: [Loss; 5] = [Loss::All, Loss::Pieces(512), Loss::Tail, Loss::Pieces(4096), Loss::None];
}

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

/// The disk, and what was not synced to it.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// As a running program sees it.
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    pending_names: BTreeMap<PathBuf, Vec<Naming>>,
}

impl Disk {
    /// A disk on which everything is synced.
    pub fn with(files: Files) -> Disk {
        let names: BTreeMap<PathBuf, usize> = files.keys().cloned().zip(0..).collect();
        let files = files.into_values().map(|synced| File { synced, pending: Vec::new() }).collect();
        Disk { files, names: names.clone(), synced_names: names, pending_names: BTreeMap::new() }
    }

    /// A file of this name is opened and made if need be.
    pub fn make(&mut self, name: &Path) {
        if !self.names.contains_key(name) {
            let id = self.files.len();
            self.files.push(File::default());
            self.name(name, Naming::Link(name.to_owned(), id));
        }
    }

    /// A file's content changes.
    pub fn change(&mut self, name: &Path, change: Change) {
        let id = *self.names.get(name).unwrap_or_else(|| panic!("{} is not known", name.display()));
        self.files[id].pending.push(change);
    }

    /// Bytes are added at the end.
    pub fn append(&mut self, name: &Path, bytes: Vec<u8>) {
        let file = &self.files[self.names[name]];
        let mut content = file.synced.clone();
        file.pending.iter().for_each(|change| apply(&mut content, change));
        self.change(name, Change::Write(content.len() as u64, bytes));
    }

    /// A file gets another name.
    pub fn rename(&mut self, from: &Path, to: &Path) {
        self.name(from, Naming::Rename(from.to_owned(), to.to_owned()));
    }

    /// A name goes.
    pub fn unlink(&mut self, name: &Path) {
        self.name(name, Naming::Unlink(name.to_owned()));
    }

    /// A file or a directory is synced.
    pub fn sync(&mut self, name: &Path) {
        match self.names.get(name) {
            Some(id) => {
                let File { synced, pending } = &mut self.files[*id];
                std::mem::take(pending).iter().for_each(|change| apply(synced, change));
            }
            None => {
                for naming in self.pending_names.remove(name).unwrap_or_default() {
                    rename(&mut self.synced_names, &naming);
                }
            }
        }
    }

    fn name(&mut self, at: &Path, naming: Naming) {
        rename(&mut self.names, &naming);
        let directory = at.parent().expect("in a directory").to_owned();
        self.pending_names.entry(directory).or_default().push(naming);
    }

    /// What is found after a power cut at this moment.
    pub fn after_a_cut(&self, loss: Loss, random: &mut Random) -> Files {
        let mut names = self.synced_names.clone();
        for pending in self.pending_names.values() {
            // A file system keeps the order of a directory's changes; how many of them reached the disk is open.
            let reached = match loss {
                Loss::All => 0,
                Loss::None => pending.len(),
                Loss::Tail | Loss::Pieces(_) => random.between(0, pending.len() as u64) as usize,
            };
            pending[..reached].iter().for_each(|naming| rename(&mut names, naming));
        }
        names.into_iter().map(|(name, id)| (name, self.files[id].after_a_cut(loss, random))).collect()
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, naming: &Naming) {
    match naming {
        Naming::Link(name, id) => drop(names.insert(name.clone(), *id)),
        Naming::Unlink(name) => drop(names.remove(name)),
        Naming::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(length) => content.resize(*length as usize, 0),
        Change::Write(at, bytes) => {
            let (start, end) = (*at as usize, *at as usize + bytes.len());
            content.resize(content.len().max(end), 0);
            content[start..end].copy_from_slice(bytes);
        }
    }
}

impl File {
    fn after_a_cut(&self, loss: Loss, random: &mut Random) -> Vec<u8> {
        let mut content = self.synced.clone();
        match loss {
            Loss::All => (),
            Loss::None => self.pending.iter().for_each(|change| apply(&mut content, change)),
            Loss::Tail => {
                let whole = random.between(0, self.pending.len() as u64) as usize;
                self.pending[..whole].iter().for_each(|change| apply(&mut content, change));
                if let Some(Change::Write(at, bytes)) = self.pending.get(whole) {
                    let sectors = random.between(0, bytes.len() as u64 / 512) as usize;
                    apply(&mut content, &Change::Write(*at, bytes[..sectors * 512].to_vec()));
                }
            }
            Loss::Pieces(size) => {
                for piece in self.pending.iter().flat_map(|change| pieces(change, size)) {
                    if random.coin() {
                        apply(&mut content, &piece);
                    }
                }
            }
        }
        content
    }
}

/// A write cut at the disk's own boundaries.
fn pieces(change: &Change, size: u64) -> Vec<Change> {
    let Change::Write(at, bytes) = change else { return vec![change.clone()] };
    let (mut found, mut start, end) = (Vec::new(), *at, at + bytes.len() as u64);
    while start < end {
        let stop = end.min((start / size + 1) * size);
        found.push(Change::Write(start, bytes[(start - at) as usize..(stop - at) as usize].to_vec()));
        start = stop;
    }
    found
}
