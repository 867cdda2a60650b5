//! Credentials.

use crate::api::admin::on_the_side;
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::api::path::InPath;
use crate::wire::{CredentialAdd, CredentialCard, CredentialChanged, CredentialEdit, CredentialSecrets};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

/// Every credential's card.
#[utoipa::path(get, path = "/v1/credentials", tag = "admin", responses((status = 200, body = Vec<CredentialCard>)))]
pub async fn list(State(app): State<App>) -> Result<Json<Vec<CredentialCard>>, Problem> {
    Ok(Json(app.vault.credentials()?))
}

/// Adds a credential.
#[utoipa::path(
    post,
    path = "/v1/credentials",
    tag = "admin",
    request_body = CredentialAdd,
    responses((status = 200, body = CredentialChanged), (status = "default", body = Problem))
)]
pub async fn add(State(app): State<App>, body: Bytes) -> Result<Json<CredentialChanged>, Problem> {
    let add: CredentialAdd = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.add_credential(add)).await.map(Json)
}

/// One credential's card and warnings.
#[utoipa::path(
    get,
    path = "/v1/credentials/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200, body = CredentialChanged), (status = "default", body = Problem))
)]
pub async fn show(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<CredentialChanged>, Problem> {
    Ok(Json(app.vault.credential(&name)?))
}

/// Changes a credential's card.
#[utoipa::path(
    patch,
    path = "/v1/credentials/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    request_body = CredentialEdit,
    responses((status = 200, body = CredentialChanged), (status = "default", body = Problem))
)]
pub async fn edit(
    State(app): State<App>,
    InPath(name): InPath<String>,
    body: Bytes,
) -> Result<Json<CredentialChanged>, Problem> {
    let edit: CredentialEdit = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.edit_credential(&name, edit)).await.map(Json)
}

/// Gives a credential new secrets.
#[utoipa::path(
    post,
    path = "/v1/credentials/{name}/rotate",
    tag = "admin",
    params(("name" = String, Path)),
    request_body = CredentialSecrets,
    responses((status = 200, body = CredentialChanged), (status = "default", body = Problem))
)]
pub async fn rotate(
    State(app): State<App>,
    InPath(name): InPath<String>,
    body: Bytes,
) -> Result<Json<CredentialChanged>, Problem> {
    let secrets: CredentialSecrets = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.rotate_credential(&name, secrets)).await.map(Json)
}

/// Removes a credential.
#[utoipa::path(
    delete,
    path = "/v1/credentials/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200, body = CredentialChanged), (status = "default", body = Problem))
)]
pub async fn remove(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<CredentialChanged>, Problem> {
    on_the_side(&app, move |vault| vault.remove_credential(&name)).await.map(Json)
}
