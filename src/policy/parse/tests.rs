use super::*;
use crate::policy::arbitrary;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

/// As OKX spells them, or nearly.
fn is_instrument(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (2..=5).contains(&parts.len()) && parts.iter().all(word)
}

fn read(text: &str) -> Result<Policy, PolicyError> {
    parse(text, &is_instrument)
}

fn number(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

#[test]
fn an_empty_file_means_reading_only() {
    assert_eq!(read("").unwrap(), Policy::read_only());
    assert_eq!(read("[limits]\n").unwrap(), Policy::read_only());
}

#[test]
fn grants_and_endpoints_are_read() {
    let policy = read("grants = [\"read\", \"trade\"]\nendpoints = [\"POST /api/v5/trade/order\"]\n").unwrap();
    assert_eq!(policy.grants, BTreeSet::from([Grant::Read, Grant::Trade]));
    assert_eq!(policy.endpoints.unwrap().len(), 1);
}

#[test]
fn an_empty_list_allows_nothing() {
    assert!(read("grants = []").unwrap().grants.is_empty());
    assert_eq!(read("endpoints = []").unwrap().endpoints, Some(BTreeSet::new()));
    let transfer = read("grants = [\"funds\"]\n[transfer]\naddresses = []\nmax_amount = {}").unwrap().transfer.unwrap();
    assert_eq!((transfer.addresses, transfer.max_amount), (Some(BTreeSet::new()), Some(BTreeMap::new())));
}

/// Every section and most keys, as a first policy may look.
const EXAMPLE: &str = r#"
grants = ["read", "trade"]               # default ["read"]; funds, keys, withdraw, session are always explicit
endpoints = ["POST /api/v5/trade/order", "POST /api/v5/trade/batch-orders", "POST /api/v5/trade/cancel-order"]
enforcement = "enforce"                  # or "shadow"
[order]                                  # applies to every order in the body, batch items one by one
instruments = ["BTC-USDT", "ETH-USDT"]   # exact; "*" must be written out
sides = ["buy", "sell"]
types = ["limit", "post_only"]
max_size = { "BTC-USDT" = "0.5" }
max_notional = "20000"                   # quote currency
reduce_only = false
[limits]
requests_per_second = 20
orders_per_day = 5000
notional_per_day = "1000000"
[transfer]
addresses = []
max_amount = {}
"#;

#[test]
fn the_example_means_what_it_says() {
    let policy = read(EXAMPLE).unwrap();
    let expected = Policy {
        grants: BTreeSet::from([Grant::Read, Grant::Trade]),
        endpoints: Some(
            ["order", "batch-orders", "cancel-order"].map(|name| format!("POST /api/v5/trade/{name}")).into(),
        ),
        session_unchecked: false,
        enforcement: Enforcement::Enforce,
        order: Some(OrderRules {
            instruments: Instruments::Only(["BTC-USDT", "ETH-USDT"].map(str::to_owned).into()),
            sides: Some(Side::ALL.into()),
            types: Some(["limit", "post_only"].map(str::to_owned).into()),
            max_size: BTreeMap::from([("BTC-USDT".to_owned(), number("0.5"))]),
            max_notional: Some(number("20000")),
            reduce_only: false,
            contract_value: BTreeMap::new(),
            max_price_deviation: None,
            reference_price: BTreeMap::new(),
            reference_price_max_age_s: None,
        }),
        limits: Limits {
            requests_per_second: NonZeroU32::new(20),
            orders_per_day: Some(5000),
            notional_per_day: Some(number("1000000")),
            ..Limits::default()
        },
        transfer: Some(TransferRules { addresses: Some(BTreeSet::new()), max_amount: Some(BTreeMap::new()) }),
    };
    assert_eq!(policy, expected);
}

#[test]
fn the_other_keys_mean_what_they_say() {
    let text = r#"
        grants = ["trade", "session", "withdraw"]
        session_unchecked = true
        enforcement = "shadow"
        order.instruments = ["*"]
        order.reduce_only = true
        order.max_size = { "BTC-USDT" = 2 }
        order.contract_value = { BTC-USDT-SWAP = { value = "0.01", kind = "linear" }, BTC-USD-SWAP = { value = 100, kind = "inverse" } }
        order.max_price_deviation = "2.5%"
        order.reference_price = { "BTC-USDT" = "60000.5" }
        order.reference_price_max_age = "10m"
        [limits]
        orders_per_minute = "30"
        orders_per_hour = 1_000
        notional_per_hour = 5
        [transfer]
        addresses = ["0xAbC:memo", "18"]
        max_amount = { USDT = "100.50", 1INCH = 7 }
    "#;
    let policy = read(text).unwrap();
    assert!(policy.session_unchecked && policy.enforcement == Enforcement::Shadow);
    let order = policy.order.unwrap();
    assert_eq!((order.instruments, order.sides, order.types), (Instruments::Any, None, None));
    assert!(order.reduce_only && order.max_size["BTC-USDT"] == number("2"));
    let linear = ContractValue { value: number("0.01"), kind: ContractKind::Linear };
    assert_eq!(order.contract_value["BTC-USDT-SWAP"], linear);
    assert_eq!(order.contract_value["BTC-USD-SWAP"].kind, ContractKind::Inverse);
    assert_eq!(order.max_price_deviation, Some(number("0.025")));
    assert_eq!((&order.reference_price["BTC-USDT"], order.reference_price_max_age_s), (&number("60000.5"), Some(600)));
    let limits = policy.limits;
    assert_eq!((limits.orders_per_minute, limits.orders_per_hour), (Some(30), Some(1000)));
    assert_eq!(limits.notional_per_hour, Some(number("5")));
    let transfer = policy.transfer.unwrap();
    assert!(transfer.addresses.unwrap().contains("0xAbC:memo"));
    assert_eq!(transfer.max_amount.unwrap()["USDT"], number("100.5"));
}

#[test]
fn a_reference_price_is_good_for_a_day_when_prices_are_compared_and_for_ever_otherwise() {
    let order = "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\n";
    for (rule, age) in [
        ("", None),
        ("reference_price = { A-B = 1 }\nmax_notional = 1\n", None),
        ("max_price_deviation = \"5%\"\n", Some(86_400)),
        ("max_price_deviation = \"5%\"\nreference_price_max_age = \"7d\"\n", Some(604_800)),
    ] {
        let policy = read(&format!("{order}{rule}")).unwrap();
        assert_eq!(policy.order.unwrap().reference_price_max_age_s, age, "{rule}");
    }
}

/// Files, and how their refusal begins.
const REFUSED: &[(&str, &str)] = &[
    // Not TOML, or not of its form.
    ("grants = [", "line 1, column "),
    ("{}", "line 1, column "),
    ("\u{0}", "line 1, column "),
    ("grants = []\ngrants = []", "line 2, column 1: duplicate key"),
    ("order = 3", "line 1, column 9: `order`: it is a section: [order] once"),
    ("[[limits]]\n", "line 1, column 1: `limits`: it is a section: [limits] once"),
    // Keys that there are not, at every level.
    ("grant = [\"read\"]", "line 1, column 1: unknown key `grant`; there are grants, endpoints, enforcement, "),
    ("[surprise]\n", "line 1, column 2: unknown key `surprise`; there are "),
    ("max_size = {}", "line 1, column 1: unknown key `max_size`; it stands under [order]"),
    ("[order]\ngrants = []", "line 2, column 1: unknown key `grants`; it stands at the head of the file"),
    ("[limits]\n  max_notional = 1", "line 2, column 3: unknown key `max_notional`; it stands under [order]"),
    (
        "[limits]\norders_per_week = 1",
        "line 2, column 1: unknown key `orders_per_week`; there are requests_per_second, ",
    ),
    ("[transfer]\naddress = []", "line 2, column 1: unknown key `address`; there are addresses, max_amount"),
    ("a-key-that-is-far-longer-than-ours = 1", "line 1, column 1: unknown key; there are"),
    ("\"ein schlüssel\" = 1", "line 1, column 1: unknown key; there are"),
    ("zzz = 1\naaa = 1", "line 1, column 1: unknown key `zzz`"),
    // Grants, endpoints, enforcement, sessions.
    ("grants = [\"read\",\n  \"wihdraw\"]", "line 2, column 3: `grants`: no such grant; there are read, trade, "),
    ("grants = 3", "line 1, column 10: `grants`: it is a list of grants"),
    ("grants = [3]", "line 1, column 11: `grants`: it is a list of grants"),
    ("grants = [\"read\", \"read\"]", "line 1, column 19: `grants`: this stands in the list twice"),
    ("endpoints = [\"POST /api/*\"]", "line 1, column 14: `endpoints`: an endpoint is written"),
    ("endpoints = [\"post /api\"]", "line 1, column 14: `endpoints`: an endpoint is written"),
    ("endpoints = [\"GET /a\", \"GET /a\"]", "line 1, column 24: `endpoints`: this stands in the list twice"),
    ("enforcement = \"off\"", "line 1, column 15: `enforcement`: no such enforcement; there are enforce, shadow"),
    ("enforcement = true", "line 1, column 15: `enforcement`: it is \"enforce\" or \"shadow\""),
    ("session_unchecked = \"true\"", "line 1, column 21: `session_unchecked`: it is true or false"),
    ("session_unchecked = true", "line 1, column 1: `session_unchecked`: there are no sessions"),
    ("grants = [\"session\"]\n[limits]", "line 1, column 10: `grants`: \"session\" lets orders pass"),
    (
        "grants = [\"trade\", \"session\"]\nsession_unchecked = false\n[order]\ninstruments = [\"*\"]",
        "line 1, column 10: `grants`: \"session\" lets orders pass",
    ),
    // Rules without their grant.
    ("[order]\ninstruments = [\"*\"]", "line 1, column 2: `order`: there are no orders to judge"),
    ("[limits]\norders_per_day = 1", "line 2, column 1: `limits.orders_per_day`: there are no orders to judge"),
    ("[limits]\nnotional_per_hour = 1", "line 2, column 1: `limits.notional_per_hour`: there are no orders"),
    ("[transfer]\n", "line 1, column 2: `transfer`: nothing may be transferred"),
    ("grants = [\"trade\"]\n[transfer]\naddresses = [\"6\"]", "line 2, column 2: `transfer`: nothing may be"),
    // Transfers.
    ("[transfer]\naddresses = [\"*\"]", "line 2, column 14: `transfer.addresses`: an address is"),
    ("[transfer]\naddresses = [\"a b\"]", "line 2, column 14: `transfer.addresses`: an address is"),
    ("[transfer]\naddresses = [\"\"]", "line 2, column 14: `transfer.addresses`: an address is"),
    (
        "[transfer]\naddresses = [\"6\", \"6\"]",
        "line 2, column 19: `transfer.addresses`: this stands in the list twice",
    ),
    ("[transfer]\naddresses = \"6\"", "line 2, column 13: `transfer.addresses`: it is a list of addresses"),
    ("[transfer]\nmax_amount = { \"*\" = 1 }", "line 2, column 16: `transfer.max_amount`: not a currency"),
    ("[transfer]\nmax_amount = { USDT = 0 }", "line 2, column 23: `transfer.max_amount`: it is a plain number above"),
    (
        "[transfer]\nmax_amount = 5",
        "line 2, column 14: `transfer.max_amount`: it is a table of numbers by currency: { USDT",
    ),
];

/// The same for [order], from its second line on.
const REFUSED_ORDERS: &[(&str, &str)] = &[
    ("", "line 2, column 2: `order.instruments` is missing here; it is a list of instruments: [\"BTC-USDT\"], or"),
    ("instruments = []", "line 3, column 15: `order.instruments`: an empty list allows no order at all"),
    ("instruments = \"*\"", "line 3, column 15: `order.instruments`: it is a list of instruments"),
    ("instruments = [\"BTC-USDT\", \"*\"]", "line 3, column 28: `order.instruments`: \"*\" means any"),
    ("instruments = [\"btc-usdt\"]", "line 3, column 16: `order.instruments`: not an instrument"),
    ("instruments = [\"BTC-*\"]", "line 3, column 16: `order.instruments`: not an instrument"),
    ("instruments = [\"A-B\",\n\"A-B\"]", "line 4, column 1: `order.instruments`: this stands in the list twice"),
    ("ANY\nsides = []", "line 4, column 9: `order.sides`: an empty list allows no order"),
    ("ANY\nsides = [\"Buy\"]", "line 4, column 10: `order.sides`: no such side; there are buy, sell"),
    ("ANY\nsides = [\"buy\", \"buy\"]", "line 4, column 17: `order.sides`: this stands in the list twice"),
    ("ANY\ntypes = []", "line 4, column 9: `order.types`: an empty list allows no order"),
    ("ANY\ntypes = [\"Limit\"]", "line 4, column 10: `order.types`: a type of order is written"),
    ("ANY\ntypes = [\"*\"]", "line 4, column 10: `order.types`: a type of order is written"),
    ("ANY\ntypes = [\"\"]", "line 4, column 10: `order.types`: a type of order is written"),
    ("ANY\nmax_size = { A-B = \"0\" }", "line 4, column 20: `order.max_size`: it is a plain number above zero"),
    ("ANY\nmax_size = { A-B = -1 }", "line 4, column 20: `order.max_size`: it is a plain number above zero"),
    ("ANY\nmax_size = { A-B = \"1e3\" }", "line 4, column 20: `order.max_size`: it is a plain number above zero"),
    ("ANY\nmax_size = { A-B = 0x10 }", "line 4, column 20: `order.max_size`: it is a plain number above zero"),
    ("ANY\nmax_size = { A-B = true }", "line 4, column 20: `order.max_size`: it is a plain number above zero"),
    ("ANY\nmax_size = { A-B = 0.5 }", "line 4, column 20: `order.max_size`: a number with a point is written as text"),
    ("ANY\nmax_size = { A-B = nan }", "line 4, column 20: `order.max_size`: a number with a point is written as text"),
    ("ANY\nmax_size = { a-b = 1 }", "line 4, column 14: `order.max_size`: not an instrument"),
    (
        "ANY\nmax_size = \"0.5\"",
        "line 4, column 12: `order.max_size`: it is a table of numbers by instrument: { \"BTC-USDT\"",
    ),
    (
        "instruments = [\"A-B\"]\nmax_size = { C-B = 1 }",
        "line 4, column 14: `order.max_size`: this instrument is not among",
    ),
    (
        "instruments = [\"A-B\"]\nreference_price = { C-B = 1 }",
        "line 4, column 21: `order.reference_price`: this instrument is not among",
    ),
    (
        "ANY\nreference_price = { A-B = 0 }",
        "line 4, column 27: `order.reference_price`: it is a plain number above zero",
    ),
    ("ANY\nmax_notional = 0", "line 4, column 16: `order.max_notional`: it is a plain number above zero"),
    ("ANY\nmax_notional = 20000.0", "line 4, column 16: `order.max_notional`: a number with a point"),
    ("ANY\nmax_notional = \"20,000\"", "line 4, column 16: `order.max_notional`: it is a plain number"),
    ("ANY\nreduce_only = 1", "line 4, column 15: `order.reduce_only`: it is true or false"),
    ("ANY\ncontract_value = \"0.01\"", "line 4, column 18: `order.contract_value`: it is a table by instrument"),
    ("ANY\ncontract_value = { A-B = 1 }", "line 4, column 26: `order.contract_value`: it is what one contract is"),
    (
        "ANY\ncontract_value = { A-B = { value = 1 } }",
        "line 4, column 20: `order.contract_value.kind` is missing here; it is what one contract is",
    ),
    (
        "ANY\ncontract_value = { A-B = { value = 0, kind = \"linear\" } }",
        "line 4, column 36: `order.contract_value.value`: it is a plain number above zero",
    ),
    (
        "ANY\ncontract_value = { A-B = { value = 1, kind = \"square\" } }",
        "line 4, column 46: `order.contract_value.kind`: no such kind; there are linear, inverse",
    ),
    (
        "ANY\ncontract_value = { A-B = { value = 1, kind = \"linear\", unit = 1 } }",
        "line 4, column 56: unknown key `unit`; there are value, kind",
    ),
    (
        "instruments = [\"A-B\"]\ncontract_value = { C-B = { value = 1, kind = \"linear\" } }",
        "line 4, column 20: `order.contract_value`: this instrument is not among",
    ),
    ("ANY\nmax_price_deviation = \"0%\"", "line 4, column 23: `order.max_price_deviation`: it is a percentage"),
    ("ANY\nmax_price_deviation = \"100%\"", "line 4, column 23: `order.max_price_deviation`: it is a percentage"),
    ("ANY\nmax_price_deviation = \"5\"", "line 4, column 23: `order.max_price_deviation`: it is a percentage"),
    ("ANY\nmax_price_deviation = \"5 %\"", "line 4, column 23: `order.max_price_deviation`: it is a percentage"),
    ("ANY\nmax_price_deviation = 0.05", "line 4, column 23: `order.max_price_deviation`: it is a percentage"),
    (
        "ANY\nmax_price_deviation = \"5%\"\nreference_price_max_age = 10",
        "line 5, column 27: `order.reference_price_max_age`: it is a duration",
    ),
    (
        "ANY\nmax_price_deviation = \"5%\"\nreference_price_max_age = \"0m\"",
        "line 5, column 27: `order.reference_price_max_age`: it is a duration",
    ),
    (
        "ANY\nreference_price_max_age = \"10m\"",
        "line 4, column 1: `order.reference_price_max_age`: no rule asks how old",
    ),
    // What a sell is worth.
    ("ANY\nmax_notional = 1", "line 4, column 1: `order.max_notional`: a sell is worth what the market pays"),
    ("ANY\nsides = [\"sell\"]\nmax_notional = 1", "line 5, column 1: `order.max_notional`: a sell is worth"),
    ("ANY\n[limits]\nnotional_per_day = 1", "line 5, column 1: `limits.notional_per_day`: a sell is worth"),
    ("ANY\nmax_size = {}\n[limits]\nnotional_per_hour = 1", "line 6, column 1: `limits.notional_per_hour`: a sell is"),
];

/// The same for [limits], from its second line on.
const REFUSED_LIMITS: &[(&str, &str)] = &[
    (
        "requests_per_second = 0",
        "line 3, column 23: `limits.requests_per_second`: it is a whole number from 1 to 1000000",
    ),
    ("requests_per_second = 1000001", "line 3, column 23: `limits.requests_per_second`: it is a whole number"),
    ("requests_per_second = 0.5", "line 3, column 23: `limits.requests_per_second`: it is a whole number"),
    ("requests_per_second = \"5/s\"", "line 3, column 23: `limits.requests_per_second`: it is a whole number"),
    (
        "orders_per_minute = -5",
        "line 3, column 21: `limits.orders_per_minute`: it is a whole number from 1 to 10000000",
    ),
    ("orders_per_hour = \"\"", "line 3, column 19: `limits.orders_per_hour`: it is a whole number"),
    ("orders_per_hour = \"+5\"", "line 3, column 19: `limits.orders_per_hour`: it is a whole number"),
    ("orders_per_day = 10000001", "line 3, column 18: `limits.orders_per_day`: it is a whole number"),
    ("orders_per_day = 99999999999999999999999", "line 3, column 18: `limits.orders_per_day`: it is a whole number"),
    ("notional_per_day = \"0.000\"", "line 3, column 20: `limits.notional_per_day`: it is a plain number above zero"),
    ("notional_per_hour = 1.5", "line 3, column 21: `limits.notional_per_hour`: a number with a point"),
    ("orders_per_hour = 11\norders_per_day = 10", "line 3, column 19: `limits.orders_per_hour`: never reached"),
    ("orders_per_day = 10\norders_per_minute = 11", "line 4, column 21: `limits.orders_per_minute`: never reached"),
    ("orders_per_minute = 11\norders_per_hour = 10", "line 3, column 21: `limits.orders_per_minute`: never reached"),
    ("notional_per_day = 1", "line 3, column 1: `limits.notional_per_day`: a sell is worth what the market pays"),
    (
        "notional_per_day = \"1.4\"\nnotional_per_hour = \"1.5\"\n[order]\ninstruments = [\"*\"]\nsides = [\"buy\"]",
        "line 4, column 21: `limits.notional_per_hour`: never reached",
    ),
];

#[test]
fn errors_name_line_and_column() {
    let orders = REFUSED_ORDERS.iter().map(|(text, expected)| {
        (format!("grants = [\"trade\"]\n[order]\n{}\n", text.replace("ANY", "instruments = [\"*\"]")), expected)
    });
    let limits =
        REFUSED_LIMITS.iter().map(|(text, expected)| (format!("grants = [\"trade\"]\n[limits]\n{text}\n"), expected));
    let all = REFUSED.iter().map(|(text, expected)| ((*text).to_owned(), expected)).chain(orders).chain(limits);
    let wrong = all.filter_map(|(text, expected)| match read(&text) {
        Ok(_) => Some(format!("{text:?} was accepted")),
        Err(error) if !error.to_string().starts_with(expected) => Some(format!("{text:?} gave {error}")),
        Err(_) => None,
    });
    assert_eq!(wrong.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn bounds_themselves_are_allowed() {
    for text in [
        "[limits]\nrequests_per_second = 1000000",
        "grants = [\"trade\"]\n[limits]\norders_per_day = 10000000\norders_per_hour = 10000000",
        "grants = [\"session\"]",
        "grants = [\"session\", \"trade\"]\nsession_unchecked = true\n[order]\ninstruments = [\"*\"]",
        "grants = [\"read\"]\n[transfer]\nmax_amount = {}",
        "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\nsides = [\"buy\"]\nmax_notional = 1",
        "grants = [\"trade\"]\n[order]\ninstruments = [\"A-B\"]\ncontract_value = { A-B = { value = 1, kind = \"linear\" } }",
        "grants = [\"trade\"]\n[order]\ninstruments = [\"*\"]\nmax_price_deviation = \"99.999999999999999999%\"",
    ] {
        assert!(read(text).is_ok(), "{text:?} gave {:?}", read(text));
    }
}

#[test]
fn no_refusal_repeats_a_value() {
    const VALUE: &str = "hunter2hunter2";
    for text in [
        format!("grants = [\"{VALUE}\"]"),
        format!("grants = \"{VALUE}\""),
        format!("grants = {VALUE}"),
        format!("enforcement = \"{VALUE}\""),
        format!("endpoints = [\"{VALUE}\"]"),
        format!("[order]\ninstruments = [\"{VALUE}\"]"),
        format!("[order]\ninstruments = [\"*\"]\nmax_size = {{ {VALUE} = 1 }}"),
        format!("[order]\ninstruments = [\"*\"]\nmax_notional = \"{VALUE}\""),
        format!("[limits]\norders_per_day = \"{VALUE}\""),
        format!("[transfer]\naddresses = [\"{VALUE} \"]"),
        format!("\"{VALUE}{VALUE}\" = 1"),
        format!("{VALUE} {VALUE}"),
        format!("a = \"{VALUE}\\q\""),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(!error.contains(VALUE), "{text:?} gave {error}");
    }
}

#[test]
fn a_file_has_a_longest_length() {
    let longest = format!("#{}", "x".repeat(64 * 1024 - 1));
    assert!(read(&longest).is_ok());
    assert_eq!(read(&format!("{longest}x")).unwrap_err().to_string(), "the policy is longer than 65536 bytes");
}

#[test]
fn what_is_nested_without_end_is_refused_and_ends_nothing() {
    for (open, close) in [("[", "]"), ("{ a = ", "}"), ("[{ a = ", "}]")] {
        let deep = 60_000 / (open.len() + close.len());
        assert!(read(&format!("grants = {}{}", open.repeat(deep), close.repeat(deep))).is_err());
        assert!(read(&format!("grants = {}", open.repeat(deep))).is_err());
    }
    assert!(read(&format!("a{} = 1", ".a".repeat(30_000))).is_err());
    assert!(read(&format!("[a{}]", ".a".repeat(30_000))).is_err());
    assert!(read(&format!("[[a{}]]", ".a".repeat(30_000))).is_err());
}

#[test]
fn whoever_stored_a_file_may_trust_its_instruments() {
    let text = "grants = [\"trade\"]\n[order]\ninstruments = [\"any name\"]";
    assert!(parse(text, &|_| true).is_ok() && parse(text, &|_| false).is_err());
}

/// Pieces of policies, put together in any order.
const PIECES: [&str; 34] = [
    "grants",
    "endpoints",
    "order",
    "limits",
    "transfer",
    "instruments",
    "max_size",
    "max_amount",
    "contract_value",
    "max_price_deviation",
    "reference_price_max_age",
    "orders_per_day",
    " = ",
    "[",
    "]",
    "[[",
    "{",
    "}",
    ".",
    ",",
    "\n",
    "\"",
    "'",
    "\"*\"",
    "\"trade\"",
    "\"BTC-USDT\"",
    "\"5%\"",
    "\"10m\"",
    "1",
    "-",
    "0.5",
    "true",
    "#",
    "é",
];

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        prop_assert_eq!(read(&text), read(&text));
    }

    #[test]
    fn no_mixture_of_its_own_words_makes_it_panic(picks in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = picks.into_iter().map(|pick| PIECES[pick]).collect();
        prop_assert_eq!(read(&text), read(&text));
    }

    /// Whatever breaks in a good file breaks with a place, and never gives back what was cut away.
    #[test]
    fn a_file_cut_anywhere_is_refused_or_says_less(cut in 0..EXAMPLE.len()) {
        if let Ok(policy) = EXAMPLE.get(..cut).map_or(Err(PolicyError::TooLong), read) {
            prop_assert!(policy.grants.is_subset(&read(EXAMPLE).unwrap().grants));
        }
    }

    #[test]
    fn what_is_written_down_is_read_back_the_same(policy in arbitrary::consistent()) {
        prop_assert_eq!(read(&arbitrary::written(&policy)), Ok(policy));
    }

    /// A contradiction is refused; it is never read as another policy.
    #[test]
    fn a_policy_is_read_as_it_is_or_not_at_all(policy in arbitrary::policy()) {
        if let Ok(found) = read(&arbitrary::written(&policy)) {
            // The default of the age stands where a deviation is written without one.
            let mut policy = policy;
            if let Some(rules) = policy.order.as_mut().filter(|rules| rules.max_price_deviation.is_some()) {
                rules.reference_price_max_age_s.get_or_insert(DEFAULT_REFERENCE_MAX_AGE_S);
            }
            prop_assert_eq!(found, policy);
        }
    }
}
