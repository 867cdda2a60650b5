//! SIGHUP: the configuration is read again, checked as a whole, and what can change while bots are served is put in place
//! of what was. What can't is named, and goes on as it is; a configuration that is not understood changes nothing.

use crate::config::{Config, ConfigError};
use crate::daemon::log::SetLevel;
use crate::daemon::notify;
use crate::vault::Vault;
use parking_lot::RwLock;
use sd_notify::NotifyState;
use std::error::Error;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Reads the configuration from where it came from at the start.
pub type ReadAgain = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What a reload changes.
pub struct Reload {
    /// Where the configuration comes from.
    pub read: ReadAgain,
    /// How much is logged.
    pub set_level: SetLevel,
    /// The vault, which is looked after differently from then on.
    pub vault: Arc<Vault>,
    /// Who may administer.
    pub admin_uids: Arc<RwLock<Vec<u32>>>,
}

/// What a reading came to; none when it panicked.
type Read = Option<Result<Config, ConfigError>>;

/// The reading that is under way: on a thread of its own, because the disk with the file on it may hang.
#[derive(Default)]
pub struct Reading {
    under_way: Option<JoinHandle<Result<Config, ConfigError>>>,
    /// Whether the file may have changed since that began.
    is_due: bool,
}

impl Reading {
    /// Begins to read, at once or when what is under way is over.
    pub fn begin(&mut self, reload: &Reload) {
        if self.under_way.is_some() {
            self.is_due = true;
            return;
        }
        notify::reloading();
        let read = Arc::clone(&reload.read);
        self.under_way = Some(tokio::task::spawn_blocking(move || read()));
    }

    /// Waits for what is under way, for ever when nothing is. May be dropped and called again.
    pub async fn done(&mut self) -> Read {
        let Some(reading) = &mut self.under_way else { return std::future::pending().await };
        let read = reading.await.ok();
        self.under_way = None;
        read
    }

    /// Takes what was read, begins again if that is due, and returns the configuration that holds from now on.
    pub fn take(&mut self, reload: &Reload, now: Config, read: Read) -> Config {
        let next = match read {
            Some(Ok(read)) => reload.take(now, read),
            Some(Err(error)) => {
                let (cause, help) = (error.source().map(tracing::field::display), error.help());
                tracing::error!(%error, cause, help, "the configuration was not taken; everything is as before");
                now
            }
            None => {
                tracing::error!("the configuration could not be read; everything is as before");
                now
            }
        };
        notify::tell(&[NotifyState::Ready]);
        if std::mem::take(&mut self.is_due) {
            self.begin(reload);
        }
        next
    }
}

impl Reload {
    fn take(&self, now: Config, read: Config) -> Config {
        let (next, fixed) = merged(now, read);
        *self.admin_uids.write() = next.admin_uids.clone();
        self.vault.set_care(next.care());
        (self.set_level)(next.log_level);
        tracing::info!("the configuration was read again");
        if !fixed.is_empty() {
            let keys = fixed.join(", ");
            tracing::warn!(%keys, "changed in the configuration, but taken only by a new start: signvault goes on with what it has");
        }
        next
    }
}

/// The present configuration with what may change taken from another, and the names of keys that differ and may not.
fn merged(now: Config, read: Config) -> (Config, Vec<&'static str>) {
    let next = Config {
        admin_uids: read.admin_uids.clone(),
        low_space_mib: read.low_space_mib,
        log_head_rows: read.log_head_rows,
        log_head_minutes: read.log_head_minutes,
        log_level: read.log_level,
        ..now
    };
    let differs = [
        ("listen", next.listen != read.listen),
        ("allowed_hosts", next.allowed_hosts != read.allowed_hosts),
        ("state_dir", next.state_dir != read.state_dir),
        ("anchor_dir", next.anchor_dir != read.anchor_dir),
        ("run_dir", next.run_dir != read.run_dir),
        ("require_hardening", next.require_hardening != read.require_hardening),
        ("audit.durability", next.durability != read.durability),
        ("audit.max_wait_ms", next.max_wait_ms != read.max_wait_ms),
        ("http.max_connections", next.max_connections != read.max_connections),
        ("log.format", next.log_format != read.log_format),
    ];
    let fixed: Vec<_> = differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect();
    // A key that is in neither list would change silently.
    debug_assert!(!fixed.is_empty() || next == read);
    (next, fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::{Durability, LogFormat, LogLevel};
    use crate::config::{Env, Flags};
    use std::path::PathBuf;

    fn config() -> Config {
        let env = Env { root: true, ..Env::default() };
        Config::load(&Flags { config: Some(PathBuf::from("/dev/null")), ..Flags::default() }, &env).unwrap()
    }

    #[test]
    fn what_can_change_is_taken() {
        let read = Config {
            admin_uids: vec![7],
            low_space_mib: 1,
            log_head_rows: 2,
            log_head_minutes: 3,
            log_level: LogLevel::Debug,
            ..config()
        };
        assert_eq!(merged(config(), read.clone()), (read, vec![]));
    }

    #[test]
    fn what_cannot_change_is_named_and_stays() {
        let read = Config {
            listen: "127.0.0.1:1".parse().unwrap(),
            allowed_hosts: vec!["a".to_owned()],
            state_dir: "/s".into(),
            anchor_dir: "/a".into(),
            run_dir: "/r".into(),
            require_hardening: true,
            durability: Durability::Process,
            max_wait_ms: 100,
            max_connections: 1,
            log_format: LogFormat::Json,
            ..config()
        };
        let (next, fixed) = merged(config(), read);
        assert_eq!((next, fixed.len()), (config(), 10));
    }
}
