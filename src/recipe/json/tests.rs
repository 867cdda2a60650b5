//! The reader against RFC 8259, against what it refuses beyond it, and against another parser.

use super::*;
use proptest::prelude::*;

fn flaw(text: &str) -> Option<Flaw> {
    Document::parse(text).err().map(|error| error.flaw)
}

#[test]
fn what_clients_send_is_read() {
    for text in [
        "{}",
        "[]",
        "{\"a\": 1, \"b\": [null, true, false]}",
        "{\n\t\"a\" :\r 1 }",
        "[ ]",
        "[{\"instId\":\"BTC-USDT\"},{\"instId\":\"BTC-USDT\"}]",
        "{\"a\":{\"a\":{\"a\":1}}}",
        "\"A,B\"",
        "{\"px\":-0,\"q\":1.50e+3,\"r\":0.1E-2,\"s\":1e400}",
        "{\"\":1,\" \":2}",
        "{\"t\":\"\\u0000\\ud83d\\ude00\\/\"}",
        "{\"Ü\":\"日本\u{7f}\"}",
    ] {
        assert_eq!(flaw(text), None, "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "[01]",
        "[+1]",
        "[.5]",
        "[5.]",
        "[1e]",
        "[0x10]",
        "[NaN]",
        "[Infinity]",
        "[-]",
        "[--1]",
        "[tru]",
        "[True]",
        "[\"a]",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "[\"\\u12g4\"]",
        "[\"\\u+123\"]",
        "[1 2]",
        "{\"a\" 1}",
        "-algo{}",
        "[1}",
        "{\"a\":1]",
        "[/* */]",
        "[\"\\ud83d\\u12\"]",
        "\u{85}[]",
        "[\u{a0}]",
    ] {
        assert_eq!(flaw(text), Some(Flaw::Grammar), "{text}");
    }
}

#[test]
fn nothing_may_stand_around_the_value() {
    for text in [" {}", "{} ", "{}\n", "\u{feff}{}", "{}\u{feff}", "{}{}", "{},", "[]0", "{}\0", "12a", "\"a\"b"] {
        assert_eq!(flaw(text), Some(Flaw::Outside), "{text}");
    }
}

#[test]
fn a_name_stands_once_however_it_is_written() {
    for text in [
        r#"{"sz":"0.01","sz":"99"}"#,
        r#"{"sz":"0.01","s\u007a":"99"}"#,
        r#"{"s\u007A":1,"s\u007a":2}"#,
        r#"[{"a":{"b":1,"c":2,"b":1}}]"#,
        r#"{"😀":1,"\ud83d\ude00":2}"#,
        r#"{"a/":1,"a\/":2}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(flaw(text), Some(Flaw::Repeated), "{text}");
    }
    let many: Vec<String> = (0..5000).map(|n| format!("\"n{}\":1", n % 4999)).collect();
    assert_eq!(flaw(&format!("{{{}}}", many.join(","))), Some(Flaw::Repeated));
    assert_eq!(flaw(&format!("{{{}}}", many[1..].join(","))), None);
}

#[test]
fn a_name_hides_no_control_character() {
    assert_eq!(flaw(r#"{"sz\u0000":"9"}"#), Some(Flaw::Name));
    assert_eq!(flaw(r#"{"s\nz":"9"}"#), Some(Flaw::Name));
    assert_eq!(flaw("{\"sz\":\"9\\n\"}"), None);
}

#[test]
fn surrogates_come_in_pairs() {
    for text in [r#"["\ud800"]"#, r#"["\ud800x"]"#, r#"["\udc00"]"#, r#"["\ud800\ud800"]"#, r#"["\ud800\n"]"#] {
        assert_eq!(flaw(text), Some(Flaw::Surrogate), "{text}");
    }
}

#[test]
fn raw_control_characters_are_refused() {
    for text in ["[\"\n\"]", "[\"\0\"]", "[\"\u{1f}\"]", "{\"a\tb\":1}"] {
        assert_eq!(flaw(text), Some(Flaw::Control), "{text}");
    }
}

#[test]
fn thirty_two_levels_and_no_more() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(flaw(&nested(32)), None);
    assert_eq!(flaw(&nested(33)), Some(Flaw::Depth));
    assert_eq!(flaw(&"[".repeat(65536)), Some(Flaw::Depth));
    assert_eq!(flaw(&format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33))), Some(Flaw::Depth));
}

#[test]
fn values_are_found_with_their_exact_text() {
    let document = Document::parse(r#"[{"sz": 0.10, "px":"1\u002e5","l":[1,[2],{}]},{"sz":null}]"#).unwrap();
    let orders: Vec<_> = document.root().items().collect();
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0].member("sz").unwrap().raw(), "0.10");
    assert_eq!(orders[0].member("px").unwrap().raw(), r#""1\u002e5""#);
    assert_eq!(orders[0].member("px").unwrap().text().unwrap(), "1.5");
    assert_eq!(orders[0].member("l").unwrap().items().map(Value::raw).collect::<Vec<_>>(), ["1", "[2]", "{}"]);
    assert_eq!(orders[1].member("sz").unwrap().kind(), Kind::Null);
    assert!(orders[1].member("px").is_none());
    assert_eq!(document.root().members().count(), 0);
    assert_eq!(orders[0].items().count(), 0);
}

/// The same value as another parser would hold it.
fn converted(value: Value<'_, '_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => value.members().map(|(name, value)| (name.into_owned(), converted(value))).collect(),
        Kind::Array => value.items().map(converted).collect(),
        Kind::Text => serde_json::Value::String(value.text().unwrap().into_owned()),
        _ => serde_json::from_str(value.raw()).unwrap(),
    }
}

/// What this reader accepts, serde_json accepts with the same meaning, numbers apart that no f64 can hold.
fn agrees_with_serde_json(text: &str) {
    let Ok(document) = Document::parse(text) else { return };
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => assert_eq!(converted(document.root()), value, "{text}"),
        Err(error) => assert!(error.to_string().starts_with("number out of range"), "{text}: {error}"),
    }
}

const SEEDS: [&str; 4] = [
    r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.01"}"#,
    r#"[{"a": 1.5e3, "b": [true, false, null, -0]}, {"a": "\u00e9\ud83d\ude00\n\\"}]"#,
    r#"{"a":{"a":{"b":[[],[{}],""]}},"A":"","é":"日"}"#,
    "{}",
];

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\[\\]{}:,\"\\\\ ]",
        "[-+.eE0-9]",
        Just("\"a\":1,".to_owned()),
        Just("\\u0061".to_owned()),
        Just("\\ud83d".to_owned()),
        Just("\\ude00".to_owned()),
        any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #[test]
    fn mutated_bodies_are_refused_or_mean_the_same_to_another_parser(
        seed in 0..SEEDS.len(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0..4usize, fragment()), 0..4),
    ) {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        for (place, cut, insert) in edits {
            let at = place.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        agrees_with_serde_json(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_text_is_refused_or_means_the_same_to_another_parser(text in "\\PC*|[\\[\\]{}:,\"\\\\0-9eE.ntfu ]{0,40}") {
        agrees_with_serde_json(&text);
    }

    #[test]
    fn what_another_parser_writes_is_read_back_whole(names in proptest::collection::hash_set("[^\\p{Cc}]*", 0..30)) {
        let object: serde_json::Value = names.into_iter().map(|name| (name.clone(), serde_json::Value::String(name))).collect();
        let text = object.to_string();
        prop_assert_eq!(converted(Document::parse(&text).unwrap().root()), object);
    }
}
