//! Policies.

use crate::api::admin::on_the_side;
use crate::api::app::App;
use crate::api::body::parse_admin;
use crate::api::error::Problem;
use crate::api::path::InPath;
use crate::wire::policy::{PolicyCard, PolicySet, PolicyWasSet, ReferenceSet};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

/// Every policy.
#[utoipa::path(get, path = "/v1/policies", tag = "admin", responses((status = 200, body = Vec<PolicyCard>)))]
pub async fn list(State(app): State<App>) -> Result<Json<Vec<PolicyCard>>, Problem> {
    Ok(Json(app.vault.policies()?))
}

/// One policy.
#[utoipa::path(
    get,
    path = "/v1/policies/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200, body = PolicyCard), (status = "default", body = Problem))
)]
pub async fn show(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<PolicyCard>, Problem> {
    Ok(Json(app.vault.policy(&name)?))
}

/// Makes or replaces a policy.
#[utoipa::path(
    put,
    path = "/v1/policies/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    request_body = PolicySet,
    responses((status = 200, body = PolicyWasSet), (status = "default", body = Problem))
)]
pub async fn set(
    State(app): State<App>,
    InPath(name): InPath<String>,
    body: Bytes,
) -> Result<Json<PolicyWasSet>, Problem> {
    let set: PolicySet = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.set_policy(&name, set)).await.map(Json)
}

/// Gives a policy a price to compare an instrument's orders with.
#[utoipa::path(
    put,
    path = "/v1/policies/{name}/references/{instrument}",
    tag = "admin",
    params(("name" = String, Path), ("instrument" = String, Path)),
    request_body = ReferenceSet,
    responses((status = 200, body = PolicyCard), (status = "default", body = Problem))
)]
pub async fn set_reference(
    State(app): State<App>,
    InPath((name, instrument)): InPath<(String, String)>,
    body: Bytes,
) -> Result<Json<PolicyCard>, Problem> {
    let set: ReferenceSet = parse_admin(&body)?;
    on_the_side(&app, move |vault| vault.set_reference(&name, &instrument, &set.price)).await.map(Json)
}

/// Removes a policy that no bot has.
#[utoipa::path(
    delete,
    path = "/v1/policies/{name}",
    tag = "admin",
    params(("name" = String, Path)),
    responses((status = 200), (status = "default", body = Problem))
)]
pub async fn remove(State(app): State<App>, InPath(name): InPath<String>) -> Result<Json<Value>, Problem> {
    on_the_side(&app, move |vault| vault.remove_policy(&name)).await.map(|()| Json(json!({})))
}
