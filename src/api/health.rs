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
    let checks = checks(&app);
    let ready = checks.values().all(|check| *check == Value::Bool(true));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, checks }))
}

/// What must hold for the vault to sign: true, or why it does not hold.
pub fn checks(app: &App) -> BTreeMap<&'static str, Value> {
    let position = app.vault.position();
    let check = |holds: Option<bool>, reason: &str| match holds {
        Some(true) => Value::Bool(true),
        Some(false) => Value::String(reason.to_owned()),
        None => Value::String("unknown while the vault is locked".to_owned()),
    };
    let locked = match position.is_none() && !app.vault.is_initialized() {
        true => "there is no vault yet",
        false => "the vault is locked",
    };
    // A locked vault's ledger is closed, unless the disk has not taken the row about the lock.
    let trouble = position.as_ref().map_or_else(|| app.vault.trouble_closing(), |position| position.ledger_trouble);
    let audit = match trouble {
        Some(_) => Some(false),
        None => position.as_ref().map(|_| true),
    };
    let clock = position.as_ref().map(|position| position.clock_is_sane);
    BTreeMap::from([
        ("unlocked", check(Some(position.is_some()), locked)),
        ("audit", check(audit, trouble.unwrap_or_default())),
        ("clock", check(clock, "the wall clock jumped")),
    ])
}
