//! `/metrics`: what monitors read. The numbers are those of real requests, and `docs/metrics.md` says what there is.

use crate::support::http::{Connection, Response, ask};
use crate::support::{Daemon, Vault};
use serde_json::json;
use signvault::api::admin::metrics::FAMILIES;
use signvault::api::answers::ENDS;
use signvault::vault::tally::{Class, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const BALANCE: &str = "/api/v5/account/balance";
const ORDER: &str = "/api/v5/trade/order";
const CANCEL: &str = "/api/v5/trade/cancel-order";

/// The samples of one answer: `name{labels}` and the value as it is written.
struct Scraped {
    text: String,
    samples: BTreeMap<String, String>,
}

impl Scraped {
    fn of(daemon: &Daemon) -> Scraped {
        let answer = daemon.admin().request("GET", "/metrics", None, None);
        assert_eq!(answer.status, 200);
        let kind = answer.header("content-type").expect("a type").to_owned();
        assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Scraped::read(String::from_utf8(answer.body).expect("UTF-8"))
    }

    /// Reads the text strictly: one block for each name, samples that belong to it, none twice, and the end.
    fn read(text: String) -> Scraped {
        let lines = text.strip_suffix("# EOF\n").expect("the end of the format").lines();
        let (mut samples, mut family) = (BTreeMap::new(), ("", ""));
        let mut names = BTreeSet::new();
        for line in lines {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().expect("a name");
                assert!(names.insert(name), "{name} twice");
                family = (name, "");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a kind");
                assert_eq!(name, family.0);
                family.1 = kind;
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                let suffix = sample.split('{').next().and_then(|name| name.strip_prefix(family.0)).expect("its family");
                let suffixes: &[&str] = match family.1 {
                    "counter" => &["_total"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(suffixes.contains(&suffix), "{line}");
                assert!(samples.insert(sample.to_owned(), value.to_owned()).is_none(), "{sample} twice");
            }
        }
        Scraped { text, samples }
    }

    /// A whole number; zero when there is no such sample.
    #[track_caller]
    fn number(&self, sample: &str) -> i64 {
        self.samples.get(sample).map_or(0, |value| value.parse().unwrap_or_else(|_| panic!("{sample} {value}")))
    }

    fn decided(&self, bot: &str, credential: &str, class: &str, decision: &str) -> i64 {
        self.number(&format!(
            "signvault_decisions_total{{bot=\"{bot}\",credential=\"{credential}\",class=\"{class}\",decision=\"{decision}\"}}"
        ))
    }

    fn ended(&self, end: &str) -> i64 {
        self.number(&format!("signvault_asks_total{{end=\"{end}\"}}"))
    }

    /// All samples of a name whose labels contain this.
    fn sum(&self, name: &str, containing: &str) -> i64 {
        let of_name = self.samples.iter().filter(|(sample, _)| sample.starts_with(&format!("{name}{{")));
        of_name
            .filter(|(sample, _)| sample.contains(containing))
            .map(|(_, value)| value.parse::<i64>().expect("whole"))
            .sum()
    }
}

/// A daemon with the credentials `main` and `other`, and two bots; the first may place one order a day.
fn started(vault: &Vault) -> (Daemon<'_>, [String; 2]) {
    let daemon = vault.serve_unlocked();
    ["main", "other"].into_iter().for_each(|name| daemon.add_credential(name));
    let limited = "grants = [\"read\", \"trade\"]\n[limits]\nrequests_per_second = 1000\norders_per_day = 1\n";
    let first = daemon.add_bot_under("first", limited);
    let second = daemon.add_bot("second", "other", &["read"]);
    (daemon, [first, second])
}

fn order(id: &str) -> String {
    json!({ "instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "px": "1", "sz": "1", "clOrdId": id })
        .to_string()
}

#[test]
fn the_counts_are_those_of_the_requests_that_were_made() {
    let vault = Vault::new();
    let (daemon, [first, second]) = started(&vault);
    let before = Scraped::of(&daemon);
    let mut bots = daemon.tcp();
    for _ in 0..3 {
        bots.sign(&first, "main", "GET", BALANCE, None).ok();
    }
    bots.sign(&first, "main", "POST", ORDER, Some(&order("a1"))).ok();
    assert_eq!(bots.sign(&first, "main", "POST", ORDER, Some(&order("a2"))).code(), "policy.limit");
    bots.sign(&first, "main", "POST", CANCEL, Some(r#"{"instId":"BTC-USDT","ordId":"1"}"#)).ok();
    assert_eq!(bots.sign(&first, "other", "GET", BALANCE, None).code(), "policy.credential");
    assert_eq!(bots.sign(&first, "main", "GET", "/api/v5/../x", None).code(), "ask.path_not_canonical");
    assert_eq!(bots.sign(&second, "other", "POST", ORDER, Some("{}")).code(), "policy.grant");
    let batch = json!({ "requests": [ask("other", "GET", BALANCE, None), ask("other", "GET", "/api/v5/none", None)] });
    bots.request("POST", "/v1/sign/batch", Some(&second), Some(&batch.to_string())).ok();
    for _ in 0..2 {
        assert_eq!(bots.sign("svb_wrong", "main", "GET", BALANCE, None).status, 401);
    }
    bots.send(format!("GET /health HTTP/1.1\r\nHost: {}\r\nOrigin: null\r\n\r\n", bots.host()).as_bytes()).unwrap();
    assert_eq!(bots.receive().unwrap().code(), "http.browser");

    let after = Scraped::of(&daemon);
    let counted = [
        ("first", "main", "read", "allowed", 3),
        ("first", "main", "place", "allowed", 1),
        ("first", "main", "place", "policy.limit", 1),
        ("first", "main", "cancel", "allowed", 1),
        ("first", "", "unread", "policy.credential", 1),
        ("first", "main", "unread", "ask", 1),
        ("second", "other", "place", "policy.endpoint", 1),
        ("second", "other", "read", "allowed", 1),
        ("second", "other", "unread", "policy.endpoint", 1),
    ];
    for (bot, credential, class, decision, count) in counted {
        assert_eq!(after.decided(bot, credential, class, decision), count, "{bot} {class} {decision}\n{}", after.text);
    }
    assert_eq!(after.sum("signvault_decisions_total", ""), 11, "{}", after.text);
    assert_eq!(after.sum("signvault_decisions_total", "decision=\"allowed\""), after.ended("signed"));
    assert_eq!((after.ended("signed"), after.ended("denied"), after.ended("limited")), (6, 4, 1));
    assert_eq!(after.number("signvault_sign_seconds_count"), 10, "a batch counts once");
    let rows = |scraped: &Scraped| scraped.number("signvault_ledger_sequence");
    assert_eq!(rows(&after) - rows(&before), 10, "a spent limit has no row");
    assert_eq!(after.number("signvault_refusals_total{code=\"auth.failed\"}"), 2);
    assert_eq!(after.number("signvault_refusals_total{code=\"http.browser\"}"), 1);
    assert_eq!(after.sum("signvault_refusals_total", "policy"), 0);
}

#[test]
fn gauges_say_where_the_vault_stands() {
    let vault = Vault::new();
    let (daemon, [first, _]) = started(&vault);
    daemon.add_credential_with("idle", &["--permissions", "read,trade"]);
    daemon.run(&["bot", "add", "brief", "--credential", "main", "--expires", "2d"], "").ok();
    daemon.tcp().sign(&first, "main", "GET", BALANCE, None).ok();
    daemon.run(&["mode", "cancel-only"], "").ok();
    let (scraped, status) = (Scraped::of(&daemon), daemon.status());
    for (sample, member) in
        [("signvault_state_version", "state_version"), ("signvault_ledger_sequence", "audit_sequence")]
    {
        assert_eq!(scraped.number(sample), status[member].as_i64().expect("a number"), "{sample}");
    }
    let expected = [
        ("signvault_initialized", 1),
        ("signvault_locked", 0),
        ("signvault_ready", 1),
        ("signvault_check{check=\"audit\"}", 1),
        ("signvault_check{check=\"clock\"}", 1),
        ("signvault_check{check=\"unlocked\"}", 1),
        ("signvault_mode{mode=\"normal\"}", 0),
        ("signvault_mode{mode=\"cancel-only\"}", 1),
        ("signvault_credentials", 3),
        ("signvault_bots", 3),
        ("signvault_ledger_queue", 0),
        ("signvault_asks_waiting", 0),
        ("signvault_credential_idle_days_left{credential=\"idle\"}", 14),
        (&format!("signvault_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1),
    ];
    for (sample, value) in expected {
        assert!(scraped.samples.contains_key(sample), "{sample} is missing:\n{}", scraped.text);
        assert_eq!(scraped.number(sample), value, "{sample}");
    }
    assert_eq!(scraped.number("signvault_ledger_rows"), scraped.number("signvault_ledger_sequence"));
    assert!(!scraped.text.contains("idle_days_left{credential=\"main\"}"), "a bound key is kept");
    let ages = [
        "signvault_bot_last_seen_age_seconds{bot=\"first\"}",
        "signvault_credential_last_used_age_seconds{credential=\"main\"}",
    ];
    for age in ages {
        assert!(scraped.samples.contains_key(age) && (0..60).contains(&scraped.number(age)), "{age}\n{}", scraped.text);
    }
    let left = scraped.number("signvault_bot_token_expires_in_seconds{bot=\"brief\"}");
    assert!((172_700..=172_800).contains(&left), "{left}");
    let offset: f64 = scraped.samples["signvault_clock_offset_seconds"].parse().expect("seconds");
    assert!(offset.abs() < 5.0);
}

#[test]
fn open_connections_are_counted_until_they_end() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let mut open: Vec<Connection> = (0..3).map(|_| daemon.tcp()).chain([daemon.unix()]).collect();
    open.iter_mut().for_each(|connection| drop(connection.request("GET", "/health", None, None).ok()));
    assert_eq!(Scraped::of(&daemon).number("signvault_connections"), 5, "and the one that asks");
    drop(open);
    let deadline = Instant::now() + Duration::from_secs(10);
    while Scraped::of(&daemon).number("signvault_connections") > 1 {
        assert!(Instant::now() < deadline, "they are not forgotten");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn steps_of_time_add_up() {
    let vault = Vault::new();
    let (daemon, [first, _]) = started(&vault);
    let mut bots = daemon.tcp();
    (0..20).for_each(|_| drop(bots.sign(&first, "main", "GET", BALANCE, None).ok()));
    let scraped = Scraped::of(&daemon);
    for (name, least) in [("signvault_sign_seconds", 20), ("signvault_ledger_commit_seconds", 20)] {
        let steps = scraped.text.lines().filter_map(|line| line.strip_prefix(&format!("{name}_bucket{{le=\"")));
        let steps: Vec<(f64, i64)> = steps
            .map(|step| {
                let (bound, count) = step.split_once("\"} ").expect("a step");
                (bound.parse().expect("a bound"), count.parse().expect("a count"))
            })
            .collect();
        assert!(steps.is_sorted(), "{name}: {steps:?}");
        let (last, all) = *steps.last().expect("steps");
        assert!(last.is_infinite() && steps.len() == 15, "{steps:?}");
        assert_eq!(all, scraped.number(&format!("{name}_count")));
        assert!(all >= least, "{name}: {all}");
        let sum: f64 = scraped.samples[&format!("{name}_sum")].parse().expect("seconds");
        assert!(sum > 0.0 && sum < 60.0, "{sum}");
    }
}

#[test]
fn a_locked_vault_tells_what_is_known_of_it() {
    let nowhere = Vault::nowhere();
    let daemon = nowhere.serve();
    let scraped = Scraped::of(&daemon);
    assert_eq!((scraped.number("signvault_initialized"), scraped.number("signvault_locked")), (0, 1));
    drop(daemon);

    let vault = Vault::new();
    let (daemon, [first, _]) = started(&vault);
    daemon.tcp().sign(&first, "main", "GET", BALANCE, None).ok();
    daemon.run(&["lock"], "").ok();
    let scraped = Scraped::of(&daemon);
    assert_eq!((scraped.number("signvault_locked"), scraped.number("signvault_ready")), (1, 0));
    assert_eq!(
        (scraped.number("signvault_initialized"), scraped.number("signvault_check{check=\"unlocked\"}")),
        (1, 0)
    );
    assert_eq!(scraped.ended("signed"), 1, "the daemon's own counts stay");
    assert_eq!(daemon.tcp().sign(&first, "main", "GET", BALANCE, None).code(), "vault.locked");
    assert_eq!(Scraped::of(&daemon).number("signvault_refusals_total{code=\"vault.locked\"}"), 1);
    for name in ["first", "second", "main", "other", "signvault_ledger_sequence ", "signvault_ledger_rows "] {
        assert!(
            !scraped.text.contains(&format!("\"{name}\"")) && !scraped.text.contains(&format!("\n{name}")),
            "{name}"
        );
    }
    daemon.unlock();
    let scraped = Scraped::of(&daemon);
    assert_eq!(scraped.sum("signvault_decisions_total", ""), 0, "from zero with each unlock");
    assert_eq!(scraped.number("signvault_ready"), 1);
}

#[test]
fn who_is_removed_is_not_told_of_any_more() {
    let vault = Vault::new();
    let (daemon, [first, second]) = started(&vault);
    daemon.tcp().sign(&first, "main", "GET", BALANCE, None).ok();
    daemon.tcp().sign(&second, "other", "GET", BALANCE, None).ok();
    assert!(Scraped::of(&daemon).text.contains("bot=\"first\""));
    daemon.run(&["bot", "remove", "first"], "").ok();
    let scraped = Scraped::of(&daemon);
    assert!(!scraped.text.contains("\"first\"") && scraped.text.contains("credential=\"other\""), "{}", scraped.text);
    daemon.run(&["bot", "remove", "second"], "").ok();
    daemon.run(&["credential", "remove", "other"], "").ok();
    let scraped = Scraped::of(&daemon);
    assert!(!scraped.text.contains("\"second\"") && !scraped.text.contains("\"other\""), "{}", scraped.text);
}

#[test]
fn only_the_admin_socket_has_metrics() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    for mut connection in [daemon.tcp(), daemon.unix()] {
        assert_eq!(connection.request("GET", "/metrics", None, None).code(), "http.not_found");
    }
    assert_eq!(daemon.admin().request("POST", "/metrics", None, Some("{}")).code(), "http.method");
}

/// Asks with a canary wherever a bot or a stranger may put anything.
fn with_canaries(daemon: &Daemon, token: &str, canary: &str) -> Vec<Response> {
    let body = json!({ "instId": canary, "clOrdId": canary, "sz": canary, canary: canary }).to_string();
    let asks = [
        ask(canary, "GET", BALANCE, None),
        ask("main", "GET", &format!("/api/v5/{canary}"), None),
        ask("main", "GET", &format!("{BALANCE}?ccy={canary}"), None),
        ask("main", "POST", ORDER, Some(&body)),
        ask("main", "POST", ORDER, Some(canary)),
        json!({ "credential": "main", "method": canary, "path": "/" }),
        json!({ canary: canary }),
        json!(canary),
    ];
    let mut answers: Vec<Response> =
        asks.iter().map(|ask| daemon.tcp().request("POST", "/v1/sign", Some(token), Some(&ask.to_string()))).collect();
    answers.push(daemon.tcp().request("GET", "/v1/whoami", Some(canary), None));
    answers.push(daemon.unix().request("GET", &format!("/{canary}"), Some(token), None));
    let raw = |mut connection: Connection, head: &str| {
        connection.send(format!("{head}\r\n\r\n").as_bytes()).unwrap();
        connection.receive().unwrap()
    };
    answers.push(raw(daemon.tcp(), &format!("GET /health HTTP/1.1\r\nHost: {canary}")));
    answers.push(raw(daemon.unix(), &format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{canary}: {canary}")));
    answers.push(raw(daemon.unix(), &format!("{canary} /health HTTP/1.1\r\nHost: localhost")));
    answers
}

#[test]
fn t84_nothing_that_was_put_into_a_request_comes_out_of_metrics_status_rows_or_help() {
    const CANARY: &str = "CANARY7f3aQ9";
    let vault = Vault::new();
    let (daemon, [first, _]) = started(&vault);
    let answers = with_canaries(&daemon, &first, CANARY);
    // An order that is signed comes back as it was sent.
    let refused = answers.iter().filter(|answer| answer.status != 200);
    for answer in refused {
        assert!(!String::from_utf8_lossy(&answer.body).contains(CANARY), "{answer:?}");
        assert!(!answer.head.contains(CANARY), "{answer:?}");
    }
    assert!(answers.iter().filter(|answer| answer.status != 200).count() >= 8);
    let scraped = Scraped::of(&daemon);
    assert!(scraped.sum("signvault_decisions_total", "") >= 4, "they were counted:\n{}", scraped.text);
    assert!(!scraped.text.contains(CANARY), "{}", scraped.text);
    let mut said = vec![daemon.status().to_string(), daemon.run(&["audit", "export"], "").ok(), vault.log()];
    assert!(said[1].contains("policy.credential"), "the rows about it are there");
    for arguments in [&["--help"][..], &["explain", "--help"], &["generate", "man"]] {
        let mut command = vault.command(arguments);
        let output =
            command.env("SIGNVAULT_TOKEN_FILE", CANARY).env("SIGNVAULT_LISTEN", CANARY).output().expect("it runs");
        said.push(String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8"));
    }
    assert!(said.iter().all(|text| !text.contains(CANARY) && !text.is_empty()), "{said:?}");
    daemon.run(&["credential", "edit", "main", "--label", CANARY], "").ok();
    let scraped = Scraped::of(&daemon);
    assert!(!scraped.text.contains(CANARY), "a label is no label");
    for word in [first.as_str(), "203.0.113.7", "BTC-USDT"] {
        assert!(!scraped.text.contains(word), "{word}");
    }
}

/// The rows of the table in a document below this heading, as cells without backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = include_str!("../../docs/metrics.md");
    let section =
        text.split(&format!("\n## {heading}\n")).nth(1).expect("the section").split("\n## ").next().expect("it");
    let table = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cell = |cell: &str| cell.trim().replace('`', "");
    table.map(|line| line.trim_matches('|').split('|').map(cell).collect()).collect()
}

#[test]
fn every_name_and_label_is_documented_and_told() {
    let documented: Vec<_> = rows("Names").into_iter().map(|row| row[..3].to_vec()).collect();
    let listed = FAMILIES.iter().map(|family| {
        let name = if family.kind() == "counter" { format!("{}_total", family.name) } else { family.name.to_owned() };
        vec![name, family.kind().to_owned(), family.labels.join(", ")]
    });
    assert_eq!(documented, listed.collect::<Vec<_>>(), "docs/metrics.md and the program list other names");

    let vault = Vault::new();
    let (daemon, [first, _]) = started(&vault);
    daemon.add_credential_with("idle", &["--permissions", "read,trade"]);
    daemon.run(&["bot", "add", "brief", "--credential", "main", "--expires", "2d"], "").ok();
    daemon.tcp().sign(&first, "main", "GET", BALANCE, None).ok();
    assert_eq!(daemon.tcp().request("GET", "/v1/whoami", None, None).status, 401);
    let scraped = Scraped::of(&daemon);
    for family in &FAMILIES {
        let of_family = |sample: &&String| {
            let name = sample.split('{').next().expect("a name");
            [family.name.to_owned(), format!("{}_total", family.name), format!("{}_count", family.name)]
                .contains(&name.to_owned())
        };
        let sample = scraped.samples.keys().find(of_family).unwrap_or_else(|| panic!("no {}", family.name));
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
        let names: Vec<&str> = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
        assert_eq!(names, family.labels, "{sample}");
    }
}

#[test]
fn every_word_of_a_label_is_documented() {
    let words = |heading| rows(heading).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(words("Classes"), Class::ALL.map(Class::as_str));
    assert_eq!(words("Decisions"), Outcome::ALL.map(Outcome::as_str));
    assert_eq!(words("Ends"), ENDS);
}
