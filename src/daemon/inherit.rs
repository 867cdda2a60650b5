//! Sockets that the service manager opened before the daemon started (sd_listen_fds(3)). It holds them also while the
//! daemon is down: nobody else can listen there, and who connects meanwhile is served by the next one.
//!
//! What a socket is for is told by its address, not by its place or name in the list: a socket of another address than the
//! configuration says must not be served as if it were that one.

#![allow(unsafe_code, reason = "a descriptor is a plain number until somebody owns it")]

use crate::daemon::listen::ListenError;
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{SocketAddrAny, SocketType};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The sockets that were there at the start.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Option<TcpListener>,
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Inherited {
    /// Takes over the sockets that this process was started with. Called once, before anything else opens a file.
    ///
    /// # Errors
    /// [`ListenError::Inherited`] for something that is no listening stream socket, and [`ListenError::NotLoopback`].
    pub fn take() -> Result<Inherited, ListenError> {
        let numbers = sd_notify::listen_fds().map_err(|_| ListenError::Inherited("the list of sockets"))?;
        // SAFETY: the service manager gave these descriptors to this process, and nothing here has opened or taken any.
        let sockets = numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
        let mut inherited = Inherited::default();
        // All of them are owned before one is refused.
        sockets.collect::<Vec<_>>().into_iter().try_for_each(|socket| inherited.add(socket))?;
        Ok(inherited)
    }

    fn add(&mut self, socket: OwnedFd) -> Result<(), ListenError> {
        let listens = socket_acceptconn(&socket).unwrap_or(false);
        if !listens || socket_type(&socket).ok() != Some(SocketType::STREAM) {
            return Err(ListenError::Inherited("something that is no listening stream socket"));
        }
        match address(&socket)? {
            Address::Tcp(address) if !address.ip().is_loopback() => Err(ListenError::NotLoopback(address)),
            Address::Tcp(_) if self.tcp.is_some() => Err(ListenError::Inherited("two TCP sockets")),
            Address::Tcp(_) => {
                self.tcp = Some(TcpListener::from(socket));
                Ok(())
            }
            Address::Unix(path) => {
                self.unix.push((path, UnixListener::from(socket)));
                Ok(())
            }
        }
    }

    /// The TCP socket, whatever port the configuration says: the service manager's is the one that bots can reach.
    pub fn tcp(&mut self) -> Option<TcpListener> {
        self.tcp.take()
    }

    /// The Unix socket of this path.
    pub fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let at = self.unix.iter().position(|(bound, _)| bound == path)?;
        Some(self.unix.swap_remove(at).1)
    }

    /// That nothing is left that nobody serves: whoever connected there would wait for ever.
    ///
    /// # Errors
    /// [`ListenError::Unserved`].
    pub fn nothing_left(&self) -> Result<(), ListenError> {
        match self.unix.first() {
            None => Ok(()),
            Some((path, _)) => Err(ListenError::Unserved(path.clone())),
        }
    }
}

enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

fn address(socket: &impl AsFd) -> Result<Address, ListenError> {
    let unknown = || ListenError::Inherited("a socket of another kind than TCP and Unix with a path");
    let any: SocketAddrAny = rustix::net::getsockname(socket).map_err(|_| unknown())?;
    if let Ok(address) = SocketAddr::try_from(any.clone()) {
        return Ok(Address::Tcp(address));
    }
    let unix = rustix::net::SocketAddrUnix::try_from(any).map_err(|_| unknown())?;
    let path = unix.path().ok_or_else(unknown)?;
    Ok(Address::Unix(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(socket: impl Into<OwnedFd>) -> Result<Inherited, ListenError> {
        let mut inherited = Inherited::default();
        inherited.add(socket.into()).map(|()| inherited)
    }

    #[test]
    fn a_socket_is_known_by_its_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign.sock");
        let mut inherited = added(UnixListener::bind(&path).unwrap()).unwrap();
        assert!(inherited.unix(&dir.path().join("admin.sock")).is_none() && inherited.tcp().is_none());
        assert!(matches!(inherited.nothing_left(), Err(ListenError::Unserved(left)) if left == path));
        assert!(inherited.unix(&path).is_some() && inherited.nothing_left().is_ok());

        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        assert_eq!(added(tcp).unwrap().tcp().unwrap().local_addr().unwrap(), address);
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(added(udp), Err(ListenError::Inherited(_))));
        assert!(matches!(added(std::fs::File::open("/dev/null").unwrap()), Err(ListenError::Inherited(_))));
        let open_to_all = TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(matches!(added(open_to_all), Err(ListenError::NotLoopback(_))));
        let mut two = added(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        assert!(two.add(TcpListener::bind("127.0.0.1:0").unwrap().into()).is_err());
    }
}
