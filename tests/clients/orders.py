"""The account behind exchange.py: instruments, balances, orders, and what each endpoint answers.

A limit order rests for ever, a market order is filled at once. There is no matching: what counts here is that the
clients can read every answer, and that an order without the members OKX demands is refused. The account begins with a
long position in every swap, so that a bot that may only make positions smaller finds one.
"""
import itertools
from collections import namedtuple
from decimal import Decimal, InvalidOperation

# `public` endpoints need no signature. `run` takes the query or the body and gives (code, data, message).
Endpoint = namedtuple("Endpoint", "public run")

PRICES = {"BTC-USDT": "60000", "ETH-USDT": "3000", "SOL-USDT": "150",
          "BTC-USDT-SWAP": "60010", "ETH-USDT-SWAP": "3001", "SOL-USDT-SWAP": "150.1"}
CONTRACTS = {"BTC": "0.01", "ETH": "0.1", "SOL": "1"}
POSITION = "40"  # contracts, in every swap at the beginning
BALANCES = {"USDT": "100000", "BTC": "2", "ETH": "20"}
FUNDING, TRADING = "6", "18"
RESTING = ("limit", "post_only")
PRICED = RESTING + ("fok", "ioc")
PLAIN = PRICED + ("market", "optimal_limit_ioc")
ALGO = {"conditional": ("slTriggerPx", "tpTriggerPx"), "oco": ("slTriggerPx",), "trigger": ("triggerPx",),
        "move_order_stop": ("callbackRatio", "callbackSpread")}


class Fault(Exception):
    """A refusal with OKX's code and message; inside a list of orders it becomes that item's sCode and sMsg."""


def instrument(inst_id):
    """One row of public/instruments."""
    base, quote, *rest = inst_id.split("-")
    swap = rest == ["SWAP"]
    return {"instType": "SWAP" if swap else "SPOT", "instId": inst_id, "instFamily": f"{base}-{quote}" if swap else "",
            "uly": f"{base}-{quote}" if swap else "", "category": "1", "alias": "", "stk": "", "optType": "",
            "baseCcy": "" if swap else base, "quoteCcy": "" if swap else quote, "settleCcy": quote if swap else "",
            "ctVal": CONTRACTS[base] if swap else "", "ctMult": "1" if swap else "",
            "ctValCcy": base if swap else "", "ctType": "linear" if swap else "", "expTime": "", "listTime": "1548133413000",
            "lever": "100" if swap else "10", "tickSz": "0.1" if base == "BTC" else "0.01",
            "lotSz": "0.01" if swap else "0.00000001", "minSz": "0.01" if swap else "0.00001",
            "maxLmtSz": "10000", "maxMktSz": "1000000", "state": "live"}


def demand(order, *names):
    """Each of these members, as text; 51000 names the first that is missing."""
    for name in names:
        if order.get(name) in (None, "", []):
            raise Fault("51000", f"Parameter {name} error")
    return [str(order[name]) for name in names]


def demand_positive(order, name):
    """A decimal above zero, in the text form it came in."""
    (text,) = demand(order, name)
    try:
        if Decimal(text) > 0:
            return text
    except InvalidOperation:
        pass
    raise Fault("51000", f"Parameter {name} error")


def is_true(value):
    """As OKX reads a flag: a JSON boolean or its text."""
    return value in (True, "true")


class Book:
    """One account: its orders, its positions, its funds, its leverage, and the table of endpoints."""

    def __init__(self, now_ms):
        self.now_ms = now_ms
        self.numbers = itertools.count(700000000000000001)
        self.orders, self.algos, self.leverage, self.transfers = {}, {}, {}, {}
        self.client_ids, self.algo_client_ids = set(), set()
        self.positions = {inst_id: Decimal(POSITION) for inst_id in PRICES if inst_id.endswith("-SWAP")}
        self.funds = {TRADING: {ccy: Decimal(amount) for ccy, amount in BALANCES.items()},
                      FUNDING: {ccy: Decimal(amount) for ccy, amount in BALANCES.items()}}
        self.endpoints = self.table()

    def table(self):
        """Method and path → what to do. Public ones first."""
        public = {"public/time": lambda _: [{"ts": self.ts()}], "system/status": lambda _: [],
                  "public/instruments": self.instruments, "public/position-tiers": self.position_tiers,
                  "public/mark-price": lambda _: [{"instId": i, "markPx": p, "ts": self.ts()} for i, p in PRICES.items()],
                  "market/ticker": self.tickers, "market/tickers": self.tickers, "market/books": self.books,
                  "market/candles": self.candles}
        reads = {"account/config": self.config, "account/balance": self.balance, "account/positions": self.open_positions,
                 "account/leverage-info": self.leverage_info, "account/instruments": self.instruments,
                 "account/bills": lambda _: [], "account/bills-archive": lambda _: [],
                 "account/trade-fee": lambda _: [{"instType": "SPOT", "level": "Lv1", "maker": "-0.0008", "taker": "-0.001"}],
                 "asset/currencies": self.currencies, "asset/balances": self.funding, "asset/transfer-state": self.transfer_state,
                 "asset/deposit-history": lambda _: [], "asset/withdrawal-history": lambda _: [], "trade/order": self.order,
                 "trade/orders-pending": lambda query: self.pending(self.orders, query),
                 "trade/orders-algo-pending": lambda query: self.pending(self.algos, query),
                 "trade/orders-algo-history": self.finished_algos,
                 "trade/orders-history": self.finished, "trade/orders-history-archive": self.finished,
                 "trade/fills": self.fills, "trade/fills-history": self.fills,
                 "trade/order-algo": lambda query: [self.find(self.algos, query, "algoId", "algoClOrdId", "51603")]}
        writes = {"trade/order": self.place, "trade/batch-orders": self.place, "trade/order-algo": self.place_algo,
                  "trade/amend-order": self.amend, "trade/amend-batch-orders": self.amend, "trade/amend-algos": self.amend_algo,
                  "trade/cancel-order": self.cancel, "trade/cancel-batch-orders": self.cancel,
                  "trade/cancel-algos": self.cancel_algo, "trade/close-position": self.close,
                  "trade/cancel-all-after": lambda body: {"triggerTime": "0", "ts": self.ts(), "tag": ""},
                  "asset/transfer": self.transfer, "asset/withdrawal": self.withdraw,
                  "account/set-leverage": self.set_leverage, "account/set-position-mode": lambda body: {"posMode": demand(body, "posMode")[0]}}
        table = {("GET", "/api/v5/" + path): Endpoint(path in public, answering(run)) for path, run in {**reads, **public}.items()}
        table.update({("POST", "/api/v5/" + path): Endpoint(False, judging(run)) for path, run in writes.items()})
        return table

    def ts(self):
        """The exchange's time as OKX writes it."""
        return str(self.now_ms())

    # --- reads ---

    def instruments(self, query):
        """All, or those of one instType."""
        rows = [instrument(inst_id) for inst_id in PRICES]
        return [row for row in rows if query.get("instType") in (None, row["instType"]) and query.get("instId") in (None, row["instId"])]

    def position_tiers(self, query):
        """One tier for every swap of a family."""
        return [{"uly": row["uly"], "instFamily": row["instFamily"], "instId": "", "tier": "1", "minSz": "0", "maxSz": "100000", "mmr": "0.004",
                 "imr": "0.01", "maxLever": row["lever"], "optMgnFactor": "0", "quoteMaxLoan": "", "baseMaxLoan": ""}
                for row in self.instruments({"instType": "SWAP"}) if row["uly"] in (query.get("uly"), query.get("instFamily"))]

    def tickers(self, query):
        """One ticker per instrument, at the fixed price."""
        return [{"instType": row["instType"], "instId": row["instId"], "last": price, "lastSz": "1", "askPx": price, "askSz": "1",
                 "bidPx": price, "bidSz": "1", "open24h": price, "high24h": price, "low24h": price, "vol24h": "1000",
                 "volCcy24h": "60000000", "sodUtc0": price, "sodUtc8": price, "ts": self.ts()}
                for row in self.instruments(query) for price in [PRICES[row["instId"]]]]

    def books(self, query):
        """One level each side."""
        price = PRICES.get(query.get("instId"), "1")
        return [{"asks": [[price, "1", "0", "1"]], "bids": [[price, "1", "0", "1"]], "ts": self.ts()}]

    def candles(self, query):
        """Three flat minutes."""
        price, minute = PRICES.get(query.get("instId"), "1"), self.now_ms() // 60_000 * 60_000
        return [[str(minute - i * 60_000), price, price, price, price, "1", price, price, "1"] for i in range(3)]

    def config(self, _query):
        """A single-currency account in net mode."""
        return [{"uid": "1", "mainUid": "1", "acctLv": "2", "posMode": "net_mode", "autoLoan": False, "greeksType": "PA",
                 "level": "Lv1", "perm": "read_only,trade", "ip": "", "label": "test", "ctIsoMode": "automatic", "mgnIsoMode": "automatic"}]

    def balance(self, query):
        """Trading balances; `ccy` may list several."""
        wanted = query["ccy"].split(",") if query.get("ccy") else list(BALANCES)
        details = [{"ccy": ccy, "eq": held, "availEq": held, "availBal": held, "cashBal": held, "frozenBal": "0", "ordFrozen": "0",
                    "uTime": self.ts()} for ccy in wanted if ccy in BALANCES for held in [str(self.funds[TRADING][ccy])]]
        return [{"totalEq": "280000", "adjEq": "", "uTime": self.ts(), "details": details}]

    def funding(self, _query):
        """What the funding account holds."""
        return [{"ccy": ccy, "bal": str(held), "availBal": str(held), "frozenBal": "0"} for ccy, held in self.funds[FUNDING].items()]

    def open_positions(self, query):
        """One row per swap that is held."""
        wanted = query.get("instId") or ",".join(self.positions)
        return [{"instType": "SWAP", "instId": inst_id, "mgnMode": "cross", "posId": str(number), "posSide": "net", "pos": str(held),
                 "availPos": str(abs(held)), "avgPx": PRICES[inst_id], "markPx": PRICES[inst_id], "upl": "0", "uplRatio": "0",
                 "lever": self.leverage.get(inst_id, "3"), "liqPx": "", "imr": "0", "mmr": "0", "margin": "", "mgnRatio": "10",
                 "notionalUsd": "0", "ccy": "USDT", "cTime": self.ts(), "uTime": self.ts()}
                for number, (inst_id, held) in enumerate(self.positions.items(), start=1) if held and inst_id in wanted.split(",")]

    def transfer_state(self, query):
        """A transfer by its number."""
        (number,) = demand(query, "transId")
        if number not in self.transfers:
            raise Fault("58129", "transId does not exist")
        return [self.transfers[number]]

    def currencies(self, _query):
        """One chain per currency."""
        return [{"ccy": ccy, "chain": f"{ccy}-Main", "name": ccy, "canDep": True, "canWd": True, "canInternal": True, "minDep": "0",
                 "minWd": "0.001", "maxWd": "1000", "wdTickSz": "8", "minFee": "0", "maxFee": "0", "fee": "0", "mainNet": True}
                for ccy in BALANCES]

    def leverage_info(self, query):
        """What set-leverage left, or 3."""
        inst_id, mode = demand(query, "instId", "mgnMode")
        return [{"instId": inst_id, "mgnMode": mode, "posSide": "net", "lever": self.leverage.get(inst_id, "3")}]

    def order(self, query):
        """One plain order by either id."""
        return [self.find(self.orders, query, "ordId", "clOrdId", "51603")]

    def pending(self, orders, query):
        """Orders that rest."""
        return [each for each in orders.values() if each["state"] == "live" and query.get("instId") in (None, "", each["instId"])]

    def finished(self, query):
        """Orders that do not."""
        return [each for each in self.orders.values() if each["state"] != "live" and query.get("instId") in (None, "", each["instId"])]

    def finished_algos(self, query):
        """The same for stops, of the type and state that have to be named."""
        kind, state = demand(query, "ordType", "state")
        return [each for each in self.algos.values() if (each["ordType"], each["state"]) == (kind, state)]

    def fills(self, query):
        """One row for each order that is filled."""
        filled = [each for each in self.finished(query) if each["state"] == "filled" and query.get("ordId") in (None, "", each["ordId"])]
        return [{**each, "tradeId": each["ordId"], "billId": each["ordId"], "execType": "T", "ts": each["cTime"]} for each in filled]

    # --- writes ---

    def place(self, body):
        """A plain order."""
        inst_id, side, kind, mode = demand(body, "instId", "side", "ordType", "tdMode")
        self.check(inst_id, side, mode)
        if kind not in PLAIN:
            raise Fault("51000", "Parameter ordType error")
        size = demand_positive(body, "sz")
        price = demand_positive(body, "px") if kind in PRICED else ""
        resting = kind in RESTING
        reduces = is_true(body.get("reduceOnly"))
        if inst_id in self.positions:
            self.trade(inst_id, Decimal(size) if side == "buy" else -Decimal(size), reduces, resting)
        client_id = self.claim(self.client_ids, body.get("clOrdId"), "51016")
        order = {"instType": instrument(inst_id)["instType"], "instId": inst_id, "ordId": str(next(self.numbers)), "clOrdId": client_id,
                 "tag": body.get("tag") or "", "px": price, "sz": size, "ordType": kind, "side": side, "posSide": "net", "tdMode": mode,
                 "state": "live" if resting else "filled", "accFillSz": "0" if resting else size, "fillSz": "0" if resting else size,
                 "avgPx": "" if resting else PRICES[inst_id], "fillPx": "" if resting else PRICES[inst_id], "fee": "0", "feeCcy": "USDT",
                 "tgtCcy": body.get("tgtCcy") or "", "reduceOnly": "true" if reduces else "false", "lever": "", "pnl": "0", "category": "normal",
                 "cTime": self.ts(), "uTime": self.ts(), "fillTime": "" if resting else self.ts(), "attachAlgoOrds": []}
        self.orders[order["ordId"]] = order
        return {"ordId": order["ordId"], "clOrdId": client_id, "tag": order["tag"], "ts": self.ts()}

    def place_algo(self, body):
        """A stop, a trigger or a trailing order."""
        inst_id, side, kind, mode = demand(body, "instId", "side", "ordType", "tdMode")
        self.check(inst_id, side, mode)
        triggers = [name for name in ALGO.get(kind, ()) if body.get(name) not in (None, "")]
        if not triggers:
            raise Fault("51000", "Parameter ordType error")
        demand_positive(body, triggers[0])
        size = "" if body.get("closeFraction") else demand_positive(body, "sz")
        client_id = self.claim(self.algo_client_ids, body.get("algoClOrdId"), "51068")  # a clOrdId is passed over here
        algo = {**body, "algoId": str(next(self.numbers)), "algoClOrdId": client_id, "clOrdId": "", "sz": size, "state": "live",
                "instType": instrument(inst_id)["instType"], "ordId": "", "cTime": self.ts(), "uTime": self.ts()}
        self.algos[algo["algoId"]] = algo
        return {"algoId": algo["algoId"], "algoClOrdId": client_id, "clOrdId": body.get("clOrdId") or "", "tag": body.get("tag") or ""}

    def check(self, inst_id, side, mode):
        """What every kind of order has in common."""
        if inst_id not in PRICES:
            raise Fault("51001", "Instrument ID does not exist")
        if side not in ("buy", "sell"):
            raise Fault("51000", "Parameter side error")
        if mode not in ("cash", "cross", "isolated"):
            raise Fault("51000", "Parameter tdMode error")

    def trade(self, inst_id, change, reduces, resting):
        """A filled order in a swap changes the position; one that only reduces needs one to reduce."""
        held = self.positions[inst_id]
        if reduces and held * change >= 0:
            raise Fault("51169", "You don't have any positions in this direction for this contract to reduce or close.")
        if reduces:
            change = max(change, -held) if held > 0 else min(change, -held)
        if not resting:
            self.positions[inst_id] = held + change

    def claim(self, taken, client_id, code):
        """A client id may stand once only, among plain orders and among algo orders."""
        if client_id in (None, ""):
            return ""
        if client_id in taken:
            raise Fault(code, "Duplicated client order ID")
        taken.add(client_id)
        return client_id

    def find(self, orders, wanted, id_name, client_name, code):
        """The order that either id names."""
        for each in orders.values():
            if wanted.get(id_name) == each[id_name] or (wanted.get(client_name) and wanted[client_name] == each[client_name]):
                return each
        raise Fault(code, "Order does not exist")

    def amend(self, body):
        """New size or price of a resting order."""
        order = self.find(self.orders, body, "ordId", "clOrdId", "51503")
        if order["state"] != "live":
            raise Fault("51503", "Order has been filled or canceled")
        for new, old in (("newSz", "sz"), ("newPx", "px")):
            if body.get(new) not in (None, ""):
                order[old] = demand_positive(body, new)
        return {"ordId": order["ordId"], "clOrdId": order["clOrdId"], "reqId": body.get("reqId") or "", "ts": self.ts()}

    def amend_algo(self, body):
        """New size, triggers or prices of a stop."""
        algo = self.find(self.algos, body, "algoId", "algoClOrdId", "51503")
        changes = {name: demand(body, name)[0] for name in body if name.startswith("new") and body[name] not in (None, "")}
        if not changes:
            raise Fault("51000", "Parameter newSz error")
        algo.update({name[3].lower() + name[4:]: value for name, value in changes.items()})
        return {"algoId": algo["algoId"], "algoClOrdId": algo["algoClOrdId"], "reqId": body.get("reqId") or ""}

    def cancel(self, body):
        """Takes a resting order off the book."""
        order = self.find(self.orders, body, "ordId", "clOrdId", "51400")
        if order["state"] != "live":
            raise Fault("51400", "Cancellation failed as the order has been filled, canceled or does not exist")
        order["state"] = "canceled"
        return {"ordId": order["ordId"], "clOrdId": order["clOrdId"], "ts": self.ts()}

    def cancel_algo(self, body):
        """The same for a stop."""
        algo = self.find(self.algos, body, "algoId", "algoClOrdId", "51400")
        algo["state"] = "canceled"
        return {"algoId": algo["algoId"], "algoClOrdId": algo["algoClOrdId"]}

    def close(self, body):
        """Sells or buys back the whole position at the market."""
        inst_id, _mode = demand(body, "instId", "mgnMode")
        if not self.positions.get(inst_id):
            raise Fault("51023", "Position does not exist")
        self.positions[inst_id] = Decimal(0)
        return {"instId": inst_id, "posSide": body.get("posSide") or "net", "clOrdId": body.get("clOrdId") or "", "tag": ""}

    def transfer(self, body):
        """Between the account's own pockets; to a sub-account it is only lost from sight."""
        ccy, amount, source, target = demand(body, "ccy", "amt", "from", "to")
        amount = Decimal(demand_positive(body, "amt"))
        if str(body.get("type") or "0") != "0":
            demand(body, "subAcct")
        if source == target or self.funds.get(source, {}).get(ccy, 0) < amount:
            raise Fault("58350", "Insufficient balance")
        self.funds[source][ccy] -= amount
        if not body.get("subAcct") and target in self.funds:
            self.funds[target][ccy] += amount
        number = str(next(self.numbers))
        row = {"transId": number, "ccy": ccy, "amt": str(amount), "from": source, "to": target, "clientId": body.get("clientId") or ""}
        self.transfers[number] = {**row, "type": str(body.get("type") or "0"), "state": "success", "subAcct": body.get("subAcct") or ""}
        return row

    def withdraw(self, body):
        """Nothing that a test means to happen; but whatever arrives is seen."""
        ccy, amount, _dest, _address = demand(body, "ccy", "amt", "dest", "toAddr")
        return {"wdId": str(next(self.numbers)), "ccy": ccy, "amt": amount, "chain": body.get("chain") or "", "clientId": body.get("clientId") or ""}

    def set_leverage(self, body):
        """Remembered, so that a test can read it back."""
        inst_id, mode, lever = demand(body, "instId", "mgnMode", "lever")
        self.leverage[inst_id] = lever
        return {"instId": inst_id, "mgnMode": mode, "lever": lever, "posSide": body.get("posSide") or ""}


def answering(run):
    """A read: rows in, OKX's envelope out."""
    return lambda query: ("0", run(query), "")


def judging(run):
    """A write of one object or of a list: each item gets its own sCode, and `code` sums them up."""
    def judged(item):
        try:
            return {**run(item), "sCode": "0", "sMsg": ""}
        except Fault as fault:
            return {"ordId": "", "clOrdId": item.get("clOrdId") or "", "tag": "", "sCode": fault.args[0], "sMsg": fault.args[1]}

    def whole(body):
        items = body if isinstance(body, list) else [body]
        if not items or not all(isinstance(item, dict) for item in items):
            raise Fault("50014", "Parameter instId can not be empty.")
        rows = [judged(item) for item in items]
        failed = sum(row["sCode"] != "0" for row in rows)
        if not failed:
            return "0", rows, ""
        return ("1", rows, "All operations failed") if failed == len(rows) else ("2", rows, "Bulk operation partially succeeded.")
    return whole
