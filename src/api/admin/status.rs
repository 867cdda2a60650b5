//! `status`, `unlock` and `lock`.

use crate::api::admin::{out_of_hand, row_in_time};
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::vault::Vault;
use crate::vault::lock::Why;
use crate::vault::unlock::{Accept, SlotKey};
use crate::wire::{Status, UnlockRequest, Unlocked};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the vault and the daemon stand.
#[utoipa::path(get, path = "/v1/status", tag = "admin", responses((status = 200, body = Status)))]
pub async fn status(State(app): State<App>) -> Json<Status> {
    let position = app.vault.position();
    let state = match &position {
        Some(_) => "unlocked",
        None if app.vault.is_initialized() => "locked",
        None => "uninitialized",
    };
    let about = &app.about;
    Json(Status {
        state: state.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        listen: about.listen.clone(),
        sign_socket: about.sign_socket.clone(),
        admin_socket: about.admin_socket.clone(),
        state_version: position.as_ref().map(|position| position.state_version),
        audit_sequence: position.as_ref().map(|position| position.audit_sequence),
        audit_head: position.as_ref().map(|position| position.audit_head.clone()),
        audit_verified_from: position.as_ref().map(|position| position.audit_verified_from),
        audit_backlog: position.as_ref().map(|position| position.audit_backlog),
        locked_because: app.vault.locked_because(),
        credentials: position.as_ref().map(|position| position.credentials),
        bots: position.as_ref().map(|position| position.bots),
        mode: position.as_ref().map(|position| position.mode),
        memory: about.memory.clone(),
        degraded: about.degraded.clone(),
        hardening: about.hardening.clone(),
        warnings: app.vault.warnings(),
    })
}

/// Unlocks the vault.
#[utoipa::path(
    post,
    path = "/v1/unlock",
    tag = "admin",
    request_body = UnlockRequest,
    responses((status = 200, body = Unlocked), (status = "default", body = Problem))
)]
pub async fn unlock(State(app): State<App>, body: Bytes) -> Result<Json<Unlocked>, Problem> {
    let request: UnlockRequest = parse_admin(&body)?;
    let accept = Accept { rollback: request.accept_rollback, clock: request.accept_clock };
    let key = SlotKey::parse(request.secret)?;
    let unlock = move |vault: &Vault| vault.unlock(&key, accept).inspect(|_| vault.lay_out_log());
    out_of_hand(&app, unlock).await.map(Json)
}

/// Locks the vault.
#[utoipa::path(post, path = "/v1/lock", tag = "admin", responses((status = 200), (status = "default", body = Problem)))]
pub async fn lock(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let Some(ledger) = app.vault.begin_to_lock(Why::Asked) else { return Ok(Json(json!({}))) };
    let vault = Arc::clone(&app.vault);
    row_in_time(&app, move || vault.finish_lock(&ledger)).await.map(|()| Json(json!({})))
}
