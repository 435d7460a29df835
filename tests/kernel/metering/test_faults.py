"""Faults that are made on purpose on this kernel are found, with the process that made them in their picture.

Here is what needs no controller: pressure. Limits of memory, processes and CPU are hit in tests/guest/test_metering.py.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.fault_events import FaultEventSource
from tests.kernel.metering.test_taken import FIRST, WEB, metering
from tests.support.kernel.host import TestHost
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

ONCE_AND_20_TIMES = [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, 20))]


@pytest.fixture
def writers(cgroups: CgroupTree, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """What was started with `waits` is ended."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def waits(cgroups: CgroupTree, path: str, place: Path) -> list[subprocess.Popen[bytes]]:
    """Processes in a cgroup that do nothing but wait until the disk has what they write."""
    started = []
    with cgroups.directory(path) as directory:
        for number in range(3):
            enter = f'echo 0 >/proc/self/fd/{directory}/cgroup.procs; exec "$@"'
            file = f"of={place}/written{number}"
            words = ["dd", "if=/dev/zero", file, "bs=4k", "count=500000", "oflag=direct,dsync", "conv=notrunc"]
            started.append(
                subprocess.Popen(["sh", "-c", enter, "sh", *words], pass_fds=[directory], stderr=subprocess.DEVNULL)
            )
    return started


def incidents(host: TestHost, *words: str) -> list[dict[str, Any]]:
    done = host.run("faults", "alice", "--json", "--pictures", *words)
    if done.returncode:  # there is no ledger yet, or alice is not in it
        return []
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def has_pressure(cgroups: CgroupTree) -> bool:
    return os.path.exists(f"{cgroups.root}/io.pressure")


@pytest.mark.parametrize("_", ONCE_AND_20_TIMES)
def test_io_waited(
    _: int,
    tmp_path_factory: pytest.TempPathFactory,
    cgroups: CgroupTree,
    tmp_path: Path,
    writers: list[subprocess.Popen[bytes]],
) -> None:
    if not has_pressure(cgroups):
        pytest.skip("this kernel tells no pressure (CONFIG_PSI)")
    host = TestHost(tmp_path_factory.mktemp("waited"), cgroups, FIRST)
    metering(host, "{every: 1s, faults: {waited: 2%}}")
    host.account("alice", WEB)
    daemon = RunningDaemon(host, tmp_path / "log")
    try:
        wait_for(lambda: (host.place / "run/sampled").exists(), what="a sample was taken")
        writers += waits(cgroups, "users/alice/web", tmp_path)
        wait_for(lambda: any(each["pictures"] for each in incidents(host)), what="there is a picture", deadline=40)
    finally:
        daemon.end()
    (found,) = incidents(host, "--kind", "waited")
    assert (found["level"], found["limit"], found["account"]) == ("machine", "", "alice")  # no io.max, but a slow disk
    assert found["amount"] > 40_000
    assert found["process"]["pid"] in [writer.pid for writer in writers]
    assert found["process"]["leaf"] == "web"
    assert found["process"]["command"].startswith("dd if=/dev/zero")
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_thresholds_of_pressure_take_a_descriptor_for_active_accounts_only(cgroups: CgroupTree) -> None:
    if not has_pressure(cgroups):
        pytest.skip("this kernel tells no pressure (CONFIG_PSI)")
    for path in ("users", "users/alice", "users/bob"):
        cgroups.create(path)
    users = f"{cgroups.root}/users"

    def opened() -> list[str]:
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return sorted(target for link in links if (target := _target(link)).startswith(users))

    with closing(FaultEventSource()) as source:
        source.watch(users, {"alice", "bob"}, 50)
        assert opened() == [f"{users}/alice/io.pressure", f"{users}/bob/io.pressure"]
        source.watch(users, {"bob"}, 50)
        assert opened() == [f"{users}/bob/io.pressure"]
        cgroups.remove("users/bob")
        source.waiting()
        source.watch(users, set(), 50)
        assert opened() == []


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""
