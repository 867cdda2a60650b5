//! `doctor`: what only the daemon knows.

use crate::api::admin::on_the_side;
use crate::api::app::App;
use crate::api::error::Problem;
use crate::wire::doctor::Diagnosis;
use axum::Json;
use axum::extract::State;

/// What is wrong with the vault, as far as the daemon knows. A locked vault has less to tell.
#[utoipa::path(
    get,
    path = "/v1/doctor",
    tag = "admin",
    responses((status = 200, body = Diagnosis), (status = "default", body = Problem))
)]
pub async fn doctor(State(app): State<App>) -> Result<Json<Diagnosis>, Problem> {
    on_the_side(&app, |vault| vault.doctor()).await.map(Json)
}
