//! The hardened HTTP layer of the real daemon, with raw sockets. Each test names its number in the test programme.

use crate::support::http::{Connection, Response, ask};
use crate::support::{Daemon, Vault};
use serde_json::json;
use std::time::{Duration, Instant};

/// A daemon with one credential and one bot, and the bot's token.
fn with_bot(test: impl FnOnce(&Daemon<'_>, &str)) {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    test(&daemon, &token);
}

/// Sends bytes on a fresh connection; the answer, and whether the daemon closed afterwards.
fn raw(mut connection: Connection, bytes: &[u8]) -> (Option<Response>, bool) {
    // The daemon may close before it has read everything.
    let _ = connection.send(bytes);
    let response = connection.receive().ok();
    (response, connection.is_closed())
}

/// Sends bytes on a fresh connection; the answer.
fn sent(mut connection: Connection, bytes: &[u8]) -> Response {
    connection.send(bytes).expect("sent");
    connection.receive().expect("an answer")
}

/// A sign request with these extra header lines in place of the usual ones.
fn sign_head(host: &str, extra: &str, body: &str) -> Vec<u8> {
    format!("POST /v1/sign HTTP/1.1\r\nHost: {host}\r\n{extra}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn balance() -> String {
    ask("main", "GET", "/api/v5/account/balance", None).to_string()
}

#[test]
fn t26_every_bad_authorization_gets_the_same_401() {
    with_bot(|daemon, token| {
        let long = "x".repeat(8192);
        let headers = [
            String::new(),
            format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
            format!("Authorization: bearer {token}\r\n"),
            format!("Authorization: Bearer\t{token}\r\n"),
            format!("Authorization: Bearer  {token}\r\n"),
            format!("Authorization: {token}\r\n"),
            format!("Authorization: Bearer {long}\r\n"),
            format!("Authorization: Bearer {}\r\n", &token[..token.len() - 1]),
            format!("Authorization: Bearer {}\r\n", token.to_uppercase()),
            "Authorization: Bearer \u{fc}\r\n".to_owned(),
            "Authorization: Basic Ym9iOmJvYg==\r\n".to_owned(),
        ];
        for tcp in [true, false] {
            let answers: Vec<Response> = headers
                .iter()
                .map(|header| {
                    let mut connection = if tcp { daemon.tcp() } else { daemon.unix() };
                    let extra = format!("{header}Content-Type: application/json\r\n");
                    connection.send(&sign_head(connection.host(), &extra, &balance())).unwrap();
                    connection.receive().unwrap_or_else(|error| panic!("{header}: {error}"))
                })
                .collect();
            for answer in &answers {
                assert_eq!((answer.status, &answer.body, &answer.head), (401, &answers[0].body, &answers[0].head));
            }
        }
    });
}

#[test]
fn t29_a_foreign_credential_and_an_unknown_one_look_the_same() {
    with_bot(|daemon, token| {
        daemon.add_credential("other");
        let other = daemon.add_bot("eve", "other", &["read", "trade"]);
        let without_seq = |response: Response| {
            let mut problem = response.json();
            problem.as_object_mut().unwrap().remove("audit_seq").expect("denials have a row");
            (response.status, problem)
        };
        let mut connection = daemon.tcp();
        let mut asked =
            |token: &str, name: &str| without_seq(connection.sign(token, name, "GET", "/api/v5/account/balance", None));
        let foreign = asked(token, "other");
        assert_eq!(foreign, asked(token, "nobody"));
        assert_eq!(foreign, asked(&other, "main"));
        assert_eq!((foreign.0, &foreign.1["code"]), (403, &json!("policy.credential")));
    });
}

#[test]
fn t32_a_locked_vault_answers_the_same_for_every_token() {
    with_bot(|daemon, token| {
        daemon.run(&["lock"], "").ok();
        let tokens = [Some(token), Some("svb_nonsense"), None];
        let answers = tokens.map(|token| daemon.tcp().request("POST", "/v1/sign", token, Some(&balance())));
        for answer in &answers {
            assert_eq!((answer.status, &answer.body, &answer.head), (423, &answers[0].body, &answers[0].head));
        }
        assert_eq!(answers[0].code(), "vault.locked");
        assert_eq!(daemon.tcp().request("GET", "/v1/whoami", None, None).status, 423);
        assert_eq!(daemon.tcp().request("GET", "/ready", None, None).status, 503);
        assert_eq!(daemon.tcp().request("GET", "/health", None, None).status, 200);
    });
}

#[test]
fn t34_neither_interface_has_the_others_routes() {
    with_bot(|daemon, token| {
        let admin = [
            "/v1/status",
            "/v1/doctor",
            "/v1/unlock",
            "/v1/lock",
            "/v1/password",
            "/v1/slots",
            "/v1/credentials",
            "/v1/bots",
        ];
        for path in admin.iter().chain(&["/v1/policies/x", "/v1/audit", "/v1/audit/verify", "/v1/backup", "/metrics"]) {
            for mut connection in [daemon.tcp(), daemon.unix()] {
                let answer = connection.request("POST", path, Some(token), Some("{}"));
                assert_eq!((answer.status, answer.code().as_str()), (404, "http.not_found"), "{path}");
            }
        }
        for path in ["/v1/sign", "/v1/sign/batch", "/v1/session"] {
            assert_eq!(daemon.admin().request("POST", path, Some(token), Some("{}")).status, 404);
        }
    });
}

#[test]
fn a_path_that_can_name_nothing_is_refused_by_code_and_not_repeated() {
    with_bot(|daemon, _| {
        let before = daemon.status()["state_version"].clone();
        let asks = [
            ("DELETE", "/v1/slots/abc"),
            ("DELETE", "/v1/slots/-1"),
            ("DELETE", "/v1/slots/4294967296"),
            ("GET", "/v1/bots/odd%FFname"),
            ("DELETE", "/v1/bots/odd%FFname"),
            ("POST", "/v1/bots/odd%FFname/revoke"),
            ("POST", "/v1/bots/odd%FFname/rotate"),
            ("GET", "/v1/credentials/odd%FFname"),
            ("PATCH", "/v1/credentials/odd%FFname"),
            ("POST", "/v1/credentials/odd%FFname/rotate"),
            ("DELETE", "/v1/credentials/odd%FFname"),
            ("GET", "/v1/policies/odd%FFname"),
            ("PUT", "/v1/policies/odd%FFname"),
            ("DELETE", "/v1/policies/odd%FFname"),
            ("PUT", "/v1/policies/odd%FFname/references/BTC-USDT"),
            ("PUT", "/v1/policies/mine/references/odd%FFname"),
        ];
        for (method, path) in asks {
            let body = (method != "GET" && method != "DELETE").then_some("{}");
            let answer = daemon.admin().request(method, path, None, body);
            assert_eq!((answer.status, answer.code().as_str()), (400, "admin.invalid"), "{method} {path}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("odd"), "{method} {path}");
        }
        assert_eq!(daemon.status()["state_version"], before);
    });
}

#[test]
fn t37_only_this_interface_s_own_host_is_served() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let port = daemon.port;
    let health = |line: &str| format!("GET /health HTTP/1.1\r\n{line}\r\n").into_bytes();
    let bad = [
        String::new(),
        format!("Host: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}\r\n"),
        "Host: \r\n".to_owned(),
        format!("Host: evil.com:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}@evil.com\r\n"),
        format!("Host: 0.0.0.0:{port}\r\n"),
        format!("Host: LOCALHOST.:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        format!("Host: evil.com\r\nX-Forwarded-Host: 127.0.0.1:{port}\r\n"),
    ];
    for line in &bad {
        let (answer, closed) = raw(daemon.tcp(), &health(line));
        let answer = answer.unwrap_or_else(|| panic!("no answer to {line:?}"));
        assert_eq!((answer.status, answer.code().as_str(), closed), (421, "http.misdirected", true), "{line:?}");
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(sent(daemon.tcp(), &health(&format!("Host: {host}\r\n"))).status, 200, "{host}");
    }
    for (host, status) in [("localhost", 200), ("signvault", 200), ("127.0.0.1", 421), ("", 421)] {
        assert_eq!(sent(daemon.unix(), &health(&format!("Host: {host}\r\n"))).status, status, "{host}");
    }
}

/// Requests that must be refused and closed, with their statuses; `HOST` stands for the right header line.
#[track_caller]
fn refused(daemon: &Daemon<'_>, cases: &[(&str, &[u16])]) {
    for (request, statuses) in cases {
        let host = format!("Host: 127.0.0.1:{}\r\n", daemon.port);
        let bytes = request.replace("HOST", &host).into_bytes();
        let (answer, closed) = raw(daemon.tcp(), &bytes);
        let answer = answer.unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert!(statuses.contains(&answer.status), "{request:?} got {answer:?}");
        assert!(closed, "{request:?} was not closed");
        assert!(answer.header("access-control-allow-origin").is_none());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn t38_other_forms_of_http_are_refused() {
    let vault = Vault::new();
    refused(
        &vault.serve(),
        &[
            ("GET http://evil.com/health HTTP/1.1\r\nHOST\r\n", &[400]),
            ("CONNECT evil.com:443 HTTP/1.1\r\nHOST\r\n", &[400, 405]),
            ("TRACE /health HTTP/1.1\r\nHOST\r\n", &[405]),
            ("OPTIONS * HTTP/1.1\r\nHOST\r\n", &[400, 405]),
            ("OPTIONS /v1/sign HTTP/1.1\r\nHOST\r\n", &[405]),
            ("post /v1/sign HTTP/1.1\r\nHOST\r\n", &[400, 405]),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400]),
            (
                "GET /health HTTP/1.1\r\nHOSTConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
                &[400],
            ),
            ("GET /health HTTP/1.0\r\nHOST\r\n", &[400]),
            ("GET /health\r\n", &[400]),
        ],
    );
}

#[test]
fn t39_browsers_are_refused_and_no_answer_lets_one_read() {
    with_bot(|daemon, token| {
        let lines = [
            "Origin: null",
            "Origin: https://evil.com",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-User: ?1",
        ];
        for line in lines {
            let mut connection = daemon.tcp();
            let extra = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n{line}\r\n");
            connection.send(&sign_head(connection.host(), &extra, &balance())).unwrap();
            let answer = connection.receive().unwrap();
            assert_eq!((answer.status, answer.code().as_str()), (403, "http.browser"), "{line}");
            assert!(!answer.head.to_ascii_lowercase().contains("access-control-"));
            assert!(connection.is_closed());
        }
        // Node's fetch sends this one alone, and is no browser.
        let mut connection = daemon.tcp();
        let extra =
            format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\nSec-Fetch-Mode: cors\r\n");
        connection.send(&sign_head(connection.host(), &extra, &balance())).unwrap();
        let answer = connection.receive().unwrap();
        assert_eq!(answer.status, 200);
        assert!(!answer.head.to_ascii_lowercase().contains("access-control-"));
    });
}

#[test]
fn t41_only_plain_json_is_read() {
    with_bot(|daemon, token| {
        let types = [
            ("", 415),
            ("Content-Type: text/plain\r\n", 415),
            ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
            ("Content-Type: application/json;charset=x\r\n", 415),
            ("Content-Type: application/json\r\n", 200),
            ("Content-Type: application/json; charset=utf-8\r\n", 200),
            ("Content-Type: application/json;charset=UTF-8\r\n", 200),
        ];
        for (line, status) in types {
            let mut connection = daemon.tcp();
            let extra = format!("Authorization: Bearer {token}\r\n{line}");
            connection.send(&sign_head(connection.host(), &extra, &balance())).unwrap();
            assert_eq!(connection.receive().unwrap().status, status, "{line:?}");
        }
    });
}

#[test]
fn t42_no_second_request_hides_in_a_first() {
    with_bot(|daemon, token| {
        let smuggled = format!(
            "POST /v1/sign HTTP/1.1\r\nHOSTAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            balance().len(),
            balance()
        );
        let before = daemon.status()["audit_sequence"].clone();
        let with =
            |head: &str| format!("POST /v1/sign HTTP/1.1\r\nHOSTContent-Type: application/json\r\n{head}{smuggled}");
        let cases = [
            with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
            with("Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"),
            with("Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
            with("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            with("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n"),
            with("Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nabcde\r\n0\r\nTrailer: x\r\n\r\n"),
            with("Content-Length: +4\r\n\r\nabcd"),
            format!("GET /health HTTP/1.1\r\nHOSTContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
            format!("GET /health HTTP/1.1\r\nHOST\r\n{smuggled}"),
        ];
        let cases: Vec<(&str, &[u16])> = cases.iter().map(|case| (case.as_str(), &[400][..])).collect();
        refused(daemon, &cases);
        assert_eq!(daemon.status()["audit_sequence"], before, "a smuggled request was judged");
    });
}

#[test]
fn t43_odd_bytes_are_refused() {
    let vault = Vault::new();
    refused(
        &vault.serve(),
        &[
            ("GET /health HTTP/1.1\nHOST\n", &[400]),
            ("GET /health HTTP/1.1\r\nHOSTX: a\r\n b\r\n\r\n", &[400]),
            ("GET /health HTTP/1.1\r\nHOSTX: a\0b\r\n\r\n", &[400]),
            ("GET /health HTTP/1.1\r\nHOSTX: a\rb\r\n\r\n", &[400]),
            ("GET /health HTTP/1.1\r\nHOSTX : a\r\n\r\n", &[400]),
            ("GET /health HTTP/1.1\r\nHOSTX: \u{e9}\r\n\r\n", &[400]),
            ("GET /health#x HTTP/1.1\r\nHOST\r\n", &[400]),
            ("GET /health{} HTTP/1.1\r\nHOST\r\n", &[400]),
            ("GET health HTTP/1.1\r\nHOST\r\n", &[400]),
            ("GET /h\u{e9} HTTP/1.1\r\nHOST\r\n", &[400]),
        ],
    );
}

#[test]
fn t44_sizes_have_bounds() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let lines: String = (0..33).map(|n| format!("X-{n}: a\r\n")).collect();
    let long = format!("X: {}\r\n", "a".repeat(17 * 1024));
    let json = "Content-Type: application/json\r\n";
    let cases = [
        (format!("GET /health HTTP/1.1\r\nHOST{lines}\r\n"), 431),
        (format!("GET /health HTTP/1.1\r\nHOST{long}\r\n"), 431),
        (format!("POST /v1/sign HTTP/1.1\r\nHOST{json}Content-Length: {}\r\n\r\n", 64 * 1024 + 1), 413),
        (format!("POST /v1/sign HTTP/1.1\r\nHOST{json}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}"), 415),
        (format!("POST /v1/sign HTTP/1.1\r\nHOST{json}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}"), 417),
    ];
    for (request, status) in &cases {
        refused(&daemon, &[(request, &[*status])]);
    }
}

#[test]
fn t45_slow_peers_are_closed_in_time() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let port = daemon.port;
    let timed = move |first: String, drip: bool, at_most: u64| {
        let mut connection = Connection::tcp(port);
        connection.send(first.replace("HOST", &format!("Host: 127.0.0.1:{port}\r\n")).as_bytes()).unwrap();
        let begun = Instant::now();
        let mut dripping = true;
        while drip && dripping && begun.elapsed() < Duration::from_secs(at_most + 2) {
            std::thread::sleep(Duration::from_millis(500));
            dripping = connection.send(b"a").is_ok();
        }
        assert!(connection.is_closed());
        let took = begun.elapsed();
        assert!(took <= Duration::from_secs(at_most + 2), "{first:?} took {took:?}");
    };
    let slow_head = "GET /health HTTP/1.1\r\nX: ".to_owned();
    let slow_body =
        "POST /v1/sign HTTP/1.1\r\nHOSTContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n".to_owned();
    let stopped_head = "GET /health HTTP/1.1\r\n".to_owned();
    let threads = [
        std::thread::spawn(move || timed(slow_head, true, 5)),
        std::thread::spawn(move || timed(slow_body, true, 10)),
        std::thread::spawn(move || timed(stopped_head, false, 5)),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(daemon.tcp().request("GET", "/health", None, None).status, 200);
}

#[test]
fn t50_an_ask_has_its_members_and_no_others() {
    with_bot(|daemon, token| {
        let good = r#"{"credential":"main","method":"GET","path":"/api/v5/account/balance"}"#;
        let bodies = [
            r#"{"credential":"main","method":"GET","path":"/api/v5/account/balance","timestamp":"2026-01-01T00:00:00.000Z"}"#,
            r#"{"credential":"main","method":"GET","path":"/api/v5/account/balance","path":"/api/v5/account/config"}"#,
            r#"["main","GET","/api/v5/account/balance"]"#,
            r#"{"credential":"main","method":"GET"}"#,
            r#"{"credential":"main","method":"get","path":"/api/v5/account/balance"}"#,
            r#"{"credential":"main","method":"POS","path":"T/api/v5/trade/order"}"#,
            r#"{"credential":1,"method":"GET","path":"/api/v5/account/balance"}"#,
            r#"{"credential":"main","method":"GET","path":"/api/v5/account/balance"}{}"#,
            "null",
            "",
        ];
        let mut connection = daemon.tcp();
        for body in bodies {
            let answer = connection.request("POST", "/v1/sign", Some(token), Some(body));
            // An empty body has no length to declare its type for.
            assert_eq!((answer.status, answer.code().as_str()), (400, "ask.malformed"), "{body}");
        }
        assert_eq!(connection.request("POST", "/v1/sign", Some(token), Some(good)).status, 200);
        for (count, status) in [(0, 400), (1, 200), (20, 200), (21, 400)] {
            let batch = json!({ "requests": vec![serde_json::from_str::<serde_json::Value>(good).unwrap(); count] });
            let answer = connection.request("POST", "/v1/sign/batch", Some(token), Some(&batch.to_string()));
            assert_eq!(answer.status, status, "{count} in a batch");
        }
        let positional = r#"{"requests":[["main","GET","/api/v5/account/balance"]]}"#;
        let answer = connection.request("POST", "/v1/sign/batch", Some(token), Some(positional));
        assert_eq!(answer.code(), "ask.malformed");
    });
}

#[test]
fn of_two_things_wrong_the_earlier_check_answers() {
    with_bot(|daemon, token| {
        let mut connection = daemon.tcp();
        let unknown = ask("nobody", "GET", "/api/v5/../x", None).to_string();
        let denied = ask("main", "POST", "/api/v5/asset/withdrawal", Some("{} ")).to_string();
        let order = [
            (connection.request("POST", "/v1/sign", None, Some("not json")), "auth.failed"),
            (connection.request("POST", "/v1/sign", Some(token), Some("not json")), "ask.malformed"),
            (connection.request("POST", "/v1/sign", Some(token), Some(&unknown)), "policy.credential"),
            (connection.request("POST", "/v1/sign", Some(token), Some(&denied)), "ask.body_ambiguous"),
            (connection.request("PUT", "/v1/sign", None, Some("{}")), "http.method"),
        ];
        for (answer, code) in order {
            assert_eq!(answer.code(), code);
        }
        daemon.run(&["lock"], "").ok();
        let (answer, _) = raw(daemon.tcp(), b"POST /v1/sign HTTP/1.1\r\nHost: evil\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.expect("an answer").code(), "http.misdirected");
        assert_eq!(daemon.tcp().request("POST", "/v1/sign", None, Some("not json")).code(), "vault.locked");
    });
}

#[test]
fn refusals_before_an_ask_become_one_row_for_each_peer() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    for _ in 0..5 {
        assert_eq!(daemon.tcp().request("POST", "/v1/sign", Some("svb_x"), Some(&balance())).status, 401);
        assert_eq!(raw(daemon.tcp(), b"GET /health HTTP/1.1\r\nHost: evil\r\n\r\n").0.expect("an answer").status, 421);
        assert_eq!(daemon.unix().request("POST", "/v1/sign", Some("svb_x"), Some(&balance())).status, 401);
    }
    assert_eq!(daemon.terminate(), 0);
    let daemon = vault.serve_unlocked();
    let listed = daemon.run(&["audit", "list", "--json"], "").ok();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed).expect("JSON");
    let bodies =
        rows.iter().map(|row| row["body"].as_str().map_or(row.clone(), |body| serde_json::from_str(body).unwrap()));
    let refused: Vec<serde_json::Value> = bodies.filter(|body| body["event"] == "refused").collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    let of = |peer: &str| {
        refused.iter().find(|row| row["peer"].as_str().unwrap().starts_with(peer)).unwrap()["counts"].clone()
    };
    assert_eq!(of("tcp"), json!({ "auth.failed": 5, "http.misdirected": 5 }));
    assert_eq!(of("uid"), json!({ "auth.failed": 5 }));
}

#[test]
fn the_document_lists_exactly_the_routes_there_are() {
    let vault = Vault::new();
    let daemon = vault.serve();
    let document = daemon.tcp().request("GET", "/openapi.json", None, None).ok();
    let source = include_str!("../../src/api/mod.rs");
    let routes: Vec<&str> = source.split("\"/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let listed = document["paths"].as_object().unwrap();
    for route in routes.iter().filter(|route| **route != "openapi.json") {
        assert!(listed.contains_key(&format!("/{route}")), "/{route} is not in the document");
    }
    for path in listed.keys() {
        assert!(routes.contains(&&path[1..]), "{path} is no route");
    }
}
