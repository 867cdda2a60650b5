"""What the units promise about the sandbox: what systemd thinks of them (T87), and what a program in it can do (T88)."""

import resource
import shutil

from vault import SOCKETS, equal, holds

SERVICES = ["signvault.service", "signvault-key.service"]
# Of systemd's scale from 0 to 100, the least that is unsafe: 1.0 as `systemd-analyze security` prints it.
EXPOSURE = 10
MIB = 1024 * 1024
# capabilities(7), as a bit.
CAP_SYS_RESOURCE = 1 << 24

# What the probe asks for, and what the kernel must say to it in the sandbox.
FORBIDDEN = {
    "AF_INET": "EAFNOSUPPORT",
    "AF_INET6": "EAFNOSUPPORT",
    "AF_NETLINK": "EAFNOSUPPORT",
    "process_vm_readv": "EPERM",
    "process_vm_writev": "EPERM",
    "ptrace": "EPERM",
    "io_uring": "EPERM",
    "userfaultfd": "EPERM",
    "kcmp": "EPERM",
    "execute a shell": "EACCES",
    "write to /etc": "EROFS",
    "write to /run/signvault": "EACCES",
    "read of /root": "EACCES",
    "read of /home": "EACCES",
    "mount": "EPERM",
    "a namespace": "EPERM",
    "another host name": "EPERM",
    "keyring": "EPERM",
    "mmap writable and executable": "EPERM",
    "mprotect to executable": "EPERM",
}
NEEDED = [
    "mlock", "memfd_secret", "write into the state directory", "inotify", "read the clock's state", "start a thread",
    "landlock", "AF_UNIX", "seccomp",
]


def t87_the_units_are_in_order_and_hardened(bench):
    box = bench.box()
    user = [f"/usr/lib/systemd/user/{name}" for name in ["signvault.service", *SOCKETS]]
    for words in ([*SERVICES, *SOCKETS], ["--user", *user]):
        result = box.run("env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "verify", *words)
        equal((result.code, result.out, result.err), (0, "", ""), f"systemd-analyze verify {' '.join(words)}")
    unit = "/usr/lib/systemd/system/signvault.service"
    security = ["systemd-analyze", "security", "--no-pager", "--offline=true", unit]
    box.ok(*security, f"--threshold={EXPOSURE}")
    # Would it notice? The same unit with a network is over the threshold.
    box.ok("sed", "--in-place", "/^PrivateNetwork=/d; /^RestrictAddressFamilies=/d; /^SystemCallFilter=/d", unit)
    holds(box.run(*security, f"--threshold={EXPOSURE}").code != 0, "a weaker unit passes the threshold as well")


def t88_the_sandbox_forbids_what_it_should_and_nothing_that_is_needed(bench):
    box = bench.box()
    # Outside of the sandbox, as root, the same program may do all of it: so its answers mean something.
    box.bring(bench.probe, "/opt/test/probe")
    box.ok("mkdir", "--parents", "/home/probe")
    outside = answers(box.ok("env", "STATE_DIRECTORY=/opt/test", "/opt/test/probe"))
    equal({what: answer for what, answer in outside.items() if what in FORBIDDEN and answer != "done"}, {}, "outside of the sandbox")

    box.ok("systemctl", "stop", *SOCKETS, "signvault.service")
    shutil.copy(bench.probe, box.root / "usr/bin/signvault")
    box.drop_in(
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nStandardOutput=file:/opt/test/answers\nExecStart=\n"
        "ExecStart=/usr/bin/signvault\n"
    )
    box.ok("systemctl", "start", "signvault.service")
    inside = answers(box.ok("cat", "/opt/test/answers"))
    equal({what: inside.get(what) for what in FORBIDDEN}, FORBIDDEN, "in the sandbox")
    equal({what: inside.get(what) for what in NEEDED}, dict.fromkeys(NEEDED, "done"), "in the sandbox")
    # A systemd that may not raise limits clamps this one without a word.
    raises = int(box.ok("sed", "-n", "s/^CapEff:\\s*//p", "/proc/1/status"), 16) & CAP_SYS_RESOURCE
    limit = 64 * MIB if raises else min(64 * MIB, resource.getrlimit(resource.RLIMIT_MEMLOCK)[1])
    equal(int(inside["locked memory"]), limit, "LimitMEMLOCK=")


def t88_what_the_daemon_adds_holds_in_its_unit_and_can_be_required(bench):
    box = bench.box()
    for item in box.status()["hardening"]:
        holds(item["holds"], item)
    config = box.ok("cat", "/etc/signvault/signvault.toml")
    restart = ["systemctl", "restart", "signvault.service"]
    # Too little locked memory for the vault's key: taken as it comes, and told.
    box.drop_in("[Service]\nLimitMEMLOCK=4K\n")
    box.ok(*restart)
    holds(box.status()["degraded"], "nobody is told of too little locked memory")
    box.write("/etc/signvault/signvault.toml", "require_hardening = true\n" + config)
    holds(box.run(*restart).code != 0, "the daemon starts with less than what is required")
    holds("hardened as required" in box.journal(), "the log does not say why it does not start")
    box.no_drop_in()
    box.ok(*restart)


def answers(lines):
    """What the probe printed, by question."""
    return dict(line.split(": ", 1) for line in lines.splitlines())


TESTS = [
    t87_the_units_are_in_order_and_hardened,
    t88_the_sandbox_forbids_what_it_should_and_nothing_that_is_needed,
    t88_what_the_daemon_adds_holds_in_its_unit_and_can_be_required,
]
