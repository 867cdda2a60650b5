//! The recipe that comes along, another exchange as nothing but data, and recipes that are refused.

use super::*;
use crate::recipe::{built_in, built_in_names, vectors};
use crate::types::ask::{Request, Wanted};
use crate::types::endpoint::Grant;
use crate::types::facts::{Fact, Market, Price, Side, Subject, Unit};

const OKX: &str = include_str!("../../../config/exchanges/okx.toml");

/// An exchange that hashes the body, marks the parts of its text, encodes in hex and has no passphrase.
const GATE: &str = r#"
name = "gate"
title = "Gate"
default_region = "global"
[credential]
parts = [{ name = "api_key", secret = false }, { name = "secret", secret = true }]
permissions = ["read", "trade"]
[signature]
mac = "hmac-sha512"
encoding = "hex"
body_digest = "sha512"
[request]
time = "s"
prehash = "{method}\n{path}\n{query}\n{body_digest}\n{time}"
expires_after_s = 60
query_methods = ["GET", "DELETE", "POST"]
body_methods = ["POST"]
headers = [
    { name = "KEY", value = "{api_key}" },
    { name = "Timestamp", value = "{time}" },
    { name = "SIGN", value = "{signature}" },
]
[regions.global.live]
rest = "https://api.gateio.ws"
[[endpoints]]
grant = "funds"
permission = "trade"
list = [{ ask = "POST /api/v4/account/debit_fee" }]
"#;

const GATE_VECTOR: &str = r#"{"id": "gate-003", "exchange": "gate", "credential": {"apiKey": "dZgfSeFx5IrCbWt7fGMqCxbL49aPhQCY", "secret": "e4zfUPtOxrqQxUi8toLC0JgGT949czziVaQaVOsbyz0cpB8glU2Amr3PWz25txHp"}, "clock_ms": 1789012345678, "signed": {"url": "https://api.gateio.ws/api/v4/account/debit_fee", "method": "POST", "headers": {"KEY": "dZgfSeFx5IrCbWt7fGMqCxbL49aPhQCY", "Timestamp": "1789012345", "SIGN": "7fe0124fea02999f14d6de78208ecf721346dbb4340c15e112f03c21f082174dc03e5161f5ebe09e6db0887f360145290a26f8c7f4633b86212d99e0aa6e2ff3"}, "body": "{\"currency\":\"USDT\",\"amount\":\"10\",\"address\":\"TXtvfb7cdrn6VX9H49mgio8bUxZ3DGfvYF\"}"}}"#;

#[test]
fn every_recipe_that_comes_along_is_one() {
    assert_eq!(built_in_names().collect::<Vec<_>>(), ["okx"]);
    for name in built_in_names() {
        let text = built_in(name).unwrap();
        let recipe = Recipe::parse(text).unwrap();
        assert_eq!(recipe.name(), name);
        let expected = signature::digest(DigestAlgorithm::Sha256, &[text.as_bytes()]);
        assert_eq!(recipe.digest(), data_encoding::HEXLOWER.encode(expected.as_bytes()));
    }
    assert_eq!(built_in("mtgox"), None);
}

#[test]
fn okx_is_listed_whole() {
    let recipe = Recipe::parse(OKX).unwrap();
    let endpoints = recipe.endpoints();
    let count = |grant| endpoints.iter().filter(|row| row.endpoint.grant == grant).count();
    let counts = Grant::ALL.map(count);
    assert_eq!(counts, [312, 19, 20, 64, 44, 19, 3, 0]);
    assert_eq!(endpoints.iter().filter(|row| row.permission.is_none()).count(), 75);
    let effect = |effect| endpoints.iter().filter(|row| row.endpoint.effect == effect).count();
    assert_eq!([Effect::Place, Effect::Amend, Effect::Cancel, Effect::Close].map(effect), [7, 4, 16, 1]);
    assert_eq!(endpoints.iter().filter(|row| row.bare_string_body).count(), 2);
    let batches = endpoints.iter().filter_map(|row| row.form.as_ref()?.batch);
    assert_eq!(batches.collect::<Vec<_>>(), [20, 20]);
    assert_eq!(endpoints.iter().filter(|row| row.form.is_some()).count(), 13);
    let sorted =
        |a: &&Listed, b: &&Listed| (a.endpoint.grant, &a.endpoint.path) <= (b.endpoint.grant, &b.endpoint.path);
    assert!(endpoints.is_sorted_by(sorted));
    let withdrawal = recipe.endpoint(Method::Post, "/api/v5/asset/withdrawal").unwrap();
    assert_eq!(withdrawal.endpoint.grant, Grant::Withdraw);
    assert_eq!(withdrawal.danger.as_deref(), Some("funds out"));
}

#[test]
fn okx_binds_everything_but_leaves_the_cut_to_the_grammar() {
    let binding = Recipe::parse(OKX).unwrap().binding();
    assert_eq!((binding.unbound(), binding.split), (None, Split::ByGrammar));
}

#[test]
fn okx_names_its_regions_and_what_a_key_consists_of() {
    let recipe = Recipe::parse(OKX).unwrap();
    let names: Vec<_> = recipe.regions().iter().map(|region| &*region.name).collect();
    assert_eq!((names, recipe.default_region()), (vec!["eea", "global", "us"], "global"));
    let parts: Vec<_> = recipe.credential().parts.iter().map(|part| (part.name.as_str(), part.secret)).collect();
    assert_eq!(parts, [("api_key", false), ("secret", true), ("passphrase", false)]);
    assert_eq!(recipe.credential().max_ips, Some(20));
    assert_eq!(recipe.credential().unbound_idle_days, Some(14));
    assert!(recipe.is_called("okx") && recipe.is_called("myokx") && !recipe.is_called("OKX"));
}

#[test]
fn another_exchange_is_only_a_file() {
    let gate = Recipe::parse(GATE).unwrap();
    assert_eq!((gate.name(), gate.title()), ("gate", "Gate"));
    assert_eq!(gate.binding().split, Split::Delimited);
    let report = vectors::check(&gate, GATE_VECTOR).unwrap();
    assert_eq!((report.passed, report.failures), (1, Vec::new()));
}

fn refusal(from: &str, to: &str) -> (usize, RecipeFlaw) {
    assert_eq!(GATE.matches(from).count(), 1, "{from}");
    let error = Recipe::parse(&GATE.replace(from, to)).unwrap_err();
    (error.line, error.flaw)
}

#[test]
fn a_signature_that_does_not_hold_a_request_fast_is_refused() {
    for (from, to, part) in [
        ("{method}\\n", "", "method"),
        ("{path}\\n", "", "path"),
        ("{query}\\n", "", "query"),
        ("{body_digest}\\n", "", "body"),
        ("\\n{time}\"", "\"", "time"),
    ] {
        assert_eq!(refusal(from, to), (14, RecipeFlaw::Unbound(part)));
    }
    assert_eq!(refusal("{path}\\n{query}", "{path}{query}"), (14, RecipeFlaw::Ambiguous));
    assert_eq!(refusal("{path}\\n{query}\\n{body_digest}", "{body}\\n{target}"), (14, RecipeFlaw::Ambiguous));
}

#[test]
fn fields_stand_only_where_they_have_a_value() {
    assert_eq!(refusal("\"{api_key}\"", "\"{secret}\"").1, TemplateError::Unknown("secret".into()).into());
    assert_eq!(refusal("\"{api_key}\"", "\"{passphrase}\""), (19, RecipeFlaw::Field(Field::Passphrase)));
    assert_eq!(refusal("\"{api_key}\"", "\"{body}\""), (19, RecipeFlaw::Field(Field::Body)));
    assert_eq!(refusal("{method}\\n", "{method}{signature}\\n"), (14, RecipeFlaw::Field(Field::Signature)));
    assert_eq!(refusal("body_digest = \"sha512\"\n", "").1, RecipeFlaw::Field(Field::BodyDigest));
    assert_eq!(refusal("\"{signature}\"", "\"1\""), (18, RecipeFlaw::Unplaced));
    assert_eq!(refusal("\"{signature}\"", "\"{signature}\", method = \"POST\""), (18, RecipeFlaw::Unplaced));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    assert_eq!(refusal("\"KEY\"", "\"KEY:\""), (19, RecipeFlaw::Header));
    assert_eq!(refusal("\"{api_key}\"", "\"a\\r\\nb\""), (19, RecipeFlaw::Header));
    assert_eq!(refusal("\"secret\", secret = true", "\"secret\", secret = false"), (6, RecipeFlaw::Parts));
    assert_eq!(refusal("{ name = \"api_key\", secret = false }, ", ""), (6, RecipeFlaw::Parts));
    assert_eq!(refusal("= \"global\"", "= \"mars\""), (4, RecipeFlaw::Region));
    assert_eq!(refusal("https://api", "http://api"), (24, RecipeFlaw::Address));
    assert_eq!(refusal("gateio.ws", "gateio.ws/"), (24, RecipeFlaw::Address));
    assert_eq!(refusal("expires_after_s = 60", "expires_after_s = 0"), (15, RecipeFlaw::Expiry));
    assert_eq!(refusal("permission = \"trade\"", "permission = \"all\""), (27, RecipeFlaw::Permission));
    assert_eq!(refusal("POST /api", "Post /api"), (28, RecipeFlaw::Ask));
    assert_eq!(refusal("debit_fee\"", "debit_fee?a=1\""), (28, RecipeFlaw::Ask));
    assert_eq!(refusal("debit_fee\"", "*\""), (28, RecipeFlaw::Ask));
    let twice = "debit_fee\" }, { ask = \"POST /api/v4/account/debit_fee\"";
    assert_eq!(refusal("debit_fee\"", twice).1, RecipeFlaw::Repeated("POST /api/v4/account/debit_fee".into()));
    let bare = "bare_string_body = [\"GET /none\"]\n[regions.global.live]";
    assert_eq!(refusal("[regions.global.live]", bare), (23, RecipeFlaw::Unlisted));
}

#[test]
fn unknown_and_missing_keys_are_refused() {
    for (from, to, line, message) in [
        ("title = \"Gate\"", "titel = \"Gate\"", 3, "unknown field `titel`"),
        ("encoding = \"hex\"", "encoding = \"rot13\"", 10, "unknown variant `rot13`"),
        ("list = [{ ask", "list = [{ verb = \"x\", ask", 28, "unknown field `verb`"),
        ("grant = \"funds\"", "grant = \"all\"", 26, "unknown variant `all`"),
        ("time = \"s\"\n", "", 12, "missing field `time`"),
    ] {
        let (at, flaw) = refusal(from, to);
        let text = flaw.to_string();
        assert!(at == line && text.starts_with(message), "line {at}: {text}");
    }
}

#[test]
fn the_session_is_no_endpoint_and_has_a_time() {
    let listed = OKX.replacen("GET /api/v5/account/balance\"", "GET /users/self/verify\"", 1);
    let flaw = |text: &str| Recipe::parse(text).unwrap_err().flaw;
    assert_eq!(flaw(&listed), RecipeFlaw::Repeated("GET /users/self/verify".into()));
    let session = "prehash = \"{time}{method}{target}\"";
    assert_eq!(flaw(&OKX.replacen(session, "prehash = \"{method}{target}\"", 1)), RecipeFlaw::Unbound("time"));
    assert_eq!(flaw(&OKX.replacen("sign = \"{signature}\"", "sign = \"\"", 1)), RecipeFlaw::Unplaced);
}

/// What an exchange of other habits could say of its orders and transfers.
const FACTS: &str = r#"
[instruments]
separator = "_"
characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
pair_words = 2
contract_words = 3
[facts.place.order]
instrument = "currency_pair"
side = { member = "side", buy = "bid", sell = "ask" }
type = { member = "type", limit = ["limit"], market = ["market"] }
size = "amount"
unit = { member = "unit", base = "coins", quote = "money", mode = "account", modes = ["spot"], buy = "base", sell = "base" }
prices = ["price"]
open_prices = { members = ["later"], market = "mkt" }
triggers = ["when"]
client_id = "text"
reduce_only = { member = "reduce", position = "which", net = "one", long = "up", short = "down" }
uncounted = ["iceberg"]
[facts.amend.order]
instrument = "currency_pair"
size = "amount"
[facts.close.all]
instrument = "contract"
[facts.cancel.countdown]
member = "timeout"
at_least = 5
[facts.transfer.out]
currency = "currency"
amount = "amount"
destination = ["address"]
[[endpoints]]
grant = "trade"
list = [
    { ask = "POST /orders", effect = "place", facts = "order" },
    { ask = "POST /batch", effect = "place", facts = "order", batch = 5 },
    { ask = "PUT /orders", effect = "amend", facts = "order" },
    { ask = "POST /close", effect = "close", facts = "all" },
    { ask = "POST /countdown", effect = "cancel", facts = "countdown" },
    { ask = "POST /out", facts = "out" },
]
"#;

fn gate_with_facts() -> String {
    [&GATE.replace("body_methods = [\"POST\"]", "body_methods = [\"POST\", \"PUT\"]"), FACTS].concat()
}

/// The flaw of a recipe with facts of which one line was changed, and the column and text of its place.
fn facts_refusal(from: &str, to: &str) -> (RecipeFlaw, String) {
    let text = gate_with_facts();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let text = text.replace(from, to);
    let error = Recipe::parse(&text).unwrap_err();
    let line = text.lines().nth(error.line - 1).unwrap();
    (error.flaw, line.chars().skip(error.column - 1).collect())
}

#[test]
fn another_exchange_says_its_orders_in_other_words() {
    let gate = Recipe::parse(&gate_with_facts()).unwrap();
    let body = r#"[{"currency_pair":"BTC_USD","side":"ask","type":"market","amount":"2","later":"mkt","which":"up"}]"#;
    let request = Request { method: Method::Post, path: "/batch".into(), body: Some(body.into()) };
    let wanted = Wanted::Request(request);
    let Subject::Orders(orders) = gate.read(&wanted).unwrap().facts.subject else { panic!("orders") };
    assert_eq!((orders[0].market, &orders[0].side), (Market::Spot, &Fact::Is(Side::Sell)));
    assert_eq!(orders[0].prices, [Fact::Is(Price::Market), Fact::Is(Price::Market)]);
    assert_eq!((&orders[0].unit, &orders[0].reduce_only), (&Fact::Is(Unit::Base), &Fact::Absent));
    assert!(gate.is_instrument("BTC_USD_PERP") && !gate.is_instrument("BTC-USD"));
    let silent = Recipe::parse(GATE).unwrap();
    assert!(silent.is_instrument("anything at all"));
}

#[test]
fn facts_that_fit_no_endpoint_are_refused_with_their_place() {
    for (from, to, flaw, at) in [
        ("\"place\", facts = \"order\" }", "\"place\", facts = \"all\" }", RecipeFlaw::Facts, "\"all\" }"),
        ("\"amend\", facts = \"order\"", "\"close\", facts = \"order\"", RecipeFlaw::Facts, "\"order\" }"),
        ("effect = \"close\", facts", "facts", RecipeFlaw::Facts, "\"all\" },"),
        ("POST /out\", facts", "POST /out\", effect = \"place\", facts", RecipeFlaw::Facts, "\"out\" },"),
        (", facts = \"all\"", "", RecipeFlaw::Unused, "[facts.close.all]"),
        (", facts = \"out\"", "", RecipeFlaw::Unused, "[facts.transfer.out]"),
        ("PUT /orders", "GET /orders", RecipeFlaw::Bodiless, "\"order\" },"),
        ("batch = 5", "batch = 0", RecipeFlaw::Batch, "0 },"),
        ("batch = 5", "batch = 101", RecipeFlaw::Batch, "101 },"),
        ("batch = 5", "batch = -1", RecipeFlaw::Batch, "-1 },"),
        ("facts = \"out\"", "facts = \"out\", batch = 5", RecipeFlaw::Batch, "5 },"),
        ("facts = \"countdown\"", "facts = \"countdown\", batch = 5", RecipeFlaw::Batch, "5 },"),
        (
            "{ ask = \"POST /batch\"",
            "{ ask = \"POST /x\", batch = 2 }, { ask = \"POST /batch\"",
            RecipeFlaw::Batch,
            "2 }, ",
        ),
    ] {
        let (found, place) = facts_refusal(from, to);
        assert_eq!(found, flaw, "{from} -> {to}");
        assert!(place.starts_with(at), "{from} -> {to}: {place}");
    }
}

#[test]
fn a_member_or_a_word_means_one_thing() {
    for (from, to, twice) in [
        ("\"price\"]", "\"amount\"]", "amount"),
        ("\"price\"]", "\"price\", \"price\"]", "price"),
        ("client_id = \"text\"", "client_id = \"side\"", "side"),
        ("\"reduce\"", "\"which\"", "which"),
        ("\"iceberg\"", "\"when\"", "when"),
        ("\"later\"", "\"price\"", "price"),
        ("sell = \"ask\"", "sell = \"bid\"", "bid"),
        ("[\"market\"]", "[\"limit\"]", "limit"),
        ("quote = \"money\"", "quote = \"coins\"", "coins"),
        ("modes = [\"spot\"]", "modes = [\"spot\", \"spot\"]", "spot"),
        ("short = \"down\"", "short = \"one\"", "one"),
        ("destination = [\"address\"]", "destination = [\"currency\"]", "currency"),
    ] {
        assert_eq!(facts_refusal(from, to).0, RecipeFlaw::Repeated(twice.into()), "{from} -> {to}");
    }
    for (from, to) in [
        ("\"price\"]", "\"\"]"),
        ("\"price\"]", "\"prix d’achat\"]"),
        ("\"bid\"", "\"\""),
        ("[\"limit\"]", "[\"\\u0007\"]"),
        ("\"mkt\"", "\"\""),
        ("\"mkt\"", "\"0\""),
        ("\"timeout\"", "\"\""),
    ] {
        assert_eq!(facts_refusal(from, to).0, RecipeFlaw::Word, "{from} -> {to}");
    }
}

#[test]
fn every_destination_has_its_kinds_of_transfers() {
    let with = |kind: &str| {
        let to = format!("destination = [\"address\"]\nkind = {{ {kind} }}");
        Recipe::parse(&gate_with_facts().replace("destination = [\"address\"]", &to)).map_err(|error| error.flaw)
    };
    assert!(with(r#"member = "kind", meant = [["a", "b"]], default = "a""#).is_ok());
    for (kind, flaw) in [
        (r#"member = "kind", meant = [], default = "a""#, RecipeFlaw::Kinds),
        (r#"member = "kind", meant = [["a"], ["b"]], default = "a""#, RecipeFlaw::Kinds),
        (r#"member = "kind", meant = [["a", "a"]], default = "a""#, RecipeFlaw::Repeated("a".into())),
        (r#"member = "address", meant = [["a"]], default = "a""#, RecipeFlaw::Repeated("address".into())),
        (r#"member = "kind", meant = [["a"]], default = """#, RecipeFlaw::Word),
    ] {
        assert_eq!(with(kind).unwrap_err(), flaw, "{kind}");
    }
}

#[test]
fn a_shape_has_at_most_thirty_two_members_and_a_batch_a_hundred_items() {
    let members = |count: usize| {
        // Twelve are there already.
        let names: Vec<_> = (12..count).map(|number| format!("\"m{number}\"")).collect();
        gate_with_facts().replace("[\"iceberg\"]", &format!("[{}]", names.join(", ")))
    };
    assert!(Recipe::parse(&members(32)).is_ok());
    assert_eq!(Recipe::parse(&members(33)).unwrap_err().flaw, RecipeFlaw::Crowded);
    for items in [1, 100] {
        assert!(Recipe::parse(&gate_with_facts().replace("batch = 5", &format!("batch = {items}"))).is_ok());
    }
}

#[test]
fn orders_need_to_know_how_instruments_are_named() {
    let without = gate_with_facts().replace(&FACTS[..FACTS.find("[facts.place").unwrap()], "\n");
    assert_eq!(Recipe::parse(&without).unwrap_err().flaw, RecipeFlaw::Uninstrumented);
    for (from, to) in [
        ("separator = \"_\"", "separator = \"A\""),
        ("separator = \"_\"", "separator = \" \""),
        ("separator = \"_\"", "separator = \"–\""),
        ("characters = \"", "characters = \"é"),
        ("characters = \"", "characters = \"a b"),
        ("characters = \"ABCDEFGHIJKLMNOPQRSTUVWXYZ\"", "characters = \"\""),
        ("pair_words = 2", "pair_words = 1"),
        ("contract_words = 3", "contract_words = 2"),
    ] {
        let (flaw, place) = facts_refusal(from, to);
        assert_eq!(flaw, RecipeFlaw::Instruments, "{from} -> {to}");
        assert!(place.starts_with("[instruments]"), "{place}");
    }
}

#[test]
fn facts_have_no_keys_of_other_facts() {
    for (from, to, message) in [
        ("at_least = 5", "at_least = 5\nsize = \"sz\"", "unknown field `size`"),
        ("at_least = 5", "at_least = -5", "invalid value"),
        ("at_least = 5\n", "", "missing field `at_least`"),
        ("[facts.close.all]", "[facts.close.all]\nsize = \"sz\"", "unknown field `size`"),
        ("[facts.cancel.countdown]", "[facts.disarm.countdown]", "unknown field `disarm`"),
        ("sell = \"base\"", "sell = \"coins\"", "unknown variant `coins`"),
        ("client_id = \"text\"\n", "", "missing field `client_id`"),
    ] {
        let flaw = facts_refusal(from, to).0.to_string();
        assert!(flaw.starts_with(message), "{from} -> {to}: {flaw}");
    }
}
