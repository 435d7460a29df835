"""From the kernel's files to sentences: sampled by the meter, found, kept, and explained."""

from pathlib import Path

import pytest

import paas_isolate.meter
from paas_isolate.explain import Window, around, gather
from paas_isolate.ledger.database import reading
from paas_isolate.linux.cgroup import sampled
from paas_isolate.meter import Meter
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.clock import Clock
from paas_isolate.metering.detection import Events
from paas_isolate.metering.explanation import Explanation, explain
from paas_isolate.metering.faults import Kind, Level, Picture, Process, Taken
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.tally import Moment
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.metering import MeteringConfig
from tests.support.fake_cgroups import FakeCgroups

FLEET = Fleet(Host(metering=MeteringConfig()), {})
WALL = 1_790_078_400_000  # 2026-09-22T12:00:00Z
UTC = Calendar("UTC")
HOUR = 3_600_000


class Machine:
    """Cgroups that are sampled every ten seconds. alice's limit is 100 % CPU."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cgroups, self.place, self.seconds = FakeCgroups(place / "users"), place, 0
        self._cpu: dict[str, int] = {}
        self._waited = 0
        self._meter = Meter(str(place / "ledger"), str(place), pytest.fail, daemon=True)
        monkeypatch.setattr(paas_isolate.meter, "_now", lambda: Moment(self.seconds * 1000, self.now))
        monkeypatch.setattr(
            paas_isolate.meter, "host_pressure", lambda at: HostReading(at, self._waited, 0, 0, 0, 0, 0)
        )
        monkeypatch.setattr(sampled, "boot", lambda: "b1")
        self.cgroups.write("alice", "cpu.max", "100000 100000\n")

    @property
    def now(self) -> int:
        return WALL + self.seconds * 1000

    def lives(self, seconds: int, busy: int = 0, waits: int = 0, machine: int = 0) -> None:
        """So many seconds in which alice's web uses `busy` percent of a core and waits for `waits` more, bob uses a
        tenth of it, and the machine waits for `machine` percent of the time."""
        for _ in range(0, seconds, 10):
            self.seconds += 10
            self._waited += machine * 100_000
            for path in ("alice", "alice/web", "bob"):
                share = busy // 10 if path == "bob" else busy
                self._cpu[path] = self._cpu.get(path, 1) + max(share * 100_000, 1)
                throttled = self._cpu.get("throttled", 0) + waits * 50_000 if path == "alice" else 0
                self._cpu["throttled"] = throttled or self._cpu.get("throttled", 0)
                text = f"usage_usec {self._cpu[path]}\nuser_usec {self._cpu[path]}\nsystem_usec 0\n"
                self.cgroups.write(path, "cpu.stat", f"{text}throttled_usec {2 * throttled}\n")
                self.cgroups.write(path, "memory.current", f"{64 << 20}\n")
            self._meter.sample(FLEET, str(self.place))

    def hears_of(self, directory: str) -> None:
        self._meter.look(FLEET, str(self.place), [directory], [])

    def pictured(self, kind: Kind, process: Process) -> None:
        taken = Taken(kind, Level.ACCOUNT, "alice", "", self.seconds * 1000, Picture(self.now, (process,)))
        self._meter.keep([taken])

    def explains(self, window: Window | None = None) -> Explanation:
        self._meter.close()
        with reading(str(self.place / "ledger")) as connection:
            facts = gather(connection, "alice", window or around(None, self.now), self.now, UTC)
            return explain(facts, Clock(UTC, self.now))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_who_is_throttled(machine: Machine) -> None:
    machine.lives(600, busy=10)
    machine.lives(300, busy=100, waits=80, machine=40)
    machine.pictured(
        Kind.THROTTLED, Process(7, "/usr/bin/php", "alice", "web", "alice", 1 << 20, 250.0, "running", 300.0)
    )
    machine.lives(600, busy=10)
    found = machine.explains()
    assert found.summary == "Slow between 12:10 and 12:15: it used all of its 100 % CPU; php took most of it."
    (finding,) = found.findings
    assert finding.sentences[1:4] == (
        "The limit is that of the whole account (cpu.max).",
        "Its processes at 12:15: php 250.0 s of CPU time.",
        "The machine itself was short of CPU time: some of its programs waited for 33% of the time.",
    )
    assert finding.sentences[4].startswith("Of the other accounts these used most of it: bob ")
    assert finding.sentences[5].startswith("Enough would have been 180 % CPU")


def test_who_is_killed(machine: Machine) -> None:
    machine.lives(120, busy=1)
    machine.cgroups.write("alice/web", "memory.max", f"{64 << 20}\n")
    machine.cgroups.events("alice/web", Events(killed=1, ooms=1))
    machine.hears_of("alice")
    machine.lives(20, busy=1)
    found = machine.explains(around(machine.now - 60_000, machine.now))
    assert found.summary == "1 process was killed at 12:02 in web: web needed more memory than its 64M."
    assert "It held 64M at most in a sample." in found.findings[0].sentences[-1]


def test_samples_of_a_day_ago_are_minutes(machine: Machine) -> None:
    machine.lives(300, busy=10)
    machine.lives(300, busy=100, waits=50)
    machine.lives(300, busy=10)
    machine.seconds += 30 * 3600  # switched off
    machine.lives(600)
    found = machine.explains(around(WALL + 7 * 60_000, machine.now))
    assert found.summary.startswith("Slow between 2026-09-22 12:05 and 12:10: it used all of its 100 % CPU")
    assert any(sentence.startswith("Enough would have been 150 % CPU") for sentence in found.findings[0].sentences)
    assert "Nothing is known: alice was not measured" in machine.explains(around(WALL + 5 * HOUR, machine.now)).summary
