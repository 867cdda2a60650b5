//! Who is on the other end of a connection, and how many connections each may hold.
//!
//! A peer is known by the integers the kernel vouches for (`SO_PEERCRED`). Deliberately absent: process ids, which are
//! reused, and anything that the peer says about itself.

use crate::api::limits::Limits;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The other end of a connection. Every request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A loopback TCP connection: any local user may be behind it.
    Tcp(SocketAddr),
    /// A Unix socket connection.
    Unix {
        /// The effective user id of the process that connected.
        uid: u32,
        /// Its effective group id.
        gid: u32,
    },
}

impl Peer {
    /// What the peer is counted as.
    pub fn key(self) -> PeerKey {
        match self {
            Peer::Tcp(_) => PeerKey::Tcp,
            Peer::Unix { uid, .. } => PeerKey::Uid(uid),
        }
    }
}

/// What connections and refusals are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerKey {
    /// Everyone on loopback TCP.
    Tcp,
    /// One user on Unix sockets.
    Uid(u32),
}

/// `tcp`, `uid 1000`: the form that the ledger and the logs use.
impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerKey::Tcp => f.write_str("tcp"),
            PeerKey::Uid(uid) => write!(f, "uid {uid}"),
        }
    }
}

/// The open connections of one interface.
#[derive(Debug)]
pub struct Census {
    /// Most connections at the same time.
    most: usize,
    /// Most of one peer.
    most_per_peer: usize,
    /// Open connections by peer; a peer without any has no entry. Every [`Seat`] writes it too.
    open: Mutex<HashMap<PeerKey, usize>>,
}

/// The right to hold one connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Seat {
    /// Where the place is given back to.
    census: Arc<Census>,
    /// Whose place it is.
    key: PeerKey,
}

impl Census {
    /// A census with nobody in it.
    pub fn new(limits: &Limits) -> Arc<Census> {
        Arc::new(Census {
            most: limits.connections,
            most_per_peer: limits.connections_per_peer,
            open: Mutex::default(),
        })
    }

    /// Takes a place for one more connection, if the peer and the interface have one left.
    pub fn admit(self: &Arc<Self>, key: PeerKey) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = open.get(&key).copied().unwrap_or(0);
        if of_peer >= self.most_per_peer || open.values().sum::<usize>() >= self.most {
            return None;
        }
        open.insert(key, of_peer + 1);
        Some(Seat { census: Arc::clone(self), key })
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.census.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_the_place_of_another() {
        let census = Census::new(&Limits { connections: 3, connections_per_peer: 2, ..Limits::default() });
        let first = census.admit(PeerKey::Uid(1)).expect("a place");
        let _second = census.admit(PeerKey::Uid(1)).expect("a place");
        assert!(census.admit(PeerKey::Uid(1)).is_none());
        let _other = census.admit(PeerKey::Tcp).expect("a place");
        assert!(census.admit(PeerKey::Uid(2)).is_none(), "the interface is full");
        drop(first);
        assert_eq!(census.open(), 2);
        assert!(census.admit(PeerKey::Uid(1)).is_some());
    }
}
