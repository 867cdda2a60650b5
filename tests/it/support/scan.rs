//! Looking for pieces of secrets in files and in the memory of processes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// As long a piece of a secret as must not be found: shorter ones could stand anywhere by chance.
const WINDOW: usize = 16;

/// The state that SHA-256 begins with (FIPS 180-4, 5.3.3).
const INITIAL_STATE: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Looks for pieces of secrets in any of the forms that programs write them in.
pub struct Scanner {
    pieces: HashSet<Vec<u8>>,
    /// Whether any piece begins with these two bytes: most places are passed over by that alone.
    beginnings: Vec<bool>,
}

impl Scanner {
    /// For secrets that are text.
    pub fn new(secrets: &[&str]) -> Scanner {
        Scanner::of(secrets.iter().flat_map(|secret| forms(secret.as_bytes())))
    }

    /// For keys: bytes that programs write as they are, in hexadecimal, in base64, or as HMAC takes them in.
    pub fn for_keys<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Scanner {
        let forms = |key: &[u8]| [vec![key.to_vec()], hexadecimal(key), base64(key), taken_in(key)].concat();
        Scanner::of(keys.into_iter().flat_map(forms))
    }

    fn of(forms: impl Iterator<Item = Vec<u8>>) -> Scanner {
        let pieces = forms.flat_map(|form| form.windows(WINDOW).map(<[u8]>::to_vec).collect::<Vec<_>>());
        let pieces: HashSet<Vec<u8>> = pieces.collect();
        let mut beginnings = vec![false; 1 << 16];
        pieces.iter().for_each(|piece| beginnings[Scanner::beginning(piece)] = true);
        Scanner { pieces, beginnings }
    }

    fn beginning(piece: &[u8]) -> usize {
        usize::from(piece[0]) << 8 | usize::from(piece[1])
    }

    /// Whether a piece of any of them stands there.
    pub fn finds(&self, haystack: &[u8]) -> bool {
        let mut windows = haystack.windows(WINDOW);
        windows.any(|window| self.beginnings[Scanner::beginning(window)] && self.pieces.contains(window))
    }
}

/// A secret as it is, as JSON writes it, in hexadecimal, in base64 at every alignment, and in UTF-16.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(secret);
    let json = json!(text).to_string();
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let plain = vec![secret.to_vec(), json.as_bytes()[1..json.len() - 1].to_vec(), utf16];
    [plain, hexadecimal(secret), base64(secret), taken_in(secret)].concat()
}

/// What HMAC-SHA-256 (RFC 2104) makes of a key of at most a block: the key under each mask, and the hash's states after
/// those blocks, which are as good as the key to whoever wants to make a MAC.
fn taken_in(key: &[u8]) -> Vec<Vec<u8>> {
    if key.len() > 64 {
        return Vec::new();
    }
    let both = [0x36, 0x5c].map(|mask| {
        let mut block = [mask; 64];
        block.iter_mut().zip(key).for_each(|(byte, of_key)| *byte ^= of_key);
        let mut state = INITIAL_STATE;
        sha2::block_api::compress256(&mut state, &[block]);
        [block[..key.len()].to_vec(), state.iter().flat_map(|word| word.to_ne_bytes()).collect()]
    });
    both.concat()
}

fn hexadecimal(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![hex.to_uppercase().into_bytes(), hex.into_bytes()]
}

fn base64(secret: &[u8]) -> Vec<Vec<u8>> {
    let at = |shift: usize| {
        // The first characters depend on what stands before the secret, the last on what stands after it.
        let encoded = BASE64_STANDARD.encode([&vec![0; shift], secret].concat());
        let whole = encoded.len() - 4;
        encoded.as_bytes()[if shift == 0 { 0 } else { 4 }..whole].to_vec()
    };
    (0..3).map(at).collect()
}

/// Every file below a directory, as bytes.
pub fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).expect("readable"))).collect()
}

/// All memory that a process may write to, as far as it can be read; `None` when it may not be read at all.
pub fn memory(pid: u32) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut mem = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let mut piece = vec![0; (end - start) as usize];
        // Pages of memfd_secret can't be read by anyone: that is their point.
        if mem.seek(SeekFrom::Start(start)).is_ok() && mem.read_exact(&mut piece).is_ok() {
            all.extend(piece);
        }
    }
    Some(all)
}
