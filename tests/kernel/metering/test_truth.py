"""What the ledger says is what a process says of itself."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.ledger.database import reading
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.meter import Meter
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.metering import MeteringConfig
from tests.support.kernel import burner

pytestmark = pytest.mark.kernel

FLEET = Fleet(Host(metering=MeteringConfig()), {})


class Metered:
    """A tree with two accounts, and a ledger."""

    def __init__(self, cgroups: CgroupTree, place: Path) -> None:
        self.cgroups, self.place = cgroups, place
        self.warnings: list[str] = []
        for path in ("users", "users/alice", "users/alice/web", "users/alice/login", "users/bob", "users/bob/web"):
            cgroups.create(path)

    def meter(self, *, daemon: bool = False) -> Meter:
        return Meter(str(self.place / "ledger"), str(self.place), self.warnings.append, daemon=daemon)

    def sample(self) -> None:
        """As a run without a daemon does it."""
        meter = self.meter()
        meter.sample(FLEET, self.cgroups.root)
        meter.close()

    def cpu(self, directory: str, leaf: str) -> float:
        """Seconds of CPU time in days."""
        return self.total("user + system", directory, leaf) / 1e6

    def total(self, what: str, directory: str, leaf: str, kind: str = "day") -> float:
        with reading(str(self.place / "ledger")) as connection:
            (found,) = connection.execute(
                f"SELECT sum({what}) FROM uses JOIN spans ON spans.id = span JOIN series ON series.id = series "
                "WHERE kind = ? AND directory = ? AND leaf = ?",
                (kind, directory, leaf),
            ).fetchone()
        return float(found or 0)


@pytest.fixture
def metered(cgroups: CgroupTree, tmp_path: Path) -> Iterator[Metered]:
    made = Metered(cgroups, tmp_path)
    yield made
    assert made.warnings == []


def test_cpu_time_is_what_the_process_itself_says(metered: Metered) -> None:
    metered.sample()
    busy = burner.begin(metered.cgroups, "users/alice/web", 3)
    meter = metered.meter(daemon=True)
    while busy.poll() is None:
        meter.sample(FLEET, metered.cgroups.root)
        time.sleep(0.2)
    seconds = burner.used(busy)
    meter.sample(FLEET, metered.cgroups.root)
    meter.close()
    assert metered.cpu("alice", "web") == pytest.approx(seconds, rel=0.01, abs=0.01)
    assert metered.cpu("alice", "") == pytest.approx(metered.cpu("alice", "web"), abs=0.001)
    assert metered.total("user + system", "alice", "web", "hour") / 1e6 == metered.cpu("alice", "web")
    assert metered.cpu("bob", "web") == 0


def test_the_last_reading_is_taken_before_a_cgroup_is_removed(metered: Metered) -> None:
    """cadvisor 1992, systemd 34754."""
    metered.sample()
    meter = metered.meter(daemon=True)
    meter.sample(FLEET, metered.cgroups.root)
    seconds = burner.used(burner.begin(metered.cgroups, "users/bob/web", 1))
    for path in ("users/bob/web", "users/bob"):
        meter.removing(FLEET, metered.cgroups.root, path)
        metered.cgroups.remove(path)
    meter.sample(FLEET, metered.cgroups.root)
    meter.close()
    assert metered.cpu("bob", "web") == pytest.approx(seconds, rel=0.01, abs=0.01)
    assert metered.cpu("bob", "") == pytest.approx(seconds, rel=0.01, abs=0.01)


SAMPLER = """
import sys, time
from paas_isolate.meter import Meter
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.metering import MeteringConfig
import paas_isolate.meter
paas_isolate.meter.WRITING = 100
meter = Meter(sys.argv[1], sys.argv[2], lambda text: sys.exit(text), daemon=True)
while True:
    meter.sample(Fleet(Host(metering=MeteringConfig()), {}), sys.argv[3])
    time.sleep(0.02)
"""


@pytest.mark.parametrize("times", [20, pytest.param(100, marks=pytest.mark.long)])
def test_a_sampler_that_is_killed_counts_nothing_twice_and_loses_nothing(metered: Metered, times: int) -> None:
    metered.sample()
    busy = burner.begin(metered.cgroups, "users/alice/web", times * 0.5)
    words = [sys.executable, "-c", SAMPLER, str(metered.place / "ledger"), str(metered.place), metered.cgroups.root]
    for number in range(times):
        sampler = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        time.sleep(0.3 + number % 7 / 50)  # another moment each time
        sampler.kill()
        _, said = sampler.communicate()
        assert said == ""
    seconds = burner.used(busy)
    metered.sample()
    assert metered.cpu("alice", "web") == pytest.approx(seconds, rel=0.01, abs=0.01)
    assert metered.total("measured", "alice", "web") / 1000 >= 0.9 * 0.3 * times
