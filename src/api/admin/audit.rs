//! The ledger.

use crate::api::admin::on_the_side;
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::wire::audit::{AuditCheckpoint, AuditKey, AuditPage, AuditPrune, AuditPruned, AuditQuery, AuditVerified};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};

/// A page of the ledger.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "admin",
    params(
        ("after" = Option<u64>, Query), ("newest" = Option<bool>, Query), ("limit" = Option<u32>, Query),
        ("bot" = Option<String>, Query), ("credential" = Option<String>, Query), ("since" = Option<String>, Query),
        ("denied" = Option<bool>, Query)
    ),
    responses((status = 200, body = AuditPage), (status = "default", body = Problem))
)]
pub async fn list(
    State(app): State<App>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<AuditPage>, Problem> {
    let help = "GET /openapi.json lists the parameters";
    let Query(query) =
        query.map_err(|_| Problem::new("admin.invalid", "the query has an unknown or odd parameter", help))?;
    on_the_side(&app, move |vault| vault.audit_rows(query)).await.map(Json)
}

/// Checks every row of the ledger.
#[utoipa::path(
    get,
    path = "/v1/audit/verify",
    tag = "admin",
    responses((status = 200, body = AuditVerified), (status = "default", body = Problem))
)]
pub async fn verify(State(app): State<App>) -> Result<Json<AuditVerified>, Problem> {
    on_the_side(&app, |vault| vault.audit_verify()).await.map(Json)
}

/// The public key that checkpoints are signed for.
#[utoipa::path(
    get,
    path = "/v1/audit/key",
    tag = "admin",
    responses((status = 200, body = AuditKey), (status = "default", body = Problem))
)]
pub async fn key(State(app): State<App>) -> Result<Json<AuditKey>, Problem> {
    Ok(Json(app.vault.audit_key()?))
}

/// Signs every row that there is.
#[utoipa::path(
    post,
    path = "/v1/audit/checkpoint",
    tag = "admin",
    responses((status = 200, body = AuditCheckpoint), (status = "default", body = Problem))
)]
pub async fn checkpoint(State(app): State<App>) -> Result<Json<AuditCheckpoint>, Problem> {
    on_the_side(&app, |vault| vault.checkpoint()).await.map(Json)
}

/// Takes out old rows; to be asked again until it is done.
#[utoipa::path(
    post,
    path = "/v1/audit/prune",
    tag = "admin",
    request_body = AuditPrune,
    responses((status = 200, body = AuditPruned), (status = "default", body = Problem))
)]
pub async fn prune(State(app): State<App>, body: Bytes) -> Result<Json<AuditPruned>, Problem> {
    let request: AuditPrune = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.prune(&request.before)).await.map(Json)
}
