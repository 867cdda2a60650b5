"""A machine with the package on it, and the daemon as people and bots use it there: by its own commands only."""

import contextlib
import json
import pathlib

from machine import HERE, Failed, Machine, until

PASSWORD = "a few words that open it"
# Made up; nobody's key.
CREDENTIAL = json.dumps({"api_key": "6f1d2c3b-5a49-4e8d-9c7b-0a1b2c3d4e5f", "secret": "0123456789ABCDEF" * 2, "passphrase": "Correct-Horse-1"})
BALANCE = "/api/v5/account/balance?ccy=USDT"
BOT = 1001
OTHER_BOT = 1002
TOKEN = "/var/lib/grid/token"
KEY = "/etc/signvault/signvault.key.cred"
SIGN, ADMIN, PORT = "/run/signvault/sign.sock", "/run/signvault/admin.sock", "8731"
SOCKETS = ["signvault.socket", "signvault-admin.socket", "signvault-tcp.socket"]


class Box(Machine):
    """A trader's machine."""

    def install(self, package):
        """Installs a package as apt would have dpkg do it."""
        self.bring(package, "/opt/test/signvault.deb")
        return self.ok("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", "/opt/test/signvault.deb")

    def bring_clients(self):
        """What tests run inside, and two users whose bots may reach the socket."""
        self.bring(HERE / "inside.py", "/opt/test/inside.py")
        for name, uid in (("grid", BOT), ("maker", OTHER_BOT)):
            self.ok("useradd", f"--uid={uid}", "--groups=signvault-bots", "--no-create-home", name)
        return self

    def signvault(self, *words, **options):
        """A command of root's that must succeed."""
        return self.ok("signvault", *words, **options)

    def status(self):
        """What the daemon says of itself."""
        return json.loads(self.signvault("status", "--json"))

    def state(self):
        """`locked`, `unlocked` or `uninitialized`."""
        return self.status()["state"]

    def unlock(self):
        """As a person does it."""
        return self.signvault("unlock", "--stdin", stdin=PASSWORD + "\n")

    def fill(self, *flags):
        """A vault with a key and a bot in it, unlocked. Flags are for `bot add`."""
        self.signvault("init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64", stdin=PASSWORD + "\n")
        self.unlock()
        card = ["--permissions", "read,trade", "--ip", "203.0.113.7"]
        self.signvault("credential", "add", "okx-main", "--exchange", "okx", "--stdin", *card, stdin=CREDENTIAL)
        self.ok("install", "--directory", f"--owner={BOT}", "--mode=0755", "/var/lib/grid")
        self.signvault("bot", "add", "grid", "--credential", "okx-main", "--token-file", TOKEN, *flags)
        self.ok("chown", str(BOT), TOKEN)
        return self

    def unattended(self):
        """A key file of the vault's, encrypted for this machine, and no copy of it left: docs/unattended.md."""
        self.signvault("slot", "add", "key-file", "/run/signvault.key")
        self.encrypt("/run/signvault.key")
        return self

    def encrypt(self, key):
        """Puts the encrypted form of this key file where the daemon's start looks for it."""
        self.ok("systemd-creds", "encrypt", "--with-key=host", "--name=signvault.key", key, KEY)
        self.ok("shred", "--remove", key)

    def sign(self, user=BOT, token=TOKEN):
        """The command of a bot's user that has a request signed."""
        words = ["signvault", "--run-dir", "/run/signvault", "sign", "GET", BALANCE, "--credential", "okx-main", "--token-file", token]
        return self.run(*words, user=user)

    def must_sign(self):
        """A bot gets its headers."""
        result = self.sign()
        if result.code != 0 or "OK-ACCESS-SIGN" not in result.out:
            raise Failed(f"no signature: {result}")

    def ask(self, where, path, user=BOT, token=None):
        """A request of a bot's own making; its status and body."""
        body = [token, json.dumps({"credential": "okx-main", "method": "GET", "path": BALANCE})] if token else []
        said = self.ok("/usr/bin/python3", "/opt/test/inside.py", "ask", where, path, *body, user=user)
        status, body = said.split(" ", 1)
        return int(status), json.loads(body)

    def squat(self):
        """What a stranger's attempts on the daemon's names came to."""
        lines = self.ok("/usr/bin/python3", "/opt/test/inside.py", "squat", user=65534).splitlines()
        return dict(line.split(": ") for line in lines)

    def drop_in(self, text, unit="signvault.service"):
        """Other settings for a unit, until the next boot."""
        self.write(f"/run/systemd/system/{unit}.d/test.conf", text)
        self.ok("systemctl", "daemon-reload")

    def no_drop_in(self, unit="signvault.service"):
        """The settings that were shipped."""
        self.ok("rm", "-rf", f"/run/systemd/system/{unit}.d")
        self.ok("systemctl", "daemon-reload")

    def thread(self, name):
        """A thread of the daemon by its name, as the system outside counts."""
        process = self.outside_pid(self.main_pid())
        for task in pathlib.Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(OSError):
                if (task / "comm").read_text().strip() == name:
                    return int(task.name)
        raise Failed(f"the daemon has no thread {name}")

    def restarted(self, before):
        """Waits for a daemon that is another process than before, and ready."""
        def is_new():
            state, pid = self.show("signvault.service", "ActiveState", "MainPID")
            return state == "active" and int(pid) not in (0, before)
        until(is_new, "a new daemon", 30)


def equal(found, expected, about=""):
    """Fails unless both are the same."""
    if found != expected:
        raise Failed(f"{about}: found {found!r}, expected {expected!r}")


def holds(condition, about):
    """Fails unless it holds."""
    if not condition:
        raise Failed(str(about))
