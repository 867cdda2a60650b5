//! What admins do, on `admin.sock` only. The socket's mode and group are the first fence; the peer's user id is the
//! second.

pub mod audit;
pub mod backup;
pub mod bots;
pub mod credentials;
pub mod doctor;
pub mod metrics;
pub mod mode;
pub mod policies;
pub mod slots;
pub mod status;

use crate::api::app::App;
use crate::api::connection::closing;
use crate::api::error::Problem;
use crate::api::peer::Peer;
use crate::store::IntegrityError;
use crate::vault::change::Promised;
use crate::vault::slot::SlotChangeError;
use crate::vault::unlock::UnlockError;
use crate::vault::{AdminError, Vault};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lets the daemon's own user, root and the configured users in. Every connection is closed after its answer, because
/// most of these requests carry a secret.
pub async fn let_in(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let uid = match peer {
        Some(Peer::Unix { uid, .. }) => Some(uid),
        _ => None,
    };
    let own = rustix::process::geteuid().as_raw();
    if uid.is_none_or(|uid| uid != own && uid != 0 && !app.about.admin_uids.read().contains(&uid)) {
        let problem = Problem::auth_failed();
        if let Some(peer) = peer {
            app.counts.record(peer.key(), problem.code());
        }
        return closing(problem.into_response());
    }
    closing(next.run(request).await)
}

/// How long an action that holds already waits for its row: whoever locks or revokes wants to know that it holds.
const ROW_WAIT: Duration = Duration::from_millis(700);

/// Runs an operation that waits for the disk or hashes a password, beside the thread that serves connections. Only so
/// many run at once, and when the disk hangs none is begun that would have to wait for them.
async fn on_the_side<T, E>(
    app: &App,
    operation: impl FnOnce(&Vault) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    let mut hangs = pin!(disk_hangs(app));
    let place = tokio::select! {
        place = Arc::clone(&app.ordinary).acquire_owned() => place.map_err(|_| Problem::internal())?,
        () = &mut hangs => return Err(Problem::too_many_wait()),
    };
    let operation = move |vault: &Vault| {
        let done = operation(vault);
        drop(place);
        done
    };
    unless(hangs, app, operation).await
}

/// Runs an operation that takes no place, because all but one of its kind are turned away at once, and whose answer is
/// waited for: what it says of a disk that hangs must be the last word.
async fn out_of_hand<T, E>(
    app: &App,
    operation: impl FnOnce(&Vault) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    unless(std::future::pending(), app, operation).await
}

/// Runs an operation on a thread of its own, and waits for its end or for word that the disk hangs.
async fn unless<T, E>(
    hangs: impl Future<Output = ()>,
    app: &App,
    operation: impl FnOnce(&Vault) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    let vault = Arc::clone(&app.vault);
    tokio::select! {
        done = tokio::task::spawn_blocking(move || operation(&vault)) => match done {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(Problem::internal()),
        },
        () = hangs => Err(Problem::disk_does_not_answer()),
    }
}

/// Ends when the disk has been at the same piece of work for as long as anyone waits for it. A hash or a long page of the
/// ledger is no reason to give up.
async fn disk_hangs(app: &App) {
    let (mut work, mut since) = (app.vault.disk_work(), Instant::now());
    loop {
        tokio::time::sleep(app.max_wait / 20).await;
        let now = app.vault.disk_work();
        if now.is_none() || now != work {
            (work, since) = (now, Instant::now());
        } else if since.elapsed() >= app.max_wait {
            return app.vault.note_late();
        }
    }
}

/// Runs an operation that changes memory before it waits for anybody, and waits for its row for a moment. It needs no
/// thread to hold.
async fn at_once<T: Send + 'static>(
    app: &App,
    begin: impl FnOnce(&Vault) -> Result<Promised<T>, AdminError>,
) -> Result<T, Problem> {
    let promised = begin(&app.vault)?;
    row_in_time(app, move || promised.settled()).await
}

/// Waits for the row of something that holds already.
async fn row_in_time<T: Send + 'static>(
    app: &App,
    settle: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::time::timeout(ROW_WAIT.min(app.max_wait), tokio::task::spawn_blocking(settle)).await {
        Ok(Ok(result)) => result.map_err(Into::into),
        Ok(Err(_)) => Err(Problem::internal()),
        Err(_) => {
            app.vault.note_late();
            Err(AdminError::AppliedInMemory.into())
        }
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
                "free space on or repair the disk that holds the state directory: the row follows by itself, and GET /ready names it until it is written",
            )
            .applied_in_memory(),
            AdminError::ClockJumped => Problem::clock_jump(),
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
            UnlockError::Closing => Problem::new(
                "audit.unavailable",
                told,
                "repair the disk that holds the state directory, or end the daemon: the lock holds, and its row is tried every second",
            ),
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
