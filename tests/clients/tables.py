"""What each ready policy of config/policies is for, and one step over each of its limits. policies.py runs these tables."""
import json

from clients import client_id, ok
from steps import (ALGO, AMEND, AMEND_ALGO, AMEND_BATCH, BALANCE, BATCH, BTC, BTC_SWAP, CANCEL, CANCEL_ALGO, CANCEL_BATCH, CLOSE, ETH,
                   ETH_SWAP, LEVERAGE, ORDER, SOL, SOL_SWAP, TRANSFER, Case, admin, ask, burst, buy, cancel, denied, edit, leverage,
                   move, noted, okx_algo, okx_amend, okx_cancel, okx_move, okx_order, okx_orders, okx_quote, order, passes,
                   patient, pause, quotes, sell, then, withdraw)

# --- steps that several policies share ---

MARKETS = [passes(lambda bot: bot.ccxt.load_markets(True), "GET /api/v5/asset/currencies")]
SPOT_READS = [
    passes(lambda bot: bot.ccxt.fetch_balance(), BALANCE),
    passes(lambda bot: bot.ccxt.fetch_open_orders(BTC), "GET /api/v5/trade/orders-pending"),
    passes(lambda bot: bot.ccxt.fetch_closed_orders(BTC), "GET /api/v5/trade/orders-history"),
    passes(lambda bot: bot.ccxt.fetch_canceled_orders(BTC), "GET /api/v5/trade/orders-history"),
    passes(lambda bot: bot.ccxt.fetch_my_trades(BTC), "GET /api/v5/trade/fills-history"),
]
STOP_READS = [
    passes(lambda bot: bot.ccxt.fetch_open_orders(BTC, params={"stop": True, "ordType": "conditional"}), "GET /api/v5/trade/orders-algo-pending"),
    passes(lambda bot: bot.ccxt.fetch_closed_orders(BTC, params={"stop": True, "ordType": "conditional"}), "GET /api/v5/trade/orders-algo-history"),
    passes(lambda bot: bot.ccxt.fetch_closed_orders(BTC, params={"method": "privateGetTradeOrdersHistoryArchive"}),
           "GET /api/v5/trade/orders-history-archive"),
]
SWAP_READS = [
    passes(lambda bot: bot.ccxt.fetch_positions([BTC_SWAP]), "GET /api/v5/account/positions"),
    passes(lambda bot: bot.ccxt.fetch_accounts(), "GET /api/v5/account/config"),
    passes(lambda bot: bot.ccxt.fetch_leverage(BTC_SWAP, {"mgnMode": "isolated"}), "GET /api/v5/account/leverage-info"),
    passes(lambda bot: bot.ccxt.fetch_funding_history(BTC_SWAP), "GET /api/v5/account/bills-archive"),
]
OKX_READS = [
    passes(lambda bot: ok(bot.account.get_account_balance()), BALANCE),
    passes(lambda bot: ok(bot.account.get_positions()), "GET /api/v5/account/positions"),
    passes(lambda bot: ok(bot.trade.get_order_list()), "GET /api/v5/trade/orders-pending"),
    passes(lambda bot: ok(bot.funding.get_balances()), "GET /api/v5/asset/balances"),
]
NO_FUNDS = [denied("grant", withdraw), denied("grant", okx_move("USDT", "1", "18", "6"))]


def fetching(place, symbol, **params):
    """Places an order, and reads it back."""
    return then(place, lambda bot, number: bot.ccxt.fetch_order(number, symbol, params))


def rate():
    """requests_per_second: the first in a second, and those behind it."""
    return Case("limits.requests_per_second", {"requests_per_second": "1"},
                [passes(ask("GET", "/api/v5/account/balance")), denied("rate", burst)])


def alone(key, value):
    """This limit without those like it, which may not be larger than that of a longer window."""
    kind = key[:key.index("_per_")]
    return {**{f"{kind}_per_{span}": None for span in ("minute", "hour", "day")}, key: value}


def orders_per(span, place, seen, *more):
    """orders_per_…: two, and the third. What does not place orders goes on."""
    key = f"orders_per_{span}"
    return Case(f"limits.{key}", alone(key, "2"), [passes(place, seen), passes(place, seen), denied("limit", place), *more])


def notional_per(span, most, within, seen, over):
    """notional_per_…: as much as there is, and a little more on top."""
    key = f"notional_per_{span}"
    return Case(f"limits.{key}", alone(key, f'"{most}"'), [passes(within, *seen), denied("limit", over)])


def one_id_one_order(inst_id, size, price, kind="limit"):
    """Rolling limits need a client id, and one stands for one body; the same body may be signed again."""
    once, again = client_id(), client_id()
    body = json.dumps({"instId": inst_id, "tdMode": "cash", "side": "buy", "ordType": kind, "sz": size, "px": price, "clOrdId": again})
    path = "/api/v5/trade/order"
    return Case("client ids", {}, [
        denied("order.client_id", okx_order(inst_id, "buy", kind, size, price, clOrdId="")),
        passes(okx_order(inst_id, "buy", kind, size, price, clOrdId=once), ORDER),
        denied("replay", okx_order(inst_id, "sell", kind, size, price, clOrdId=once)),
        passes(ask("POST", path, body)), passes(ask("POST", path, body)),
        denied("replay", ask("POST", path, body.replace("buy", "sell"))),
        denied("replay", okx_orders(*[{**okx_quote(inst_id, "buy", size, price), "ordType": kind, "clOrdId": "twice" + again[:20]}] * 2)),
    ])


# --- the tables, one for each file ---

READ_ONLY_MONITOR = [
    Case("what a monitor does", {}, MARKETS + SPOT_READS + STOP_READS + SWAP_READS + OKX_READS + [
        passes(lambda bot: bot.ccxt.fetch_ledger(), "GET /api/v5/account/bills"),
        passes(lambda bot: bot.ccxt.fetch_deposits(), "GET /api/v5/asset/deposit-history"),
        passes(lambda bot: bot.ccxt.fetch_withdrawals(), "GET /api/v5/asset/withdrawal-history"),
        passes(lambda bot: bot.ccxt.fetch_trading_fee(BTC), "GET /api/v5/account/trade-fee"),
    ]),
    Case("grants", {}, NO_FUNDS + [
        denied("grant", buy(BTC, 0.001, 50000)),
        denied("grant", order(BTC, "market", "sell", 0.001)),
        denied("grant", order(BTC, "market", "sell", 0.001, stopLossPrice=40000)),
        denied("grant", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.001, 50000)),
        denied("grant", lambda bot: bot.ccxt.cancel_order("1", BTC)),
        denied("grant", lambda bot: bot.ccxt.close_position(BTC_SWAP)),
        denied("grant", leverage(BTC_SWAP, mgnMode="cross")),
        denied("grant", okx_order("BTC-USDT", "buy", "limit", "0.001", "50000")),
        denied("grant", lambda bot: bot.trade.close_positions("BTC-USDT-SWAP", "cross")),
        denied("grant", lambda bot: bot.signer.vault.session()),
    ]),
    rate(),
]

FREQTRADE_SPOT = [
    Case("what freqtrade does", {}, MARKETS + SPOT_READS + STOP_READS + [
        passes(then(buy(BTC, 0.01, 50000), edit(BTC, 0.011, 50100), cancel(BTC)), BATCH, AMEND, CANCEL),
        passes(fetching(buy(BTC, 0.01, 50000, timeInForce="GTC"), BTC), BATCH, "GET /api/v5/trade/order"),
        passes(sell(ETH, 0.4, 2600), BATCH),
        passes(buy(BTC, 0.01, 60000, timeInForce="IOC"), BATCH),
        passes(buy(BTC, 0.01, 60000, timeInForce="FOK"), BATCH),
        passes(buy(BTC, 0.01, 50000, timeInForce="PO"), BATCH),
        passes(order(BTC, "market", "buy", 0.01), BATCH),
        passes(order(BTC, "market", "sell", 0.01), BATCH),
        # stoploss_on_exchange, at a limit and at the market
        passes(fetching(sell(BTC, 0.01, 39000, stopLossPrice=40000, tdMode="cash"), BTC, stop=True), ALGO, "GET /api/v5/trade/order-algo"),
        passes(then(order(BTC, "market", "sell", 0.01, stopLossPrice=40000, tdMode="cash"), cancel(BTC, stop=True)), ALGO, CANCEL_ALGO),
    ]),
    Case("grants", {}, NO_FUNDS + [denied("grant", leverage(BTC_SWAP, mgnMode="cross"))]),
    Case("order.instruments", {}, [
        passes(buy(ETH, 0.1, 2000), BATCH),
        denied("order.instrument", buy(SOL, 0.1, 100)),
        denied("order.instrument", buy(BTC_SWAP, 1, 50000)),
        denied("order.instrument", order(SOL, "market", "sell", 0.1, stopLossPrice=100)),
        denied("order.instrument", lambda bot: bot.trade.close_positions("BTC-USDT-SWAP", "cross")),
        denied("order.instrument", okx_orders(okx_quote("BTC-USDT", "buy", "0.001", "50000"), okx_quote("SOL-USDT", "buy", "0.1", "100"))),
    ]),
    Case("order.sides", {"sides": '["buy"]'}, [passes(buy(BTC, 0.01, 50000), BATCH), denied("order.side", sell(BTC, 0.01, 70000))]),
    Case("order.types", {}, [
        denied("order.type", order(BTC, "market", "sell", 0.01, trailingPercent=1)),
        denied("order.type", buy(BTC, 0.01, 50000, triggerPrice=51000)),
        denied("order.type", okx_order("BTC-USDT", "buy", "optimal_limit_ioc", "0.01")),
    ]),
    Case("order.max_size", {}, [
        passes(buy(BTC, 0.02, 50000), BATCH), denied("order.size", buy(BTC, 0.02000001, 50000)),
        passes(order(ETH, "market", "sell", 0.5), BATCH), denied("order.size", order(ETH, "market", "sell", 0.50000001)),
        passes(order(BTC, "market", "sell", 0.02, stopLossPrice=40000), ALGO),
        denied("order.size", order(BTC, "market", "sell", 0.02000001, stopLossPrice=40000)),
        denied("order.size", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.02000001, 50000)),
        denied("field_uncounted", buy(BTC, 0.01, 50000, stopLoss={"triggerPrice": 40000})),
    ]),
    Case("order.max_notional", {}, [
        passes(buy(BTC, 0.02, 75000), BATCH), denied("order.notional", buy(BTC, 0.02, 75000.1)),
        passes(sell(ETH, 0.5, 3000), BATCH), denied("order.notional", sell(ETH, 0.5, 3000.01)),
        denied("order.notional", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.02, 75000.1)),
        denied("order.notional", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", None, 50000)),
    ]),
    # In quote currency: 0.02 BTC are 1200 USDT at the reference price.
    Case("order.reference_price", {}, [
        passes(lambda bot: bot.ccxt.create_market_buy_order_with_cost(BTC, 1200), BATCH),
        denied("order.size", lambda bot: bot.ccxt.create_market_buy_order_with_cost(BTC, 1200.1)),
        admin("policy", "reference", "set", "{name}", "BTC-USDT", "80000"),
        denied("order.notional", order(BTC, "market", "buy", 0.02)),
        denied("order.notional", sell(BTC, 0.02, 1)),
        passes(sell(BTC, 0.018, 1), BATCH),
    ]),
    rate(),
    orders_per("hour", buy(BTC, 0.001, 50000), BATCH, denied("limit", order(BTC, "market", "sell", 0.001, stopLossPrice=40000)),
               *SPOT_READS),
    orders_per("day", order(ETH, "market", "sell", 0.01), BATCH),
    one_id_one_order("BTC-USDT", "0.001", "50000"),
]

ISOLATED = {"tdMode": "isolated", "posSide": "net"}  # what freqtrade adds to every order

FREQTRADE_FUTURES = [
    Case("what freqtrade does", {}, MARKETS + SPOT_READS + STOP_READS + SWAP_READS + [
        passes(leverage(BTC_SWAP, mgnMode="isolated", posSide="net"), LEVERAGE),
        passes(lambda bot: bot.ccxt.set_margin_mode("isolated", BTC_SWAP, {"lever": 3}), LEVERAGE),
        passes(then(buy(BTC_SWAP, 1, 50000, **ISOLATED), cancel(BTC_SWAP)), BATCH, CANCEL),
        passes(fetching(sell(ETH_SWAP, 1, 4000, **ISOLATED), ETH_SWAP), BATCH, "GET /api/v5/trade/order"),
        passes(order(BTC_SWAP, "market", "buy", 1, **ISOLATED), BATCH),
        passes(order(BTC_SWAP, "market", "sell", 1, reduceOnly=True, **ISOLATED), BATCH),
        passes(sell(BTC_SWAP, 1, 70000, reduceOnly=True, **ISOLATED), BATCH),
        passes(order(BTC_SWAP, "market", "sell", 1, reduceOnly=True, tdMode="isolated", posSide="long"), BATCH),  # long/short mode
        passes(fetching(sell(BTC_SWAP, 1, 49000, stopLossPrice=50000, reduceOnly=True, slTriggerPxType="mark", **ISOLATED), BTC_SWAP, stop=True),
               ALGO, "GET /api/v5/trade/order-algo"),
        passes(then(order(BTC_SWAP, "market", "sell", 1, stopLossPrice=50000, reduceOnly=True, **ISOLATED), cancel(BTC_SWAP, stop=True)),
               ALGO, CANCEL_ALGO),
    ]),
    Case("grants", {}, NO_FUNDS),
    Case("endpoints", {}, [
        denied("endpoint", lambda bot: bot.ccxt.set_position_mode(True)),
        denied("endpoint", lambda bot: bot.ccxt.close_position(BTC_SWAP)),
        denied("endpoint", lambda bot: bot.ccxt.fetch_deposits()),
    ]),
    Case("order.instruments", {}, [
        passes(buy(ETH_SWAP, 1, 2000), BATCH),
        denied("order.instrument", buy(SOL_SWAP, 1, 100)),
        denied("order.instrument", buy(BTC, 0.01, 50000)),
        denied("order.instrument", order(SOL_SWAP, "market", "sell", 1, stopLossPrice=100, reduceOnly=True)),
    ]),
    Case("order.types", {}, [
        denied("order.type", order(BTC_SWAP, "market", "sell", 1, trailingPercent=1)),
        denied("order.type", buy(BTC_SWAP, 1, 50000, triggerPrice=51000)),
    ]),
    Case("order.max_size", {}, [
        passes(buy(BTC_SWAP, 20, 50000), BATCH), denied("order.size", buy(BTC_SWAP, 20.01, 50000)),
        passes(order(ETH_SWAP, "market", "sell", 30), BATCH), denied("order.size", order(ETH_SWAP, "market", "sell", 30.01)),
        passes(order(BTC_SWAP, "market", "sell", 20, stopLossPrice=50000, reduceOnly=True), ALGO),
        denied("order.size", order(BTC_SWAP, "market", "sell", 20.01, stopLossPrice=50000, reduceOnly=True)),
        denied("order.size", order(BTC_SWAP, "market", "sell", 1, stopLossPrice=50000, closeFraction=1)),
        denied("field_uncounted", buy(BTC_SWAP, 1, 50000, stopLoss={"triggerPrice": 40000})),
    ]),
    rate(),
    orders_per("hour", buy(BTC_SWAP, 1, 50000), BATCH, denied("limit", order(BTC_SWAP, "market", "sell", 1, stopLossPrice=50000))),
    orders_per("day", order(ETH_SWAP, "market", "sell", 1, reduceOnly=True), BATCH),
]

QUOTE = quotes(BTC, 0.01, 59000, 1)  # worth 590 USDT

SPOT_MAKER = [
    Case("what a market maker does", {}, MARKETS + SPOT_READS + OKX_READS + [
        passes(quotes(BTC, 0.01, 59000, 20), BATCH),
        passes(okx_orders(*[okx_quote("ETH-USDT", "sell", "0.1", "2550")] * 20), BATCH),
        passes(then(buy(BTC, 0.01, 59000, postOnly=True), edit(BTC, 0.02, 59500), cancel(BTC)), BATCH, AMEND, CANCEL),
        passes(then(okx_order("BTC-USDT", "sell", "post_only", "0.01", "61000"), okx_amend("BTC-USDT", newSz="0.02", newPx="61100"),
                    okx_cancel("BTC-USDT")), ORDER, AMEND, CANCEL),
        passes(then(QUOTE, lambda bot, number: bot.ccxt.edit_orders(
            [{"id": number, "symbol": BTC, "type": "limit", "side": "buy", "amount": 0.02, "price": 59100}])), BATCH, AMEND_BATCH),
        passes(then(QUOTE, lambda bot, number: ok(bot.trade.amend_multiple_orders(
            [{"instId": "BTC-USDT", "ordId": number, "newSz": "0.02", "newPx": "59100"}]))), BATCH, AMEND_BATCH),
        passes(then(QUOTE, lambda bot, number: bot.ccxt.cancel_orders([number], BTC)), BATCH, CANCEL_BATCH),
        passes(then(QUOTE, lambda bot, number: ok(bot.trade.cancel_multiple_orders([{"instId": "BTC-USDT", "ordId": number}]))),
               BATCH, CANCEL_BATCH),
    ]),
    Case("grants", {}, NO_FUNDS + [denied("grant", leverage(BTC_SWAP, mgnMode="cross"))]),
    Case("batches", {}, [
        denied("field_uncounted", quotes(BTC, 0.01, 59000, 21)),
        denied("order.size", okx_orders(*[okx_quote("BTC-USDT", "buy", "0.01", "59000")] * 19, okx_quote("BTC-USDT", "buy", "0.11", "59000"))),
    ]),
    Case("order.instruments", {}, [
        passes(quotes(ETH, 0.1, 2450, 1), BATCH), denied("order.instrument", quotes(SOL, 1, 150, 1)),
        denied("order.instrument", lambda bot: bot.ccxt.edit_order("1", SOL, "limit", "buy", 1, 150)),
    ]),
    Case("order.types", {}, [
        denied("order.type", buy(BTC, 0.01, 59000)),
        denied("order.type", order(BTC, "market", "buy", 0.01)),
        denied("order.type", order(BTC, "market", "sell", 0.01, stopLossPrice=50000)),
    ]),
    Case("order.max_size", {}, [passes(quotes(BTC, 0.1, 59000, 1), BATCH), denied("order.size", quotes(BTC, 0.10000001, 59000, 1)),
                                passes(quotes(ETH, 2, 2450, 1), BATCH), denied("order.size", quotes(ETH, 2.00000001, 2450, 1)),
                                denied("order.size", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.10000001, 59000))]),
    Case("order.max_notional", {"max_notional": '"600"'}, [
        passes(quotes(BTC, 0.01, 60000, 1), BATCH), denied("order.notional", quotes(BTC, 0.01, 60000.1, 1)),
        passes(okx_order("BTC-USDT", "sell", "post_only", "0.01", "58500"), ORDER),
        denied("order.notional", okx_order("BTC-USDT", "sell", "post_only", "0.0101", "58500")),
        denied("order.notional", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.01, 60000.1)),
        denied("order.notional", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", None, 59000)),
        denied("order.notional", lambda bot: bot.trade.amend_order("BTC-USDT", ordId="1", newSz="0.01")),
    ]),
    Case("order.max_price_deviation order.reference_price", {}, [
        passes(quotes(BTC, 0.01, 58200, 1), BATCH), denied("order.price", quotes(BTC, 0.01, 58199.9, 1)),
        passes(sell(BTC, 0.01, 61800, postOnly=True), BATCH), denied("order.price", sell(BTC, 0.01, 61800.1, postOnly=True)),
        denied("order.price", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.01, 61800.1)),
        admin("policy", "reference", "set", "{name}", "BTC-USDT", "70000"),
        denied("order.price", quotes(BTC, 0.01, 58200, 1)), passes(quotes(BTC, 0.01, 70000, 1), BATCH),
    ]),
    Case("order.reference_price_max_age", {"reference_price_max_age": '"1s"'}, [
        admin("policy", "reference", "set", "{name}", "ETH-USDT", "2500"), pause(1.2),
        denied("order.price", quotes(ETH, 0.1, 2500, 1)),
        passes(lambda bot: bot.ccxt.fetch_open_orders(ETH), "GET /api/v5/trade/orders-pending"),
    ]),
    rate(),
    orders_per("minute", QUOTE, BATCH, passes(lambda bot: bot.ccxt.fetch_balance(), BALANCE)),
    orders_per("hour", okx_order("BTC-USDT", "buy", "post_only", "0.01", "59000"), ORDER),
    orders_per("day", QUOTE, BATCH, denied("limit", quotes(BTC, 0.01, 59000, 2))),
    notional_per("hour", "1180", quotes(BTC, 0.01, 59000, 2), [BATCH], quotes(BTC, 0.0001, 59000, 1)),
    # An amend counts like an order: 590 and 600.
    notional_per("day", "1190", then(QUOTE, edit(BTC, 0.01, 60000), cancel(BTC)), [BATCH, AMEND, CANCEL], quotes(BTC, 0.0001, 59000, 1)),
    one_id_one_order("BTC-USDT", "0.01", "59000", "post_only"),
]

REDUCING = {"reduceOnly": True}

SWAP_REDUCE_ONLY = [
    Case("what a risk guard does", {}, MARKETS + SWAP_READS + OKX_READS + [
        passes(order(BTC_SWAP, "market", "sell", 1, **REDUCING), BATCH),
        passes(then(sell(BTC_SWAP, 1, 70000, **REDUCING), edit(BTC_SWAP, 2, 71000, side="sell"), cancel(BTC_SWAP)), BATCH, AMEND, CANCEL),
        passes(sell(BTC_SWAP, 1, 60000, timeInForce="IOC", **REDUCING), BATCH),
        passes(order(ETH_SWAP, "market", "sell", 1, hedged=True, **REDUCING), BATCH),  # ccxt sends posSide = long in its place
        passes(then(order(BTC_SWAP, "market", "sell", 1, stopLossPrice=50000, **REDUCING), cancel(BTC_SWAP, stop=True)), ALGO, CANCEL_ALGO),
        passes(order(BTC_SWAP, "market", "sell", 1, takeProfitPrice=70000, **REDUCING), ALGO),
        passes(order(BTC_SWAP, "market", "sell", 1, takeProfitPrice=70000, stopLossPrice=50000, **REDUCING), ALGO),
        passes(order(BTC_SWAP, "market", "sell", 1, stopLossPrice=50000, closeFraction=1, **REDUCING), ALGO),
        passes(okx_order("BTC-USDT-SWAP", "sell", "market", "1", mode="cross", reduceOnly="true"), ORDER),
        passes(okx_algo("BTC-USDT-SWAP", "sell", "conditional", "1", mode="cross", slTriggerPx="50000", slOrdPx="-1", reduceOnly="true"), ALGO),
        passes(lambda bot: bot.ccxt.close_position(BTC_SWAP), CLOSE),
        passes(lambda bot: ok(bot.trade.close_positions("ETH-USDT-SWAP", "cross")), CLOSE),
    ]),
    Case("grants", {}, NO_FUNDS + [denied("grant", leverage(BTC_SWAP, mgnMode="cross"))]),
    Case("order.reduce_only", {}, [
        denied("order.reduce_only", order(BTC_SWAP, "market", "buy", 1)),
        denied("order.reduce_only", buy(BTC_SWAP, 1, 50000)),
        denied("order.reduce_only", buy(BTC_SWAP, 1, 50000, reduceOnly=False)),
        denied("order.reduce_only", buy(BTC_SWAP, 1, 50000, posSide="long", **REDUCING)),  # with posSide, OKX passes over reduceOnly
        denied("order.reduce_only", order(BTC_SWAP, "market", "sell", 1, stopLossPrice=50000)),
        denied("order.reduce_only", okx_order("BTC-USDT-SWAP", "buy", "market", "1", mode="cross")),
        denied("order.reduce_only", okx_orders(
            {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "sell", "ordType": "market", "sz": "1", "reduceOnly": "true"},
            {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "buy", "ordType": "market", "sz": "1"})),
    ]),
    Case("order.instruments", {}, [
        passes(order(ETH_SWAP, "market", "sell", 1, **REDUCING), BATCH),
        denied("order.instrument", order(SOL_SWAP, "market", "sell", 1, **REDUCING)),
        denied("order.instrument", sell(BTC, 0.1, 70000, **REDUCING)),
        denied("order.instrument", lambda bot: bot.ccxt.close_position(SOL_SWAP)),
        denied("order.instrument", lambda bot: bot.trade.close_positions("SOL-USDT-SWAP", "cross")),
    ]),
    Case("order.types", {}, [denied("order.type", order(BTC_SWAP, "market", "sell", 1, trailingPercent=1, **REDUCING))]),
    rate(),
]

REBALANCER = [
    Case("what a rebalancer does", {}, MARKETS + SPOT_READS + [
        passes(then(buy(BTC, 0.1, 50000), cancel(BTC)), BATCH, CANCEL),
        passes(fetching(sell(ETH, 1, 3000, postOnly=True), ETH), BATCH, "GET /api/v5/trade/order"),
        passes(buy(BTC, 0.1, 60000, timeInForce="IOC"), BATCH),
        passes(then(okx_order("BTC-USDT", "buy", "limit", "0.01", "50000"), okx_cancel("BTC-USDT")), ORDER, CANCEL),
        passes(move("USDT", 100, "funding", "trading"), TRANSFER),
        passes(move("USDT", 100, "trading", "funding"), TRANSFER),
        passes(okx_move("BTC", "0.1", "6", "18"), TRANSFER),
        passes(okx_move("BTC", "0.1", "18", "6"), TRANSFER),
        passes(lambda bot: bot.ccxt.fetch_transfer(bot.ccxt.transfer("USDT", 1, "funding", "trading")["id"]), TRANSFER,
               "GET /api/v5/asset/transfer-state"),
        passes(lambda bot: ok(bot.funding.get_balances()), "GET /api/v5/asset/balances"),
    ]),
    Case("grants", {}, [denied("grant", withdraw), denied("grant", leverage(BTC_SWAP, mgnMode="cross"))]),
    Case("endpoints", {}, [
        denied("endpoint", order(BTC, "market", "sell", 0.001, stopLossPrice=40000)),
        denied("endpoint", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", 0.1, 50000)),
        denied("endpoint", ask("POST", "/api/v5/asset/subaccount/transfer", '{"ccy":"USDT","amt":"1","from":"6","to":"6"}')),
        denied("endpoint", ask("POST", "/api/v5/finance/savings/purchase-redempt", '{"ccy":"USDT","amt":"1","side":"purchase"}')),
    ]),
    Case("transfer.addresses", {}, [
        denied("transfer", okx_move("USDT", "1", "6", "6", type="1", subAcct="mine")),
        denied("transfer", okx_move("USDT", "1", "6", "17")),
        denied("transfer", lambda bot: bot.funding.funds_transfer("USDT", "1", "6", "")),
    ]),
    Case("transfer.max_amount", {}, [
        passes(move("USDT", 20000, "funding", "trading"), TRANSFER), denied("transfer", move("USDT", 20000.01, "funding", "trading")),
        passes(okx_move("BTC", "0.5", "6", "18"), TRANSFER), denied("transfer", okx_move("BTC", "0.50000001", "6", "18")),
        denied("transfer", okx_move("ETH", "0.1", "6", "18")),
    ]),
    Case("order.instruments", {}, [passes(buy(ETH, 1, 2000), BATCH), denied("order.instrument", buy(SOL, 1, 100))]),
    Case("order.types", {}, [
        denied("order.type", order(BTC, "market", "sell", 0.01)),
        denied("order.type", buy(BTC, 0.01, 50000, timeInForce="FOK")),
    ]),
    Case("order.max_size", {}, [passes(buy(BTC, 0.2, 50000), BATCH), denied("order.size", buy(BTC, 0.20000001, 50000)),
                                passes(sell(ETH, 4, 3000), BATCH), denied("order.size", sell(ETH, 4.00000001, 3000))]),
    Case("order.max_notional", {}, [passes(buy(BTC, 0.2, 75000), BATCH), denied("order.notional", buy(BTC, 0.2, 75000.1)),
                                    passes(sell(ETH, 4, 3750), BATCH), denied("order.notional", sell(ETH, 4, 3750.01))]),
    Case("order.reference_price", {}, [
        passes(sell(BTC, 0.2, 1), BATCH),
        admin("policy", "reference", "set", "{name}", "BTC-USDT", "75000.1"), denied("order.notional", sell(BTC, 0.2, 1)),
    ]),
    rate(),
    orders_per("hour", buy(BTC, 0.01, 50000), BATCH, passes(move("USDT", 1, "funding", "trading"), TRANSFER)),
    orders_per("day", okx_order("BTC-USDT", "buy", "limit", "0.01", "50000"), ORDER),
    notional_per("day", "500", buy(BTC, 0.01, 50000), [BATCH], sell(ETH, 0.001, 3000)),
    one_id_one_order("BTC-USDT", "0.01", "50000"),
]

CCXT_GENERAL = [
    Case("what a bot does", {}, MARKETS + SPOT_READS + STOP_READS + SWAP_READS + OKX_READS + [
        passes(then(buy(BTC, 0.01, 50000), edit(BTC, 0.02, 51000), cancel(BTC)), BATCH, AMEND, CANCEL),
        passes(then(okx_order("BTC-USDT", "buy", "limit", "0.01", "50000"), okx_amend("BTC-USDT", newSz="0.02", newPx="51000"),
                    okx_cancel("BTC-USDT")), ORDER, AMEND, CANCEL),
        passes(order(BTC, "market", "buy", 0.01), BATCH),
        passes(lambda bot: bot.ccxt.create_market_buy_order_with_cost(BTC, 100), BATCH),
        passes(order(BTC_SWAP, "market", "sell", 1, **REDUCING), BATCH),
        passes(then(order(BTC, "market", "sell", 0.01, stopLossPrice=50000), cancel(BTC, trigger=True)), ALGO, CANCEL_ALGO),
        passes(then(order(BTC_SWAP, "limit", "sell", 1, 70000, takeProfitPrice=69000, **REDUCING),
                    edit(BTC_SWAP, 2, None, "conditional", "sell", takeProfitPrice=69500, newTpOrdPx=70000)), ALGO, AMEND_ALGO),
        passes(order(BTC_SWAP, "market", "sell", 1, takeProfitPrice=70000, stopLossPrice=50000, **REDUCING), ALGO),
        passes(buy(BTC, 0.01, 50000, triggerPrice=51000), ALGO),
        passes(okx_algo("BTC-USDT", "sell", "conditional", "0.01", slTriggerPx="50000", slOrdPx="-1"), ALGO),
        passes(quotes(BTC, 0.01, 50000, 5), BATCH),
        passes(okx_orders(*[okx_quote("ETH-USDT", "buy", "0.1", "2000")] * 5), BATCH),
        passes(leverage(BTC_SWAP, marginMode="cross"), LEVERAGE),
        passes(lambda bot: ok(bot.account.set_leverage("5", "cross", "BTC-USDT-SWAP")), LEVERAGE),
        passes(lambda bot: bot.ccxt.close_position(BTC_SWAP), CLOSE),
        passes(lambda bot: ok(bot.trade.close_positions("ETH-USDT-SWAP", "cross")), CLOSE),
    ]),
    Case("grants", {}, NO_FUNDS + [denied("grant", lambda bot: bot.signer.vault.session())]),
    Case("order.instruments", {}, [
        denied("order.instrument", buy(SOL, 1, 100)), denied("order.instrument", buy(SOL_SWAP, 1, 100)),
        denied("order.instrument", lambda bot: bot.ccxt.close_position(SOL_SWAP)),
    ]),
    Case("order.types", {}, [denied("order.type", order(BTC, "market", "sell", 0.01, trailingPercent=1)),
                             denied("order.type", okx_algo("BTC-USDT", "buy", "twap", "0.1", szLimit="0.01", pxLimit="60000", timeInterval="10"))]),
    Case("order.max_size", {}, [
        passes(buy(BTC, 0.2, 50000), BATCH), denied("order.size", buy(BTC, 0.20000001, 50000)),
        passes(order(ETH, "market", "sell", 4), BATCH), denied("order.size", buy(ETH, 5.00000001, 100)),
        passes(buy(BTC_SWAP, 20, 50000), BATCH), denied("order.size", buy(BTC_SWAP, 20.01, 100)),
        passes(buy(ETH_SWAP, 50, 100), BATCH), denied("order.size", okx_order("ETH-USDT-SWAP", "buy", "limit", "50.01", "100", mode="cross")),
        passes(order(BTC, "market", "sell", 0.16, stopLossPrice=50000), ALGO),
        denied("order.size", okx_algo("BTC-USDT", "sell", "conditional", "0.21", slTriggerPx="50000", slOrdPx="-1")),
        denied("order.size", lambda bot: bot.trade.amend_order("BTC-USDT", ordId="1", newSz="0.21", newPx="100")),
    ]),
    Case("order.max_notional", {}, [
        passes(buy(BTC, 0.2, 50000), BATCH), denied("order.notional", buy(BTC, 0.2, 50000.1)),
        passes(buy(ETH_SWAP, 50, 2000), BATCH), denied("order.notional", buy(ETH_SWAP, 50, 2000.01)),
        # a stop counts at its trigger, a limit order beside it at its price, both at least at the reference price
        passes(order(BTC_SWAP, "market", "sell", 10, takeProfitPrice=100000), ALGO),
        denied("order.notional", order(BTC_SWAP, "market", "sell", 10, takeProfitPrice=100000.1)),
        denied("order.notional", lambda bot: bot.ccxt.edit_order("1", BTC, "limit", "buy", None, 50000)),
        denied("order.notional", lambda bot: bot.trade.amend_order("BTC-USDT", ordId="1", newSz="0.1")),
        denied("field_uncounted", buy(BTC, 0.01, 50000, stopLoss={"triggerPrice": 40000})),
    ]),
    # 16.66 contracts are 0.1666 BTC: 9996 USDT at the reference price. A sell counts at least with that.
    Case("order.contract_value order.reference_price", {}, [
        passes(order(BTC_SWAP, "market", "buy", 16.66), BATCH), denied("order.notional", order(BTC_SWAP, "market", "buy", 16.67)),
        passes(sell(BTC_SWAP, 16.66, 1), BATCH), denied("order.notional", sell(BTC_SWAP, 16.67, 1)),
    ]),
    Case("modes", {}, [
        admin("mode", "reduce-only", "--bot", "{name}"),
        denied("mode", buy(BTC_SWAP, 1, 50000)), denied("mode", leverage(BTC_SWAP, marginMode="cross")),
        passes(order(BTC_SWAP, "market", "sell", 1, **REDUCING), BATCH),
        passes(lambda bot: bot.ccxt.close_position(ETH_SWAP), CLOSE),
        admin("mode", "normal", "--bot", "{name}"),
        passes(buy(BTC, 0.01, 50000), BATCH),
        admin("mode", "cancel-only", "--bot", "{name}"),
        denied("mode", order(BTC_SWAP, "market", "sell", 1, **REDUCING)), denied("mode", lambda bot: bot.ccxt.close_position(BTC_SWAP)),
        denied("mode", lambda bot: bot.trade.amend_order("BTC-USDT", ordId="1", newSz="0.01")),
        passes(lambda bot: bot.ccxt.cancel_order(bot.ccxt.fetch_open_orders(BTC)[0]["id"], BTC), "GET /api/v5/trade/orders-pending", CANCEL),
    ]),
    rate(),
    Case("trying again", {"requests_per_second": "1"}, [passes(patient, BALANCE), passes(patient, BALANCE)]),
    orders_per("minute", buy(BTC, 0.01, 50000), BATCH, denied("limit", order(BTC, "market", "sell", 0.01, stopLossPrice=50000)),
               passes(lambda bot: bot.ccxt.close_position(BTC_SWAP), CLOSE)),
    orders_per("day", order(BTC, "market", "sell", 0.01, stopLossPrice=50000), ALGO),
    notional_per("day", "600", order(BTC, "market", "buy", 0.01), [BATCH], buy(ETH_SWAP, 0.01, 2000)),
    one_id_one_order("BTC-USDT", "0.01", "50000"),
]

SHADOW_TRIAL = [
    Case("enforcement order.instruments order.types order.max_size order.max_notional order.reference_price", {}, MARKETS + [
        passes(buy(BTC, 0.01, 50000), BATCH), noted(),
        passes(buy(SOL, 1, 100), BATCH), noted("order.instrument"),
        passes(order(BTC, "market", "buy", 0.01), BATCH),
        passes(buy(BTC, 0.11, 40000), BATCH),
        passes(sell(BTC, 0.09, 1), BATCH),  # 5400 USDT at the reference price
        passes(okx_order("BTC-USDT", "buy", "limit", "0.01", "50000", clOrdId=""), ORDER),
        noted("order.instrument", "order.type", "order.size", "order.notional", "order.client_id"),
    ]),
    Case("limits.orders_per_minute", alone("orders_per_minute", "1"), [passes(QUOTE, BATCH), passes(QUOTE, BATCH), noted("limit")]),
    Case("limits.orders_per_day", alone("orders_per_day", "1"), [passes(QUOTE, BATCH), passes(QUOTE, BATCH), noted("limit")]),
    Case("limits.requests_per_second", {"requests_per_second": "1"}, [passes(burst), noted(*["rate"] * 4)]),
    Case("grants", {}, NO_FUNDS + [denied("grant", leverage(BTC_SWAP, mgnMode="cross"))]),
]

TABLES = {"read-only-monitor": READ_ONLY_MONITOR, "freqtrade-spot": FREQTRADE_SPOT, "freqtrade-futures": FREQTRADE_FUTURES,
          "spot-maker": SPOT_MAKER, "swap-reduce-only": SWAP_REDUCE_ONLY, "rebalancer": REBALANCER, "ccxt-general": CCXT_GENERAL,
          "shadow-trial": SHADOW_TRIAL}
