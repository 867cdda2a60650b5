//! What `/proc` says of processes and sockets (proc(5)), read and understood in one place. What can't be read is none.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a TCP socket that listens.
const LISTENS: &str = "0A";

/// A TCP socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Whose it is.
    pub uid: u32,
    /// Its inode, by which its holders are found.
    pub inode: u64,
}

/// A process's name, at most 15 bytes of it.
pub fn name(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

/// The names of all processes that can be seen from here.
pub fn names() -> BTreeSet<String> {
    pids().filter_map(name).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The effective user of a process.
pub fn user(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    user_in(&status)
}

fn user_in(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

/// How many bytes a process may lock: none when there is no limit.
pub fn memory_lock_limit(pid: u32) -> Option<Option<u64>> {
    memory_lock_limit_in(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

fn memory_lock_limit_in(limits: &str) -> Option<Option<u64>> {
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?.split_whitespace().next()?;
    match soft {
        "unlimited" => Some(None),
        bytes => bytes.parse().ok().map(Some),
    }
}

/// Every TCP socket that listens in this network namespace.
pub fn listening() -> Option<Vec<Listening>> {
    let table = |name: &str| fs::read_to_string(format!("/proc/net/{name}"));
    let mut found = listening_in(&table("tcp").ok()?);
    // Not there where IPv6 is switched off.
    found.extend(listening_in(&table("tcp6").unwrap_or_default()));
    Some(found)
}

fn listening_in(table: &str) -> Vec<Listening> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, LISTENS, _, _, _, uid, _, inode, ..] = fields[..] else { return None };
        Some(Listening { address: address(local)?, uid: uid.parse().ok()?, inode: inode.parse().ok()? })
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// `0100007F:221B`: words of an address in the order of this machine's bytes, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The processes that hold a socket, as far as they can be seen: root sees all, others their own.
pub fn holders(inode: u64) -> BTreeSet<u32> {
    let wanted = format!("socket:[{inode}]");
    pids().filter(|pid| holds(*pid, &wanted)).collect()
}

fn holds(pid: u32, wanted: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.filter_map(Result::ok).any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == wanted))
}

/// The id of a group of this machine, from the text of `/etc/group` (group(5)).
pub fn group(groups: &str, name: &str) -> Option<u32> {
    let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}

/// A process for people: its number, and its name if that is known.
pub fn shown(pid: u32) -> String {
    name(pid).map_or_else(|| format!("process {pid}"), |name| format!("process {pid} ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_kernel_s_tables_are_understood() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:221B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1\n\
                     1: 0100007F:9C40 0100007F:221B 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1\n";
        #[cfg(target_endian = "little")]
        assert_eq!(
            listening_in(table),
            [Listening { address: "127.0.0.1:8731".parse().unwrap(), uid: 1000, inode: 4242 }]
        );
        assert_eq!(user_in("Name:\tx\nUid:\t1\t2\t3\t4\n"), Some(2));
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max locked memory         65536                unlimited            bytes\n";
        assert_eq!(memory_lock_limit_in(limits), Some(Some(65_536)));
        assert_eq!(memory_lock_limit_in(&limits.replace("65536", "unlimited")), Some(None));
        assert_eq!(group("root:x:0:\nbots:x:998:a,b\n", "bots"), Some(998));
        assert_eq!(group("root:x:0:\n", "bots"), None);
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_holder() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let address = listener.local_addr().unwrap();
            let found = listening().unwrap().into_iter().find(|found| found.address == address).unwrap();
            assert_eq!(found.uid, rustix::process::geteuid().as_raw());
            assert!(holders(found.inode).contains(&std::process::id()), "{} {}", found.inode, listener.as_raw_fd());
        }
    }
}
