"""What the tables are written in: the steps of a case, and the calls of a bot. A step takes an `Employed` of policies.py."""
import json
import time
from collections import namedtuple

import clients  # first: it says where the drop-ins are
import ccxt
import signvault_client
from clients import client_id, ok

BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"
BTC_SWAP, ETH_SWAP, SOL_SWAP = "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"

BATCH, ORDER, ALGO = "POST /api/v5/trade/batch-orders", "POST /api/v5/trade/order", "POST /api/v5/trade/order-algo"
AMEND, AMEND_BATCH, AMEND_ALGO = ("POST /api/v5/trade/amend-" + name for name in ("order", "batch-orders", "algos"))
CANCEL, CANCEL_BATCH, CANCEL_ALGO = ("POST /api/v5/trade/cancel-" + name for name in ("order", "batch-orders", "algos"))
CLOSE, LEVERAGE = "POST /api/v5/trade/close-position", "POST /api/v5/account/set-leverage"
TRANSFER, BALANCE = "POST /api/v5/asset/transfer", "GET /api/v5/account/balance"

STATUS = {"policy.replay": 409, "policy.limit": 429, "policy.rate": 429}  # every other denial is 403

# `about` has the keys of the policy file that the case is for, or words; `edits` are the values that keys get for it, or None for
# a key that is taken out.
Case = namedtuple("Case", "about edits steps")


# --- steps: each raises if it goes otherwise ---

def passes(call, *seen):
    """A call that is allowed: the exchange sees exactly these."""
    def step(employed):
        before = len(employed.log.read())
        call(employed.bot)
        clients.compare(employed.log.read()[before:], list(seen), part="path")
    return step


def denied(code, call):
    """A call that is not, with this code, of which `policy.` is left out: the exchange sees nothing."""
    def step(employed):
        before = len(employed.log.read())
        must_be_denied("policy." + code, lambda: call(employed.bot))
        clients.compare(employed.log.read()[before:], [])
    return step


def must_be_denied(code, call):
    """The call has to raise what the drop-ins promise for this code."""
    status = STATUS.get(code, 403)
    kind = signvault_client.Limited if status == 429 else signvault_client.Denied
    try:
        call()
    except kind as error:
        problem = error.problem
        assert error.code == code, f"denied by {error}, expected {code}"
        assert problem["status"] == status and error.detail and error.help and code in str(error), problem
        if isinstance(error, ccxt.BaseError):
            wanted = (ccxt.RateLimitExceeded, ccxt.DDoSProtection) if status == 429 else (ccxt.PermissionDenied,)
            assert all(isinstance(error, each) for each in wanted), repr(error)
        assert status != 429 or 0 < problem["retry_after_ms"] <= 86_400_000, problem
        return
    raise AssertionError(f"it was not denied with {code}")


def admin(*arguments):
    """What a person does; `{name}` is the bot's name and that of its policy."""
    return lambda employed: employed.office.run(*(word.format(name=employed.name) for word in arguments))


def pause(seconds):
    """Nothing happens."""
    return lambda _: time.sleep(seconds)


def noted(*codes):
    """What the ledger says would have been denied so far, in order."""
    def step(employed):
        listed = json.loads(employed.office.run("audit", "list", "--bot", employed.name, "--json"))
        rows = [json.loads(row["body"]) for row in listed]
        found = [row["shadow"].removeprefix("policy.") for row in rows if row.get("shadow")]
        assert found == list(codes), f"the ledger has {found}"
    return step


# --- calls: each takes the bot ---

def order(symbol, kind, side, amount, price=None, **params):
    """A plain order or a stop by ccxt."""
    return lambda bot: bot.ccxt.create_order(symbol, kind, side, amount, price, params)


def buy(symbol, amount, price, **params):
    """A limit buy by ccxt."""
    return order(symbol, "limit", "buy", amount, price, **params)


def sell(symbol, amount, price, **params):
    """A limit sell by ccxt."""
    return order(symbol, "limit", "sell", amount, price, **params)


def quotes(symbol, amount, price, count):
    """So many post-only buys in one request by ccxt."""
    one = {"symbol": symbol, "type": "limit", "side": "buy", "amount": amount, "price": price}
    return lambda bot: bot.ccxt.create_orders([{**one, "params": {"postOnly": True}} for _ in range(count)])


def okx_order(inst_id, side, kind, size, price="", mode="cash", **more):
    """An order by python-okx, with all of its empty members."""
    return lambda bot: ok(bot.trade.place_order(inst_id, mode, side, kind, size, px=price, **{"clOrdId": client_id(), **more}))


def okx_orders(*orders):
    """Several by python-okx in one request."""
    return lambda bot: ok(bot.trade.place_multiple_orders([{"clOrdId": client_id(), "tdMode": "cash", **each} for each in orders]))


def okx_algo(inst_id, side, kind, size, mode="cash", **more):
    """A stop by python-okx."""
    return lambda bot: ok(bot.trade.place_algo_order(inst_id, mode, side, kind, size, **{"algoClOrdId": client_id(), **more}))


def okx_quote(inst_id, side, size, price):
    """An item for okx_orders()."""
    return {"instId": inst_id, "side": side, "ordType": "post_only", "sz": size, "px": price}


def then(place, *more):
    """Places an order and gives its id to the calls behind it."""
    def chain(bot):
        placed = place(bot)
        number = placed["id"] if isinstance(placed, dict) else placed[0].get("ordId") or placed[0].get("algoId") or placed[0]["id"]
        for each in more:
            each(bot, number)
    return chain


def edit(symbol, amount, price, kind="limit", side="buy", **params):
    """An amend by ccxt, behind then()."""
    return lambda bot, number: bot.ccxt.edit_order(number, symbol, kind, side, amount, price, params)


def cancel(symbol, **params):
    """A cancel by ccxt, behind then()."""
    return lambda bot, number: bot.ccxt.cancel_order(number, symbol, params)


def okx_amend(inst_id, **changes):
    """An amend by python-okx, with all of its empty members, behind then()."""
    return lambda bot, number: ok(bot.trade.amend_order(inst_id, ordId=number, **changes))


def okx_cancel(inst_id):
    """A cancel by python-okx, behind then()."""
    return lambda bot, number: ok(bot.trade.cancel_order(inst_id, ordId=number))


def leverage(symbol, **params):
    """ccxt's set_leverage."""
    return lambda bot: bot.ccxt.set_leverage(5, symbol, params)


def move(ccy, amount, source, target, **params):
    """ccxt's transfer."""
    return lambda bot: bot.ccxt.transfer(ccy, amount, source, target, params)


def okx_move(ccy, amount, source, target, **more):
    """python-okx's funds_transfer, with all of its empty members."""
    return lambda bot: ok(bot.funding.funds_transfer(ccy, amount, source, target, **more))


def withdraw(bot):
    """A withdrawal by python-okx, with all of its empty members."""
    return ok(bot.funding.withdrawal("USDT", "10", "4", "TNowhere"))


def ask(method, path, body=""):
    """A signature only: nothing is sent with it."""
    return lambda bot: bot.signer.vault.sign(method, path, body)


def patient(bot):
    """A read by ccxt, told to wait and try again as docs/bots/ccxt.md says."""
    bot.ccxt.options.update({"maxRetriesOnFailure": 5, "maxRetriesOnFailureDelay": 300})
    bot.ccxt.fetch_balance()


def burst(bot):
    """More signatures in a row than a slow machine could spread over the seconds of a rate of 1."""
    for _ in range(5):
        bot.signer.vault.sign("GET", "/api/v5/account/balance")
