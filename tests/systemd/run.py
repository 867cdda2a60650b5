#!/usr/bin/env python3
"""The service files and the package on a real systemd, each test on a machine of its own (machine.py).

    make systemd                                    all of it
    python3 tests/systemd/run.py --deb FILE         the same with a package that is there already
    python3 tests/systemd/run.py --deb FILE t91     what has this in its name

Needs root, Linux with overlayfs and cgroup2, and Debian's systemd, util-linux, dpkg, gcc and strace. Python's standard
library is enough. Each test has a bounded time, and everything ends with this process.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import package
import sandbox
import service
from machine import Layers, command
from vault import Box

TESTS = [*sandbox.TESTS, *service.TESTS, *package.TESTS]
# One test, in seconds; a machine takes one or two to start.
LONGEST = 150
# Set in the process that has its own mounts.
ALONE = "SIGNVAULT_TEST_ALONE"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--deb", type=pathlib.Path, help="the package to test")
    arguments.add_argument("--list", action="store_true", help="say which tests there are")
    arguments.add_argument("words", nargs="*", help="only tests with one of these in their name")
    said = arguments.parse_args()
    chosen = [test for test in TESTS if not said.words or any(word in test.__name__ for word in said.words)]
    if said.list:
        print("\n".join(test.__name__ for test in chosen))
        return 0
    if os.geteuid() != 0 or said.deb is None or not said.deb.is_file() or not chosen:
        arguments.error("needs root, a package (--deb) and a test with that name")
    if ALONE not in os.environ:
        # What is mounted from here on nobody else sees, and it goes with this process.
        os.environ[ALONE] = "yes"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    return run(chosen, said.deb.resolve())


def run(tests, deb):
    signal.signal(signal.SIGTERM, stop)
    place = tempfile.mkdtemp(prefix="signvault-systemd-")
    layers = Layers(place)
    bench = Bench(layers, deb)
    failed = []
    try:
        bench.prepare()
        for test in tests:
            begun = time.monotonic()
            said = bench.try_one(test)
            print(f"{'FAILED' if said else 'ok':6} {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
            if said:
                failed.append(test.__name__)
                print(said, flush=True)
    finally:
        bench.end()
        command("umount", "--recursive", "--lazy", place)
        os.rmdir(place)
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def stop(*_):
    """Ends as if by itself, so that the machines end too; being told twice must not cut that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


class Bench:
    """What every test is given: machines, a package, and the probe."""

    def __init__(self, layers, deb):
        self.layers, self.deb, self.boxes = layers, deb, []
        self.probe = layers.place / "probe"

    def prepare(self):
        """A machine that has the package, which the machines of most tests are copies of."""
        source = pathlib.Path(__file__).with_name("probe.c")
        command("cc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", str(self.probe), str(source), "-lpthread")
        self.bare = Box(self.layers)
        self.installed = Box(self.layers, self.bare).boot()
        self.boxes.append(self.installed)
        self.installed.install(self.deb)
        self.installed.bring_clients()
        self.installed.halt()

    def box(self):
        """A new machine with the package, running."""
        return self.boot(Box(self.layers, self.installed))

    def bare_box(self):
        """A new machine without it, running."""
        return self.boot(Box(self.layers, self.bare))

    def boot(self, box):
        self.boxes.append(box)
        return box.boot()

    def try_one(self, test):
        """Runs a test; nothing, or what is wrong."""
        def too_long(*_):
            raise TimeoutError(f"more than {LONGEST} s")

        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LONGEST)
        try:
            test(self)
            return None
        except Exception:
            signal.alarm(0)
            return f"{traceback.format_exc()}\n{self.logs()}"
        finally:
            signal.alarm(0)
            self.end()

    def logs(self):
        """What the machines that are on say about the daemon."""
        try:
            return "\n".join(box.journal() for box in self.boxes if box.init)
        except (OSError, subprocess.SubprocessError) as error:
            return f"no log: {error}"

    def end(self):
        """Takes the power from every machine that is on."""
        while self.boxes:
            self.boxes.pop().cut()


if __name__ == "__main__":
    sys.exit(main())
