"""The daemon is killed at any moment while services run and orders arrive: other services are not affected."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from tests.support.kernel.service_host import ServiceHost, opened
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
FIRST = 1_500_000_000 + 100 * os.getpid()
STAYS = "stays: {run: echo begun; exec sleep 1000}\n"
CHANGES = "changes: {{run: exec sleep {seconds}, stop_timeout: 1s}}\n"
ENDS = "ends: {run: sleep 0.3; exit 1}\n"


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[ServiceHost]:
    with opened(ServiceHost, tmp_path_factory, cgroups, keeper, first=FIRST) as work:
        yield work


def trouble(work: ServiceHost, ended: threading.Event) -> None:
    """One service is changed again and again, another ends by itself."""
    seconds = 2000
    while not ended.wait(0.3):
        seconds += 1
        work.services(STAYS + CHANGES.format(seconds=seconds) + ENDS)
    work.services(STAYS + CHANGES.format(seconds=9000))


def arguments(pids: set[int]) -> list[str]:
    return [procfs.command(pid) for pid in pids]


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=pytest.mark.long)])
def test_a_service_outlives_a_daemon_that_is_killed_in_the_middle_of_its_work(
    work: ServiceHost, tmp_path: Path, times: int
) -> None:
    work.services(STAYS + CHANGES.format(seconds=2000) + ENDS)
    work.reconcile("--wait", "20")
    wait_for(lambda: work.log("stays") == "begun\n", what="it runs")
    stays = work.pids("stays")
    assert len(stays) == 1
    ended = threading.Event()
    load = threading.Thread(target=trouble, args=(work, ended))
    load.start()
    try:
        for number in range(times):
            with work.daemon(tmp_path / "log") as daemon:
                time.sleep(0.2 + number % 10 / 10)  # another moment each time
                daemon.kill()
                daemon.wait()
            assert work.pids("stays") == stays
            assert len(work.pids("changes")) <= 1
    finally:
        ended.set()
        load.join()
    with work.daemon(tmp_path / "log"):
        wait_for(
            lambda: arguments(work.pids("changes")) == ["sleep 9000"], what="the last change is applied", deadline=60
        )
        wait_for(lambda: not work.pids("ends"), what="what is sold no more has ended")
    assert work.pids("stays") == stays
    assert work.log("stays") == "begun\n"
