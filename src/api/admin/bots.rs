//! Bots.

use crate::api::admin::{at_once, on_the_side};
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::api::path::InPath;
use crate::wire::{BotAdd, BotCard, BotToken};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

/// Every bot.
#[utoipa::path(get, path = "/v1/bots", tag = "admin", responses((status = 200, body = Vec<BotCard>)))]
pub async fn list(State(app): State<App>) -> Result<Json<Vec<BotCard>>, Problem> {
    Ok(Json(app.vault.bots()?))
}

/// Adds a bot and shows its token, once.
#[utoipa::path(
    post,
    path = "/v1/bots",
    tag = "admin",
    request_body = BotAdd,
    responses((status = 200, body = BotToken), (status = "default", body = Problem))
)]
pub async fn add(State(app): State<App>, body: Bytes) -> Result<Json<BotToken>, Problem> {
    let add: BotAdd = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.add_bot(add)).await.map(Json)
}

/// One bot.
#[utoipa::path(
    get,
    path = "/v1/bots/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200, body = BotCard), (status = "default", body = Problem))
)]
pub async fn show(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<BotCard>, Problem> {
    Ok(Json(app.vault.bot(&name)?))
}

/// Gives a bot another token and shows it, once.
#[utoipa::path(
    post,
    path = "/v1/bots/{name}/rotate",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200, body = BotToken), (status = "default", body = Problem))
)]
pub async fn rotate(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<BotToken>, Problem> {
    on_the_side(&app, move |vault| vault.rotate_bot(&name)).await.map(Json)
}

/// Ends a bot's token, before this answers.
#[utoipa::path(
    post,
    path = "/v1/bots/{name}/revoke",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200, body = BotCard), (status = "default", body = Problem))
)]
pub async fn revoke(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<BotCard>, Problem> {
    at_once(&app, |vault| vault.begin_to_revoke_bot(&name)).await.map(Json)
}

/// Removes a bot.
#[utoipa::path(
    delete,
    path = "/v1/bots/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200), (status = "default", body = Problem))
)]
pub async fn remove(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<Value>, Problem> {
    at_once(&app, |vault| vault.begin_to_remove_bot(&name)).await.map(|()| Json(json!({})))
}
