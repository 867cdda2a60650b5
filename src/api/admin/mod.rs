//! What admins do, on `admin.sock` only. The socket's mode and group are the first fence; the peer's user id is the
//! second.

pub mod audit;
pub mod backup;
pub mod bots;
pub mod credentials;
pub mod mode;
pub mod policies;
pub mod slots;
pub mod status;

use crate::api::app::App;
use crate::api::connection::closing;
use crate::api::error::Problem;
use crate::api::peer::Peer;
use crate::store::IntegrityError;
use crate::vault::slot::SlotChangeError;
use crate::vault::unlock::UnlockError;
use crate::vault::{AdminError, Vault};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Lets the daemon's own user, root and the configured users in. Every connection is closed after its answer, because
/// most of these requests carry a secret.
pub async fn let_in(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let uid = match peer {
        Some(Peer::Unix { uid, .. }) => Some(uid),
        _ => None,
    };
    let own = rustix::process::geteuid().as_raw();
    if uid.is_none_or(|uid| uid != own && uid != 0 && !app.about.admin_uids.contains(&uid)) {
        let problem = Problem::auth_failed();
        if let Some(peer) = peer {
            app.counts.record(peer.key(), problem.code());
        }
        return closing(problem.into_response());
    }
    closing(next.run(request).await)
}

/// Runs an operation that waits for the disk or hashes a password, beside the thread that serves connections.
async fn on_the_side<T, E>(
    app: &App,
    operation: impl FnOnce(&Vault) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    let vault = Arc::clone(&app.vault);
    match tokio::task::spawn_blocking(move || operation(&vault)).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Problem::internal()),
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Problem {
        match error {
            AdminError::Locked => Problem::locked(),
            AdminError::Invalid { detail, help } => Problem::new("admin.invalid", detail, help),
            AdminError::NotFound(_) => {
                Problem::new("admin.not_found", error.to_string(), "the matching list command shows what there is")
            }
            AdminError::Exists(_) => Problem::new("admin.exists", error.to_string(), "choose another name"),
            AdminError::Unavailable => Problem::audit_unavailable(),
            AdminError::AppliedInMemory => Problem::new(
                "audit.unavailable",
                error.to_string(),
                "free space on or repair the disk that holds the state directory: the row follows by itself, as long as the vault is not locked before",
            ),
            AdminError::Machine(_) => Problem::new("internal", error.to_string(), "free memory and try again"),
            AdminError::Integrity(inner) => inner.into(),
        }
    }
}

impl From<SlotChangeError> for Problem {
    fn from(error: SlotChangeError) -> Problem {
        match error {
            SlotChangeError::Unlock(inner) => inner.into(),
            SlotChangeError::Admin(inner) => inner.into(),
        }
    }
}

impl From<UnlockError> for Problem {
    fn from(error: UnlockError) -> Problem {
        let told = error.to_string();
        match error {
            UnlockError::Uninitialized => Problem::new("admin.not_found", told, "make one with: signvault init"),
            UnlockError::Invalid(_) => Problem::new("admin.invalid", told, "check what was typed"),
            UnlockError::Failed => Problem::new("unlock.failed", told, "try again, or use the recovery key"),
            UnlockError::OutOfBounds => {
                Problem::new("vault.kdf_out_of_bounds", told, "keep a copy of the files, then restore a backup")
            }
            UnlockError::Backoff { retry_after_ms } => {
                Problem::new("unlock.backoff", told, "wait, then try again").retry_after_ms(retry_after_ms)
            }
            UnlockError::Integrity(inner) => inner.into(),
            UnlockError::Storage(_) => {
                Problem::new("audit.unavailable", told, "check the disk that holds the state directory")
            }
            UnlockError::Machine(_) => Problem::new("internal", told, "free memory and try again"),
        }
    }
}

impl From<IntegrityError> for Problem {
    fn from(error: IntegrityError) -> Problem {
        Problem::new(error.code(), error.to_string(), error.help())
    }
}
