//! `GET /openapi.json`: the interface, generated from the handlers.

use crate::api::admin::{audit, backup, bots, credentials, doctor, metrics, mode, policies, slots, status};
use crate::api::{health, session, sign, whoami};
use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "signvault", description = "Signs exchange requests for bots on this machine; tag `admin` is served on admin.sock only"),
    paths(
        sign::sign, sign::sign_batch, session::session, whoami::whoami, health::health, health::ready,
        status::status, doctor::doctor, status::unlock, status::lock, slots::change_password, slots::list, slots::add, slots::remove,
        credentials::list, credentials::add, credentials::show, credentials::edit, credentials::rotate,
        credentials::remove, bots::list, bots::add, bots::show, bots::rotate, bots::revoke, bots::remove,
        policies::list, policies::show, policies::set, policies::set_reference, policies::remove,
        mode::show, mode::set, audit::list, audit::verify, audit::key, audit::checkpoint,
        audit::prune, backup::backup, metrics::metrics
    ),
    modifiers(&TokenScheme)
)]
pub struct Document;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The document as JSON.
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
