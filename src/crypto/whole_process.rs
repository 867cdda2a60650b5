//! Tests about a whole process: what is left in its memory, and what happens when it may have no more of it.
//!
//! Each runs this test binary again for one test alone, so that no other test's memory or limits are in the way.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::crypto::held::Held;
use crate::crypto::kdf::{self, Argon2Params, KdfError};
use crate::crypto::keys::tests::every_subkey;
use crate::crypto::keys::{self, LedgerKeys, RecordKeys, VaultKey};
use crate::crypto::mac;
use crate::crypto::record::{self, RecordIdentity};
use crate::crypto::slot::{Slot, SlotHeader, SlotMethod};
use crate::secret::{Arena, Protection, scrub_stack};
use crate::types::id::Id;

/// Runs one ignored test of this module in a process of its own.
fn run_alone(test: &str) {
    let test = format!("crypto::whole_process::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn too_little_memory_for_a_password_hash_is_an_error_and_not_an_abort() {
    run_alone("hash_with_too_little_memory");
}

#[test]
#[ignore = "limits the memory of its process"]
fn hash_with_too_little_memory() {
    let limit = |bytes| setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: None }).unwrap();
    limit(300 << 20);
    let params = Argon2Params::parse(1 << 20, 3, 1).unwrap();
    assert_eq!(kdf::derive_kek(b"password", &[0; 32], &[0; 32], &params).unwrap_err(), KdfError::OutOfMemory);
}

#[test]
fn no_key_and_no_plaintext_stays_outside_the_arena() {
    run_alone("look_for_keys_in_memory");
}

/// A key in a form that is not itself found by a search for it.
struct Masked([u8; 32]);

impl Masked {
    fn new(key: &[u8; 32]) -> Masked {
        Masked(std::array::from_fn(|at| !key[at]))
    }

    /// How many halves of the key stand here. Ciphers keep the halves of an AES key in separate registers, and an
    /// allocator's own lists overwrite the first half of a freed block.
    fn halves_in(&self, bytes: &[u8]) -> usize {
        let begins = [!self.0[0], !self.0[16]];
        let candidates = (0..bytes.len().saturating_sub(15)).filter(|at| begins.contains(&bytes[*at]));
        let is_half = |at: usize, half: &[u8]| (0..16).all(|offset| bytes[at + offset] == !half[offset]);
        candidates.map(|at| self.0.chunks(16).filter(|half| is_half(at, half)).count()).sum()
    }
}

/// How many halves of a key stand in the writable memory of this process, as far as the kernel shows it.
fn halves_in_memory(secret: &Masked) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut halves = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, rest) = line.split_once('-').unwrap();
        let end = rest.split_once(' ').unwrap().0;
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.seek(SeekFrom::Start(start)).unwrap();
        if memory.read_exact(&mut bytes).is_ok() {
            halves += secret.halves_in(&bytes);
        }
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
    halves
}

const KEY_FILE: [u8; 32] = [3; 32];

fn slot_header() -> SlotHeader {
    SlotHeader { vault_id: Id([1; 16]), method: SlotMethod::KeyFile, salt: [2; 32], slot_id: 1, created_s: 0 }
}

/// The AES key that the slot wraps the vault key under. An AES key stands at the front of its round keys.
///
/// Not inlined, so that scrubbing the stack below the caller takes what this function leaves there.
#[inline(never)]
fn wrapping_key() -> Masked {
    let SlotHeader { vault_id, salt, .. } = slot_header();
    let header = slot_header().to_bytes();
    let kek = kdf::hkdf_sha256::<64>(&KEY_FILE, &salt, &mac::enc(&[b"signvault/1/slot", &header]));
    let info = mac::enc(&[b"signvault/1/wrap", &header]);
    Masked::new(&kdf::hkdf_sha256(kek.as_ref(), vault_id.as_bytes(), &info))
}

/// Holds a secret and opens it again as a signature does.
///
/// Not inlined, for the same reason.
#[inline(never)]
fn hold_and_open(records: &RecordKeys) {
    let held = Held::seal(records, b"name", records.backup.expose());
    assert_eq!(held.open(records, b"name").unwrap()[..], records.backup.expose()[..]);
}

/// Wraps and unwraps a new vault key as `init` and `unlock` do, seals and opens a record, and holds a secret.
fn unlock_and_use(arena: &Arc<Arena>) -> (LedgerKeys, RecordKeys) {
    let vault_id = slot_header().vault_id;
    let slot = Slot::wrap(slot_header(), &KEY_FILE, VaultKey::generate().unwrap().expose()).unwrap();
    let (ledger, records) = keys::derive(arena, vault_id, slot.unwrap_key(&KEY_FILE).unwrap(), 1).unwrap();
    let identity = RecordIdentity { vault_id, table: "credential", id: Id([4; 16]), version: 1, epoch: 1, kind: 1 };
    let sealed = record::seal(&records, &identity, records.backup.expose()).unwrap();
    assert_eq!(record::open(&records, &identity, &sealed).unwrap().expose(), records.backup.expose());
    hold_and_open(&records);
    scrub_stack();
    (ledger, records)
}

#[test]
#[ignore = "reads all the memory of its process"]
fn look_for_keys_in_memory() {
    let arena = Arena::new().unwrap();
    // A record holds the backup key, so that looking for it also looks for plaintext that was left behind. The work is
    // done on a thread that then stands still, or the search itself would overwrite what is left on the stack.
    let (done, finished) = mpsc::channel();
    let (_go_on, wait) = mpsc::channel::<()>();
    let worked_in = Arc::clone(&arena);
    thread::spawn(move || {
        done.send(unlock_and_use(&worked_in)).unwrap();
        wait.recv()
    });
    let (ledger, records) = finished.recv().unwrap();
    let shown_by_the_arena = if arena.protection() == Protection::Secret { 0 } else { 2 };
    let mut secrets = vec![("vault", Masked::new(records.copy_vault_key().expose()))];
    secrets.extend(every_subkey(&ledger, &records).map(|(name, kept)| (name, Masked::new(kept.expose()))));
    for (name, secret) in &secrets {
        assert_eq!(halves_in_memory(secret), shown_by_the_arena, "copies of the {name} key while unlocked");
    }
    let wrapping_key = wrapping_key();
    scrub_stack();
    assert_eq!(halves_in_memory(&wrapping_key), 0, "copies of the key that wraps the vault key");
    // The same search finds a key that is there, so finding none above means something.
    let copy = Box::new(*records.copy_vault_key().expose());
    assert!(halves_in_memory(&secrets[0].1) > 0);
    std::hint::black_box(&copy);
}
