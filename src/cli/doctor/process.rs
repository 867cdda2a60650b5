//! The daemon's process: what the kernel lets it do.

use crate::cli::doctor::daemon::Running;
use crate::cli::doctor::proc;
use crate::secret::ARENA_BYTES;
use crate::wire::doctor::Finding;

/// What the daemon must be able to lock: its keys, and as much again while it restarts or restores.
const LOCKED_BYTES: u64 = 2 * ARENA_BYTES as u64;

/// Looks at the process.
pub fn look(running: Option<&Running>) -> Vec<Finding> {
    let Some(running) = running else { return Vec::new() };
    let Some(pid) = running.pid else {
        let help = "run this where the daemon runs: in its container, or outside of one";
        return vec![Finding::skip("process.memory_lock", "the daemon's process can't be seen from here", help)];
    };
    vec![memory_lock(proc::memory_lock_limit(pid))]
}

fn memory_lock(limit: Option<Option<u64>>) -> Finding {
    match limit {
        None => Finding::skip("process.memory_lock", "the daemon's limits can't be read", "run this as root"),
        Some(Some(bytes)) if bytes < LOCKED_BYTES => Finding::warn(
            "process.memory_lock",
            format!(
                "the daemon may lock {bytes} bytes of memory; it needs {LOCKED_BYTES} to keep its keys out of swap"
            ),
            "raise it (LimitMEMLOCK= of the unit, or ulimit -l) and restart the daemon",
        ),
        Some(Some(bytes)) => Finding::ok("process.memory_lock", format!("the daemon may lock {} KiB", bytes / 1024)),
        Some(None) => Finding::ok("process.memory_lock", "the daemon may lock as much memory as it likes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::doctor::Level;

    #[test]
    fn a_limit_below_what_the_keys_need_is_told() {
        let level = |limit| memory_lock(limit).level;
        assert_eq!(level(Some(Some(LOCKED_BYTES - 1))), Level::Warn);
        assert_eq!(level(Some(Some(LOCKED_BYTES))), Level::Ok);
        assert_eq!((level(Some(None)), level(None)), (Level::Ok, Level::Skip));
    }
}
