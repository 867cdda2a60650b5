//! T76: a panic. In a handler it is a 500 with nothing of the panic in it, and the next request is served; in the thread
//! that signs it ends the process, which comes back locked. Nothing that was in scope reaches an answer or the log.
//!
//! The daemon here is the real one, in a process of its own, but for its clock, which every operation looks at: it panics
//! when it is told to.

use crate::support::http::{Response, ask};
use crate::support::signers::{ORDER, verified_ledger};
use crate::support::{API_KEY, Daemon, PASSPHRASE, PASSWORD, SECRET, Vault};
use serde_json::json;
use signvault::cli::report::{Failure, with_causes};
use signvault::cli::{self, Next};
use signvault::config::Env;
use signvault::daemon;
use signvault::types::clock::{Clock, Now, SystemClock};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Tells the child where its vault is, and that it is one.
const VAULT: &str = "SIGNVAULT_TEST_VAULT";
/// What every panic says: it stands for anything that was in scope.
const PAYLOAD: &str = "made-of-something-that-was-in-scope";

/// A key file's 32 bytes, in base64.
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A clock that panics on the threads that a file names, after so many looks.
struct FaultyClock {
    orders: PathBuf,
    /// The orders that hold, and the looks since they came.
    looks: Mutex<(String, usize)>,
}

impl FaultyClock {
    fn must_panic(&self) -> bool {
        let Ok(orders) = std::fs::read_to_string(&self.orders) else { return false };
        let mut words = orders.split(' ');
        let (Some(of), Some(after)) = (words.next(), words.next().and_then(|after| after.parse::<usize>().ok())) else {
            return false;
        };
        // Between its turns that thread serves requests, like any other.
        let is_signer = thread::current().name() == Some("signer") && tokio::runtime::Handle::try_current().is_err();
        if is_signer != (of == "signer") {
            return false;
        }
        let mut looks = self.looks.lock().expect("no panic happens in here");
        if looks.0 != orders {
            *looks = (orders.clone(), 0);
        }
        looks.1 += 1;
        looks.1 > after
    }
}

impl Clock for FaultyClock {
    fn now(&self) -> Now {
        assert!(!self.must_panic(), "{PAYLOAD}");
        SystemClock.now()
    }
}

/// The child: `signvault serve`, as `main` would run it. Does nothing in the parent.
#[test]
#[expect(clippy::exit, reason = "the child ends as the program does, and not as a test")]
fn a_daemon_in_a_process_of_its_own() {
    let Some(dir) = std::env::var_os(VAULT).map(PathBuf::from) else { return };
    let path = |name: &str| dir.join(name).into_os_string();
    let words = ["signvault", "serve", "--listen", "127.0.0.1:0", "--state-dir"].map(Into::into).into_iter();
    let words = words.chain([path("state"), "--run-dir".into(), path("run")]);
    let Next::Serve(start, report) = cli::run(words, Env::of_process()) else { panic!("not a daemon") };
    let clock = FaultyClock { orders: dir.join("state/orders"), looks: Mutex::default() };
    let cli::serve::Start { config, source, password } = *start;
    match daemon::run(daemon::Start { config, source, password, clock: Arc::new(clock) }) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            report.failure(&Failure::failed(with_causes(&error), error.help()));
            std::process::exit(1);
        }
    }
}

/// Starts the child over a vault and unlocks it.
fn serve_faulty(vault: &Vault) -> Daemon<'_> {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["panics::a_daemon_in_a_process_of_its_own", "--exact", "--nocapture", "--test-threads=1"]);
    command.env_clear().env("HOME", vault.dir()).env("RUST_BACKTRACE", "full").env(VAULT, vault.dir());
    let daemon = vault.serve_by(command);
    daemon.unlock();
    daemon
}

/// Has the clock panic from now on, on the signing thread or on all others, after so many looks.
fn order_panics(vault: &Vault, of: &str, after: usize, number: usize) {
    let (orders, next) = (vault.dir().join("state/orders"), vault.dir().join("state/next-orders"));
    std::fs::write(&next, format!("{of} {after} {number}")).expect("written");
    std::fs::rename(next, orders).expect("renamed");
}

fn call_panics_off(vault: &Vault) {
    std::fs::remove_file(vault.dir().join("state/orders")).expect("removed");
}

/// Nothing that was in scope is in here.
#[track_caller]
fn tells_nothing(text: &str, token: &str) {
    for secret in [PAYLOAD, PASSWORD, SECRET, PASSPHRASE, API_KEY, token, &token[31..83]] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// A route of the daemon's with a request that gets as far as it can, and whether it looks at a clock at all.
struct Route {
    admin: bool,
    method: &'static str,
    path: String,
    body: Option<String>,
    looks: bool,
}

fn routes(policy: &str) -> Vec<Route> {
    let secrets = json!({ "api_key": API_KEY, "secret": SECRET, "passphrase": PASSPHRASE });
    let of_bots = |method, path: &str, body: Option<serde_json::Value>, looks| Route {
        admin: false,
        method,
        path: path.to_owned(),
        body: body.map(|body| body.to_string()),
        looks,
    };
    let of_admins = |method, path: &str, body: Option<serde_json::Value>, looks| Route {
        admin: true,
        ..of_bots(method, path, body, looks)
    };
    let signed = ask("main", "POST", ORDER, Some(r#"{"instId":"BTC-USDT"}"#));
    let password = json!({ "password": PASSWORD });
    let credential = json!({ "name": "new", "exchange": "okx", "secrets": secrets });
    vec![
        of_bots("POST", "/v1/sign", Some(signed.clone()), true),
        of_bots("POST", "/v1/sign/batch", Some(json!({ "requests": [signed] })), true),
        of_bots("POST", "/v1/session", Some(json!({ "credential": "main" })), true),
        of_bots("GET", "/v1/whoami", None, true),
        of_bots("GET", "/health", None, false),
        of_bots("GET", "/ready", None, true),
        of_bots("GET", "/openapi.json", None, false),
        of_admins("GET", "/metrics", None, true),
        of_admins("GET", "/v1/status", None, true),
        of_admins("GET", "/v1/doctor", None, true),
        of_admins("POST", "/v1/unlock", Some(json!({ "secret": password })), true),
        of_admins("POST", "/v1/password", Some(json!({ "old": PASSWORD, "new": PASSWORD })), true),
        of_admins("GET", "/v1/slots", None, false),
        of_admins("POST", "/v1/slots", Some(json!({ "secret": { "key_file": KEY } })), true),
        of_admins("DELETE", "/v1/slots/2", None, true),
        of_admins("GET", "/v1/credentials", None, false),
        of_admins("POST", "/v1/credentials", Some(credential), true),
        of_admins("GET", "/v1/credentials/main", None, true),
        of_admins("PATCH", "/v1/credentials/main", Some(json!({ "label": "x" })), true),
        of_admins("DELETE", "/v1/credentials/nothing", None, true),
        of_admins("POST", "/v1/credentials/main/rotate", Some(secrets), true),
        of_admins("GET", "/v1/bots", None, false),
        of_admins("POST", "/v1/bots", Some(json!({ "name": "new", "credentials": ["main"] })), true),
        of_admins("GET", "/v1/bots/bob", None, false),
        of_admins("DELETE", "/v1/bots/nobody", None, true),
        of_admins("POST", "/v1/bots/eve/rotate", None, true),
        of_admins("POST", "/v1/bots/eve/revoke", None, true),
        of_admins("GET", "/v1/policies", None, false),
        of_admins("GET", "/v1/policies/bob-policy", None, false),
        of_admins("PUT", "/v1/policies/new", Some(json!({ "text": policy })), true),
        of_admins("DELETE", "/v1/policies/nothing", None, true),
        of_admins("PUT", "/v1/policies/new/references/BTC-USDT", Some(json!({ "price": "1" })), true),
        of_admins("GET", "/v1/mode", None, false),
        of_admins("PUT", "/v1/mode", Some(json!({ "mode": "normal" })), true),
        of_admins("GET", "/v1/audit", None, false),
        of_admins("GET", "/v1/audit/verify", None, false),
        of_admins("GET", "/v1/audit/key", None, false),
        of_admins("POST", "/v1/audit/checkpoint", None, true),
        of_admins("POST", "/v1/audit/prune", Some(json!({ "before": "2020-01-01T00:00:00Z" })), true),
        of_admins("POST", "/v1/backup", None, true),
        of_admins("POST", "/v1/lock", None, true),
    ]
}

/// Routes that the daemon describes and the list above does not have.
fn are_there_others(daemon: &Daemon<'_>, token: &str) -> Vec<String> {
    let known = routes("");
    let is_known = |method: &str, path: &str| {
        let fits = |(of, is): (&str, &str)| of == is || of.starts_with('{');
        let is_at = |found: &str| {
            found.split('/').count() == path.split('/').count() && path.split('/').zip(found.split('/')).all(fits)
        };
        known.iter().any(|route| route.method.eq_ignore_ascii_case(method) && is_at(&route.path))
    };
    let description = daemon.tcp().request("GET", "/openapi.json", Some(token), None).ok();
    let paths = description["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().expect("methods").keys().map(move |method| (method.clone(), path.clone()))
    });
    let described: Vec<(String, String)> = all.collect();
    assert!(described.len() >= 30, "{}", described.len());
    described
        .into_iter()
        .filter(|(method, path)| !is_known(method, path))
        .map(|(of, at)| format!("{of} {at}"))
        .collect()
}

fn call(daemon: &Daemon<'_>, route: &Route, token: &str) -> Response {
    let mut connection = if route.admin { daemon.admin() } else { daemon.tcp() };
    let token = (!route.admin).then_some(token);
    connection.request(route.method, &route.path, token, route.body.as_deref())
}

#[test]
fn t76_a_panic_in_a_handler_is_a_500_that_tells_nothing_and_the_next_request_is_served() {
    let vault = Vault::new();
    let daemon = serve_faulty(&vault);
    daemon.add_credential("main");
    let [bob, _] = ["bob", "eve"].map(|name| daemon.add_bot(name, "main", &["read", "trade"]));
    let (mut panics, mut unexpected) = (0, are_there_others(&daemon, &bob));
    for (number, route) in routes("grants = [\"read\"]\n").iter().enumerate() {
        let name = format!("{} {}", route.method, route.path);
        for after in 0..4 {
            order_panics(&vault, "handlers", after, number);
            let response = call(&daemon, route, &bob);
            call_panics_off(&vault);
            let text = String::from_utf8_lossy(&response.body).into_owned();
            if response.status == 500 {
                panics += 1;
                assert_eq!(response.code(), "internal", "{name}");
                tells_nothing(&text, &bob);
            }
            if after == 0 && (response.status == 500) != route.looks {
                unexpected.push(format!("{name}: {} {text}", response.status));
            }
            if daemon.state() == "locked" {
                daemon.unlock_patiently();
            }
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    daemon.tcp().sign(&bob, "main", "POST", ORDER, Some(r#"{"instId":"BTC-USDT"}"#)).ok();
    verified_ledger(&daemon);
    assert!(vault.log().matches("a panic").count() >= panics);
    tells_nothing(&vault.log(), &bob);
}

#[test]
fn t76_a_panic_while_signing_ends_the_process_which_comes_back_locked() {
    // Before the row is written, and after it was, with the signature still to be made.
    for after in [0, 1] {
        let vault = Vault::new();
        let daemon = serve_faulty(&vault);
        daemon.add_credential("main");
        let bob = daemon.add_bot("bob", "main", &["read", "trade"]);
        let pid = daemon.pid();
        let order = Some(r#"{"instId":"BTC-USDT"}"#);
        daemon.tcp().sign(&bob, "main", "POST", ORDER, order).ok();
        order_panics(&vault, "signer", after, 0);
        let answer = daemon.tcp().try_sign(&bob, "main", "POST", ORDER, order).expect("an answer");
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
        tells_nothing(&String::from_utf8_lossy(&answer.body), &bob);
        call_panics_off(&vault);
        let ended = wait_for_the_end(pid);
        assert!(ended < Duration::from_secs(8), "{ended:?}");
        assert_eq!(daemon.ends(), 1);
        assert!(vault.log().contains("the signing thread ended; the vault is locked"), "{}", vault.log());
        tells_nothing(&vault.log(), &bob);

        let daemon = vault.serve();
        assert_eq!(daemon.state(), "locked");
        assert_eq!(daemon.tcp().sign(&bob, "main", "POST", ORDER, order).status, 423);
        daemon.unlock();
        let rows = verified_ledger(&daemon);
        let allowed = rows.values().filter(|row| row["decision"] == "allow").count();
        assert_eq!(allowed, 1 + after, "a row that was durable stands, and there is no other");
        daemon.tcp().sign(&bob, "main", "POST", ORDER, order).ok();
    }
}

/// Waits until a child has ended, and says how long that took.
fn wait_for_the_end(pid: u32) -> Duration {
    let began = Instant::now();
    let status = Path::new("/proc").join(pid.to_string()).join("status");
    while std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
        thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}
