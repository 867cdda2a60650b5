//! The heap as a whole: what the C library keeps of it, it gives back to the system.

#![allow(unsafe_code, reason = "the C library's own allocator has no safe interface")]

/// The heap grows by so much more than is needed, and gives back all but so much: a block for which there is no memory ends
/// the process, so a daemon that may have no more of it should find some that it has already.
#[cfg(target_env = "gnu")]
const SPARE_BYTES: i32 = 512 * 1024;

/// Has every thread use one heap. With one for each, memory that one thread gave back is of no use to the others, and the
/// one that serves gets its own page by page from the system, so that it ends where there is no more, however much the
/// process has free. It grows in large steps.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: called before there is another thread; it sets two numbers.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, SPARE_BYTES);
    }
}

/// Gives memory that nobody uses back to the system: after an unlock and after a lock that is a good part of what there
/// is, and the C library would keep it. Takes as long as there is memory: a millisecond for each few thousand records.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches no block that is in use, and takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(SPARE_BYTES as usize);
    }
}
