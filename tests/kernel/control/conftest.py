"""A daemon, and the directory of its control socket, which customers can reach."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.control import ALICE, ControlClients
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.waiting import wait_for


@pytest.fixture
def host(tmp_path: Path, cgroups: CgroupTree) -> TestHost:
    place = tmp_path / "host"
    place.mkdir()
    return TestHost(place, cgroups, ALICE)


@pytest.fixture
def run(host: TestHost) -> Iterator[Path]:
    """Where customers may go: pytest's own directories are closed."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        (host.place / "run").rmdir()
        (host.place / "run").symlink_to(place)
        yield Path(place)


@pytest.fixture
def daemon(host: TestHost, run: Path, tmp_path: Path) -> Iterator[RunningDaemon]:
    """alice and bob have accounts; carol is exempt."""
    host.configure(", exempt: [carol]")
    host.account("alice", f"{NO_LIMIT}\nservices: {{web: {{{NO_LIMIT}}}}}\n")
    host.account("bob", NO_LIMIT)
    host.account("carol", NO_LIMIT)
    begun = RunningDaemon(host, tmp_path / "log")
    try:
        wait_for(lambda: (run / "control.sock").exists(), what="there is a socket")
        wait_for(lambda: "alice/web" in host.tree(), what="the first turn is done")
        yield begun
    finally:
        begun.process.kill()
        begun.process.wait()
        sys.stdout.write(begun.log.read_text())  # pytest shows it where something went wrong


@pytest.fixture
def guests(daemon: RunningDaemon, host: TestHost) -> ControlClients:
    return ControlClients(host)
