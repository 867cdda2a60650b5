"""python-okx without a secret: signvault judges and signs each request. Needs signvault_client.py beside it."""
import httpx
import signvault_client as client

# What python-okx sets by itself: none of it may survive, the daemon's set is complete.
OWN = ("OK-ACCESS-KEY", "OK-ACCESS-SIGN", "OK-ACCESS-TIMESTAMP", "OK-ACCESS-PASSPHRASE", "x-simulated-trading", "Content-Type")


class Signvault(httpx.Auth):
    """Give one to each API object: `trade.auth = Signvault("okx-main")`. One may serve several objects.

    httpx calls it with the request exactly as it will go out, its query already re-encoded: that is what is signed.
    """
    requires_request_body = True

    def __init__(self, credential, **where):
        self.vault = client.Vault(credential, **where)

    def auth_flow(self, request):
        body = request.content.decode()
        answer = self.vault.sign(request.method, request.url.raw_path.decode("ascii"), body)
        if answer.get("body", "") != body:
            raise client.SignvaultError({"code": "client.body", "detail": "this scheme changes the body, python-okx cannot"})
        for name in OWN:
            request.headers.pop(name, None)
        request.headers.update(answer["headers"])
        yield request
