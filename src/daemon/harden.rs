//! What the process does to itself before the first secret exists: nothing may read its memory, and nothing of it may
//! reach a disk by accident.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;

/// Hardens the process and says, in words, what could not be done. All of it holds for the rest of the process's life.
pub fn harden() -> Vec<String> {
    // Files and sockets are nobody else's unless their mode is set on purpose.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let steps = [
        ("the process may be traced or dumped by its own user", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        ("a crash may write a core file", setrlimit(Resource::Core, no_core)),
        ("the process may gain privileges", set_no_new_privs(true)),
    ];
    steps.into_iter().filter(|(_, done)| done.is_err()).map(|(words, _)| words.to_owned()).collect()
}
