//! Errors as programs see them: RFC 9457 problems, one stable code each. Every answer that is not a success is made
//! here.
//!
//! Deliberately absent: anything that a caller sent and any text of an internal error.

use crate::api::guard::Refusal;
use crate::types::decision::Denial;
use axum::Router;
use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A problem: why there is no other answer. The members are written in this order, so equal problems are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:signvault:problem:<code>`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: Kind,
    /// The kind of problem in words; the same for every problem of its code.
    title: &'static str,
    /// The HTTP status, repeated for the problems inside a batch.
    status: u16,
    /// The stable, dotted code: what a program goes by.
    code: &'static str,
    /// What happened. Never repeats a value from the request.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// What to do about it.
    #[schema(value_type = String)]
    help: Cow<'static, str>,
    /// The rule of the policy that denied, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Cow<'static, str>>,
    /// Milliseconds after which the same request may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// The row of the ledger that tells of this denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_seq: Option<u64>,
    /// Where it holds although it failed: `memory`, when only its ledger row is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<&'static str>,
}

/// A problem's type: an identifier, not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind(&'static str);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:signvault:problem:{}", self.0))
    }
}

/// The status and title of a code. A code that is not listed is the daemon's own mistake and says so.
fn meaning(code: &str) -> (StatusCode, &'static str) {
    match code {
        "http.malformed" => (StatusCode::BAD_REQUEST, "Malformed request"),
        "http.browser" => (StatusCode::FORBIDDEN, "Browsers are refused"),
        "http.not_found" => (StatusCode::NOT_FOUND, "No such route"),
        "http.method" => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        "http.too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
        "http.media_type" => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
        "http.expectation" => (StatusCode::EXPECTATION_FAILED, "Expectation refused"),
        "http.misdirected" => (StatusCode::MISDIRECTED_REQUEST, "Misdirected request"),
        "http.head_too_large" => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request head too large"),
        "auth.failed" => (StatusCode::UNAUTHORIZED, "Not authenticated"),
        "policy.replay" => (StatusCode::CONFLICT, "Client order id already used"),
        "policy.rate" | "policy.limit" => (StatusCode::TOO_MANY_REQUESTS, "Limit reached"),
        "audit.unavailable" => (StatusCode::SERVICE_UNAVAILABLE, "Ledger unavailable"),
        "clock.jump" => (StatusCode::SERVICE_UNAVAILABLE, "Clock not trusted"),
        "vault.locked" => (StatusCode::LOCKED, "Vault is locked"),
        "admin.invalid" => (StatusCode::BAD_REQUEST, "Invalid request"),
        "admin.not_found" => (StatusCode::NOT_FOUND, "Not found"),
        "admin.exists" => (StatusCode::CONFLICT, "Already exists"),
        "unlock.failed" => (StatusCode::FORBIDDEN, "Unlock failed"),
        "unlock.backoff" => (StatusCode::TOO_MANY_REQUESTS, "Too many failed unlocks"),
        _ if code.starts_with("ask.") => (StatusCode::BAD_REQUEST, "Ask refused"),
        _ if code.starts_with("policy.") => (StatusCode::FORBIDDEN, "Denied by policy"),
        _ if code.starts_with("vault.") => (StatusCode::CONFLICT, "Vault integrity"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
    }
}

impl Problem {
    /// A problem of a code of the contract; status and title follow from the code.
    pub fn new(
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Problem {
        let (status, title) = meaning(code);
        Problem {
            kind: Kind(code),
            title,
            status: status.as_u16(),
            code,
            detail: detail.into(),
            help: help.into(),
            rule: None,
            retry_after_ms: None,
            audit_seq: None,
            applied: None,
        }
    }

    /// The same problem, made by a rule of the policy.
    pub fn rule(self, rule: impl Into<Cow<'static, str>>) -> Problem {
        Problem { rule: Some(rule.into()), ..self }
    }

    /// The same problem, which passes after a number of milliseconds.
    pub fn retry_after_ms(self, ms: u64) -> Problem {
        Problem { retry_after_ms: Some(ms), ..self }
    }

    /// The same problem, with the row of the ledger that tells of it.
    pub fn audit_seq(self, seq: u64) -> Problem {
        Problem { audit_seq: Some(seq), ..self }
    }

    /// The same problem, of something that holds in memory all the same.
    pub fn applied_in_memory(self) -> Problem {
        Problem { applied: Some("memory"), ..self }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        meaning(self.code).0
    }

    /// `http.not_found`: no route has this path.
    pub fn not_found() -> Problem {
        Problem::new("http.not_found", "no route has this path", "GET /openapi.json lists the routes")
    }

    /// `http.method`: the route does not have this method, or nothing has.
    pub fn method() -> Problem {
        Problem::new("http.method", "the method is not allowed here", "GET /openapi.json lists each route's methods")
    }

    /// `vault.locked`: said to everyone, with any token or none.
    pub fn locked() -> Problem {
        Problem::new("vault.locked", "the vault is locked", "unlock it with: signvault unlock")
    }

    /// `auth.failed`: one answer for every way to fail.
    pub fn auth_failed() -> Problem {
        Problem::new(
            "auth.failed",
            "the request carries no valid token",
            "send exactly one header: Authorization: Bearer svb_...",
        )
    }

    /// `ask.malformed`: the body is not of the route's shape.
    pub fn ask_malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new("ask.malformed", detail, "GET /openapi.json describes the body of each route")
    }

    /// `internal`: the daemon's own mistake, of which nothing is told.
    pub fn internal() -> Problem {
        Problem::new("internal", "the daemon failed to handle the request", "see the daemon's log")
    }

    /// `audit.unavailable`: the row could not be made durable, so nothing was signed.
    pub fn audit_unavailable() -> Problem {
        Problem::new(
            "audit.unavailable",
            "the ledger cannot be written, so nothing is signed",
            "check free space and the daemon's log; it heals without a restart",
        )
    }

    /// `audit.unavailable`: an admin's action is in the hands of a disk that does not answer.
    pub fn disk_does_not_answer() -> Problem {
        Problem::new(
            "audit.unavailable",
            "the disk that holds the ledger does not answer; whether this takes effect is not known yet",
            "it may still take effect: look again when GET /ready says that the ledger is sound, before you repeat it",
        )
    }

    /// `audit.unavailable`: as many admin's actions as may wait for the disk do.
    pub fn too_many_wait() -> Problem {
        Problem::new(
            "audit.unavailable",
            "too many actions wait for the disk that holds the ledger; this one was not begun",
            "try again when they are done; lock, bot revoke, bot remove, mode and status do not wait for them",
        )
    }

    /// `clock.jump`: the wall clock left the boot clock behind.
    pub fn clock_jump() -> Problem {
        Problem::new(
            "clock.jump",
            "the wall clock jumped, so nothing is signed",
            "wait until the clock is synchronised, or accept it with: signvault unlock --accept-clock",
        )
    }

    /// The one further header that the standard asks for with some statuses.
    fn header(&self) -> Option<(axum::http::HeaderName, HeaderValue)> {
        match self.code {
            "auth.failed" => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => self.retry_after_ms.map(|ms| (RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)))),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let (detail, help) = match refusal {
            Refusal::Malformed => (
                "the request is not in the one accepted form of HTTP/1.1",
                "one request at a time, target starting with a slash, ASCII only, lines ending in CRLF, a length instead of chunks, no body with GET",
            ),
            Refusal::Method => return Problem::method(),
            Refusal::Misdirected => (
                "the Host header does not name this interface",
                "use http://127.0.0.1:PORT with the daemon's own port, or Host: localhost on the socket; further names go into allowed_hosts",
            ),
            Refusal::Browser => (
                "the request carries headers that browsers send",
                "this interface is for bots on this machine; web pages are never served",
            ),
            Refusal::Expectation => ("the request waits for a permission to go on", "send the body without Expect"),
            Refusal::MediaType => ("the body is not declared as plain JSON", "send Content-Type: application/json"),
            Refusal::TooLarge => ("the body is longer than this interface accepts", "send a shorter body"),
            Refusal::HeadTooLarge => {
                ("the head is longer than 16 KiB or has more than 32 header lines", "send fewer or shorter headers")
            }
        };
        Problem::new(refusal.code(), detail, help)
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        let problem = Problem::new(denial.code.as_str(), denial.detail, denial.help);
        Problem { rule: denial.rule.map(Cow::Borrowed), retry_after_ms: denial.retry_after_ms, ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let bytes = serde_json::to_vec(&self).expect("strings and integers always serialise");
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header() {
            headers.insert(name, value);
        }
        response
    }
}

/// The answer to a request that the guard refused.
pub fn refuse(refusal: Refusal) -> Response {
    let mut response = Problem::from(refusal).into_response();
    if refusal == Refusal::Method {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
    }
    response
}

/// The routes, with problems where they have no answer. To be called when the last route is in.
pub fn with_fallbacks(router: Router) -> Router {
    router.fallback(|| async { Problem::not_found() }).method_not_allowed_fallback(|| async { Problem::method() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::decision::Code;

    fn json(problem: &Problem) -> String {
        serde_json::to_string(problem).expect("serialises")
    }

    #[test]
    fn a_problem_is_the_same_bytes_every_time() {
        assert_eq!(
            json(&Problem::locked()),
            r#"{"type":"urn:signvault:problem:vault.locked","title":"Vault is locked","status":423,"code":"vault.locked","detail":"the vault is locked","help":"unlock it with: signvault unlock"}"#
        );
    }

    #[test]
    fn optional_members_stand_only_where_they_apply() {
        let problem = Problem::new("policy.rate", "too fast", "wait").rule("limits").retry_after_ms(1500).audit_seq(7);
        assert!(json(&problem).ends_with(r#""rule":"limits","retry_after_ms":1500,"audit_seq":7}"#));
        let response = problem.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
    }

    #[test]
    fn what_holds_without_its_row_says_so_and_nothing_else_does() {
        let applied = Problem::from(crate::vault::AdminError::AppliedInMemory);
        assert_eq!((applied.status().as_u16(), applied.code()), (503, "audit.unavailable"));
        assert!(json(&applied).ends_with(r#","applied":"memory"}"#));
        for other in [Problem::audit_unavailable(), Problem::disk_does_not_answer(), Problem::too_many_wait()] {
            assert_eq!((other.status().as_u16(), other.code()), (503, "audit.unavailable"));
            assert!(!json(&other).contains("applied"));
        }
    }

    #[test]
    fn every_code_of_the_contract_has_its_status() {
        let table: [(u16, &[&str]); 14] = [
            (400, &["http.malformed", "ask.malformed", "ask.body_unexpected", "ask.body_ambiguous", "admin.invalid"]),
            (401, &["auth.failed"]),
            (403, &["http.browser", "policy.credential", "policy.grant", "policy.order.size", "unlock.failed"]),
            (404, &["http.not_found", "admin.not_found"]),
            (405, &["http.method"]),
            (409, &["policy.replay", "admin.exists", "vault.tampered", "vault.kdf_out_of_bounds"]),
            (413, &["http.too_large"]),
            (415, &["http.media_type"]),
            (417, &["http.expectation"]),
            (421, &["http.misdirected"]),
            (423, &["vault.locked"]),
            (429, &["policy.rate", "policy.limit", "unlock.backoff"]),
            (431, &["http.head_too_large"]),
            (503, &["audit.unavailable", "clock.jump"]),
        ];
        for (status, codes) in table {
            for code in codes {
                assert_eq!(meaning(code).0, status, "{code}");
            }
        }
        assert_eq!(meaning("internal").0, 500);
        assert_eq!(Refusal::ALL.map(|refusal| Problem::from(refusal).code()), Refusal::ALL.map(Refusal::code));
    }

    #[test]
    fn a_denial_keeps_its_code_and_rule() {
        let denial = Denial::new(Code::Grant, "the grant is missing", "add it").by_rule("grants");
        let problem = Problem::from(denial);
        assert_eq!((problem.status(), problem.code()), (StatusCode::FORBIDDEN, "policy.grant"));
        assert!(json(&problem).ends_with(r#""rule":"grants"}"#));
    }
}
