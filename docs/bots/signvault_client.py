"""Asks the signvault daemon for signed headers over its Unix socket. Standard library only.

One persistent connection per thread, plain HTTP/1.1 over `socket`: a general HTTP library costs more than the signature.
Every error below means that no signature came back, so nothing was sent to the exchange.
"""
import json
import os
import select
import socket
import threading


class SignvaultError(Exception):
    """No signature. `code`, `detail` and `help` are the daemon's; `problem` is its whole answer."""

    def __init__(self, problem):
        super().__init__(problem)
        self.problem = problem
        self.code, self.detail, self.help = (problem.get(name, "") for name in ("code", "detail", "help"))

    def __str__(self):
        return f"{self.code}: {self.detail}" + (f" (help: {self.help})" if self.help else "")


class Denied(SignvaultError):
    """The bot's policy does not allow this request."""


class Limited(SignvaultError):
    """A rate or a rolling limit is used up; `problem["retry_after_ms"]` says until when."""


class Locked(SignvaultError):
    """The vault is locked: a person has to run `signvault unlock`."""


class Unavailable(SignvaultError):
    """The daemon cannot be reached, or cannot sign now (audit or clock)."""


KINDS = {403: Denied, 409: Denied, 423: Locked, 429: Limited, 500: Unavailable, 503: Unavailable}


def default_socket():
    """In `SIGNVAULT_RUN_DIR`; otherwise that of a daemon run by this user, otherwise the system's."""
    own = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "signvault")
    folder = os.environ.get("SIGNVAULT_RUN_DIR") or (own if os.path.exists(own + "/sign.sock") else "/run/signvault")
    return os.path.join(folder, "sign.sock")


class Vault:
    """Signs for one credential. May be shared between threads, and survives a fork."""

    def __init__(self, credential, socket_path=None, token_file=None, timeout_s=10):
        self.credential, self.timeout_s = credential, timeout_s
        self.socket_path = socket_path or default_socket()
        self.token_file = token_file or os.environ.get("SIGNVAULT_TOKEN_FILE")
        self._own = threading.local()  # per thread: sock, reader, poll, token, pid

    def sign(self, method, path, body=""):
        """The daemon's answer for this very method, path with query, and body: send `headers` and `body` from it."""
        return self._ask("/v1/sign", {"credential": self.credential, "method": method, "path": path, "body": body or ""})

    def session(self, channel="private"):
        """The WebSocket login frame (`message`); the bot needs the grant `session`."""
        return self._ask("/v1/session", {"credential": self.credential, "channel": channel})

    def _ask(self, route, ask):
        payload = json.dumps(ask).encode()
        try:
            reused = self._connect()
            try:
                status, answer = self._round_trip(route, payload)
            except ConnectionError:
                if not reused:
                    raise
                self._close()  # the daemon closed an idle connection: once more on a new one
                self._connect()
                status, answer = self._round_trip(route, payload)
        except (OSError, ValueError) as error:
            self._close()
            raise Unavailable({"code": "client.unreachable", "detail": f"no answer at {self.socket_path}: {error}",
                               "help": "is signvault running, and may this user open the socket?"}) from error
        except BaseException:
            self._close()  # an interrupted exchange leaves an answer behind that the next ask would take for its own
            raise
        if status == 200:
            return answer
        if status == 401:
            self._close()  # the next ask reads the token file again: the token may have been rotated
        raise KINDS.get(status, SignvaultError)(answer)

    def _connect(self):
        """Makes sure of a connection; true if it was there before. A forked child must not share its parent's."""
        own = self._own
        # Readable before anything was asked: closed by the daemon, or bytes that answer nothing.
        if getattr(own, "sock", None) and own.pid == os.getpid() and not own.poll.poll(0):
            return True
        self._close()
        own.token = self._read_token()
        own.sock, own.pid, own.poll = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), os.getpid(), select.poll()
        own.sock.settimeout(self.timeout_s)
        own.sock.connect(self.socket_path)
        own.poll.register(own.sock, select.POLLIN)
        own.reader = own.sock.makefile("rb")
        return False

    def _read_token(self):
        try:
            with open(self.token_file or "", encoding="ascii") as file:
                (token,) = file.read().split()
            return token
        except (OSError, ValueError):
            problem = {"code": "client.token_file", "detail": f"no token in the file {self.token_file!r}",
                       "help": "set SIGNVAULT_TOKEN_FILE to the file written by `signvault bot add --token-file`"}
            raise SignvaultError(problem) from None

    def _round_trip(self, route, payload):
        head = (f"POST {route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._own.token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n")
        self._own.sock.sendall(head.encode() + payload)
        reader = self._own.reader
        status_line, headers = reader.readline(), {}
        if not status_line:
            raise ConnectionResetError("the connection was closed before an answer")
        while line := reader.readline().decode("latin-1").strip().lower():
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        status, answer = int(status_line.split()[1]), json.loads(reader.read(int(headers.get("content-length", 0))))
        if not isinstance(answer, dict):
            raise ValueError("the answer is not an object")
        if headers.get("connection") == "close":
            self._close()
        return status, answer

    def _close(self):
        for each in (getattr(self._own, "reader", None), getattr(self._own, "sock", None)):
            if each:
                each.close()
        self._own.sock = self._own.reader = None
