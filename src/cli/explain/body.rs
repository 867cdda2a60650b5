//! The codes in an answer, as it was saved or piped: the body of an HTTP answer with or without its head, what came over a
//! WebSocket, a batch, one after the other, and what stands in front of them in an exception or a log line.

use crate::cli::report::{Exit, Failure};
use crate::recipe::errors::is_code;
use serde_json::Value;

/// A code, and how often it stands there.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub code: String,
    pub times: usize,
}

/// Members that hold a code: of an answer, of an order in it.
const CODES: [&str; 2] = ["code", "sCode"];
/// Members that hold more answers: an exchange's orders, signvault's batch.
const INSIDE: [&str; 2] = ["data", "results"];

/// The codes in a text, in their order.
///
/// # Errors
/// There is no JSON in it, no code, or none of an error. Nothing of the text is repeated.
pub fn codes_in(text: &[u8]) -> Result<Vec<Found>, Failure> {
    let answers = answers(text)?;
    let mut found: Vec<Found> = Vec::new();
    let mut succeeded = false;
    let mut take = |code: &str| match found.iter_mut().find(|found| found.code == code) {
        _ if code == "0" => succeeded = true,
        Some(found) => found.times += 1,
        None => found.push(Found { code: code.to_owned(), times: 1 }),
    };
    answers.iter().for_each(|answer| collect(answer, &mut take));
    let nothing = |what, help| Err(Failure::new(Exit::Failed, "cli.no_code", what, help));
    match (found.is_empty(), succeeded) {
        (false, _) => Ok(found),
        (true, true) => nothing("the answer tells of no error: its code is 0", "there is nothing to explain"),
        (true, false) => nothing("there is no error code in it", "pipe the whole answer: {\"code\": \"…\", …}"),
    }
}

/// Every JSON value from the first on, up to what is none.
fn answers(text: &[u8]) -> Result<Vec<Value>, Failure> {
    let body = without_head(text);
    let start = body.iter().position(|byte| matches!(byte, b'{' | b'['));
    let values = start.map(|start| serde_json::Deserializer::from_slice(&body[start..]).into_iter::<Value>());
    let answers: Vec<Value> = values.into_iter().flatten().map_while(Result::ok).collect();
    match answers.is_empty() {
        false => Ok(answers),
        true => Err(Failure::failed(
            "standard input holds no JSON",
            "pipe the answer of the exchange as it came; for a code alone: signvault explain CODE",
        )),
    }
}

/// The body of an answer that was saved with its head. A head may hold braces of its own.
fn without_head(text: &[u8]) -> &[u8] {
    if !text.starts_with(b"HTTP/") {
        return text;
    }
    let ends = [&b"\r\n\r\n"[..], b"\n\n"];
    let end = |end: &[u8]| text.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
    ends.into_iter().find_map(end).map_or(text, |start| &text[start..])
}

fn collect(answer: &Value, take: &mut impl FnMut(&str)) {
    match answer {
        Value::Array(answers) => answers.iter().for_each(|answer| collect(answer, take)),
        Value::Object(members) => {
            CODES.iter().filter_map(|name| code_of(members.get(*name)?)).for_each(|code| take(&code));
            INSIDE.iter().filter_map(|name| members.get(*name)).for_each(|inside| collect(inside, take));
        }
        _ => (),
    }
}

/// A code as text or number, without the part behind `_` that OKX adds to tell cases apart. Anything else is none, so that
/// nothing but a code is ever repeated.
fn code_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let number = text.split_once('_').map_or(text.as_str(), |(number, _)| number);
    let code = if number.bytes().all(|byte| byte.is_ascii_digit()) { number } else { &text };
    // The one word of signvault's own that stands alone.
    (is_code(code) || code == "internal").then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<(String, usize)> {
        let found = codes_in(text.as_bytes()).unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
        found.into_iter().map(|found| (found.code, found.times)).collect()
    }

    #[test]
    fn codes_are_found_wherever_exchanges_put_them() {
        let one = |code: &str| vec![(code.to_owned(), 1)];
        assert_eq!(codes(r#"{"msg":"API key doesn't exist","code":"50119"}"#), one("50119"));
        assert_eq!(codes(r#"{"msg":"Invalid Sign","code":50113}"#), one("50113"));
        assert_eq!(
            codes(r#"{"event":"error","code":"60009","msg":"Login failed.","connId":"a4d3ae55"}"#),
            one("60009")
        );
        assert_eq!(codes(r#"okx {"msg":"Invalid OK-ACCESS-KEY","code":"50111"}"#), one("50111"));
        assert_eq!(codes("HTTP/2 401 \r\nnel: {\"code\":\"1\"}\r\n\r\n{\"code\":\"50110\"}"), one("50110"));
        assert_eq!(codes("HTTP/1.1 401\nx: {\"code\":\"1\"}\n\n{\"code\":\"50110\"}\n"), one("50110"));
        assert_eq!(codes(r#"{"type":"urn:signvault:problem:internal","code":"internal"}"#), one("internal"));
    }

    #[test]
    fn every_order_of_a_batch_is_looked_at() {
        let batch = r#"{"code":"2","msg":"","data":[{"sCode":"51008","sMsg":"a","ordId":"1"},{"sCode":"0"},
            {"sCode":"51008_1000"},{"sCode":"51020"}]}"#;
        let expected = [("2", 1), ("51008", 2), ("51020", 1)].map(|(code, times)| (code.to_owned(), times));
        assert_eq!(codes(batch), expected);
        let own = r#"{"results":[{"audit_seq":1},{"code":"policy.limit","status":429},{"code":"policy.limit"}]}"#;
        assert_eq!(codes(own), [("policy.limit".to_owned(), 2)]);
        assert_eq!(
            codes("{\"code\":\"60011\"}\n{\"code\":\"60006\"}\nand more"),
            [("60011".to_owned(), 1), ("60006".to_owned(), 1)]
        );
    }

    #[test]
    fn what_has_no_code_is_refused_and_not_repeated() {
        let texts =
            ["", "hunter2", "{\"hunter2\"", "{\"code\":\"hunter2\"}", "[\"hunter2\"]", "{\"code\":{\"hunter2\":1}}"];
        for text in texts.into_iter().chain([r#"{"code":"0","data":[{"hunter2":"x"}]}"#, "{\"code\":-50113}"]) {
            let failure = codes_in(text.as_bytes()).unwrap_err();
            assert_eq!(failure.exit, Exit::Failed);
            assert!(!format!("{failure:?}").contains("hunter2"), "{text}: {failure:?}");
        }
        let success = codes_in(br#"{"code":"0","data":[{"sCode":"0"}]}"#).unwrap_err();
        assert!(success.what.contains("no error"), "{success:?}");
    }
}
