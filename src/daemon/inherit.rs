//! Sockets that the service manager opened before the daemon started (sd_listen_fds(3)). It holds them also while the
//! daemon is down: nobody else can listen there, and who connects meanwhile is served by the next one.
//!
//! What a socket is for is told by its address, not by its place or name in the list: a socket of another address than the
//! configuration says must not be served as if it were that one.

#![allow(unsafe_code, reason = "a descriptor is a plain number until somebody owns it")]

use crate::daemon::listen::{ListenError, Listener, bind_tcp};
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
    tcp: Option<(SocketAddr, TcpListener)>,
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
            Address::Tcp(address) => {
                self.tcp = Some((address, TcpListener::from(socket)));
                Ok(())
            }
            Address::Unix(path) => {
                self.unix.push((path, UnixListener::from(socket)));
                Ok(())
            }
        }
    }

    /// Opens a TCP socket at this address if there was none at the start: the service manager's is the one that bots can
    /// reach, whatever port the configuration says. To be called while the process may still make such a socket.
    ///
    /// # Errors
    /// As [`bind_tcp`].
    pub fn with_tcp(self, address: SocketAddr) -> Result<Opened, ListenError> {
        let Inherited { tcp, unix } = self;
        let tcp = tcp.map_or_else(|| bind_tcp(address).map(|listener| (address, listener)), Ok)?;
        Ok(Opened { tcp, unix })
    }
}

/// The sockets that are open before the process is confined: those of the service manager, and the TCP port.
#[derive(Debug)]
pub struct Opened {
    tcp: (SocketAddr, TcpListener),
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Opened {
    /// The TCP socket. Must be called inside the runtime.
    ///
    /// # Errors
    /// [`ListenError::Tcp`].
    pub fn into_tcp(self) -> Result<Listener, ListenError> {
        let (address, listener) = self.tcp;
        let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
        listener.map(Listener::Tcp).map_err(|source| ListenError::Tcp { address, source })
    }

    /// The Unix socket of this path. Must be called inside the runtime.
    ///
    /// # Errors
    /// [`ListenError::Unix`].
    pub fn unix(&mut self, path: &Path) -> Result<Option<Listener>, ListenError> {
        let Some(at) = self.unix.iter().position(|(bound, _)| bound == path) else { return Ok(None) };
        let (path, listener) = self.unix.swap_remove(at);
        let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(listener));
        listener.map(Listener::Unix).map(Some).map_err(|source| ListenError::Unix { path, source })
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

    #[tokio::test]
    async fn a_socket_is_known_by_its_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign.sock");
        let free = "127.0.0.1:0".parse().unwrap();
        let mut opened = added(UnixListener::bind(&path).unwrap()).unwrap().with_tcp(free).unwrap();
        assert!(opened.unix(&dir.path().join("admin.sock")).unwrap().is_none());
        assert!(matches!(opened.nothing_left(), Err(ListenError::Unserved(left)) if left == path));
        assert!(opened.unix(&path).unwrap().is_some() && opened.nothing_left().is_ok());
        assert_ne!(opened.into_tcp().unwrap().tcp_address().unwrap().port(), 0);

        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let taken = added(tcp).unwrap().with_tcp(free).unwrap().into_tcp().unwrap();
        assert_eq!(taken.tcp_address(), Some(address));
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
