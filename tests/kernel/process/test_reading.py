"""Placement reads no more of a process than it needs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.repair import strays
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.account import Account, Fleet, Host, Match, Service
from tests.support.kernel.host import ALICE, wait_for_uid
from tests.support.kernel.processes import Sleepers

pytestmark = pytest.mark.kernel
_listeners: list[set[str]] = []


@contextmanager
def opened() -> Iterator[set[str]]:
    """The files that are opened meanwhile."""
    found: set[str] = set()
    sys.addaudithook(lambda event, about: found.add(str(about[0])) if event == "open" and found in _listeners else None)
    _listeners.append(found)
    yield found
    _listeners.clear()


@pytest.mark.parametrize(
    ("match", "read"), [(Match(), False), (Match(program="x"), False), (Match(command="x"), True)], ids=str
)
def test_a_command_line_is_read_only_where_a_rule_asks(
    cgroups: CgroupTree, sleeper: Sleepers, match: Match, read: bool
) -> None:
    wait_for_uid(ALICE, pid := sleeper(uid=ALICE).pid)
    alice = Account("alice", "alice", {"alice": ALICE}, "alice", "/", None, {}, (Service("web", match=match),))
    with opened() as files:
        (move,) = strays(cgroups, Placement(Fleet(Host(), {"alice": alice})), [pid])
    assert move.process.pid == pid
    assert f"/proc/{pid}/stat" in files
    assert bool(move.process.command) is read
    assert f"/proc/{pid}/cmdline" not in files, "a child reads it: it may have to wait for ever"
