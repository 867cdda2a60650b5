//! What a policy says about orders and transfers, through the real interface: T49 to T62, by their numbers.

use crate::support::exchange::check_signature;
use crate::support::http::{Connection, Response, ask};
use crate::support::signers::verified_ledger;
use crate::support::{Daemon, SECRET, Vault, signal};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ORDER: &str = "/api/v5/trade/order";
const BATCH: &str = "/api/v5/trade/batch-orders";
const AMEND: &str = "/api/v5/trade/amend-order";
const CANCEL: &str = "/api/v5/trade/cancel-order";
const CLOSE: &str = "/api/v5/trade/close-position";
const TRANSFER: &str = "/api/v5/asset/transfer";
const WITHDRAWAL: &str = "/api/v5/asset/withdrawal";
const BALANCE: &str = "/api/v5/account/balance";

const TRADER: &str = r#"
grants = ["read", "trade"]
[order]
instruments = ["BTC-USDT", "ETH-USDT"]
sides = ["buy", "sell"]
types = ["limit", "post_only", "market"]
max_size = { "BTC-USDT" = "0.5" }
max_notional = "20000"
reference_price = { "BTC-USDT" = "60000", "ETH-USDT" = "3000" }
max_price_deviation = "5%"
"#;

/// A daemon with one bot under one policy, and a connection of its.
struct Desk<'a> {
    daemon: Daemon<'a>,
    token: String,
    connection: Connection,
}

impl<'a> Desk<'a> {
    fn new(vault: &'a Vault, policy: &str) -> Desk<'a> {
        let daemon = vault.serve_unlocked();
        daemon.add_credential("main");
        let token = daemon.add_bot_under("bob", policy);
        let connection = daemon.unix();
        Desk { daemon, token, connection }
    }

    fn post(&mut self, path: &str, body: &str) -> Response {
        self.connection.sign(&self.token, "main", "POST", path, Some(body))
    }

    fn get(&mut self, path: &str) -> Response {
        self.connection.sign(&self.token, "main", "GET", path, None)
    }

    /// The code of the answer, `signed` for a signature that the exchange would accept.
    fn said(&mut self, path: &str, body: &str) -> String {
        let answer = self.post(path, body);
        if answer.status != 200 {
            return answer.code();
        }
        check_signature(&answer.ok(), SECRET, "POST", path, body);
        "signed".to_owned()
    }

    fn set(&self, name: &str, text: &str) {
        let file = self.daemon.vault.file("again.toml", text);
        self.daemon.run(&["policy", "set", name, &file], "").ok();
    }

    fn restarted(self, vault: &'a Vault) -> Desk<'a> {
        let token = self.token;
        self.daemon.kill();
        let daemon = vault.serve_unlocked();
        let connection = daemon.unix();
        Desk { daemon, token, connection }
    }
}

/// A good order, with members set, or taken out by `null`.
fn order(members: Value) -> String {
    let mut order = json!({
        "instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "px": "60000", "sz": "0.01",
        "clOrdId": "b1x"
    });
    let (order_members, members) = (order.as_object_mut().unwrap(), members.as_object().unwrap());
    for (name, value) in members {
        match value {
            Value::Null => drop(order_members.remove(name)),
            value => drop(order_members.insert(name.clone(), value.clone())),
        }
    }
    order.to_string()
}

fn orders(count: usize, members: impl Fn(usize) -> Value) -> String {
    let orders: Vec<String> = (0..count).map(|at| order(members(at))).collect();
    format!("[{}]", orders.join(","))
}

#[test]
fn t49_no_splice_of_one_request_into_another_is_signed() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, r#"grants = ["read", "trade", "funds", "withdraw"]"#);
    let body = order(json!({}));
    let stolen = "2026-11-21T02:00:00.000ZPOST/api/v5/asset/withdrawal{\"ccy\":\"USDT\",\"zz\":\"";
    let splices: [(&str, String, String); 7] = [
        ("POST", format!("{ORDER}{body}"), String::new()),
        ("POST", format!("{ORDER}{}", &body[..20]), body[20..].to_owned()),
        ("POS", format!("T{ORDER}"), body.clone()),
        ("GET", stolen.to_owned(), String::new()),
        ("GET", BALANCE.to_owned(), "\"}".to_owned()),
        ("GET", "/users/self/verify".to_owned(), String::new()),
        ("POST", format!("{ORDER}?x="), body.clone()),
    ];
    for (method, path, body) in splices {
        let body = Some(body.as_str()).filter(|body| !body.is_empty());
        let answer = desk.connection.sign(&desk.token, "main", method, &path, body);
        assert!(matches!(answer.status, 400 | 403), "{method} {path} got {}", answer.status);
    }
    assert_eq!(desk.said(ORDER, &body), "signed");
}

#[test]
fn t50_a_caller_supplies_no_time() {
    let vault = Vault::new();
    let desk = Desk::new(&vault, "");
    let mut asked = ask("main", "GET", BALANCE, None);
    asked["timestamp"] = json!("2026-11-21T02:00:00.000Z");
    let answer = desk.daemon.tcp().request("POST", "/v1/sign", Some(&desk.token), Some(&asked.to_string()));
    assert_eq!((answer.status, answer.code().as_str()), (400, "ask.malformed"));
    let plain = ask("main", "GET", BALANCE, None).to_string();
    let with_query = desk.daemon.tcp().request("POST", "/v1/sign?timestamp=0", Some(&desk.token), Some(&plain));
    assert!(matches!(with_query.status, 200 | 400 | 404), "{}", with_query.status);
    if with_query.status == 200 {
        let time = with_query.json()["headers"]["OK-ACCESS-TIMESTAMP"].as_str().unwrap().to_owned();
        assert!(time.as_str() > "2026", "{time}");
    }
}

/// Makes another path of a listed one.
type Trick = fn(&str) -> String;

#[test]
fn t51_no_path_trick_reaches_any_endpoint_of_the_table() {
    let vault = Vault::new();
    let mut desk = Desk::new(
        &vault,
        &format!("grants = {:?}\n{}", ["read", "trade", "settings", "advanced", "funds", "keys", "withdraw"], FAST),
    );
    let listed = desk.daemon.run(&["recipe", "show", "okx", "--json"], "").json();
    let paths: std::collections::BTreeSet<(String, String)> = listed["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["method"].as_str().unwrap().to_owned(), row["path"].as_str().unwrap().to_owned()))
        .collect();
    let tricks: [(&str, Trick); 16] = [
        ("a dot segment", |path| path.replacen("/api/", "/api/../api/", 1)),
        ("a doubled slash", |path| format!("/{path}")),
        ("an encoded dot segment", |path| path.replacen("/v5/", "/v5/%2e%2e/v5/", 1)),
        ("an encoded letter", |path| path.replacen('v', "%76", 1)),
        ("a parameter", |path| format!("{path};x=1")),
        ("a slash at the end", |path| format!("{path}/")),
        ("an encoded space", |path| format!("{path}%20")),
        ("upper case", |path| path.to_ascii_uppercase()),
        ("a fragment", |path| format!("{path}#")),
        ("a fullwidth letter", |path| path.replacen('a', "\u{ff41}", 1)),
        ("NUL", |path| format!("{path}\0")),
        ("a line break", |path| format!("{path}\r\n")),
        ("a backslash", |path| path.replacen("/v5/", "/v5\\", 1)),
        ("a letter less", |path| path[..path.len() - 1].to_owned()),
        ("a letter more", |path| format!("{path}x")),
        ("a space before", |path| format!(" {path}")),
    ];
    let listed: std::collections::BTreeSet<&str> = paths.iter().map(|(_, path)| path.as_str()).collect();
    for (method, path) in &paths {
        for (trick, apply) in tricks {
            let tricked = apply(path);
            if listed.contains(tricked.as_str()) {
                continue;
            }
            let answer = desk.connection.sign(&desk.token, "main", method, &tricked, None);
            let (status, code) = (answer.status, answer.code());
            let refused =
                matches!((status, code.as_str()), (400, "ask.path_not_canonical") | (403, "policy.endpoint_unknown"));
            assert!(refused, "{trick} on {method} {path}: {status} {code}");
        }
    }
}

/// A rate that no test reaches.
const FAST: &str = "[limits]\nrequests_per_second = 10000\n";

#[test]
fn t52_an_empty_policy_signs_reads_and_nothing_else() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, FAST);
    let listed = desk.daemon.run(&["recipe", "show", "okx", "--json"], "").json();
    let mut signed = BTreeMap::new();
    for row in listed["endpoints"].as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap();
        let answer = desk.connection.sign(&desk.token, "main", text("method"), text("path"), None);
        let expected = if text("grant") == "read" { 200 } else { 403 };
        assert_eq!(answer.status, expected, "{} {}", text("method"), text("path"));
        *signed.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(signed, BTreeMap::from([(200, 312), (403, 169)]));
    for (read, twin) in [(ORDER, "POST"), ("/api/v5/trade/order-algo", "POST")] {
        assert_eq!(desk.get(read).status, 200);
        assert_eq!(desk.connection.sign(&desk.token, "main", twin, read, Some("{}")).code(), "policy.grant");
    }
}

#[test]
fn t53_a_query_that_two_servers_could_read_differently_is_refused() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, r#"grants = ["read", "trade"]"#);
    for query in [
        "?ccy=BTC&ccy=ETH",
        "?ccy=BTC&",
        "?&ccy=BTC",
        "?ccy[]=BTC",
        "?ccy=a+b",
        "?ccy=%2c",
        "?ccy",
        "?=1",
        "?",
        "?a=%00",
    ] {
        let answer = desk.get(&format!("{BALANCE}{query}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "ask.path_not_canonical"), "{query}");
    }
    for query in ["?ccy=BTC,ETH", "?ccy=BTC%2CETH", "?anything=1"] {
        assert_eq!(desk.get(&format!("{BALANCE}{query}")).status, 200, "{query}");
    }
    assert_eq!(desk.said(&format!("{ORDER}?x=1"), "{}"), "ask.path_not_canonical");
    let with_body = desk.connection.sign(&desk.token, "main", "GET", BALANCE, Some("{}"));
    assert_eq!(with_body.code(), "ask.body_unexpected");
}

#[test]
fn t54_a_body_that_two_parsers_could_read_differently_is_refused_at_every_endpoint() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, &format!("{TRADER}{FAST}"));
    let good = order(json!({}));
    let tricks = [
        good.replacen(r#""sz":"0.01""#, r#""sz":"0.01","sz":"99""#, 1),
        good.replacen(r#""sz":"0.01""#, r#""sz":"0.01","s\u007a":"99""#, 1),
        good.replacen("0.01", "\\ud800", 1),
        format!("\u{feff}{good}"),
        format!("{good}{{}}"),
        format!("{good}\0"),
        format!(" {good}"),
        format!("{good} "),
        good.replacen(r#""0.01""#, "01", 1),
        good.replacen(r#""0.01""#, ".5", 1),
        good.replacen(r#""0.01""#, "5.", 1),
        good.replacen(r#""0.01""#, "+5", 1),
        good.replacen(r#""0.01""#, "0x10", 1),
        good.replacen(r#""0.01""#, "NaN", 1),
        good.replacen(r#""0.01""#, "Infinity", 1),
        good.replacen(r#""0.01""#, &format!("{}1{}", "[".repeat(40), "]".repeat(40)), 1),
        good.replacen('"', "'", 2),
        good.replacen("}", ",}", 1),
        "null".to_owned(),
        "\"order\"".to_owned(),
    ];
    for path in [ORDER, BATCH, AMEND, "/api/v5/trade/order-algo", CLOSE, CANCEL] {
        for body in &tricks {
            let answer = desk.post(path, body);
            assert_eq!((answer.status, answer.code().as_str()), (400, "ask.body_ambiguous"), "{path} {body}");
        }
    }
    // What every parser reads alike, but no rule can count.
    for size in [
        json!("1e3"),
        json!("-1"),
        json!("+1"),
        json!("0x10"),
        json!("NaN"),
        json!("１"),
        json!("1,5"),
        json!([1]),
        json!(true),
        json!({}),
        json!("0.0000000000000000001"),
    ] {
        assert_eq!(desk.said(ORDER, &order(json!({ "sz": size }))), "policy.order.size", "{size}");
    }
    assert_eq!(desk.said(ORDER, &order(json!({ "sz": null, "SZ": "0.01" }))), "policy.order.size");
    for size in [json!("0.01"), json!(0.01), json!("0.010")] {
        assert_eq!(desk.said(ORDER, &order(json!({ "sz": size }))), "signed", "{size}");
    }
}

#[test]
fn t55_sizes_prices_and_amounts_have_exact_bounds() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, TRADER);
    let cheap = |size: &str| order(json!({ "sz": size, "px": "57000" }));
    let at = |price: &str| order(json!({ "px": price, "sz": "0.001" }));
    let cases = [
        (cheap("0.35"), "signed"),
        (cheap("0.5"), "policy.order.notional"),
        (cheap("0.500000000000000001"), "policy.order.size"),
        (order(json!({ "instId": "ETH-USDT", "px": "3000", "sz": "6.666666666666666666" })), "signed"),
        (order(json!({ "instId": "ETH-USDT", "px": "3000", "sz": "6.666666666666666667" })), "policy.order.notional"),
        (at("63000"), "signed"),
        (at("63000.000000000000000001"), "policy.order.price"),
        (at("57000"), "signed"),
        (at("56999.999999999999999999"), "policy.order.price"),
        (at("0"), "policy.order.price"),
        (at("-1"), "policy.order.price"),
        (at("60000.0000000000000000001"), "policy.order.price"),
        (order(json!({ "px": null })), "policy.order.price"),
    ];
    for (body, expected) in cases {
        assert_eq!(desk.said(ORDER, &body), expected, "{body}");
    }

    desk.set(
        "bob-policy",
        r#"grants = ["read", "funds"]
[transfer]
addresses = ["6", "18", "desk-2"]
max_amount = { USDT = "100" }"#,
    );
    let transfer = |members: &str| format!(r#"{{"ccy":"USDT","amt":"100","from":"18","to":"6"{members}}}"#);
    let cases = [
        (transfer(""), "signed"),
        (transfer(r#","subAcct":"","type":"0""#), "signed"),
        (transfer(r#","subAcct":"desk-2","type":"1""#), "signed"),
        (transfer(r#","subAcct":"thief","type":"1""#), "policy.transfer"),
        // From a sub-account to the master, and to the master from the sub-account that this key is of.
        (transfer(r#","subAcct":"desk-2","type":"2""#), "policy.transfer"),
        (transfer(r#","type":"3""#), "policy.transfer"),
        (transfer("").replace("100", "100.000000000000000001"), "policy.transfer"),
        (transfer("").replace("\"100\"", "1e2"), "policy.transfer"),
        (transfer("").replace("USDT", "BTC"), "policy.transfer"),
        (transfer("").replace("\"6\"", "\"7\""), "policy.transfer"),
        ("{}".to_owned(), "policy.transfer"),
    ];
    for (body, expected) in cases {
        assert_eq!(desk.said(TRANSFER, &body), expected, "{body}");
    }
    assert_eq!(desk.said("/api/v5/finance/savings/purchase-redempt", "{}"), "policy.field_uncounted");
}

#[test]
fn t56_every_order_of_a_body_is_judged_and_a_body_of_another_form_is_denied() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, &format!("{TRADER}[limits]\norders_per_day = 40\n"));
    let id = |at: usize| json!({ "clOrdId": format!("n{at}"), "sz": "0.001" });
    let bad_one = orders(20, |at| if at == 12 { json!({ "clOrdId": format!("n{at}"), "sz": "9" }) } else { id(at) });
    let answer = desk.post(BATCH, &bad_one);
    assert_eq!(answer.code(), "policy.order.size");
    assert!(answer.json()["detail"].as_str().unwrap().contains("13 of 20"), "{}", answer.json()["detail"]);
    for (path, body) in [
        (ORDER, format!("[{}]", order(json!({})))),
        (BATCH, order(json!({}))),
        (BATCH, "[]".to_owned()),
        (BATCH, r#"[["BTC-USDT","9"]]"#.to_owned()),
        (BATCH, orders(21, id)),
        (ORDER, "[]".to_owned()),
    ] {
        let answer = desk.post(path, &body);
        assert_eq!(answer.status, 403, "{path} {body}");
        assert!(answer.code().starts_with("policy."), "{path} {body}");
    }
    // Nothing of all this was counted: forty orders still fit, and not one more.
    assert_eq!(desk.said(BATCH, &orders(20, id)), "signed");
    assert_eq!(desk.said(BATCH, &orders(20, |at| id(at + 20))), "signed");
    assert_eq!(desk.said(BATCH, &orders(1, |_| id(99))), "policy.limit");
}

#[test]
fn t57_what_no_rule_can_count_is_denied_where_a_rule_must() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, TRADER);
    for member in ["pxUsd", "pxVol"] {
        assert_eq!(desk.said(ORDER, &order(json!({ member: "1" }))), "policy.field_uncounted", "{member}");
        assert_eq!(desk.said(ORDER, &order(json!({ member: "" }))), "signed", "{member}");
    }
    let attached = json!({ "attachAlgoOrds": [{ "tpTriggerPx": "70000", "tpOrdPx": "-1" }] });
    assert_eq!(desk.said(ORDER, &order(attached.clone())), "policy.field_uncounted");
    assert_eq!(desk.said(ORDER, &order(json!({ "attachAlgoOrds": [] }))), "signed");
    // The form in which older clients attach a stop.
    let stop = |price: &str| order(json!({ "slTriggerPx": price, "slOrdPx": price, "tpTriggerPx": "", "tpOrdPx": "" }));
    assert_eq!(
        (desk.said(ORDER, &stop("1")), desk.said(ORDER, &stop(""))),
        ("policy.field_uncounted".into(), "signed".into())
    );
    // What a size means must be known: a market buy's is money unless it says otherwise.
    let market = |members: Value| {
        let mut all = json!({ "ordType": "market", "px": null, "sz": "100" });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        order(all)
    };
    assert_eq!(desk.said(ORDER, &market(json!({}))), "signed");
    assert_eq!(desk.said(ORDER, &market(json!({ "sz": "20001" }))), "policy.order.notional");
    assert_eq!(desk.said(ORDER, &market(json!({ "tgtCcy": "base_ccy" }))), "policy.order.size");
    assert_eq!(desk.said(ORDER, &market(json!({ "tgtCcy": "base_ccy", "sz": "0.1" }))), "signed");
    assert_eq!(desk.said(ORDER, &market(json!({ "tgtCcy": "whatever" }))), "policy.order.size");
    assert_eq!(desk.said(ORDER, &market(json!({ "side": "sell", "sz": "0.4" }))), "policy.order.notional");

    // A policy that counts nothing takes them all.
    desk.set("bob-policy", "grants = [\"read\", \"trade\"]\n[order]\ninstruments = [\"BTC-USDT\"]\n");
    for members in [json!({ "pxUsd": "1" }), attached, json!({ "anything": "else" }), json!({ "sz": "1e9" })] {
        assert_eq!(desk.said(ORDER, &order(members)), "signed");
    }
}

#[test]
fn t58_only_the_listed_instruments_near_their_price() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, TRADER);
    for instrument in ["BTC-USDT-SWAP", "btc-usdt", "BTC-USDT ", "BTC‑USDT", "PUMP-USDT", "", "*"] {
        let said = desk.said(ORDER, &order(json!({ "instId": instrument })));
        assert_eq!(said, "policy.order.instrument", "{instrument}");
        let closed = desk.said(CLOSE, &json!({ "instId": instrument, "mgnMode": "cross" }).to_string());
        assert_eq!(closed, "policy.order.instrument", "{instrument}");
    }
    assert_eq!(desk.said(ORDER, &order(json!({ "px": "64000", "sz": "0.001" }))), "policy.order.price");
    assert_eq!(desk.said(ORDER, &order(json!({ "side": "sell", "px": "1", "sz": "0.001" }))), "policy.order.price");
    assert_eq!(desk.said(ORDER, &order(json!({ "ordType": "fok" }))), "policy.order.type");
    assert_eq!(desk.said(ORDER, &order(json!({ "side": "BUY" }))), "policy.order.side");
    // Another price is given, and holds from then on.
    assert_eq!(desk.said(ORDER, &order(json!({ "px": "70000", "sz": "0.01" }))), "policy.order.price");
    desk.daemon.run(&["policy", "reference", "set", "bob-policy", "BTC-USDT", "70000"], "").ok();
    assert_eq!(desk.said(ORDER, &order(json!({ "px": "70000", "sz": "0.01" }))), "signed");
    assert_eq!(desk.said(ORDER, &order(json!({ "px": "60000", "sz": "0.01" }))), "policy.order.price");
    let mut desk = desk.restarted(&vault);
    assert_eq!(desk.said(ORDER, &order(json!({ "px": "70000", "sz": "0.01" }))), "signed");
    for (instrument, price) in [("PUMP-USDT", "1"), ("BTC-USDT", "0"), ("BTC-USDT", "-1"), ("BTC-USDT", "1e5")] {
        let told = desk.daemon.run(&["policy", "reference", "set", "bob-policy", instrument, price], "");
        assert!(told.code == 2 || told.stderr.contains("admin.invalid"), "{told:?}");
    }
    assert!(
        desk.daemon
            .run(&["policy", "reference", "set", "nobody", "BTC-USDT", "1"], "")
            .fails(1)
            .contains("admin.not_found")
    );
}

const COUNTED: &str = r#"
grants = ["read", "trade"]
[order]
instruments = ["BTC-USDT"]
[limits]
orders_per_day = 100
"#;

#[test]
fn t59_a_client_id_stands_for_one_request() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, COUNTED);
    let other = desk.daemon.add_bot_under("eve", COUNTED);
    assert_eq!(desk.said(ORDER, &order(json!({ "clOrdId": null }))), "policy.order.client_id");
    assert_eq!(desk.said(ORDER, &order(json!({ "clOrdId": "" }))), "policy.order.client_id");
    assert_eq!(desk.said(ORDER, &order(json!({ "clOrdId": "  " }))), "policy.order.client_id");
    let first = order(json!({ "clOrdId": "one" }));
    assert_eq!(desk.said(ORDER, &first), "signed");
    assert_eq!(desk.said(ORDER, &first), "signed", "a retry after a timeout");
    let second = order(json!({ "clOrdId": "one", "sz": "0.02" }));
    let replayed = desk.post(ORDER, &second);
    assert_eq!((replayed.status, replayed.code().as_str()), (409, "policy.replay"));
    // By another way: in a batch, with another token, after a crash.
    assert_eq!(
        desk.said(BATCH, &orders(2, |at| json!({ "clOrdId": if at == 0 { "two" } else { "one" } }))),
        "policy.replay"
    );
    assert_eq!(desk.said(BATCH, &orders(2, |_| json!({ "clOrdId": "three" }))), "policy.replay");
    let by_eve = desk.connection.sign(&other, "main", "POST", ORDER, Some(&second));
    assert_eq!(by_eve.code(), "policy.replay");
    let mut desk = desk.restarted(&vault);
    assert_eq!(desk.said(ORDER, &second), "policy.replay");
    assert_eq!(desk.said(ORDER, &first), "signed");
    // Both retries were counted: the limit knows three orders.
    let whoami = desk.connection.request("GET", "/v1/whoami", Some(&desk.token), None).ok();
    let limit = &whoami["limits"]["orders_per_day"];
    assert_eq!((&limit["used"], &limit["max"], &limit["window_s"]), (&json!(3), &json!(100), &json!(86400)));
}

#[test]
fn t60_a_login_needs_its_own_grant() {
    let vault = Vault::new();
    let mut desk =
        Desk::new(&vault, r#"grants = ["read", "trade", "settings", "advanced", "funds", "keys", "withdraw"]"#);
    assert_eq!(desk.get("/users/self/verify").code(), "policy.endpoint_unknown");
    let login = |desk: &mut Desk<'_>| {
        desk.connection.request("POST", "/v1/session", Some(&desk.token), Some(r#"{"credential":"main"}"#))
    };
    let denied = login(&mut desk);
    assert_eq!((denied.status, denied.code().as_str()), (403, "policy.grant"));
    desk.set("bob-policy", r#"grants = ["session"]"#);
    assert_eq!(login(&mut desk).status, 200);
    let words = desk.daemon.run(&["policy", "show", "bob-policy"], "").ok();
    assert!(words.contains("except what the exchange forbids over WebSocket"), "{words}");
    // Beside rules that it would go round it must be asked for twice.
    let contradiction =
        desk.daemon.vault.file("x.toml", "grants = [\"trade\", \"session\"]\n[order]\ninstruments = [\"*\"]\n");
    assert!(desk.daemon.run(&["policy", "set", "x", &contradiction], "").fails(1).contains("session_unchecked"));
}

#[test]
fn t61_a_full_trade_policy_moves_no_funds() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, r#"grants = ["read", "trade"]"#);
    let beyond = [
        TRANSFER,
        "/api/v5/asset/subaccount/transfer",
        "/api/v5/asset/convert/trade",
        "/api/v5/rfq/execute-quote",
        "/api/v5/finance/savings/purchase-redempt",
        "/api/v5/users/subaccount/modify-apikey",
        "/api/v5/tradingBot/grid/order-algo",
        "/api/v5/account/set-leverage",
        WITHDRAWAL,
        "/api/v5/asset/withdrawal-lightning",
    ];
    for path in beyond {
        let answer = desk.post(path, "{}");
        assert_eq!((answer.status, answer.code().as_str()), (403, "policy.grant"), "{path}");
    }
    // What order rules can't judge stays out even when it is granted.
    desk.set("bob-policy", "grants = [\"read\", \"trade\", \"advanced\"]\n[order]\ninstruments = [\"*\"]\n");
    assert_eq!(desk.said("/api/v5/rfq/execute-quote", "{}"), "policy.field_uncounted");
    assert_eq!(desk.said("/api/v5/rfq/cancel-rfq", "{}"), "signed");
    assert_eq!(desk.said("/api/v5/sprd/order", &order(json!({}))), "policy.field_uncounted");
}

#[test]
fn t62_no_burst_and_no_crash_passes_a_daily_limit() {
    const CAP: u64 = 150;
    let vault = Vault::new();
    let text = format!(
        "grants = [\"read\", \"trade\"]\n[order]\ninstruments = [\"BTC-USDT\"]\n[limits]\nrequests_per_second = 10000\norders_per_day = {CAP}\n"
    );
    let mut desk = Desk::new(&vault, &text);
    let signed = AtomicU64::new(0);
    for round in 0..4 {
        let (daemon, token) = (&desk.daemon, &desk.token);
        thread::scope(|scope| {
            for number in 0..64 {
                let signed = &signed;
                scope.spawn(move || {
                    // Killed before it was answered.
                    let Ok(mut connection) = Connection::try_unix(&daemon.sign_socket()) else { return };
                    for count in 0..200 {
                        let body = order(json!({ "clOrdId": format!("r{round}n{number}c{count}") }));
                        match connection.try_sign(token, "main", "POST", ORDER, Some(&body)) {
                            Ok(answer) if answer.status == 200 => drop(signed.fetch_add(1, Ordering::Relaxed)),
                            Ok(answer) => return assert_eq!(answer.code(), "policy.limit"),
                            // Killed in between.
                            Err(_) => return,
                        }
                    }
                });
            }
            thread::sleep(Duration::from_millis(3 + round * 4));
            if round < 3 {
                signal(daemon.pid(), "KILL");
            }
        });
        desk = desk.restarted(&vault);
    }
    let signed = signed.into_inner();
    assert!(signed <= CAP, "{signed} signatures for {CAP} orders");
    let answer = desk.post(ORDER, &order(json!({ "clOrdId": "one-more" })));
    assert_eq!((answer.status, answer.code().as_str()), (429, "policy.limit"));
    assert!(answer.json()["retry_after_ms"].as_u64().is_some_and(|wait| wait > 80_000_000), "{:?}", answer.json());
    // What the ledger counts is what the limit counts, and it is spent to the last one.
    let rows = verified_ledger(&desk.daemon);
    let counted: u64 = rows.values().filter_map(|row| row["counted"]["orders"].as_u64()).sum();
    assert_eq!(counted, CAP);
    // Cancels and reads go on.
    assert_eq!(desk.said(CANCEL, r#"{"instId":"BTC-USDT","ordId":"1"}"#), "signed");
    assert_eq!(desk.get(BALANCE).status, 200);
    assert_eq!(desk.said(CLOSE, r#"{"instId":"BTC-USDT","mgnMode":"cross"}"#), "signed");
}

#[test]
fn of_many_at_once_exactly_one_gets_the_last_place() {
    let vault = Vault::new();
    let text = "grants = [\"trade\"]\n[order]\ninstruments = [\"BTC-USDT\"]\nreference_price = { \"BTC-USDT\" = \"60000\" }\n[limits]\nnotional_per_day = \"600\"\n";
    let desk = Desk::new(&vault, text);
    let (daemon, token) = (&desk.daemon, &desk.token);
    let codes: Vec<String> = thread::scope(|scope| {
        let asking: Vec<_> = (0..10)
            .map(|number| {
                scope.spawn(move || {
                    let body = order(json!({ "clOrdId": format!("n{number}"), "sz": "0.01" }));
                    let answer = daemon.unix().sign(token, "main", "POST", ORDER, Some(&body));
                    if answer.status == 200 { "signed".to_owned() } else { answer.code() }
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| *code == "signed").count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| *code == "policy.limit").count(), 9, "{codes:?}");
}

#[test]
fn a_rate_holds_in_each_lane_and_says_when_to_come_back() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, "grants = [\"read\", \"trade\"]\n[limits]\nrequests_per_second = 5\n");
    let rows = |desk: &Desk<'_>| verified_ledger(&desk.daemon).values().filter(|row| row["event"] == "sign").count();
    let began = Instant::now();
    let answers: Vec<Response> = (0..12).map(|_| desk.post(ORDER, "{}")).collect();
    let quick = began.elapsed() < Duration::from_millis(900);
    let refused: Vec<&Response> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!quick || refused.len() == 7, "{} refused", refused.len());
    for answer in &refused {
        assert_eq!((answer.status, answer.code().as_str()), (429, "policy.rate"));
        let wait = answer.json()["retry_after_ms"].as_u64().unwrap();
        assert!((1..=1000).contains(&wait), "{wait}");
        assert!(answer.json().get("audit_seq").is_none());
    }
    // Cancels and reads have a lane of their own, and denials count like all else.
    assert_eq!(desk.said(CANCEL, "{}"), "signed");
    assert_eq!(desk.get(BALANCE).status, 200);
    assert_eq!(rows(&desk), 12 - refused.len() + 2);
    thread::sleep(Duration::from_millis(1001));
    let denied: Vec<u16> = (0..8).map(|_| desk.post(WITHDRAWAL, "{}").status).collect();
    assert!(denied.contains(&429) && denied[..5] == [403; 5], "{denied:?}");
}

#[test]
fn modes_hold_at_once_for_everyone_or_one_bot_and_survive_a_restart() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, r#"grants = ["read", "trade", "settings", "session"]"#);
    let reducing = order(json!({ "reduceOnly": true }));
    let bringing = order(json!({ "reduceOnly": true, "attachAlgoOrds": [{ "tpTriggerPx": "1", "tpOrdPx": "-1" }] }));
    let asks = [
        (ORDER, order(json!({}))),
        (ORDER, reducing),
        (ORDER, bringing),
        (ORDER, order(json!({ "side": "sell", "posSide": "long" }))),
        (ORDER, order(json!({ "instId": "BTC-USDT-SWAP", "side": "sell", "posSide": "long" }))),
        (BATCH, format!("[{},{}]", order(json!({ "reduceOnly": "true" })), order(json!({})))),
        (AMEND, r#"{"instId":"BTC-USDT","newSz":"1"}"#.to_owned()),
        (CLOSE, r#"{"instId":"BTC-USDT","mgnMode":"cross"}"#.to_owned()),
        (CANCEL, r#"{"instId":"BTC-USDT","ordId":"1"}"#.to_owned()),
        ("/api/v5/trade/cancel-all-after", r#"{"timeOut":"10"}"#.to_owned()),
        ("/api/v5/trade/cancel-all-after", r#"{"timeOut":"0"}"#.to_owned()),
        ("/api/v5/account/set-leverage", "{}".to_owned()),
    ];
    let signed = |desk: &mut Desk<'_>| -> String {
        let mut said: String = asks
            .iter()
            .map(|(path, body)| match desk.said(path, body).as_str() {
                "signed" => '+',
                "policy.mode" => '-',
                other => panic!("{path} {body}: {other}"),
            })
            .collect();
        let login = desk.connection.request("POST", "/v1/session", Some(&desk.token), Some(r#"{"credential":"main"}"#));
        said.push(if login.status == 200 { '+' } else { '-' });
        said.push(if desk.get(BALANCE).status == 200 { '+' } else { '-' });
        said
    };
    let (normal, reduce, cancel) = ("++++++++++++++", "-+--+--+++---+", "--------++---+");
    assert_eq!(signed(&mut desk), normal);
    let mode = |desk: &Desk<'_>, arguments: &[&str]| desk.daemon.run(&[&["mode"], arguments].concat(), "");
    let told = mode(&desk, &["reduce-only"]);
    assert!(told.stderr.contains("sessions that are open live on"), "{told:?}");
    assert_eq!(signed(&mut desk), reduce);
    mode(&desk, &["cancel-only"]).ok();
    assert_eq!(signed(&mut desk), cancel);
    let mut desk = desk.restarted(&vault);
    assert_eq!(signed(&mut desk), cancel, "after a crash");
    assert_eq!(desk.daemon.status()["mode"], "cancel-only");
    mode(&desk, &["reduce-only", "--bot", "bob"]).ok();
    assert_eq!(signed(&mut desk), cancel, "the stricter of the two");
    mode(&desk, &["normal"]).ok();
    assert_eq!(signed(&mut desk), reduce);
    let eve = desk.daemon.add_bot_under("eve", r#"grants = ["trade"]"#);
    assert_eq!(desk.connection.sign(&eve, "main", "POST", ORDER, Some("{}")).status, 200, "only bob is held");
    let mut desk = desk.restarted(&vault);
    assert_eq!(signed(&mut desk), reduce, "after a crash");
    let shown = mode(&desk, &["--json"]).json();
    assert_eq!(shown, json!({ "mode": "normal", "bots": { "bob": "reduce-only" } }));
    assert!(desk.daemon.run(&["bot", "show", "bob"], "").ok().contains("own mode:    reduce-only"));
    mode(&desk, &["normal", "--bot", "bob"]).ok();
    assert_eq!(signed(&mut desk), normal);
    assert!(mode(&desk, &["normal", "--bot", "nobody"]).fails(1).contains("admin.not_found"));
    assert!(mode(&desk, &["halt"]).fails(2).contains("use one of: normal, reduce-only, cancel-only"));
    let noted = verified_ledger(&desk.daemon);
    assert_eq!(noted.values().filter(|row| row["event"] == "mode").count(), 5);
}

#[test]
fn a_shadow_policy_signs_and_says_what_it_would_have_denied() {
    let vault = Vault::new();
    let shadow = format!("enforcement = \"shadow\"\n{TRADER}[limits]\norders_per_day = 1\n");
    let mut desk = Desk::new(&vault, &shadow);
    assert_eq!(desk.said(ORDER, &order(json!({ "clOrdId": "a" }))), "signed");
    assert_eq!(desk.said(ORDER, &order(json!({ "clOrdId": "b", "sz": "9" }))), "signed");
    assert_eq!(desk.said(ORDER, &order(json!({ "clOrdId": "c" }))), "signed");
    assert_eq!(desk.said(WITHDRAWAL, "{}"), "policy.grant");
    assert_eq!(desk.said(ORDER, "{}x"), "ask.body_ambiguous");
    let rows = verified_ledger(&desk.daemon);
    let shadows: Vec<&str> =
        rows.values().filter(|row| row["event"] == "sign").map(|row| row["shadow"].as_str().unwrap_or("-")).collect();
    assert_eq!(shadows, ["-", "policy.order.size", "policy.limit", "-", "-"]);
}

#[test]
fn a_denial_says_why_and_what_to_do_and_never_what_the_body_said() {
    let vault = Vault::new();
    let mut desk = Desk::new(&vault, &format!("{TRADER}[limits]\nnotional_per_day = \"100\"\n"));
    const CANARY: &str = "CANARY71";
    let members = [
        json!({ "instId": CANARY }),
        json!({ "side": CANARY }),
        json!({ "ordType": CANARY }),
        json!({ "sz": CANARY }),
        json!({ "px": CANARY }),
        json!({ "sz": "777177" }),
        json!({ "px": "777177" }),
        json!({ "pxUsd": CANARY }),
        json!({ "tgtCcy": CANARY, "ordType": "market" }),
        json!({ "clOrdId": [CANARY] }),
        json!({ "sz": "0.3" }),
        json!({ "attachAlgoOrds": [{ "x": CANARY }] }),
        json!({ CANARY: "1", "sz": "777177" }),
    ];
    for members in members {
        let answer = desk.post(ORDER, &order(members.clone()));
        assert!(matches!(answer.status, 403 | 429), "{members}: {}", answer.status);
        let problem = answer.json();
        assert!(problem["rule"].as_str().is_some_and(|rule| !rule.is_empty()), "{problem}");
        assert!(!problem["help"].as_str().unwrap().is_empty(), "{problem}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("CANARY") && !text.contains("777177"), "{text}");
    }
    let exported = desk.daemon.run(&["audit", "export"], "").ok();
    assert!(!exported.contains("CANARY") && !exported.contains("777177"));
    assert!(!vault.log().contains("CANARY"));
}

#[test]
fn policy_test_says_what_a_policy_would_say() {
    let vault = Vault::nowhere();
    let policy = vault.file("policy.toml", &format!("{TRADER}[limits]\norders_per_day = 2\n"));
    let asks: Vec<String> = [
        json!({ "method": "GET", "path": BALANCE }),
        json!({ "method": "POST", "path": ORDER, "body": order(json!({ "clOrdId": "a" })) }),
        json!({ "method": "POST", "path": ORDER, "body": order(json!({ "clOrdId": "a", "sz": "0.02" })) }),
        json!({ "method": "POST", "path": ORDER, "body": order(json!({ "clOrdId": "b", "sz": "9" })) }),
        json!({ "method": "POST", "path": ORDER, "body": order(json!({ "clOrdId": "b" })), "credential": "main" }),
        json!({ "method": "POST", "path": ORDER, "body": order(json!({ "clOrdId": "c" })) }),
        json!({ "method": "POST", "path": WITHDRAWAL, "body": "{}" }),
        json!({ "method": "GET", "path": "/nowhere" }),
        json!({ "channel": "private" }),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    let asks = vault.file("asks.jsonl", &asks.join("\n"));
    let said = vault.run(&["policy", "test", &policy, &asks, "--json"], "").json();
    let codes: Vec<&str> =
        said.as_array().unwrap().iter().map(|said| said["code"].as_str().unwrap_or("allow")).collect();
    assert_eq!(
        codes,
        [
            "allow",
            "allow",
            "policy.replay",
            "policy.order.size",
            "allow",
            "policy.limit",
            "policy.grant",
            "policy.endpoint_unknown",
            "policy.grant",
        ]
    );
    let words = vault.run(&["policy", "test", &policy, &asks], "").ok();
    assert!(words.lines().nth(4).unwrap().contains("policy.order.size (order.max_size): the order is"), "{words}");
    for (broken, place) in
        [("{}\n", "line 1"), ("\nnope CANARY\n", "line 2"), (r#"{"method":"BREW","path":"/"}"#, "line 1")]
    {
        let broken = vault.file("broken.jsonl", broken);
        let told = vault.run(&["policy", "test", &policy, &broken], "").fails(1);
        assert!(told.contains(place) && !told.contains("CANARY"), "{told}");
    }
    vault.run(&["policy", "test", &policy, "nowhere.jsonl"], "").fails(1);
    vault.run(&["policy", "test", &policy, &asks, "--exchange", "nowhere"], "").fails(1);
}

#[test]
fn policy_set_says_what_the_policy_means_and_what_changed() {
    let vault = Vault::new();
    let desk = Desk::new(&vault, TRADER);
    let set = |text: &str| {
        let file = desk.daemon.vault.file("again.toml", text);
        desk.daemon.run(&["policy", "set", "bob-policy", &file], "").ok()
    };
    assert!(set(TRADER).contains("this is what it said before"));
    let changed = set(&TRADER.replace("20000", "50000").replace("\"0.5\"", "\"0.1\""));
    assert!(changed.contains("wider: ") && changed.contains("narrower: "), "{changed}");
    let file = desk.daemon.vault.file("new.toml", TRADER);
    assert!(desk.daemon.run(&["policy", "set", "another", &file], "").ok().contains("this policy is new"));
}
