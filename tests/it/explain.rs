//! `explain`: error codes in words, alone or out of an answer, with a credential's card or without a daemon.

use crate::support::Vault;
use serde_json::{Value, json};
use signvault::recipe::errors::{ErrorCode, Errors, OWN, Topic, built_in};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn a_code_is_explained_without_a_daemon_or_a_vault() {
    let nowhere = Vault::nowhere();
    let answer = nowhere.run(&["explain", "50113"], "");
    assert!(answer.stderr.contains("--credential NAME") && nowhere.run(&["explain", "50102"], "").stderr.is_empty());
    let words = answer.ok();
    assert!(words.starts_with("50113 OKX: Invalid signature. (HTTP 401)\n"), "{words}");
    assert!(words.contains("why:\n  - ") && words.contains("what to do:\n  - "), "{words}");
    let json = nowhere.run(&["explain", "50119", "--json"], "").json();
    assert_eq!((&json["code"], &json["of"], &json["http"]), (&json!("50119"), &json!("okx"), &json!([200, 401])));
    assert!(["why", "help"].iter().all(|member| !json[*member].as_array().expect("a list").is_empty()));
    assert_eq!(json["credential"], json!([]));
    let own = nowhere.run(&["explain", "policy.limit", "--exchange", "okx", "--json"], "").json();
    assert_eq!((&own["of"], &own["message"]), (&json!("signvault"), &Value::Null));
    nowhere.run(&["explain", "internal"], "").ok();
    assert!(!nowhere.state_dir().exists());
}

#[test]
fn unknown_codes_fail_and_nonsense_is_a_wrong_command_line() {
    let nowhere = Vault::nowhere();
    for code in ["51999", "99999", "policy.nothing", "no.such.code"] {
        let error = nowhere.run(&["explain", code], "").fails(1);
        assert!(error.contains("cli.unknown_code") && error.contains(code) && error.contains("help:"), "{error}");
        assert_eq!(error.contains("okx.com"), !code.contains('.'), "{error}");
    }
    let json: Value = serde_json::from_str(&nowhere.run(&["explain", "51999", "--json"], "").fails(1)).expect("JSON");
    assert_eq!(json["code"], "cli.unknown_code");
    for nonsense in [&["explain"][..], &["explain", "hunter2"], &["explain", ""], &["explain", "50113", "--stdin"]] {
        assert!(!nowhere.run(nonsense, "").fails(2).contains("hunter2"));
    }
    assert!(nowhere.run(&["explain", "50113", "--exchange", "hunter2"], "").fails(1).contains("not known"));
}

#[test]
fn every_code_of_an_answer_is_explained_and_the_answer_is_not_repeated() {
    let nowhere = Vault::nowhere();
    let batch = json!({ "code": "1", "msg": "hunter2", "data": [
        { "sCode": "51008", "sMsg": "hunter2", "clOrdId": "hunter2" },
        { "sCode": "50113" },
        { "sCode": "51008", "ordId": "hunter2" },
        { "sCode": "0" },
    ] });
    for arguments in [&["explain", "--stdin"][..], &["explain", "-"]] {
        let words = nowhere.run(arguments, &batch.to_string()).ok();
        let heads: Vec<&str> = words.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
        assert_eq!(heads.len(), 3, "{words}");
        assert!(heads[1].starts_with("51008 ") && heads[1].ends_with(", 2 times"), "{words}");
        assert!(!words.contains("hunter2"));
    }
    let list = nowhere.run(&["explain", "--stdin", "--json"], r#"{"event":"error","code":"60009","msg":"x"}"#).json();
    assert_eq!((&list[0]["code"], list.as_array().map(Vec::len)), (&json!("60009"), Some(1)));

    let answer = nowhere.run(&["explain", "--stdin"], r#"{"code":"50113","data":[{"sCode":"59999"}]}"#);
    assert!(answer.stdout.starts_with("50113 OKX"), "what is known is told");
    assert!(answer.fails(1).contains("59999"));
    for text in ["", "hunter2", r#"{"code":"0"}"#, r#"{"code":"hunter2"}"#, "{\"hunter2\":"] {
        let error = nowhere.run(&["explain", "--stdin"], text).fails(1);
        assert!(error.contains("help:") && !error.contains("hunter2"), "{error}");
    }
    let long = format!("{{\"code\":\"50113\",\"x\":\"{}\"}}", "y".repeat(1024 * 1024));
    nowhere.run(&["explain", "--stdin"], &long).fails(1);
}

#[test]
fn with_a_credential_its_card_is_asked_for() {
    let vault = Vault::new();
    vault.run(&["explain", "50110", "--credential", "main"], "").fails(5);
    let daemon = vault.serve();
    daemon.run(&["explain", "50110", "--credential", "main"], "").fails(4);
    daemon.unlock();
    let ips = ["--permissions", "read,trade", "--ip", "203.0.113.7", "--ip", "2001:db8::7"];
    daemon.add_credential_with("main", &ips);
    daemon.add_credential_with("loose", &["--permissions", "read,trade", "--region", "eea", "--environment", "live"]);
    let told = |code: &str, name: &str| daemon.run(&["explain", code, "--credential", name], "").ok();
    assert!(told("50110", "main").contains("bound to 2 addresses: 203.0.113.7, 2001:db8::7"));
    let gone = told("50119", "loose");
    assert!(gone.contains("this credential:\n") && gone.contains("its region is eea"), "{gone}");
    assert!(gone.contains("not used it since it was added today") && gone.contains("14 days without use"), "{gone}");
    assert!(told("50120", "main").contains("read, trade"));
    assert!(!told("50102", "main").contains("this credential"), "nothing of a card bears on a clock");
    let json = daemon.run(&["explain", "50101", "--credential", "main", "--json"], "").json();
    assert_eq!(json["credential"].as_array().map(Vec::len), Some(2), "{json}");
    assert!(daemon.run(&["explain", "50110", "--credential", "nobody"], "").fails(1).contains("admin.not_found"));
    daemon.run(&["explain", "50110", "--credential", "main", "--exchange", "other"], "").fails(2);
}

/// Texts in the sources that are codes of commands.
fn codes_of_commands() -> BTreeSet<String> {
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli")];
    let mut found = BTreeSet::new();
    while let Some(directory) = directories.pop() {
        for path in std::fs::read_dir(directory).expect("readable").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).expect("UTF-8");
            let texts = text.split('"').filter(|text| text.starts_with("cli."));
            found.extend(texts.filter(|text| !text.contains(' ')).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_code_of_a_command_is_explained() {
    let own = Errors::parse(built_in(OWN).expect("it comes with the program")).expect("a table");
    let (used, known) = (codes_of_commands(), own.topics.iter().flat_map(|topic| &topic.codes));
    let known: BTreeSet<String> =
        known.map(|listed| listed.code.to_string()).filter(|code| code.starts_with("cli.")).collect();
    assert_eq!(used, known);
}

#[test]
fn a_problem_of_its_own_is_explained_from_the_answer() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read"]);
    let denied = daemon.tcp().sign(&token, "main", "POST", "/api/v5/trade/order", Some("{}"));
    let words = daemon.run(&["explain", "--stdin"], &String::from_utf8(denied.body).unwrap()).ok();
    assert!(words.starts_with("policy.grant (HTTP 403)\n"), "{words}");
}

/// The page that the tables say.
fn page() -> String {
    let mut page = "# What error codes mean\n\n`signvault explain CODE` tells the same at a terminal, and with `--credential NAME` \
                    what of that credential\nbears on it. `signvault explain --stdin` reads an exchange's answer and explains \
                    every code in it. The words are those of\n[config/errors](../config/errors).\n"
        .to_owned();
    for (name, heading) in [(OWN, "signvault's own codes"), ("okx", "OKX")] {
        let errors = Errors::parse(built_in(name).expect("it comes with the program")).expect("a table");
        page.push_str(&format!("\n## {heading}\n"));
        page.extend(errors.topics.iter().map(topic));
    }
    page
}

fn topic(topic: &Topic) -> String {
    let codes: Vec<&str> = topic.codes.iter().map(|listed| &*listed.code).collect();
    let list = |lines: &[Box<str>]| lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
    let said: String = topic.codes.iter().map(said).collect();
    format!(
        "\n### {}\n\n{}\n\n{said}\nWhy:\n\n{}\nWhat to do:\n\n{}",
        codes.join(", "),
        topic.means,
        list(&topic.why),
        list(&topic.help)
    )
}

fn said(listed: &ErrorCode) -> String {
    let statuses: Vec<String> = listed.http.iter().map(u16::to_string).collect();
    let http = if statuses.is_empty() { String::new() } else { format!(" (HTTP {})", statuses.join(" or ")) };
    let message = listed.message.as_ref().map(|message| format!(" {message}")).unwrap_or_default();
    format!("- `{}`{http}{message}\n", listed.code)
}

#[test]
fn the_page_about_errors_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    if std::fs::read_to_string(&path).unwrap_or_default() != page() {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("errors.md");
        std::fs::write(&made, page()).expect("written");
        panic!("docs/errors.md is not what the tables say; copy {} over it", made.display());
    }
}
