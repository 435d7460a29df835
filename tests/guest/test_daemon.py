"""The daemon as a systemd unit: it repairs at once and names who made a change; nothing depends on it."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.process import procfs
from tests.support.guest.machine import (
    DAEMON,
    comes_to_rest,
    daemon,
    has_looked,
    is_alive,
    knob,
    run,
    systemctl,
    write_knob,
)
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs
from tests.support.waiting import wait_for


@pytest.fixture
def alice(spec: Specs, sell: Callable[..., Customer]) -> Iterator[Customer]:
    """An account on a machine with a network, mended by the daemon."""
    spec.config(network={})
    customer = sell("alice", limits={"pids": 40, "memory": "64M"})
    with daemon(accounts=1):
        assert knob("users/alice", "pids.max") == "40"
        yield customer


def said(pattern: str) -> bool:
    words = ("journalctl", "--unit", DAEMON, "--output=cat", "--grep", pattern, "--lines=1", "--quiet")
    return subprocess.run(words, capture_output=True).returncode == 0


def test_it_mends_what_differs_and_says_who_it_was(alice: Customer, sell: Callable[..., Customer]) -> None:
    sell("alice", limits={"pids": 41})
    wait_for(lambda: knob("users/alice", "pids.max") == "41", what="a file that is saved is applied")
    write_knob("users/alice", "memory.max", "max")
    run("sh", "-c", "echo 7 >/sys/fs/cgroup/paas.slice/paas-tree.service/users/alice/pids.max")
    wait_for(lambda: knob("users/alice", "pids.max") == "41", what="a knob that is written by hand is put back")
    wait_for(lambda: said(r"set pids.max of users/alice to 41 \(was 7\); changed by pid"), what="the journal has it")
    run("nft", "flush", "ruleset")
    wait_for(lambda: "inet paas_isolate" in run("nft", "list", "tables"), what="the ruleset is back")
    wait_for(
        lambda: said(r"make the ruleset of the network.*changed by pid \d+ \(nft\)"), what="the journal has who it was"
    )
    run("ip", "route", "delete", "local", "10.77.0.0/16", "table", "local")
    wait_for(lambda: "10.77." in run("ip", "route", "show", "table", "local"), what="the route of the pool is back")


def named() -> bool:
    return said("the ruleset was changed more than 3 times a minute, last by pid")


def test_who_flushes_the_ruleset_again_and_again_is_named_and_not_fought(alice: Customer) -> None:
    assert alice.uid
    for times in range(8):  # two that come within one mending are mended as one
        run("nft", "flush", "ruleset")
        wait_for(
            lambda: named() or "inet paas_isolate" in run("nft", "list", "tables"), what=f"the ruleset is back, {times}"
        )
        if named():
            break
    wait_for(named, what="it is told")
    assert "inet paas_isolate" not in run("nft", "list", "tables")
    systemctl("reload", DAEMON)
    wait_for(
        lambda: "inet paas_isolate" in run("nft", "list", "tables"),
        what="a look at everything puts it back",
        deadline=60,
    )


def test_a_process_outside_is_moved_in(alice: Customer) -> None:
    """By what opens no session of PAM."""
    stray = subprocess.Popen(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "sleep", "100"])
    try:
        wait_for(lambda: str(stray.pid) in knob("users/alice/other", "cgroup.procs").split(), what="it is inside")
    finally:
        stray.kill()
        stray.wait()


def test_nothing_stands_on_it(alice: Customer) -> None:
    pid = alice.sleeps("users/alice/other")
    before = knob("users/alice", "pids.max"), run("nft", "list", "table", "inet", "paas_isolate")
    main = int(systemctl("show", "--property=MainPID", "--value", DAEMON))
    run("kill", "-9", str(main))
    wait_for(
        lambda: int(systemctl("show", "--property=MainPID", "--value", DAEMON)) not in (0, main),
        what="systemd starts another",
    )
    wait_for(lambda: systemctl("is-active", DAEMON) == "active", what="it is up")
    wait_for(lambda: has_looked(1), what="it has looked", deadline=60)
    assert (knob("users/alice", "pids.max"), run("nft", "list", "table", "inet", "paas_isolate")) == before
    systemctl("reload", DAEMON)
    systemctl("stop", DAEMON)
    assert systemctl("show", "--property=Result", "--value", DAEMON) == "success"
    assert is_alive(pid)
    assert knob("users/alice", "pids.max") == "40"


def test_the_tree_may_be_restarted_below_it(alice: Customer) -> None:
    """Whatever systemd removes with the unit comes back, though nothing but the daemon and the boot unit looks."""
    assert alice.uid
    systemctl("restart", "paas-tree.service")
    wait_for(lambda: (knob_or_nothing("users/alice", "pids.max")) == "40", what="the account is back", deadline=60)
    write_knob("users/alice", "pids.max", "9")
    wait_for(lambda: knob("users/alice", "pids.max") == "40", what="the daemon hears in the new tree", deadline=60)
    comes_to_rest("paas-isolate-boot.service")


def knob_or_nothing(path: str, name: str) -> str:
    try:
        return knob(path, name)
    except OSError:
        return ""


@pytest.fixture
def ssh(alice: Customer, paas: Paas, tmp_path: Path) -> Iterator[list[str]]:
    """The command that logs alice in, by the module."""
    key, directory = tmp_path / "key", alice.home / ".ssh"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    directory.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(f"{key}.pub", directory / "authorized_keys")
    run("chown", "-R", f"{alice.uid}:{alice.gid}", str(directory))
    wait_for(
        lambda: subprocess.run(["paas-isolate", "pam", "install"]).returncode == 0,
        what="logins pass the module",
        deadline=60,
    )
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR")
    yield ["ssh", "-i", str(key), *(f"-o{option}" for option in options), f"{alice.name}@127.0.0.1"]
    wait_for(
        lambda: subprocess.run(["paas-isolate", "pam", "remove"]).returncode == 0, what="they do no longer", deadline=60
    )


def sshds() -> set[int]:
    """Of root and of customers, but for the one that listens and those that were there for root's own."""
    return {pid for pid, _ in procfs.effective_uids() if procfs.program(pid) in ("sshd", "sshd-session")}


@pytest.mark.hostile
@pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "frozen"])
def test_a_refused_login_is_told_why_and_leaves_nothing(
    alice: Customer, ssh: list[str], sell: Callable[..., Customer], *, suspended: bool
) -> None:
    assert "users/alice/login" in subprocess.run([*ssh, "cat /proc/self/cgroup"], capture_output=True, text=True).stdout
    if suspended:
        sell("alice", limits={"pids": 40, "memory": "64M"}, suspended=True)
    else:
        wait_for(
            lambda: subprocess.run(["paas-isolate", "freeze", "alice"]).returncode == 0,
            what="she is frozen",
            deadline=60,
        )
    wait_for(lambda: "frozen 1" in knob("users/alice", "cgroup.events"), what="she stands still")
    before = sshds()
    done = subprocess.run([*ssh, "true"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "suspended" in done.stdout + done.stderr
    with subprocess.Popen([*ssh, "-N", "-L7011:127.0.0.1:22"]) as tunnel:
        wait_for(lambda: alice.uid in dict(procfs.effective_uids()).values(), what="sshd has a child for it")
        begin = time.monotonic()
        assert tunnel.wait(60) != 0
        assert time.monotonic() - begin < 30
    wait_for(lambda: sshds() <= before, what="no sshd is left of it")
    if not suspended:
        wait_for(
            lambda: subprocess.run(["paas-isolate", "thaw", "alice"]).returncode == 0, what="she goes on", deadline=60
        )
