"""Pids that are used again at once: only the process that was looked at is ever moved.

In a pid namespace with few pids (kernel.pid_max is its own there from Linux 6.14 on), two users fork as fast as they
can. The test moves processes of one; those of the other check where they are.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree

pytestmark = pytest.mark.kernel

PIDS = 400
CUSTOMER, STRANGER = 48_301, 48_302

MOVER = """
import collections, itertools, json, os, subprocess, sys
from paas_isolate.linux.process import pidfd, procfs
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.world import Process

mount, root, storm, seen, number, customer, stranger = sys.argv[1:]
if os.getpid() > 300:
    sys.exit("not a namespace of its own")
storms = [subprocess.Popen([storm, uid, "20", "/leaf", seen if uid == stranger else "/dev/null"])
          for uid in (customer, customer, stranger, stranger)]
ours = {process.pid for process in storms}
told, put_back = collections.Counter(), pidfd._put_back

def counting(tree, pid, start, to):
    now = procfs.identity(pid)
    told["put back"] += now is not None and now.start != start and tree.path_of(procfs.cgroup(pid) or "") == to
    put_back(tree, pid, start, to)

pidfd._put_back = counting
with CgroupTree(mount, root) as tree:
    while told["moved"] + told["ended"] < int(number):
        for pid, uid in procfs.effective_uids():
            found = procfs.identity(pid) if uid == int(customer) and pid not in ours else None
            if found is None or not found.alive:
                continue
            where = tree.path_of(procfs.cgroup(pid) or "")
            if not where or where == "leaf":
                continue
            try:
                pidfd.move(tree, Process(pid, uid, where, found.start), "leaf")
                told["moved"] += 1
            except ProcessLookupError:
                told["ended"] += 1
            except pidfd.ProcessChanged:
                told["changed"] += 1
    told["strangers there"] = sum(
        1 for pid in tree.pids("leaf") if (now := procfs.identity(pid)) and now.uids[0] == int(stranger))
for process in storms:
    process.kill()
print(json.dumps(told))
"""


def moves(number: int, cgroups: CgroupTree, place: Path) -> dict[str, int]:
    storm, seen = place / "storm", place / "seen"
    place.chmod(0o711)
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", storm, Path(__file__).with_name("storm.c")], check=True)
    seen.touch()
    cgroups.create("leaf")
    words = (cgroups.mount, cgroups.root, storm, seen, number, CUSTOMER, STRANGER)
    few = f'echo {PIDS} > /proc/sys/kernel/pid_max && exec "$@"'
    inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", few, "sh"]
    mover = [*inside, sys.executable, "-c", MOVER, *map(str, words)]
    told = subprocess.run(mover, check=True, capture_output=True, text=True, cwd=place).stdout
    assert seen.read_text() == ""
    found: dict[str, int] = json.loads(told)
    return found


@pytest.fixture
def few_pids() -> None:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 14):
        pytest.skip("kernel.pid_max is the whole machine's here")


@pytest.mark.usefixtures("few_pids")
def test_no_stranger_is_moved(cgroups: CgroupTree, tmp_path: Path) -> None:
    told = moves(2_000, cgroups, tmp_path)
    assert told["moved"] > 100
    assert told["strangers there"] == 0


@pytest.mark.long
@pytest.mark.usefixtures("few_pids")
def test_no_stranger_is_moved_in_100_000_moves(cgroups: CgroupTree, tmp_path: Path) -> None:
    told = moves(100_000, cgroups, tmp_path)
    assert told["strangers there"] == 0
