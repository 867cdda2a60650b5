//! `POST /v1/sign` and `POST /v1/sign/batch`.

use crate::api::app::App;
use crate::api::auth::LetIn;
use crate::api::body::parse_ask;
use crate::api::error::Problem;
use crate::api::json::Written;
use crate::recipe::sign::{Signed as Content, SignedRequest};
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::vault::sign::{Asked, Refusal, Signed};
use crate::wire::{BatchAnswer, BatchRequest, Headers, SignAnswer, SignRequest};
use axum::body::Bytes;
use axum::extract::State;
use serde::Serialize;

/// Asks in one batch at most.
const MOST_IN_A_BATCH: usize = 20;

/// Signs one request.
#[utoipa::path(
    post,
    path = "/v1/sign",
    tag = "bots",
    request_body = SignRequest,
    responses((status = 200, body = SignAnswer), (status = "default", body = Problem)),
    security(("token" = []))
)]
pub async fn sign(State(app): State<App>, bot: LetIn, body: Bytes) -> Result<Written<SignAnswer>, Problem> {
    sign_one(&app, &bot, &body).await
}

/// Signs one request of a bot that was let in.
///
/// # Errors
/// The problem that it is refused with.
pub async fn sign_one(app: &App, bot: &LetIn, body: &[u8]) -> Result<Written<SignAnswer>, Problem> {
    let asked = asked(*bot, parse_ask(body)?)?;
    let outcome = app.signer.sign(vec![asked]).await.map_err(|_| Problem::internal())?.pop();
    answer(app, bot, outcome.ok_or_else(Problem::internal)?).map(Written)
}

/// Signs up to twenty requests, each judged by itself, in one durable commit.
#[utoipa::path(
    post,
    path = "/v1/sign/batch",
    tag = "bots",
    request_body = BatchRequest,
    responses((status = 200, body = BatchAnswer), (status = "default", body = Problem)),
    security(("token" = []))
)]
pub async fn sign_batch(State(app): State<App>, bot: LetIn, body: Bytes) -> Result<Written<Results>, Problem> {
    let batch: BatchRequest = parse_ask(&body)?;
    if !(1..=MOST_IN_A_BATCH).contains(&batch.requests.len()) {
        return Err(Problem::ask_malformed("a batch has 1 to 20 requests"));
    }
    let asked: Vec<Result<Asked, Problem>> = batch.requests.into_iter().map(|one| asked(bot, one.0)).collect();
    let well_formed: Vec<bool> = asked.iter().map(Result::is_ok).collect();
    let (asked, malformed): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
    let signed = app.signer.sign(asked.into_iter().flatten().collect()).await.map_err(|_| Problem::internal())?;
    let (mut signed, mut malformed) = (signed.into_iter(), malformed.into_iter().filter_map(Result::err));
    let results = well_formed.into_iter().map(|well_formed| match well_formed {
        true => signed.next().map_or_else(|| Err(Problem::internal()), |outcome| answer(&app, &bot, outcome)),
        false => Err(malformed.next().unwrap_or_else(Problem::internal)),
    });
    Ok(Written(Results { results: results.map(One::from).collect() }))
}

fn asked(bot: LetIn, request: SignRequest) -> Result<Asked, Problem> {
    let method = Method::parse(&request.method)
        .ok_or_else(|| Problem::ask_malformed("`method` is none of GET, POST, PUT, DELETE and PATCH in upper case"))?;
    let body = request.body.filter(|body| !body.is_empty());
    let wanted = Wanted::Request(Request { method, path: request.path, body });
    Ok(Asked { caller: bot.caller, uid: bot.uid, ask: Ask { credential: request.credential, wanted } })
}

fn answer(app: &App, bot: &LetIn, outcome: Result<Signed, Refusal>) -> Result<SignAnswer, Problem> {
    let Signed { content, audit_seq } = outcome.map_err(|refusal| app.refused(bot, refusal))?;
    let Content::Request(SignedRequest { url, method, headers, body, expires_at }) = content else {
        return Err(Problem::internal());
    };
    let expires_at = expires_at.to_string();
    Ok(SignAnswer { url, method: method.as_str().to_owned(), headers: Headers(headers), body, audit_seq, expires_at })
}

/// A [`BatchAnswer`], written as it is.
#[derive(Serialize)]
pub struct Results {
    results: Vec<One>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum One {
    Signed(SignAnswer),
    Refused(Problem),
}

impl From<Result<SignAnswer, Problem>> for One {
    fn from(result: Result<SignAnswer, Problem>) -> One {
        result.map_or_else(One::Refused, One::Signed)
    }
}

impl App {
    /// The answer to a refusal. What has no row of its own, so that nobody fills the ledger by asking too often, is counted
    /// for the row of its peer.
    pub(crate) fn refused(&self, bot: &LetIn, refusal: Refusal) -> Problem {
        let counted = matches!(refusal, Refusal::Limited(_) | Refusal::NotLetIn);
        let problem = Problem::from(refusal);
        if counted {
            self.counts.record(bot.peer, problem.code());
        }
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Locked => Problem::locked(),
            Refusal::NotLetIn => Problem::auth_failed(),
            Refusal::Denied { denial, audit_seq } => Problem::from(denial).audit_seq(audit_seq),
            Refusal::Limited(denial) => Problem::from(denial),
            Refusal::Unavailable => Problem::audit_unavailable(),
            Refusal::Broken => Problem::internal(),
        }
    }
}
