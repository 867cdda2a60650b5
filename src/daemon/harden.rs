//! What the process does to itself before the first secret exists: nothing may read its memory, and nothing of it may
//! reach a disk by accident. What it may no longer ask of the kernel is decided in [`crate::daemon::sandbox`].
//!
//! Each step is an item that says whether it holds, because a machine may refuse any of them. `status` shows them all.

#![allow(unsafe_code, reason = "the environment has no safe way to be changed")]

use crate::secret::{ARENA_BYTES, Protection};
use crate::wire::Hardening;
use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit};
use rustix::process::{set_dumpable_behavior, setrlimit};
use rustix::thread::{no_new_privs, set_no_new_privs};

/// Variables that stay: through them the service manager is told how the service is.
const KEPT_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// An item of the process's hardening.
pub fn item(item: &str, holds: bool, detail: impl Into<String>) -> Hardening {
    Hardening { item: item.to_owned(), holds, detail: detail.into() }
}

/// What does not hold, in words.
pub fn missing(items: &[Hardening]) -> Vec<String> {
    items.iter().filter(|item| !item.holds).map(|item| format!("{}: {}", item.item, item.detail)).collect()
}

/// Hardens the process and says what came of it. All of it holds for the rest of the process's life. What is asked for
/// here is read back: a limit may be clamped, and a filter may answer for the kernel.
pub fn harden() -> Vec<Hardening> {
    // Files and sockets are nobody else's unless their mode is set on purpose.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // What can't be done is seen when it is read back.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_no_new_privs(true);
    let not_dumpable = dumpable_behavior().is_ok_and(|behavior| behavior == DumpableBehavior::NotDumpable);
    let core = getrlimit(Resource::Core);
    let no_gain = no_new_privs().unwrap_or(false);
    vec![
        either(
            "not_dumpable",
            not_dumpable,
            "no other process of its user may look into it",
            "its own user may trace or dump it",
        ),
        either("no_core", core.maximum == Some(0), "a crash writes no file", "a crash may write a core file"),
        either("no_new_privileges", no_gain, "it can gain none", "it may gain privileges"),
    ]
}

/// How the keys' own memory is protected, and how much memory may be locked at all: a service manager without the right to
/// raise that limit clamps it without a word.
pub fn key_memory(protection: Protection) -> [Hardening; 2] {
    let limit = getrlimit(Resource::Memlock).current;
    let enough = limit.is_none_or(|bytes| bytes >= ARENA_BYTES as u64);
    let lockable = match limit {
        None => "no limit".to_owned(),
        Some(bytes) => format!("{} KiB may be locked, {} are needed", bytes / 1024, ARENA_BYTES / 1024),
    };
    let is_locked = protection != Protection::Unlocked;
    [
        item("key_memory", protection == Protection::Secret, protection.degraded().unwrap_or("memfd_secret")),
        item("memory_lock", is_locked && (enough || protection == Protection::Secret), lockable),
    ]
}

/// Forgets the environment: nothing that is started, crashes or is read later finds in it what other programs were told.
/// What the process was started with has been read by now.
///
/// A build for the benchmark is told by a variable what to leave out, so it keeps them all.
#[cfg(not(feature = "bench-variants"))]
pub fn forget_environment() -> Hardening {
    let others =
        || std::env::vars_os().map(|(name, _)| name).filter(|name| !KEPT_VARIABLES.iter().any(|kept| name == kept));
    for name in others() {
        #[expect(clippy::disallowed_methods, reason = "nobody else is to find in it what this process was told")]
        // SAFETY: called before there is another thread that could read the environment meanwhile.
        unsafe {
            std::env::remove_var(name)
        };
    }
    let left = others().count();
    either("environment", left == 0, "forgotten", "some variables could not be removed")
}

#[cfg(feature = "bench-variants")]
pub fn forget_environment() -> Hardening {
    item("environment", false, format!("kept for the benchmark, not only {}", KEPT_VARIABLES.join(", ")))
}

fn either(name: &str, holds: bool, how: &str, why_not: &str) -> Hardening {
    item(name, holds, if holds { how } else { why_not })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_said_in_words() {
        let items = [item("a", true, "fine"), item("b", false, "not so fine")];
        assert_eq!(missing(&items), ["b: not so fine"]);
    }

    #[test]
    fn memory_that_is_not_locked_is_an_item_that_does_not_hold() {
        let [secret, locked] = key_memory(Protection::Secret);
        assert!(secret.holds && locked.holds, "{secret:?} {locked:?}");
        let [fallback, _] = key_memory(Protection::Locked);
        assert!(!fallback.holds && fallback.detail.contains("memfd_secret"));
        let [_, unlocked] = key_memory(Protection::Unlocked);
        assert!(!unlocked.holds);
    }
}
