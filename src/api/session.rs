//! `POST /v1/session`: the first frame of an exchange's WebSocket.

use crate::api::app::App;
use crate::api::auth::LetIn;
use crate::api::body::parse_ask;
use crate::api::error::Problem;
use crate::recipe::sign::{Signed as Content, SignedSession};
use crate::types::ask::{Ask, Wanted};
use crate::vault::sign::{Asked, Signed};
use crate::wire::{SessionAnswer, SessionRequest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

/// Logs a WebSocket in. Needs the grant `session`; what follows on the connection is not judged.
#[utoipa::path(
    post,
    path = "/v1/session",
    tag = "bots",
    request_body = SessionRequest,
    responses((status = 200, body = SessionAnswer), (status = "default", body = Problem)),
    security(("token" = []))
)]
pub async fn session(State(app): State<App>, bot: LetIn, body: Bytes) -> Result<Json<SessionAnswer>, Problem> {
    let request: SessionRequest = parse_ask(&body)?;
    let wanted = Wanted::Session(request.channel.unwrap_or_default());
    let asked = Asked { caller: bot.caller, uid: bot.uid, ask: Ask { credential: request.credential, wanted } };
    let outcome = app.signer.sign(vec![asked]).await.map_err(|_| Problem::internal())?.pop();
    let outcome = outcome.ok_or_else(Problem::internal)?;
    let Signed { content, audit_seq } = outcome.map_err(|refusal| app.refused(&bot, refusal))?;
    let Content::Session(SignedSession { url, message, expires_at }) = content else {
        return Err(Problem::internal());
    };
    Ok(Json(SessionAnswer { url, message, audit_seq, expires_at: expires_at.to_string() }))
}
