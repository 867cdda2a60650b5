//! Listening: loopback TCP, Unix sockets, and the loop that accepts.
//!
//! Sockets are made before the process gives up the right to make any, and become the runtime's after that.
//!
//! Architecture Invariant: nothing here can listen on an address that another machine reaches, and no socket file is
//! replaced unless it is ours and nobody answers on it.

use crate::api::connection::Interface;
use crate::api::peer::{Census, Peer};
use crate::daemon::drain::{Drained, drain};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::{Gid, geteuid};
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener as BlockingTcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as BlockingUnixListener, UnixStream as BlockingUnixStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The longest path that fits into a socket address (`sun_path` of unix(7), without its final zero).
const LONGEST_PATH: usize = 107;

/// How long the loop rests after it could not accept, at first and at most.
const FIRST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Why the daemon cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is reachable from other machines.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The port is taken or may not be had.
    #[error("cannot listen on {address}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The run directory is a symlink, someone else's, or open to others.
    #[error("{0} is not a directory that only this user and root can write to")]
    Directory(PathBuf),
    /// The path is too long for a socket address.
    #[error("{0} is longer than the 106 bytes that a socket's path may have here")]
    PathTooLong(PathBuf),
    /// Something that is not a socket of this user has the socket's name.
    #[error("{0} exists and is not a socket of this user")]
    Occupied(PathBuf),
    /// Another daemon listens there or is just about to.
    #[error("{0} is in use by another daemon")]
    InUse(PathBuf),
    /// The service manager opened something that can't be served.
    #[error("the service manager opened {0}")]
    Inherited(&'static str),
    /// The service manager opened a socket that the configuration does not name.
    #[error("the service manager opened {0}, and nothing here is served there")]
    Unserved(PathBuf),
    /// The kernel refused.
    #[error("cannot listen on {path}")]
    Unix {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// On loopback.
    Tcp(TcpListener),
    /// In a run directory.
    Unix(UnixListener),
}

/// A connection of either kind.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// A socket as the runtime's, inside of which this must be called.
    pub fn of_tcp(listener: BlockingTcpListener) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Listener::Tcp)
    }

    /// A socket as the runtime's, inside of which this must be called.
    pub fn of_unix(listener: BlockingUnixListener) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Listener::Unix)
    }

    /// The address that was bound, with the real port where port 0 was asked for; none for a Unix socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are written in one piece; waiting to fill a packet would only delay them.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let credentials = stream.peer_cred()?;
                Ok((Stream::Unix(stream), Peer::Unix { uid: credentials.uid(), gid: credentials.gid() }))
            }
        }
    }
}

/// Listens on a loopback address.
pub fn bind_tcp(address: SocketAddr) -> Result<BlockingTcpListener, ListenError> {
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    BlockingTcpListener::bind(address).map_err(|source| ListenError::Tcp { address, source })
}

/// Listens on `directory/name` with mode 0660, given to `group` where that group exists and this process may give it.
///
/// A socket that a dead daemon left behind is taken over; the directory stays locked meanwhile, so that of two daemons
/// that start together one is told [`ListenError::InUse`].
pub fn bind_unix(directory: &Path, name: &str, group: Option<Gid>) -> Result<BlockingUnixListener, ListenError> {
    let (path, hidden) = (directory.join(name), directory.join(format!(".{name}")));
    if hidden.as_os_str().len() > LONGEST_PATH {
        return Err(ListenError::PathTooLong(path));
    }
    let _lock = lock_directory(directory, &path)?;
    clear_stale(&path)?;
    clear_stale(&hidden)?;
    listen_at(&path, &hidden, group).map_err(|source| ListenError::Unix { path, source })
}

/// Opens and locks the run directory, if nobody but this user and root can put anything into it.
fn lock_directory(directory: &Path, path: &Path) -> Result<OwnedFd, ListenError> {
    let unfit = |_| ListenError::Directory(directory.to_owned());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(unfit)?;
    let stat = rustix::fs::fstat(&opened).map_err(unfit)?;
    let trusted = stat.st_uid == 0 || stat.st_uid == geteuid().as_raw();
    if !trusted || Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
        return Err(ListenError::Directory(directory.to_owned()));
    }
    rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| ListenError::InUse(path.to_owned()))?;
    Ok(opened)
}

/// Removes the socket of a daemon that is gone. Anything else that has the name stays and is an error.
fn clear_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source: io::Error| ListenError::Unix { path: path.to_owned(), source };
    let stat = match rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    };
    if !FileType::from_raw_mode(stat.st_mode).is_socket() || stat.st_uid != geteuid().as_raw() {
        return Err(ListenError::Occupied(path.to_owned()));
    }
    match BlockingUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        _ => Err(ListenError::InUse(path.to_owned())),
    }
}

/// The socket is made under a hidden name and gets its own once it listens with the right mode and group: whoever sees
/// the name can connect.
fn listen_at(path: &Path, hidden: &Path, group: Option<Gid>) -> io::Result<BlockingUnixListener> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(hidden)?)?;
    if let Some(group) = group
        && let Err(error) = rustix::fs::chown(hidden, None, Some(group))
    {
        // Someone who runs an own daemon where the package is installed is not always in its groups.
        tracing::warn!(path = %path.display(), group = group.as_raw(), %error, "socket keeps its own group");
    }
    std::fs::set_permissions(hidden, Permissions::from_mode(0o660))?;
    rustix::net::listen(&socket, BACKLOG)?;
    std::fs::rename(hidden, path)?;
    Ok(BlockingUnixListener::from(socket))
}

/// The id of a group of this machine, from the text of `/etc/group` (group(5)). The groups asked for here are made by
/// sysusers and stand in that file; asking the name service would take unsafe code.
pub fn find_group(groups: &str, name: &str) -> Option<Gid> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let matches = fields.next() == Some(name);
        let id = fields.nth(1)?.parse().ok()?;
        matches.then(|| Gid::from_raw(id))
    })
}

/// Accepts and serves connections until `stop` holds true, then lets what is in flight finish.
pub async fn serve(listener: Listener, interface: Arc<Interface>, mut stop: watch::Receiver<bool>) -> Drained {
    let census = Census::new(interface.limits());
    let mut connections = JoinSet::new();
    let mut rest = FIRST_REST;
    let stopping = stop.clone();
    let mut stopped = pin!(async { drop(stop.wait_for(|stop| *stop).await) });
    loop {
        tokio::select! {
            biased;
            () = stopped.as_mut() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    rest = FIRST_REST;
                    open(&mut connections, &interface, &census, (stream, peer), stopping.clone());
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    // Usually no file descriptor is free: the connection stays in the queue, and asking again at once
                    // would spin until one is.
                    tracing::warn!(%error, rest_ms = rest.as_millis(), "cannot accept connections");
                    tokio::time::sleep(rest).await;
                    rest = LONGEST_REST.min(rest * 2);
                }
            },
        }
    }
    drop(listener);
    drain(connections, interface.limits().drain_time).await
}

/// Starts to serve a connection, or closes it where its peer has no place left.
fn open(
    connections: &mut JoinSet<()>,
    interface: &Arc<Interface>,
    census: &Arc<Census>,
    (stream, peer): (Stream, Peer),
    stop: watch::Receiver<bool>,
) {
    let Some(seat) = census.admit(peer.key()) else {
        interface.counts().record(peer.key(), "http.connections");
        return;
    };
    let interface = Arc::clone(interface);
    connections.spawn(async move {
        match stream {
            Stream::Tcp(stream) => interface.serve(stream, peer, stop).await,
            Stream::Unix(stream) => interface.serve(stream, peer, stop).await,
        }
        drop(seat);
    });
}

/// Errors of the connection that was to be accepted, not of the listener: accept(2) passes them on.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

#[cfg(test)]
mod tests;
