"""What a bot in Python waits for a signature, by the client that it asks with; every connection is kept.

Arguments: the client, the daemon's port, its socket, the file with the token, seconds. The ask comes in by standard input; the
sixteen digits in it become others each time. The time is that of the ask becoming JSON until the answer is a dictionary.
"""
import asyncio
import http.client
import itertools
import json
import pathlib
import socket
import sys
import time

from times import measure, write

CLIENT, PORT, SOCKET, TOKEN_FILE, SECONDS = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])
DIGITS, ASK, NUMBERS = "0123456789abcdef", json.load(sys.stdin), itertools.count(time.time_ns())
TOKEN = pathlib.Path(TOKEN_FILE).read_text().strip()
URL = f"http://127.0.0.1:{PORT}/v1/sign"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def ask():
    return {**ASK, "body": ASK["body"].replace(DIGITS, f"{next(NUMBERS):016x}")}


def checked(answer):
    assert "OK-ACCESS-SIGN" in answer.get("headers", {}), answer


def plain():
    sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "docs" / "bots"))
    from signvault_client import Vault
    vault = Vault("main", socket_path=SOCKET, token_file=TOKEN_FILE)

    def call():
        this = ask()
        checked(vault.sign(this["method"], this["path"], this["body"]))
    return call


def http_client(over_tcp):
    daemon = http.client.HTTPConnection("127.0.0.1", PORT) if over_tcp else http.client.HTTPConnection("localhost")
    if not over_tcp:
        daemon.sock = socket.socket(socket.AF_UNIX)
        daemon.sock.connect(SOCKET)

    def call():
        daemon.request("POST", "/v1/sign", json.dumps(ask()), HEADERS)
        checked(json.load(daemon.getresponse()))
    return call


def httpx_client():
    import httpx
    client = httpx.Client(headers=HEADERS, trust_env=False)
    return lambda: checked(client.post(URL, content=json.dumps(ask())).json())


def requests_session():
    import requests
    session = requests.Session()
    session.headers.update(HEADERS)
    session.trust_env = False
    return lambda: checked(session.post(URL, data=json.dumps(ask())).json())


async def aiohttp_client():
    import aiohttp
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        async def call():
            async with session.post(URL, data=json.dumps(ask())) as response:
                checked(await response.json())

        until = time.perf_counter() + SECONDS / 5
        while time.perf_counter() < until:
            await call()
        times, until = [], time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            begun = time.perf_counter_ns()
            await call()
            times.append(time.perf_counter_ns() - begun)
        write(times, SECONDS)


MADE = {"plain": plain, "http.client-tcp": lambda: http_client(True), "http.client-unix": lambda: http_client(False),
        "httpx": httpx_client, "requests": requests_session}
if CLIENT == "aiohttp":
    asyncio.run(aiohttp_client())
else:
    measure(MADE[CLIENT](), SECONDS)
