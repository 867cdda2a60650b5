//! `POST /v1/sign` and `POST /v1/sign/batch`.

use crate::api::app::App;
use crate::api::auth::LetIn;
use crate::api::body::{parse_ask, parse_sign};
use crate::api::error::Problem;
use crate::api::json::written;
use crate::recipe::sign::{Signed as Content, SignedRequest};
use crate::types::ask::{Ask, Method, Request, Wanted};
use crate::types::json::push_text;
use crate::vault::sign::{Asked, Refusal, Signed};
use crate::wire::{BatchAnswer, BatchRequest, SignAnswer, SignRequest};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::io::{self, Write};

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
pub async fn sign(State(app): State<App>, bot: LetIn, body: Bytes) -> Result<Answer, Problem> {
    sign_one(&app, &bot, &body).await
}

/// Signs one request of a bot that was let in.
///
/// # Errors
/// The problem that it is refused with.
pub async fn sign_one(app: &App, bot: &LetIn, body: &[u8]) -> Result<Answer, Problem> {
    let asked = asked(*bot, parse_sign(body)?)?;
    let outcome = app.signer.sign(vec![asked]).await.map_err(|_| Problem::internal())?.pop();
    answer(app, bot, outcome.ok_or_else(Problem::internal)?)
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
pub async fn sign_batch(State(app): State<App>, bot: LetIn, body: Bytes) -> Result<Results, Problem> {
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
    Ok(Results(results.collect()))
}

fn asked(bot: LetIn, request: SignRequest) -> Result<Asked, Problem> {
    let method = Method::parse(&request.method)
        .ok_or_else(|| Problem::ask_malformed("`method` is none of GET, POST, PUT, DELETE and PATCH in upper case"))?;
    let body = request.body.filter(|body| !body.is_empty());
    let wanted = Wanted::Request(Request { method, path: request.path, body });
    Ok(Asked { caller: bot.caller, uid: bot.uid, ask: Ask { credential: request.credential, wanted } })
}

fn answer(app: &App, bot: &LetIn, outcome: Result<Signed, Refusal>) -> Result<Answer, Problem> {
    let Signed { content, audit_seq } = outcome.map_err(|refusal| app.refused(bot, refusal))?;
    match content {
        Content::Request(request) => Ok(Answer { request, audit_seq }),
        Content::Session(_) => Err(Problem::internal()),
    }
}

/// What goes out as a [`SignAnswer`].
pub struct Answer {
    /// What to send.
    pub request: SignedRequest,
    /// The ledger row that its signature stands in.
    pub audit_seq: u64,
}

impl Answer {
    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let SignedRequest { url, method, headers, body, expires_at } = &self.request;
        out.extend_from_slice(br#"{"url":"#);
        push_text(out, url);
        out.extend_from_slice(br#","method":"#);
        push_text(out, method.as_str());
        out.extend_from_slice(br#","headers":{"#);
        for (number, (name, value)) in headers.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            push_text(out, name);
            out.push(b':');
            push_text(out, value);
        }
        out.push(b'}');
        if let Some(body) = body {
            out.extend_from_slice(br#","body":"#);
            push_text(out, body);
        }
        write!(out, r#","audit_seq":{},"expires_at":"{expires_at}"}}"#, self.audit_seq)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        written(|out| self.write(out))
    }
}

/// What goes out as a [`BatchAnswer`].
pub struct Results(Vec<Result<Answer, Problem>>);

impl Results {
    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(br#"{"results":["#);
        for (number, result) in self.0.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            match result {
                Ok(answer) => answer.write(out)?,
                Err(problem) => serde_json::to_writer(&mut *out, problem)?,
            }
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }
}

impl IntoResponse for Results {
    fn into_response(self) -> Response {
        written(|out| self.write(out))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::UnixMs;
    use crate::wire::Headers;

    fn answer(headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())).collect();
        let (url, body) = ("https://www.okx.com/a?b=\"c\"".to_owned(), body.map(str::to_owned));
        let expires_at = UnixMs(1_709_251_199_999);
        Answer { request: SignedRequest { url, method: Method::Post, headers, body, expires_at }, audit_seq: 7 }
    }

    fn bytes(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_answer_is_written_as_the_wire_has_it() {
        let several = [("OK-ACCESS-SIGN", "a+/="), ("X", "\"\\\n")];
        for (headers, body) in [(&several[..], Some("{\"px\":\"1\"}")), (&several[..1], Some("")), (&[], None)] {
            let answer = answer(headers, body);
            let written = bytes(|out| answer.write(out));
            let SignedRequest { url, method, headers, body, expires_at } = answer.request;
            let on_the_wire = SignAnswer {
                url,
                method: method.as_str().to_owned(),
                headers: Headers(headers),
                body,
                audit_seq: answer.audit_seq,
                expires_at: expires_at.to_string(),
            };
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&on_the_wire).unwrap());
        }
    }

    #[test]
    fn a_batch_is_answered_in_its_order() {
        let results = Results(vec![Ok(answer(&[], None)), Err(Problem::locked()), Ok(answer(&[], None))]);
        let written: serde_json::Value = serde_json::from_slice(&bytes(|out| results.write(out))).unwrap();
        let members = ["audit_seq", "code", "audit_seq"].map(String::from);
        let results = written["results"].as_array().unwrap();
        assert!(results.iter().zip(&members).all(|(result, member)| result.get(member).is_some()), "{written}");
        assert_eq!(results.len(), members.len());
    }
}
