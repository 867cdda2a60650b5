//! The TCP port: whether anybody but the daemon listens where bots will send their tokens.

use crate::cli::doctor::daemon::{Running, is_a_daemon};
use crate::cli::doctor::files;
use crate::cli::doctor::proc::{self, Listening};
use crate::cli::doctor::sockets::is_systemd;
use crate::config::Config;
use crate::wire::doctor::Finding;
use std::collections::BTreeSet;
use std::net::SocketAddr;

const CHECK: &str = "port.holder";

/// Looks at who listens on the ports that bots may use: the one that the daemon has, and the one that is configured.
pub fn look(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let told = running.and_then(|running| running.listen);
    let configured = Some(config.listen).filter(|address| address.port() != 0);
    let ports: BTreeSet<u16> = [told, configured].into_iter().flatten().map(|address| address.port()).collect();
    let Some(listening) = proc::listening() else {
        return vec![Finding::skip(
            CHECK,
            "who listens on this machine can't be read",
            "run this where /proc is mounted",
        )];
    };
    let owner = files::owner(config, running);
    let mut findings = Vec::new();
    for found in listening.iter().filter(|found| ports.contains(&found.address.port()) && is_local(found.address)) {
        findings.extend(foreign(found, owner, running));
    }
    if let Some(address) = told.filter(|address| !listening.iter().any(|found| found.address == *address)) {
        let help = "where the unit has a network of its own, start the daemon by its socket unit, which listens for it";
        findings.push(Finding::warn(
            CHECK,
            format!("the daemon listens on {address} where nobody here reaches it"),
            help,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "nobody but the daemon listens where bots will send their tokens"));
    }
    findings
}

/// Whether what is sent to this machine's own addresses may arrive there. A bot that is told `localhost` tries `::1` first.
fn is_local(address: SocketAddr) -> bool {
    address.ip().is_loopback() || address.ip().is_unspecified()
}

/// A socket that is not the daemon's.
fn foreign(found: &Listening, owner: Option<u32>, running: Option<&Running>) -> Option<Finding> {
    let holders = proc::holders(found.inode);
    if is_expected(found.uid, &holders, owner, running) {
        return None;
    }
    let who: Vec<String> = holders.iter().map(|pid| proc::shown(*pid)).collect();
    let who = if who.is_empty() { "a process".to_owned() } else { who.join(", ") };
    Some(Finding::fail(
        CHECK,
        format!(
            "{who} of the user {} listens on {}, and not the daemon: bots may send it their tokens",
            found.uid, found.address
        ),
        "end it and find out whose it is; rotate the tokens of bots that may have asked there; the socket unit keeps the port",
    ))
}

/// The daemon, or systemd, which holds the port for it. Where the holders or the daemon can't be seen the user must do; of
/// a daemon that does not answer its program's name is known.
fn is_expected(uid: u32, holders: &BTreeSet<u32>, owner: Option<u32>, running: Option<&Running>) -> bool {
    let is_ours = || uid == 0 || owner.is_none_or(|owner| owner == uid);
    let is_the_daemon = |pid: u32| match running {
        Some(running) => running.pid == Some(pid),
        None => is_ours() && is_a_daemon(pid),
    };
    match holders.is_empty() || running.is_some_and(|running| running.pid.is_none()) {
        true => is_ours(),
        false => holders.iter().all(|pid| is_the_daemon(*pid) || is_systemd(*pid, uid, owner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_daemon_and_who_holds_the_port_for_it_are_expected() {
        let running = Running { pid: Some(77), uid: Some(500), listen: None };
        let is_expected = |uid, holders: &[u32], running: Option<&Running>| {
            is_expected(uid, &holders.iter().copied().collect(), Some(500), running)
        };
        assert!(is_expected(500, &[77], Some(&running)) && is_expected(0, &[1, 77], Some(&running)));
        assert!(is_expected(0, &[1], None), "systemd waits for the first bot");
        assert!(!is_expected(500, &[78], Some(&running)) && !is_expected(500, &[77, 78], Some(&running)));
        let own = std::process::id();
        assert!(is_expected(500, &[own], None) && !is_expected(501, &[own], None), "a daemon that does not answer");
        assert!(!is_expected(500, &[own, 1 << 30], None) && !is_expected(500, &[1 << 30], None));
        let elsewhere = Running { pid: None, ..running };
        assert!(is_expected(500, &[78], Some(&elsewhere)) && !is_expected(501, &[78], Some(&elsewhere)));
        assert!(is_expected(500, &[], Some(&running)) && is_expected(0, &[], None) && !is_expected(501, &[], None));
    }

    #[test]
    fn another_machine_s_way_in_is_not_the_bots() {
        let is_local = |address: &str| is_local(address.parse().unwrap());
        assert!(is_local("127.0.0.1:1") && is_local("[::1]:1") && is_local("0.0.0.0:1") && is_local("[::]:1"));
        assert!(!is_local("192.0.2.1:1"));
    }
}
