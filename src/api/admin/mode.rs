//! Modes.

use crate::api::admin::at_once;
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::wire::policy::{ModeSet, Modes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

/// The modes in force.
#[utoipa::path(get, path = "/v1/mode", tag = "admin", responses((status = 200, body = Modes)))]
pub async fn show(State(app): State<App>) -> Result<Json<Modes>, Problem> {
    Ok(Json(app.vault.modes()?))
}

/// Sets how much may happen, for everyone or for one bot. It holds at once.
#[utoipa::path(
    put,
    path = "/v1/mode",
    tag = "admin",
    request_body = ModeSet,
    responses((status = 200, body = Modes), (status = "default", body = Problem))
)]
pub async fn set(State(app): State<App>, body: Bytes) -> Result<Json<Modes>, Problem> {
    let set: ModeSet = parse_admin(&body)?;
    at_once(&app, |vault| vault.begin_to_set_mode(set.mode, set.bot.as_deref())).await?;
    Ok(Json(app.vault.modes()?))
}
