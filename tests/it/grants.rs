//! Which grant each endpoint needs and what each mode leaves of it: the whole table, endpoint by endpoint, against the
//! judge itself. `tests/vectors/grants.txt` is the table as a person reads it.

use signvault::policy::usage::{ClientIds, Meter, Usage};
use signvault::policy::{Case, Policy, evaluate};
use signvault::recipe::{Recipe, built_in};
use signvault::types::ask::{Channel, Method, Request, Wanted};
use signvault::types::clock::UnixMs;
use signvault::types::decision::{Code, Decision};
use signvault::types::endpoint::{Effect, Endpoint, Grant};
use signvault::types::facts::{Fact, Facts, Market, Order, Subject};
use signvault::types::mode::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

const TABLE: &str = "tests/vectors/grants.txt";

fn okx() -> Recipe {
    Recipe::parse(built_in("okx").expect("built in")).expect("a recipe")
}

/// Every endpoint of the table, and the session's, which stands beside it.
fn all(recipe: &Recipe) -> Vec<&Endpoint> {
    let listed = recipe.endpoints().into_iter().map(|listed| &listed.endpoint);
    listed.chain(recipe.session_endpoint()).collect()
}

/// The code of the denial, if it is one.
fn judged(policy: &Policy, mode: Mode, endpoint: &Endpoint, subject: Subject<'_>) -> Option<Code> {
    let facts = Facts { effect: endpoint.effect, subject };
    let (meter, ids) = (Meter::default(), ClientIds::default());
    let case = Case {
        endpoint,
        facts: &facts,
        digest: [0; 32],
        mode,
        references: &BTreeMap::new(),
        usage: Usage { meter: &meter, ids: &ids, unknown_before: None },
        now: UnixMs(0),
    };
    match evaluate(policy, &case).decision {
        Decision::Allow => None,
        Decision::Deny(denial) => Some(denial.code),
    }
}

fn under(grants: &BTreeSet<Grant>, endpoint: &Endpoint) -> Option<Code> {
    judged(&Policy::granting(grants.clone()), Mode::Normal, endpoint, Subject::Unknown)
}

/// One order that says that it only reduces a position.
fn reducing(effect: Effect) -> Subject<'static> {
    Subject::Orders(vec![Order {
        effect,
        instrument: Fact::Absent,
        market: Market::Unknown,
        side: Fact::Absent,
        order_type: Fact::Absent,
        size: Fact::Absent,
        unit: Fact::Absent,
        prices: Vec::new(),
        triggers: Vec::new(),
        client_id: Fact::Absent,
        reduce_only: Fact::Is(true),
        uncounted: None,
    }])
}

/// All 256.
fn every_set_of_grants() -> impl Iterator<Item = BTreeSet<Grant>> {
    (0_u32..1 << Grant::ALL.len()).map(|set| {
        let chosen = Grant::ALL.into_iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
        chosen.map(|(_, grant)| grant).collect()
    })
}

fn granting(grants: &[Grant]) -> BTreeSet<Grant> {
    grants.iter().copied().collect()
}

#[test]
fn an_endpoint_is_allowed_exactly_when_its_grant_is_given() {
    let recipe = okx();
    let endpoints = all(&recipe);
    assert_eq!(endpoints.len(), 481 + 1);
    let mut sets = 0;
    for grants in every_set_of_grants() {
        for endpoint in &endpoints {
            let expected = (!grants.contains(&endpoint.grant)).then_some(Code::Grant);
            assert_eq!(under(&grants, endpoint), expected, "{endpoint} under {grants:?}");
        }
        sets += 1;
    }
    assert_eq!(sets, 256);
}

#[test]
fn a_listed_endpoint_narrows_to_itself() {
    let recipe = okx();
    let endpoints = all(&recipe);
    for chosen in endpoints.iter().step_by(7) {
        let mut policy = Policy::granting(granting(&Grant::ALL));
        policy.endpoints = Some(BTreeSet::from([chosen.to_string()]));
        for endpoint in &endpoints {
            let allowed = judged(&policy, Mode::Normal, endpoint, Subject::Unknown).is_none();
            assert_eq!(allowed, endpoint == chosen, "{endpoint} where {chosen} is listed");
        }
    }
}

#[test]
fn nothing_is_allowed_without_a_grant_and_only_reads_without_a_policy() {
    let recipe = okx();
    for endpoint in all(&recipe) {
        assert_eq!(under(&BTreeSet::new(), endpoint), Some(Code::Grant), "{endpoint}");
        let reads = under(&Policy::read_only().grants, endpoint).is_none();
        assert_eq!(reads, endpoint.grant == Grant::Read, "{endpoint}");
        assert!(!reads || endpoint.effect == Effect::None, "{endpoint} is a read that does something");
    }
}

#[test]
fn a_path_with_two_methods_is_judged_by_the_method() {
    let recipe = okx();
    let mut by_path: BTreeMap<&str, Vec<&Endpoint>> = BTreeMap::new();
    for listed in recipe.endpoints() {
        by_path.entry(&listed.endpoint.path).or_default().push(&listed.endpoint);
    }
    let twins: Vec<_> = by_path.values().filter(|twins| twins.len() > 1).collect();
    assert!(twins.len() > 3, "GET and POST of /api/v5/trade/order and others");
    let differ = twins.iter().filter(|twins| twins.iter().any(|twin| twin.grant != twins[0].grant));
    assert!(differ.count() > 3);
    for twin in twins.iter().flat_map(|twins| twins.iter()) {
        let asked = Wanted::Request(Request { method: twin.method, path: twin.path.to_string(), body: None });
        assert_eq!(recipe.read(&asked).expect("listed").endpoint, *twin);
    }
    for (path, twins) in by_path {
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete, Method::Patch] {
            let asked = Wanted::Request(Request { method, path: path.to_owned(), body: None });
            let read = recipe.read(&asked).map(|reading| reading.endpoint.clone());
            match twins.iter().find(|twin| twin.method == method) {
                Some(twin) => assert_eq!(read, Ok((*twin).clone())),
                None => assert_eq!(read.unwrap_err().code, Code::EndpointUnknown, "{method} {path}"),
            }
        }
    }
}

#[test]
fn a_session_takes_its_own_grant_and_no_rest_ask_reaches_it() {
    let recipe = okx();
    for channel in [Channel::Private, Channel::Business] {
        let wanted = Wanted::Session(channel);
        let session = recipe.read(&wanted).expect("OKX has sessions").endpoint;
        assert_eq!(session.grant, Grant::Session);
        for grants in every_set_of_grants() {
            let expected = (!grants.contains(&Grant::Session)).then_some(Code::Grant);
            assert_eq!(under(&grants, session), expected, "{grants:?}");
        }
        for method in [Method::Get, Method::Post] {
            let asked = Wanted::Request(Request { method, path: session.path.to_string(), body: None });
            assert_eq!(recipe.read(&asked).unwrap_err().code, Code::EndpointUnknown);
        }
    }
}

#[test]
fn a_trader_moves_no_funds_and_makes_no_keys() {
    let recipe = okx();
    let trader = granting(&[Grant::Read, Grant::Trade]);
    let paths = [
        "POST /api/v5/asset/transfer",
        "POST /api/v5/asset/withdrawal",
        "POST /api/v5/asset/withdrawal-lightning",
        "POST /api/v5/asset/convert/trade",
        "POST /api/v5/asset/subaccount/transfer",
        "POST /api/v5/users/subaccount/apikey",
        "POST /api/v5/users/subaccount/modify-apikey",
        "POST /api/v5/users/subaccount/set-transfer-out",
        "POST /api/v5/account/set-leverage",
        "POST /api/v5/rfq/execute-quote",
        "POST /api/v5/tradingBot/grid/order-algo",
        "POST /api/v5/finance/savings/purchase-redempt",
        "POST /api/v5/fiat/create-withdrawal",
    ];
    let endpoints = all(&recipe);
    for name in paths {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.to_string() == name);
        let endpoint = endpoint.unwrap_or_else(|| panic!("{name} is not listed"));
        assert_eq!(under(&trader, endpoint), Some(Code::Grant), "{name}");
    }
    let money = ["/asset/", "/users/", "/finance/", "/rfq/", "/tradingBot/", "/copytrading/", "/fiat/"];
    let moves = endpoints.iter().filter(|endpoint| endpoint.grant != Grant::Read);
    for endpoint in moves.filter(|endpoint| money.iter().any(|part| endpoint.path.contains(part))) {
        assert_eq!(under(&trader, endpoint), Some(Code::Grant), "{endpoint}");
    }
}

/// `yes`, `no`, or for which orders.
fn left_by(mode: Mode, endpoint: &Endpoint) -> &'static str {
    let everything = Policy::granting(granting(&Grant::ALL));
    let any = judged(&everything, mode, endpoint, Subject::Unknown).is_none();
    let reduces = judged(&everything, mode, endpoint, reducing(endpoint.effect)).is_none();
    match (any, reduces) {
        (true, true) => "yes",
        (false, true) => "reducing",
        (false, false) => "no",
        (true, false) => "others",
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "-",
        Effect::Place => "place",
        Effect::Amend => "amend",
        Effect::Cancel => "cancel",
        Effect::Close => "close",
    }
}

fn table(recipe: &Recipe) -> String {
    let mut text = "# Every endpoint of the recipe `okx`: the grant it needs, its effect on the order book, and what is left of it in\n\
                    # each mode. `reducing`: only orders that say that they can only reduce a position, where the recipe can read that. The\n\
                    # last line is the WebSocket login. A test writes this text anew and compares.\n\
                    # grant   effect  normal  reduce-only  cancel-only  endpoint\n"
        .to_owned();
    for endpoint in all(recipe) {
        let [normal, reduce, cancel] = Mode::ALL.map(|mode| left_by(mode, endpoint));
        let (grant, effect) = (endpoint.grant.as_str(), effect(endpoint.effect));
        writeln!(text, "{grant:<9} {effect:<7} {normal:<7} {reduce:<12} {cancel:<12} {endpoint}").unwrap();
    }
    text
}

#[test]
fn the_table_that_people_read_is_what_the_judge_does() {
    let written = table(&okx());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(root.join(TABLE)).unwrap_or_default();
    if kept == written {
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grants.txt");
    std::fs::write(&target, &written).unwrap();
    let changed: Vec<_> = written.lines().filter(|line| !kept.lines().any(|old| old == *line)).collect();
    panic!(
        "{TABLE} is not what the judge does any more. New or changed:\n{}\nRead them one by one; if all are meant: cp {} {TABLE}",
        changed.join("\n"),
        target.display()
    );
}

/// By itself, so that a change of the table can't hide one of these.
#[test]
fn modes_leave_what_their_names_say_for_every_endpoint() {
    let recipe = okx();
    for endpoint in all(&recipe) {
        let left = Mode::ALL.map(|mode| left_by(mode, endpoint));
        let expected = match (endpoint.grant, endpoint.effect) {
            (Grant::Read, _) | (_, Effect::Cancel) => ["yes", "yes", "yes"],
            (_, Effect::Close) => ["yes", "yes", "no"],
            (_, Effect::Place) => ["yes", "reducing", "no"],
            _ => ["yes", "no", "no"],
        };
        assert_eq!(left, expected, "{endpoint}");
    }
}
