//! What every route is given.

use crate::api::signer::Signer;
use crate::api::tally::RefusalCounts;
use crate::vault::Vault;
use crate::wire::Hardening;
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The daemon's parts that routes need. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The vault.
    pub vault: Arc<Vault>,
    /// The way to the signing thread.
    pub signer: Signer,
    /// Where refusals are counted.
    pub counts: Arc<RefusalCounts>,
    /// What `status` says about the process.
    pub about: Arc<About>,
    /// Places for admin's actions that may have to wait for the disk. Those that must not wait take none.
    pub ordinary: Arc<Semaphore>,
    /// How long anyone waits for the disk.
    pub max_wait: Duration,
}

/// The process, as `status` shows it.
#[derive(Clone, Debug)]
pub struct About {
    /// `ip:port` for bots.
    pub listen: String,
    /// The bots' socket.
    pub sign_socket: String,
    /// The admin socket.
    pub admin_socket: String,
    /// How keys are kept out of reach, in words.
    pub memory: String,
    /// What is weaker here than it should be, in words.
    pub degraded: Vec<String>,
    /// What the process did to itself, item by item.
    pub hardening: Vec<Hardening>,
    /// The user ids that may use the admin interface; a reload changes them.
    pub admin_uids: Arc<RwLock<Vec<u32>>>,
}
