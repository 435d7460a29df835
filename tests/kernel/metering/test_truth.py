"""What the ledger says is what a process says of itself."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.ledger.database import reading
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.quota.devices import BlockDevices
from paas_isolate.meter import Meter
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.metering import MeteringConfig
from tests.support.fleets import sold
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


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.long)])
def test_cpu_time_is_what_the_process_itself_says(metered: Metered, seconds: int) -> None:
    metered.sample()
    busy = burner.begin(metered.cgroups, "users/alice/web", seconds)
    meter = metered.meter(daemon=True)
    while busy.poll() is None:
        meter.sample(FLEET, metered.cgroups.root)
        time.sleep(0.2)
    used = burner.used(busy)
    meter.sample(FLEET, metered.cgroups.root)
    meter.close()
    assert metered.cpu("alice", "web") == pytest.approx(used, rel=0.01, abs=burner.END)
    assert metered.cpu("alice", "") == pytest.approx(metered.cpu("alice", "web"), abs=0.001)
    assert metered.total("user + system", "alice", "web", "hour") / 1e6 == metered.cpu("alice", "web")
    assert metered.cpu("bob", "web") == 0


def test_the_last_reading_is_taken_before_a_cgroup_is_removed(metered: Metered) -> None:
    """cadvisor 1992 and systemd 34754, by the kernel's own files."""
    metered.sample()
    meter = metered.meter(daemon=True)
    meter.sample(FLEET, metered.cgroups.root)
    seconds = burner.used(burner.begin(metered.cgroups, "users/bob/web", 1))
    for path in ("users/bob/web", "users/bob"):
        meter.removing(FLEET, metered.cgroups.root, path)
        metered.cgroups.remove(path)
    meter.sample(FLEET, metered.cgroups.root)
    meter.close()
    assert metered.cpu("bob", "web") == pytest.approx(seconds, rel=0.01, abs=burner.END)
    assert metered.cpu("bob", "") == pytest.approx(seconds, rel=0.01, abs=burner.END)


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
    assert metered.cpu("alice", "web") == pytest.approx(seconds, rel=0.01, abs=burner.END)
    assert metered.total("measured", "alice", "web") / 1000 >= 0.9 * 0.3 * times


SHORT = """
import os, sys, time
procs, write = int(sys.argv[1]), os.write
clock = lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
into, out = os.pipe()
total = 0.0
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        write(procs, b"0")
        begin = clock()
        while clock() < begin + 0.02:
            pass
        write(out, f"{clock() - begin:.9f}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    total += float(os.read(into, 100))
print(total)
"""
"""Processes that enter a cgroup, work for 20 ms and end; then what all of them say they have used there."""


@pytest.mark.parametrize("number", [100, pytest.param(10_000, marks=pytest.mark.long)])
def test_short_processes_are_counted(metered: Metered, number: int) -> None:
    metered.sample()
    meter = metered.meter(daemon=True)
    procs = os.open(f"{metered.cgroups.root}/users/alice/web/cgroup.procs", os.O_WRONLY)
    try:
        words = [sys.executable, "-ISc", SHORT, str(procs), str(number)]
        running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, pass_fds=[procs])
        while running.poll() is None:
            meter.sample(FLEET, metered.cgroups.root)
            time.sleep(0.5)
        seconds = float(running.communicate()[0])
    finally:
        os.close(procs)
    meter.sample(FLEET, metered.cgroups.root)
    meter.close()
    assert metered.cpu("alice", "web") >= 0.999 * seconds
    assert metered.cpu("alice", "web") <= 1.2 * seconds  # entering and exiting take time, too


DIRECT = "dd if=/dev/zero of={} bs=1M count=100 oflag=direct conv=fsync status=none"


def test_bytes_written_past_the_cache(metered: Metered, tmp_path: Path) -> None:
    leaf = Path(metered.cgroups.root, "users/alice/web")
    if not (leaf / "io.stat").exists():
        pytest.skip("the io controller is not enabled here")
    place = str(tmp_path)
    try:
        BlockDevices().device_of(place)
    except HostError as error:
        pytest.skip(str(error))
    fleet = FLEET._replace(accounts={"alice": sold("alice", home=place)})

    def sample() -> None:
        meter = metered.meter()
        meter.sample(fleet, metered.cgroups.root)
        meter.close()

    sample()
    enter = f"echo 0 >{leaf}/cgroup.procs; exec {DIRECT.format(tmp_path / 'file')}"
    subprocess.run(["sh", "-c", enter], check=True)
    sample()
    assert metered.total("written", "alice", "web") == pytest.approx(100 << 20, rel=0.01)
    assert metered.total("written", "alice", "") == pytest.approx(100 << 20, rel=0.01)
