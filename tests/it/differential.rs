//! Requests that the recipe accepts mean the same to other programs: Python, Node and serde_json read them too, whole
//! and member by member. The requests are orders of real clients with bytes changed at random, always the same ones.
//!
//! ```sh
//! make differential
//! ```

use serde_json::{Value, json};
use signvault::recipe::json::{Document, Kind, Value as Ours};
use signvault::recipe::{Recipe, built_in};
use signvault::types::ask::{Method, Request, Wanted};
use signvault::types::decimal::Decimal;
use signvault::types::facts::{Fact, Order, Price, Subject};
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many accepted requests are compared.
const CASES: usize = 20_000;

/// How many may be tried for that.
const MOST_TRIED: usize = 2_000_000;

/// The members whose facts are compared.
const NAMES: [&str; 6] = ["instId", "side", "ordType", "sz", "px", "clOrdId"];

/// Requests as real clients send them.
const SEEDS: [(Method, &str, &str); 8] = [
    (
        Method::Post,
        "/api/v5/trade/order",
        r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"2.15","sz":"2","clOrdId":"b15"}"#,
    ),
    (
        Method::Post,
        "/api/v5/trade/order",
        r#"{"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "2", "ccy": "", "clOrdId": "", "px": "", "reduceOnly": "", "attachAlgoOrds": null}"#,
    ),
    (
        Method::Post,
        "/api/v5/trade/order",
        r#"{"reduceOnly":true,"nothing":null,"sz":5,"px":0.001,"big":12345678901234567,"e":1.5e+21,"instId":"é\u00e9🚀\ud83d\ude80","clOrdId":"t1\/\n"}"#,
    ),
    (
        Method::Post,
        "/api/v5/trade/batch-orders",
        r#"[{"instId":"BTC-USDT-SWAP","tdMode":"cross","side":"sell","ordType":"market","sz":"1","clOrdId":"z9","attachAlgoOrds":[{"tpOrdPx":"-1","nested":{"deep":[1,2,{"k":[]}]}}]},{"instId":"ETH-USDT","sz":2}]"#,
    ),
    (
        Method::Post,
        "/api/v5/trade/order",
        r#"{"instId":"A-B","__proto__":{"sz":"9"},"constructor":1,"2":"b","1":"a","sz":"1"}"#,
    ),
    (Method::Post, "/api/v5/asset/transfer", r#"{"ccy":"USDT","amt":"1.5","from":"6","to":18,"subAcct":""}"#),
    (Method::Get, "/api/v5/account/balance?ccy=BTC,ETH&x_1=%C3%9Cn%20a~-.", ""),
    (Method::Get, "/api/v5/trade/order?instId=BTC-USDT&clOrdId=%26%3D%2B&ordId=", ""),
];

/// What is put into a request: single bytes, and what parsers are known to differ on.
const FRAGMENTS: [&str; 36] = [
    "0",
    "1",
    "-",
    ".",
    "e",
    "E+2",
    "\"",
    "\\",
    "/",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    " ",
    "\t",
    "\u{feff}",
    "\0",
    "é",
    "\\u0061",
    "\\u0000",
    "\\ud83d",
    "\\ude00",
    "null",
    "true",
    "NaN",
    "\"sz\":\"9\",",
    "\"SZ\":1,",
    "1e400",
    "-0",
    "9007199254740993",
    "%2C",
    "%41",
    "&a=b",
    "\u{2028}",
];

/// A sequence of numbers that is the same in every run (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("less than a usize")
    }

    /// A text with a few bytes replaced, taken out, put in or doubled; `None` where the outcome is no UTF-8.
    fn mutated(&mut self, text: &str) -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(4)).min(bytes.len());
            let insert = match self.below(4) {
                0 => vec![u8::try_from(self.below(256)).expect("a byte")],
                1 => bytes[at..(at + self.below(30)).min(bytes.len())].to_vec(),
                2 => FRAGMENTS[self.below(FRAGMENTS.len())].as_bytes().to_vec(),
                _ => vec![b"0123456789abcXYZ_-., "[self.below(21)]],
            };
            bytes.splice(at..end, insert);
        }
        String::from_utf8(bytes).ok()
    }

    fn request(&mut self) -> Option<Request> {
        let (method, path, body) = SEEDS[self.below(SEEDS.len())];
        let path = if self.below(4) == 0 || body.is_empty() { self.mutated(path)? } else { path.to_owned() };
        let body = if body.is_empty() { None } else { Some(self.mutated(body)?).filter(|body| !body.is_empty()) };
        Some(Request { method, path, body })
    }
}

/// Requests that the recipe accepts, all different.
fn accepted(recipe: &Recipe) -> Vec<Wanted> {
    let mut chance = Chance(20_260_102);
    let mut seen = HashSet::new();
    let tried = (0..MOST_TRIED).filter_map(|_| chance.request());
    let new = tried.filter(|request| seen.insert((request.path.clone(), request.body.clone()))).map(Wanted::Request);
    let accepted: Vec<_> = new.filter(|wanted| recipe.read(wanted).is_ok()).take(CASES).collect();
    assert_eq!(accepted.len(), CASES, "too few of the mutations were accepted");
    accepted
}

fn request(wanted: &Wanted) -> &Request {
    match wanted {
        Wanted::Request(request) => request,
        Wanted::Session(_) => panic!("only requests are tried"),
    }
}

/// Has a program read every request.
fn ask(program: &str, script: &str, asked: &[Wanted]) -> Vec<Value> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let mut command = Command::new(program);
    command.arg(scripts.join(script)).arg(NAMES.join(",")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} must be installed: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let lines: String = asked
        .iter()
        .map(request)
        .map(|request| format!("{}\n", json!({ "target": request.path, "body": request.body })))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).expect("it reads"));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("written");
    assert!(output.status.success(), "{program} failed");
    let answers = String::from_utf8(output.stdout).expect("UTF-8");
    answers.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// How a program keeps numbers.
#[derive(Clone, Copy)]
enum Numbers {
    /// As they are written.
    Text,
    /// As the nearest double.
    Double,
}

impl Numbers {
    fn same(self, ours: &str, theirs: &str) -> bool {
        let double = |text: &str| text.parse::<f64>().expect("a number");
        match self {
            Numbers::Text => ours == theirs,
            // Both are infinite where no double is that large.
            Numbers::Double => double(ours) == double(theirs),
        }
    }
}

/// Whether a value means the same to this reader and to another program.
fn same(ours: Ours<'_, '_>, theirs: &Value, numbers: Numbers) -> bool {
    let held = &theirs[1];
    match (ours.kind(), theirs[0].as_str()) {
        (Kind::Null, Some("null")) | (Kind::True, Some("true")) | (Kind::False, Some("false")) => true,
        (Kind::Number, Some("number")) => numbers.same(ours.raw(), held.as_str().expect("a text")),
        (Kind::Text, Some("text")) => ours.text().as_deref() == held.as_str(),
        (Kind::Array, Some("array")) => {
            let (ours, theirs): (Vec<_>, _) = (ours.items().collect(), held.as_array().expect("items"));
            ours.len() == theirs.len() && ours.into_iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs, numbers))
        }
        (Kind::Object, Some("object")) => {
            let (ours, theirs): (Vec<_>, _) = (ours.members().collect(), held.as_array().expect("members"));
            let find = |name: &str| theirs.iter().find(|pair| pair[0] == name);
            let is_same = |name: &str, value| find(name).is_some_and(|pair| same(value, &pair[1], numbers));
            ours.len() == theirs.len() && ours.into_iter().all(|(name, value)| is_same(&name, value))
        }
        _ => false,
    }
}

/// Whether serde_json holds the same value. It keeps numbers as doubles or integers, so they are compared as it reads
/// our text of one.
fn same_to_serde(ours: Ours<'_, '_>, theirs: &Value) -> bool {
    match (ours.kind(), theirs) {
        (Kind::Object, Value::Object(theirs)) => {
            let ours: Vec<_> = ours.members().collect();
            let is_same = |name: &str, value| theirs.get(name).is_some_and(|theirs| same_to_serde(value, theirs));
            ours.len() == theirs.len() && ours.into_iter().all(|(name, value)| is_same(&name, value))
        }
        (Kind::Array, Value::Array(theirs)) => {
            let ours: Vec<_> = ours.items().collect();
            ours.len() == theirs.len() && ours.into_iter().zip(theirs).all(|(ours, theirs)| same_to_serde(ours, theirs))
        }
        (Kind::Text, Value::String(theirs)) => ours.text().as_deref() == Some(theirs),
        (Kind::Object | Kind::Array | Kind::Text, _) => false,
        _ => serde_json::from_str::<Value>(ours.raw()).is_ok_and(|ours| ours == *theirs),
    }
}

/// The pairs of a query whose grammar was checked.
fn pairs(query: &str) -> Value {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let escaped =
                (*first == b'%').then(|| u8::from_str_radix(str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            bytes.push(escaped.unwrap_or(*first));
            rest = if escaped.is_some() { &after[2..] } else { after };
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| json!([decoded(name), decoded(value)]));
    Value::Array(query.split('&').filter_map(pair).collect())
}

/// Compares one request with what a program made of it. Says whether orders were among what was compared.
fn compare(recipe: &Recipe, wanted: &Wanted, answer: &Value, numbers: Numbers) -> bool {
    let request = request(wanted);
    let shown = format!("{} {:?}\n  read as {answer}", request.path, request.body);
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    assert_eq!((&answer["path"], &answer["query"]), (&json!(path), &pairs(query)), "{shown}");
    let Some(body) = &request.body else { return false };
    let document = Document::parse(body).expect("accepted");
    assert!(same(document.root(), &answer["body"], numbers), "{shown}");
    let Subject::Orders(orders) = recipe.read(wanted).expect("accepted").facts.subject else { return false };
    let read = answer["orders"].as_array().expect("orders");
    assert_eq!(orders.len(), read.len(), "{shown}");
    orders.iter().zip(read).for_each(|(order, read)| compare_order(order, read, numbers, &shown));
    true
}

/// Compares the facts of an order with the members that a program found by name.
fn compare_order(order: &Order<'_>, read: &Value, numbers: Numbers, shown: &str) {
    let side = match &order.side {
        Fact::Is(side) => Fact::Is(Cow::Borrowed(side.as_str())),
        Fact::Absent => Fact::Absent,
        Fact::Unreadable => Fact::Unreadable,
    };
    let words = [(0, &order.instrument), (1, &side), (2, &order.order_type), (5, &order.client_id)];
    for (index, fact) in words {
        compare_fact(fact, &read[index], shown, |text| read[index] == json!(["text", text]));
    }
    let is_number = |read: &Value, number: &Decimal| match (read[0].as_str(), read[1].as_str(), numbers) {
        (Some("number"), Some(theirs), Numbers::Double) => numbers.same(&number.to_string(), theirs),
        (_, Some(theirs), _) => Decimal::parse(theirs).as_ref() == Ok(number),
        _ => false,
    };
    compare_fact(&order.size, &read[3], shown, |size| is_number(&read[3], size));
    let limits = order.prices.iter().filter_map(|price| match price {
        Fact::Is(Price::Limit(limit)) => Some(limit),
        _ => None,
    });
    limits.for_each(|limit| assert!(is_number(&read[4], limit), "{shown}"));
}

/// What is known must be what the program found, and what is absent nothing to it either. What can't be read may be
/// nothing to it, where another name can be taken for this one.
fn compare_fact<T>(fact: &Fact<T>, read: &Value, shown: &str, is: impl Fn(&T) -> bool) {
    let nothing = [json!(null), json!(["null"]), json!(["text", ""]), json!(["array", []])];
    match fact {
        Fact::Is(value) => assert!(is(value), "{shown}"),
        Fact::Absent => assert!(nothing.contains(read), "{shown}"),
        Fact::Unreadable => {}
    }
}

fn compare_with(program: &str, script: &str, numbers: Numbers) {
    let recipe = Recipe::parse(built_in("okx").expect("it comes along")).expect("a recipe");
    let asked = accepted(&recipe);
    let answers = ask(program, script, &asked);
    assert_eq!(answers.len(), asked.len());
    let orders = asked.iter().zip(&answers).filter(|(wanted, answer)| compare(&recipe, wanted, answer, numbers));
    assert!(orders.count() > CASES / 4, "too few orders");
}

#[test]
#[ignore = "needs python3"]
fn what_is_accepted_means_the_same_to_python() {
    let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    compare_with(&program, "read.py", Numbers::Text);
}

#[test]
#[ignore = "needs node"]
fn what_is_accepted_means_the_same_to_node() {
    compare_with("node", "read.mjs", Numbers::Double);
}

#[test]
fn what_is_accepted_means_the_same_to_serde_json() {
    let recipe = Recipe::parse(built_in("okx").expect("it comes along")).expect("a recipe");
    for wanted in accepted(&recipe) {
        let Some(body) = &request(&wanted).body else { continue };
        let document = Document::parse(body).expect("accepted");
        match serde_json::from_str(body) {
            Ok(theirs) => assert!(same_to_serde(document.root(), &theirs), "{body}"),
            Err(error) => assert!(error.to_string().starts_with("number out of range"), "{body}: {error}"),
        }
    }
}
