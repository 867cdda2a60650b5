//! A page in a real browser, with a good token planted in it, tries everything that a page can try against a daemon on the
//! same machine. The page runs `browser/page.html` and tells this test what it could read; Chromium is driven by nothing
//! else.
//!
//! That the tries are real is shown beside it: a server that lets everyone in gets every one of them.

use crate::support::{Daemon, Vault};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the page is.
const PAGE: &str = include_str!("browser/page.html");
/// What the server that lets everyone in answers with.
const OPEN: &str = "anyone may read this";
/// How long a browser may take, its own start included.
const PATIENCE: Duration = Duration::from_secs(90);
/// A name that is the page's server when the page is loaded and the daemon from then on.
const REBOUND: &str = "rebound.test";

/// The tries for which a browser asks first whether it may: of those the daemon sees nothing but the question.
const ASK_FIRST: [&str; 4] = ["get-with-token", "sign", "sign-batch", "sign-as-text-with-token"];

/// What reached the page's server, apart from the page and its findings.
#[derive(Default)]
struct Seen {
    /// Names of the tries that came to the door that is open to everyone.
    tries: BTreeSet<String>,
    /// What the daemon answered to requests that were meant for [`REBOUND`].
    answers: Vec<String>,
}

/// Serves the page, hears its findings, lets everyone in elsewhere, and is the name that changes hands.
struct Site {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    findings: Receiver<Value>,
}

/// What each connection to the site needs.
#[derive(Clone)]
struct Host {
    token: String,
    daemon: u16,
    port: u16,
    seen: Arc<Mutex<Seen>>,
    findings: Sender<Value>,
}

impl Site {
    fn open(token: &str, daemon: u16) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let (tell, findings) = channel();
        let seen = Arc::<Mutex<Seen>>::default();
        let host = Host { token: token.to_owned(), daemon, port, seen: Arc::clone(&seen), findings: tell };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let host = host.clone();
                // How a browser ends a connection is its own affair.
                std::thread::spawn(move || drop(host.serve(stream)));
            }
        });
        Site { port, seen, findings }
    }

    /// What the page found, by place and try.
    fn found(&self) -> Value {
        self.findings.recv_timeout(PATIENCE).expect("the page says what it found")
    }
}

impl Host {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let (head, body) = received(&mut stream)?;
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is_rebound = head.contains(&format!("Host: {REBOUND}:"));
        match path {
            "/page" => answer(&mut stream, "200 OK", "text/html", &self.page(is_rebound)),
            "/found" => {
                let found = serde_json::from_slice(&body).expect("JSON");
                // Nobody listens any more to a page that comes too late.
                let _ = self.findings.send(found);
                answer(&mut stream, "200 OK", "text/plain", "")
            }
            "/favicon.ico" => answer(&mut stream, "404 Not Found", "text/plain", ""),
            _ if is_rebound => self.pass_on(stream, &[head.as_bytes(), &body].concat()),
            _ => {
                if method != "OPTIONS" {
                    let name = query.trim_start_matches("try=").to_owned();
                    self.seen.lock().unwrap().tries.insert(name);
                }
                answer(&mut stream, "200 OK", "text/plain", OPEN)
            }
        }
    }

    /// The page, for its own name or for the one that will be the daemon's.
    fn page(&self, is_rebound: bool) -> String {
        let daemon = |name: &str| format!("http://{name}:{}", self.daemon);
        let places = match is_rebound {
            true => vec![daemon(REBOUND)],
            false => {
                let mut places: Vec<String> = ["127.0.0.1", "localhost", "evil.test", "0.0.0.0"].map(daemon).into();
                places.push(format!("http://open.test:{}", self.port));
                places
            }
        };
        PAGE.replace("PLANTED", &json!({ "token": self.token, "places": places }).to_string())
    }

    /// Hands a request to the daemon as it is, and its answer back.
    fn pass_on(&self, mut stream: TcpStream, request: &[u8]) -> io::Result<()> {
        let mut daemon = TcpStream::connect(("127.0.0.1", self.daemon))?;
        daemon.write_all(request)?;
        daemon.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        daemon.read_to_end(&mut answer)?;
        self.seen.lock().unwrap().answers.push(String::from_utf8_lossy(&answer).into_owned());
        stream.write_all(&answer)
    }
}

/// One request: its head, with the empty line, and its body.
fn received(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Ok((head, bytes.split_off(end + 4)));
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend(&piece[..count]),
        }
    }
}

/// An answer that every page may read.
fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: authorization, content-type\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())
}

/// A browser that looks at one page until it is dropped.
struct Browser(Child);

impl Browser {
    fn look_at(address: &str, rules: &str, profile: &Path) -> Browser {
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-popup-blocking"]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg(format!("--host-resolver-rules={rules}"));
        command.arg(address).env("HOME", profile).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It starts processes of its own, which end with it.
        Browser(command.process_group(0).spawn().expect("chromium is installed"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.0);
        // Gone already when it crashed: then nothing was found, and the test has failed.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Refusals so far for what tells a page from a bot: that a browser sent it, that it is for somebody else, and that it asks
/// for leave first.
fn refusals(daemon: &Daemon<'_>) -> [usize; 3] {
    let answer = daemon.admin().request("GET", "/metrics", None, None);
    let text = String::from_utf8(answer.body).expect("UTF-8");
    ["browser", "misdirected", "method"].map(|code| {
        let sample = format!("signvault_refusals_total{{code=\"http.{code}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&sample)).map_or(0, |count| count.parse().expect("a number"))
    })
}

/// Rows about asks in the ledger.
fn asks(daemon: &Daemon<'_>) -> usize {
    let rows = daemon.run(&["audit", "list", "--limit", "1000", "--json"], "").json();
    let rows = rows.as_array().expect("rows");
    rows.iter().filter(|row| row["body"].as_str().is_some_and(|body| body.contains("\"decision\""))).count()
}

/// That nothing of what the daemon says reached a page of another origin.
fn assert_nothing_was_read(found: &Value, place: &str) {
    for (name, outcome) in found[place].as_object().unwrap_or_else(|| panic!("nothing of {place}: {found}")) {
        let text = outcome["text"].as_str().unwrap_or("");
        assert_eq!(text, "", "{name} at {place} read: {outcome}");
        let is_loaded = outcome["loaded"] == true && ["image", "script", "style"].contains(&name.as_str());
        assert!(!is_loaded, "{name} at {place} was taken for what it is not: {outcome}");
    }
}

#[test]
#[ignore = "make browser"]
fn t40_a_page_in_a_real_browser_gets_nothing_out_of_the_daemon() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let (site, profile) = (Site::open(&token, daemon.port), tempfile::tempdir().expect("a directory"));
    let rules = format!(
        "MAP {REBOUND}:{} 127.0.0.1:{}, MAP *.test 127.0.0.1, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        daemon.port, site.port
    );
    let before = (refusals(&daemon), asks(&daemon));

    let found = {
        let _browser = Browser::look_at(&format!("http://page.test:{}/page", site.port), &rules, profile.path());
        site.found()
    };
    let places = ["127.0.0.1", "localhost", "evil.test"].map(|name| format!("http://{name}:{}", daemon.port));
    for place in places.iter().chain([&format!("http://0.0.0.0:{}", daemon.port)]) {
        assert_nothing_was_read(&found, place);
    }
    // The same page, where it is let in: every try is sent, and what may be read is read.
    let open = &found[format!("http://open.test:{}", site.port)];
    let sent = site.seen.lock().unwrap().tries.clone();
    let names: BTreeSet<String> = open.as_object().expect("outcomes").keys().cloned().collect();
    assert!(names.len() > 20, "{names:?}");
    assert_eq!(sent, names, "what a page can try is not what reaches a server");
    for name in ["get", "request"].into_iter().chain(ASK_FIRST) {
        assert_eq!(open[name]["text"], OPEN, "{name}");
    }
    let (after, plain) = (refusals(&daemon), names.len() - ASK_FIRST.len());
    let [browser, misdirected, method] = [0, 1, 2].map(|code| after[code] - before.0[code]);
    let is_each_refused = browser >= 2 * plain && misdirected >= plain && method >= 3 * ASK_FIRST.len();
    assert!(
        is_each_refused,
        "of {plain}: {browser} at its own names, {misdirected} at another, {method} that ask first"
    );
    assert_eq!(asks(&daemon), before.1, "an ask of a page was judged");

    // The page's own name becomes the daemon's: now the browser holds both for one origin, and says nothing of itself.
    let found = {
        let address = format!("http://{REBOUND}:{}/page", daemon.port);
        let _browser = Browser::look_at(&address, &rules, profile.path());
        site.found()
    };
    let outcomes = &found[format!("http://{REBOUND}:{}", daemon.port)];
    for name in ["get-with-token", "sign", "sign-batch", "request"] {
        assert_eq!(outcomes[name]["status"], 421, "{name}: {}", outcomes[name]);
    }
    let answers = std::mem::take(&mut site.seen.lock().unwrap().answers);
    assert!(answers.len() >= names.len(), "{} answers to {} tries", answers.len(), names.len());
    for answer in &answers {
        assert!(
            answer.starts_with("HTTP/1.1 4") && !answer.to_ascii_lowercase().contains("access-control-"),
            "{answer}"
        );
        assert!(answer.contains("\"http.misdirected\"") || answer.contains("\"http.method\""), "{answer}");
    }
    assert_eq!(asks(&daemon), before.1, "an ask of a page was judged");

    // The token is good, and so is the ask: it was the browser that was refused.
    let ask = crate::support::http::ask("main", "GET", "/api/v5/account/balance", None).to_string();
    assert_eq!(daemon.tcp().request("POST", "/v1/sign?try=sign", Some(&token), Some(&ask)).status, 200);
    assert_eq!(asks(&daemon), before.1 + 1);
}
