//! Known-answer vectors: does a recipe make the signatures that real clients made?
//!
//! One JSON object a line, in one of four dialects, told apart line by line:
//! - `request` and `expect` with headers: a signed request. `demo` says which environment.
//! - `expect.ws_message`: a session login.
//! - `exchange` and `signed`: what some client's signer put out, as `url`, `method`, `headers` and `body`.
//! - `asked`, `usable_as` and `same_sign`: two requests that share one signature. The first must be refused.
//!
//! The vector's own clock and credential are used. Nothing but the signing is tested: a vector may ask for an endpoint
//! that the recipe does not list.

use crate::recipe::Recipe;
use crate::recipe::sign::{Parts, Signed, SignedRequest, Site};
use crate::types::ask::{Channel, Method, Request, Wanted};
use crate::types::clock::UnixMs;
use crate::types::credential::Environment;
use serde_json::Value;
use std::collections::BTreeMap;

/// What came of a file of vectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many vectors agreed.
    pub passed: usize,
    /// The vectors that did not.
    pub failures: Vec<Failure>,
    /// How many vectors were left alone because they are for another exchange, by its name.
    pub other_exchanges: BTreeMap<String, usize>,
}

/// A vector that did not agree. Vectors hold no real secrets, so both sides are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The vector's id, or its line.
    pub id: String,
    /// What the vector says.
    pub expected: String,
    /// What the recipe makes of it.
    pub got: String,
}

/// A line that is no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {flaw}")]
pub struct VectorError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub flaw: VectorFlaw,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorFlaw {
    /// Not JSON.
    #[error("not JSON")]
    Json,
    /// None of the dialects.
    #[error("not in a dialect of vectors that is known here")]
    Dialect,
    /// A member that the dialect needs is absent or of another type.
    #[error("`{0}` is missing or is not what it should be")]
    Member(&'static str),
}

/// What a vector says, and what the recipe makes of it.
type Difference = (String, String);

/// Checks a recipe against vectors, one to a line. Empty lines are skipped.
pub fn check(recipe: &Recipe, lines: &str) -> Result<Report, VectorError> {
    let mut report = Report::default();
    for (index, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at_line = |flaw| VectorError { line: index + 1, flaw };
        let row: Value = serde_json::from_str(line).map_err(|_| at_line(VectorFlaw::Json))?;
        if let Some(other) = row["exchange"].as_str().filter(|exchange| !recipe.is_called(exchange)) {
            *report.other_exchanges.entry(other.to_owned()).or_default() += 1;
            continue;
        }
        match check_row(recipe, &row).map_err(at_line)? {
            Ok(()) => report.passed += 1,
            Err((expected, got)) => report.failures.push(Failure { id: id(&row, index), expected, got }),
        }
    }
    Ok(report)
}

fn id(row: &Value, index: usize) -> String {
    row["id"].as_str().map_or_else(|| format!("line {}", index + 1), str::to_owned)
}

fn check_row(recipe: &Recipe, row: &Value) -> Result<Result<(), Difference>, VectorFlaw> {
    if row["signed"].is_object() {
        check_signed(recipe, row)
    } else if row["expect"]["ws_message"].is_object() {
        check_session(recipe, row)
    } else if row["expect"].is_object() {
        check_request(recipe, row)
    } else if row["asked"].is_object() && row["same_sign"].is_string() {
        check_split(recipe, row)
    } else {
        Err(VectorFlaw::Dialect)
    }
}

fn check_request(recipe: &Recipe, row: &Value) -> Result<Result<(), Difference>, VectorFlaw> {
    let request = request(&row["request"])?;
    let environment = if row["demo"] == true { Environment::Demo } else { Environment::Live };
    let signed = sign(recipe, row, &Wanted::Request(request), environment)?;
    Ok(signed.and_then(|signed| match signed {
        Signed::Request(signed) => compare_headers(recipe, &signed, environment, &row["expect"]),
        Signed::Session(_) => Ok(()),
    }))
}

fn check_signed(recipe: &Recipe, row: &Value) -> Result<Result<(), Difference>, VectorFlaw> {
    let sent = &row["signed"];
    let url = text(sent, "url").ok_or(VectorFlaw::Member("signed.url"))?;
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let target = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let request = Request { method: method(sent)?, path: target.to_owned(), body: body(sent) };
    let signed = sign(recipe, row, &Wanted::Request(request), Environment::Live)?;
    Ok(signed.and_then(|signed| match signed {
        Signed::Request(signed) => compare_headers(recipe, &signed, Environment::Live, &sent["headers"]),
        Signed::Session(_) => Ok(()),
    }))
}

fn check_session(recipe: &Recipe, row: &Value) -> Result<Result<(), Difference>, VectorFlaw> {
    let signed = sign(recipe, row, &Wanted::Session(Channel::Private), Environment::Live)?;
    Ok(signed.and_then(|signed| match signed {
        Signed::Session(signed) => compare_message("", &signed.message, &row["expect"]["ws_message"]),
        Signed::Request(_) => Ok(()),
    }))
}

fn check_split(recipe: &Recipe, row: &Value) -> Result<Result<(), Difference>, VectorFlaw> {
    let parse = |name| Ok::<_, VectorFlaw>(Wanted::Request(split_request(row, name)?));
    let (asked, usable) = (parse("asked")?, parse("usable_as")?);
    if recipe.read(&asked).is_ok() {
        return Ok(Err(("a refusal".to_owned(), "accepted".to_owned())));
    }
    for wanted in [asked, usable] {
        let signed = sign(recipe, row, &wanted, Environment::Live)?;
        let expected = text(row, "same_sign").ok_or(VectorFlaw::Member("same_sign"))?;
        match signed {
            Ok(Signed::Request(signed)) if signed.headers.iter().any(|(_, value)| value == expected) => {}
            Ok(_) => return Ok(Err((expected.to_owned(), "another signature".to_owned()))),
            Err(outcome) => return Ok(Err(outcome)),
        }
    }
    Ok(Ok(()))
}

fn split_request(row: &Value, name: &'static str) -> Result<Request, VectorFlaw> {
    let path = text(&row[name], "path").ok_or(VectorFlaw::Member(name))?;
    Ok(Request { method: method(row)?, path: path.to_owned(), body: body(&row[name]) })
}

/// Signs with the vector's clock and credential. A refusal to sign is an outcome: expected was a signature.
fn sign(
    recipe: &Recipe,
    row: &Value,
    wanted: &Wanted,
    environment: Environment,
) -> Result<Result<Signed, Difference>, VectorFlaw> {
    let site = Site { environment, region: recipe.default_region(), base_url: None };
    let signed = recipe.sign(wanted, &parts(&row["credential"])?, &site, clock(row)?);
    Ok(signed.map_err(|error| ("a signature".to_owned(), error.to_string())))
}

fn parts(credential: &Value) -> Result<Parts<'_>, VectorFlaw> {
    let either = |name, other| text(credential, name).or_else(|| text(credential, other));
    Ok(Parts {
        api_key: either("api_key", "apiKey").ok_or(VectorFlaw::Member("credential.api_key"))?,
        secret: text(credential, "secret").ok_or(VectorFlaw::Member("credential.secret"))?.as_bytes(),
        passphrase: either("passphrase", "password"),
    })
}

fn request(request: &Value) -> Result<Request, VectorFlaw> {
    let path = text(request, "path").ok_or(VectorFlaw::Member("request.path"))?;
    Ok(Request { method: method(request)?, path: path.to_owned(), body: body(request) })
}

fn method(of: &Value) -> Result<Method, VectorFlaw> {
    text(of, "method").and_then(Method::parse).ok_or(VectorFlaw::Member("method"))
}

fn body(of: &Value) -> Option<String> {
    text(of, "body").filter(|body| !body.is_empty()).map(str::to_owned)
}

fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of[name].as_str()
}

/// The time that the client signed; only without one, the clock that it was given, which some round differently.
fn clock(row: &Value) -> Result<UnixMs, VectorFlaw> {
    let stated = text(&row["request"], "timestamp").or_else(|| text(row, "timestamp"));
    match stated {
        Some(stated) => moment(stated).ok_or(VectorFlaw::Member("timestamp")),
        None => row["clock_ms"].as_i64().map(UnixMs).ok_or(VectorFlaw::Member("clock_ms")),
    }
}

/// RFC 3339, seconds (up to eleven digits: until the year 5138) or milliseconds.
fn moment(stated: &str) -> Option<UnixMs> {
    match stated.parse::<i64>() {
        Ok(number) if stated.len() <= 11 => Some(UnixMs(number.checked_mul(1000)?)),
        Ok(number) => Some(UnixMs(number)),
        Err(_) => UnixMs::parse_rfc3339(stated),
    }
}

/// Compares every header that authenticates. Others, like the content type, are the client's choice.
fn compare_headers(
    recipe: &Recipe,
    signed: &SignedRequest,
    environment: Environment,
    expected: &Value,
) -> Result<(), Difference> {
    let headers = recipe.request.headers.iter();
    for header in headers.filter(|header| header.authenticates() && header.applies(signed.method, environment)) {
        let got = signed.headers.iter().find(|(name, _)| *name == header.name).map_or("", |(_, value)| value);
        let expected = header_of(expected, &header.name);
        if expected.as_deref() != Some(got) {
            let shown = expected.unwrap_or_else(|| "nothing".to_owned());
            return Err((format!("{}: {shown}", header.name), format!("{}: {got}", header.name)));
        }
    }
    Ok(())
}

fn header_of(headers: &Value, name: &str) -> Option<String> {
    let mut headers = headers.as_object()?.iter();
    headers.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| as_text(value))
}

/// Compares every text of our message with the client's, which may say more, and may write a number without quotes.
fn compare_message(name: &str, got: &Value, expected: &Value) -> Result<(), Difference> {
    match got {
        Value::Object(members) => {
            members.iter().try_for_each(|(name, got)| compare_message(name, got, &expected[name]))
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, got)| compare_message(name, got, &expected[at]))
        }
        got if as_text(got) == as_text(expected) => Ok(()),
        got => Err((format!("{name}: {}", as_text(expected)), format!("{name}: {}", as_text(got)))),
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn okx() -> Recipe {
        Recipe::parse(crate::recipe::built_in("okx").unwrap()).unwrap()
    }

    const OKX: &str = include_str!("../../tests/vectors/okx.jsonl");

    #[test]
    fn every_vector_of_every_client_is_reproduced() {
        let report = check(&okx(), OKX).unwrap();
        assert_eq!((report.passed, report.failures, report.other_exchanges.len()), (854, Vec::new(), 0));
    }

    #[test]
    fn requests_that_share_a_signature_are_told_apart() {
        let report = check(&okx(), include_str!("../../tests/vectors/okx-ambiguity.jsonl")).unwrap();
        assert_eq!((report.passed, report.failures), (4, Vec::new()));
    }

    #[test]
    fn a_pair_of_requests_is_held_to_its_refusal_and_to_its_signature() {
        let rows = include_str!("../../tests/vectors/okx-ambiguity.jsonl");
        let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        let failure = |name: &str, with: Value| {
            let mut row = row.clone();
            row[name] = with;
            let failure = check(&okx(), &row.to_string()).unwrap().failures.remove(0);
            (failure.expected, failure.got)
        };
        let fine = row["usable_as"].clone();
        assert_eq!(failure("asked", fine), ("a refusal".to_owned(), "accepted".to_owned()));
        let another = ("c2lnbg==".to_owned(), "another signature".to_owned());
        assert_eq!(failure("same_sign", "c2lnbg==".into()), another);
    }

    #[test]
    fn moments_are_told_apart_by_their_length() {
        let then = UnixMs(1_538_054_050_000);
        for (stated, expected) in [
            ("1538054050", Some(then)),
            ("1538054050000", Some(then)),
            ("2018-09-27T13:14:10.000Z", Some(then)),
            ("99999999999", Some(UnixMs(99_999_999_999_000))),
            ("100000000000", Some(UnixMs(100_000_000_000))),
            ("", None),
            ("now", None),
        ] {
            assert_eq!(moment(stated), expected, "{stated}");
        }
    }

    #[test]
    fn a_changed_vector_fails_and_says_how() {
        let row = OKX.lines().next().unwrap().replace("/rfq/counterparties", "/rfq/counterpartiez");
        let report = check(&okx(), &row).unwrap();
        assert_eq!((report.passed, report.failures.len()), (0, 1));
        assert_eq!(report.failures[0].id, "ccxt-0000");
        assert_eq!(report.failures[0].expected, "OK-ACCESS-SIGN: Fzn3UH+BRBMaT+enZXsTcZMAfOM0OtYqGgRtTjoTHdI=");
        assert!(report.failures[0].got.starts_with("OK-ACCESS-SIGN: "));
    }

    #[test]
    fn a_login_is_compared_member_by_member() {
        let row = OKX.lines().find(|line| line.contains("python-okx-ws-0")).unwrap();
        for (from, to, name) in [
            ("\"timestamp\": 1538054050", "\"timestamp\": 1538054051", "timestamp"),
            ("\"sign\": \"mFYS", "\"sign\": \"aFYS", "sign"),
            ("\"op\": \"login\"", "\"op\": \"logout\"", "op"),
        ] {
            let report = check(&okx(), &row.replacen(from, to, 1)).unwrap();
            assert_eq!(report.failures.len(), 1, "{name}");
            assert!(report.failures[0].expected.starts_with(name), "{name}");
        }
    }

    #[test]
    fn what_another_signer_put_out_is_a_vector_too() {
        let row = r#"{"id": "myokx-003", "exchange": "myokx", "credential": {"apiKey": "HXZUzVMnPOrsHRyME473O9ijMNnLbeEo", "secret": "eoPtpIRYCf7u2N5R5SuZNmOW4TdumpRLnNRqVBViAbqFp7ggWYaUbvj1h8AtR4i6", "password": "ohhnjV23ySjl!a1"}, "clock_ms": 1789012345678, "signed": {"url": "https://eea.okx.com/api/v5/account/adjust-leverage-info?symbol=BTCUSDT", "method": "GET", "headers": {"OK-ACCESS-KEY": "HXZUzVMnPOrsHRyME473O9ijMNnLbeEo", "OK-ACCESS-PASSPHRASE": "ohhnjV23ySjl!a1", "OK-ACCESS-TIMESTAMP": "2026-09-10T03:52:25.678Z", "OK-ACCESS-SIGN": "SNFK4mwWHuUUTOshrYFtinxF2f+gKLmsIHelywWwWAM="}, "body": null}}"#;
        let report = check(&okx(), row).unwrap();
        assert_eq!((report.passed, report.failures), (1, Vec::new()));
        let report = check(&okx(), &row.replace("SNFK4", "TNFK4")).unwrap();
        assert_eq!((report.passed, report.failures.len()), (0, 1));
    }

    #[test]
    fn vectors_of_other_exchanges_are_counted_by_name() {
        let report = check(&okx(), "{\"exchange\":\"kraken\"}\n\n{\"exchange\":\"kraken\"}\n").unwrap();
        assert_eq!(report.other_exchanges, BTreeMap::from([("kraken".to_owned(), 2)]));
        assert_eq!(report.passed, 0);
    }

    #[test]
    fn a_line_that_is_no_vector_is_named() {
        let error = |line: &str| check(&okx(), &format!("\n{line}")).unwrap_err().to_string();
        assert_eq!(error("{"), "line 2: not JSON");
        for half in ["{}", "{\"asked\":{}}", "{\"same_sign\":\"x\"}"] {
            assert_eq!(error(half), "line 2: not in a dialect of vectors that is known here");
        }
        assert_eq!(error("{\"expect\":{}}"), "line 2: `request.path` is missing or is not what it should be");
    }
}
