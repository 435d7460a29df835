"""Each kind of fault, made on purpose, is found at the level of the limit, with the process that made it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest.machine import STATE, TREE, daemon
from tests.support.guest.paas import Paas
from tests.support.guest.people import HOG, Customer, Sell, Specs
from tests.support.guest.quotas import file_system, living_at, writes
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long
"""Its tests share accounts, and one may find the incident of another."""

ONCE_AND_20_TIMES = pytest.mark.parametrize(
    "_", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, 20))]
)
LEVELS = pytest.mark.parametrize("level", ["leaf", "account", "all"])
SAMPLED = Path("/run/paas-isolate/sampled")
METERING = {"every": "1s"}


class Sold:
    """alice, with a limit at one of the levels, under a daemon that samples every second."""

    def __init__(self, spec: Specs, sell: Sell, paas: Paas) -> None:
        self._spec, self._sell, self._paas = spec, sell, paas

    def begin(self, level: str, limits: dict[str, Any]) -> Customer:
        own: dict[str, Any] = {"memory": {"max": "unlimited"}, "pids": "unlimited", "cpu": "unlimited"}
        web = own | {"io": "unlimited"} | (limits if level == "leaf" else {})
        self._spec.config(metering=METERING, **({"ceiling": limits} if level == "all" else {}))
        account = own | {"io": "unlimited"} | (limits if level == "account" else {})
        return self._sell("alice", limits=account, services={"web": {"limits": web}})

    def incidents(self, kind: str) -> list[dict[str, Any]]:
        found = self._paas("faults", "--kind", kind, "--json", "--pictures", code=None)
        return list(found.json) if found.code == 0 else []

    def found(self, kind: str, level: str) -> dict[str, Any]:
        """The incident, as soon as it has a picture."""

        def pictured() -> dict[str, Any] | None:
            those = (each for each in self.incidents(kind) if each["level"] == level and each["pictures"])
            return next(those, None)

        return wait_for(pictured, what=f"{kind} of level {level} is found", deadline=90)


@pytest.fixture
def sold(spec: Specs, sell: Sell, paas: Paas) -> Iterator[Sold]:
    shutil.rmtree(STATE / "ledger", ignore_errors=True)  # else incidents go on that another test has begun
    yield Sold(spec, sell, paas)
    shutil.rmtree(STATE / "ledger", ignore_errors=True)


@contextmanager
def sampling() -> Iterator[None]:
    """The daemon, when it has taken its first sample: what happened before is nobody's news."""
    SAMPLED.unlink(missing_ok=True)
    with daemon(accounts=1):
        wait_for(lambda: SAMPLED.exists() and SAMPLED.read_text().endswith(" daemon\n"), what="a sample was taken")
        yield


@pytest.fixture
def watched() -> Callable[[], Any]:
    return sampling


@ONCE_AND_20_TIMES
@LEVELS
def test_memory_killed(_: int, level: str, sold: Sold, watched: Callable[[], Any]) -> None:
    alice = sold.begin(level, {"memory": "64M"})
    with watched():
        hog = alice.python(HOG, "users/alice/web")
        assert hog.wait(60) == -9
        found = sold.found("killed", level)
    assert (found["account"], found["limit"]) == ("alice", str(64 << 20))
    assert (found["process"]["pid"], found["process"]["state"]) == (hog.pid, "killed")
    assert found["process"]["leaf"] == "web"


@ONCE_AND_20_TIMES
@pytest.mark.parametrize("level", ["leaf", "account"])
def test_memory_slowed(_: int, level: str, sold: Sold, watched: Callable[[], Any]) -> None:
    alice = sold.begin(level, {"memory": {"max": "512M", "high": "32M"}})
    with watched():
        hog = alice.python(HOG, "users/alice/web")
        found = sold.found("slowed", level)
        assert found["process"]["pid"] == hog.pid
        assert found["limit"] == str(32 << 20)


@ONCE_AND_20_TIMES
@LEVELS
def test_processes_refused(_: int, level: str, sold: Sold, watched: Callable[[], Any]) -> None:
    alice = sold.begin(level, {"pids": 20})
    with watched():
        bomb = alice.wants_processes(40, "users/alice/web")
        found = sold.found("refused", level)
        family = {bomb.pid, *map(int, (TREE / "users/alice/web/cgroup.procs").read_text().split())}
        assert found["process"]["pid"] in family
        assert found["limit"] == "20"
    assert found["account"] == ("" if level == "all" else "alice")


@ONCE_AND_20_TIMES
@pytest.mark.parametrize("level", ["leaf", "account"])
def test_cpu_throttled(_: int, level: str, sold: Sold, watched: Callable[[], Any]) -> None:
    alice = sold.begin(level, {"cpu": "20%"})
    with watched():
        busy = alice.burns("users/alice/web")
        found = sold.found("throttled", level)
        assert found["process"]["pid"] == busy.pid
        assert found["amount"] > 100_000


def test_no_alarm_for_who_is_throttled_and_does_next_to_nothing(sold: Sold, watched: Callable[[], Any]) -> None:
    """prometheus-operator 2063."""
    alice = sold.begin("leaf", {"cpu": "50%"})
    with watched():
        alice.burns("users/alice/web", for_a_moment=True)
        time.sleep(15)
        assert sold.incidents("throttled") == []


@ONCE_AND_20_TIMES
@pytest.mark.parametrize("level", ["leaf", "account"])
def test_io_waited(_: int, level: str, sold: Sold, watched: Callable[[], Any]) -> None:
    alice = sold.begin(level, {"io": {"write": "256K"}})
    with watched():
        dd = alice.runs(
            *["dd", "if=/dev/zero", "of=new", "bs=64k", "count=400", "oflag=direct"], leaf="users/alice/web"
        )
        found = sold.found("waited", level)
        assert found["process"]["pid"] == dd.pid
    assert "wbps=262144" in found["limit"]


@ONCE_AND_20_TIMES
def test_disk_full(_: int, spec: Specs, sell: Sell, paas: Paas, sold: Sold, tmp_path: Path) -> None:
    with file_system(tmp_path) as home:
        alice = sold.begin("account", {})
        spec("accounts.d/alice.yaml", "account: alice\ndisk: {max: 4M}\n")
        with living_at(home, alice):
            paas("reconcile")
            assert writes(alice, home, 6) != 0
            alice.burns("users/alice/other", for_a_moment=True)
            time.sleep(2)
            paas("reconcile")
            (found,) = sold.incidents("disk")
    assert (found["level"], found["limit"]) == ("account", str(4 << 20))
    assert (4 << 20) - 8192 < found["amount"] <= 4 << 20


def test_faults_outlive_their_cgroup(sold: Sold, spec: Specs, paas: Paas, watched: Callable[[], Any]) -> None:
    """cadvisor 3015."""
    alice = sold.begin("leaf", {"memory": "32M"})
    with watched():
        assert alice.python(HOG, "users/alice/web").wait(60) == -9
        spec("accounts.d/alice.yaml", "account: alice\n")
        wait_for(lambda: not (TREE / "users/alice/web").exists(), what="the leaf is removed")
        (found,) = wait_for(lambda: sold.incidents("killed"), what="its fault is there")
    assert (found["account"], found["leaf"]) == ("alice", "web")
