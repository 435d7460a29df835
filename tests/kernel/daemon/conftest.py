"""A daemon with one account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel.host import TestHost
from tests.support.kernel.running_daemon import ALICE, PLAIN, RunningDaemon, frozen
from tests.support.waiting import wait_for


@pytest.fixture
def daemon(host: TestHost, tmp_path: Path) -> Iterator[RunningDaemon]:
    host.account("alice", PLAIN)
    begun = RunningDaemon(host, tmp_path / "log")
    try:
        begun.says("create users/alice")
        wait_for(lambda: frozen(host, f"{ALICE}/other") is False, what="the first turn is at work")
        wait_for(begun.rests, what="it is done, and that which follows when uids are heard")
        yield begun
    finally:
        begun.process.kill()
        begun.process.wait()
