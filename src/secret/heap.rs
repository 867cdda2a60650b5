//! The heap as a whole: what the C library keeps of it, it gives back to the system.

#![allow(unsafe_code, reason = "the C library's own allocator has no safe interface")]

/// Has every thread use one heap. With one for each, memory that one thread gave back is of no use to the others, and the
/// one that serves gets its own page by page from the system, so that it ends where there is no more, however much the
/// process has free.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: called before there is another thread; it sets one number.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives memory that nobody uses back to the system: after an unlock and after a lock that is a good part of what there
/// is, and the C library would keep it. Takes as long as there is memory: a millisecond for each few thousand records.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches no block that is in use, and takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
