"""An account that causes more process events than its budget allows slows down itself alone."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.attackers import Attackers
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.hostile_programs import begun
from tests.support.kernel.running_daemon import RunningDaemon, frozen, inside, stray, write
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]
FIRST = 1_000_000_000 + 100 * os.getpid()
ALICE, BOB, CAROL = FIRST, FIRST + 1, FIRST + 2
SECONDS = 4.0


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> TestHost:
    made = TestHost(tmp_path_factory.mktemp("host"), cgroups, first=FIRST)
    for name in ("bob", "carol"):
        made.account(name, NO_LIMIT)
    return made


@contextmanager
def storm(*words: str | Path) -> Iterator[None]:
    process = subprocess.Popen(words)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def spent(daemon: RunningDaemon) -> float:
    """CPU time of the daemon."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mending(host: TestHost) -> float:
    """Seconds until a knob of carol's is as it was."""
    begin = time.monotonic()
    write(host, "1", "users/carol")
    wait_for(lambda: frozen(host, "users/carol") is False, what="carol goes on")
    return time.monotonic() - begin


def moving(host: TestHost, uid: int, place: str) -> float:
    """Seconds until a process that becomes a customer's is in the account."""
    begin = time.monotonic()
    with stray(uid, "time.sleep(60)") as process:
        wait_for(lambda: process.pid in inside(host, place), what="the process is in its account")
        process.kill()
    return time.monotonic() - begin


def measure(daemon: RunningDaemon, ask: Callable[[], float]) -> tuple[float, list[float]]:
    """The share of a core that the daemon takes in a storm, and what each question answers meanwhile."""
    before, begin, delays = spent(daemon), time.monotonic(), []
    while time.monotonic() < begin + SECONDS:
        delays.append(ask())
        time.sleep(0.5)  # a question now and then
    return (spent(daemon) - before) / (time.monotonic() - begin), delays


@pytest.mark.parametrize("count", ["1", "8"])
def test_a_process_that_keeps_changing_its_uid_delays_nobody(
    attackers: Attackers, daemon: RunningDaemon, host: TestHost, count: str
) -> None:
    os.setpriority(os.PRIO_PROCESS, daemon.process.pid, -10)  # as its unit does, and an account has limits
    with storm("nice", "-n", "10", attackers("toggler"), str(ALICE), str(BOB), count):
        time.sleep(2)  # until the storm is at its height
        share, delays = measure(daemon, lambda: moving(host, CAROL, "users/carol/other"))
        knob = mending(host)
    assert share < 0.35
    assert median(delays) < 0.5
    assert knob < 0.5


@pytest.mark.parametrize("count", ["0", "1000"])
def test_a_process_that_keeps_writing_to_its_own_cgroups_delays_nobody(
    attackers: Attackers, daemon: RunningDaemon, host: TestHost, count: str
) -> None:
    os.setpriority(os.PRIO_PROCESS, daemon.process.pid, -10)
    own = Path(f"{host.cgroups.root}-own")
    own.mkdir()
    try:
        for path in (own, *own.iterdir()):
            os.chown(path, ALICE, ALICE)
        words = "nice", "-n", "10", attackers("knobs"), own, str(ALICE), count
        with begun(*words):
            time.sleep(1)  # until the storm is at its height
            share, delays = measure(daemon, lambda: moving(host, CAROL, "users/carol/other"))
            knob = mending(host)
    finally:
        for below in (*filter(Path.is_dir, own.iterdir()), own):
            below.rmdir()
    assert share < 0.35
    assert median(delays) < 0.5
    assert knob < 2
