//! Memory for secrets: where keys live, how secrets are read in, and how memory is wiped on the way out.
//!
//! - [`Arena`] holds the long-lived keys in pages that neither `/proc/PID/mem`, a core dump nor swap can show.
//! - [`SecretBytes`] and [`SecretText`] hold everything short-lived on the heap and wipe it when dropped.
//! - [`ZeroizingAllocator`] wipes what other code leaves behind: parsers and formatters make copies that nobody owns.
//! - [`read`] takes secrets from a descriptor without a buffer that outlives the call.
//! - [`scrub_stack`] overwrites what ciphers left on the stack.
//!
//! Deliberately absent: `Clone`, `PartialEq`, `Display` and `Serialize` on anything that holds a secret. Each look at
//! one goes through `expose`, and each caller says why in an `EXPOSE:` comment. Memory that C code takes (SQLite) does
//! not pass through the allocator here, which is why no plaintext secret is ever bound to a statement.

#![allow(unsafe_code, reason = "protected pages, the allocator and the stack have no safe interface")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap};
use serde::{Deserialize, Deserializer, Serializer};
use zeroize::{Zeroize, Zeroizing};

pub mod heap;
pub mod read;

/// Size of an [`Arena`] in bytes: a whole number of pages, and the bound that the vault promises.
pub const ARENA_BYTES: usize = 32 * 1024;

/// Size of one cell of an [`Arena`] in bytes: one key.
pub const CELL_BYTES: usize = 32;

/// Bytes of stack that [`scrub_stack`] overwrites. AES-GCM and HMAC contexts reach a few KiB deep in optimised builds
/// and some tens of KiB in others. More would push what the next request needs out of the processor's nearest cache.
const SCRUBBED_STACK_BYTES: usize = if cfg!(debug_assertions) { 64 * 1024 } else { 16 * 1024 };

/// Why the arena cannot keep a key.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The kernel gave no memory at all.
    #[error("cannot map protected memory")]
    Map(#[source] io::Error),
    /// All [`ARENA_BYTES`] are in use.
    #[error("protected memory is full")]
    Full,
}

/// How well the kernel protects an [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// `memfd_secret(2)`: out of the kernel's own map, so not in `/proc/PID/mem`, gcore, kernel cores or swap.
    Secret,
    /// `mlock(2)`, `MADV_DONTDUMP` and `MADV_WIPEONFORK`: not in swap or this process's core dumps.
    Locked,
    /// The kernel refused at least one of the protections of [`Protection::Locked`].
    Unlocked,
}

impl Protection {
    /// One word for `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protection::Secret => "secret",
            Protection::Locked => "locked",
            Protection::Unlocked => "unlocked",
        }
    }

    /// What is worse than it should be, in words for `status`; nothing for [`Protection::Secret`].
    pub fn degraded(self) -> Option<&'static str> {
        match self {
            Protection::Secret => None,
            Protection::Locked => {
                Some("memory: no memfd_secret, keys are locked in RAM but root and kernel dumps see them")
            }
            Protection::Unlocked => Some("memory: locking was refused, keys may reach swap or a core dump"),
        }
    }
}

/// One mapping of [`ARENA_BYTES`] that holds every long-lived key in cells of 32 bytes.
///
/// Shared as `Arc<Arena>`: each [`Kept`] holds the arena up until the last cell is wiped.
pub struct Arena {
    /// First byte of the mapping, which is page aligned and [`ARENA_BYTES`] long. Owned: unmapped on drop.
    base: NonNull<u8>,
    /// What the kernel granted when the mapping was made.
    protection: Protection,
    /// Done once the pages are there.
    taken: Once,
    /// Numbers of the cells that nobody holds. A number is either here or in exactly one [`Kept`].
    free: Mutex<Vec<usize>>,
}

// SAFETY: the mapping belongs to the process, not to a thread, and `base` never changes. Bytes are reached only
// through `Kept`, whose cell is its own, and the list of free cells is behind a mutex.
unsafe impl Send for Arena {}
// SAFETY: as above; `&Arena` reads nothing but `protection` and the mutex.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps a new arena with the best protection that the kernel has.
    pub fn new() -> Result<Arc<Arena>, ArenaError> {
        match map_secret() {
            Some(base) => Ok(Arena::over(base, Protection::Secret)),
            None => Arena::new_without_memfd_secret(),
        }
    }

    /// What [`Arena::new`] falls back to where `memfd_secret` is missing, switched off or over its limit.
    fn new_without_memfd_secret() -> Result<Arc<Arena>, ArenaError> {
        let base = map_anonymous().map_err(|error| ArenaError::Map(error.into()))?;
        Ok(Arena::over(base, protect(base)))
    }

    fn over(base: NonNull<u8>, protection: Protection) -> Arc<Arena> {
        let free = Mutex::new((0..ARENA_BYTES / CELL_BYTES).rev().collect());
        Arc::new(Arena { base, protection, taken: Once::new(), free })
    }

    /// How well the kernel protects this arena.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Moves a key into a free cell and wipes the source, also when there is no free cell.
    pub fn keep(self: &Arc<Self>, bytes: &mut [u8; CELL_BYTES]) -> Result<Kept, ArenaError> {
        // All pages with the first key: a page fault later would be the wrong moment to learn that memory is short.
        self.taken.call_once(|| wipe(self.base.as_ptr(), ARENA_BYTES));
        let cell = self.free_cells().pop();
        let kept = cell.map(|cell| {
            // SAFETY: the cell lies inside the mapping, was free, and is ours since it left the list of free cells.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.cell(cell), CELL_BYTES) };
            Kept { arena: Arc::clone(self), cell }
        });
        bytes.zeroize();
        kept.ok_or(ArenaError::Full)
    }

    fn cell(&self, cell: usize) -> *mut u8 {
        // SAFETY: cell numbers are below ARENA_BYTES / CELL_BYTES, so the offset stays inside the mapping.
        unsafe { self.base.as_ptr().add(cell * CELL_BYTES) }
    }

    /// The list stays whole even if a holder of the lock panicked: it is only ever pushed to or popped from.
    fn free_cells(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        wipe(self.base.as_ptr(), ARENA_BYTES);
        // SAFETY: `base` is a mapping of ARENA_BYTES that this arena owns, and no `Kept` is left to point into it.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), ARENA_BYTES) };
        debug_assert!(unmapped.is_ok());
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("protection", &self.protection).finish_non_exhaustive()
    }
}

/// Maps pages that the kernel takes out of its own address space: Linux 5.14, `memfd_secret(2)`.
fn map_secret() -> Option<NonNull<u8>> {
    // SAFETY: a plain system call with one integer; it returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the descriptor is new and nobody else's. The mapping outlives it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::fs::ftruncate(&fd, ARENA_BYTES as u64).ok()?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let base = unsafe { mmap(ptr::null_mut(), ARENA_BYTES, access, MapFlags::SHARED, &fd, 0) }.ok()?;
    // The mapping is shared, so a child would see the keys; without it the child has no such pages at all.
    // SAFETY: the range is exactly the new mapping, and the advice changes nothing in this process.
    unsafe { madvise(base, ARENA_BYTES, Advice::LinuxDontFork) }.ok()?;
    NonNull::new(base.cast())
}

fn map_anonymous() -> rustix::io::Result<NonNull<u8>> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let base = unsafe { mmap_anonymous(ptr::null_mut(), ARENA_BYTES, access, MapFlags::PRIVATE) }?;
    NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)
}

/// Asks for each protection, whether or not the one before was granted.
fn protect(base: NonNull<u8>) -> Protection {
    let base: *mut c_void = base.as_ptr().cast();
    // SAFETY: the range is exactly one mapping of ours; locking it changes nothing that Rust can see.
    let locked = unsafe { mlock(base, ARENA_BYTES) };
    // SAFETY: the range is exactly one mapping of ours, and this advice concerns core dumps only.
    let hidden = unsafe { madvise(base, ARENA_BYTES, Advice::LinuxDontDump) };
    // SAFETY: the range is exactly one private anonymous mapping of ours; only a child sees the difference.
    let wiped = unsafe { madvise(base, ARENA_BYTES, Advice::LinuxWipeOnFork) };
    if locked.is_ok() && hidden.is_ok() && wiped.is_ok() { Protection::Locked } else { Protection::Unlocked }
}

/// A 32-byte key in a cell of an [`Arena`]. Dropping it wipes the cell and gives it back.
pub struct Kept {
    /// The arena that the cell lies in; kept mapped for as long as this value lives.
    arena: Arc<Arena>,
    /// The number of the cell, which no other `Kept` has.
    cell: usize,
}

impl Kept {
    /// The key. Callers say in an `EXPOSE:` comment what it is used for; copies defeat the arena.
    pub fn expose(&self) -> &[u8; CELL_BYTES] {
        // SAFETY: the cell is inside the mapping, initialised by `keep`, ours alone, and written to only by `drop`.
        unsafe { &*self.arena.cell(self.cell).cast::<[u8; CELL_BYTES]>() }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        wipe(self.arena.cell(self.cell), CELL_BYTES);
        self.arena.free_cells().push(self.cell);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(…)")
    }
}

/// Secret bytes on the heap, wiped when dropped.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over without a copy.
    pub fn new(bytes: Vec<u8>) -> SecretBytes {
        SecretBytes(Zeroizing::new(bytes))
    }

    /// The bytes. Callers say in an `EXPOSE:` comment what they are used for.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretBytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> SecretBytes {
        SecretBytes(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// Secret UTF-8 text on the heap, wiped when dropped.
pub struct SecretText(Zeroizing<String>);

/// Bytes that should have been text were not UTF-8 (RFC 3629). Says nothing about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid utf-8")]
pub struct NotText;

impl SecretText {
    /// Takes the text over without a copy.
    pub fn new(text: String) -> SecretText {
        SecretText(Zeroizing::new(text))
    }

    /// Takes bytes over as text without a copy; bytes that are no UTF-8 are wiped.
    pub fn parse(mut bytes: SecretBytes) -> Result<SecretText, NotText> {
        // The error of `String::from_utf8` carries the bytes along and would drop them unwiped.
        std::str::from_utf8(&bytes.0).map_err(|_| NotText)?;
        String::from_utf8(std::mem::take(&mut *bytes.0)).map(SecretText::new).map_err(|_| NotText)
    }

    /// The text. Callers say in an `EXPOSE:` comment what it is used for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Number of bytes of the text in UTF-8.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        deserializer.deserialize_string(TextVisitor)
    }
}

/// Reads a string and nothing else. A derived visitor would repeat a value of another type in its error.
struct TextVisitor;

impl serde::de::Visitor<'_> for TextVisitor {
    type Value = SecretText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<SecretText, E> {
        Ok(SecretText::new(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<SecretText, E> {
        Ok(SecretText::new(text))
    }
}

/// Writes a secret into a wire message or a sealed record, for `#[serde(serialize_with)]` on that one field.
pub fn serialize_exposed<S: Serializer>(secret: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    // EXPOSE: the field that names this function is where the secret is meant to go.
    serializer.serialize_str(secret.expose())
}

/// The system's allocator, wiping each block before it is given back.
///
/// Installed by the binary with `#[global_allocator]`. Memory that C libraries take for themselves is not covered.
pub struct ZeroizingAllocator;

// SAFETY: every block comes from `System` and goes back to it with the layout it was made with; wiping writes only
// inside a block that its owner has just given up.
unsafe impl GlobalAlloc for ZeroizingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        wipe(block, layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(block, layout) }
    }

    /// Moves always, growing and shrinking: the system's `realloc` would leave the old copy or the cut-off end behind.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size` is not zero and fits the alignment.
        let moved = unsafe { System.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least this long, and a new block overlaps no block in use.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size)) };
            // SAFETY: the block is the caller's, made with this layout, and from here on nobody's.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

/// Overwrites with zeros in a way that the compiler may not leave out.
///
/// Private, and called only with memory that the caller owns whole: that is why it is no `unsafe fn`.
fn wipe(start: *mut u8, bytes: usize) {
    // SAFETY: each caller passes a block or mapping of at least `bytes` that it alone may write to.
    unsafe { libc::explicit_bzero(start.cast(), bytes) }
}

/// Overwrites the unused stack below the caller, where ciphers leave round keys and moved values leave copies.
///
/// Call it after the function that used the key has returned.
#[inline(never)]
pub fn scrub_stack() {
    let mut below = [MaybeUninit::<u8>::uninit(); SCRUBBED_STACK_BYTES];
    wipe(below.as_mut_ptr().cast(), SCRUBBED_STACK_BYTES);
}

#[cfg(test)]
mod tests;
