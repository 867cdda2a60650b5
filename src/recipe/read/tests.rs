//! Everything that real clients send is read; everything that could be read in two ways is not.

use super::*;
use crate::recipe::template::Values;
use crate::recipe::{built_in, vectors};
use crate::types::ask::Channel;
use crate::types::clock::UnixMs;
use crate::types::endpoint::Grant;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::LazyLock;

static OKX: LazyLock<Recipe> = LazyLock::new(|| Recipe::parse(built_in("okx").unwrap()).unwrap());

const VECTORS: &str = include_str!("../../../tests/vectors/okx.jsonl");

fn wanted(method: Method, path: &str, body: &str) -> Wanted {
    let body = Some(body.to_owned()).filter(|body| !body.is_empty());
    Wanted::Request(Request { method, path: path.to_owned(), body })
}

/// The code of a refusal, or the endpoint.
fn reading(method: Method, path: &str, body: &str) -> String {
    match OKX.read(&wanted(method, path, body)) {
        Ok(reading) => reading.endpoint.to_string(),
        Err(denial) => denial.code.as_str().to_owned(),
    }
}

fn get(path: &str) -> String {
    reading(Method::Get, path, "")
}

fn post(path: &str, body: &str) -> String {
    reading(Method::Post, path, body)
}

const NOT_CANONICAL: &str = "ask.path_not_canonical";
const UNKNOWN: &str = "policy.endpoint_unknown";
const AMBIGUOUS: &str = "ask.body_ambiguous";
const ORDER: &str = "/api/v5/trade/order";

#[test]
fn a_request_is_read_as_the_endpoint_it_is() {
    assert_eq!(get("/api/v5/account/balance"), "GET /api/v5/account/balance");
    assert_eq!(get("/api/v5/account/balance?ccy=BTC,ETH"), "GET /api/v5/account/balance");
    assert_eq!(post(ORDER, r#"{"instId":"BTC-USDT"}"#), "POST /api/v5/trade/order");
    assert_eq!(get("/api/v5/trade/order?ordId=1"), "GET /api/v5/trade/order");
    assert_eq!(post("/api/v5/trade/mass-cancel", ""), "POST /api/v5/trade/mass-cancel");
}

#[test]
fn an_empty_body_is_no_body() {
    let request = Request { method: Method::Get, path: "/api/v5/account/balance".into(), body: Some(String::new()) };
    assert!(OKX.read(&Wanted::Request(request)).is_ok());
}

#[test]
fn every_request_of_every_client_is_read() {
    let (mut read, mut unlisted) = (0, 0);
    for line in VECTORS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["source"] == "openssl" || row["kind"] == "ws-login" {
            continue;
        }
        let text = |name: &str| row["request"][name].as_str().unwrap();
        let method = Method::parse(text("method")).unwrap();
        let (path, _) = split_target(text("path"));
        let outcome = reading(method, text("path"), text("body"));
        if OKX.endpoint(method, path).is_some() {
            assert_eq!(outcome, format!("{method} {path}"), "{}", row["id"]);
            read += 1;
        } else {
            assert_eq!(outcome, UNKNOWN, "{}", row["id"]);
            unlisted += 1;
        }
    }
    assert_eq!((read, unlisted), (822, 2));
}

#[test]
fn no_client_sends_a_query_with_post() {
    assert!(!VECTORS.lines().any(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        row["request"]["method"] == "POST" && row["request"]["path"].as_str().unwrap().contains('?')
    }));
    assert_eq!(post("/api/v5/trade/order?instId=BTC-USDT", ""), NOT_CANONICAL);
    assert_eq!(post("/api/v5/trade/order?", "{}"), NOT_CANONICAL);
}

/// Ways to write a path so that some server, proxy or library takes it for another.
fn tricks(path: &str) -> Vec<String> {
    let tail = path.strip_prefix("/api/v5/").unwrap();
    let (parent, last) = path.rsplit_once('/').unwrap();
    let wide: String = last.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect();
    let ends = [
        "/", "?", "//", "/.", "/..", "/./", "%20", "%00", "%2F", "%2f", " ", "\t", "\0", "\r\n", "#", "#a", ";x=1",
        ";", ":", "@", "\\", ".", ".json", "*", "+", "&a=1", "=", "?a", "?a=1&", "??a=1", "?a=x y", "?a=+", "?a=%0a",
        "?a=%2c", "?a[]=1", "?=1", "?{}", "?a=1#b", "{", "[", "\"", "{}", "[]", "|", "~", "!", "$", "'", "(", ",", "<",
        "^", "`", "é",
    ];
    let mut tricks: Vec<String> = ends.iter().map(|end| format!("{path}{end}")).collect();
    tricks.extend([
        format!("{path}\r\nX: y"),
        format!("{path}?a=1&a=2"),
        format!("{path}?a=1?b=2"),
        format!("{path}\u{7f}"),
        format!("{path}\u{a0}"),
        format!("{path}\u{200b}"),
        format!("{path}\u{feff}"),
        format!("{path}/%2e%2e/x"),
        format!("{path}/../../withdrawal"),
        path.to_uppercase(),
        path.replacen("/api", "/API", 1),
        path.replacen("/api", "/Api", 1),
        path.replacen("/v5/", "/v5//", 1),
        path.replacen("/v5/", "/v5/./", 1),
        path.replacen("/v5/", "/v5/account/../", 1),
        path.replacen("/v5/", "/v5/%2e%2e/v5/", 1),
        path.replacen("/v5/", "/v5%2F", 1),
        path.replacen("/v5/", "/v5\\", 1),
        path.replacen("/v5/", "/v5;a=b/", 1),
        path.replacen("/v5/", "/v6/", 1),
        path.replacen('/', "//", 1),
        path.replacen('/', "", 1),
        path.replacen('/', "\u{2215}", 1),
        path.replacen('a', "\u{430}", 1),
        format!("https://www.okx.com{path}"),
        format!("//www.okx.com{path}"),
        format!("http:{path}"),
        format!(" {path}"),
        format!("\u{feff}{path}"),
        format!("/{tail}"),
        format!("{parent}/{wide}"),
        format!("{parent}/%{:02x}{}", last.as_bytes()[0], &last[1..]),
        format!("{parent}/%{:02X}{}", last.as_bytes()[0], &last[1..]),
        String::new(),
        "/".to_owned(),
        "*".to_owned(),
    ]);
    tricks
}

#[test]
fn no_trick_with_a_path_reaches_any_endpoint() {
    let mut tried = 0;
    for row in OKX.endpoints() {
        for path in tricks(&row.endpoint.path) {
            let outcome = reading(row.endpoint.method, &path, "");
            assert!(outcome == NOT_CANONICAL || outcome == UNKNOWN, "{} {path:?}: {outcome}", row.endpoint.method);
            tried += 1;
        }
    }
    assert!(tried > 481 * 80, "{tried}");
}

#[test]
fn canonical_but_not_listed_is_unknown_and_not_malformed() {
    for path in
        ["/api/v5/account/balance/", "//api/v5/account/balance", "/API/V5/account/balance", "/", "/api/v5/trade/order-"]
    {
        assert_eq!(get(path), UNKNOWN, "{path}");
    }
    for path in ["/api/v5/account/../asset/withdrawal", "/api/v5/account/balance%20", "api/v5/account/balance"] {
        assert_eq!(get(path), NOT_CANONICAL, "{path}");
    }
    assert_eq!(reading(Method::Put, "/api/v5/account/balance", ""), UNKNOWN);
    assert_eq!(reading(Method::Delete, ORDER, "{}"), UNKNOWN);
    assert_eq!(post("/api/v5/account/balance", "{}"), UNKNOWN);
}

#[test]
fn a_get_has_no_body() {
    for body in ["{}", " ", "x"] {
        assert_eq!(reading(Method::Get, "/api/v5/account/balance", body), "ask.body_unexpected");
    }
}

#[test]
fn a_body_is_one_object_or_array() {
    for body in [
        "{",
        "{}{}",
        " {}",
        "{}\n",
        "\u{feff}{}",
        "\u{feff}{\"bom\":true}",
        "-algo{}",
        "-algo{\"instId\":\"BTC-USDT\"}",
        "1",
        "null",
        "true",
        "\"a\"",
        "a=1&b=2",
        "{\"sz\":\"1\",\"sz\":\"2\"}",
        "{\"sz\":\"1\",\"s\\u007a\":\"2\"}",
        "[\"\\ud800\"]",
        "{\"sz\":01}",
        "{'sz':1}",
    ] {
        assert_eq!(post(ORDER, body), AMBIGUOUS, "{body:?}");
    }
    assert_eq!(post(ORDER, &format!("{}{}", "[".repeat(33), "]".repeat(33))), AMBIGUOUS);
    assert_eq!(post(ORDER, &format!("{}{}", "[".repeat(32), "]".repeat(32))), "POST /api/v5/trade/order");
}

#[test]
fn one_string_is_a_body_only_where_a_client_sends_it() {
    for path in ["/api/v5/trade/cancel-algos", "/api/v5/rfq/maker-instrument-settings"] {
        assert_eq!(post(path, "\"A,B\""), format!("POST {path}"));
        assert_eq!(post(path, "\"A,B\"x"), AMBIGUOUS);
        assert_eq!(post(path, "null"), AMBIGUOUS);
    }
    assert_eq!(post("/api/v5/trade/cancel-order", "\"A,B\""), AMBIGUOUS);
}

#[test]
fn splices_of_another_request_are_refused() {
    let order = r#"{"instId":"PUMP-USDT","sz":"100000"}"#;
    assert_eq!(post(&format!("{ORDER}{order}"), ""), NOT_CANONICAL);
    assert_eq!(post(&format!("{ORDER}{}", &order[..30]), &order[30..]), NOT_CANONICAL);
    assert_eq!(post("T/api/v5/trade/order", order), NOT_CANONICAL);
    assert_eq!(get("ZPOST/api/v5/asset/withdrawal{\"ccy\":\"USDT\"}"), NOT_CANONICAL);
    assert_eq!(reading(Method::Get, "/api/v5/account/balance", "\"}"), "ask.body_unexpected");
    let report = vectors::check(&OKX, include_str!("../../../tests/vectors/okx-ambiguity.jsonl")).unwrap();
    assert_eq!((report.passed, report.failures.len()), (4, 0));
}

#[test]
fn every_cut_of_an_order_but_its_own_is_refused() {
    let text = format!("{ORDER}{}", r#"{"instId":"BTC-USDT","l":[{"a":"{[\"/"}]}"#);
    let read = |at: &usize| OKX.read(&wanted(Method::Post, &text[..*at], &text[*at..])).is_ok();
    let accepted: Vec<_> = (0..=text.len()).filter(read).collect();
    assert_eq!(accepted, [ORDER.len()]);
}

#[test]
fn a_login_is_an_ask_of_its_own_and_no_request() {
    let login = OKX.read(&Wanted::Session(Channel::Business)).unwrap().endpoint;
    assert_eq!((login.to_string().as_str(), login.grant), ("GET /users/self/verify", Grant::Session));
    assert_eq!(get("/users/self/verify"), UNKNOWN);
    assert_eq!(post("/users/self/verify", ""), UNKNOWN);
}

#[test]
fn help_says_whether_the_path_or_the_query_is_to_be_rewritten() {
    let help = |path: &str| OKX.read(&wanted(Method::Get, path, "")).unwrap_err().help;
    assert!(help("/api/v5/account/balance/.").starts_with("send the path"));
    assert!(help("/api/v5/account/balance?ccy").starts_with("write the query"));
}

#[test]
fn a_denial_does_not_repeat_the_body() {
    for body in ["{\"CANARY\":1,\"CANARY\":2}", "CANARY", "{}CANARY", "\"CANARY\""] {
        let denial = OKX.read(&wanted(Method::Post, ORDER, body)).unwrap_err();
        assert!(!denial.detail.contains("CANARY") && !denial.help.contains("CANARY"));
    }
}

/// Cuts a signed text the way an exchange could: where the first character stands that only a body has.
fn cut(text: &str) -> (&str, &str) {
    text.split_at(text.find(['{', '[', '"']).unwrap_or(text.len()))
}

fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let edit = (any::<proptest::sample::Index>(), 0..3usize, "[-/a-z{}\\[\\]\":,?&=%.0-9 \\\\é]{0,3}");
    proptest::collection::vec(edit, 0..3).prop_map(move |edits| {
        let mut text: Vec<char> = text.chars().collect();
        for (place, cut, insert) in edits {
            let at = place.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        text.into_iter().collect()
    })
}

/// The text that would be signed for an ask.
fn signed_text(request: &Request) -> String {
    let body = request.body.as_deref().unwrap_or("");
    let method = request.method.as_str();
    OKX.prehash().render(&Values { time: TIME, method, target: &request.path, body, ..Values::default() })
}

const TIME: &str = "2026-01-02T03:04:05.678Z";

/// Every ask that a text can be cut into: a time, a method, a target and a body, one right behind the other.
fn cuts(text: &str) -> Vec<Wanted> {
    let is_time = |end: &usize| text.is_char_boundary(*end) && UnixMs::parse_rfc3339(&text[..*end]).is_some();
    let mut cuts = Vec::new();
    for rest in (0..=text.len()).filter(is_time).map(|end| &text[end..]) {
        let methods = (0..=rest.len()).filter_map(|end| Some((Method::parse(rest.get(..end)?)?, rest.get(end..)?)));
        for (method, rest) in methods {
            let ends = (0..=rest.len()).filter(|end| rest.is_char_boundary(*end));
            cuts.extend(ends.map(|end| wanted(method, &rest[..end], &rest[end..])));
        }
    }
    cuts
}

/// Texts as a body may have them, with all that could be mistaken for another part of what is signed.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{1,5}-[A-Z]{1,5}",
        "[0-9]{1,6}(\\.[0-9]{1,6})?",
        "\\PC{0,12}",
        Just("POST/api/v5/asset/withdrawal{\"ccy\":\"USDT\"}".to_owned()),
        Just("GET/api/v5/account/balance?ccy=BTC".to_owned()),
        Just(format!("{TIME}POST/api/v5/trade/order[]")),
        Just("-algo".to_owned()),
    ]
}

fn some_body() -> impl Strategy<Value = Value> {
    let name =
        prop_oneof![Just("instId"), Just("sz"), Just("px"), Just("side"), Just("ordType"), Just("clOrdId"), Just("l")];
    let object = proptest::collection::btree_map(name.prop_map(str::to_owned), hostile_text(), 0..7);
    let object = object.prop_map(Value::from_iter).boxed();
    prop_oneof![object.clone(), proptest::collection::vec(object, 0..4).prop_map(Value::Array)]
}

fn some_ask() -> impl Strategy<Value = Request> {
    let bodies = proptest::option::of(some_body()).prop_map(|body| body.map(|body| body.to_string()));
    let posts = any::<proptest::sample::Index>().prop_map(|index| {
        let rows = OKX.endpoints();
        let posts: Vec<_> = rows.iter().filter(|row| row.endpoint.method == Method::Post).collect();
        posts[index.index(posts.len())].endpoint.path.to_string()
    });
    let order = prop_oneof![3 => Just(ORDER.to_owned()), 1 => Just(format!("{ORDER}-algo")), 2 => posts];
    let posts = (order, bodies).prop_map(|(path, body)| Request { method: Method::Post, path, body });
    let query = proptest::collection::btree_map("[a-zA-Z_]{1,6}", "[A-Za-z0-9._~,-]{0,8}", 0..4);
    let gets = query.prop_map(|pairs| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        let path = format!("/api/v5/account/balance{mark}{}", pairs.join("&"));
        Request { method: Method::Get, path, body: None }
    });
    prop_oneof![4 => posts, 1 => gets]
}

proptest! {
    #[test]
    fn what_is_signed_can_be_read_back_as_one_ask_only(request in some_ask()) {
        let text = signed_text(&request);
        let asked = Wanted::Request(request);
        let reading = OKX.read(&asked).expect("an allowed ask");
        let cuts = cuts(&text);
        let readings: Vec<_> = cuts.iter().filter_map(|cut| OKX.read(cut).ok()).collect();
        prop_assert_eq!(readings, [reading]);
    }

    #[test]
    fn what_is_accepted_can_be_cut_in_one_way_only(
        path in mutated("/api/v5/trade/order"),
        query in prop_oneof![Just(String::new()), mutated("?instId=BTC-USDT&ccy=%C3%9C")],
        body in prop_oneof![Just(String::new()), mutated(r#"{"instId":"BTC-USDT","l":[{"sz":"1"}]}"#)],
        method in prop_oneof![Just(Method::Get), Just(Method::Post)],
    ) {
        let target = path + &query;
        if let Ok(Reading { endpoint, .. }) = OKX.read(&wanted(method, &target, &body)) {
            let text = [target.as_str(), &body].concat();
            prop_assert_eq!(cut(&text), (target.as_str(), body.as_str()));
            prop_assert_eq!(&*endpoint.path, split_target(&target).0);
            prop_assert!(body.is_empty() || serde_json::from_str::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn nothing_makes_it_panic(path in "\\PC*", body in "\\PC*") {
        let _refused_or_not = OKX.read(&wanted(Method::Post, &path, &body));
        let _refused_or_not = OKX.read(&wanted(Method::Post, ORDER, &body));
        let _refused_or_not = OKX.read(&wanted(Method::Get, &format!("/api/v5/account/balance?{path}"), ""));
    }
}
