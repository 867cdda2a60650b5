#!/usr/bin/env python3
"""Real clients against a running daemon: ccxt and python-okx trade at the local exchange without holding a secret.

    exchange.py                              first; note its port
    run.py --socket PATH --token-file FILE --credential NAME --exchange-port N [--locked]

needs ccxt and python-okx (requirements.txt). The daemon must hold one of the exchange's credentials under NAME, and the
bot the policy in policy.toml. With --locked the vault must be locked, and every call must say so and send nothing.

A case passes only if the exchange's own log shows its calls, verified, and no others. Prints `N passed, N failed`.
"""
import argparse
import asyncio
import os
import socket
import sys
import threading

import clients as real  # first: it says where the drop-ins are
import ccxt
import ccxt.async_support
import docs
import signvault_ccxt
import signvault_client
from clients import client_id, compare, ok

THREADS, CALLS_EACH = 4, 5


# --- the cases: each returns the calls that the exchange must have seen, in order ---

def ccxt_load_markets(clients):
    assert "BTC/USDT:USDT" in clients.ccxt.load_markets()
    return ["GET /api/v5/asset/currencies"]  # ccxt asks for it whenever it believes it has a key


def ccxt_limit_order_and_cancel(clients):
    order = clients.ccxt.create_order("BTC/USDT", "limit", "buy", 0.01, 50000, {"clientOrderId": client_id()})
    canceled = clients.ccxt.cancel_order(order["id"], "BTC/USDT")
    assert canceled["id"] == order["id"], canceled
    return ["POST /api/v5/trade/batch-orders", "POST /api/v5/trade/cancel-order"]


def ccxt_order_by_the_single_endpoint(clients):
    clients.ccxt.options["createOrder"] = "privatePostTradeOrder"
    order = clients.ccxt.create_order("BTC/USDT", "limit", "sell", 0.01, 70000)
    assert order["id"], order
    del clients.ccxt.options["createOrder"]
    return ["POST /api/v5/trade/order"]


def ccxt_market_order(clients):
    order = clients.ccxt.create_order("BTC/USDT", "market", "buy", 0.001)
    assert order["id"], order
    return ["POST /api/v5/trade/batch-orders"]


def ccxt_stop_loss_and_cancel(clients):
    order = clients.ccxt.create_order("BTC/USDT", "market", "sell", 0.001, None, {"stopLossPrice": 40000})
    clients.ccxt.cancel_order(order["id"], "BTC/USDT", {"trigger": True})
    return ["POST /api/v5/trade/order-algo", "POST /api/v5/trade/cancel-algos"]


def ccxt_set_leverage(clients):
    answer = clients.ccxt.set_leverage(5, "BTC/USDT:USDT", {"marginMode": "cross"})
    assert answer["data"][0]["lever"] == "5", answer
    return ["POST /api/v5/account/set-leverage"]


def ccxt_fetch_balance(clients):
    assert clients.ccxt.fetch_balance()["USDT"]["total"] == 100000
    return ["GET /api/v5/account/balance"]


def ccxt_query_and_body_outside_ascii(clients):
    clients.ccxt.fetch_balance({"ccy": "BTC,ETH é"})
    clients.ccxt.create_order("BTC/USDT", "limit", "buy", 0.01, 50000, {"clientOrderId": client_id(), "note": "é 漢"})
    return ["GET /api/v5/account/balance?ccy=BTC%2CETH%20%C3%A9", "POST /api/v5/trade/batch-orders"]


def ccxt_asynchronous(clients):
    kind = type("AsyncOkx", (signvault_ccxt.Signvault, ccxt.async_support.okx), {})

    async def trade():
        exchange = clients.make_ccxt(kind)
        exchange.has["fetchCurrencies"] = False
        try:
            order = await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 50000)
            await exchange.cancel_order(order["id"], "BTC/USDT")
        finally:
            await exchange.close()

    asyncio.run(trade())
    return ["POST /api/v5/trade/batch-orders", "POST /api/v5/trade/cancel-order"]


def ccxt_denied_an_endpoint(clients):
    return denied(ccxt.PermissionDenied, "policy.endpoint",
                  lambda: clients.ccxt.edit_order("1", "BTC/USDT", "limit", "buy", 0.01, 60000))


def ccxt_denied_a_withdrawal(clients):
    return denied(ccxt.PermissionDenied, "policy.grant", lambda: clients.ccxt.private_post_asset_withdrawal(
        {"ccy": "USDT", "amt": "10", "dest": "4", "toAddr": "TNowhere", "chain": "USDT-TRC20"}))


def okx_place_and_cancel_order(clients):
    placed = ok(clients.trade.place_order("BTC-USDT", "cash", "buy", "limit", "0.01", px="50000", clOrdId=client_id()))
    ok(clients.trade.cancel_order("BTC-USDT", ordId=placed[0]["ordId"]))
    return ["POST /api/v5/trade/order", "POST /api/v5/trade/cancel-order"]


def okx_place_multiple_orders(clients):
    order = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "0.01", "px": "50000"}
    rows = ok(clients.trade.place_multiple_orders([{**order, "clOrdId": client_id()} for _ in range(2)]))
    assert len(rows) == 2, rows
    return ["POST /api/v5/trade/batch-orders"]


def okx_get_account_balance(clients):
    assert ok(clients.account.get_account_balance())[0]["details"]
    assert len(ok(clients.account.get_account_balance(ccy="BTC,ETH"))[0]["details"]) == 2
    return ["GET /api/v5/account/balance", "GET /api/v5/account/balance?ccy=BTC,ETH"]


def okx_query_that_httpx_encodes(clients):
    ok(clients.account.get_account_balance(ccy="BTC é"))
    return ["GET /api/v5/account/balance?ccy=BTC%20%C3%A9"]


def okx_denied_a_withdrawal(clients):
    return denied(signvault_client.Denied, "policy.grant", lambda: clients.funding.withdrawal("USDT", "10", "4", "TNowhere"))


def a_closed_idle_connection_is_replaced(clients):
    ok(clients.account.get_account_balance())
    clients.signer.vault._own.sock.shutdown(socket.SHUT_RDWR)  # as the daemon does after its idle time
    ok(clients.account.get_account_balance())
    return ["GET /api/v5/account/balance"] * 2


def threads_do_not_take_each_others_answers(clients):
    failures = []

    def work(number):
        try:
            for _ in range(CALLS_EACH):
                answer = clients.signer.vault.sign("GET", f"/api/v5/account/balance?ccy={number}")
                assert answer["url"].endswith(f"?ccy={number}"), answer["url"]
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    return []


def a_forked_child_makes_its_own_connection(clients):
    ok(clients.account.get_account_balance())
    parent_socket = clients.signer.vault._own.sock
    child = os.fork()
    if child == 0:
        try:
            clients.signer.vault.sign("GET", "/api/v5/account/balance?ccy=CHILD")
            os._exit(0 if clients.signer.vault._own.sock is not parent_socket else 3)
        except BaseException:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ok(clients.account.get_account_balance())
    assert clients.signer.vault._own.sock is parent_socket
    return ["GET /api/v5/account/balance"] * 2


def an_unknown_credential_is_denied(clients):
    stranger = signvault_client.Vault(**{**clients.where, "credential": "no-such-credential"})
    return denied(signvault_client.Denied, "policy.credential", lambda: stranger.sign("GET", "/api/v5/account/balance"))


def ccxt_drops_a_secret_left_in_the_config(clients):
    exchange = signvault_ccxt.Okx({"apiKey": "left", "secret": "left", "password": "left"})
    exchange.urls["api"]["rest"] = clients.url
    try:
        exchange.private_get_account_balance()
    except ccxt.AuthenticationError:
        assert "left" not in (exchange.apiKey, exchange.secret, exchange.password)
        return []
    raise AssertionError("it asked without a vault")


def the_pages_show_the_files(_clients):
    assert not docs.differences(), docs.differences()
    return []


def denied(kind, code, call):
    """The call must raise; nothing may reach the exchange."""
    try:
        call()
    except kind as error:
        assert error.code == code and error.detail and error.code in str(error), str(error)
        return []
    raise AssertionError("it was not denied")


def locked_for_ccxt(clients):
    try:
        clients.ccxt.private_get_account_balance()
    except signvault_ccxt.Locked as error:
        assert error.code == "vault.locked" and isinstance(error, ccxt.ExchangeNotAvailable), repr(error)
        return []
    raise AssertionError("the vault is not locked")


def locked_for_okx(clients):
    try:
        clients.trade.place_order("BTC-USDT", "cash", "buy", "limit", "0.01", px="50000", clOrdId=client_id())
    except signvault_client.Locked as error:
        assert error.code == "vault.locked", repr(error)
        return []
    raise AssertionError("the vault is not locked")


UNLOCKED = [ccxt_load_markets, ccxt_limit_order_and_cancel, ccxt_order_by_the_single_endpoint, ccxt_market_order, ccxt_stop_loss_and_cancel,
            ccxt_set_leverage, ccxt_fetch_balance, ccxt_query_and_body_outside_ascii, ccxt_asynchronous,
            ccxt_denied_an_endpoint, ccxt_denied_a_withdrawal, okx_place_and_cancel_order, okx_place_multiple_orders,
            okx_get_account_balance, okx_query_that_httpx_encodes, okx_denied_a_withdrawal, a_closed_idle_connection_is_replaced,
            threads_do_not_take_each_others_answers, a_forked_child_makes_its_own_connection, an_unknown_credential_is_denied,
            ccxt_drops_a_secret_left_in_the_config, the_pages_show_the_files]
LOCKED = [locked_for_ccxt, locked_for_okx]


def run(case, clients, log):
    """One case; None, or what went wrong."""
    before = len(log.read())
    try:
        expected = case(clients)
        compare(log.read()[before:], expected)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main():
    """Runs the cases in order, says which failed and why."""
    parser = argparse.ArgumentParser(description="ccxt and python-okx through signvault")
    parser.add_argument("--socket", required=True, help="the daemon's sign.sock")
    parser.add_argument("--token-file", required=True, help="the bot's token")
    parser.add_argument("--credential", required=True, help="the name of the exchange's credential in the vault")
    parser.add_argument("--exchange-port", required=True, type=int, help="what exchange.py printed")
    parser.add_argument("--locked", action="store_true", help="the vault is locked: everything must be refused as locked")
    options = parser.parse_args()
    where = {"credential": options.credential, "socket_path": options.socket, "token_file": options.token_file}
    clients, log = real.Clients(options.exchange_port, where), real.Log(options.exchange_port)
    failed = 0
    cases = LOCKED if options.locked else UNLOCKED
    for case in cases:
        wrong = run(case, clients, log)
        failed += wrong is not None
        if wrong:
            print(f"FAILED {case.__name__}: {wrong}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
