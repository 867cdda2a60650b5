use super::*;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

impl Arena {
    /// What a cell holds right now, whoever has it.
    fn raw_cell(&self, cell: usize) -> [u8; CELL_BYTES] {
        // SAFETY: the cell lies inside the mapping, which lives as long as `self`.
        unsafe { self.cell(cell).cast::<[u8; CELL_BYTES]>().read() }
    }

    /// The flags in the `VmFlags` line that the kernel has about this mapping.
    fn kernel_flags(&self) -> Vec<String> {
        let start = format!("{:x}-", self.base.as_ptr().addr());
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let entry = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let flags = entry.skip(1).find(|line| line.starts_with("VmFlags:")).unwrap();
        flags.split_whitespace().skip(1).map(str::to_owned).collect()
    }
}

fn both_kinds() -> [Arc<Arena>; 2] {
    [Arena::new().unwrap(), Arena::new_without_memfd_secret().unwrap()]
}

#[test]
fn a_kept_key_reads_back_and_its_source_is_wiped() {
    for arena in both_kinds() {
        let mut source = [7; 32];
        let kept = arena.keep(&mut source).unwrap();
        assert_eq!(kept.expose(), &[7; 32]);
        assert_eq!(source, [0; 32]);
    }
}

#[test]
fn two_keys_lie_in_cells_of_their_own() {
    let arena = Arena::new().unwrap();
    let one = arena.keep(&mut [1; 32]).unwrap();
    let two = arena.keep(&mut [2; 32]).unwrap();
    assert_eq!((one.expose(), two.expose()), (&[1; 32], &[2; 32]));
    drop(one);
    assert_eq!(two.expose(), &[2; 32]);
}

#[test]
fn dropping_a_kept_key_wipes_its_cell() {
    for arena in both_kinds() {
        let kept = arena.keep(&mut [0xa5; 32]).unwrap();
        let cell = kept.cell;
        assert_eq!(arena.raw_cell(cell), [0xa5; 32]);
        drop(kept);
        assert_eq!(arena.raw_cell(cell), [0; 32]);
    }
}

#[test]
fn a_full_arena_is_an_error_that_still_wipes_the_source() {
    let arena = Arena::new().unwrap();
    let mut all: Vec<Kept> = (0..ARENA_BYTES / CELL_BYTES).map(|_| arena.keep(&mut [1; 32]).unwrap()).collect();
    let mut source = [9; 32];
    assert!(matches!(arena.keep(&mut source), Err(ArenaError::Full)));
    assert_eq!(source, [0; 32]);
    all.pop();
    assert!(arena.keep(&mut [9; 32]).is_ok());
}

#[test]
fn a_key_outlives_the_handle_on_its_arena() {
    let arena = Arena::new().unwrap();
    let kept = arena.keep(&mut [3; 32]).unwrap();
    drop(arena);
    assert_eq!(kept.expose(), &[3; 32]);
}

#[test]
fn memfd_secret_memory_cannot_be_read_through_proc() {
    let arena = Arena::new().unwrap();
    if arena.protection() != Protection::Secret {
        return; // This kernel has no memfd_secret: the test of the fall-back is the one that counts.
    }
    let kept = arena.keep(&mut [0x5a; 32]).unwrap();
    assert!(read_through_proc(kept.expose()).is_err());
    // The same look at ordinary memory succeeds, so the refusal above is the protection's.
    assert_eq!(read_through_proc(&[0x77; 32]).unwrap(), [0x77; 32]);
    for flag in ["dd", "lo", "dc"] {
        assert!(arena.kernel_flags().iter().any(|set| set == flag), "{flag} is not set");
    }
}

fn read_through_proc(at: &[u8; 32]) -> io::Result<[u8; 32]> {
    let mut memory = File::open("/proc/self/mem")?;
    memory.seek(SeekFrom::Start(at.as_ptr().addr() as u64))?;
    let mut seen = [0; 32];
    memory.read_exact(&mut seen)?;
    Ok(seen)
}

#[test]
fn the_fall_back_is_locked_left_out_of_dumps_and_wiped_in_children() {
    let arena = Arena::new_without_memfd_secret().unwrap();
    assert_eq!(arena.protection(), Protection::Locked);
    for flag in ["dd", "lo", "wf"] {
        assert!(arena.kernel_flags().iter().any(|set| set == flag), "{flag} is not set");
    }
}

#[test]
fn a_forked_child_sees_an_empty_fall_back_arena() {
    let arena = Arena::new_without_memfd_secret().unwrap();
    let kept = arena.keep(&mut [0x42; 32]).unwrap();
    // SAFETY: the child only looks at mapped memory and leaves by `_exit`, both of which are allowed after a fork.
    let child = unsafe {
        match libc::fork() {
            0 => libc::_exit(i32::from(kept.expose() != &[0; 32])),
            child => child,
        }
    };
    let mut status = -1;
    // SAFETY: the child is ours and `status` is a valid place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status}");
    assert_eq!(kept.expose(), &[0x42; 32]);
}

#[test]
fn an_arena_is_unmapped_when_the_last_key_goes() {
    let arena = Arena::new_without_memfd_secret().unwrap();
    let kept = arena.keep(&mut [1; 32]).unwrap();
    let weak = Arc::downgrade(&arena);
    drop(arena);
    assert!(weak.upgrade().is_some());
    drop(kept);
    assert!(weak.upgrade().is_none());
}

#[test]
fn only_the_best_protection_is_not_degraded() {
    assert_eq!(Protection::Secret.degraded(), None);
    assert!(Protection::Locked.degraded().is_some_and(|words| words.contains("memfd_secret")));
    assert!(Protection::Unlocked.degraded().is_some());
}

#[test]
fn debug_shows_nothing_of_a_secret() {
    let arena = Arena::new().unwrap();
    let mut key = *b"hunter2hunter2hunter2hunter2hunt";
    let kept = arena.keep(&mut key).unwrap();
    assert_eq!(format!("{kept:?}"), "Kept(…)");
    assert_eq!(format!("{:?}", SecretBytes::new(b"hunter2".to_vec())), "SecretBytes(…)");
    assert_eq!(format!("{:?}", SecretText::new("hunter2".to_owned())), "SecretText(…)");
    assert!(!format!("{arena:?}").contains("hunter2"));
}

#[test]
fn text_is_what_is_utf_8() {
    assert_eq!(SecretText::parse(SecretBytes::new("schlüssel".into())).unwrap().expose(), "schlüssel");
    assert_eq!(SecretText::parse(SecretBytes::new(vec![0xff])).unwrap_err(), NotText);
    assert_eq!(SecretText::new("ü".to_owned()).len(), 2);
}

#[derive(Debug, Deserialize, serde::Serialize)]
struct Message {
    #[serde(serialize_with = "serialize_exposed")]
    secret: SecretText,
}

#[test]
fn secret_text_passes_through_json_only_where_a_field_says_so() {
    let message: Message = serde_json::from_str(r#"{"secret":"a\"b\u00fc"}"#).unwrap();
    assert_eq!(message.secret.expose(), "a\"bü");
    assert_eq!(serde_json::to_string(&message).unwrap(), r#"{"secret":"a\"bü"}"#);
    let reader: Message = serde_json::from_reader(&br#"{"secret":"plain"}"#[..]).unwrap();
    assert_eq!(reader.secret.expose(), "plain");
    assert!(serde_json::from_str::<Message>(r#"{"secret":["hunter2"]}"#).is_err());
}

/// Lends a block filled with a mark, each test with a mark of its own: other threads may be given a freed block.
fn with_block(size: usize, mark: u8, test: impl FnOnce(*mut u8, Layout)) {
    let layout = Layout::from_size_align(size, 16).unwrap();
    // SAFETY: the size is not zero.
    let block = unsafe { ZeroizingAllocator.alloc(layout) };
    assert!(!block.is_null());
    // SAFETY: the block is `size` bytes long.
    unsafe { block.write_bytes(mark, size) };
    test(block, layout);
}

#[test]
fn a_freed_block_is_wiped() {
    // malloc writes its own lists into the first bytes of a freed block, and gives the pages of big blocks back.
    with_block(4096, 0xcd, |block, layout| {
        // SAFETY: the block is ours with this layout; the read below looks at memory that malloc keeps mapped.
        unsafe { ZeroizingAllocator.dealloc(block, layout) };
        // SAFETY: as above. Nobody relies on the value being initialised: these are raw bytes.
        let left = unsafe { block.add(64).cast::<[u8; 1024]>().read_volatile() };
        assert!(left.iter().all(|byte| *byte != 0xcd));
    });
}

#[test]
fn a_block_that_grows_or_shrinks_keeps_its_bytes_and_leaves_no_copy() {
    for (from, to) in [(4096, 8192), (4096, 1024)] {
        with_block(from, 0xce, |block, layout| {
            // SAFETY: the block is ours with this layout, and the new size is not zero.
            let moved = unsafe { ZeroizingAllocator.realloc(block, layout, to) };
            assert_ne!(moved, block);
            let kept = from.min(to);
            // SAFETY: the new block is at least `kept` bytes long and they were written.
            let bytes = unsafe { std::slice::from_raw_parts(moved, kept) };
            assert!(bytes.iter().all(|byte| *byte == 0xce));
            // SAFETY: looks at freed memory that malloc keeps mapped, as raw bytes.
            let left = unsafe { block.add(64).cast::<[u8; 512]>().read_volatile() };
            assert!(left.iter().all(|byte| *byte != 0xce));
            // SAFETY: the new block is ours with its new size.
            unsafe { ZeroizingAllocator.dealloc(moved, Layout::from_size_align(to, 16).unwrap()) };
        });
    }
}

#[test]
fn a_zeroed_block_is_zero() {
    let layout = Layout::from_size_align(256, 64).unwrap();
    // SAFETY: the size is not zero; the block is freed with its own layout below.
    let block = unsafe { ZeroizingAllocator.alloc_zeroed(layout) };
    // SAFETY: the block is 256 initialised bytes.
    assert_eq!(unsafe { std::slice::from_raw_parts(block, 256) }, [0; 256]);
    // SAFETY: the block is ours with this layout.
    unsafe { ZeroizingAllocator.dealloc(block, layout) };
}

/// Leaves a mark on the stack and tells where; the caller decides what happens to it.
#[inline(never)]
fn leave_on_the_stack() -> *const u8 {
    let mut mark = [0xeb_u8; 64];
    std::hint::black_box(&mut mark).as_ptr()
}

#[test]
fn scrubbing_overwrites_what_a_returned_function_left_on_the_stack() {
    let mark = leave_on_the_stack();
    scrub_stack();
    // SAFETY: an address in this thread's stack, which stays mapped; looked at as a raw byte.
    let left = unsafe { mark.read_volatile() };
    assert_ne!(left, 0xeb);
}
