//! What orders, amends, closes and transfers say at the exchange whose recipe comes along, body by body.

use super::*;
use crate::recipe::Recipe;
use crate::recipe::built_in;
use crate::types::ask::{Method, Request, Wanted};
use crate::types::facts::Transfer;
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;

static OKX: LazyLock<Recipe> = LazyLock::new(|| Recipe::parse(built_in("okx").unwrap()).unwrap());

const ORDER: &str = "trade/order";
const BATCH: &str = "trade/batch-orders";
const ALGO: &str = "trade/order-algo";
const AMEND: &str = "trade/amend-order";
const AMEND_BATCH: &str = "trade/amend-batch-orders";
const AMEND_ALGO: &str = "trade/amend-algos";
const CLOSE: &str = "trade/close-position";

fn post(path: &str, body: &str) -> Wanted {
    let body = Some(body.to_owned()).filter(|body| !body.is_empty());
    Wanted::Request(Request { method: Method::Post, path: format!("/api/v5/{path}"), body })
}

/// Reads a body and looks at its facts, which borrow from it.
fn with_facts<T>(path: &str, body: &str, look: impl FnOnce(Facts<'_>) -> T) -> T {
    look(OKX.read(&post(path, body)).unwrap_or_else(|denial| panic!("{path} {body}: {}", denial.detail)).facts)
}

fn orders<T>(path: &str, body: &str, look: impl FnOnce(&[Order<'_>]) -> T) -> T {
    with_facts(path, body, |facts| match facts.subject {
        Subject::Orders(orders) => look(&orders),
        other => panic!("{path} {body}: {other:?}"),
    })
}

/// Looks at the only order of a body.
fn order<T>(path: &str, body: &str, look: impl FnOnce(&Order<'_>) -> T) -> T {
    orders(path, body, |orders| {
        assert_eq!(orders.len(), 1, "{body}");
        look(&orders[0])
    })
}

/// The only transfer of a body.
fn transfer<T>(path: &str, body: &str, look: impl FnOnce(&Transfer<'_>) -> T) -> T {
    with_facts(path, body, |facts| match facts.subject {
        Subject::Transfer(transfer) => look(&transfer),
        other => panic!("{path} {body}: {other:?}"),
    })
}

fn is_misshapen(path: &str, body: &str) -> bool {
    with_facts(path, body, |facts| facts.subject == Subject::Misshapen)
}

fn text(text: &str) -> Fact<Cow<'_, str>> {
    Fact::Is(Cow::Borrowed(text))
}

fn number(text: &str) -> Fact<Decimal> {
    Fact::Is(Decimal::parse(text).unwrap())
}

fn limit(text: &str) -> Fact<Price> {
    map(number(text), Price::Limit)
}

const MARKET: Fact<Price> = Fact::Is(Price::Market);
const BASE: Fact<Unit> = Fact::Is(Unit::Base);
const QUOTE: Fact<Unit> = Fact::Is(Unit::Quote);

/// An order that says nothing.
fn silent(effect: Effect) -> Order<'static> {
    Order {
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
        reduce_only: Fact::Absent,
        uncounted: None,
    }
}

#[test]
fn a_limit_order_says_everything() {
    let body =
        r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"2.15","sz":"2","clOrdId":"b15"}"#;
    let expected = Order {
        instrument: text("BTC-USDT"),
        market: Market::Spot,
        side: Fact::Is(Side::Buy),
        order_type: text("limit"),
        size: number("2"),
        unit: BASE,
        prices: vec![limit("2.15")],
        client_id: text("b15"),
        ..silent(Effect::Place)
    };
    order(ORDER, body, |order| assert_eq!(*order, expected));
    order(BATCH, &format!("[{body}]"), |order| assert_eq!(*order, expected));
    with_facts(ORDER, body, |facts| assert_eq!(facts.effect, Effect::Place));
}

#[test]
fn what_python_okx_leaves_empty_says_nothing() {
    let body = r#"{"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "2", "ccy": "", "clOrdId": "", "tag": "", "posSide": "", "px": "", "reduceOnly": "", "tgtCcy": "", "stpMode": "", "pxUsd": "", "pxVol": "", "banAmend": "", "attachAlgoOrds": null}"#;
    let expected = Order {
        instrument: text("BTC-USDT"),
        market: Market::Spot,
        side: Fact::Is(Side::Buy),
        order_type: text("limit"),
        size: number("2"),
        unit: BASE,
        ..silent(Effect::Place)
    };
    order(ORDER, body, |order| assert_eq!(*order, expected));
    let algo = r#"{"instId": "", "tdMode": "", "side": "", "ordType": "", "sz": "", "ccy": "", "posSide": "", "reduceOnly": "", "tpTriggerPx": "", "tpOrdPx": "", "slTriggerPx": "", "slOrdPx": "", "triggerPx": "", "orderPx": "", "tgtCcy": "", "pxVar": "", "szLimit": "", "pxLimit": "", "activePx": "", "tag": "", "closeFraction": "", "algoClOrdId": "", "attachAlgoOrds": []}"#;
    order(ALGO, algo, |order| assert_eq!(*order, silent(Effect::Place)));
    order(ORDER, "{}", |order| assert_eq!(*order, silent(Effect::Place)));
    let unit = Order { unit: BASE, ..silent(Effect::Amend) };
    let amend = r#"{"instId": "", "algoId": "", "newSz": "", "newTriggerPx": "", "newOrdPx": "", "newTpOrdPx": null}"#;
    order(AMEND_ALGO, amend, |order| assert_eq!(*order, unit));
}

#[test]
fn ccxt_posts_a_limit_order_as_a_batch_of_one() {
    let body = r#"[{"instId":"ETH-USDT-SWAP","side":"sell","ordType":"post_only","px":"3000.5","sz":"10","tdMode":"cross","clOrdId":"e847386590ce4dBCf2","reduceOnly":true,"tag":"e847386590ce4dBC"}]"#;
    let expected = Order {
        instrument: text("ETH-USDT-SWAP"),
        market: Market::Contract,
        side: Fact::Is(Side::Sell),
        order_type: text("post_only"),
        size: number("10"),
        unit: BASE,
        prices: vec![limit("3000.5")],
        client_id: text("e847386590ce4dBCf2"),
        reduce_only: Fact::Is(true),
        ..silent(Effect::Place)
    };
    order(BATCH, body, |order| assert_eq!(*order, expected));
}

#[test]
fn a_market_order_is_executed_at_whatever_the_market_gives() {
    let prices = |order_type: &str, px: &str| {
        let body = json!({ "instId": "BTC-USDT", "side": "buy", "sz": "1", "ordType": order_type, "px": px });
        order(ORDER, &body.to_string(), |order| order.prices.clone())
    };
    for word in ["market", "optimal_limit_ioc"] {
        assert_eq!(prices(word, ""), [MARKET], "{word}");
        assert_eq!(prices(word, "5"), [MARKET, limit("5")], "{word}");
    }
    for word in ["limit", "post_only", "fok", "ioc", "mmp", "mmp_and_post_only", "op_fok", "elp"] {
        assert_eq!(prices(word, "5"), [limit("5")], "{word}");
        assert_eq!(prices(word, "1e3"), [Fact::Unreadable], "{word}");
        assert_eq!(prices(word, "-1"), [Fact::Unreadable], "{word}");
        assert!(prices(word, "").is_empty(), "{word}");
    }
    for word in ["Market", "LIMIT", "limit ", "conditional", "new"] {
        assert_eq!(prices(word, "5"), [Fact::Unreadable, limit("5")], "{word}");
    }
    assert_eq!(prices("", "5"), [limit("5")]);
}

/// The unit of an order of these members.
fn unit(path: &str, members: serde_json::Value) -> Fact<Unit> {
    order(path, &members.to_string(), |order| order.unit.clone())
}

#[test]
fn the_size_of_a_market_order_of_a_pair_is_counted_as_it_says() {
    for (side, target, mode, expected) in [
        (json!("buy"), json!(""), json!("cash"), QUOTE),
        (json!("sell"), json!(""), json!("cash"), BASE),
        (json!("buy"), json!(null), json!(null), QUOTE),
        (json!("buy"), json!("base_ccy"), json!("cash"), BASE),
        (json!("buy"), json!("quote_ccy"), json!("cash"), QUOTE),
        (json!("sell"), json!("base_ccy"), json!("spot_isolated"), BASE),
        (json!("sell"), json!("quote_ccy"), json!(""), QUOTE),
        (json!("buy"), json!("base"), json!("cash"), Fact::Unreadable),
        (json!("buy"), json!("BASE_CCY"), json!("cash"), Fact::Unreadable),
        (json!("buy"), json!(1), json!("cash"), Fact::Unreadable),
        (json!("buy"), json!("base_ccy"), json!("cross"), Fact::Unreadable),
        (json!("buy"), json!("quote_ccy"), json!("isolated"), Fact::Unreadable),
        (json!("buy"), json!("quote_ccy"), json!(["cash"]), Fact::Unreadable),
        (json!("buy"), json!(""), json!("cross"), QUOTE),
        (json!("sell"), json!(""), json!("isolated"), BASE),
        (json!(""), json!(""), json!("cash"), Fact::Absent),
        (json!("BUY"), json!(""), json!("cash"), Fact::Unreadable),
        (json!(""), json!("quote_ccy"), json!("cash"), QUOTE),
    ] {
        let mut body = json!({ "instId": "BTC-USDT", "ordType": "market", "sz": "1" });
        (body["side"], body["tgtCcy"], body["tdMode"]) = (side, target, mode);
        assert_eq!(unit(ORDER, body.clone()), expected, "{body}");
    }
}

#[test]
fn only_market_orders_of_pairs_heed_the_target_currency() {
    for (instrument, order_type, expected) in [
        ("BTC-USDT", "limit", BASE),
        ("BTC-USDT", "post_only", BASE),
        ("BTC-USDT", "market", QUOTE),
        ("BTC-USDT-SWAP", "market", BASE),
        ("BTC-USDT-SWAP", "optimal_limit_ioc", BASE),
        ("BTC-USDT-SWAP", "limit", BASE),
        ("BTC-USDT-SWAP", "", BASE),
        ("BTC-USDT", "", Fact::Absent),
        ("BTC-USDT", "unheard_of", Fact::Unreadable),
        ("btc-usdt", "limit", BASE),
        ("btc-usdt", "market", Fact::Unreadable),
        ("", "market", Fact::Unreadable),
    ] {
        let body =
            json!({ "instId": instrument, "ordType": order_type, "side": "buy", "tgtCcy": "quote_ccy", "sz": "1" });
        assert_eq!(unit(ORDER, body), expected, "{instrument} {order_type}");
    }
}

#[test]
fn an_algo_order_is_at_the_market_where_it_says_minus_one() {
    let body = r#"{"instId":"BTC-USDT-SWAP","tdMode":"cross","side":"sell","posSide":"net","ordType":"oco","sz":"1","algoClOrdId":"a1","clOrdId":"c1","tpTriggerPx":"70000","tpOrdPx":"69990.5","slTriggerPx":"50000","slOrdPx":"-1","reduceOnly":"true"}"#;
    let expected = Order {
        instrument: text("BTC-USDT-SWAP"),
        market: Market::Contract,
        side: Fact::Is(Side::Sell),
        order_type: text("oco"),
        size: number("1"),
        unit: BASE,
        prices: vec![limit("69990.5"), MARKET],
        triggers: vec![number("70000"), number("50000")],
        client_id: text("a1"),
        reduce_only: Fact::Is(true),
        ..silent(Effect::Place)
    };
    order(ALGO, body, |order| assert_eq!(*order, expected));
    let trigger = r#"{"instId":"BTC-USDT-SWAP","side":"buy","ordType":"trigger","sz":5,"triggerPx":100,"orderPx":-1}"#;
    order(ALGO, trigger, |order| {
        assert_eq!((order.prices.clone(), order.triggers.clone()), (vec![MARKET], vec![number("100")]));
        assert_eq!((order.size.clone(), order.client_id.clone()), (number("5"), Fact::Absent));
    });
}

#[test]
fn an_algo_order_without_a_price_of_its_own_is_at_the_market() {
    for word in ["move_order_stop", "chase", "twap", "iceberg"] {
        let body = format!(
            r#"{{"instId":"BTC-USDT","side":"sell","ordType":"{word}","sz":"1","pxLimit":"9","activePx":"8"}}"#
        );
        order(ALGO, &body, |order| {
            assert_eq!((order.prices.clone(), order.triggers.clone()), (vec![MARKET, limit("9")], vec![number("8")]));
            assert_eq!(order.unit, BASE);
        });
        for (side, target, expected) in [
            ("buy", "", Fact::Unreadable),
            ("buy", "base_ccy", Fact::Unreadable),
            ("buy", "quote_ccy", Fact::Unreadable),
            ("", "quote_ccy", Fact::Unreadable),
            ("sell", "quote_ccy", QUOTE),
        ] {
            let body = json!({ "instId": "BTC-USDT", "side": side, "ordType": word, "sz": "1", "tgtCcy": target });
            assert_eq!(unit(ALGO, body), expected, "{word} {side} {target}");
        }
        assert_eq!(unit(ALGO, json!({ "instId": "BTC-USDT-SWAP", "side": "buy", "ordType": word })), BASE, "{word}");
    }
}

#[test]
fn the_size_of_an_algo_order_follows_the_price_that_it_will_have() {
    for (members, expected) in [
        (json!({ "ordType": "trigger", "orderPx": "5" }), BASE),
        (json!({ "ordType": "trigger", "orderPx": "-1" }), QUOTE),
        (json!({ "ordType": "trigger", "orderPx": "-1", "tgtCcy": "base_ccy" }), BASE),
        (json!({ "ordType": "trigger", "orderPx": "-1", "tgtCcy": "base_ccy", "tdMode": "cross" }), Fact::Unreadable),
        (json!({ "ordType": "trigger", "orderPx": "-1.0" }), Fact::Unreadable),
        (json!({ "ordType": "conditional", "slOrdPx": "-1" }), QUOTE),
        (json!({ "ordType": "conditional", "slOrdPx": "4", "tgtCcy": "quote_ccy" }), BASE),
        (json!({ "ordType": "conditional" }), BASE),
        // One leg is counted in quote currency and the other in base currency.
        (json!({ "ordType": "oco", "tpOrdPx": "5", "slOrdPx": "-1" }), Fact::Unreadable),
        (json!({ "ordType": "oco", "tpOrdPx": "5", "slOrdPx": "-1", "tgtCcy": "base_ccy" }), BASE),
        (json!({ "ordType": "oco", "tpOrdPx": "-1", "slOrdPx": "-1" }), Fact::Unreadable),
        (json!({ "ordType": "smart_iceberg" }), Fact::Unreadable),
    ] {
        let mut body = json!({ "instId": "BTC-USDT", "side": "buy", "sz": "1" });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(unit(ALGO, body.clone()), expected, "{body}");
    }
}

#[test]
fn an_amend_says_only_what_it_changes() {
    let body = r#"{"instId":"BTC-USDT","ordId":"59","clOrdId":"b15","newSz":"2","newPx":"3","side":"buy","ordType":"market","sz":"9","px":"9","reduceOnly":true}"#;
    let expected = Order {
        instrument: text("BTC-USDT"),
        market: Market::Spot,
        size: number("2"),
        unit: BASE,
        prices: vec![limit("3")],
        ..silent(Effect::Amend)
    };
    order(AMEND, body, |order| assert_eq!(*order, expected));
    orders(AMEND_BATCH, &format!("[{body},{body}]"), |orders| assert_eq!(orders, [expected.clone(), expected.clone()]));
    let algo = r#"{"instId":"BTC-USDT-SWAP","algoId":"1","newSz":"2","newTpOrdPx":"-1","newSlOrdPx":"7","newOrdPx":6,"newTpTriggerPx":"1","newSlTriggerPx":"2","newTriggerPx":"3"}"#;
    order(AMEND_ALGO, algo, |order| {
        assert_eq!(order.prices, [MARKET, limit("7"), limit("6")]);
        assert_eq!(order.triggers, [number("1"), number("2"), number("3")]);
        assert_eq!((&order.size, &order.unit), (&number("2"), &BASE));
    });
}

#[test]
fn a_new_price_at_the_market_leaves_open_what_a_new_size_of_a_pair_is() {
    let unit = |members| unit(AMEND_ALGO, members);
    assert_eq!(unit(json!({ "instId": "BTC-USDT", "newSz": "1", "newOrdPx": "-1" })), Fact::Unreadable);
    assert_eq!(unit(json!({ "instId": "BTC-USDT", "newSz": "1", "newOrdPx": "x" })), Fact::Unreadable);
    assert_eq!(unit(json!({ "instId": "BTC-USDT", "newSz": "1", "newOrdPx": "5" })), BASE);
    assert_eq!(unit(json!({ "instId": "BTC-USDT-SWAP", "newSz": "1", "newOrdPx": "-1" })), BASE);
}

#[test]
fn a_close_says_which_instrument() {
    let body = r#"{"instId":"BTC-USDT-SWAP","mgnMode":"isolated","posSide":"long","sz":"1","clOrdId":"b15"}"#;
    let expected = Order { instrument: text("BTC-USDT-SWAP"), market: Market::Contract, ..silent(Effect::Close) };
    order(CLOSE, body, |order| assert_eq!(*order, expected));
}

#[test]
fn an_instrument_that_is_told_as_a_code_is_not_readable() {
    for path in [ORDER, ALGO, AMEND, AMEND_ALGO, CLOSE] {
        for code in [json!(10458), json!("10458"), json!({})] {
            let body = json!({ "instId": "BTC-USDT", "ordType": "limit", "instIdCode": code }).to_string();
            let read = order(path, &body, |order| (order.instrument.clone().known().is_some(), order.market));
            assert_eq!(read, (false, Market::Unknown), "{path} {body}");
        }
        order(path, r#"{"instId":"BTC-USDT","instIdCode":""}"#, |order| assert_eq!(order.instrument, text("BTC-USDT")));
    }
}

#[test]
fn what_no_rule_can_count_is_named() {
    for (path, body, expected) in [
        (ORDER, r#"{"pxUsd":"5"}"#, Some("pxUsd")),
        (ORDER, r#"{"pxVol":0}"#, Some("pxVol")),
        (ORDER, r#"{"attachAlgoOrds":[{"tpTriggerPx":"60000","tpOrdPx":"-1"}]}"#, Some("attachAlgoOrds")),
        (ORDER, r#"{"attachAlgoOrds":[{}]}"#, Some("attachAlgoOrds")),
        (ORDER, r#"{"attachAlgoOrds":{}}"#, Some("attachAlgoOrds")),
        (ORDER, r#"{"attachAlgoOrds":[],"pxUsd":null,"pxVol":""}"#, None),
        (ORDER, r#"{"tpOrdPx":"-1"}"#, Some("tpOrdPx")),
        (ORDER, r#"{"slOrdPx":"-1"}"#, Some("slOrdPx")),
        (ORDER, r#"{"tpOrdPx":"","newPxUsd":"1","expTime":"5"}"#, None),
        (ALGO, r#"{"attachAlgoOrds":[{"x":1}]}"#, Some("attachAlgoOrds")),
        (ALGO, r#"{"pxVar":"0.1","pxSpread":"1","callbackRatio":"0.05","closeFraction":""}"#, None),
        (AMEND, r#"{"newPxUsd":"5"}"#, Some("newPxUsd")),
        (AMEND, r#"{"newPxVol":"5"}"#, Some("newPxVol")),
        (AMEND, r#"{"newTpOrdPx":"5"}"#, Some("newTpOrdPx")),
        (AMEND, r#"{"newSlOrdPx":"-1"}"#, Some("newSlOrdPx")),
        (AMEND, r#"{"newTpTriggerPx":"5"}"#, None),
        (AMEND, r#"{"attachAlgoOrds":[{"newTpOrdPx":"5"}]}"#, Some("attachAlgoOrds")),
        (AMEND_ALGO, r#"{"attachAlgoOrds":[1]}"#, Some("attachAlgoOrds")),
        (AMEND_ALGO, r#"{"newTpOrdPx":"5"}"#, None),
    ] {
        order(path, body, |order| assert_eq!(order.uncounted, expected, "{path} {body}"));
    }
}

#[test]
fn a_stop_in_the_form_of_older_clients_comes_along_uncounted() {
    for member in ["tpTriggerPx", "tpOrdPx", "slTriggerPx", "slOrdPx"] {
        let with = |value: &str| json!({ "sz": "1", "px": "5", member: value }).to_string();
        order(ORDER, &with("-1"), |order| assert_eq!(order.uncounted, Some(member)));
        order(ORDER, &with(""), |order| assert_eq!(order.uncounted, None));
        order(ALGO, &with("5"), |order| assert_eq!(order.uncounted, None));
    }
}

#[test]
fn a_part_of_the_position_is_no_size_whatever_stands_beside_it() {
    for size in [json!("0.01"), json!("")] {
        let body = json!({ "instId": "BTC-USDT-SWAP", "sz": size, "closeFraction": "1" }).to_string();
        order(ALGO, &body, |order| assert_eq!(order.size, Fact::Unreadable, "{body}"));
    }
    order(ALGO, r#"{"sz":"0.01","closeFraction":""}"#, |order| assert_eq!(order.size, number("0.01")));
}

#[test]
fn an_order_only_reduces_where_it_can_do_nothing_else() {
    for (reduce_only, position, side, expected) in [
        (json!(true), json!(""), "buy", Fact::Is(true)),
        (json!("true"), json!("net"), "sell", Fact::Is(true)),
        (json!(true), json!("net"), "", Fact::Is(true)),
        (json!(false), json!("net"), "sell", Fact::Is(false)),
        (json!("false"), json!(null), "sell", Fact::Is(false)),
        (json!(""), json!(""), "sell", Fact::Absent),
        (json!("yes"), json!(""), "sell", Fact::Unreadable),
        (json!("True"), json!(""), "sell", Fact::Unreadable),
        (json!(1), json!("net"), "sell", Fact::Unreadable),
        (json!(""), json!("long"), "sell", Fact::Is(true)),
        (json!(""), json!("short"), "buy", Fact::Is(true)),
        (json!(true), json!("long"), "sell", Fact::Is(true)),
        (json!(false), json!("short"), "buy", Fact::Is(true)),
        (json!(true), json!("long"), "buy", Fact::Is(false)),
        (json!("true"), json!("short"), "sell", Fact::Is(false)),
        (json!(false), json!("long"), "buy", Fact::Is(false)),
        (json!(""), json!("long"), "buy", Fact::Absent),
        (json!("?"), json!("long"), "buy", Fact::Unreadable),
        (json!(true), json!("long"), "", Fact::Unreadable),
        (json!(true), json!("long"), "SELL", Fact::Unreadable),
        (json!(true), json!("LONG"), "sell", Fact::Unreadable),
        (json!(true), json!(["long"]), "sell", Fact::Unreadable),
        (json!(true), json!(0), "sell", Fact::Unreadable),
    ] {
        let body = json!({ "instId": "BTC-USDT-SWAP", "reduceOnly": reduce_only, "posSide": position, "side": side });
        for path in [ORDER, ALGO] {
            order(path, &body.to_string(), |order| assert_eq!(order.reduce_only, expected, "{body}"));
        }
    }
}

#[test]
fn the_position_that_a_pair_does_not_have_makes_no_order_reduce() {
    for instrument in ["BTC-USDT", "BTC", ""] {
        for (position, side) in [("long", "sell"), ("short", "buy")] {
            for (says, expected) in [("", Fact::Absent), ("false", Fact::Is(false)), ("true", Fact::Is(true))] {
                let body = json!({ "instId": instrument, "posSide": position, "side": side, "reduceOnly": says });
                order(ORDER, &body.to_string(), |order| assert_eq!(order.reduce_only, expected, "{body}"));
            }
        }
    }
}

#[test]
fn numbers_are_plain_decimals_as_texts_or_not() {
    for (written, expected) in [
        (r#""1.50""#, number("1.5")),
        ("1.50", number("1.5")),
        (r#""0""#, number("0")),
        ("0", number("0")),
        (r#""\u0031""#, number("1")),
        ("\"\"", Fact::Absent),
        ("null", Fact::Absent),
        ("[]", Fact::Absent),
        ("[ ]", Fact::Absent),
        ("1e3", Fact::Unreadable),
        (r#""1E3""#, Fact::Unreadable),
        ("-1", Fact::Unreadable),
        (r#""-1""#, Fact::Unreadable),
        (r#""+1""#, Fact::Unreadable),
        ("-0", Fact::Unreadable),
        (r#"" 1""#, Fact::Unreadable),
        (r#"" ""#, Fact::Unreadable),
        (r#""\u0000""#, Fact::Unreadable),
        (r#""0x10""#, Fact::Unreadable),
        (r#""NaN""#, Fact::Unreadable),
        (r#""Infinity""#, Fact::Unreadable),
        (r#""1,5""#, Fact::Unreadable),
        (r#""٣""#, Fact::Unreadable),
        (r#""0.0000000000000000001""#, Fact::Unreadable),
        ("0.0000000000000000001", Fact::Unreadable),
        ("1000000000000000000", Fact::Unreadable),
        ("true", Fact::Unreadable),
        ("false", Fact::Unreadable),
        ("{}", Fact::Unreadable),
        ("[1]", Fact::Unreadable),
        ("[[]]", Fact::Unreadable),
    ] {
        order(ORDER, &format!(r#"{{"sz":{written}}}"#), |order| assert_eq!(order.size, expected, "{written}"));
    }
}

#[test]
fn names_are_texts_of_printable_ascii() {
    for (written, expected) in [
        (r#""b15""#, text("b15")),
        (r#""a b~""#, text("a b~")),
        (r#""\u0041""#, text("A")),
        (r#""a\/b""#, text("a/b")),
        ("\"\"", Fact::Absent),
        ("null", Fact::Absent),
        ("[]", Fact::Absent),
        ("5", Fact::Unreadable),
        ("true", Fact::Unreadable),
        (r#"["b15"]"#, Fact::Unreadable),
        ("{}", Fact::Unreadable),
        (r#""é""#, Fact::Unreadable),
        (r#""\u00e9""#, Fact::Unreadable),
        (r#""a\n""#, Fact::Unreadable),
        (r#""a\u0000""#, Fact::Unreadable),
        (r#""\u007f""#, Fact::Unreadable),
        (r#""\ud83d\ude80""#, Fact::Unreadable),
    ] {
        order(ORDER, &format!(r#"{{"ordType":{written}}}"#), |order| {
            assert_eq!(order.order_type, expected, "{written}")
        });
    }
}

#[test]
fn an_id_that_an_exchange_could_trim_to_nothing_is_none() {
    for (path, member) in [(ORDER, "clOrdId"), (ALGO, "algoClOrdId")] {
        for written in [" ", "   ", " b15", "b15 ", "b 15", "\t", "é"] {
            let body = json!({ member: written }).to_string();
            order(path, &body, |order| assert_eq!(order.client_id, Fact::Unreadable, "{body}"));
        }
        order(path, &json!({ member: "b15" }).to_string(), |order| assert_eq!(order.client_id, text("b15")));
    }
}

#[test]
fn a_name_that_can_be_taken_for_another_makes_it_unreadable() {
    for other in ["SZ", "Sz", "s_z", "_sz", "s-Z", r"\u0053Z"] {
        for body in [
            format!(r#"{{"sz":"1","{other}":"99"}}"#),
            format!(r#"{{"{other}":"99","sz":"1"}}"#),
            format!(r#"{{"{other}":"99"}}"#),
            format!(r#"{{"{other}":""}}"#),
        ] {
            order(ORDER, &body, |order| {
                assert_eq!((order.size.clone(), order.side.clone()), (Fact::Unreadable, Fact::Absent), "{body}");
            });
        }
    }
    for other in ["szs", "ssz", " sz", "sz ", "z", "sżz", "newSz"] {
        order(ORDER, &format!(r#"{{"sz":"1","{other}":"99"}}"#), |order| {
            assert_eq!(order.size, number("1"), "{other}")
        });
    }
    // Letters of Unicode that are another case of an ASCII one: Go takes `ſ` for `s`, Java `İ` and `ı` for `i`.
    order(ORDER, r#"{"sz":"1","ſz":"99"}"#, |order| assert_eq!(order.size, Fact::Unreadable));
    for other in ["\u{130}nstId", "\u{131}nstId", "inst\u{130}d"] {
        let body = json!({ "instId": "BTC-USDT", other: "ETH-USDT" }).to_string();
        order(ORDER, &body, |order| assert_eq!(order.instrument, Fact::Unreadable, "{body}"));
    }
    order(ORDER, r#"{"PXUSD":"5"}"#, |order| assert_eq!(order.uncounted, Some("pxUsd")));
    order(ORDER, r#"{"instId":"BTC-USDT","inst_id_code":1}"#, |order| assert_eq!(order.instrument, Fact::Unreadable));
}

#[test]
fn a_body_of_another_form_is_misshapen() {
    let items = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    for path in
        [ORDER, ALGO, AMEND, AMEND_ALGO, CLOSE, "asset/transfer", "asset/subaccount/transfer", "asset/withdrawal"]
    {
        for body in ["", "[]", "[{}]"] {
            assert!(is_misshapen(path, body), "{path} {body}");
        }
        assert!(!is_misshapen(path, "{}"), "{path}");
    }
    for path in [BATCH, AMEND_BATCH] {
        for body in ["", "{}", "[]", "[[]]", "[1]", "[{},null]", r#"[{},"a"]"#, r#"{"0":{}}"#, &items(21), &items(300)]
        {
            assert!(is_misshapen(path, body), "{path} {body}");
        }
        for count in [1, 2, 20] {
            orders(path, &items(count), |orders| assert_eq!(orders.len(), count));
        }
    }
}

#[test]
fn every_order_of_a_batch_is_read_in_its_place() {
    let body: Vec<_> = (1..=20).map(|size| json!({ "instId": "BTC-USDT", "sz": size.to_string() })).collect();
    orders(BATCH, &json!(body).to_string(), |orders| {
        let sizes: Vec<_> = orders.iter().map(|order| order.size.clone()).collect();
        assert_eq!(sizes, (1..=20).map(|size: u64| Fact::Is(Decimal::from(size))).collect::<Vec<_>>());
    });
}

#[test]
fn endpoints_without_facts_are_about_nothing_known() {
    for path in
        ["trade/cancel-order", "trade/cancel-batch-orders", "trade/order-precheck", "sprd/order", "trade/easy-convert"]
    {
        for body in [r#"{"instId":"BTC-USDT","sz":"1"}"#, "[]", ""] {
            with_facts(path, body, |facts| {
                assert_eq!(facts.subject, Subject::Unknown);
                assert_eq!(
                    facts.effect,
                    OKX.endpoint(Method::Post, &format!("/api/v5/{path}")).unwrap().endpoint.effect
                );
            });
        }
    }
}

#[test]
fn a_dead_mans_switch_cancels_only_when_it_is_armed() {
    for path in ["trade/cancel-all-after", "sprd/cancel-all-after", "rfq/cancel-all-after"] {
        for (body, effect) in [
            (r#"{ "timeOut" : "60" }"#, Effect::Cancel),
            (r#"{"timeOut":"10"}"#, Effect::Cancel),
            (r#"{"timeOut":120,"tag":"x"}"#, Effect::Cancel),
            (r#"{"timeOut":"9"}"#, Effect::None),
            (r#"{"timeOut":"0"}"#, Effect::None),
            (r#"{"timeOut":0}"#, Effect::None),
            (r#"{"timeOut":"10.0"}"#, Effect::None),
            (r#"{"timeOut":60.5}"#, Effect::None),
            (r#"{"timeOut":"1e2"}"#, Effect::None),
            (r#"{"timeOut":"-60"}"#, Effect::None),
            (r#"{"timeOut":"v16"}"#, Effect::None),
            (r#"{"timeOut":["60"]}"#, Effect::None),
            (r#"{"timeOut":""}"#, Effect::None),
            (r#"{"timeOut":"60","TimeOut":"0"}"#, Effect::None),
            (r#"[{"timeOut":"60"}]"#, Effect::None),
            ("{}", Effect::None),
            ("[]", Effect::None),
            ("", Effect::None),
        ] {
            with_facts(path, body, |facts| assert_eq!(facts, Facts { effect, subject: Subject::Unknown }, "{body}"));
        }
    }
}

#[test]
fn a_transfer_says_what_goes_where() {
    let funds = |kind: &str, sub_account: &str| {
        format!(
            r#"{{"ccy": "USDT", "amt": "1.5", "from": "6", "to": "18", "type": "{kind}", "subAcct": "{sub_account}", "clientId": ""}}"#
        )
    };
    let expected = Transfer {
        currency: text("USDT"),
        amount: number("1.5"),
        destination: text("18"),
        client_id: Fact::Absent,
        uncounted: None,
    };
    transfer("asset/transfer", &funds("0", ""), |transfer| assert_eq!(*transfer, expected));
    let to_sub = Transfer { destination: text("sub1"), ..expected.clone() };
    transfer("asset/transfer", &funds("1", "sub1"), |transfer| assert_eq!(*transfer, to_sub));
    let between =
        r#"{"ccy":"USDT","amt":"1.5","from":"6","to":18,"fromSubAccount":"a","toSubAccount":"b","clientId":"x"}"#;
    let expected_between = Transfer { destination: text("b"), ..expected.clone() };
    transfer("asset/subaccount/transfer", between, |transfer| assert_eq!(*transfer, expected_between));
    let out =
        r#"{"ccy":"USDT","amt":1.5,"dest":"4","toAddr":"17DKe3kk","chain":"","areaCode":"","clientId":"w1","to":"9"}"#;
    let expected_out = Transfer { destination: text("17DKe3kk"), client_id: text("w1"), ..expected };
    transfer("asset/withdrawal", out, |transfer| assert_eq!(*transfer, expected_out));
    let phone = r#"{"toAddr":"5550100","areaCode":"1"}"#;
    transfer("asset/withdrawal", phone, |transfer| assert_eq!(transfer.uncounted, Some("areaCode")));
    let user = r#"{"toAddr":"5550100","areaCode":"","toAddrType":"2"}"#;
    transfer("asset/withdrawal", user, |transfer| assert_eq!(transfer.uncounted, Some("toAddrType")));
}

/// By type 2 `subAcct` is where the funds come from, and by 3 `to` is a pocket of the master account.
#[test]
fn a_destination_is_one_only_where_the_kind_of_transfer_heeds_it() {
    let (to, sub_account) = (r#""to":"18""#, r#""to":"18","subAcct":"sub1""#);
    for (members, kind, expected) in [
        (to, "", text("18")),
        (to, r#","type":"""#, text("18")),
        (to, r#","type":"0""#, text("18")),
        (to, r#","type":0"#, text("18")),
        (to, r#","type":"1""#, Fact::Unreadable),
        (to, r#","type":"3""#, Fact::Unreadable),
        (to, r#","type":"00""#, Fact::Unreadable),
        (to, r#","type":{}"#, Fact::Unreadable),
        (to, r#","TYPE":"0""#, Fact::Unreadable),
        (sub_account, r#","type":"1""#, text("sub1")),
        (sub_account, r#","type":4"#, text("sub1")),
        (sub_account, r#","type":"0""#, Fact::Unreadable),
        (sub_account, "", Fact::Unreadable),
        (sub_account, r#","type":"2""#, Fact::Unreadable),
        (sub_account, r#","type":"3""#, Fact::Unreadable),
    ] {
        let body = format!("{{{members}{kind}}}");
        transfer("asset/transfer", &body, |transfer| assert_eq!(transfer.destination, expected, "{body}"));
    }
}

#[test]
fn a_destination_may_be_a_whole_number() {
    for (written, expected) in [
        ("6", text("6")),
        ("\"6\"", text("6")),
        ("123456789012345", text("123456789012345")),
        ("1234567890123456", Fact::Unreadable),
        ("6.0", Fact::Unreadable),
        ("6e0", Fact::Unreadable),
        ("-6", Fact::Unreadable),
        ("true", Fact::Unreadable),
        ("[6]", Fact::Unreadable),
        (r#""ü""#, Fact::Unreadable),
        ("null", Fact::Absent),
    ] {
        let body = format!(r#"{{"to":{written}}}"#);
        transfer("asset/transfer", &body, |transfer| assert_eq!(transfer.destination, expected, "{written}"));
    }
    let unreadable = r#"{"subAcct":{},"to":"6"}"#;
    transfer("asset/transfer", unreadable, |transfer| assert_eq!(transfer.destination, Fact::Unreadable));
}

#[test]
fn names_of_instruments_are_known_by_their_form() {
    for name in
        ["BTC-USDT", "1INCH-USDT", "BTC-USDT-SWAP", "BTC-USD-260925", "BTC-USD_UM-SWAP", "BTC-USD-260925-70000-C"]
    {
        assert!(OKX.is_instrument(name), "{name}");
    }
    for name in ["", "*", "BTC", "BTCUSDT", "BTC/USDT", "btc-usdt", "BTC-USDT ", "BTC-USDT-"] {
        assert!(!OKX.is_instrument(name), "{name}");
    }
}

#[test]
fn texts_without_escapes_are_not_copied() {
    let wanted = post(ORDER, r#"{"instId":"BTC-USDT","clOrdId":"\u0062"}"#);
    let Subject::Orders(orders) = OKX.read(&wanted).unwrap().facts.subject else { panic!("orders") };
    assert!(matches!(orders[0].instrument, Fact::Is(Cow::Borrowed("BTC-USDT"))));
    assert!(matches!(orders[0].client_id, Fact::Is(Cow::Owned(_))));
}

proptest! {
    #[test]
    fn nothing_in_a_body_makes_it_panic(
        name in "[a-zA-Z]{0,10}|sz|px|side|ordType|posSide|timeOut|to",
        value in "\\PC{0,8}|[-0-9.e]{0,30}",
        path in prop_oneof![Just(ORDER), Just(ALGO), Just(AMEND_ALGO), Just("trade/cancel-all-after"), Just("asset/transfer")],
    ) {
        let body = json!({ name: value }).to_string();
        let _whatever_it_says = with_facts(path, &body, |facts| facts.effect);
    }
}
