//! `GET /v1/whoami`: a bot's own view.

use crate::api::app::App;
use crate::api::auth::LetIn;
use crate::api::error::Problem;
use crate::wire::Whoami;
use axum::Json;
use axum::extract::State;

/// The bot, its credentials, its policy in words.
#[utoipa::path(
    get,
    path = "/v1/whoami",
    tag = "bots",
    responses((status = 200, body = Whoami), (status = "default", body = Problem)),
    security(("token" = []))
)]
pub async fn whoami(State(app): State<App>, bot: LetIn) -> Result<Json<Whoami>, Problem> {
    app.vault.whoami(&bot.caller.bot)?.map(Json).ok_or_else(Problem::auth_failed)
}
