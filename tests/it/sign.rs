//! `POST /v1/sign`, `/v1/sign/batch`, `/v1/session`: what comes back, and that the exchange would accept it.

use crate::support::exchange::{check_signature, hmac_base64};
use crate::support::http::ask;
use crate::support::{API_KEY, PASSPHRASE, SECRET, Vault};
use serde_json::json;

#[test]
fn a_bot_gets_headers_that_the_exchange_accepts_over_both_transports() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let body = r#"{"instId":"BTC-USDT","sz":"0.01"}"#;
    for mut connection in [daemon.tcp(), daemon.unix()] {
        let answer = connection.sign(&token, "main", "GET", "/api/v5/account/balance?ccy=BTC", None).ok();
        check_signature(&answer, SECRET, "GET", "/api/v5/account/balance?ccy=BTC", "");
        let answer = connection.sign(&token, "main", "POST", "/api/v5/trade/order", Some(body)).ok();
        check_signature(&answer, SECRET, "POST", "/api/v5/trade/order", body);
        assert_eq!(answer["body"], body);
    }
}

#[test]
fn every_way_to_cut_one_text_into_two_requests_is_refused() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade", "settings", "funds", "withdraw"]);
    let mut connection = daemon.tcp();
    let order = r#"{"instId":"PUMP-USDT","sz":"100000"}"#;
    let mut splits: Vec<(String, String, String)> = vec![
        ("POST".into(), format!("/api/v5/trade/order{order}"), String::new()),
        ("POST".into(), format!("/api/v5/trade/order{}", &order[..27]), order[27..].into()),
        ("GET".into(), "/users/self/verify".into(), String::new()),
        ("GET".into(), "/api/v5/account/balance".into(), "\"}".into()),
        ("GET".into(), "/api/v5/account/balance".into(), "{}".into()),
        ("POST".into(), "/api/v5/trade/order?x=1".into(), order.into()),
    ];
    for line in include_str!("../vectors/okx-ambiguity.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        splits.push((text(&row["method"]), text(&row["asked"]["path"]), text(&row["asked"]["body"])));
    }
    for (method, path, body) in splits {
        let body = Some(body.as_str()).filter(|body| !body.is_empty());
        let answer = connection.sign(&token, "main", &method, &path, body);
        assert!(matches!(answer.status, 400 | 403), "{method} {path} {body:?} got {}", answer.status);
    }
    let good = connection.sign(&token, "main", "POST", "/api/v5/trade/order", Some(order)).ok();
    check_signature(&good, SECRET, "POST", "/api/v5/trade/order", order);
}

#[test]
fn no_trick_with_a_path_reaches_an_endpoint_over_http() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade", "funds", "withdraw"]);
    let mut connection = daemon.unix();
    let malformed = [
        "/api/v5/account/../asset/withdrawal",
        "/api/v5/asset/withdrawal%20",
        "/api/v5/asset/%77ithdrawal",
        "/api/v5/asset/withdrawal;x=1",
        "/api/v5/asset/withdrawal#",
        "/api/v5/asset/withdrawal\\",
        "/api/v5/asset/withdrawal\0",
        "/api/v5/asset/withdrawal\r\n",
        "/api/v5/asset/\u{ff57}ithdrawal",
        "/api/v5/account/balance?ccy=BTC&ccy=ETH",
        "/api/v5/account/balance?ccy=BTC&",
        "/api/v5/account/balance?ccy[]=BTC",
        "/api/v5/account/balance?ccy=a+b",
        "/api/v5/account/balance?ccy=%2c",
        "/api/v5/account/balance?",
        "",
    ];
    for path in malformed {
        let answer = connection.sign(&token, "main", "GET", path, None);
        assert_eq!((answer.status, answer.code().as_str()), (400, "ask.path_not_canonical"), "{path:?}");
        assert!(path.is_empty() || !String::from_utf8_lossy(&answer.body).contains(path), "{path:?} is echoed");
    }
    let unknown = [
        "//api/v5/account/balance",
        "/api/v5/account/balance/",
        "/API/v5/account/balance",
        "/api/v5/account/Balance",
        "/api/v5",
        "/api/v5/trade/order-",
        "/api/v6/account/balance",
    ];
    for path in unknown {
        let answer = connection.sign(&token, "main", "GET", path, None);
        assert_eq!((answer.status, answer.code().as_str()), (403, "policy.endpoint_unknown"), "{path}");
    }
}

#[test]
fn a_session_login_needs_its_grant_and_logs_in() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let trader = daemon.add_bot("trader", "main", &["read", "trade"]);
    let streamer = daemon.add_bot("streamer", "main", &["read", "session"]);
    let mut connection = daemon.tcp();
    let ask = r#"{"credential":"main"}"#;
    assert_eq!(connection.request("POST", "/v1/session", Some(&trader), Some(ask)).code(), "policy.grant");
    for (channel, path) in [("private", "/ws/v5/private"), ("business", "/ws/v5/business")] {
        let ask = json!({ "credential": "main", "channel": channel }).to_string();
        let answer = connection.request("POST", "/v1/session", Some(&streamer), Some(&ask)).ok();
        assert_eq!(answer["url"], format!("wss://ws.okx.com:8443{path}"));
        assert_eq!(answer["message"]["op"], "login");
        let login = &answer["message"]["args"][0];
        let time = login["timestamp"].as_str().expect("whole seconds as text");
        assert!(time.len() == 10 && time.bytes().all(|byte| byte.is_ascii_digit()), "{time}");
        assert_eq!(login["sign"], hmac_base64(SECRET, &format!("{time}GET/users/self/verify")));
        assert_eq!((&login["apiKey"], &login["passphrase"]), (&json!(API_KEY), &json!(PASSPHRASE)));
    }
    let odd =
        connection.request("POST", "/v1/session", Some(&streamer), Some(r#"{"credential":"main","channel":"x"}"#));
    assert_eq!(odd.code(), "ask.malformed");
}

#[test]
fn a_batch_is_judged_one_by_one_in_order() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let order = r#"{"instId":"BTC-USDT"}"#;
    let requests = [
        ask("main", "GET", "/api/v5/account/balance", None),
        ask("main", "POST", "/api/v5/asset/withdrawal", Some(order)),
        ask("nobody", "GET", "/api/v5/account/balance", None),
        ask("main", "BREW", "/api/v5/account/balance", None),
        ask("main", "POST", "/api/v5/trade/order", Some(order)),
    ];
    let batch = json!({ "requests": requests }).to_string();
    let answer = daemon.tcp().request("POST", "/v1/sign/batch", Some(&token), Some(&batch)).ok();
    let results = answer["results"].as_array().unwrap();
    let codes: Vec<&str> = results.iter().map(|result| result["code"].as_str().unwrap_or("signed")).collect();
    assert_eq!(codes, ["signed", "policy.grant", "policy.credential", "ask.malformed", "signed"]);
    let statuses: Vec<u64> = results.iter().filter_map(|result| result["status"].as_u64()).collect();
    assert_eq!(statuses, [403, 403, 400]);
    check_signature(&results[4], SECRET, "POST", "/api/v5/trade/order", order);
    let seqs: Vec<u64> = results.iter().filter_map(|result| result["audit_seq"].as_u64()).collect();
    assert!(seqs.is_sorted() && seqs.len() == 4, "{seqs:?}");
}

#[test]
fn an_answer_says_what_to_send_and_until_when() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    daemon.add_credential_with("play", &["--environment", "demo", "--region", "eea", "--ip", "203.0.113.7"]);
    let live = daemon.add_bot("live", "main", &["read", "trade"]);
    let demo = daemon.add_bot("demo", "play", &["read", "trade"]);
    let mut connection = daemon.tcp();
    let empty =
        json!({ "credential": "main", "method": "GET", "path": "/api/v5/account/config", "body": "" }).to_string();
    let answer = connection.request("POST", "/v1/sign", Some(&live), Some(&empty)).ok();
    assert_eq!(answer["url"], "https://www.okx.com/api/v5/account/config");
    assert!(answer.get("body").is_none() && answer["headers"].get("Content-Type").is_none());
    assert!(answer["headers"].get("x-simulated-trading").is_none());
    let times = [answer["headers"]["OK-ACCESS-TIMESTAMP"].as_str().unwrap(), answer["expires_at"].as_str().unwrap()];
    assert!(times.iter().all(|time| time.len() == 24 && time.ends_with('Z')), "{times:?}");
    assert!(times[0] < times[1]);

    let answer = connection.sign(&demo, "play", "POST", "/api/v5/trade/order", Some("{}")).ok();
    assert_eq!(answer["url"], "https://eea.okx.com/api/v5/trade/order");
    assert_eq!(answer["headers"]["x-simulated-trading"], "1");
    assert_eq!(answer["headers"]["Content-Type"], "application/json");
    assert_eq!(answer["body"], "{}");
}

#[test]
fn every_request_that_a_real_client_made_is_signed_over_http_as_that_client_signed_it() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade", "settings", "advanced", "funds", "keys", "withdraw"]);
    let mut connection = daemon.unix();
    let (mut signed, mut unlisted) = (0, 0);
    for line in include_str!("../vectors/okx.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        if row["source"] == "openssl" || row["kind"] == "ws-login" {
            continue;
        }
        let text = |name: &str| row["request"][name].as_str().unwrap().to_owned();
        let (method, path, body) = (text("method"), text("path"), text("body"));
        let answer = connection.sign(&token, "main", &method, &path, Some(String::as_str(&body)));
        match answer.status {
            200 => {
                check_signature(&answer.json(), SECRET, &method, &path, &body);
                signed += 1;
            }
            _ => {
                assert_eq!(answer.code(), "policy.endpoint_unknown", "{}", row["id"]);
                unlisted += 1;
            }
        }
    }
    assert_eq!((signed, unlisted), (822, 2));
}
