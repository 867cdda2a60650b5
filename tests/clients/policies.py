#!/usr/bin/env python3
"""The ready policies of config/policies with real clients: what each is for passes, and one step over each of its limits is
denied with its code and never reaches the exchange.

    exchange.py                              first; note its port
    policies.py POLICY --signvault COMMAND --socket PATH --credential NAME --exchange-port N

needs Python 3.11, ccxt and python-okx (requirements.txt). COMMAND is the program with its directories, as one JSON list. The daemon
must hold one of the exchange's credentials under NAME. Every case gets a policy and a bot of its own, so that nothing is
counted twice; where a limit is too large to reach, the case gives its key another value.

A table must have a case for every key that its file has. Prints `N passed, N failed`, counted in steps.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import namedtuple

import clients as real  # first: it says where the drop-ins are
import ccxt
from tables import TABLES

# What a step may use: the bot's name, which is also its policy's, its clients, who set it up, and the exchange's log.
Employed = namedtuple("Employed", "name bot office log")

FILES = real.HERE.parents[1] / "config" / "policies"


def uncovered(text, table):
    """The keys of a policy file that no case of its table is about."""
    content = tomllib.loads(text)
    keys = {f"{name}.{key}" if isinstance(value, dict) else name
            for name, value in content.items() for key in (value if isinstance(value, dict) else [name])}
    return sorted(keys - {word for case in table for word in case.about.split()})


def edited(text, edits):
    """The policy with other values of these keys, each of which must stand in one line of it; None takes a line out."""
    for key, value in edits.items():
        line = "" if value is None else f"{key} = {value}\n"
        text, count = re.subn(rf"(?m)^{key} = .*\n", lambda _: line, text)
        assert count == 1 or value is None, f"the policy has {count} lines for {key}"
    return text


class Office:
    """The person who sets policies and adds bots."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.public = ccxt.okx({"enableRateLimit": False})
        self.public.urls["api"]["rest"] = f"http://127.0.0.1:{options.exchange_port}"
        self.public.load_markets()

    def run(self, *arguments):
        """A command of signvault, which has to succeed."""
        command = json.loads(self.options.signvault)
        done = subprocess.run([command[0], *arguments, *command[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def employ(self, name, text):
        """The clients of a new bot under a new policy of this text, both of this name."""
        file, token = f"{self.folder}/{name}.toml", f"{self.folder}/{name}.token"
        with open(file, "w", encoding="utf-8") as policy:
            policy.write(text)
        self.run("policy", "set", name, file)
        self.run("bot", "add", name, "--credential", self.options.credential, "--policy", name, "--token-file", token)
        where = {"credential": self.options.credential, "socket_path": self.options.socket, "token_file": token}
        bot = real.Clients(self.options.exchange_port, where)
        bot.ccxt.set_markets_from_exchange(self.public)
        return bot


def run(case, name, text, office, log):
    """One case on a fresh account: what went wrong."""
    log.reset()
    # A rate that no case reaches by accident: tests ask faster than any bot.
    bot = office.employ(name, edited(text, {"requests_per_second": "1000000", **case.edits}))
    wrong = []
    for number, step in enumerate(case.steps, start=1):
        try:
            step(Employed(name, bot, office, log))
        except Exception as error:
            wrong.append(f"{case.about}, step {number}: {type(error).__name__}: {error}")
    return wrong


def main():
    """Runs the table of one policy, says which steps failed and why."""
    parser = argparse.ArgumentParser(description="a ready policy with ccxt and python-okx")
    parser.add_argument("policy", help="its name: a file in config/policies without .toml")
    parser.add_argument("--signvault", required=True, help='["/path/of/signvault", "--state-dir", …]')
    parser.add_argument("--socket", required=True, help="the daemon's sign.sock")
    parser.add_argument("--credential", required=True, help="the name of the exchange's credential in the vault")
    parser.add_argument("--exchange-port", required=True, type=int, help="what exchange.py printed")
    options = parser.parse_args()
    text, table = (FILES / f"{options.policy}.toml").read_text(encoding="utf-8"), TABLES[options.policy]
    wrong = [f"no case is about {key}" for key in uncovered(text, table)]
    with tempfile.TemporaryDirectory() as folder:
        office, log = Office(options, folder), real.Log(options.exchange_port)
        for number, case in enumerate(table, start=1):
            wrong += run(case, f"{options.policy}-{number}", text, office, log)
    steps = sum(len(case.steps) for case in table)
    print("".join(f"FAILED {each}\n" for each in wrong) + f"{steps - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
