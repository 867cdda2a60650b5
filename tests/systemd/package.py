"""The package (T93): installed, upgraded, removed, purged; and the story it is made for, a machine that starts by itself."""

from machine import until
from vault import BOT, KEY, PASSWORD, PORT, SIGN, SOCKETS, TOKEN, equal, holds

VAULT = "/var/lib/signvault/vault.db"
# Path, kind and mode, user, group.
PLACES = [
    ("/usr/bin/signvault", "-rwxr-xr-x root root"),
    ("/etc/signvault/signvault.toml", "-rw-r--r-- root root"),
    ("/run/signvault", "drwxr-xr-x root root"),
    ("/run/signvault/sign.sock", "srw-rw---- root signvault-bots"),
    ("/run/signvault/admin.sock", "srw-rw---- root signvault-admin"),
    ("/var/lib/signvault", "drwx------ signvault signvault"),
    ("/var/lib/signvault-anchor", "drwx------ signvault signvault"),
]
SHIPPED = [
    "/usr/share/man/man1/signvault.1.gz", "/usr/share/man/man1/signvault-unlock.1.gz",
    "/usr/share/bash-completion/completions/signvault", "/usr/share/zsh/vendor-completions/_signvault",
    "/usr/share/fish/vendor_completions.d/signvault.fish", "/usr/lib/systemd/user/signvault.service",
    "/usr/lib/sysusers.d/signvault.conf", "/usr/lib/tmpfiles.d/signvault.conf", "/usr/share/doc/signvault/copyright",
]


def t93_an_install_brings_users_modes_and_a_daemon(bench):
    box = bench.bare_box()
    box.install(bench.deb)
    box.bring_clients()
    check_places(box)
    for path in SHIPPED:
        box.ok("test", "-s", path)
    account = box.ok("getent", "passwd", "signvault").strip().split(":")
    equal(account[5:], ["/var/lib/signvault", "/usr/sbin/nologin"], account)
    equal(box.ok("id", "--name", "--groups", "signvault").split(), ["signvault"])
    for unit in [*SOCKETS, "signvault.service"]:
        equal(box.ok("systemctl", "is-enabled", unit).strip(), "enabled", unit)
        equal(box.show(unit, "ActiveState"), "active", unit)
    equal(box.state(), "uninitialized")
    equal(box.ask(PORT, "/health")[0], 200)
    equal(box.ask(PORT, "/ready")[0], 503)
    equal(box.ok("systemctl", "--failed", "--no-legend"), "", "failed units")
    # Made by root beside a running daemon, and the daemon's all the same.
    box.fill()
    equal(described(box, VAULT), "-rw------- signvault signvault")
    box.must_sign()


def t93_an_upgrade_keeps_the_vault_and_every_choice(bench):
    box = bench.box().fill()
    box.ok("systemctl", "disable", "--now", "signvault-tcp.socket")
    config = box.ok("cat", "/etc/signvault/signvault.toml") + "# mine\n"
    box.write("/etc/signvault/signvault.toml", config)
    before = box.main_pid()
    newer = newer_package(box)
    said = box.ok("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", newer)
    equal(box.ok("dpkg-query", "--show", "--showformat=${Version}", "signvault"), "99")
    box.restarted(before)
    equal(box.ok("cat", "/etc/signvault/signvault.toml"), config)
    equal(box.run("systemctl", "is-enabled", "signvault-tcp.socket").out.strip(), "disabled")
    equal(box.show("signvault-tcp.socket", "ActiveState"), "inactive")
    equal(box.state(), "locked")
    box.unlock()
    box.must_sign()
    # What was stopped stays stopped.
    box.ok("systemctl", "stop", "signvault.service", *SOCKETS)
    box.ok("systemctl", "disable", "signvault.service")
    box.ok("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", newer)
    equal(box.show("signvault.service", "ActiveState"), "inactive", said)


def t93_a_removal_keeps_the_vault_and_a_purge_deletes_it_only_if_told_to(bench):
    box = bench.box().fill().unattended()
    box.ok("dpkg", "--remove", "signvault")
    for path in ("/usr/bin/signvault", SIGN, "/usr/lib/systemd/system/signvault.service"):
        box.ok("test", "!", "-e", path)
    for path in (VAULT, "/var/lib/signvault-anchor/anchor", KEY, "/etc/signvault/signvault.toml"):
        box.ok("test", "-e", path)
    equal(box.run("systemctl", "is-active", *SOCKETS).out.split(), ["inactive"] * 3)
    # Nobody to ask, and nothing said before.
    box.ok("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--purge", "signvault")
    for path in (VAULT, "/var/lib/signvault-anchor/anchor", KEY):
        box.ok("test", "-e", path)
    # The same vault under a package that is installed again.
    box.install(bench.deb)
    until(lambda: box.state() == "unlocked", "a vault that opens by itself again", 20)
    box.must_sign()
    box.ok("debconf-set-selections", stdin="signvault signvault/delete-vault boolean true\n")
    box.ok("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--purge", "signvault")
    for path in ("/var/lib/signvault", "/var/lib/signvault-anchor", "/etc/signvault", "/run/signvault"):
        box.ok("test", "!", "-e", path)
    # The answer was for that purge only.
    equal(box.run("sh", "-c", "debconf-show signvault | grep delete-vault").out, "")


def t93_a_purge_asks_before_it_deletes_a_vault(bench):
    for answer, stays in (("no", True), ("", True), ("yes", False)):
        box = bench.box().fill()
        # At a terminal, where somebody types.
        purge = "env DEBIAN_FRONTEND=teletype TERM=dumb dpkg --purge signvault"
        seen = box.ok("script", "--quiet", "--return", "--command", purge, "/dev/null", stdin=f"{answer}\n")
        holds("Delete the vault" in seen, f"nobody was asked: {seen}")
        equal(box.run("test", "-e", VAULT).code == 0, stays, f"the vault after the answer {answer!r}: {seen}")
        equal(box.run("test", "-e", "/var/lib/signvault-anchor/anchor").code == 0, stays, "the anchor")
        box.cut()


def a_machine_that_reboots_signs_again_without_a_person(bench):
    box = bench.bare_box()
    holds(box.run("sh", "-c", "command -v cargo || command -v rustc").code != 0, "this machine has Rust")
    box.install(bench.deb)
    box.bring_clients()
    box.fill()
    box.must_sign()
    box.unattended()
    for _ in range(2):
        box.reboot()
        # Nobody but a bot does anything.
        box.must_sign()
        equal(box.ask(PORT, "/v1/sign", token=TOKEN)[0], 200)
        equal(box.ask(PORT, "/ready")[0], 200)
        check_places(box)
    # And when the power was cut.
    box.cut()
    box.boot()
    box.must_sign()
    # A restart comes back as configured.
    box.signvault("lock")
    equal(box.sign().code, 4)
    box.ok("systemctl", "restart", "signvault.service")
    box.must_sign()


def a_key_that_is_missing_or_wrong_leaves_a_daemon_that_a_person_can_unlock(bench):
    box = bench.box().fill().unattended()
    good = box.root / KEY.lstrip("/")
    sealed = good.read_bytes()
    wrong = {
        "no key": lambda: good.unlink(),
        "one that cannot be decrypted": lambda: good.write_bytes(sealed[:-8] + b"AAAAAAA="),
        "one that opens no slot": lambda: encrypt(box, 32),
        "one that is too short": lambda: encrypt(box, 31),
    }
    for what, spoil in wrong.items():
        spoil()
        box.reboot()
        equal(box.show("signvault.service", "ActiveState", "NRestarts"), ["active", "0"], what)
        equal(box.state(), "locked", what)
        equal(box.ask(PORT, "/ready")[0], 503, what)
        equal(box.sign().code, 4, what)
        loud = box.run("journalctl", "--boot", "--priority=warning", "--unit=signvault*", "--output=cat").out
        holds("key" in loud or what == "no key", f"{what}: the log says only {loud!r}")
        # A key that opens nothing was a failed attempt, so a person waits a second.
        until(lambda: box.run("signvault", "unlock", "--stdin", stdin=PASSWORD + "\n").code == 0, f"{what}: unlocked by hand", 10)
        box.must_sign()
    good.write_bytes(sealed)
    box.reboot()
    box.must_sign()


def a_user_has_a_vault_of_their_own(bench):
    box = bench.box()
    box.ok("systemctl", "disable", "--now", "signvault-tcp.socket", "signvault.socket", "signvault-admin.socket", "signvault.service")
    home, run = "/var/lib/grid", f"/run/user/{BOT}"
    for directory in (home, run):
        box.ok("install", "--directory", f"--owner={BOT}", "--mode=0700", directory)
    # What a login does by way of PAM, without one: the user's own systemd.
    box.write(
        "/run/systemd/system/manager.service",
        f"[Service]\nType=notify\nUser={BOT}\nDelegate=yes\nEnvironment=XDG_RUNTIME_DIR={run} HOME={home}\nExecStart=/lib/systemd/systemd --user\n",
    )
    box.ok("systemctl", "daemon-reload")
    box.ok("systemctl", "start", "manager.service")
    mine = ["env", f"XDG_RUNTIME_DIR={run}", f"HOME={home}"]
    enabled = box.run(*mine, "systemctl", "--user", "enable", "--now", "signvault.service", user=BOT)
    equal(enabled.code, 0, f"{enabled}\n{box.journal('manager.service')}")
    box.ok(*mine, "signvault", "init", "--stdin", "--no-recovery", "--kdf-memory-mib", "64", user=BOT, stdin="a few words of mine\n")
    box.ok(*mine, "signvault", "unlock", "--stdin", user=BOT, stdin="a few words of mine\n")
    holds('"unlocked"' in box.ok(*mine, "signvault", "status", "--json", user=BOT), "not unlocked")
    equal(box.ok("stat", "--format=%A %U", f"{run}/signvault", f"{run}/signvault/sign.sock").splitlines(), ["drwx------ grid", "srw------- grid"])
    equal(box.ask(PORT, "/ready")[0], 200)


def described(box, path):
    """Kind, mode, user and group."""
    return box.ok("stat", "--format=%A %U %G", path).strip()


def check_places(box):
    equal([(path, described(box, path)) for path, _ in PLACES], PLACES)


def newer_package(box):
    """The same package with a higher version."""
    box.ok("dpkg-deb", "--raw-extract", "/opt/test/signvault.deb", "/opt/test/newer")
    box.ok("sed", "--in-place", "s/^Version: .*/Version: 99/", "/opt/test/newer/DEBIAN/control")
    box.ok("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", "/opt/test/newer", "/opt/test/newer.deb")
    return "/opt/test/newer.deb"


def encrypt(box, length):
    """A key of this length that the machine can decrypt, and that is not the vault's."""
    box.ok("sh", "-c", f"umask 077; head --bytes={length} /dev/urandom > /run/other.key")
    box.encrypt("/run/other.key")


TESTS = [
    t93_an_install_brings_users_modes_and_a_daemon,
    t93_an_upgrade_keeps_the_vault_and_every_choice,
    t93_a_removal_keeps_the_vault_and_a_purge_deletes_it_only_if_told_to,
    t93_a_purge_asks_before_it_deletes_a_vault,
    a_machine_that_reboots_signs_again_without_a_person,
    a_key_that_is_missing_or_wrong_leaves_a_daemon_that_a_person_can_unlock,
    a_user_has_a_vault_of_their_own,
]
