//! Ways to unlock, and the password.

use crate::api::admin::on_the_side;
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::api::path::InPath;
use crate::wire::{PasswordChange, SlotAdd, SlotCard};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

/// Changes the password: wraps the vault key again.
#[utoipa::path(
    post,
    path = "/v1/password",
    tag = "admin",
    request_body = PasswordChange,
    responses((status = 200), (status = "default", body = Problem))
)]
pub async fn change_password(State(app): State<App>, body: Bytes) -> Result<Json<Value>, Problem> {
    let change: PasswordChange = parse_admin(&body)?;
    let warnings = on_the_side(&app, move |vault| vault.change_password(change)).await?;
    Ok(Json(json!({ "warnings": warnings })))
}

/// Every way to unlock.
#[utoipa::path(get, path = "/v1/slots", tag = "admin", responses((status = 200, body = Vec<SlotCard>)))]
pub async fn list(State(app): State<App>) -> Result<Json<Vec<SlotCard>>, Problem> {
    on_the_side(&app, |vault| vault.slots()).await.map(Json)
}

/// Adds a way to unlock.
#[utoipa::path(
    post,
    path = "/v1/slots",
    tag = "admin",
    request_body = SlotAdd,
    responses((status = 200, body = SlotCard), (status = "default", body = Problem))
)]
pub async fn add(State(app): State<App>, body: Bytes) -> Result<Json<SlotCard>, Problem> {
    let add: SlotAdd = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.add_slot(add.secret)).await.map(Json)
}

/// Removes a way to unlock, but never the last password.
#[utoipa::path(
    delete,
    path = "/v1/slots/{id}",
    tag = "admin",
    params(("id" = u32, Path)),
    responses((status = 200), (status = "default", body = Problem))
)]
pub async fn remove(State(app): State<App>, InPath(id): InPath<u32>) -> Result<Json<Value>, Problem> {
    on_the_side(&app, move |vault| vault.remove_slot(id)).await.map(|()| Json(json!({})))
}
