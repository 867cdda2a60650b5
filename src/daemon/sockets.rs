//! What the daemon listens on: sockets that the service manager opened, and its own where it opened none.

use crate::api::app::App;
use crate::api::connection::Interface;
use crate::api::guard::Rules;
use crate::api::limits::Limits;
use crate::api::{admin_routes, bot_routes};
use crate::config::Config;
use crate::daemon::inherit::Inherited;
use crate::daemon::listen::{self, ListenError, Listener};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

/// File descriptors that bots leave alone: the daemon's own files and sockets, and its admin's connections.
const KEPT_DESCRIPTORS: u64 = 32;
/// The longest body of an admin's request: a policy with room to spare.
const ADMIN_BODY_BYTES: usize = 256 * 1024;

/// What the daemon listens on, and where.
#[derive(Debug)]
pub struct Sockets {
    tcp: Option<TcpListener>,
    sign: UnixListener,
    admin: UnixListener,
    /// Where the bots' TCP port really is, if there is one.
    pub address: Option<SocketAddr>,
}

impl Sockets {
    /// Takes the sockets that are there already, and opens the others. `groups` is the text of `/etc/group`. To be called
    /// while the process may make sockets; who connects before they are served waits.
    ///
    /// # Errors
    /// [`ListenError`]
    pub fn bind(config: &Config, groups: &str, mut inherited: Inherited) -> Result<Sockets, ListenError> {
        let mut unix = |path: PathBuf, name: &str, group: &str| match inherited.unix(&path) {
            Some(listener) => Ok(listener),
            None => listen::bind_unix(&config.run_dir, name, listen::find_group(groups, group)),
        };
        let sign = unix(config.sign_socket(), "sign.sock", "signvault-bots")?;
        let admin = unix(config.admin_socket(), "admin.sock", "signvault-admin")?;
        let tcp = match inherited.tcp() {
            Some(listener) => Some(listener),
            None => own_port(config.listen)?,
        };
        inherited.nothing_left()?;
        let address = tcp.as_ref().map(|tcp| tcp.local_addr().unwrap_or(config.listen));
        Ok(Sockets { tcp, sign, admin, address })
    }

    /// Each socket with what is served on it. Must be called inside the runtime.
    ///
    /// # Errors
    /// The runtime could not take a socket.
    pub fn interfaces(self, config: &Config, app: &App) -> io::Result<Vec<(Listener, Arc<Interface>)>> {
        let most = most_connections(config);
        let limits = Limits { connections: most, connections_per_peer: most, ..Limits::default() };
        // The kernel tells users of a socket apart, so none of them may take every place; over TCP it does not.
        let shared = Limits { connections_per_peer: (most / 2).max(1), ..limits.clone() };
        let admin_limits = Limits { body_bytes: ADMIN_BODY_BYTES, ..Limits::default() };
        let interface = |routes, rules, limits| Interface::new(routes, rules, limits, Arc::clone(&app.counts));
        let over_unix = Rules::unix(&limits);
        let mut served = vec![
            (Listener::of_unix(self.sign)?, interface(bot_routes(app.clone()), over_unix, shared)),
            (
                Listener::of_unix(self.admin)?,
                interface(admin_routes(app.clone()), Rules::unix(&admin_limits), admin_limits),
            ),
        ];
        if let (Some(tcp), Some(address)) = (self.tcp, self.address) {
            let rules = Rules::tcp(address.port(), &config.allowed_hosts, &limits);
            served.push((Listener::of_tcp(tcp)?, interface(bot_routes(app.clone()), rules, limits)));
        }
        Ok(served)
    }
}

/// The bots' port, opened by this process. None where the process may have no network at all, as in a unit whose own socket
/// for it is not enabled: bots use the Unix socket there.
fn own_port(address: SocketAddr) -> Result<Option<TcpListener>, ListenError> {
    match listen::bind_tcp(address) {
        Err(ListenError::Tcp { source, .. }) if source.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            tracing::warn!("no port for bots: this process may not open one, and the service manager opened none");
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

/// As many connections for each of the bots' interfaces as were configured, or as leave enough files to the rest: a crowd
/// on one must not shut out the bots on the other, the admin or the database.
fn most_connections(config: &Config) -> usize {
    let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_each = usize::try_from(open_files.saturating_sub(KEPT_DESCRIPTORS) / 2).unwrap_or(usize::MAX);
    (config.max_connections as usize).min(for_each.max(1))
}
