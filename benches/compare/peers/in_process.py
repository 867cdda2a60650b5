"""What signing costs inside a bot that has the secret: ccxt or python-okx, up to where they would send.

Arguments: ccxt or python-okx, seconds. Before it is timed, the signature is checked against one made here.
"""
import base64
import hmac
import json
import sys

from times import measure

KEY, SECRET, PASSPHRASE = "5a95c46d-821d-4641-acce-5250b0ce64bc", "557FBBAFC3FC3D265C5D066FE442DFA0", "Correct-Horse-1"
ORDER = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "px": "60123.4", "sz": "0.0123",
         "clOrdId": "b0123456789abcdef", "tag": "e847386590ce4dBC", "reduceOnly": "false", "stpMode": "cancel_maker",
         "banAmend": "false"}


def check(headers, body):
    text = headers["OK-ACCESS-TIMESTAMP"] + "POST/api/v5/trade/order" + body
    expected = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha256"))
    signature = headers["OK-ACCESS-SIGN"]
    made = signature.encode() if isinstance(signature, str) else signature
    assert json.loads(body) == ORDER and hmac.compare_digest(made, expected), headers


def ccxt_sign():
    import ccxt
    exchange = ccxt.okx({"apiKey": KEY, "secret": SECRET, "password": PASSPHRASE})
    # A list: a plain text names no api, and the request comes back unsigned and without an error.
    call = lambda: exchange.sign("trade/order", ["private"], "POST", dict(ORDER))
    signed = call()
    check(signed["headers"], signed["body"])
    return call


def python_okx():
    from okx.okxclient import OkxClient

    class Unsent(OkxClient):
        """Keeps the request in place of sending it."""

        def post(self, _path, data, headers):
            self.sent = headers, data
            return self

        def json(self):
            return {}

    client = Unsent(KEY, SECRET, PASSPHRASE, flag="0")
    call = lambda: client._request("POST", "/api/v5/trade/order", ORDER)
    call()
    check(*client.sent)
    return call


measure({"ccxt": ccxt_sign, "python-okx": python_okx}[sys.argv[1]](), float(sys.argv[2]))
