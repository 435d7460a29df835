"""Each kind of fault, made on purpose, is found at the level of the limit, with the process that made it.

The tests share a daemon. Each has an account of its own, of the same Unix user; where the limit is that of all
customers together, also a ledger of its own, since such faults are nobody's.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.cgroup.fault_files import FaultFiles
from paas_isolate.metering.faults import KNOBS, Kind
from tests.support.guest.machine import DAEMON, STATE, TREE, knob, sampled, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import HOG, Customer, Customers, Sell, Specs
from tests.support.guest.quotas import file_system, living_at, writes
from tests.support.waiting import wait_for

ONCE_AND_20_TIMES = pytest.mark.parametrize(
    "_", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, 20))]
)
LEVELS = pytest.mark.parametrize("level", ["leaf", "account", "all"])
OWN_LEVELS = pytest.mark.parametrize("level", ["leaf", "account"])
METERING = {"every": "1s"}
UNLIMITED = {"memory": {"max": "unlimited"}, "pids": "unlimited", "cpu": "unlimited", "io": "unlimited"}


class Metered:
    """A daemon that samples every second, and its customer alice, who is sold one account after the other."""

    def __init__(self, spec: Specs, paas: Paas, people: Customers) -> None:
        self._spec, self._paas, self._people = spec, paas, people
        self._numbers = count(1)
        self.account = ""

    def begin(self, level: str, kind: Kind, limits: dict[str, Any], text: str) -> Customer:
        """A new account with limits at this level, which the kernel has as `text`."""
        web = UNLIMITED | (limits if level == "leaf" else {})
        account = UNLIMITED | (limits if level == "account" else {})
        self.account = f"{kind}{next(self._numbers)}"
        if level == "all":
            self._begin_ledger()
            self._spec.config(metering=METERING, ceiling=limits)
        services = {"web": {"limits": web}}
        alice = self._spec.sell(self.account, users=("alice",), limits=account, services=services)
        where = {"leaf": self.path("web"), "account": self.path(), "all": "users"}[level]
        wait_for(lambda: self._has(where, KNOBS[kind], text), what=f"{KNOBS[kind]} of {where} is {text}")
        wait_for(lambda: self._has(self.path("web"), "cgroup.procs", ""), what="there is a leaf")
        sampled()
        return alice

    def path(self, leaf: str = "") -> str:
        return f"users/{self.account}/{leaf}".rstrip("/")

    @staticmethod
    def _has(path: str, name: str, text: str) -> bool:
        with suppress(FileNotFoundError):
            return text in knob(path, name)
        return False

    def end(self, level: str) -> None:
        """The account is gone."""
        self._people.end()
        self._spec.path(self.account).unlink(missing_ok=True)
        if level == "all":
            self._spec.config(metering=METERING)
        wait_for(lambda: not (TREE / self.path()).exists(), what=f"{self.account} is gone", deadline=60)

    def incidents(self, kind: Kind) -> list[dict[str, Any]]:
        """Those of the account, and of all customers together."""
        found = self._paas("faults", "--kind", kind.value, "--json", "--pictures")
        return [each for each in found.json if each["account"] in (self.account, "")]

    def found(self, kind: Kind, level: str) -> dict[str, Any]:
        """The incident, as soon as it has a picture."""

        def pictured() -> dict[str, Any] | None:
            those = (each for each in self.incidents(kind) if each["level"] == level and each["pictures"])
            return next(those, None)

        def what() -> str:
            return f"{kind} of level {level} is found; there is {self.incidents(kind)}"

        return wait_for(pictured, what=what, deadline=60)

    def _begin_ledger(self) -> None:
        systemctl("stop", DAEMON)
        shutil.rmtree(STATE / "ledger")
        systemctl("start", DAEMON)
        sampled()


@pytest.fixture(scope="module")
def daemon(scene: tuple[Specs, Paas], people: Customers) -> Iterator[Metered]:
    spec, paas = scene
    spec.config(metering=METERING)
    systemctl("start", DAEMON)
    try:
        metered = Metered(spec, paas, people)
        sampled()
        yield metered
    finally:
        systemctl("stop", DAEMON)


@pytest.fixture
def metered(daemon: Metered, level: str) -> Iterator[Metered]:
    yield daemon
    daemon.end(level)


@ONCE_AND_20_TIMES
def test_disk_full(_: int, spec: Specs, sell: Sell, paas: Paas, tmp_path: Path) -> None:
    """First, since it needs no daemon: each reconcile takes a sample."""
    spec.config(metering=METERING)
    with file_system(tmp_path) as home:
        alice = sell("alice", disk={"max": "4M"}, services={"web": {}})
        with living_at(home, alice):
            paas("reconcile")
            assert writes(alice, home, 6) != 0
            alice.burns("users/alice/web", for_a_moment=True)
            time.sleep(2)
            paas("reconcile")
            (found,) = paas("faults", "alice", "--kind", Kind.DISK.value, "--json").json
    assert (found["level"], found["limit"]) == ("account", str(4 << 20))
    assert (4 << 20) - 8192 < found["amount"] <= 4 << 20


@ONCE_AND_20_TIMES
@LEVELS
def test_memory_killed(_: int, level: str, metered: Metered) -> None:
    alice = metered.begin(level, Kind.KILLED, {"memory": "64M"}, limit := str(64 << 20))
    hog = alice.python(HOG, metered.path("web"))
    assert hog.wait(60) == -9
    found = metered.found(Kind.KILLED, level)
    assert (found["account"], found["limit"]) == (metered.account, limit)
    assert found["number"] == 1  # of a leaf that dies as a whole, in which the kernel counts it twice
    assert (found["process"]["pid"], found["process"]["state"]) == (hog.pid, "killed")
    assert found["process"]["leaf"] == "web"


@ONCE_AND_20_TIMES
@OWN_LEVELS
def test_memory_slowed(_: int, level: str, metered: Metered) -> None:
    alice = metered.begin(level, Kind.SLOWED, {"memory": {"max": "512M", "high": "32M"}}, limit := str(32 << 20))
    hog = alice.python(HOG, metered.path("web"))
    found = metered.found(Kind.SLOWED, level)
    assert (found["process"]["pid"], found["limit"]) == (hog.pid, limit)


@ONCE_AND_20_TIMES
@LEVELS
def test_processes_refused(_: int, level: str, metered: Metered) -> None:
    alice = metered.begin(level, Kind.REFUSED, {"pids": 20}, "20")
    bomb = alice.wants_processes(40, metered.path("web"))
    family = {bomb.pid, *map(int, knob(metered.path("web"), "cgroup.procs").split())}
    found = metered.found(Kind.REFUSED, level)
    assert found["process"]["pid"] in family
    # Before Linux 6.11 it is counted where it was asked for, so that its account is known at each level.
    nobodys = level == "all" and FaultFiles(str(TREE / "users")).by_limit
    assert (found["account"], found["limit"]) == ("" if nobodys else metered.account, "20")


@ONCE_AND_20_TIMES
@OWN_LEVELS
def test_cpu_throttled(_: int, level: str, metered: Metered) -> None:
    alice = metered.begin(level, Kind.THROTTLED, {"cpu": "20%"}, "20000 100000")
    busy = alice.burns(metered.path("web"))
    found = metered.found(Kind.THROTTLED, level)
    assert found["process"]["pid"] == busy.pid
    assert found["amount"] > 100_000


@pytest.mark.long
@pytest.mark.parametrize("level", ["leaf"])
def test_no_alarm_for_who_is_throttled_and_does_next_to_nothing(level: str, metered: Metered) -> None:
    """prometheus-operator 2063. Long, for on a machine at work an emulated one takes CPU time for next to nothing."""
    alice = metered.begin(level, Kind.THROTTLED, {"cpu": "50%"}, "50000 100000")
    alice.burns(metered.path("web"), for_a_moment=True)
    time.sleep(15)
    assert metered.incidents(Kind.THROTTLED) == []


@ONCE_AND_20_TIMES
@pytest.mark.parametrize("level", ["leaf", pytest.param("account", marks=pytest.mark.long)])
def test_io_waited(_: int, level: str, metered: Metered) -> None:
    alice = metered.begin(level, Kind.WAITED, {"io": {"write": "256K"}}, "wbps=262144")
    words = ("dd", "if=/dev/zero", "of=new", "bs=64k", "count=400", "oflag=direct")
    dd = alice.runs(*words, leaf=metered.path("web"))
    found = metered.found(Kind.WAITED, level)
    assert found["process"]["pid"] == dd.pid
    assert "wbps=262144" in found["limit"]


@pytest.mark.parametrize("level", ["leaf"])
def test_faults_outlive_their_cgroup(level: str, metered: Metered) -> None:
    """cadvisor 3015."""
    alice = metered.begin(level, Kind.KILLED, {"memory": "32M"}, str(32 << 20))
    assert alice.python(HOG, metered.path("web")).wait(60) == -9
    metered.end(level)
    (found,) = wait_for(lambda: metered.incidents(Kind.KILLED), what="its fault is there")
    assert (found["account"], found["leaf"]) == (metered.account, "web")
