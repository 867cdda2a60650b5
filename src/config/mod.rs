//! The configuration: defaults, then a file, then `SIGNVAULT_*`, then flags; and what it means, worked out once.
//!
//! The environment comes in as a value ([`Env`]), so nothing here or above depends on what a test's own process was
//! started with. Deliberately absent: secrets. No key, no variable and no flag takes one.

pub mod file;
pub mod raw;

use raw::{Durability, File, LogFormat, LogLevel, NotAFile};
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The configuration file for the whole machine.
const SYSTEM_FILE: &str = "/etc/signvault/signvault.toml";

/// What people name where they want no file.
const NO_FILE: &str = "/dev/null";

const MAX_WAIT: &str = "audit.max_wait_ms is 100 to 60000";
const LOW_SPACE: &str = "audit.low_space_mib is 0 to 1048576";
const LOG_HEAD_ROWS: &str = "audit.log_head_rows is 1 to 1000000000";
const LOG_HEAD_MINUTES: &str = "audit.log_head_minutes is 1 to 10080";

/// What the process was started with: the environment, the working directory, and whether the user is root.
///
/// Not `Debug`: secrets of other programs may stand in the environment.
#[derive(Clone, Default)]
pub struct Env {
    /// The environment's variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// The directory that relative paths on the command line start from.
    pub working_dir: PathBuf,
    /// Whether the effective user is root.
    pub root: bool,
}

impl Env {
    /// Reads this process's environment.
    pub fn of_process() -> Env {
        Env {
            variables: std::env::vars_os().collect(),
            working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            root: rustix::process::geteuid().is_root(),
        }
    }

    /// A variable that is set to something.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(&OsString::from(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A variable that is set to some text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(&OsString::from(name))?.to_str().filter(|value| !value.is_empty())
    }

    /// A path from the command line or the environment, made absolute.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.working_dir.join(path)
    }

    /// An XDG base directory; the specification says to ignore a relative one.
    fn base_dir(&self, name: &str) -> Option<PathBuf> {
        self.path(name).filter(|path| path.is_absolute())
    }

    fn home(&self) -> Result<PathBuf, ConfigError> {
        self.base_dir("HOME").ok_or(ConfigError::NoHome)
    }
}

/// What the command line says about the configuration. Flags win over everything else.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`: this file instead of the usual ones.
    pub config: Option<PathBuf>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--anchor-dir`
    pub anchor_dir: Option<PathBuf>,
    /// `--run-dir`
    pub run_dir: Option<PathBuf>,
    /// `--listen` of `serve`.
    pub listen: Option<SocketAddr>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// The configuration, as meant: every value decided, every path absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The loopback address for bots; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `Host` values that the TCP port accepts besides its own.
    pub allowed_hosts: Vec<String>,
    /// The directory of the vault.
    pub state_dir: PathBuf,
    /// The directory of the rollback anchor.
    pub anchor_dir: PathBuf,
    /// The directory of both sockets.
    pub run_dir: PathBuf,
    /// Whether the daemon refuses to start where something of its own hardening is missing.
    pub require_hardening: bool,
    /// User ids that may use the admin socket besides root and the daemon's own.
    pub admin_uids: Vec<u32>,
    /// What an acknowledged ledger row survives.
    pub durability: Durability,
    /// How long anyone waits for the disk, in milliseconds: 100 to 60 000.
    pub max_wait_ms: u32,
    /// With less free space than this, in MiB, everyone may only read and cancel; 0 switches that off.
    pub low_space_mib: u64,
    /// The ledger's head is logged at least every so many rows.
    pub log_head_rows: u64,
    /// The ledger's head is logged at least every so many minutes, if there were rows.
    pub log_head_minutes: u64,
    /// Connections of bots open at once: 1 to 32 768.
    pub max_connections: u32,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
    /// How a log line is written.
    pub log_format: LogFormat,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A configuration file cannot be read.
    #[error("cannot read the configuration file {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// A configuration file says something that is not understood.
    #[error("the configuration file {} is not understood: {}", .0.display(), .1)]
    File(PathBuf, NotAFile),
    /// A variable holds something that is not understood.
    #[error("the variable {name} is not understood: {expected}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it may hold.
        expected: &'static str,
    },
    /// A path in a configuration file is relative, so it would depend on where a command is run.
    #[error("{0} in a configuration file is an absolute path")]
    RelativePath(&'static str),
    /// Neither root nor a home directory.
    #[error("there is no home directory to keep a vault in")]
    NoHome,
    /// The address is reachable from other machines.
    #[error("only a loopback address may be listened on")]
    NotLoopback,
    /// A name that no `Host` header can hold.
    #[error("an allowed host is a name or an address with an optional port")]
    AllowedHost,
    /// Out of range.
    #[error("max_connections is 1 to 32 768")]
    MaxConnections,
    /// Out of range.
    #[error("{0}")]
    OutOfRange(&'static str),
}

impl ConfigError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            ConfigError::Read(..) => "check what is there and who may read it",
            ConfigError::File(..) | ConfigError::RelativePath(_) => "config/signvault.toml lists every key",
            ConfigError::Variable { .. } => "correct or unset the variable",
            ConfigError::NoHome => "name the directories with --state-dir and --run-dir",
            ConfigError::NotLoopback => "use 127.0.0.1 or [::1]; bots elsewhere need a tunnel that you trust",
            ConfigError::AllowedHost => "write it as in a Host header, for example vault.test:8731",
            ConfigError::MaxConnections | ConfigError::OutOfRange(_) => "choose a number in that range",
        }
    }
}

impl Config {
    /// Works out the configuration from all of its sources.
    pub fn load(flags: &Flags, env: &Env) -> Result<Config, ConfigError> {
        let said = over(flags_said(flags, env), over(variables_said(env)?, file_said(flags, env)?));
        Config::meant(said, env)
    }

    /// The bots' Unix socket.
    pub fn sign_socket(&self) -> PathBuf {
        self.run_dir.join("sign.sock")
    }

    /// The admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.run_dir.join("admin.sock")
    }

    fn meant(said: File, env: &Env) -> Result<Config, ConfigError> {
        let state_dir = said.state_dir.map_or_else(|| default_state_dir(env), Ok)?;
        Ok(Config {
            listen: loopback(said.listen.unwrap_or((Ipv4Addr::LOCALHOST, 8731).into()))?,
            allowed_hosts: said.allowed_hosts.unwrap_or_default().into_iter().map(host).collect::<Result<_, _>>()?,
            anchor_dir: said.anchor_dir.unwrap_or_else(|| beside(&state_dir)),
            run_dir: said.run_dir.map_or_else(|| default_run_dir(env), Ok)?,
            state_dir,
            require_hardening: said.require_hardening.unwrap_or(false),
            admin_uids: said.admin.uids.unwrap_or_default(),
            durability: said.audit.durability.unwrap_or_default(),
            max_wait_ms: within(said.audit.max_wait_ms.unwrap_or(2000), 100..=60_000, MAX_WAIT)?,
            low_space_mib: within(said.audit.low_space_mib.unwrap_or(256), 0..=1_048_576, LOW_SPACE)?,
            log_head_rows: within(said.audit.log_head_rows.unwrap_or(10_000), 1..=1_000_000_000, LOG_HEAD_ROWS)?,
            log_head_minutes: within(said.audit.log_head_minutes.unwrap_or(10), 1..=10_080, LOG_HEAD_MINUTES)?,
            max_connections: connections(said.http.max_connections.unwrap_or(256))?,
            log_level: said.log.level.unwrap_or_default(),
            log_format: said.log.format.unwrap_or_default(),
        })
    }
}

/// What two sources say together; the first wins.
fn over(first: File, second: File) -> File {
    File {
        listen: first.listen.or(second.listen),
        allowed_hosts: first.allowed_hosts.or(second.allowed_hosts),
        state_dir: first.state_dir.or(second.state_dir),
        anchor_dir: first.anchor_dir.or(second.anchor_dir),
        run_dir: first.run_dir.or(second.run_dir),
        require_hardening: first.require_hardening.or(second.require_hardening),
        admin: raw::Admin { uids: first.admin.uids.or(second.admin.uids) },
        audit: audit_over(first.audit, second.audit),
        http: raw::Http { max_connections: first.http.max_connections.or(second.http.max_connections) },
        log: raw::Log { level: first.log.level.or(second.log.level), format: first.log.format.or(second.log.format) },
    }
}

fn audit_over(first: raw::Audit, second: raw::Audit) -> raw::Audit {
    raw::Audit {
        durability: first.durability.or(second.durability),
        max_wait_ms: first.max_wait_ms.or(second.max_wait_ms),
        low_space_mib: first.low_space_mib.or(second.low_space_mib),
        log_head_rows: first.log_head_rows.or(second.log_head_rows),
        log_head_minutes: first.log_head_minutes.or(second.log_head_minutes),
    }
}

fn flags_said(flags: &Flags, env: &Env) -> File {
    let absolute = |path: &Option<PathBuf>| path.as_ref().map(|path| env.absolute(path));
    File {
        listen: flags.listen,
        state_dir: absolute(&flags.state_dir),
        anchor_dir: absolute(&flags.anchor_dir),
        run_dir: absolute(&flags.run_dir),
        log: raw::Log { level: None, format: flags.log_format },
        ..File::default()
    }
}

fn variables_said(env: &Env) -> Result<File, ConfigError> {
    let path = |name| env.path(name).map(|path| env.absolute(&path));
    Ok(File {
        listen: parsed(env, "SIGNVAULT_LISTEN", "an address with a port", |text| text.parse().ok())?,
        allowed_hosts: parsed(env, "SIGNVAULT_ALLOWED_HOSTS", "names with commas between them", listed)?,
        state_dir: path("SIGNVAULT_STATE_DIR"),
        anchor_dir: path("SIGNVAULT_ANCHOR_DIR"),
        run_dir: path("SIGNVAULT_RUN_DIR"),
        require_hardening: parsed(env, "SIGNVAULT_REQUIRE_HARDENING", "true or false", |text| text.parse().ok())?,
        admin: raw::Admin { uids: parsed(env, "SIGNVAULT_ADMIN_UIDS", "numbers with commas between them", listed)? },
        audit: raw::Audit {
            durability: parsed(env, "SIGNVAULT_AUDIT_DURABILITY", "full or process", word)?,
            max_wait_ms: number(env, "SIGNVAULT_AUDIT_MAX_WAIT_MS")?,
            low_space_mib: number(env, "SIGNVAULT_AUDIT_LOW_SPACE_MIB")?,
            log_head_rows: number(env, "SIGNVAULT_AUDIT_LOG_HEAD_ROWS")?,
            log_head_minutes: number(env, "SIGNVAULT_AUDIT_LOG_HEAD_MINUTES")?,
        },
        http: raw::Http { max_connections: number(env, "SIGNVAULT_MAX_CONNECTIONS")? },
        log: raw::Log {
            level: parsed(env, "SIGNVAULT_LOG_LEVEL", "error, warn, info, debug or trace", word)?,
            format: parsed(env, "SIGNVAULT_LOG_FORMAT", "text or json", word)?,
        },
    })
}

fn parsed<T>(
    env: &Env,
    name: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let value = env.text(name).map(|text| parse(text).ok_or(ConfigError::Variable { name, expected }));
    value.transpose()
}

fn number<T: std::str::FromStr>(env: &Env, name: &'static str) -> Result<Option<T>, ConfigError> {
    parsed(env, name, "a number", |text| text.parse().ok())
}

fn listed<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(',').map(|item| item.trim().parse().ok()).collect()
}

/// One of an enum's words, spelled as in the file.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)).ok()
}

/// The configuration file that counts: the one that was named, or the first of the usual places that has one. Whoever names
/// the null device wants none.
pub fn file_in_use(flags: &Flags, env: &Env) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| env.path("SIGNVAULT_CONFIG")).map(|path| env.absolute(&path));
    named.or_else(|| usual_file(env)).filter(|path| path != NO_FILE)
}

fn file_said(flags: &Flags, env: &Env) -> Result<File, ConfigError> {
    let Some(path) = file_in_use(flags, env) else { return Ok(File::default()) };
    let text = file::read_text(&path).map_err(|error| ConfigError::Read(path.clone(), error))?;
    let file = File::parse(&text).map_err(|error| ConfigError::File(path, error))?;
    let paths = [("state_dir", &file.state_dir), ("anchor_dir", &file.anchor_dir), ("run_dir", &file.run_dir)];
    match paths.iter().find(|(_, path)| path.as_ref().is_some_and(|path| path.is_relative())) {
        Some((key, _)) => Err(ConfigError::RelativePath(key)),
        None => Ok(file),
    }
}

fn usual_file(env: &Env) -> Option<PathBuf> {
    let own = || {
        let base = env.base_dir("XDG_CONFIG_HOME").or_else(|| Some(env.home().ok()?.join(".config")))?;
        Some(base.join("signvault/signvault.toml")).filter(|path| path.exists())
    };
    let own = if env.root { None } else { own() };
    own.or_else(|| Some(PathBuf::from(SYSTEM_FILE)).filter(|path| path.exists()))
}

fn default_state_dir(env: &Env) -> Result<PathBuf, ConfigError> {
    if env.root {
        return Ok(PathBuf::from("/var/lib/signvault"));
    }
    let base = env.base_dir("XDG_STATE_HOME").map_or_else(|| env.home().map(|home| home.join(".local/state")), Ok)?;
    Ok(base.join("signvault"))
}

/// Where no runtime directory is given, one in the default state directory, whatever `--state-dir` says: a bot must find the
/// socket without knowing where the vault lies.
fn default_run_dir(env: &Env) -> Result<PathBuf, ConfigError> {
    if env.root {
        return Ok(PathBuf::from("/run/signvault"));
    }
    match env.base_dir("XDG_RUNTIME_DIR") {
        Some(base) => Ok(base.join("signvault")),
        None => Ok(default_state_dir(env)?.join("run")),
    }
}

/// The state directory's path with `-anchor` added.
fn beside(state_dir: &Path) -> PathBuf {
    // Built from the components, so that a trailing slash does not make it a child of the state directory.
    let mut path = state_dir.components().collect::<PathBuf>().into_os_string();
    path.push("-anchor");
    PathBuf::from(path)
}

fn loopback(address: SocketAddr) -> Result<SocketAddr, ConfigError> {
    if address.ip().is_loopback() { Ok(address) } else { Err(ConfigError::NotLoopback) }
}

fn host(name: String) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) { Ok(name) } else { Err(ConfigError::AllowedHost) }
}

fn connections(number: u32) -> Result<u32, ConfigError> {
    if (1..=32_768).contains(&number) { Ok(number) } else { Err(ConfigError::MaxConnections) }
}

fn within<T: PartialOrd>(number: T, range: RangeInclusive<T>, told: &'static str) -> Result<T, ConfigError> {
    if range.contains(&number) { Ok(number) } else { Err(ConfigError::OutOfRange(told)) }
}

#[cfg(test)]
mod tests;
