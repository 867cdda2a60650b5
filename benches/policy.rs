//! How long it takes to judge an ask under a full policy: one order, and a batch of twenty, as ccxt writes them.
//!
//! `ask/…` is everything between the bytes and the verdict: the recipe reads the body, the policy judges it.
//! `evaluate/…` is the policy alone. Run with `cargo bench --bench policy`.

use criterion::{Criterion, criterion_group, criterion_main};
use signvault::policy::usage::{ClientIds, Counts, Meter, Usage};
use signvault::policy::{Case, Enforcement, Instruments, Limits, OrderRules, Policy, Reference, Verdict, evaluate};
use signvault::recipe::{Recipe, built_in};
use signvault::types::ask::{Method, Request, Wanted};
use signvault::types::clock::UnixMs;
use signvault::types::decimal::Decimal;
use signvault::types::decision::Decision;
use signvault::types::endpoint::{Effect, Endpoint, Grant};
use signvault::types::facts::{Fact, Facts, Market, Order, Price, Side, Subject, Unit};
use signvault::types::mode::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

const NOW: UnixMs = UnixMs(1_800_000_000_000);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const INSTRUMENTS: [&str; 4] = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"];
const PRICES: [&str; 4] = ["60123.4", "3011.57", "151.02", "0.5217"];
const SIZES: [&str; 4] = ["0.0123", "0.25", "4.75", "1520"];

fn number(text: &str) -> Decimal {
    Decimal::parse(text).expect("a plain number")
}

/// Every rule and every limit, all of them wide enough.
fn full_policy() -> Policy {
    let by_instrument = |most: &str| INSTRUMENTS.map(|name| (name.to_owned(), number(most))).into();
    let order = OrderRules {
        instruments: Instruments::Only(INSTRUMENTS.map(str::to_owned).into()),
        sides: Some(Side::ALL.into()),
        types: Some(["limit", "post_only", "market"].map(str::to_owned).into()),
        max_size: by_instrument("5000"),
        max_notional: Some(number("20000")),
        reduce_only: false,
        contract_value: BTreeMap::new(),
        max_price_deviation: Some(number("0.05")),
        reference_price: BTreeMap::new(),
        reference_price_max_age_s: Some(3600),
    };
    let limits = Limits {
        requests_per_second: None,
        orders_per_minute: Some(10_000),
        orders_per_hour: Some(100_000),
        orders_per_day: Some(1_000_000),
        notional_per_hour: Some(number("100000000")),
        notional_per_day: Some(number("1000000000")),
    };
    Policy {
        enforcement: Enforcement::Enforce,
        order: Some(order),
        limits,
        ..Policy::granting(BTreeSet::from([Grant::Read, Grant::Trade]))
    }
}

/// What is compared with: a day in which an order was placed every two seconds, and a week of client ids.
struct Memory {
    policy: Policy,
    references: BTreeMap<String, Reference>,
    meter: Meter,
    ids: ClientIds,
}

impl Memory {
    fn of_a_busy_day() -> Memory {
        let mut meter = Meter::default();
        for at in (0..DAY_MS).step_by(2_000) {
            let counts = Counts { orders: 1, notional: number("742.11382"), ids: Vec::new() };
            meter.add(&counts, UnixMs(NOW.0 - DAY_MS + at));
        }
        let mut ids = ClientIds::default();
        for used in 0..100_000_i64 {
            ids.remember(
                &[ClientIds::hash(&format!("e847386590ce4dBC{used:016x}"))],
                [7; 32],
                NOW.plus_ms(used - 100_000),
            );
        }
        let reference = |(name, price): (&str, &str)| (name.to_owned(), Reference { price: number(price), given: NOW });
        let references = INSTRUMENTS.into_iter().zip(PRICES).map(reference).collect();
        Memory { policy: full_policy(), references, meter, ids }
    }

    fn judge(&self, endpoint: &Endpoint, facts: &Facts<'_>) -> Verdict {
        let case = Case {
            endpoint,
            facts,
            digest: [1; 32],
            mode: Mode::Normal,
            references: &self.references,
            usage: Usage { meter: &self.meter, ids: &self.ids, unknown_before: None },
            now: NOW,
        };
        evaluate(&self.policy, &case)
    }
}

/// The words of the order with a number, as ccxt sends them.
fn body_of(index: usize) -> String {
    let (kind, side) = (index % INSTRUMENTS.len(), if index.is_multiple_of(2) { "buy" } else { "sell" });
    format!(
        r#"{{"instId":"{}","side":"{side}","ordType":"limit","sz":"{}","tdMode":"cash","px":"{}","clOrdId":"{}","tag":"e847386590ce4dBC"}}"#,
        INSTRUMENTS[kind],
        SIZES[kind],
        PRICES[kind],
        client_id(index),
    )
}

fn client_id(index: usize) -> String {
    format!("e847386590ce4dBCf00d{index:012x}")
}

/// The facts of the same order.
fn order_of(index: usize) -> Order<'static> {
    let kind = index % INSTRUMENTS.len();
    Order {
        effect: Effect::Place,
        instrument: Fact::Is(INSTRUMENTS[kind].into()),
        market: Market::Spot,
        side: Fact::Is(if index.is_multiple_of(2) { Side::Buy } else { Side::Sell }),
        order_type: Fact::Is("limit".into()),
        size: Fact::Is(number(SIZES[kind])),
        unit: Fact::Is(Unit::Base),
        prices: vec![Fact::Is(Price::Limit(number(PRICES[kind])))],
        triggers: Vec::new(),
        client_id: Fact::Is(client_id(index).into()),
        reduce_only: Fact::Absent,
        uncounted: None,
    }
}

fn asks() -> [(&'static str, Wanted, Facts<'static>); 2] {
    let wanted =
        |path: &str, body| Wanted::Request(Request { method: Method::Post, path: path.to_owned(), body: Some(body) });
    let facts = |orders| Facts { effect: Effect::Place, subject: Subject::Orders(orders) };
    let batch = format!("[{}]", (0..20).map(body_of).collect::<Vec<_>>().join(","));
    [
        ("one order", wanted("/api/v5/trade/order", body_of(0)), facts(vec![order_of(0)])),
        ("twenty orders", wanted("/api/v5/trade/batch-orders", batch), facts((0..20).map(order_of).collect())),
    ]
}

/// A denial is found sooner than an approval, so only an approval is worth measuring.
fn allowed(verdict: Verdict) -> Verdict {
    assert_eq!((&verdict.decision, &verdict.shadow), (&Decision::Allow, &None));
    assert!(verdict.counts.is_some());
    verdict
}

fn ask(criterion: &mut Criterion) {
    let recipe = Recipe::parse(built_in("okx").expect("built in")).expect("a recipe");
    let memory = Memory::of_a_busy_day();
    for (name, wanted, _) in asks() {
        criterion.bench_function(&format!("ask/{name}"), |bencher| {
            bencher.iter(|| {
                let reading = recipe.read(black_box(&wanted)).expect("a good body");
                allowed(memory.judge(reading.endpoint, &reading.facts))
            });
        });
    }
}

fn evaluation(criterion: &mut Criterion) {
    let endpoint = Endpoint {
        method: Method::Post,
        path: "/api/v5/trade/order".into(),
        grant: Grant::Trade,
        effect: Effect::Place,
    };
    let memory = Memory::of_a_busy_day();
    for (name, _, facts) in asks() {
        criterion.bench_function(&format!("evaluate/{name}"), |bencher| {
            bencher.iter(|| allowed(memory.judge(&endpoint, black_box(&facts))));
        });
    }
}

criterion_group!(benches, ask, evaluation);
criterion_main!(benches);
