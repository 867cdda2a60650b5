"""The daemon under systemd: whose the sockets are (T31, T91), whom it sees (T89), when it is ready, hangs and ends (T90)."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time

from machine import until
from vault import ADMIN, BOT, OTHER_BOT, PORT, SIGN, SOCKETS, TOKEN, equal, holds

# What a stranger hears who wants a name of the daemon's while systemd has it.
KEPT = {
    "127.0.0.1": "Address already in use",
    "0.0.0.0": "Address already in use",
    "bind sign.sock": "Address already in use",
    "bind admin.sock": "Address already in use",
    "bind other.sock": "Permission denied",
    "unlink sign.sock": "Permission denied",
    "rename sign.sock": "Permission denied",
}
# ptrace(2) and waitpid(2), which Python has no names for.
SEIZE, INTERRUPT, ALL_THREADS = 0x4206, 0x4207, 0x40000000
# Watchdog time in tests, in seconds: the shipped one would make them wait.
WATCHDOG = 3


def t31_nobody_squats_while_systemd_has_the_sockets(bench):
    box = bench.box()
    equal(box.squat(), KEPT, "while the daemon runs")
    box.ok("systemctl", "stop", "signvault.service")
    equal(box.show("signvault.service", "ActiveState"), "inactive")
    equal(box.squat(), KEPT, "while the daemon is stopped")
    # A daemon that cannot start at all, for longer than any start limit of systemd's would bear.
    box.drop_in("[Service]\nReadOnlyPaths=/var/lib/signvault\n")
    box.run("systemctl", "start", "--no-block", "signvault.service")
    until(lambda: int(box.show("signvault.service", "NRestarts")) >= 6, "six failed starts", 40)
    equal(box.squat(), KEPT, "while the daemon fails to start")
    equal([box.show(unit, "ActiveState") for unit in SOCKETS], ["active"] * 3, "sockets after six failed starts")
    box.no_drop_in()
    equal(box.ask(PORT, "/health")[0], 200, "once it can start again")


def t31_without_the_socket_unit_a_squatter_gets_the_port_and_no_token(bench):
    box = bench.box().fill()
    box.ok("systemctl", "stop", "signvault-tcp.socket", "signvault.service")
    caught = "/tmp/caught"
    squatter = box.start("/usr/bin/python3", "/opt/test/inside.py", "listen", PORT, caught, user=65534)
    try:
        until(lambda: box.run("test", "-e", caught).code == 0, "a squatter", 10)
        # The port is theirs: this is what the unit is for. systemd says so, and the daemon serves its sockets all the same.
        holds(box.run("systemctl", "start", "signvault-tcp.socket").code != 0, "the squatter does not hold the port")
        box.ok("systemctl", "start", "signvault.service")
        box.unlock()
        box.must_sign()
        equal(box.ok("cat", caught), "", "what the squatter caught")
    finally:
        # The rest of it ends with the machine.
        squatter.kill()
        squatter.wait(10)


def t89_the_daemon_sees_the_uid_of_a_bot(bench):
    box = bench.box().fill("--uid", str(BOT))
    box.must_sign()
    # The same token in other hands, which are in the same group.
    box.ok("install", f"--owner={OTHER_BOT}", "--mode=0600", TOKEN, "/tmp/taken")
    refused = box.sign(user=OTHER_BOT, token="/tmp/taken")
    equal(refused.code, 1, refused)
    equal(box.ask(SIGN, "/v1/sign", user=OTHER_BOT, token="/tmp/taken")[0], 401)
    # Who is in no group is not even connected; nor is a bot to the admin socket.
    for user, where in ((65534, SIGN), (BOT, ADMIN)):
        result = box.run("/usr/bin/python3", "/opt/test/inside.py", "ask", where, "/health", user=user)
        holds("PermissionError" in result.err, result)
    # Over TCP the kernel vouches for nobody, so a bot with a user is refused there.
    equal(box.ask(PORT, "/v1/sign", token=TOKEN)[0], 401)


def t90_ready_comes_after_the_self_check(bench):
    box = bench.box()
    equal(box.show("signvault.service", "ActiveState", "SubState"), ["active", "running"])
    holds(box.show("signvault.service", "StatusText"), "no status text")
    box.drop_in("[Service]\nReadOnlyPaths=/var/lib/signvault\n")
    began = time.monotonic()
    failed = box.run("systemctl", "restart", "signvault.service")
    holds(failed.code != 0, failed)
    seen = set()
    while time.monotonic() < began + 5:
        seen.add(box.show("signvault.service", "ActiveState"))
        time.sleep(0.05)
    holds("active" not in seen, f"a daemon that cannot use its directory is {seen}")


def t90_a_signing_thread_that_hangs_is_ended_and_started_anew(bench):
    box = bench.box().fill()
    box.drop_in(f"[Service]\nWatchdogSec={WATCHDOG}\n")
    box.ok("systemctl", "restart", "signvault.service")
    box.unlock()
    before = box.main_pid()
    # A while without anything to sign is no hanging.
    time.sleep(2 * WATCHDOG)
    equal(box.main_pid(), before, "an idle daemon was restarted")
    with held(box.thread("signer")):
        until(lambda: box.show("signvault.service", "Result") == "watchdog" or box.main_pid() not in (0, before), "the watchdog", 5 * WATCHDOG)
    box.restarted(before)
    equal(box.state(), "locked")
    holds("watchdog" in box.journal().lower(), "the log does not tell of the watchdog")


def t90_a_disk_that_hangs_is_no_reason_to_restart(bench):
    box = bench.box().fill()
    box.drop_in(f"[Service]\nWatchdogSec={WATCHDOG}\n")
    box.ok("systemctl", "restart", "signvault.service")
    box.unlock()
    before = box.main_pid()
    hang = 3 * WATCHDOG
    flags = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:delay_enter={hang}s"]
    tracer = subprocess.Popen(["strace", *flags, "-p", str(box.outside_pid(before))])
    try:
        time.sleep(1)
        began = time.monotonic()
        status, problem = box.ask(SIGN, "/v1/sign", token=TOKEN)
        equal((status, problem["code"]), (503, "audit.unavailable"), "the disk does not hang")
        time.sleep(max(0, began + hang - time.monotonic()))
        equal(box.main_pid(), before, "the daemon of a disk that hangs was restarted")
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.wait(4 * hang)
    until(lambda: box.sign().code == 0, "signatures once the disk works", 30)
    equal(box.show("signvault.service", "NRestarts"), "0")


def t90_a_stop_takes_less_than_two_seconds_and_a_start_is_locked(bench):
    box = bench.box().fill()
    box.must_sign()
    # Somebody who is connected and says nothing does not hold it up.
    silent = f"import socket; s = socket.create_connection(('127.0.0.1', {PORT})); print(flush=True); s.recv(1)"
    waiting = box.start("/usr/bin/python3", "-c", silent, user=BOT, stdout=subprocess.PIPE)
    waiting.stdout.readline()
    # Not in the queue any more, which would be the next daemon's.
    equal(box.ask(PORT, "/ready")[0], 200)
    began = time.monotonic()
    box.ok("systemctl", "stop", "signvault.service")
    took = time.monotonic() - began
    waiting.wait(10)
    equal(box.show("signvault.service", "ActiveState", "Result", "ExecMainStatus"), ["inactive", "success", "0"])
    holds(took < 2, f"to stop took {took:.1f} s")
    # The next connection starts it.
    status, problem = box.ask(SIGN, "/v1/sign", token=TOKEN)
    equal((status, problem["code"]), (423, "vault.locked"))
    equal(box.ask(PORT, "/ready")[0], 503)
    box.unlock()
    box.must_sign()


def t90_a_reload_keeps_the_process_and_a_wrong_file_changes_nothing(bench):
    box = bench.box().fill()
    before = box.main_pid()
    config = box.ok("cat", "/etc/signvault/signvault.toml")
    for text in (config.replace('#level = "info"', 'level = "debug"'), "nonsense = true\n"):
        box.write("/etc/signvault/signvault.toml", text)
        box.ok("systemctl", "reload", "signvault.service")
        until(lambda: box.show("signvault.service", "ActiveState", "SubState") == ["active", "running"], "the end of a reload", 10)
        time.sleep(0.5)
        equal(box.main_pid(), before, "a reload made another process")
        # Not by root's commands, which read the same file.
        equal(box.ask(SIGN, "/v1/sign", token=TOKEN)[0], 200)
    holds("the configuration was not taken" in box.journal(), "the log does not tell of the wrong file")


def t91_a_killed_daemon_leaves_a_queue_and_the_next_one_serves_it(bench):
    box = bench.box().fill().unattended()
    box.ok("systemctl", "restart", "signvault.service")
    for where in (SIGN, PORT, SIGN):
        before = box.main_pid()
        os.kill(box.outside_pid(before), signal.SIGKILL)
        status, answer = box.ask(where, "/v1/sign", token=TOKEN)
        equal(status, 200, answer)
        holds(box.main_pid() not in (0, before), "the same process as before")
        equal(box.squat(), KEPT, "after a kill")


@contextlib.contextmanager
def held(thread):
    """Stops one thread of a process, as a fault in it would, until the process is killed."""
    tracer = os.fork()
    if tracer == 0:
        ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        if ptrace(SEIZE, thread, None, None) != 0 or ptrace(INTERRUPT, thread, None, None) != 0:
            os._exit(1)
        with contextlib.suppress(ChildProcessError):
            while not os.WIFSIGNALED(os.waitpid(thread, ALL_THREADS)[1]):
                pass
        os._exit(0)
    try:
        yield
    finally:
        # Gone by itself with the thread; where the test failed, the thread goes on.
        with contextlib.suppress(ProcessLookupError):
            os.kill(tracer, signal.SIGKILL)
        os.waitpid(tracer, 0)


TESTS = [
    t31_nobody_squats_while_systemd_has_the_sockets,
    t31_without_the_socket_unit_a_squatter_gets_the_port_and_no_token,
    t89_the_daemon_sees_the_uid_of_a_bot,
    t90_ready_comes_after_the_self_check,
    t90_a_signing_thread_that_hangs_is_ended_and_started_anew,
    t90_a_disk_that_hangs_is_no_reason_to_restart,
    t90_a_stop_takes_less_than_two_seconds_and_a_start_is_locked,
    t90_a_reload_keeps_the_process_and_a_wrong_file_changes_nothing,
    t91_a_killed_daemon_leaves_a_queue_and_the_next_one_serves_it,
]
