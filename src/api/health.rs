//! `GET /health` and `GET /ready`: for supervisors and bots, without a token.

use crate::api::app::App;
use crate::wire::{Health, Ready};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;

/// The process is alive.
#[utoipa::path(get, path = "/health", tag = "bots", responses((status = 200, body = Health)))]
pub async fn health() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// The vault can sign.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "bots",
    responses((status = 200, body = Ready), (status = 503, description = "not ready, with reasons", body = Ready))
)]
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<Ready>) {
    let position = app.vault.position();
    let check = |holds: Option<bool>, reason: &str| match holds {
        Some(true) => Value::Bool(true),
        Some(false) => Value::String(reason.to_owned()),
        None => Value::String("unknown while the vault is locked".to_owned()),
    };
    let locked = if app.vault.is_initialized() { "the vault is locked" } else { "there is no vault yet" };
    let audit = position.as_ref().map(|position| position.ledger_is_available);
    let clock = position.as_ref().map(|position| position.clock_is_sane);
    let checks = BTreeMap::from([
        ("unlocked", check(Some(position.is_some()), locked)),
        ("audit", check(audit, "the ledger could not be written the last time")),
        ("clock", check(clock, "the wall clock jumped")),
    ]);
    let ready = checks.values().all(|check| *check == Value::Bool(true));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, checks }))
}
