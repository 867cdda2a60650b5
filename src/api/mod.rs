//! HTTP on loopback TCP and Unix sockets: the only place that knows axum and hyper.
//!
//! A request passes [`gate`] (bytes, checked by [`guard`]), then hyper, then [`connection`], then the routes below:
//! this file is their table of contents. Bots and admins have interfaces of their own; neither knows the other's routes.

pub mod admin;
pub mod answers;
pub mod app;
pub mod auth;
pub mod body;
pub mod connection;
pub mod error;
pub mod gate;
pub mod guard;
pub mod health;
pub mod json;
pub mod limits;
pub mod openapi;
pub mod path;
pub mod peer;
pub mod session;
pub mod sign;
pub mod signer;
pub mod tally;
pub mod whoami;

use crate::api::admin::{audit, backup, bots, credentials, doctor, metrics, mode, policies, slots, status};
use crate::api::app::App;
use crate::api::connection::Routes;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

/// Where bots have one request signed: what they ask all the time.
pub const SIGN: &str = "/v1/sign";

/// What bots may ask, on TCP and on `sign.sock`.
pub fn bot_routes(app: App) -> Routes {
    let state = app.clone();
    let router = move || {
        Router::new()
            .route(SIGN, post(sign::sign))
            .route("/v1/sign/batch", post(sign::sign_batch))
            .route("/v1/session", post(session::session))
            .route("/v1/whoami", get(whoami::whoami))
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .route("/openapi.json", get(openapi::openapi))
            .with_state(state.clone())
    };
    Routes::signing(router, app)
}

/// What admins may do, on `admin.sock`.
pub fn admin_routes(app: App) -> Routes {
    let router = move || {
        Router::new()
            .route("/v1/status", get(status::status))
            .route("/v1/doctor", get(doctor::doctor))
            .route("/v1/unlock", post(status::unlock))
            .route("/v1/lock", post(status::lock))
            .route("/v1/password", post(slots::change_password))
            .route("/v1/slots", get(slots::list).post(slots::add))
            .route("/v1/slots/{id}", delete(slots::remove))
            .route("/v1/credentials", get(credentials::list).post(credentials::add))
            .route(
                "/v1/credentials/{name}",
                get(credentials::show).patch(credentials::edit).delete(credentials::remove),
            )
            .route("/v1/credentials/{name}/rotate", post(credentials::rotate))
            .route("/v1/bots", get(bots::list).post(bots::add))
            .route("/v1/bots/{name}", get(bots::show).delete(bots::remove))
            .route("/v1/bots/{name}/rotate", post(bots::rotate))
            .route("/v1/bots/{name}/revoke", post(bots::revoke))
            .route("/v1/policies", get(policies::list))
            .route("/v1/policies/{name}", get(policies::show).put(policies::set).delete(policies::remove))
            .route("/v1/policies/{name}/references/{instrument}", put(policies::set_reference))
            .route("/v1/mode", get(mode::show).put(mode::set))
            .route("/v1/audit", get(audit::list))
            .route("/v1/audit/verify", get(audit::verify))
            .route("/v1/audit/key", get(audit::key))
            .route("/v1/audit/checkpoint", post(audit::checkpoint))
            .route("/v1/audit/prune", post(audit::prune))
            .route("/v1/backup", post(backup::backup))
            .route("/metrics", get(metrics::metrics))
            .route("/openapi.json", get(openapi::openapi))
            .layer(from_fn_with_state(app.clone(), admin::let_in))
            .with_state(app.clone())
    };
    Routes::later(router)
}
