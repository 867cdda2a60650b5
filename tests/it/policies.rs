//! `policy`: what is not granted is denied, and a file that is not understood whole changes nothing.

use crate::support::{Daemon, Vault};
use serde_json::{Value, json};
use signvault::policy;
use signvault::recipe::{Recipe, built_in};
use std::path::{Path, PathBuf};

const BALANCE: &str = "/api/v5/account/balance";
const ORDER: &str = "/api/v5/trade/order";
const ORDER_BODY: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"1","sz":"1"}"#;

fn set(daemon: &Daemon, name: &str, text: &str) -> crate::support::Answer {
    let file = daemon.vault.file("policy.toml", text);
    daemon.run(&["policy", "set", name, &file], "")
}

fn shown(daemon: &Daemon, name: &str) -> Value {
    daemon.run(&["policy", "show", name, "--json"], "").json()
}

/// A bot under the policy `grid`, with this text.
fn bot_under(daemon: &Daemon, text: &str) -> String {
    daemon.add_credential("main");
    set(daemon, "grid", text).ok();
    let added = daemon.run(&["bot", "add", "bob", "--credential", "main", "--policy", "grid"], "");
    added.ok().trim_end().to_owned()
}

/// The code of the answer to an ask; `allowed` for a signature.
fn verdict(daemon: &Daemon, token: &str, method: &str, path: &str) -> String {
    let body = (method == "POST").then_some(ORDER_BODY);
    let answer = daemon.tcp().sign(token, "main", method, path, body);
    if answer.status == 200 { "allowed".to_owned() } else { answer.code() }
}

#[test]
fn a_policy_is_set_shown_listed_replaced_and_removed() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let text = "grants = [\"read\", \"trade\"] # as agreed\n";
    let told = set(&daemon, "grid", text).ok();
    assert!(told.contains("\nmay not withdraw") && told.ends_with("this policy is new\n"), "{told}");
    let card = shown(&daemon, "grid");
    assert_eq!(
        (&card["version"], &card["grants"], &card["text"]),
        (&json!(1), &json!(["read", "trade"]), &json!(text))
    );
    let words = daemon.run(&["policy", "show", "grid"], "").ok();
    assert!(words.starts_with("grid (version 1, for no bot)\n"), "{words}");
    assert!(
        words.contains("may place, amend, cancel and close orders") && words.contains("may not withdraw"),
        "{words}"
    );

    set(&daemon, "grid", "").ok();
    set(&daemon, "also", "grants = []").ok();
    let list = daemon.run(&["policy", "list", "--json"], "").json();
    let list: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|card| (&card["name"], &card["version"], &card["grants"]))
        .collect();
    assert_eq!(list, [(&json!("also"), &json!(1), &json!([])), (&json!("grid"), &json!(2), &json!(["read"]))]);
    assert!(daemon.run(&["policy", "list"], "").ok().starts_with("NAME  VERSION  GRANTS  BOTS\n"));

    daemon.run(&["policy", "remove", "also"], "").ok();
    for verb in ["show", "remove"] {
        assert!(daemon.run(&["policy", verb, "also"], "").fails(1).contains("admin.not_found"));
    }
    daemon.terminate();
    let daemon = vault.serve_unlocked();
    assert_eq!(shown(&daemon, "grid")["version"], 2);
    assert_eq!(daemon.run(&["policy", "list", "--json"], "").json().as_array().map(Vec::len), Some(1));
}

#[test]
fn an_empty_policy_means_reading_and_an_empty_list_nothing() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let token = bot_under(&daemon, "");
    assert_eq!(verdict(&daemon, &token, "GET", BALANCE), "allowed");
    assert_eq!(verdict(&daemon, &token, "POST", ORDER), "policy.grant");
    set(&daemon, "grid", "grants = []").ok();
    assert_eq!(verdict(&daemon, &token, "GET", BALANCE), "policy.grant");
    set(&daemon, "grid", "grants = [\"trade\"]").ok();
    assert_eq!(verdict(&daemon, &token, "GET", BALANCE), "policy.grant", "trade does not bring read with it");
    assert_eq!(verdict(&daemon, &token, "POST", ORDER), "allowed", "a new policy holds from the next ask on");
}

#[test]
fn endpoints_narrow_the_grants_and_never_widen_them() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let text = "grants = [\"read\", \"trade\"]\nendpoints = [\"POST /api/v5/trade/order\", \"POST /api/v5/asset/withdrawal\"]\n";
    let token = bot_under(&daemon, text);
    for (method, path, expected) in [
        ("POST", ORDER, "allowed"),
        ("GET", ORDER, "policy.endpoint"),
        ("GET", BALANCE, "policy.endpoint"),
        ("POST", "/api/v5/trade/batch-orders", "policy.endpoint"),
        ("POST", "/api/v5/trade/cancel-order", "policy.endpoint"),
        ("POST", "/api/v5/asset/withdrawal", "policy.grant"),
        ("POST", "/api/v5/trade/order/", "policy.endpoint_unknown"),
        ("POST", "/api/v5/trade/orders", "policy.endpoint_unknown"),
        ("POST", "/api/v5/trade/Order", "policy.endpoint_unknown"),
        ("DELETE", ORDER, "policy.endpoint_unknown"),
    ] {
        assert_eq!(verdict(&daemon, &token, method, path), expected, "{method} {path}");
    }
    let words = daemon.run(&["policy", "show", "grid"], "").ok();
    assert!(
        words.contains("only through these endpoints: POST /api/v5/asset/withdrawal, POST /api/v5/trade/order"),
        "{words}"
    );
    set(&daemon, "grid", "endpoints = []").ok();
    assert_eq!(verdict(&daemon, &token, "GET", BALANCE), "policy.endpoint");
}

#[test]
fn what_is_not_understood_is_refused_with_its_place_and_nothing_changes() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let token = bot_under(&daemon, "grants = [\"read\"]\n");
    let before = (daemon.status()["state_version"].clone(), shown(&daemon, "grid"));
    for (text, place) in [
        ("grants = [\"read\"]\ngrant = [\"trade\"]\n", "line 2, column 1"),
        ("  granst = []", "line 1, column 3"),
        ("grants = [\"read\",\n  \"raed\"]", "line 2, column 3"),
        ("grants = [\"*\"]", "line 1, column 11"),
        ("grants = [\"Read\"]", "line 1, column 11"),
        ("grants = \"read\"", "line 1, column 10"),
        ("grants = [1]", "line 1"),
        ("grants = [\"read\"]\ngrants = [\"trade\"]", "line 2"),
        ("endpoints = [\"*\"]", "line 1, column 14"),
        ("endpoints = [\"POST /api/v5/trade/*\"]", "line 1, column 14"),
        ("endpoints = [\"/api/v5/trade/order\"]", "line 1, column 14"),
        ("endpoints = [\"POST  /api/v5/trade/order\"]", "line 1, column 14"),
        ("endpoints = [\"post /api/v5/trade/order\"]", "line 1, column 14"),
        ("endpoints = [\"POST /api/v5/trade/order?x=1\"]", "line 1, column 14"),
        ("[surprise]\n", "line 1"),
        ("grants = [\"read\"", "line 1"),
        ("{}", "line 1"),
        ("\u{0}", "line 1"),
    ] {
        let error = set(&daemon, "grid", text).fails(1);
        assert!(error.contains(place) && error.contains("policy.toml"), "{text:?}: {error}");
        let body = json!({ "text": text }).to_string();
        let answer = daemon.admin().request("PUT", "/v1/policies/grid", None, Some(&body));
        assert_eq!((answer.status, answer.code().as_str()), (400, "admin.invalid"), "{text:?}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(place)), "{text:?}");
    }
    let long = format!("# {}\n", "x".repeat(64 * 1024));
    assert!(set(&daemon, "grid", &long).fails(1).contains("longer than 65536 bytes"));
    daemon.run(&["policy", "set", "grid", "no/such/file"], "").fails(1);
    assert_eq!((daemon.status()["state_version"].clone(), shown(&daemon, "grid")), before);
    assert_eq!(verdict(&daemon, &token, "GET", BALANCE), "allowed");
}

#[test]
fn a_file_that_is_no_text_or_has_no_end_is_no_policy() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    std::fs::write(vault.dir().join("policy.toml"), b"grants = [\"read\"]\n# caf\xe9\n").expect("written");
    let error = daemon.run(&["policy", "set", "grid", "policy.toml"], "").fails(1);
    assert!(error.contains("policy.toml is not a policy: line 2: not UTF-8"), "{error}");
    assert!(daemon.run(&["policy", "set", "grid", "/dev/zero"], "").fails(1).contains("longer than 65536 bytes"));
    // As editors on another system write it.
    set(&daemon, "grid", "\u{feff}grants = [\"read\"]\r\n").ok();
    let error = set(&daemon, "grid", "\u{feff}grant = [\"read\"]\r\n").fails(1);
    assert!(error.contains("line 1, column 1: unknown key `grant`"), "{error}");
}

#[test]
fn endpoints_that_can_never_be_asked_for_are_pointed_out() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let told = |text: &str| {
        let answer = set(&daemon, "grid", text);
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.stderr
    };
    let told_of = told(
        "endpoints = [\"POST /api/v5/trade/oder\", \"POST /api/v5/trade/order\", \"GET /api/v5/account/balance\"]\n",
    );
    assert!(told_of.contains("no exchange has POST /api/v5/trade/oder"), "{told_of}");
    assert!(told_of.contains("POST /api/v5/trade/order stays denied: it needs the grant `trade`"), "{told_of}");
    assert!(!told_of.contains("balance"), "{told_of}");
    assert_eq!(told("endpoints = [\"GET /api/v5/account/balance\"]\n"), "");
}

#[test]
fn a_reference_price_that_was_given_stays_until_the_file_names_another() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let text = |price: &str, rest: &str| {
        format!(
            "grants = [\"trade\"]\n[order]\ninstruments = [\"BTC-USDT\"]\nreference_price = {{ \"BTC-USDT\" = \"{price}\" }}\n{rest}"
        )
    };
    let price = |text: &str| {
        set(&daemon, "grid", text).ok();
        shown(&daemon, "grid")["references"]["BTC-USDT"].clone()
    };
    assert_eq!(price(&text("60000", ""))["price"], "60000");
    daemon.run(&["policy", "reference", "set", "grid", "BTC-USDT", "61000"], "").ok();
    let given = shown(&daemon, "grid")["references"]["BTC-USDT"].clone();
    assert_eq!(given["price"], "61000");
    assert_eq!(price(&text("60000", "max_notional = 5\n")), given, "as old as it is");
    assert_eq!(price("grants = [\"trade\"]\n[order]\ninstruments = [\"BTC-USDT\"]\n"), given);
    assert_eq!(price(&text("62000", ""))["price"], "62000");
    assert_eq!(price("grants = [\"trade\"]\n[order]\ninstruments = [\"ETH-USDT\"]\n"), Value::Null);
    assert_eq!(price(&text("62000", ""))["price"], "62000");
}

#[test]
fn a_name_must_be_one_and_read_only_is_taken() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    for name in ["", "a b", "..", "x/y", "\u{e4}", &"n".repeat(65)] {
        let refused = set(&daemon, name, "");
        assert_eq!(refused.code, 1, "{name:?}: {refused:?}");
    }
    assert!(set(&daemon, "read-only", "").fails(1).contains("choose another"));
    assert_eq!(daemon.run(&["policy", "list"], "").ok(), "");
}

#[test]
fn a_policy_that_a_bot_has_is_not_removed() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let token = bot_under(&daemon, "");
    let error = daemon.run(&["policy", "remove", "grid"], "").fails(1);
    assert!(error.contains("bots still have this policy: bob"), "{error}");
    assert_eq!(verdict(&daemon, &token, "GET", BALANCE), "allowed");
    daemon.run(&["bot", "revoke", "bob"], "").ok();
    daemon.run(&["policy", "remove", "grid"], "").fails(1);
    daemon.run(&["bot", "remove", "bob"], "").ok();
    daemon.run(&["policy", "remove", "grid"], "").ok();
}

#[test]
fn every_decision_names_the_policy_and_its_version() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let token = bot_under(&daemon, "");
    verdict(&daemon, &token, "GET", BALANCE);
    set(&daemon, "grid", "grants = []").ok();
    verdict(&daemon, &token, "GET", BALANCE);
    let rows = daemon.run(&["audit", "list", "--bot", "bob"], "").ok();
    assert!(rows.contains("allow") && rows.contains("policy=grid@1"), "{rows}");
    assert!(rows.contains("deny  policy.grant") && rows.contains("policy=grid@2"), "{rows}");
}

fn is_instrument(name: &str) -> bool {
    Recipe::parse(built_in("okx").expect("built in")).expect("a recipe").is_instrument(name)
}

/// The policies that people start from: name and text.
fn ready_policies() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies")).expect("there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        (name, std::fs::read_to_string(path).expect("UTF-8"))
    };
    files.iter().map(read).collect()
}

/// What each means stands in `tests/vectors/policies`, for people to read before they trust a change of the words.
#[test]
fn every_ready_policy_means_what_was_read_and_agreed() {
    let policies = ready_policies();
    assert!(policies.len() >= 7, "{} policies", policies.len());
    let mut changed = Vec::new();
    for (name, text) in policies {
        let policy = policy::parse::parse(&text, &is_instrument).unwrap_or_else(|error| panic!("{name}: {error}"));
        let words = format!("{}\n", policy::words::describe(&policy).join("\n"));
        let agreed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/policies").join(&name).with_extension("txt");
        if std::fs::read_to_string(&agreed).ok().as_ref() != Some(&words) {
            let now = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name).with_extension("txt");
            std::fs::write(&now, words).expect("written");
            changed.push(format!("{} is now {}", agreed.display(), now.display()));
        }
    }
    assert!(changed.is_empty(), "read the words, and if they are meant, copy them:\n  {}", changed.join("\n  "));
}

#[test]
fn the_policies_in_the_documentation_are_policies() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
    let page = std::fs::read_to_string(page).expect("UTF-8");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 2, "the page shows policies");
    for block in blocks {
        assert!(
            policy::parse::parse(block, &is_instrument).is_ok(),
            "{:?}",
            policy::parse::parse(block, &is_instrument)
        );
    }
    for key in policy::raw::KEYS {
        let name = key.rsplit('.').next().unwrap_or(key);
        assert!(
            page.contains(&format!("`{name}`"))
                || page.contains(&format!("[{name}]"))
                || page.contains(&format!("{name} = ")),
            "{key} is not explained"
        );
    }
}

#[test]
fn ready_policies_list_only_endpoints_that_there_are_and_that_their_grants_cover() {
    let okx = Recipe::parse(built_in("okx").expect("built in")).expect("a recipe");
    for (name, text) in ready_policies() {
        assert!(
            text.starts_with("# For ") && text.contains("\n# Adapt: "),
            "{name} says what it is for and what to adapt"
        );
        let policy = policy::parse::parse(&text, &is_instrument).expect("checked beside");
        for listed in policy.endpoints.iter().flatten() {
            let known =
                okx.endpoints().into_iter().map(|known| &known.endpoint).find(|known| known.to_string() == *listed);
            let known = known.unwrap_or_else(|| panic!("{name}: there is no {listed}"));
            assert!(policy.grants.contains(&known.grant), "{name}: {listed} needs {}", known.grant);
        }
    }
}
