"""What tests run inside of a machine: a client that speaks HTTP to the daemon, and a squatter that wants its place.

    inside.py ask WHERE PATH [TOKEN-FILE BODY]   one request; prints the status and the body. WHERE: a port or a socket's path
    inside.py squat                              tries every name of the daemon's, and says what became of it
    inside.py listen PORT FILE                   takes the port and writes what arrives into the file, until it is ended
"""

import http.client
import os
import socket
import sys

RUN = "/run/signvault"


def connect(where):
    client = http.client.HTTPConnection("127.0.0.1" if where.isdigit() else "localhost", int(where) if where.isdigit() else 80, timeout=30)
    if not where.isdigit():
        client.sock = socket.socket(socket.AF_UNIX)
        client.sock.settimeout(30)
        client.sock.connect(where)
    return client


def ask(where, path, token_file=None, body=None):
    headers = {}
    if token_file:
        with open(token_file, encoding="ascii") as file:
            headers = {"Authorization": f"Bearer {file.read().strip()}", "Content-Type": "application/json"}
    client = connect(where)
    client.request("POST" if body else "GET", path, body, headers)
    answer = client.getresponse()
    print(answer.status, answer.read().decode())


def squat():
    for address in ("127.0.0.1", "0.0.0.0"):
        taker = socket.socket()
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        attempt(address, lambda: (taker.bind((address, 8731)), taker.listen()))
        taker.close()
    for name in ("sign.sock", "admin.sock", "other.sock"):
        attempt(f"bind {name}", lambda: socket.socket(socket.AF_UNIX).bind(f"{RUN}/{name}"))
    attempt("unlink sign.sock", lambda: os.unlink(f"{RUN}/sign.sock"))
    attempt("rename sign.sock", lambda: os.rename(f"{RUN}/sign.sock", f"{RUN}/old.sock"))


def attempt(what, deed):
    try:
        deed()
        print(f"{what}: done")
    except OSError as error:
        print(f"{what}: {error.strerror}")


def listen(port, path):
    taker = socket.socket()
    taker.bind(("127.0.0.1", int(port)))
    taker.listen()
    with open(path, "wb", buffering=0) as file:
        while True:
            peer, _ = taker.accept()
            file.write(peer.recv(65536))
            peer.close()


if __name__ == "__main__":
    {"ask": ask, "squat": squat, "listen": listen}[sys.argv[1]](*sys.argv[2:])
