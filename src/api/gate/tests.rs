//! The whole HTTP layer from outside: raw bytes on real sockets, TCP and Unix, against a few routes that count.

use super::*;
use crate::api::connection::{Interface, closing};
use crate::api::error::Problem;
use crate::api::peer::Peer;
use crate::api::tally::RefusalCounts;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::thread;
use tokio::io::AsyncWriteExt;
use tokio::sync::{oneshot, watch};

const BIG: usize = 64 * 1024 * 1024;

/// A running interface pair in a thread of its own.
struct Server {
    address: SocketAddr,
    socket: PathBuf,
    /// How many requests reached a route.
    handled: Arc<AtomicUsize>,
    counts: Arc<RefusalCounts>,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

/// Where a test talks to.
#[derive(Clone, Copy, Debug)]
enum Over {
    Tcp,
    Unix,
}

/// Either kind of blocking client socket.
enum Client {
    Tcp(std::net::TcpStream),
    Unix(UnixStream),
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        // A peer that refuses may have closed already; what it answered is still to be read.
        let _ = match self {
            Client::Tcp(stream) => stream.write_all(bytes),
            Client::Unix(stream) => stream.write_all(bytes),
        };
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Client::Tcp(stream) => stream.read(buffer),
            Client::Unix(stream) => stream.read(buffer),
        }
    }

    /// Everything until the peer closes. A reset is an error: it may have cost an answer.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self {
            Client::Tcp(stream) => stream.read_to_end(&mut bytes),
            Client::Unix(stream) => stream.read_to_end(&mut bytes),
        }
        .expect("closed in order and in time");
        String::from_utf8(bytes).expect("answers are text")
    }

    /// One answer by its content length.
    fn answer(&mut self) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        loop {
            let count = self.read(&mut buffer).expect("an answer");
            assert_ne!(count, 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..count]).expect("answers are text"));
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Some((_, length)) = head.split_once("content-length: ")
            {
                let length = length.lines().next().expect("a value").parse::<usize>().expect("a number");
                if body.len() == length {
                    return text;
                }
            }
        }
    }

    fn close_write_side(&self) {
        match self {
            Client::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Client::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("still open");
    }
}

fn routes(handled: Arc<AtomicUsize>) -> Router {
    let counted = move |request: axum::extract::Request, next: axum::middleware::Next| {
        handled.fetch_add(1, Ordering::SeqCst);
        next.run(request)
    };
    Router::new()
        .route("/count", get(|| async { "counted" }).post(|| async { "counted" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/auth", get(|| async { Problem::auth_failed() }))
        .route("/peer", get(|Extension(peer): Extension<Peer>| async move { peer.key().to_string() }))
        .route("/secret", post(|| async { closing("kept no copy".into_response()) }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_millis(300)).await }))
        .route("/big", get(|| async { vec![b'x'; BIG] }))
        .route("/panic", get(|| async { panicking("svb_secret_in_a_panic") }))
        .layer(axum::middleware::from_fn(counted))
}

fn panicking(text: &str) -> Response {
    panic!("{text}")
}

impl Server {
    fn start() -> Server {
        Server::with(Limits::default())
    }

    fn with(limits: Limits) -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("sign.sock");
        let (handled, counts) = (Arc::new(AtomicUsize::new(0)), Arc::new(RefusalCounts::default()));
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = oneshot::channel();
        let listening = (socket.clone(), handled.clone(), counts.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(accept_all(limits, listening, stopped, tell));
        });
        let address = told.blocking_recv().expect("listens");
        Server { address, socket, handled, counts, stop, thread: Some(thread), _directory: directory }
    }

    fn connect(&self, over: Over) -> Client {
        let patience = Some(Duration::from_secs(8));
        match over {
            Over::Tcp => {
                let stream = std::net::TcpStream::connect(self.address).expect("connects");
                stream.set_read_timeout(patience).expect("an option");
                stream.set_write_timeout(patience).expect("an option");
                stream.set_nodelay(true).expect("an option");
                Client::Tcp(stream)
            }
            Over::Unix => {
                let stream = UnixStream::connect(&self.socket).expect("connects");
                stream.set_read_timeout(patience).expect("an option");
                stream.set_write_timeout(patience).expect("an option");
                Client::Unix(stream)
            }
        }
    }

    /// `HOST` in a request stands for the value that is accepted there.
    fn host(&self, over: Over) -> String {
        match over {
            Over::Tcp => self.address.to_string(),
            Over::Unix => "localhost".to_owned(),
        }
    }

    /// Sends bytes on a new connection and reads until it closes.
    fn exchange(&self, over: Over, request: &[u8]) -> String {
        let mut client = self.connect(over);
        client.send(&replace(request, b"HOST", self.host(over).as_bytes()));
        client.rest()
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    /// How often a code was counted since the last look.
    fn counted(&self, code: &str) -> u64 {
        self.counts.take().into_iter().filter(|((_, counted), _)| *counted == code).map(|(_, count)| count).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

type Listening = (PathBuf, Arc<AtomicUsize>, Arc<RefusalCounts>);

async fn accept_all(
    limits: Limits,
    (socket, handled, counts): Listening,
    mut stop: watch::Receiver<bool>,
    tell: oneshot::Sender<SocketAddr>,
) {
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let unix = tokio::net::UnixListener::bind(socket).expect("binds");
    let address = tcp.local_addr().expect("has one");
    let interface = |rules| Interface::new(routes(handled.clone()), rules, limits.clone(), counts.clone());
    let on_tcp = interface(Rules::tcp(address.port(), &[], &limits));
    let on_unix = interface(Rules::unix(&limits));
    tell.send(address).expect("someone waits");
    let watching = stop.clone();
    let mut stopped = pin!(async { drop(stop.wait_for(|stop| *stop).await) });
    loop {
        tokio::select! {
            () = stopped.as_mut() => return,
            Ok((stream, peer)) = tcp.accept() => {
                tokio::spawn(on_tcp.clone().serve(stream, Peer::Tcp(peer), watching.clone()));
            }
            Ok((stream, _)) = unix.accept() => {
                let peer = stream.peer_cred().expect("has them");
                let peer = Peer::Unix { uid: peer.uid(), gid: peer.gid() };
                tokio::spawn(on_unix.clone().serve(stream, peer, watching.clone()));
            }
        }
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let Some(at) = text.windows(from.len()).position(|window| window == from) else { return text.to_vec() };
    [&text[..at], to, &replace(&text[at + from.len()..], from, to)].concat()
}

fn post_echo(body: &str) -> String {
    format!(
        "POST /echo HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[track_caller]
fn assert_refused(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{code}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer: {answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    for header in [
        "content-type: application/problem+json\r\n",
        "connection: close\r\n",
        "cache-control: no-store\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(answer.contains(header), "{header}{answer}");
    }
    assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
    assert!(!answer.contains("CANARY"), "nothing is repeated: {answer}");
}

const JSON: &str = "Content-Type: application/json\r\n";

/// Requests that must never reach a route, with the answer they get. `HOST` stands for the right host.
fn refused() -> Vec<(String, u16, &'static str)> {
    let malformed = [
        // T38
        "GET http://HOST/count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET http://evil.com/CANARY HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        "post /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /count HTTP/1.0\r\nHost: HOST\r\n\r\n",
        "GET /count HTTP/1.0\r\n\r\n",
        "GET /count\r\n",
        "GET /count\n",
        // T42
        "POST /count HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nGET /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\nGET /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF;CANARY\r\n0\r\nTrailer: x\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nContent-Length: +2\r\n\r\n{}",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\n{}",
        "GET /count HTTP/1.1\r\nHost: HOST\r\n\r\nGET /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\n\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}GET /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        // T43
        "GET /count HTTP/1.1\nHost: HOST\n\n",
        "GET /count HTTP/1.1\r\nHost: HOST\nX: y\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nX: a\r\n folded\r\n\r\n",
        "GET /count HTTP/1.1\r\n Host: HOST\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nX: a\0b\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nX: a\rb\r\n\r\n",
        "GET /count HTTP/1.1\r\nHost: HOST\r\nX: ü\r\n\r\n",
        "GET /cöunt HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET /count#CANARY HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET /count{\"x\":1} HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "\r\nGET /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "\u{16}\u{3}\u{1}TLS",
    ];
    let methods = [
        "TRACE /count HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "CONNECT evil.com:443 HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "OPTIONS /count HTTP/1.1\r\nHost: HOST\r\nOrigin: http://evil.com\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    ];
    // T37
    let hosts = [
        "X: y",
        "Host:",
        "Host: evil.com:8731",
        "Host: HOST@evil.com",
        "Host: 0.0.0.0:8731",
        "Host: LOCALHOST.:8731",
        "Host: 127.0.0.1",
        "Host: HOST\r\nHost: HOST",
        "Host: evil.com\r\nX-Forwarded-Host: HOST",
    ];
    // T39
    let browsers = [
        "Origin: null",
        "Origin: http://HOST",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-User: ?1",
    ];
    // T41
    let types = [
        "X: y",
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: application/json;charset=x",
        "Content-Type: application/json\r\nContent-Encoding: gzip",
    ];
    let get = |lines: &str| format!("GET /count HTTP/1.1\r\n{lines}\r\n\r\n");
    let post = |lines: &str, body: &str| {
        format!("POST /count HTTP/1.1\r\nHost: HOST\r\n{lines}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut all = Vec::new();
    all.extend(malformed.map(|request| (request.to_owned(), 400, "http.malformed")));
    all.extend(methods.map(|request| (request.to_owned(), 405, "http.method")));
    all.extend(hosts.map(|line| (get(line), 421, "http.misdirected")));
    all.extend(browsers.map(|line| (get(&format!("Host: HOST\r\n{line}")), 403, "http.browser")));
    all.extend(browsers.map(|line| (post(&format!("{JSON}{line}"), "{not json"), 403, "http.browser")));
    all.extend(types.map(|line| (post(line, "{}"), 415, "http.media_type")));
    // T44
    let fill = |count: usize| "X: y\r\n".repeat(count);
    all.push((get(&format!("{}Host: HOST", fill(32))), 431, "http.head_too_large"));
    all.push((get(&format!("Host: HOST\r\nX: {}", "a".repeat(17 * 1024))), 431, "http.head_too_large"));
    all.push((format!("GET /{} HTTP/1.1\r\nHost: HOST\r\n\r\n", "a".repeat(60_000)), 431, "http.head_too_large"));
    all.push((post(JSON.trim_end(), &"a".repeat(64 * 1024 + 1)), 413, "http.too_large"));
    all.push((post(&format!("{JSON}Expect: 100-continue"), "{}"), 417, "http.expectation"));
    all
}

#[test]
fn what_the_guard_refuses_never_reaches_a_route() {
    let server = Server::start();
    for over in [Over::Tcp, Over::Unix] {
        for (request, status, code) in refused() {
            let answer = server.exchange(over, request.as_bytes());
            assert_refused(&answer, status, code);
            assert_eq!(server.handled(), 0, "{request:?}");
            assert_eq!(server.counted(code), 1, "{request:?}");
            assert_eq!(server.exchange(over, request.as_bytes()), answer, "the same bytes every time");
            server.counts.take();
        }
    }
}

#[test]
fn a_refused_head_request_has_no_body() {
    let server = Server::start();
    let answer = server.exchange(Over::Tcp, b"HEAD /count HTTP/1.1\r\nHost: HOST\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn every_bad_token_gets_as_far_as_failing_and_fails_alike() {
    let server = Server::start();
    let mut answers = std::collections::BTreeSet::new();
    let long = format!("Authorization: Bearer {}\r\n", "a".repeat(8192));
    for lines in [
        &b""[..],
        b"Authorization: Bearer a\r\nAuthorization: Bearer a\r\n",
        b"Authorization: bearer a\r\n",
        b"Authorization: Bearer\ta\r\n",
        long.as_bytes(),
        b"Authorization: Bearer svb_\xff\x80\r\n",
    ] {
        let request = [b"GET /auth HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n", lines, b"\r\n"].concat();
        answers.insert(server.exchange(Over::Unix, &request));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = answers.first().expect("one");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
    assert_eq!(server.handled(), 6);
}

#[test]
fn a_connection_serves_a_hundred_requests_one_after_the_other() {
    let server = Server::start();
    for over in [Over::Tcp, Over::Unix] {
        let mut client = server.connect(over);
        for number in 0..100 {
            // Also bodies that come in more than one piece.
            let body = format!("{{\"n\":{number},\"fill\":\"{}\"}}", "x".repeat(number * 400));
            client.send(&replace(post_echo(&body).as_bytes(), b"HOST", server.host(over).as_bytes()));
            let answer = client.answer();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&body), "{number}");
            assert!(!answer.contains("connection: close"), "{number}");
        }
    }
    assert_eq!(server.handled(), 200);
}

#[test]
fn a_body_of_the_full_length_passes_and_pieces_do_not_matter() {
    let server = Server::start();
    let mut client = server.connect(Over::Tcp);
    let body = "x".repeat(64 * 1024);
    client.send(&replace(post_echo(&body).as_bytes(), b"HOST", server.host(Over::Tcp).as_bytes()));
    assert!(client.answer().ends_with(&body));
    for byte in replace(post_echo("{\"slow\":1}").as_bytes(), b"HOST", server.host(Over::Tcp).as_bytes()) {
        client.send(&[byte]);
    }
    assert!(client.answer().ends_with("{\"slow\":1}"));
}

#[test]
fn a_request_that_does_not_wait_for_the_answer_before_it_is_refused_in_its_turn() {
    let server = Server::start();
    for over in [Over::Tcp, Over::Unix] {
        let mut client = server.connect(over);
        let host = server.host(over);
        client.send(format!("GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        thread::sleep(Duration::from_millis(100));
        client.send(format!("GET /count HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let answers = client.rest();
        let (first, second) = answers.split_at(answers.rfind("HTTP/1.1 ").expect("two answers"));
        assert!(first.starts_with("HTTP/1.1 200 "), "{answers}");
        assert_refused(second, 400, "http.malformed");
    }
    assert_eq!(server.handled(), 2, "only the slow ones");
}

#[test]
fn a_client_that_closes_its_side_still_gets_the_answer() {
    let server = Server::start();
    for over in [Over::Tcp, Over::Unix] {
        let mut client = server.connect(over);
        client.send(format!("GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", server.host(over)).as_bytes());
        client.close_write_side();
        assert!(client.rest().starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn half_a_request_is_no_request() {
    let server = Server::start();
    let whole = post_echo("{\"half\":true}").replace("HOST", "localhost");
    for end in 0..whole.len() {
        let mut client = server.connect(Over::Unix);
        client.send(&whole.as_bytes()[..end]);
        client.close_write_side();
        assert_eq!(client.rest(), "", "{end}");
    }
    assert_eq!(server.handled(), 0);
}

/// Short limits, no two alike, so that none can stand in for another.
fn impatient() -> Limits {
    let ms = Duration::from_millis;
    Limits { head_time: ms(300), body_time: ms(1000), idle_time: ms(2000), write_time: ms(400), ..Limits::default() }
}

#[test]
fn a_slow_head_a_slow_body_and_an_idle_connection_are_closed() {
    let server = Server::with(impatient());
    let host = server.host(Over::Tcp);
    let head = format!("GET /count HTTP/1.1\r\nHost: {host}\r\nX: {}", "a".repeat(100));
    let body = replace(post_echo(&"x".repeat(100)).as_bytes(), b"HOST", host.as_bytes());
    for (request, start, limit_ms, timeouts) in
        [(head.as_bytes(), 1, 300, 1), (&body, body.len() - 99, 1000, 1), (b"", 0, 2000, 0)]
    {
        let mut client = server.connect(Over::Tcp);
        let began = std::time::Instant::now();
        client.send(&request[..start]);
        // One byte at a time does not move the deadline.
        for byte in request[start..].iter().take(15) {
            thread::sleep(Duration::from_millis(15));
            client.send(&[*byte]);
        }
        assert_eq!(client.rest(), "");
        let took_ms = began.elapsed().as_millis();
        assert!((limit_ms - 10..limit_ms + 600).contains(&took_ms), "{took_ms} of {limit_ms}");
        thread::sleep(Duration::from_millis(100));
        assert_eq!(server.counted("http.timeout"), timeouts);
    }
    assert_eq!(server.handled(), 0);
}

#[test]
fn an_idle_connection_is_closed_after_its_last_answer_and_not_before() {
    let server = Server::with(impatient());
    let mut client = server.connect(Over::Unix);
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(1100));
        client.send(b"GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(client.answer().ends_with("counted"));
    }
    let began = std::time::Instant::now();
    assert_eq!(client.rest(), "");
    assert!(began.elapsed() >= Duration::from_millis(1900));
}

#[test]
fn a_reader_that_never_reads_is_given_up() {
    let server = Server::with(impatient());
    for over in [Over::Tcp, Over::Unix] {
        let mut client = server.connect(over);
        client.send(format!("GET /big HTTP/1.1\r\nHost: {}\r\n\r\n", server.host(over)).as_bytes());
        thread::sleep(Duration::from_millis(1200));
        assert_eq!(server.counted("http.timeout"), 1);
        let mut received = 0;
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            received += count;
        }
        assert!(received < BIG, "{received}");
    }
}

#[test]
fn a_panic_is_an_internal_error_that_tells_nothing() {
    let server = Server::start();
    let answer = server.exchange(Over::Tcp, b"GET /panic HTTP/1.1\r\nHost: HOST\r\n\r\n");
    assert_refused(&answer, 500, "internal");
    assert!(!answer.contains("svb_"), "{answer}");
    let next = server.exchange(Over::Tcp, b"GET /count HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n");
    assert!(next.ends_with("counted"));
}

#[test]
fn a_connection_that_carried_a_secret_is_closed_after_it() {
    let server = Server::start();
    for over in [Over::Tcp, Over::Unix] {
        let answer = server.exchange(over, post_echo("{}").replace("/echo", "/secret").as_bytes());
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("kept no copy"), "{answer}");
    }
}

#[test]
fn paths_and_methods_without_a_route_are_problems() {
    let server = Server::start();
    let close = "HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n";
    for target in ["/nothing", "//count", "/count/", "/../count", "/%63ount"] {
        assert_refused(&server.exchange(Over::Tcp, format!("GET {target} {close}").as_bytes()), 404, "http.not_found");
    }
    let answer = server.exchange(Over::Tcp, format!("DELETE /count {close}").as_bytes());
    assert_refused(&answer, 405, "http.method");
    assert!(answer.contains("allow: GET,HEAD,POST\r\n"), "{answer}");
}

#[test]
fn a_route_knows_the_peer_by_what_the_kernel_says() {
    let server = Server::start();
    let request = b"GET /peer HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n";
    assert!(server.exchange(Over::Tcp, request).ends_with("\r\n\r\ntcp"));
    let uid = rustix::process::getuid().as_raw();
    assert!(server.exchange(Over::Unix, request).ends_with(&format!("\r\n\r\nuid {uid}")));
}

/// T48 in small: every single-byte change and a lot of double ones are answered by a route, by the guard, or not at all,
/// and never by hyper itself.
#[test]
fn changed_bytes_find_no_answer_that_is_not_ours() {
    let server = Server::with(Limits { head_time: Duration::from_millis(200), ..Limits::default() });
    let good = post_echo("{\"a\":1}")
        .replace("/echo", "/count")
        .replace("HOST", "localhost")
        .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let mut random = 1_u64;
    for round in 0..6_000_usize {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..1 + round % 2 {
            // Marsaglia's xorshift64: the same changes in every run.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = random as usize % bytes.len();
            bytes[at] = (random >> 32) as u8;
        }
        let mut client = server.connect(Over::Unix);
        client.send(&bytes);
        client.close_write_side();
        let answer = client.rest();
        let ours =
            answer.is_empty() || answer.starts_with("HTTP/1.1 200 ") || answer.contains("urn:signvault:problem:");
        assert!(ours && !answer.starts_with("HTTP/1.1 5"), "{:?}: {answer}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_buffer_holds_no_memory_between_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let limits = Limits::default();
        let mut gate = Gate::new(far, Arc::new(Rules::unix(&limits)), limits, Arc::default());
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        near.write_all(request).await.expect("room");
        let mut read = [0; 256];
        let count = gate.read(&mut read).await.expect("passes");
        assert_eq!(&read[..count], request);
        assert_eq!((gate.phase, gate.buffer.capacity()), (Phase::Answering, 0));
        let idle = tokio::time::timeout(Duration::from_millis(10), gate.read(&mut read)).await;
        assert!(idle.is_err(), "nothing to read");
        assert_eq!((gate.phase, gate.buffer.capacity()), (Phase::Awaiting, 0));
    });
}
