"""ccxt and python-okx as a bot would make them, with the drop-ins of docs/bots, but pointed at the local exchange.

Importing this needs the packages of requirements.txt. run.py and policies.py say what the clients then do.
"""
import json
import pathlib
import sys
import urllib.request
import uuid
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "docs" / "bots")]
warnings.simplefilter("ignore", DeprecationWarning)  # python-okx posts with an argument that httpx has renamed

import signvault_ccxt  # noqa: E402
import signvault_okx  # noqa: E402
from okx import Account, Funding, Trade  # noqa: E402


class Log:
    """The exchange's log, read over its control address."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read(self):
        """Every call so far."""
        with self.opener.open(self.url + "/control/log", timeout=10) as answer:
            return json.load(answer)["calls"]

    def reset(self):
        """An account as at the beginning, and an empty log."""
        self.opener.open(self.url + "/control/reset", data=b"", timeout=10).close()


class Clients:
    """Both clients of one bot."""

    def __init__(self, exchange_port, where):
        self.url = f"http://127.0.0.1:{exchange_port}"
        self.where = where  # credential, socket_path, token_file
        self.ccxt = self.make_ccxt(signvault_ccxt.Okx)
        self.signer = signvault_okx.Signvault(**self.where)
        self.trade, self.account, self.funding = (self.make_okx(api) for api in (Trade.TradeAPI, Account.AccountAPI, Funding.FundingAPI))

    def make_ccxt(self, kind):
        """One ccxt exchange; it is given no key."""
        # A clock an hour slow: a request passes only with the daemon's timestamp instead of the client's.
        exchange = kind({"options": {"signvault": self.where, "timeDifference": 3_600_000}, "enableRateLimit": False})
        exchange.urls["api"]["rest"] = self.url
        return exchange

    def make_okx(self, api):
        """One python-okx API object; it is given no key."""
        client = api(flag="0", domain=self.url)
        client.auth = self.signer
        return client


def client_id():
    """Fresh for every order: the vault counts and remembers them."""
    return "t" + uuid.uuid4().hex[:20]


def ok(answer):
    """python-okx returns refusals as data."""
    assert answer["code"] == "0", answer
    return answer["data"]


def compare(calls, expected, part="target"):
    """What the exchange saw against what it should have seen, with queries (`target`) or without (`path`)."""
    seen = [f"{call['method']} {call[part]}" for call in calls]
    assert seen == expected, f"the exchange saw {seen}, expected {expected}"
    for call in calls:
        assert call["verified"] and call["code"] == "0", f"the exchange answered {call['code']} to {call['method']} {call['target']}"
