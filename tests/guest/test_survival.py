"""Limits and places survive what happens to systemd and to our units, for idle and for busy accounts."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guest.machine import (
    TREE,
    accounts,
    cgroup_of,
    comes_to_rest,
    is_alive,
    knob,
    run,
    systemctl,
    tree_can_be_stopped,
)
from tests.support.guest.paas import Paas
from tests.support.guest.people import Sell, hears
from tests.support.paths import SOURCE
from tests.support.waiting import wait_for

LIMITS = {"memory": "64M", "cpu": "20%", "pids": 40}
KNOBS = {"memory.max": str(64 << 20), "cpu.max": "20000 100000", "pids.max": "40"}
ACCOUNTS = ("idle", "busy")


@pytest.fixture
def busy(sell: Sell, paas: Paas) -> int:
    """Two accounts with limits: nobody lives in one, a process in the other. Its pid comes back."""
    sell("idle", limits=LIMITS)
    pid = sell("busy", limits=LIMITS).sleeps()
    paas("reconcile")
    assert cgroup_of(pid) == "users/busy/other"
    return pid


def limits(account: str) -> dict[str, str]:
    path = TREE / "users" / account
    return {name: knob(f"users/{account}", name) for name in KNOBS if (path / name).exists()}


EVENTS = {
    "daemon-reload": ["daemon-reload"],
    "daemon-reexec": ["daemon-reexec"],
    "restart of the tree": ["restart", "paas-tree.service"],
    "stop and start of the tree": ["stop", "paas-tree.service"],
    "restart of the boot unit": ["restart", "paas-isolate-boot.service"],
    "restart of the shutdown unit": ["restart", "paas-isolate-shutdown.service"],
    "restart of the timer": ["restart", "paas-isolate.timer"],
    "a run of the timer's service": ["start", "paas-isolate.service"],
    "another weight for all customers": ["set-property", "--runtime", "paas.slice", "CPUWeight=60"],
}


@pytest.mark.parametrize("event", EVENTS)
def test_limits_and_processes_come_through(busy: int, paas: Paas, event: str) -> None:
    before = reconciled_at()
    systemctl(*EVENTS[event])
    # A busy account is never without its limits, not for a moment.
    assert limits("busy") == KNOBS
    if "stop" in EVENTS[event]:
        systemctl("start", "paas-tree.service")
    if event == "restart of the timer":
        systemctl("stop", "paas-isolate.timer")
        comes_to_rest("paas-isolate.service")

    # An idle account's cgroup may go with the unit; the reconcile that the unit's start brings along makes it again.
    if "of the tree" in event and tree_can_be_stopped():
        wait_for(lambda: reconciled_at() > before, what="a reconcile came along", deadline=60)
    comes_to_rest("paas-isolate-boot.service")  # `start` brings it along where the tree runs still: before systemd 254
    wait_for(lambda: limits("idle") == KNOBS, what="the idle account has its limits", deadline=60)
    assert limits("busy") == KNOBS
    assert is_alive(busy)
    assert cgroup_of(busy) == "users/busy/other"
    if "CPUWeight=60" in EVENTS[event]:
        systemctl("set-property", "--runtime", "paas.slice", "CPUWeight=50")
    assert paas("diff", "--exit-code").out == "nothing differs\n"


def test_kill_9_of_the_anchor(busy: int, paas: Paas) -> None:
    if not tree_can_be_stopped():
        pytest.skip("systemd is older than 254")
    before, anchor = reconciled_at(), main_pid()

    os.kill(anchor, signal.SIGKILL)

    wait_for(lambda: main_pid() not in (0, anchor), what="the tree has an anchor again")
    assert limits("busy") == KNOBS
    wait_for(lambda: reconciled_at() > before, what="a reconcile came along", deadline=60)
    assert limits("idle") == limits("busy") == KNOBS
    assert is_alive(busy)
    assert cgroup_of(busy) == "users/busy/other"
    assert paas("diff", "--exit-code").out == "nothing differs\n"
    assert accounts() == set(ACCOUNTS)


def test_kill_9_of_the_anchor_before_systemd_254(busy: int, paas: Paas) -> None:
    """The unit cannot come back while a customer lives in its tree; limits hold meanwhile, and reconcile works."""
    if tree_can_be_stopped():
        pytest.skip("systemd is 254 or later")
    anchor = main_pid()

    os.kill(anchor, signal.SIGKILL)

    wait_for(lambda: main_pid() != anchor, what="systemd has seen it")
    assert limits("busy") == KNOBS
    paas("reconcile", "--wait", "60")
    assert limits("idle") == limits("busy") == KNOBS
    assert is_alive(busy)
    assert cgroup_of(busy) == "users/busy/other"
    assert paas("diff", "--exit-code").out == "nothing differs\n"
    checks = {check["name"]: check["verdict"] for check in paas("doctor", "--json", code=5).json}
    assert checks["paas-tree.service"] == "FAILED"

    os.kill(busy, signal.SIGKILL)
    wait_for(
        lambda: main_pid() not in (0, anchor), what="the tree has an anchor again", deadline=180
    )  # RestartSec=2min
    wait_for(
        lambda: limits("idle") == KNOBS,
        what="the reconcile that came along has made the idle account again",
        deadline=60,
    )


OLDER = f"""
unit=$(systemctl show --property=FragmentPath --value paas-tree.service)
place=/run/systemd/system/older-tree.service
mkdir -p $place.d
sed -e '/^DelegateSubgroup=/d' -e 's/^Slice=.*/Slice=system.slice/' $unit >$place
cp {SOURCE}/systemd/paas-tree.service.d/before-254.conf $place.d/
systemctl daemon-reload
"""
OLDER_GOES = """
rm -r /run/systemd/system/older-tree.service.d
systemctl daemon-reload
systemctl stop older-tree.service
rm /run/systemd/system/older-tree.service
systemctl daemon-reload
"""


@pytest.fixture
def older(empty: None) -> Iterator[None]:
    """A second unit like that of the tree, as a systemd before 254 would start it."""
    run("sh", "-euc", OLDER)
    yield
    run("sh", "-euc", OLDER_GOES)


def test_the_tree_starts_without_delegate_subgroup(older: None) -> None:
    """Before systemd 254 the anchor process moves itself, says that it is there, and keeps no right of root."""
    systemctl("start", "older-tree.service")
    pid = main_pid("older-tree.service")
    assert Path(f"/proc/{pid}/cgroup").read_text() == "0::/system.slice/older-tree.service/anchor\n"
    assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    rights = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Cap")]
    assert {line.split()[1] for line in rights} == {"0" * 16}


CLAIM = """
import os, socket, sys
told = f"MAINPID={os.getpid()}\\nSTATUS=claimed\\nSTOPPING=1".encode()
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(told, "/run/systemd/notify")
print("told", flush=True); sys.stdin.readline()
"""


def test_a_customer_does_not_become_the_anchor_by_saying_so(sell: Sell, paas: Paas) -> None:
    """systemd counts everybody in the tree to its unit. It reads what was told before it answers (systemctl)."""
    customer = sell("busy", limits=LIMITS)
    paas("reconcile")
    anchor = main_pid()
    program = customer.python(CLAIM, leaf="users/busy/other")
    hears(program, "told")
    assert main_pid() == anchor
    assert systemctl("show", "--property=StatusText", "--value", "paas-tree.service") == ""
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    assert systemctl("is-active", "paas-tree.service") == "active"
    assert main_pid() == anchor


def main_pid(unit: str = "paas-tree.service") -> int:
    return int(systemctl("show", "--property=MainPID", "--value", unit))


def reconciled_at() -> int:
    """When the reconcile that each start of the tree brings along has ended last, in microseconds since the boot."""
    return int(systemctl("show", "--property=ExecMainExitTimestampMonotonic", "--value", "paas-isolate-boot.service"))
