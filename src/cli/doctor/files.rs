//! The directories of a vault and what is in them: nobody else's, and open to nobody else.

use crate::cli::doctor::daemon::Running;
use crate::config::Config;
use crate::wire::doctor::Finding;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Permissions of anyone but the owner.
const OTHERS: u32 = 0o077;
/// Permission to write of anyone but the owner.
const OTHERS_WRITE: u32 = 0o022;
/// In such a directory nobody removes or renames what is another's.
const STICKY: u32 = 0o1000;

/// Looks at the directories.
pub fn look(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let owner = owner(config, running);
    let state = private("files.state", "state directory", &config.state_dir, owner, &config.run_dir);
    let anchor = private("files.anchor", "anchor directory", &config.anchor_dir, owner, &config.run_dir);
    let mut findings = [state, anchor].concat();
    findings.push(apart(config));
    findings.extend([&config.state_dir, &config.anchor_dir].map(|directory| way_to(directory, owner)));
    findings.push(run_dir(&config.run_dir, owner));
    findings
}

/// Whose the files should be: the daemon's, or whoever's the state directory is.
pub fn owner(config: &Config, running: Option<&Running>) -> Option<u32> {
    let of_directory = || config.state_dir.symlink_metadata().ok().map(|about| about.uid());
    running.and_then(|running| running.uid).or_else(of_directory)
}

/// A directory that only its owner may enter, and the files in it.
fn private(check: &str, name: &str, directory: &Path, owner: Option<u32>, run_dir: &Path) -> Vec<Finding> {
    let about = match directory.symlink_metadata() {
        Ok(about) => about,
        Err(error) => return vec![not_seen(check, name, directory, &error)],
    };
    let place = directory.display();
    if !about.is_dir() {
        let help = "put the real directory there: a link may lead anywhere by tomorrow";
        return vec![Finding::fail(check, format!("the {name} {place} is no directory"), help)];
    }
    let mut findings = wrong(check, &format!("the {name} {place}"), directory, &about, owner, "700");
    match fs::read_dir(directory) {
        Err(error) => findings.push(not_seen(check, name, directory, &error)),
        Ok(entries) => {
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path != run_dir);
            findings.extend(paths.flat_map(|path| file(check, &path, owner)));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(check, format!("the {name} {place} and its files are open to their owner alone")));
    }
    findings
}

fn file(check: &str, path: &Path, owner: Option<u32>) -> Vec<Finding> {
    // Gone again by now: a backup's copy, an anchor's other slot.
    let Ok(about) = path.symlink_metadata() else { return Vec::new() };
    let place = path.display();
    if about.is_symlink() {
        let help = "find out who put it there, and what it leads to; a vault has no links";
        return vec![Finding::fail(check, format!("{place} is a symbolic link"), help)];
    }
    let mode = if about.is_dir() { "700" } else { "600" };
    wrong(check, &place.to_string(), path, &about, owner, mode)
}

/// What is wrong with a mode and an owner.
fn wrong(check: &str, name: &str, path: &Path, about: &Metadata, owner: Option<u32>, mode: &str) -> Vec<Finding> {
    let (place, found) = (path.display(), about.mode() & 0o777);
    let too_wide = (found & OTHERS != 0).then(|| {
        Finding::fail(
            check,
            format!("{name} has the mode {found:04o}: others than its owner may use it"),
            format!("chmod {mode} {place}"),
        )
    });
    let foreign = owner.filter(|owner| *owner != about.uid()).map(|owner| {
        let what = format!("{name} belongs to the user {}, and the vault to the user {owner}", about.uid());
        Finding::fail(check, what, format!("chown {owner} {place}, once you know who put it there"))
    });
    [too_wide, foreign].into_iter().flatten().collect()
}

fn not_seen(check: &str, name: &str, directory: &Path, error: &io::Error) -> Finding {
    let place = directory.display();
    match error.kind() {
        io::ErrorKind::NotFound => Finding::warn(
            check,
            format!("there is no {name} {place}"),
            "signvault init makes it; if there was one, see whether its disk is mounted",
        ),
        _ => Finding::skip(
            check,
            format!("the {name} {place} can't be looked at: {error}"),
            "run this as root or its owner",
        ),
    }
}

/// The anchor remembers what the state directory forgets; inside of it both go back together.
fn apart(config: &Config) -> Finding {
    match config.anchor_dir.starts_with(&config.state_dir) {
        true => Finding::warn(
            "files.apart",
            "the anchor is inside the state directory: whoever puts an old copy of that in place takes the anchor along",
            "move it to another disk, and name it with anchor_dir or --anchor-dir",
        ),
        false => Finding::ok("files.apart", "the anchor is apart from the state directory"),
    }
}

/// Whoever may write to a directory further up can put another one in this one's place.
fn way_to(directory: &Path, owner: Option<u32>) -> Finding {
    let open = |above: &Path| {
        let about = above.metadata().ok()?;
        let is_trusted = about.uid() == 0 || owner.is_none_or(|owner| owner == about.uid());
        match () {
            () if !is_trusted => Some(format!("the user {} owns {}", about.uid(), above.display())),
            () if others_may_write(&about) && about.mode() & STICKY == 0 => {
                Some(format!("others may write to {}", above.display()))
            }
            () => None,
        }
    };
    match directory.ancestors().skip(1).find_map(open) {
        Some(why) => Finding::fail(
            "files.way",
            format!("{why}, and so may replace {}", directory.display()),
            "take that right away (chmod go-w), or keep the vault elsewhere",
        ),
        None => Finding::ok("files.way", format!("nobody else can replace {}", directory.display())),
    }
}

/// Whether anyone but the owner may write. The group of a user's own number is that user alone, by the custom of most
/// systems.
pub fn others_may_write(about: &Metadata) -> bool {
    let by_group = about.mode() & 0o020 != 0 && about.gid() != about.uid();
    by_group || about.mode() & 0o002 != 0
}

/// The run directory may be entered by all, and written to by the daemon and root alone.
fn run_dir(directory: &Path, owner: Option<u32>) -> Finding {
    let place = directory.display();
    let about = match directory.symlink_metadata() {
        Ok(about) => about,
        Err(error) => return not_seen("files.run", "run directory", directory, &error),
    };
    let mode = about.mode() & 0o7777;
    let is_trusted = about.uid() == 0 || owner.is_none_or(|owner| owner == about.uid());
    match () {
        () if !about.is_dir() => Finding::fail(
            "files.run",
            format!("the run directory {place} is no directory"),
            "remove it and start the daemon",
        ),
        () if !is_trusted => Finding::fail(
            "files.run",
            format!("the run directory {place} belongs to the user {}", about.uid()),
            "choose another with run_dir, or give it to the daemon's user",
        ),
        () if mode & OTHERS_WRITE != 0 => Finding::fail(
            "files.run",
            format!("the run directory {place} has the mode {mode:04o}: others may put a socket of theirs there"),
            format!("chmod go-w {place}"),
        ),
        () => Finding::ok("files.run", format!("only the daemon and root can put sockets into {place}")),
    }
}
