//! The Unix sockets: who may open them, and who listens.

use crate::cli::connect::peer::{Listener, listener};
use crate::cli::doctor::daemon::Running;
use crate::cli::doctor::{files, proc};
use crate::config::Config;
use crate::wire::doctor::Finding;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The groups of this machine.
const GROUPS: &str = "/etc/group";

/// Looks at both sockets, where a daemon should have made them.
pub fn look(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let groups = fs::read_to_string(GROUPS).unwrap_or_default();
    let owner = files::owner(config, running);
    let of_bots = ("socket.sign", config.sign_socket(), "signvault-bots");
    let of_admins = ("socket.admin", config.admin_socket(), "signvault-admin");
    let look = |(check, path, group): (&str, std::path::PathBuf, &str)| {
        let group = proc::group(&groups, group).map(|id| (group, id));
        socket(check, &path, group, owner, running)
    };
    [of_bots, of_admins].into_iter().flat_map(look).collect()
}

fn socket(
    check: &str,
    path: &Path,
    group: Option<(&str, u32)>,
    owner: Option<u32>,
    running: Option<&Running>,
) -> Vec<Finding> {
    let place = path.display();
    let about = match path.symlink_metadata() {
        Ok(about) => about,
        // Without a daemon there need not be one.
        Err(error) if error.kind() == io::ErrorKind::NotFound && running.is_none() => return Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let help = "restart the daemon: somebody has removed the socket";
            return vec![Finding::fail(check, format!("there is no {place}"), help)];
        }
        Err(error) => {
            return vec![Finding::skip(check, format!("{place} can't be looked at: {error}"), "run this as root")];
        }
    };
    if !about.file_type().is_socket() {
        return vec![Finding::fail(check, format!("{place} is no socket"), "remove it and restart the daemon")];
    }
    let mode = about.mode() & 0o777;
    let mut findings = Vec::new();
    if mode & 0o007 != 0 {
        let what = format!("{place} has the mode {mode:04o}: every user of this machine may open it");
        findings.push(Finding::fail(check, what, format!("chmod 660 {place}; with a socket unit: SocketMode=0660")));
    }
    if about.uid() != 0 && owner.is_some_and(|owner| owner != about.uid()) {
        let what = format!("{place} belongs to the user {}, who is not the daemon's", about.uid());
        findings.push(Finding::fail(check, what, "find out whose it is, then remove it and restart the daemon"));
    }
    if let Some((name, _)) = group.filter(|(_, id)| *id != about.gid()) {
        let what = format!("{place} is not the group {name}'s: its members can't open it");
        let help = format!("let the daemon's user be a member of {name}, or start it by the shipped units");
        findings.push(Finding::warn(check, what, help));
    }
    findings.extend(running.and_then(|running| held(check, path, running)));
    if findings.is_empty() {
        findings.push(Finding::ok(check, format!("{place} is the daemon's, and open to its group alone")));
    }
    findings
}

/// What is wrong with who listens.
fn held(check: &str, path: &Path, running: &Running) -> Option<Finding> {
    let place = path.display();
    match listener(path) {
        Ok(listener) if is_the_daemon_s(listener, running) => None,
        Ok(listener) => {
            let who = listener.pid.map_or_else(|| "a process elsewhere".to_owned(), proc::shown);
            let what = format!("{who} of the user {} listens at {place}, and not the daemon", listener.uid);
            Some(Finding::fail(check, what, "find out what that is; then end it, and restart the daemon"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(Finding::skip(
            check,
            format!("this user may not open {place}"),
            "run this as root or the daemon's user",
        )),
        Err(error) => {
            let what = format!("nobody takes a connection at {place}: {error}");
            Some(Finding::fail(check, what, "restart the daemon"))
        }
    }
}

/// The kernel names whoever began to listen: the daemon, or systemd, which does that for it.
fn is_the_daemon_s(listener: Listener, running: &Running) -> bool {
    match (listener.pid, running.pid) {
        (Some(pid), Some(daemon)) => pid == daemon || is_systemd(pid, listener.uid, running.uid),
        _ => listener.uid == 0 || running.uid.is_none_or(|uid| uid == listener.uid),
    }
}

/// Whether a process is the one that begins all others, or a user's own systemd.
pub fn is_systemd(pid: u32, uid: u32, daemon: Option<u32>) -> bool {
    pid == 1 || (daemon == Some(uid) && proc::name(pid).as_deref() == Some("systemd"))
}
