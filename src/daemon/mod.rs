//! The process: harden → files → listen → confine → vault → serve → drain → lock. This is the one place where everything is put
//! together; nothing here decides anything.

pub mod clock;
pub mod drain;
pub mod harden;
pub mod inherit;
pub mod listen;
pub mod log;
pub mod notify;
pub mod relay;
pub mod reload;
pub mod runtime;
pub mod sandbox;
pub mod sockets;
pub mod tend;
pub mod unattended;

use crate::api::app::{About, App};
use crate::api::signer::Signer;
use crate::api::tally::RefusalCounts;
use crate::config::{self, Config, Env, Flags, raw};
use crate::crypto::self_check::{self, self_check};
use crate::daemon::drain::Drained;
use crate::daemon::inherit::Inherited;
use crate::daemon::listen::ListenError;
use crate::daemon::notify::Watchdog;
use crate::daemon::relay::{Look, Relayed};
use crate::daemon::reload::{Reading, Reload};
use crate::daemon::sandbox::Reach;
use crate::daemon::sockets::Sockets;
use crate::recipe::{self, Recipe};
use crate::secret::heap::use_one_heap;
use crate::secret::{Arena, ArenaError, SecretBytes};
use crate::store::file::{self, Paths};
use crate::store::{Durability, StoreError};
use crate::types::clock::Clock;
use crate::vault::lock::Why;
use crate::vault::recipes::Recipes;
use crate::vault::unlock::UnlockError;
use crate::vault::{Care, Setup, Vault};
use crate::wire::Hardening;
use parking_lot::RwLock;
use sd_notify::NotifyState;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// Admin's actions that may wait for the disk or hash at the same time.
const ORDINARY_ACTIONS: usize = 8;
/// Threads for them, and for the rows of actions that hold already: those wait briefly, all but one.
const HELPERS: usize = 2 * ORDINARY_ACTIONS;

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
    /// Something of the hardening is missing that the configuration requires.
    #[error("the process could not be hardened as required: {}", .0.join("; "))]
    Degraded(Vec<String>),
    /// An algorithm computes wrongly.
    #[error(transparent)]
    SelfCheck(#[from] self_check::Wrong),
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
            DaemonError::Degraded(_) => "give the machine what is missing, or set require_hardening = false",
            DaemonError::SelfCheck(_) => "sign nothing on this machine: its processor, memory or this build is broken",
            DaemonError::Broken => "please report this with the log",
        }
    }
}

/// What the daemon is started with.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// Where it came from, to read it again.
    pub source: (Flags, Env),
    /// The password to unlock with, when it is to unlock at once.
    pub password: Option<SecretBytes>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// [`DaemonError`]. Whatever happened, the vault is locked when this returns.
pub fn run(start: Start) -> Result<(), DaemonError> {
    use_one_heap();
    let Start { config, source, password, clock } = start;
    // What comes from the environment is taken before that is forgotten.
    let (inherited, watchdog) = (Inherited::take()?, Arc::new(Watchdog::asked_for()));
    let to_journal = log::is_journal(source.1.text("JOURNAL_STREAM"));
    let mut hardening = vec![harden::forget_environment()];
    hardening.extend(harden::harden());
    let set_level = log::start(config.log_level, config.log_format, to_journal);
    self_check()?;
    let paths = Paths { state_dir: config.state_dir.clone(), anchor_dir: config.anchor_dir.clone() };
    let _held_until_the_end = hold(&config, &paths)?;
    let arena = Arena::new()?;
    hardening.extend(harden::key_memory(arena.protection()));
    let first = unattended::FirstUnlock::with(password, &source.1);
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let sockets = Sockets::bind(&config, &groups, inherited)?;
    hardening.extend(confine(&config, &source));
    require(&config, &hardening)?;
    let vault = Arc::new(Vault::new(Setup {
        paths,
        durability: durability(&config),
        care: config.care(),
        clock,
        arena,
        recipes: Recipes::later(recipes),
    }));
    // One thread at a time serves every connection; waiting for hashes and for what is not signed has threads of its own.
    let runtime = runtime::build(HELPERS).map_err(DaemonError::Runtime)?;
    // To be told to read the configuration again during an unlock is no reason to end.
    let hangup = runtime.block_on(async { signal(SignalKind::hangup()) }).map_err(DaemonError::Runtime)?;
    first.run(&vault)?;
    let read = Arc::new(move || Config::load(&source.0, &source.1));
    let admin_uids = Arc::new(RwLock::new(config.admin_uids.clone()));
    let reload = Reload { read, set_level, vault: Arc::clone(&vault), admin_uids };
    run_vault(runtime, Served { config, sockets, hardening, reload, watchdog, hangup }, vault)
}

/// Makes the directories that are not there, and takes the state directory for this process alone.
fn hold(config: &Config, paths: &Paths) -> Result<OwnedFd, DaemonError> {
    file::private_dir(&paths.state_dir)?;
    file::private_dir(&paths.anchor_dir)?;
    make_run_dir(&config.run_dir).map_err(DaemonError::RunDir)?;
    file::lock(&paths.lock())?.ok_or(DaemonError::Held)
}

/// Gives up what the daemon does not need, before there is another thread: each has what the one that started it has.
fn confine(config: &Config, source: &(Flags, Env)) -> [Hardening; 2] {
    let configuration = config::file_in_use(&source.0, &source.1);
    let reach = Reach {
        own: [&config.state_dir, &config.anchor_dir],
        configuration: configuration.as_deref().and_then(Path::parent).map(Path::to_owned),
        nameless: source.1.text("NOTIFY_SOCKET").is_some_and(|address| address.starts_with('@')),
    };
    [sandbox::confine_files(&reach), sandbox::confine_calls()]
}

/// Refuses to go on with less than what the configuration requires.
fn require(config: &Config, hardening: &[Hardening]) -> Result<(), DaemonError> {
    let missing = harden::missing(hardening);
    for item in hardening {
        match item.holds {
            true => tracing::info!(item = %item.item, detail = %item.detail, "hardened"),
            false => tracing::warn!(item = %item.item, detail = %item.detail, "not hardened"),
        }
    }
    match config.require_hardening && !missing.is_empty() {
        true => Err(DaemonError::Degraded(missing)),
        false => Ok(()),
    }
}

/// What is served with, besides the vault.
struct Served {
    config: Config,
    sockets: Sockets,
    hardening: Vec<Hardening>,
    reload: Reload,
    watchdog: Arc<Watchdog>,
    hangup: Signal,
}

/// Serves a vault, and locks it in the end.
fn run_vault(runtime: Runtime, served: Served, vault: Arc<Vault>) -> Result<(), DaemonError> {
    let max_wait = served.config.max_wait();
    let (signer, turns) = Signer::new(Arc::clone(&vault), max_wait);
    let look: Look = {
        let (signer, vault, watchdog) = (signer.clone(), Arc::clone(&vault), Arc::clone(&served.watchdog));
        Box::new(move |turn| {
            signer.look();
            watchdog.look(|| turn.filter(|_| vault.disk_work().is_none()));
        })
    };
    let serving = serve(served, Arc::clone(&vault), signer.clone());
    let relayed = Relayed::start(runtime, (signer, turns), look, serving).map_err(DaemonError::Runtime)?;
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
async fn serve(served: Served, vault: Arc<Vault>, signer: Signer) -> Result<(), DaemonError> {
    let Served { mut config, sockets, hardening, reload, watchdog, hangup } = served;
    let mut signals = Signals::listen(hangup).map_err(DaemonError::Runtime)?;
    let (stop, stopping) = watch::channel(false);
    let counts = Arc::new(RefusalCounts::default());
    let about = Arc::new(about(&config, &vault, sockets.address, hardening, Arc::clone(&reload.admin_uids)));
    let (ordinary, max_wait) = (Arc::new(Semaphore::new(ORDINARY_ACTIONS)), config.max_wait());
    let app = App { vault: Arc::clone(&vault), signer, counts: Arc::clone(&counts), about, ordinary, max_wait };
    let mut serving = tokio::task::JoinSet::new();
    for (listener, interface) in sockets.interfaces(&config, &app).map_err(DaemonError::Runtime)? {
        serving.spawn(listen::serve(listener, interface, stopping.clone()));
    }
    let mut beside = tokio::task::JoinSet::new();
    beside.spawn(tend::tend(Arc::clone(&vault), Arc::clone(&counts)));
    beside.spawn(tend::tend_ahead(Arc::clone(&vault), app.signer.clone()));
    beside.spawn(notify::keep_told(Arc::clone(&vault)));
    beside.spawn(async move { watchdog.beat().await });
    announce(&app);
    let mut reading = Reading::default();
    let ended = loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break Ok(()),
                Told::Reload => reading.begin(&reload),
            },
            read = reading.done() => config = reading.take(&reload, config, read),
            () = app.signer.gone() => break Err(DaemonError::Broken),
        }
    };
    notify::tell(&[NotifyState::Stopping]);
    tracing::info!("stopping: requests in flight are finished, new ones refused");
    stop.send_replace(true);
    while let Some(drained) = serving.join_next().await {
        if let Ok(Drained::CutOff(connections)) = drained {
            tracing::warn!(connections, "connections were cut off");
        }
    }
    beside.abort_all();
    // Not known of a disk that hangs.
    let _ = tokio::time::timeout(config.max_wait(), tend::note_refusals(&vault, &counts)).await;
    ended
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal says.
enum Told {
    Stop,
    Reload,
}

impl Signals {
    fn listen(hangup: Signal) -> io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
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

fn about(
    config: &Config,
    vault: &Vault,
    address: Option<SocketAddr>,
    hardening: Vec<Hardening>,
    admin_uids: Arc<RwLock<Vec<u32>>>,
) -> About {
    About {
        listen: address.map_or_else(|| "none".to_owned(), |address| address.to_string()),
        sign_socket: config.sign_socket().display().to_string(),
        admin_socket: config.admin_socket().display().to_string(),
        memory: vault.arena().protection().as_str().to_owned(),
        degraded: harden::missing(&hardening),
        hardening,
        admin_uids,
    }
}

/// Says, in the log and to the service manager, that everything is there.
fn announce(app: &App) {
    let state = notify::ready(&app.vault);
    tracing::info!(listen = %app.about.listen, sign_socket = %app.about.sign_socket, state, "listening");
}
