use super::*;

const PORT: u16 = 8731;

fn rules() -> Rules {
    Rules::tcp(PORT, &["vault.internal:9000".to_owned()], &Limits::default())
}

/// A request line and header lines, with their line ends.
fn head(lines: &[&str]) -> Vec<u8> {
    let mut text = lines.join("\r\n");
    text.push_str("\r\n\r\n");
    text.into_bytes()
}

fn check(lines: &[&str]) -> Result<usize, Refusal> {
    check_head(&head(lines), &rules()).map(|head| head.content_length)
}

/// A good request with one more header line.
fn with(method: &str, line: &str) -> Result<usize, Refusal> {
    check(&[&format!("{method} /v1/sign HTTP/1.1"), "Host: localhost:8731", line])
}

/// A good POST with ten bytes of body and one more header line.
fn post_with(line: &str) -> Result<usize, Refusal> {
    check(&["POST /v1/sign HTTP/1.1", "Host: localhost:8731", "Content-Length: 10", line])
}

#[test]
fn what_real_clients_send_passes() {
    assert_eq!(check(&["GET /health HTTP/1.1", "Host: 127.0.0.1:8731"]), Ok(0));
    assert_eq!(check(&["GET /v1/x?a=b%2C&c=d,e HTTP/1.1", "host:localhost:8731"]), Ok(0));
    assert_eq!(check(&["DELETE /v1/bots/a HTTP/1.1", "Host: [::1]:8731 ", "Connection: keep-alive"]), Ok(0));
    assert_eq!(check(&["GET / HTTP/1.1", "HOST:\t vault.internal:9000", "Content-Length: 0"]), Ok(0));
    assert_eq!(post_with("Content-Type: application/json"), Ok(10));
    assert_eq!(with("POST", "Content-Length: 0"), Ok(0));
    assert_eq!(with("GET", "Sec-Fetch-Mode: cors"), Ok(0), "the fetch of Node");
    assert_eq!(with("GET", "X-Empty:"), Ok(0));
}

#[test]
fn only_the_exact_hosts_are_meant() {
    for host in [
        "",
        "evil.com",
        "evil.com:8731",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:8732",
        "127.0.0.1:8731@evil",
        "0.0.0.0:8731",
        "LOCALHOST.:8731",
        "localhost.:8731",
        "localhost:08731",
        "127.0.0.1:8731, evil",
        "[::]:8731",
        "127.1:8731",
    ] {
        assert_eq!(check(&["GET / HTTP/1.1", &format!("Host: {host}")]), Err(Refusal::Misdirected), "{host}");
    }
    assert_eq!(check(&["GET / HTTP/1.1", "Accept: */*"]), Err(Refusal::Misdirected));
    let same = "Host: localhost:8731";
    assert_eq!(check(&["GET / HTTP/1.1", same, same]), Err(Refusal::Misdirected));
    assert_eq!(
        check(&["GET / HTTP/1.1", "Host: evil:8731", "X-Forwarded-Host: localhost:8731", "Forwarded: host=localhost"]),
        Err(Refusal::Misdirected)
    );
}

#[test]
fn a_unix_socket_has_its_own_hosts() {
    let rules = Rules::unix(&Limits::default());
    let check = |host: &str| check_head(&head(&["GET / HTTP/1.1", &format!("Host: {host}")]), &rules).is_ok();
    assert!(check("localhost") && check("signvault"));
    assert!(!check("localhost:8731") && !check("127.0.0.1") && !check("Localhost"));
}

#[test]
fn the_request_line_has_one_form() {
    for line in [
        "GET a HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a{b HTTP/1.1",
        "GET /a}b HTTP/1.1",
        "GET /a\"b HTTP/1.1",
        "GET /a<b HTTP/1.1",
        "GET /a>b HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /a^b HTTP/1.1",
        "GET /a`b HTTP/1.1",
        "GET /a|b HTTP/1.1",
        "GET /ä HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET /a\x7f HTTP/1.1",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a b HTTP/1.1",
        " GET /a HTTP/1.1",
        "GET /a HTTP/1.1 ",
        "GET\t/a HTTP/1.1",
        "GET http://localhost:8731/ HTTP/1.1",
        "GET //localhost:8731 HTTP/1.0",
        "GET * HTTP/1.1",
        "GET  HTTP/1.1",
        "GET /",
        "GET / HTTP/1.0",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / HTTP/1.10",
        "GET / http/1.1",
        "PRI * HTTP/2.0",
        "post / HTTP/1.1",
        "Get / HTTP/1.1",
        "GE-T / HTTP/1.1",
        "",
    ] {
        assert_eq!(check(&[line, "Host: localhost:8731"]), Err(Refusal::Malformed), "{line:?}");
    }
}

#[test]
fn methods_that_no_route_has_are_named_as_such() {
    for line in ["TRACE /", "OPTIONS /v1/sign", "OPTIONS *", "CONNECT evil.com:443", "HEAD /", "PROPFIND /"] {
        assert_eq!(check(&[&format!("{line} HTTP/1.1"), "Host: localhost:8731"]), Err(Refusal::Method), "{line}");
    }
}

#[test]
fn header_lines_have_one_form() {
    for line in
        [" folded: a", "\tfolded", "Name : a", "Name", ": a", "Na me: a", "Na\"me: a", "Name: a\x7f", "Nämé: a", "X: ä"]
    {
        assert_eq!(with("GET", line), Err(Refusal::Malformed), "{line:?}");
    }
    for byte in (0..0x20).chain(0x7f..=0xff).filter(|byte| *byte != b'\t') {
        let mut bytes = head(&["GET / HTTP/1.1", "Host: localhost:8731", "X: a?b"]);
        let at = bytes.iter().rposition(|b| *b == b'?').expect("stands there");
        bytes[at] = byte;
        assert_eq!(check_head(&bytes, &rules()), Err(Refusal::Malformed), "{byte:#x}");
    }
}

#[test]
fn a_token_with_foreign_bytes_is_left_to_fail_as_a_token() {
    assert_eq!(with("GET", "Authorization: Bearer svb_ä"), Ok(0));
    assert_eq!(with("GET", "authorization: Bearer\tsvb"), Ok(0));
    assert_eq!(with("GET", &format!("Authorization: {}", "a".repeat(8192))), Ok(0));
    assert_eq!(check(&["GET / HTTP/1.1", "Host: localhost:8731", "Authorization: a", "Authorization: b"]), Ok(0));
    assert_eq!(with("GET", "Authorization: a\x01"), Err(Refusal::Malformed));
}

#[test]
fn browsers_are_refused_whatever_they_say() {
    for line in [
        "Origin: null",
        "origin: http://localhost:8731",
        "Sec-Fetch-Site: none",
        "SEC-FETCH-DEST: empty",
        "Sec-Fetch-User: ?1",
        "Origin:",
    ] {
        assert_eq!(with("POST", line), Err(Refusal::Browser), "{line}");
    }
}

#[test]
fn a_body_has_one_plain_length() {
    for line in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "transfer-encoding: gzip, chunked",
        "Transfer-Encoding:",
        "Content-Length: 10",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
    ] {
        assert_eq!(post_with(line), Err(Refusal::Malformed), "{line}");
    }
    for length in ["", "+5", "-1", "5, 5", "5,5", "0x5", "5 5", "5.0", "05", "00", "five"] {
        assert_eq!(with("POST", &format!("Content-Length: {length}")), Err(Refusal::Malformed), "{length:?}");
    }
    assert_eq!(with("GET", "Content-Length: 1"), Err(Refusal::Malformed));
    assert_eq!(with("GET", "Content-Length: 99999999"), Err(Refusal::Malformed));
}

#[test]
fn a_body_is_bounded_json() {
    let post = |length: &str, media_type: &str| {
        check(&["POST / HTTP/1.1", "Host: localhost:8731", &format!("Content-Length: {length}"), media_type])
    };
    for good in
        ["application/json", "Application/JSON", "application/json;charset=utf-8", "application/json ; charset=UTF-8"]
    {
        assert_eq!(post("65536", &format!("Content-Type: {good}")), Ok(65536), "{good}");
    }
    for length in ["65537", "9223372036854775808", "18446744073709551616", &"9".repeat(200)] {
        assert_eq!(post(length, "Content-Type: application/json"), Err(Refusal::TooLarge), "{length}");
    }
    for bad in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json;",
        "application/json; charset=latin-1",
        "application/json;charset=utf-8;charset=utf-8",
        "application/json, text/plain",
        "application/problem+json",
        "text/plain;application/json",
    ] {
        assert_eq!(post("10", &format!("Content-Type: {bad}")), Err(Refusal::MediaType), "{bad}");
    }
    assert_eq!(post("10", "Accept: application/json"), Err(Refusal::MediaType), "missing");
    assert_eq!(post_with("Content-Encoding: gzip"), Err(Refusal::MediaType));
    assert_eq!(post_with("Expect: 100-continue"), Err(Refusal::Expectation));
    let json = "Content-Type: application/json";
    assert_eq!(check(&["POST / HTTP/1.1", "Host: localhost:8731", json, json]), Err(Refusal::MediaType));
}

#[test]
fn heads_are_bounded() {
    let lines = |count: usize| {
        let mut lines = vec!["GET / HTTP/1.1", "Host: localhost:8731"];
        lines.resize(1 + count, "X: y");
        check(&lines)
    };
    assert_eq!(lines(32), Ok(0));
    assert_eq!(lines(33), Err(Refusal::HeadTooLarge));

    let of_length = |length: usize| {
        let empty = head(&["GET / HTTP/1.1", "Host: localhost:8731", "X: "]).len();
        head(&["GET / HTTP/1.1", "Host: localhost:8731", &format!("X: {}", "a".repeat(length - empty))])
    };
    for (length, fits) in [(16384, true), (16385, false)] {
        let bytes = of_length(length);
        assert_eq!(bytes.len(), length);
        assert_eq!(check_head(&bytes, &rules()).is_ok(), fits, "{length}");
        assert_eq!(Scan::default().advance(&bytes, &rules()).is_ok(), fits, "{length}");
    }
}

/// What the gate makes of bytes that arrive in pieces of the given size.
fn scan_and_check(bytes: &[u8], piece: usize) -> Option<Result<usize, Refusal>> {
    let mut scan = Scan::default();
    for end in (piece..bytes.len()).step_by(piece).chain([bytes.len()]) {
        match scan.advance(&bytes[..end], &rules()) {
            Ok(None) => {}
            Ok(Some(end)) => return Some(check_head(&bytes[..end], &rules()).map(|head| head.content_length)),
            Err(refusal) => return Some(Err(refusal)),
        }
    }
    None
}

#[test]
fn broken_line_ends_are_refused_before_the_head_ends() {
    for bytes in [
        &b"GET / HTTP/1.1\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n",
        b"GET / HTTP/1.1\rX",
        b"GET / HTTP/1.1\r\r",
        b"\r\n",
        b"\n",
        b"GET /\r\n",
        b"GET / HTTP/1.0\r\n",
        b"\x16\x03\x01",
        b"GET /\0",
        b"PRI * HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\nX: \x0b",
    ] {
        assert_eq!(scan_and_check(bytes, 1), Some(Err(Refusal::Malformed)), "{bytes:?}");
    }
    assert_eq!(scan_and_check(b"GET / HTTP/1.1\r\nHost: localhost:8731\r\n", 1), None, "not over yet");
}

#[test]
fn the_verdict_does_not_depend_on_how_the_bytes_arrive() {
    let good = head(&[
        "POST /v1/sign HTTP/1.1",
        "Host: localhost:8731",
        "Content-Type: application/json",
        "Content-Length: 9",
    ]);
    for at in 0..good.len() {
        for byte in [0, b'\t', b'\n', b'\r', b' ', b',', b':', b'A', b'0', 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let whole = scan_and_check(&bytes, bytes.len());
            for piece in [1, 2, 3, 7] {
                assert_eq!(scan_and_check(&bytes, piece), whole, "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = check_head(&bytes, &rules());
        let _ = scan_and_check(&bytes, 5);
    }

    #[test]
    fn what_passes_is_read_alike_by_hyper(line in "[GETPOSU]{3,4} /[ -~]{0,12} HTTP/1.1", name in "[!-~]{1,9}", value in "[\t -~]{0,12}") {
        let bytes = head(&[&line, "Host: localhost:8731", &format!("{name}:{value}")]);
        if check_head(&bytes, &rules()).is_ok() {
            let target = line.split(' ').nth(1).expect("has three parts");
            let uri: axum::http::Uri = target.parse().expect("the next parser takes it");
            proptest::prop_assert_eq!(uri.path_and_query().map(|target| target.as_str()), Some(target));
        }
    }
}
