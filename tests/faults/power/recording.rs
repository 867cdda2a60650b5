//! What a daemon did to its files, as strace wrote it down.

use crate::power::disk::{Change, Disk};
use crate::vaults::RESERVE;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options of strace for a recording: whole contents in hexadecimal, the names of descriptors, microseconds.
pub const OPTIONS: [&str; 7] = ["-xx", "-y", "-ttt", "-s", "1048576", "-e", CALLS];
const CALLS: &str = "trace=pwrite64,write,?pwritev,fsync,fdatasync,?rename,renameat,renameat2,?unlink,unlinkat,ftruncate,fallocate,openat,?open";

/// A call that succeeded.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it began: microseconds since 1970.
    pub began_us: u64,
    name: String,
    arguments: Vec<String>,
}

/// Every call that succeeded, in the order in which they ended.
pub fn read(log: &str) -> Vec<Call> {
    let mut begun: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let mut words = line.splitn(3, ' ').map(str::trim_start);
        let (Some(thread), Some(time), Some(rest)) = (words.next(), words.next(), words.next()) else { continue };
        // The thread's number is padded, so there may be nothing between two spaces.
        let (time, rest) = if time.is_empty() { rest.split_once(' ').unwrap_or(("", "")) } else { (time, rest) };
        let Ok(time_us) = time.replace('.', "").parse::<u64>() else { continue };
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (time_us, start.to_owned()));
            continue;
        }
        let (began_us, text) = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                let (began_us, start) = begun.remove(thread).expect("it began");
                (began_us, start + end)
            }
            None => (time_us, rest.to_owned()),
        };
        calls.extend(parse(began_us, &text));
    }
    calls
}

/// `name(argument, argument) = result`; nothing for a call that failed.
fn parse(began_us: u64, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if name.contains([' ', '+', '-']) || result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let arguments = arguments.trim_end().strip_suffix(')')?;
    Some(Call { began_us, name: name.to_owned(), arguments: arguments.split(", ").map(str::to_owned).collect() })
}

impl Call {
    /// Does it to a disk.
    pub fn replay(&self, disk: &mut Disk) {
        let number = |index: usize| self.arguments[index].parse::<u64>().expect("a number");
        match self.name.as_str() {
            "pwrite64" => disk.change(&self.descriptor(), Change::Write(number(3), self.bytes(1))),
            "write" => disk.append(&self.descriptor(), self.bytes(1)),
            "ftruncate" => disk.change(&self.descriptor(), Change::Truncate(number(1))),
            "fsync" | "fdatasync" => disk.sync(&self.descriptor()),
            "unlink" => disk.unlink(&self.path(0)),
            "rename" => disk.rename(&self.path(0), &self.path(1)),
            "open" if self.arguments[1].contains("O_CREAT") => disk.make(&self.path(0)),
            "openat" if self.arguments[2].contains("O_CREAT") => disk.make(&self.path(1)),
            "open" | "openat" => (),
            other => panic!("a replay does not know {other}"),
        }
    }

    /// Whether it reads or changes a file in this directory, or the directory itself; a file without content does not count.
    pub fn is_about_a_file_in(&self, directory: &Path) -> bool {
        let name = match self.name.as_str() {
            "unlink" | "rename" | "open" => self.path(0),
            "openat" | "renameat" | "renameat2" | "unlinkat" => self.path(1),
            _ => self.descriptor(),
        };
        name.starts_with(directory) && !name.ends_with(RESERVE)
    }

    /// `7<\x2f\x74>`: the name of the first argument's descriptor; nothing where it has none.
    fn descriptor(&self) -> PathBuf {
        let name = self.arguments[0].split_once('<').and_then(|(_, name)| name.strip_suffix('>'));
        name.map_or(PathBuf::new(), |name| as_path(&unescaped(name)))
    }

    fn path(&self, index: usize) -> PathBuf {
        as_path(&self.bytes(index))
    }

    /// `"\x2f\x74"`.
    fn bytes(&self, index: usize) -> Vec<u8> {
        unescaped(self.arguments[index].strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("whole"))
    }
}

fn as_path(bytes: &[u8]) -> PathBuf {
    Path::new(std::str::from_utf8(bytes).expect("UTF-8")).to_owned()
}

fn unescaped(text: &str) -> Vec<u8> {
    let pairs = text.split("\\x").skip(1);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}
