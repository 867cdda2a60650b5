#!/usr/bin/env python3
"""A local exchange that speaks enough of OKX v5 for ccxt and python-okx, and believes nothing it is told.

Every private request is verified over exactly the received bytes: the request target as it stood in the request line,
and the body. The HMAC is Python's own, so that nothing here can share a mistake with the signer under test.

    exchange.py [--port N] [--credentials FILE] [--clock-offset-ms N]

prints its port on the first line of stdout, then serves on 127.0.0.1 until it is ended. Not part of OKX, and open to
every local process:

    GET  /control/log           {"calls": [...]}: each request that carried or needed a signature, verified or not
    GET  /control/credentials   the keys it knows; they are made up and guard nothing
    POST /control/reset         forgets orders and calls
"""
import argparse
import base64
import datetime
import hashlib
import hmac
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from orders import Book, Fault

# Made up for tests; `environment` decides about the header x-simulated-trading.
CREDENTIALS = [
    {"key": "6f1d2c3b-5a49-4e8d-9c7b-0a1b2c3d4e5f", "secret": "0123456789ABCDEF0123456789ABCDEF",
     "passphrase": "Correct-Horse-1", "environment": "live"},
    {"key": "7a2e3d4c-6b50-4f9e-8d6c-1b2c3d4e5f60", "secret": "FEDCBA9876543210FEDCBA9876543210",
     "passphrase": "Battery-Staple-2", "environment": "demo"},
]

# OKX docs, "Error code": code → (HTTP status, message).
ERRORS = {
    "50000": (400, "Body for POST request cannot be empty."),
    "50002": (400, "JSON syntax error"),
    "50006": (400, 'Invalid Content-Type. Please use "application/JSON".'),
    "50101": (401, "APIKey does not match current environment."),
    "50102": (401, "Timestamp request expired."),
    "50103": (401, 'Request header "OK-ACCESS-KEY" cannot be empty.'),
    "50104": (401, 'Request header "OK-ACCESS-PASSPHRASE" cannot be empty.'),
    "50105": (401, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'),
    "50106": (401, 'Request header "OK-ACCESS-SIGN" cannot be empty.'),
    "50107": (401, 'Request header "OK-ACCESS-TIMESTAMP" cannot be empty.'),
    "50111": (401, "Invalid OK-ACCESS-KEY."),
    "50112": (401, "Invalid OK-ACCESS-TIMESTAMP."),
    "50113": (401, "Invalid signature."),
    "50114": (401, "Invalid authorization."),
    "50115": (405, "Invalid request method."),
    "50119": (200, "API key doesn't exist"),
}
SIGNED = ("OK-ACCESS-KEY", "OK-ACCESS-PASSPHRASE", "OK-ACCESS-SIGN", "OK-ACCESS-TIMESTAMP")
MISSING = dict(zip(SIGNED, ("50103", "50104", "50106", "50107")))
WINDOW_MS = 30_000
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Refusal(Exception):
    """A request that is refused before it reaches the order book; the argument is OKX's code."""


def parse_timestamp(text):
    """Milliseconds since 1970 of the only form that OKX takes, or 50112."""
    if not TIMESTAMP.fullmatch(text):
        raise Refusal("50112")
    try:
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        raise Refusal("50112") from None
    return round(moment.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)


def verify(credentials, now_ms, method, target, headers, body):
    """Checks what OKX checks, in the order of its codes. `target` and `body` are the received bytes."""
    for name in SIGNED:
        values = headers.get_all(name, [])
        if not any(values):
            raise Refusal(MISSING[name])
        if len(values) > 1:
            raise Refusal("50114")  # a client's own header beside the vault's
    key, passphrase, signature, timestamp = (headers[name] for name in SIGNED)
    if not KEY.fullmatch(key):
        raise Refusal("50111")
    credential = next((each for each in credentials if each["key"] == key), None)
    if credential is None:
        raise Refusal("50119")
    if abs(parse_timestamp(timestamp) - now_ms) > WINDOW_MS:
        raise Refusal("50102")
    if passphrase != credential["passphrase"]:
        raise Refusal("50105")
    message = timestamp.encode() + method.encode() + target + body
    expected = base64.b64encode(hmac.new(credential["secret"].encode(), message, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected.encode(), signature.encode("latin-1")):
        raise Refusal("50113")
    simulated = headers.get_all("x-simulated-trading", ["0"])
    if simulated != ["1" if credential["environment"] == "demo" else "0"]:
        raise Refusal("50101")


class Exchange(ThreadingHTTPServer):
    """The server, with the book of orders and the log of calls that all connections share."""

    daemon_threads = True

    def __init__(self, port, credentials, clock_offset_ms=0):
        super().__init__(("127.0.0.1", port), Connection)
        self.credentials, self.clock_offset_ms = credentials, clock_offset_ms
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        """An account without orders, and an empty log."""
        self.book, self.calls = Book(self.now_ms), []

    def now_ms(self):
        """The exchange's clock, which may be set apart from this machine's."""
        return round(time.time() * 1000) + self.clock_offset_ms

    def note(self, call):
        """Appends to the log; `call` may still be filled in by its request."""
        with self.lock:
            call["seq"] = len(self.calls) + 1
            self.calls.append(call)


class Connection(BaseHTTPRequestHandler):
    """One client connection: HTTP/1.1 with keep-alive, as both clients expect."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        """Any GET."""
        self.serve(b"")

    def do_POST(self):
        """Any POST; the body is taken by its length only."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return self.answer(411, {"code": "50002", "data": [], "msg": "Content-Length required"})
        return self.serve(self.rfile.read(int(length)))

    def serve(self, body):
        """Control, or the exchange; `self.path` is not used for the signature because the library may rewrite it."""
        target = self.raw_requestline.split()[1]
        path, _, query = target.decode("latin-1").partition("?")
        if path.startswith("/control/"):
            return self.control(path)
        try:
            code, data, message = self.route(target, path, query, body)
            status = 200
        except Refusal as refusal:
            code, data = refusal.args[0], []
            status, message = ERRORS[code]
        except Fault as fault:
            (code, message), data, status = fault.args, [], 200
        return self.answer(status, {"code": code, "data": data, "msg": message})

    def route(self, target, path, query, body):
        """Finds the endpoint, verifies if it is private or signed all the same, and carries it out."""
        endpoint = self.server.book.endpoints.get((self.command, path))
        if endpoint is None:
            known = any((other, path) in self.server.book.endpoints for other in ("GET", "POST"))
            raise Refusal("50115") if known else Fault("404", "Not Found")
        if endpoint.public and not any(name in self.headers for name in SIGNED):
            return endpoint.run(dict(parse_qsl(query)))
        call = {"method": self.command, "target": target.decode("latin-1"), "path": path, "body": body.decode("utf-8", "replace"),
                "key": self.headers.get("OK-ACCESS-KEY"), "timestamp": self.headers.get("OK-ACCESS-TIMESTAMP"),
                "simulated": self.headers.get("x-simulated-trading"), "verified": False, "code": None}
        self.server.note(call)
        try:
            verify(self.server.credentials, self.server.now_ms(), self.command, target, self.headers, body)
            call["verified"] = True
            with self.server.lock:
                outcome = endpoint.run(dict(parse_qsl(query)) if self.command == "GET" else self.parse(body))
        except (Refusal, Fault) as refused:
            call["code"] = refused.args[0]
            raise
        call["code"] = outcome[0]
        return outcome

    def parse(self, body):
        """The body of a POST as JSON."""
        if not body:
            raise Refusal("50000")
        if self.headers.get_content_type() != "application/json":
            raise Refusal("50006")
        try:
            return json.loads(body)
        except ValueError:
            raise Refusal("50002") from None

    def control(self, path):
        """What a test asks about the exchange itself."""
        if (self.command, path) == ("GET", "/control/log"):
            with self.server.lock:
                return self.answer(200, {"calls": [dict(call) for call in self.server.calls]})
        if (self.command, path) == ("GET", "/control/credentials"):
            return self.answer(200, self.server.credentials)
        if (self.command, path) == ("POST", "/control/reset"):
            with self.server.lock:
                self.server.reset()
            return self.answer(200, {})
        return self.answer(404, {})

    def answer(self, status, value):
        """One JSON answer."""
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Silence: the log that counts is /control/log."""


def main():
    """Reads the arguments, prints the port, serves."""
    parser = argparse.ArgumentParser(description="a local exchange that verifies OKX v5 signatures")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--credentials", help='JSON file like /control/credentials: [{"key", "secret", "passphrase", "environment"}]')
    parser.add_argument("--clock-offset-ms", type=int, default=0, help="how far this exchange's clock is ahead")
    options = parser.parse_args()
    credentials = CREDENTIALS
    if options.credentials:
        with open(options.credentials, encoding="utf-8") as file:
            credentials = json.load(file)
    server = Exchange(options.port, credentials, options.clock_offset_ms)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
