"""Machines to test in: a real systemd as the first process of its own namespaces, over a copy-on-write view of this system.

Nothing of a machine reaches the system outside: its files are an overlay that is kept in memory, its network is its own and
has a loopback interface only, and it cannot set the clock. It ends by the pid of its first process. Needs root.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
# How long a machine may take to start or stop, in seconds, on a machine that is busy with other things.
PATIENCE = 90
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Units of this system that a machine without hardware cannot run or has no use for.
MASKED = """
    console-getty.service dev-hugepages.mount dev-mqueue.mount getty.target kmod-static-nodes.service procps.service
    hwclock.service modprobe@.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount quotaon.service
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
    systemd-binfmt.service systemd-boot-check-no-failures.service systemd-hwdb-update.service systemd-logind.service
    systemd-modules-load.service systemd-networkd.service systemd-networkd.socket systemd-pcrphase.service
    systemd-pcrphase-sysinit.service systemd-random-seed.service systemd-remount-fs.service systemd-sysctl.service
    systemd-timesyncd.service systemd-udev-settle.service systemd-udev-trigger.service systemd-udevd-control.socket
    systemd-udevd-kernel.socket systemd-udevd.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
    systemd-firstboot.service systemd-machine-id-commit.service systemd-initctl.socket systemd-ask-password-wall.path
    systemd-ask-password-console.path dbus.service dbus.socket
""".split()


class Failed(Exception):
    """A command did not do what it should have done."""


def command(*words, **options):
    """Runs a command outside of any machine."""
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def until(condition, what, seconds=PATIENCE, pause=0.1):
    """Waits until the condition holds, and returns what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if held := condition():
            return held
        time.sleep(pause)
    raise Failed(f"after {seconds} s still not: {what}")


class Result:
    """What a command in a machine said."""

    def __init__(self, words, done):
        self.words, self.code, self.out, self.err = words, done.returncode, done.stdout, done.stderr

    def __str__(self):
        return f"{' '.join(map(str, self.words))} → {self.code}\n{self.out}{self.err}"


class Layers:
    """Where the machines' files are: one file system in memory, seen by this process and its children only."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        command("mount", "-t", "tmpfs", "-o", "mode=0700,size=3g", "tmpfs", str(self.place))
        self.machines = 0

    def over(self, lower):
        """A root of its own over these layers, uppermost first; returns the new layer and the root."""
        self.machines += 1
        home = self.place / str(self.machines)
        upper, work, root = (home / name for name in ("upper", "work", "root"))
        for directory in (upper, work, root):
            directory.mkdir(parents=True)
        upper.chmod(0o755)
        options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
        command("mount", "-t", "overlay", "overlay", "-o", options, str(root))
        return upper, root


class Machine:
    """One machine, off until it is booted."""

    def __init__(self, layers, base=None):
        """Over this system, or over what another machine, which is off, made of it."""
        self.layers, self.process, self.init = layers, None, None
        self.lower = [base.upper, *base.lower] if base else [pathlib.Path("/")]
        self.upper, self.root = layers.over(self.lower)
        if base is None:
            self._prepare()

    def _prepare(self):
        """Takes away what this system would start."""
        units = self.root / "etc/systemd/system"
        shutil.rmtree(units)
        units.mkdir()
        for unit in MASKED:
            (units / unit).symlink_to("/dev/null")
        (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
        wanted = self.root / "lib/systemd/system/multi-user.target.wants"
        shutil.rmtree(wanted, ignore_errors=True)
        shutil.rmtree(self.root / "etc/init.d", ignore_errors=True)
        # What would keep a package's services from starting, and a key that would not be the machine's own.
        for file in ("usr/sbin/policy-rc.d", "var/lib/systemd/credential.secret"):
            (self.root / file).unlink(missing_ok=True)
        (self.root / "etc/hostname").write_text("vault\n")
        # Seen from a machine, this directory is where a test may put things.
        (self.root / "opt/test").mkdir(parents=True)

    # -- on and off --

    def boot(self):
        """Starts systemd and waits until it has started everything."""
        self.group = own_group()
        flags = ["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
        self.log = open(self.layers.place / f"boot-{self.layers.machines}.log", "ab")
        self.process = subprocess.Popen(
            ["unshare", *flags, "sh", str(HERE / "boot.sh"), str(self.root)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=lambda: (self.group / "cgroup.procs").write_text(str(os.getpid())),
        )
        self.init = until(self._first_process, "the first process")
        until(lambda: self._state() in ("running", "degraded"), "a system that is up", pause=0.2)
        return self

    def _first_process(self):
        if self.process.poll() is not None:
            raise Failed(f"the machine ended at once: {pathlib.Path(self.log.name).read_text()}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        is_systemd = children and pathlib.Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd"
        return int(children[0]) if is_systemd else None

    def _state(self):
        return self.run("systemctl", "is-system-running").out.strip()

    def reboot(self):
        """As a person does it: services are stopped, then everything starts anew from the disk."""
        self.halt()
        return self.boot()

    def halt(self):
        """Stops services, then the machine."""
        self.run("systemctl", "poweroff", "--no-block")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.cut()

    def cut(self):
        """Takes the power away."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init or self.process.pid, 9)
        self.process.wait(PATIENCE)
        self.process, self.init = None, None
        self.log.close()
        until(lambda: remove_groups(self.group), "an empty control group")

    # -- inside --

    def run(self, *words, user=None, stdin=None, seconds=PATIENCE):
        """Runs a command in the machine, as root or as a user, and returns what it said."""
        inside = ["nsenter", "--all", f"--target={self.init}", "--", "env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        words = [str(word) for word in words]
        data = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run([*inside, *become, *words], capture_output=True, text=True, timeout=seconds, **data)
        return Result(words, done)

    def ok(self, *words, **options):
        """Runs a command that must succeed, and returns its output."""
        result = self.run(*words, **options)
        if result.code != 0:
            raise Failed(str(result))
        return result.out

    def start(self, *words, user=None, **options):
        """Starts a command in the machine and goes on; the caller ends it."""
        inside = ["nsenter", "--all", f"--target={self.init}", "--", "env", "-i", f"PATH={PATH}", "HOME=/root"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return subprocess.Popen([*inside, *become, *map(str, words)], text=True, **options)

    def write(self, path, text, mode=0o644):
        """Writes a file into the machine."""
        self.ok("sh", "-c", f'umask 077; mkdir -p "$(dirname "$0")"; cat > "$0"; chmod {mode:o} "$0"', path, stdin=text)

    def bring(self, source, path):
        """Copies a file of the system outside to a machine that is off or on."""
        target = self.root / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def show(self, unit, *properties):
        """Properties of a unit, in this order."""
        lines = self.ok("systemctl", "show", unit, *(f"--property={name}" for name in properties)).splitlines()
        values = dict(line.split("=", 1) for line in lines)
        found = [values[name] for name in properties]
        return found[0] if len(found) == 1 else found

    def journal(self, unit="signvault*", lines=40):
        """The end of a unit's log."""
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={unit}", f"--lines={lines}").out

    def main_pid(self, unit="signvault.service"):
        """The main process of a unit, as the machine counts."""
        return int(self.show(unit, "MainPID"))

    def outside_pid(self, pid):
        """The same process as the system outside counts: the one of these namespaces that has this number inside."""
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                numbers = [line.split()[1:] for line in status.read_text().splitlines() if line.startswith("NSpid:")][0]
                if numbers[1:] == [str(pid)] and os.readlink(status.parent / "ns/pid") == os.readlink(f"/proc/{self.init}/ns/pid"):
                    return int(numbers[0])
        raise Failed(f"no process {pid} in the machine")


def own_group():
    """A new control group for a machine: its systemd takes what it finds there for its own."""
    hierarchy = pathlib.Path(command("findmnt", "--noheadings", "--first-only", "--output=TARGET", "--types=cgroup2").strip())
    group = hierarchy / f"signvault-test-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    return group


def remove_groups(group):
    """Removes a control group and all below it, once they are empty."""
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not group.exists()
