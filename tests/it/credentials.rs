//! `credential`: keys go in whole, never come out, and what is known of them is right.

use crate::support::exchange::check_signature;
use crate::support::files::holds;
use crate::support::{API_KEY, Answer, Daemon, PASSPHRASE, SECRET, Vault};
use serde_json::{Value, json};

const BALANCE: &str = "/api/v5/account/balance";

fn secrets(api_key: &str, secret: &str, passphrase: &str) -> String {
    json!({ "api_key": api_key, "secret": secret, "passphrase": passphrase }).to_string()
}

fn add(daemon: &Daemon, name: &str, more: &[&str]) -> Answer {
    let stdin = secrets(API_KEY, SECRET, PASSPHRASE);
    daemon.run(&[&["credential", "add", name, "--exchange", "okx", "--stdin"], more].concat(), &stdin)
}

fn card(daemon: &Daemon, name: &str) -> Value {
    daemon.run(&["credential", "show", name, "--json"], "").json()
}

/// A refusal that names the problem, repeats nothing, and leaves the vault as it was.
struct Refusals<'a> {
    daemon: &'a Daemon<'a>,
    before: Value,
}

impl<'a> Refusals<'a> {
    fn of(daemon: &'a Daemon<'a>) -> Refusals<'a> {
        let before = daemon.status();
        Refusals { daemon, before }
    }

    #[track_caller]
    fn refuses(&self, answer: Answer, code: i32, words: &str) -> String {
        let error = answer.fails(code);
        assert!(error.contains(words), "{error}");
        let after = self.daemon.status();
        for number in ["state_version", "audit_sequence", "credentials"] {
            assert_eq!(after[number], self.before[number], "{number} after: {error}");
        }
        error
    }
}

#[test]
fn a_credential_is_shown_without_its_secrets() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    add(&daemon, "main", &["--label", "grid \u{f6}", "--permissions", "read,trade", "--ip", "203.0.113.7", "--json"])
        .ok();
    let shown = card(&daemon, "main");
    assert_eq!(
        [&shown["name"], &shown["exchange"], &shown["label"], &shown["environment"], &shown["region"]],
        [&json!("main"), &json!("okx"), &json!("grid \u{f6}"), &json!("live"), &json!("global")]
    );
    assert_eq!((&shown["permissions"], &shown["ips"]), (&json!(["read", "trade"]), &json!(["203.0.113.7"])));
    assert_eq!(shown["api_key"], "5a95\u{2026}64bc");
    assert_eq!(shown["last_used"], Value::Null);

    let commands: [&[&str]; 9] = [
        &["credential", "show", "main"],
        &["credential", "show", "main", "--json"],
        &["credential", "list"],
        &["credential", "list", "--json"],
        &["credential", "edit", "main", "--label", "x", "--json"],
        &["status", "--json"],
        &["audit", "export"],
        &["audit", "list"],
        &["credential", "remove", "main", "--json"],
    ];
    for command in commands {
        let answer = daemon.run(command, "");
        assert_eq!(answer.code, 0, "{answer:?}");
        for secret in [API_KEY, SECRET, PASSPHRASE] {
            assert!(!answer.stdout.contains(secret) && !answer.stderr.contains(secret), "{command:?}");
        }
    }
    daemon.terminate();
    for secret in [API_KEY, SECRET, PASSPHRASE] {
        assert!(!vault.log().contains(secret));
        assert!(vault.files().values().all(|(_, content)| !holds(content, secret.as_bytes())));
    }
}

#[test]
fn a_secret_that_cannot_be_one_is_refused_and_not_repeated() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let refusals = Refusals::of(&daemon);
    let long = format!("hunter2{}", "x".repeat(4090));
    for (bad, words) in [
        ("", "is empty"),
        ("hunter2\u{0}", "control character"),
        ("hunt\u{7}er2", "control character"),
        ("hunter2\r\nX-Injected: 1", "control character"),
        ("hunt\ner2", "control character"),
        ("hunt\u{7f}er2", "control character"),
        ("hunt\u{85}er2", "control character"),
        ("hunt\u{2028}er2", "control character"),
        ("hunt\u{2029}er2", "control character"),
        ("\u{feff}hunter2", "control character"),
        ("hunter2 ", "white space"),
        (" hunter2", "white space"),
        ("hunter2\n", "white space"),
        ("\thunter2", "white space"),
        ("hunter2\u{a0}", "white space"),
        (&long, "longer than 4096 bytes"),
    ] {
        for (at, part) in ["API key", "secret", "passphrase"].iter().enumerate() {
            let mut parts = [API_KEY, SECRET, PASSPHRASE];
            parts[at] = bad;
            let stdin = secrets(parts[0], parts[1], parts[2]);
            let answer = daemon.run(&["credential", "add", "main", "--exchange", "okx", "--stdin"], &stdin);
            let error = refusals.refuses(answer, 1, words);
            assert!(error.contains(&format!("the {part}")), "{error}");
            assert!(!error.contains("hunt") && !error.contains("Injected"), "{error}");
            assert!(words != "white space" || error.contains("help: copy it again without the space"), "{error}");
        }
    }
    assert!(!vault.log().contains("hunt"));
}

#[test]
fn standard_input_is_one_object_with_exactly_the_three_parts() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let refusals = Refusals::of(&daemon);
    for stdin in [
        "",
        "hunter2",
        "[\"hunter2\",\"hunter2\",\"hunter2\"]",
        "{\"api_key\":\"hunter2\",\"secret\":\"hunter2\"}",
        "{\"api_key\":\"a\",\"secret\":\"hunter2\",\"passphrase\":\"c\",\"label\":\"d\"}",
        "{\"api_key\":\"a\",\"secret\":\"hunter2\",\"secret\":\"b\",\"passphrase\":\"c\"}",
        "{\"api_key\":\"a\",\"secret\":\"hunter2\",\"passphrase\":7}",
        "{\"api_key\":\"a\",\"secret\":\"hunter2\",\"passphrase\":\"c\"} {}",
    ] {
        let answer = daemon.run(&["credential", "add", "main", "--exchange", "okx", "--stdin"], stdin);
        let error = refusals.refuses(answer, 1, "not the expected JSON object");
        assert!(!error.contains("hunter2"), "{error}");
    }
    refusals.refuses(daemon.run(&["credential", "add", "main", "--exchange", "okx"], ""), 2, "not a terminal");
}

#[test]
fn what_is_noted_of_a_key_is_checked() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    add(&daemon, "taken", &[]).ok();
    let refusals = Refusals::of(&daemon);
    let long = "x".repeat(129);
    let name = "n".repeat(65);
    let cases: [(&str, &[&str], &str); 21] = [
        ("main", &["--region", "mars"], "regions: eea, global, us"),
        ("main", &["--permissions", "read,everything"], "permissions: read, trade, withdraw"),
        ("main", &["--permissions", "Read"], "permissions: read, trade, withdraw"),
        ("main", &["--label", &long], "use up to 128 characters"),
        ("main", &["--label", "two\nlines"], "control character"),
        ("main", &["--label", "two\u{2028}lines"], "control character"),
        ("main", &["--label", "\u{1b}[2J"], "control character"),
        ("main", &["--base-url", "http://example.com"], "base URL"),
        ("main", &["--base-url", "https://user@example.com"], "base URL"),
        ("main", &["--base-url", "https://example.com/path"], "base URL"),
        ("main", &["--base-url", "https://"], "base URL"),
        ("main", &["--base-url", "ftp://example.com"], "base URL"),
        ("main", &["--base-url", "http://127.0.0.1.evil.com"], "base URL"),
        ("taken", &[], "admin.exists"),
        ("", &[], "name of a credential"),
        ("-main", &[], ""),
        ("../main", &[], "name of a credential"),
        ("a b", &[], "name of a credential"),
        ("m\u{e4}in", &[], "name of a credential"),
        ("main\r\n", &[], "name of a credential"),
        (&name, &[], "name of a credential"),
    ];
    for (name, more, words) in cases {
        let code = if name == "-main" { 2 } else { 1 };
        refusals.refuses(add(&daemon, name, more), code, words);
    }
    refusals.refuses(add(&daemon, "main", &["--environment", "paper"]), 2, "use one of: live, demo");
    refusals.refuses(add(&daemon, "main", &["--idle-days", "-1"]), 2, "");
    let binance = ["credential", "add", "main", "--exchange", "binance", "--stdin"];
    let answer = daemon.run(&binance, &secrets(API_KEY, SECRET, PASSPHRASE));
    refusals.refuses(answer, 1, "recipes: okx");
    add(&daemon, "main", &["--label", &"\u{f6}".repeat(128)]).ok();
}

#[test]
fn addresses_are_real_and_twenty_at_most() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let refusals = Refusals::of(&daemon);
    for bad in [
        "203.0.113",
        "203.0.113.256",
        "203.0.113.07",
        "203.0.113.7/33",
        "203.0.113.7/-1",
        "2001:db8::7/129",
        "2001:db8:::7",
        "203.0.113.9-203.0.113.7",
        "203.0.113.7-2001:db8::7",
        "203.0.113.7-",
        "-",
        "example.com",
        "203.0.113.7:443",
        "fe80::1%eth0",
        "*",
    ] {
        let more = format!("--ip={bad}");
        refusals.refuses(add(&daemon, "main", &["--ip", "203.0.113.1", &more]), 1, "address number 2");
    }
    let addresses: Vec<String> = (1..=21).map(|last| format!("--ip=203.0.113.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    refusals.refuses(add(&daemon, "main", &addresses), 1, "at most 20");
    add(&daemon, "main", &addresses[..20]).ok();
    let ranges =
        ["--ip", "203.0.113.0/24", "--ip", "2001:db8::/32", "--ip", "203.0.113.7-203.0.113.9", "--ip", "::1-::2"];
    add(&daemon, "ranges", &ranges).ok();
    assert_eq!(card(&daemon, "ranges")["ips"].as_array().map(Vec::len), Some(4));
}

#[test]
fn what_there_is_to_fear_of_a_key_is_said() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let bound = ["--ip", "203.0.113.7", "--permissions", "read,trade"];
    assert_eq!(add(&daemon, "bound", &bound).stderr, "");
    let withdraw = add(&daemon, "withdraw", &["--ip", "203.0.113.7", "--permissions", "withdraw"]);
    assert!(withdraw.stderr.contains("warning: withdraw: this key may withdraw"), "{withdraw:?}");
    let open = add(&daemon, "open", &["--permissions", "read,trade"]);
    assert!(open.stderr.contains("no IP address is noted"), "{open:?}");
    assert!(open.stderr.contains("after 14 idle days; 14 are left"), "{open:?}");
    let reading = add(&daemon, "reading", &["--permissions", "read"]);
    assert!(!reading.stderr.contains("idle"), "{reading:?}");
    let demo = add(&daemon, "demo", &["--permissions", "trade", "--environment", "demo"]);
    assert!(!demo.stderr.contains("idle"), "{demo:?}");
    let longer = add(&daemon, "longer", &["--permissions", "trade", "--idle-days", "30"]);
    assert!(longer.stderr.contains("after 30 idle days; 30 are left"), "{longer:?}");

    assert_eq!(card(&daemon, "longer")["idle_days"], 30);
    assert_eq!(card(&daemon, "bound")["idle_days"], Value::Null);
    assert!(daemon.run(&["credential", "show", "open"], "").stderr.contains("no IP address is noted"));
    let all = daemon.run(&["status"], "").stderr;
    assert!(all.contains("withdraw: this key may withdraw") && all.contains("open: no IP address"), "{all}");
    relock(&daemon);
    assert_eq!(daemon.run(&["status"], "").stderr, "", "while locked nothing is told of keys");
    let told = daemon.try_unlock(crate::support::PASSWORD, &[]);
    assert!(told.stderr.contains("this key may withdraw"), "{told:?}");
}

fn relock(daemon: &Daemon) {
    daemon.run(&["lock"], "").ok();
}

#[test]
fn an_edit_changes_what_it_names_and_the_bot_goes_on_under_the_new_name() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    daemon.add_credential("other");
    let token = daemon.add_bot("bob", "main", &["read"]);
    daemon.run(&["credential", "edit", "main", "--label", "grid", "--ip", "203.0.113.8"], "").ok();
    let edited = card(&daemon, "main");
    assert_eq!((&edited["label"], &edited["ips"]), (&json!("grid"), &json!(["203.0.113.8"])));
    assert_eq!(edited["permissions"], json!(["read", "trade"]));
    daemon.run(&["credential", "edit", "main", "--label", "", "--ip", "", "--permissions", "read"], "").ok();
    let edited = card(&daemon, "main");
    assert_eq!((&edited["label"], &edited["ips"]), (&Value::Null, &json!([])));

    let refusals = Refusals::of(&daemon);
    refusals.refuses(daemon.run(&["credential", "edit", "main"], ""), 2, "nothing to change");
    refusals.refuses(daemon.run(&["credential", "edit", "main", "--rename", "other"], ""), 1, "admin.exists");
    refusals.refuses(daemon.run(&["credential", "edit", "main", "--region", "mars"], ""), 1, "regions:");
    refusals.refuses(daemon.run(&["credential", "edit", "nobody", "--label", "x"], ""), 1, "admin.not_found");

    daemon.run(&["credential", "edit", "main", "--rename", "renamed"], "").ok();
    let mut connection = daemon.tcp();
    check_signature(&connection.sign(&token, "renamed", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");
    assert_eq!(connection.sign(&token, "main", "GET", BALANCE, None).code(), "policy.credential");
    daemon.terminate();
    let daemon = vault.serve_unlocked();
    check_signature(&daemon.tcp().sign(&token, "renamed", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");
}

#[test]
fn an_edit_does_not_forget_when_the_key_was_last_used() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok();
    let used = card(&daemon, "main")["last_used"].clone();
    assert!(used.is_string());
    let told = daemon.run(&["credential", "edit", "main", "--label", "x", "--json"], "").json();
    assert_eq!(told["credential"]["last_used"], used);
    assert_eq!(card(&daemon, "main")["last_used"], used);
    daemon.terminate();
    let daemon = vault.serve_unlocked();
    let rows = daemon.run(&["audit", "list", "--bot", "bob", "--json"], "").json();
    let row: Value = serde_json::from_str(rows[1]["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!((&row["decision"], &card(&daemon, "main")["last_used"]), (&json!("allow"), &row["time"]));
}

#[test]
fn a_rotation_lets_bots_sign_on_with_the_new_secret() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    let mut connection = daemon.tcp();
    check_signature(&connection.sign(&token, "main", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");
    let stdin = secrets("11112222-3333-4444-5555-666677778888", "NEWSECRET", "new passphrase");
    assert_eq!(daemon.run(&["credential", "rotate", "main", "--stdin"], &stdin).ok(), "");
    let answer = connection.sign(&token, "main", "GET", BALANCE, None).ok();
    check_signature(&answer, "NEWSECRET", "GET", BALANCE, "");
    assert_eq!(answer["headers"]["OK-ACCESS-KEY"], "11112222-3333-4444-5555-666677778888");
    assert_eq!(answer["headers"]["OK-ACCESS-PASSPHRASE"], "new passphrase");
    assert_eq!(card(&daemon, "main")["api_key"], "1111\u{2026}8888");

    let refusals = Refusals::of(&daemon);
    let bad = secrets("key", "hunter2\n", "p");
    refusals.refuses(daemon.run(&["credential", "rotate", "main", "--stdin"], &bad), 1, "white space");
    refusals.refuses(daemon.run(&["credential", "rotate", "nobody", "--stdin"], &stdin), 1, "admin.not_found");
    daemon.terminate();
    let daemon = vault.serve_unlocked();
    check_signature(&daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok(), "NEWSECRET", "GET", BALANCE, "");
}

#[test]
fn a_removed_credential_is_denied_to_the_bots_that_had_it() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    let told = daemon.run(&["credential", "remove", "main"], "");
    assert!(told.stderr.contains("will be denied now: bob"), "{told:?}");
    assert!(daemon.run(&["credential", "remove", "main"], "").fails(1).contains("admin.not_found"));
    assert!(daemon.run(&["credential", "show", "main"], "").fails(1).contains("admin.not_found"));
    assert_eq!(daemon.run(&["credential", "list"], "").ok(), "");
    let denied = daemon.tcp().sign(&token, "main", "GET", BALANCE, None);
    assert_eq!((denied.status, denied.code().as_str()), (403, "policy.credential"));
    daemon.add_credential("main");
    let denied = daemon.tcp().sign(&token, "main", "GET", BALANCE, None);
    assert_eq!(denied.status, 403, "a new credential of the same name is another one");
}

#[test]
fn a_demo_key_says_so_and_each_region_has_its_address() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let environments = [("live", Value::Null), ("demo", json!("1"))];
    let regions = [("global", "https://www.okx.com"), ("us", "https://us.okx.com"), ("eea", "https://eea.okx.com")];
    for (environment, simulated) in &environments {
        for (region, address) in regions {
            let name = format!("{region}-{environment}");
            add(&daemon, &name, &["--region", region, "--environment", environment]).ok();
            let token = daemon.add_bot(&name, &name, &["read"]);
            let answer = daemon.tcp().sign(&token, &name, "GET", BALANCE, None).ok();
            assert_eq!(answer["headers"]["x-simulated-trading"], *simulated, "{name}");
            assert_eq!(answer["url"], format!("{address}{BALANCE}"));
            assert_eq!(card(&daemon, &name)["base_url"], address);
        }
    }
    add(&daemon, "mine", &["--base-url", "http://127.0.0.1:9000"]).ok();
    let token = daemon.add_bot("mine", "mine", &["read"]);
    let answer = daemon.tcp().sign(&token, "mine", "GET", BALANCE, None).ok();
    assert_eq!(answer["url"], format!("http://127.0.0.1:9000{BALANCE}"));
}

#[test]
fn a_key_comes_out_of_an_env_file_and_the_lines_to_delete_are_told() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let env = format!("# keys\nexport OKX_KEY={API_KEY}\n\nOKX_SECRET='{SECRET}'\nOTHER=1\nOKX_PASS=\"a\\\"$b\"\n");
    let file = vault.file(".env", &env);
    let names = ["--key-var", "OKX_KEY", "--secret-var", "OKX_SECRET", "--passphrase-var", "OKX_PASS"];
    let import = ["credential", "import", "--from-file", ".env", "--name", "main", "--exchange", "okx"];
    let told = daemon.run(&[&import[..], &names, &["--ip", "203.0.113.7"]].concat(), "").ok();
    assert_eq!(told, format!("now delete from {file}: line 2 (OKX_KEY), line 4 (OKX_SECRET), line 6 (OKX_PASS)\n"));
    assert_eq!(std::fs::read_to_string(&file).expect("untouched"), env);
    let token = daemon.add_bot("bob", "main", &["read"]);
    let answer = daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok();
    check_signature(&answer, SECRET, "GET", BALANCE, "");
    assert_eq!(answer["headers"]["OK-ACCESS-PASSPHRASE"], "a\"$b");

    let refusals = Refusals::of(&daemon);
    refusals.refuses(daemon.run(&import, ""), 2, "--key-var, --secret-var, --passphrase-var");
    refusals.refuses(daemon.run(&[&import[..], &names].concat(), ""), 1, "admin.exists");
    for (content, words) in [
        ("OKX_KEY=hunter2\nOKX_SECRET=hunter2\n", "no variable OKX_PASS"),
        ("OKX_KEY=a\nOKX_SECRET=hunter2\nOKX_SECRET=b\nOKX_PASS=c\n", "set twice, on lines 2 and 3"),
        ("OKX_KEY=a\nOKX_SECRET=\nOKX_PASS=c\n", "OKX_SECRET is empty"),
        ("OKX_KEY=a\nOKX_SECRET='hunter2\nOKX_PASS=c\n", "line 2 is not understood"),
        ("hunter2", "line 1 is not understood"),
    ] {
        vault.file(".env", content);
        let error = refusals.refuses(daemon.run(&[&import[..], &names].concat(), ""), 1, words);
        assert!(!error.contains("hunter2"), "{error}");
    }
    std::fs::remove_file(&file).expect("removed");
    refusals.refuses(daemon.run(&[&import[..], &names].concat(), ""), 1, "cannot open");
}

#[test]
fn a_key_comes_out_of_a_freqtrade_configuration() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    let config = format!(
        "{{\n  // the exchange\n  \"stake_currency\": \"USDT\",\n  \"exchange\": {{\n    \"name\": \"okx\",\n    \"key\": \"{API_KEY}\",\n    \"secret\": \"{SECRET}\",\n    \"password\": \"{PASSPHRASE}\",\n  }},\n}}\n"
    );
    let file = vault.file("config.json", &config);
    let import = ["credential", "import", "--from-file", "config.json", "--exchange", "okx", "--name"];
    let told = daemon.run(&[&import[..], &["main"]].concat(), "").ok();
    let lines = "line 6 (exchange.key), line 7 (exchange.secret), line 8 (exchange.password)";
    assert_eq!(told, format!("now delete from {file}: {lines}\n"));
    let json = daemon.run(&[&import[..], &["again", "--json"]].concat(), "").json();
    assert_eq!((&json["credential"]["name"], &json["to_delete"][1]["line"]), (&json!("again"), &json!(7)));
    let token = daemon.add_bot("bob", "main", &["read"]);
    check_signature(&daemon.tcp().sign(&token, "main", "GET", BALANCE, None).ok(), SECRET, "GET", BALANCE, "");

    let refusals = Refusals::of(&daemon);
    vault.file("config.json", &config.replace("okx", "binance"));
    refusals.refuses(daemon.run(&[&import[..], &["other"]].concat(), ""), 1, "another exchange");
    vault.file("config.json", "{ \"exchange\": { \"key\": \"hunter2\" } }");
    let error = refusals.refuses(daemon.run(&[&import[..], &["other"]].concat(), ""), 1, "line 1 is not understood");
    assert!(!error.contains("hunter2"), "{error}");
}
