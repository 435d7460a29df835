"""Which events the sources report and which the kernel filters out, caused by processes of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.cgroup_writes import CgroupWriteSource
from paas_isolate.linux.events.proc_connector import EVERYBODY, ProcConnectorSource
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
FIRST = 1_600_000_000 + 100 * os.getpid()
LAST = FIRST + 9


@pytest.fixture
def processes() -> Iterator[ProcConnectorSource]:
    source = ProcConnectorSource()
    try:
        source.listen(execs=False)
        yield source
    finally:
        source.close()


def heard(source: ProcConnectorSource, *uids: int) -> list[int]:
    """Which of these uids a process becomes and is heard of. The last event of our own is waited for: they come in
    their order."""
    pids = {}
    for uid in (*uids, FIRST):
        done = subprocess.Popen(["setpriv", "--reuid", str(uid), "--clear-groups", "sleep", "0"])
        assert done.wait() == 0
        pids[done.pid] = uid
    last, seen = done.pid, set[int]()

    def comes() -> bool:
        seen.update(event.pid for event in source.read())
        return last in seen

    wait_for(comes, what="the last event of our own")
    return [uid for pid, uid in pids.items() if pid in seen and pid != last]


def test_uids_outside_the_range_cause_no_event(processes: ProcConnectorSource) -> None:
    others = (1, 1000, FIRST - 1, LAST + 1, FIRST ^ 1 << 31, FIRST & 0xFFFFFF)
    ours = (FIRST, FIRST + 5, LAST)
    assert heard(processes, *others, *ours) == [*others, *ours]
    assert not processes.only(FIRST, LAST)
    assert heard(processes, *others, *ours) == list(ours)


def test_paused_uids_cause_no_event(processes: ProcConnectorSource) -> None:
    assert not processes.only(FIRST - 1, LAST)
    ours = (FIRST - 1, FIRST + 4, FIRST + 5, LAST)
    for paused in ((FIRST + 5,), (FIRST - 1, LAST, FIRST + 4), tuple(range(FIRST + 1, FIRST + 61))):
        processes.pause(frozenset(paused))
        assert heard(processes, *ours) == [uid for uid in ours if uid not in paused]
    processes.pause(frozenset())
    processes.cost()
    assert heard(processes, *ours) == list(ours)
    assert processes.cost()[1] == dict.fromkeys((*ours, FIRST), 1)
    processes.pause(frozenset({EVERYBODY}))
    subprocess.run(["setpriv", "--reuid", str(FIRST), "--clear-groups", "true"], check=True)
    assert not list(processes.read())


def test_a_wider_range_is_reported(processes: ProcConnectorSource) -> None:
    assert not processes.only(FIRST, LAST)
    assert not processes.only(FIRST, LAST)
    assert not processes.only(FIRST, LAST - 1)
    assert processes.only(FIRST, LAST)
    assert processes.only(FIRST - 1, LAST)
    assert heard(processes, FIRST - 2, FIRST - 1) == [FIRST - 1]


def test_execs_are_reported_for_every_uid(processes: ProcConnectorSource) -> None:
    processes.only(FIRST, LAST)
    for execs in (True, False):
        processes.listen(execs=execs)
        done = subprocess.Popen(["true"])
        done.wait()
        seen = {event.pid for event in processes.read()}
        assert (done.pid in seen) is execs


def test_writes_to_an_ignored_file_cause_no_event(cgroups: CgroupTree) -> None:
    knob, other = (Path(cgroups.root, name) for name in ("cgroup.freeze", "cgroup.max.depth"))
    source = CgroupWriteSource(cgroups.mount)
    source.root = os.path.dirname(cgroups.root)

    def told(path: Path) -> bool:
        subprocess.run(["sh", "-c", f"echo {'0' if path == knob else 'max'} >{path}"], check=True)
        return any(event.place == os.path.basename(cgroups.root) for event in source.read())

    try:
        assert told(knob)
        with knob.open() as opened:
            source.ignore(opened.fileno())
        assert [told(path) for path in (knob, other, knob)] == [False, True, False]
    finally:
        source.close()


_LATE_HOME = """
import subprocess, sys
from paas_isolate.linux.events.mount_table import MountTableSource

home, other = sys.argv[1:]
source = MountTableSource()
for words in (["-t", "tmpfs", "none", home], ["--bind", other, other], []):
    if words:
        subprocess.run(["mount", *words], check=True)
    print([event.place for event in source.read()])
"""


def test_a_disk_that_is_mounted_is_an_event_and_other_mounts_are_not(tmp_path: Path) -> None:
    if os.stat(__file__).st_dev < 256:
        pytest.skip("this machine's own files lie on no disk")
    home = tmp_path / "home"
    home.mkdir()
    words = ("unshare", "--mount", sys.executable, "-c", _LATE_HOME, home, Path(__file__).parent)
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == ["[]", "['a disk is mounted, or no longer']", "[]"], done.stderr
