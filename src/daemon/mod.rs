//! The process: harden → files → vault → listen → serve → drain → lock. This is the one place where everything is put
//! together; nothing here decides anything.

pub mod clock;
pub mod drain;
pub mod harden;
pub mod listen;
pub mod log;
pub mod relay;
pub mod tend;

use crate::api::app::{About, App};
use crate::api::connection::Interface;
use crate::api::guard::Rules;
use crate::api::limits::Limits;
use crate::api::signer::Signer;
use crate::api::tally::RefusalCounts;
use crate::api::{admin_routes, bot_routes};
use crate::config::Config;
use crate::config::raw;
use crate::crypto::slot::SlotKind;
use crate::daemon::drain::Drained;
use crate::daemon::listen::{ListenError, Listener};
use crate::daemon::relay::Relayed;
use crate::recipe::{self, Recipe};
use crate::secret::heap::use_one_heap;
use crate::secret::{Arena, ArenaError, SecretBytes};
use crate::store::file::{self, Paths};
use crate::store::{Durability, StoreError};
use crate::types::clock::Clock;
use crate::vault::lock::Why;
use crate::vault::recipes::Recipes;
use crate::vault::unlock::{Accept, SlotKey, UnlockError};
use crate::vault::{Care, Setup, Vault};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// Admin's actions that may wait for the disk or hash at the same time.
const ORDINARY_ACTIONS: usize = 8;
/// Threads for them, and for the rows of actions that hold already: those wait briefly, all but one.
const HELPERS: usize = 2 * ORDINARY_ACTIONS;
/// File descriptors that bots leave alone: the daemon's own files and sockets, and its admin's connections.
const KEPT_DESCRIPTORS: u64 = 32;
/// The longest body of an admin's request: a policy with room to spare.
const ADMIN_BODY_BYTES: usize = 256 * 1024;

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another daemon holds the state directory.
    #[error("another daemon holds this state directory")]
    Held,
    /// The files of the vault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The run directory.
    #[error("cannot make the run directory")]
    RunDir(#[source] io::Error),
    /// No locked memory.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The vault did not unlock at the start.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// The kernel gave no runtime, thread or signal.
    #[error("the daemon could not start its threads")]
    Runtime(#[source] io::Error),
    /// The signing thread panicked.
    #[error("the signing thread ended; the vault is locked")]
    Broken,
}

impl DaemonError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            DaemonError::Held => "stop it first, or choose another --state-dir and --run-dir",
            DaemonError::Store(_) => "check who owns the state directory and its mode (0700)",
            DaemonError::Listen(_) => "choose another --listen address or --run-dir",
            DaemonError::RunDir(_) => "choose another --run-dir",
            DaemonError::Arena(_) => "raise the limit of locked memory (ulimit -l)",
            DaemonError::Unlock(_) => "start without --unlock-stdin, then see what `signvault unlock` says",
            DaemonError::Runtime(_) => "free memory and file descriptors",
            DaemonError::Broken => "please report this with the log",
        }
    }
}

/// Runs the daemon by this clock until it is told to stop.
///
/// # Errors
/// [`DaemonError`]. Whatever happened, the vault is locked when this returns.
pub fn run(config: Config, password: Option<SecretBytes>, clock: Arc<dyn Clock>) -> Result<(), DaemonError> {
    use_one_heap();
    let mut degraded = harden::harden();
    log::start(config.log_level, config.log_format);
    let paths = Paths { state_dir: config.state_dir.clone(), anchor_dir: config.anchor_dir.clone() };
    file::private_dir(&paths.state_dir)?;
    let _held_until_the_end = file::lock(&paths.lock())?.ok_or(DaemonError::Held)?;
    let arena = Arena::new()?;
    degraded.extend(arena.protection().degraded().map(str::to_owned));
    let vault = Arc::new(Vault::new(Setup {
        paths,
        durability: durability(&config),
        care: config.care(),
        clock,
        arena,
        recipes: Recipes::later(recipes),
    }));
    if let Some(secret) = password {
        vault.unlock(&SlotKey { kind: SlotKind::Password, secret }, Accept::default())?;
        vault.lay_out_log();
    }
    // One thread at a time serves every connection; waiting for hashes and for what is not signed has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(HELPERS).build();
    let runtime = runtime.map_err(DaemonError::Runtime)?;
    let max_wait = config.max_wait();
    let (signer, turns) = Signer::new(Arc::clone(&vault), max_wait);
    let serving = serve(config, Arc::clone(&vault), signer.clone(), degraded);
    let relayed = Relayed::start(runtime, (signer, turns), serving).map_err(DaemonError::Runtime)?;
    let served = relayed.watch().unwrap_or(Err(DaemonError::Broken));
    relayed.end(max_wait);
    lock_at_the_end(vault, max_wait);
    tracing::info!("stopped");
    served
}

/// Locks. A disk that hangs gets some more time for the row about it, and does not keep the process from ending.
fn lock_at_the_end(vault: Arc<Vault>, max_wait: Duration) {
    // Memory first: this waits for nobody.
    let Some(ledger) = vault.begin_to_lock(Why::Shutdown) else { return };
    let (tell, told) = std::sync::mpsc::channel();
    let closing = std::thread::Builder::new().name("closing".to_owned()).spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = tell.send(vault.finish_lock(&ledger).is_ok());
    });
    if closing.is_err() || !told.recv_timeout(4 * max_wait).unwrap_or(false) {
        tracing::error!("the vault is locked, but the ledger row about it could not be written");
    }
}

fn durability(config: &Config) -> Durability {
    match config.durability {
        raw::Durability::Full => Durability::Full,
        raw::Durability::Process => Durability::Process,
    }
}

impl Config {
    fn max_wait(&self) -> Duration {
        Duration::from_millis(self.max_wait_ms.into())
    }

    fn care(&self) -> Care {
        Care {
            max_wait: self.max_wait(),
            low_space_bytes: self.low_space_mib * 1024 * 1024,
            log_head_rows: self.log_head_rows,
            log_head_ms: self.log_head_minutes * 60_000,
        }
    }
}

/// The recipes that were compiled in.
fn recipes() -> BTreeMap<String, Arc<Recipe>> {
    let parsed = recipe::built_in_names().map(|name| {
        let recipe = recipe::built_in(name).and_then(|text| Recipe::parse(text).ok());
        (name.to_owned(), Arc::new(recipe.expect("every recipe that is compiled in parses; a test says so")))
    });
    parsed.collect()
}

/// Listens, serves, and drains when a signal says so.
async fn serve(config: Config, vault: Arc<Vault>, signer: Signer, degraded: Vec<String>) -> Result<(), DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Runtime)?;
    let (stop, stopping) = watch::channel(false);
    let sockets = Sockets::bind(&config)?;
    let counts = Arc::new(RefusalCounts::default());
    let about = Arc::new(about(&config, &vault, sockets.address, degraded));
    let (ordinary, max_wait) = (Arc::new(Semaphore::new(ORDINARY_ACTIONS)), config.max_wait());
    let app = App { vault: Arc::clone(&vault), signer, counts: Arc::clone(&counts), about, ordinary, max_wait };
    announce(&app);
    let mut serving = tokio::task::JoinSet::new();
    for (listener, interface) in sockets.interfaces(&config, &app) {
        serving.spawn(listen::serve(listener, interface, stopping.clone()));
    }
    let tending = tokio::spawn(tend::tend(Arc::clone(&vault), Arc::clone(&counts)));
    let ahead = tokio::spawn(tend::tend_ahead(Arc::clone(&vault), app.signer.clone()));
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = app.signer.gone() => Err(DaemonError::Broken),
    };
    tracing::info!("stopping: requests in flight are finished, new ones refused");
    stop.send_replace(true);
    while let Some(drained) = serving.join_next().await {
        if let Ok(Drained::CutOff(connections)) = drained {
            tracing::warn!(connections, "connections were cut off");
        }
    }
    tending.abort();
    ahead.abort();
    // Not known of a disk that hangs.
    let _ = tokio::time::timeout(config.max_wait(), tend::note_refusals(&vault, &counts)).await;
    ended
}

/// What the daemon listens on, and where.
struct Sockets {
    tcp: Listener,
    sign: Listener,
    admin: Listener,
    address: SocketAddr,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Sockets, DaemonError> {
        make_run_dir(&config.run_dir).map_err(DaemonError::RunDir)?;
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let group = |name| listen::find_group(&groups, name);
        let tcp = listen::bind_tcp(config.listen)?;
        let sign = listen::bind_unix(&config.run_dir, "sign.sock", group("signvault-bots"))?;
        let admin = listen::bind_unix(&config.run_dir, "admin.sock", group("signvault-admin"))?;
        let address = tcp.tcp_address().unwrap_or(config.listen);
        Ok(Sockets { tcp, sign, admin, address })
    }

    fn interfaces(self, config: &Config, app: &App) -> [(Listener, Arc<Interface>); 3] {
        let most = most_connections(config);
        let limits = Limits { connections: most, connections_per_peer: most, ..Limits::default() };
        // The kernel tells users of a socket apart, so none of them may take every place; over TCP it does not.
        let shared = Limits { connections_per_peer: (most / 2).max(1), ..limits.clone() };
        let admin_limits = Limits { body_bytes: ADMIN_BODY_BYTES, ..Limits::default() };
        let over_tcp = Rules::tcp(self.address.port(), &config.allowed_hosts, &limits);
        let interface = |routes, rules, limits| Interface::new(routes, rules, limits, Arc::clone(&app.counts));
        [
            (self.tcp, interface(bot_routes(app.clone()), over_tcp, limits.clone())),
            (self.sign, interface(bot_routes(app.clone()), Rules::unix(&limits), shared)),
            (self.admin, interface(admin_routes(app.clone()), Rules::unix(&admin_limits), admin_limits)),
        ]
    }
}

/// As many connections for each of the bots' interfaces as were configured, or as leave enough files to the rest: a crowd
/// on one must not shut out the bots on the other, the admin or the database.
fn most_connections(config: &Config) -> usize {
    let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_each = usize::try_from(open_files.saturating_sub(KEPT_DESCRIPTORS) / 2).unwrap_or(usize::MAX);
    (config.max_connections as usize).min(for_each.max(1))
}

/// Makes the run directory with mode 0755: bots must reach their socket in it.
fn make_run_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    // The umask is stricter than this directory may be.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

fn about(config: &Config, vault: &Vault, address: SocketAddr, degraded: Vec<String>) -> About {
    About {
        listen: address.to_string(),
        sign_socket: config.sign_socket().display().to_string(),
        admin_socket: config.admin_socket().display().to_string(),
        memory: vault.arena().protection().as_str().to_owned(),
        degraded,
        admin_uids: config.admin_uids.clone(),
    }
}

fn announce(app: &App) {
    let state = match (app.vault.is_unlocked(), app.vault.is_initialized()) {
        (true, _) => "unlocked",
        (false, true) => "locked: run `signvault unlock`",
        (false, false) => "uninitialized: run `signvault init`",
    };
    tracing::info!(listen = %app.about.listen, sign_socket = %app.about.sign_socket, state, "listening");
    for words in &app.about.degraded {
        tracing::warn!(degraded = %words, "hardening");
    }
}
