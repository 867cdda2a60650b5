"""ccxt's OKX without a secret: signvault judges and signs each private request. Needs signvault_client.py beside it."""
import ccxt
import signvault_client as client

IDS = ("okx", "okxus", "myokx")


class Refused(client.SignvaultError, ccxt.ExchangeError): """No signature for another reason: a malformed ask, a wrong token."""
class Denied(client.Denied, ccxt.PermissionDenied): """The bot's policy does not allow this request."""
class Limited(client.Limited, ccxt.RateLimitExceeded, ccxt.DDoSProtection):  # freqtrade waits after the second, not after the first
    """A rate or a rolling limit is used up."""
class Locked(client.Locked, ccxt.ExchangeNotAvailable): """The vault is locked; ccxt's kind means: try again later."""
class Unavailable(client.Unavailable, ccxt.ExchangeNotAvailable): """The daemon is away or cannot sign now."""


KINDS = {kind.__mro__[1]: kind for kind in (Refused, Denied, Limited, Locked, Unavailable)}


class Signvault:
    """Stands before a ccxt OKX class: `class Okx(Signvault, ccxt.okx): pass`."""

    def __init__(self, config={}):
        super().__init__(config)
        where = self.options.get("signvault")  # {"credential": NAME}, and socket_path and token_file where they differ
        self.vault = where and client.Vault(**where)
        # ccxt wants to see some; real ones left in a config are dropped. Without a vault only public data can be had.
        self.apiKey = self.secret = self.password = "held-by-signvault" if where else ""

    def sign(self, path, api="public", method="GET", params={}, *rest):
        if path == "trade/order-algo" and method == "POST" and "clOrdId" in params:
            # ccxt gives stops an id too, but as clOrdId. Among stops OKX goes by this one, and so do limits that count orders.
            params = {"algoClOrdId": params["clOrdId"], **params}
        request = super().sign(path, api, method, params, *rest)
        if "OK-ACCESS-SIGN" in (request["headers"] or {}):
            answer = self._ask(self.vault.sign, method, "/" + request["url"].split("/", 3)[3], request["body"])
            request["headers"], request["body"] = answer["headers"], answer.get("body")
        return request

    def watch(self, url, message_hash, message=None, *rest, **named):  # ccxt.pro: the login frame of a WebSocket
        if isinstance(message, dict) and message.get("op") == "login":
            message = self._ask(self.vault.session, "business" if url.endswith("/business") else "private")["message"]
        return super().watch(url, message_hash, message, *rest, **named)

    def _ask(self, ask, *about):
        try:
            return ask(*about)
        except client.SignvaultError as error:
            raise KINDS[type(error)](error.problem) from error


class Okx(Signvault, ccxt.okx):
    """Synchronous OKX."""


def install():
    """Puts these classes in the place of ccxt's own, for a program that makes its exchange by name."""
    import ccxt.async_support
    import ccxt.pro
    for module in (ccxt, ccxt.async_support, ccxt.pro):
        for name in IDS:
            if not issubclass(getattr(module, name), Signvault):
                setattr(module, name, type(name, (Signvault, getattr(module, name)), {}))
