//! What the process may still ask of the kernel: the vault's own directories and nothing else of the file system
//! (landlock(7)), and the system calls that it needs (seccomp(2)). Both are set before there is another thread, and hold
//! for every thread from then on. Whoever takes the process over can then neither start a program, nor read another
//! file, nor make a socket that another machine could hear of.
//! It can still look up names, sizes and times of files, and connect to Unix sockets that have a path and let its user in:
//! the kernel offers nothing against either.
//!
//! Where the kernel knows less of it than this asks for, what it knows is taken, and `status` says so.

pub mod calls;

use crate::daemon::harden::item;
use crate::wire::Hardening;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::path::{Path, PathBuf};

/// The newest version of landlock whose kinds of access are known here.
const NEWEST: ABI = ABI::V6;

/// What a process may still reach.
pub struct Reach<'a> {
    /// Directories whose files it makes, changes and removes.
    pub own: [&'a Path; 2],
    /// The directory of its configuration file, which it reads again when told to.
    pub configuration: Option<PathBuf>,
    /// Whether the service manager listens on a socket without a file.
    pub nameless: bool,
}

/// Why files are not confined.
#[derive(Debug, thiserror::Error)]
enum ConfineError {
    /// The kernel did not take the rules.
    #[error(transparent)]
    Rules(#[from] RulesetError),
    /// A directory could not be opened.
    #[error(transparent)]
    Open(#[from] PathFdError),
}

/// Gives up the rest of the file system and the network.
pub fn confine_files(reach: &Reach<'_>) -> Hardening {
    match restricted(reach) {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => item("landlock", true, "own directories only, no connections"),
            RulesetStatus::PartiallyEnforced => {
                item("landlock", true, "own directories only; the kernel does not know all that was asked for")
            }
            RulesetStatus::NotEnforced => {
                item("landlock", false, "the kernel has no landlock: other files can be reached")
            }
        },
        Err(error) => item("landlock", false, format!("refused: {error}")),
    }
}

fn restricted(reach: &Reach<'_>) -> Result<RestrictionStatus, ConfineError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(if reach.nameless { Scope::Signal.into() } else { Scope::Signal | Scope::AbstractUnixSocket })?
        .create()?;
    for directory in reach.own {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(directory)?, of_own_files()))?;
    }
    if let Some(directory) = &reach.configuration {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(directory)?, AccessFs::ReadFile))?;
    }
    Ok(rules.restrict_self()?)
}

/// All that is done with the vault's files; nothing is run from there, and no device or link is made.
fn of_own_files() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Refer
}

/// Gives up every system call that the daemon does not make.
pub fn confine_calls() -> Hardening {
    match calls::apply() {
        Ok(count) => item("seccomp", true, format!("{count} system calls allowed")),
        Err(error) => item("seccomp", false, format!("refused: {error}")),
    }
}
