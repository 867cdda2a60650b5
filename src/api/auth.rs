//! Who is asking: the bearer token of a bot, checked by the vault.

use crate::api::app::App;
use crate::api::error::Problem;
use crate::api::peer::{Peer, PeerKey};
use crate::vault::authenticate::{Caller, NotLetIn, authenticate};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

/// A bot that was let in. A handler that takes one runs only for a good token on an unlocked vault.
#[derive(Clone, Copy, Debug)]
pub struct LetIn {
    /// The bot, and the token that let it in.
    pub caller: Caller,
    /// The peer's user id, on a Unix socket.
    pub uid: Option<u32>,
    /// Where its refusals are counted.
    pub peer: PeerKey,
}

impl FromRequestParts<App> for LetIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<LetIn, Problem> {
        let peer = parts.extensions.get::<Peer>().copied().ok_or_else(Problem::internal)?;
        LetIn::with(&parts.headers, peer, app)
    }
}

impl LetIn {
    /// Lets a bot in that has a good token.
    ///
    /// # Errors
    /// `vault.locked`, with any token or none; `auth.failed`.
    pub fn with(headers: &HeaderMap, peer: Peer, app: &App) -> Result<LetIn, Problem> {
        let uid = match peer {
            Peer::Tcp(_) => None,
            Peer::Unix { uid, .. } => Some(uid),
        };
        match authenticate(&app.vault, bearer(headers), uid) {
            Ok(caller) => Ok(LetIn { caller, uid, peer: peer.key() }),
            Err(NotLetIn::Locked) => {
                let problem = Problem::locked();
                app.counts.note(problem.code());
                Err(problem)
            }
            Err(NotLetIn::Failed) => {
                let problem = Problem::auth_failed();
                app.counts.record(peer.key(), problem.code());
                Err(problem)
            }
        }
    }
}

/// The token of exactly one `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, another) = (values.next()?, values.next());
    another.is_none().then(|| value.to_str().ok()?.strip_prefix("Bearer ")).flatten()
}
