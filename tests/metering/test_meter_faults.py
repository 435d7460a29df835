"""Faults on their way into the ledger, past a removed cgroup, a killed program and a reboot."""

from collections.abc import Callable
from pathlib import Path

import pytest

import paas_isolate.meter
from paas_isolate.ledger import faults
from paas_isolate.ledger.database import LedgerError, reading
from paas_isolate.ledger.writer import LedgerWriter
from paas_isolate.linux.cgroup import sampled
from paas_isolate.meter import Meter
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import Fault, Incident, Kind, Level, Picture, Process, Taken
from paas_isolate.metering.tally import Moment
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.metering import MeteringConfig
from tests.support.fake_cgroups import FakeCgroups

FLEET = Fleet(Host(metering=MeteringConfig()), {})
WALL = 1_800_000_000_000


class Machine:
    """Made-up cgroups, a clock that a test sets, and a ledger."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cgroups, self.place = FakeCgroups(place / "users"), place
        self.seconds = 100.0
        self.boot = "b1"
        self.warnings: list[str] = []
        self._cpu = 0
        monkeypatch.setattr(paas_isolate.meter, "_now", self.now)
        monkeypatch.setattr(sampled, "boot", lambda: self.boot)
        for path in ("alice", "alice/web", "alice/login", "bob", "bob/web", "bob/login"):
            self.runs(path)

    def now(self) -> Moment:
        return Moment(int(self.seconds * 1000), WALL + int(self.seconds * 1000))

    def runs(self, *paths: str, throttled: int = 0) -> None:
        """These cgroups use a millisecond of CPU time."""
        self._cpu += 1000
        for path in paths:
            text = f"usage_usec {self._cpu}\nuser_usec {self._cpu}\nsystem_usec 0\nthrottled_usec {throttled}\n"
            self.cgroups.write(path, "cpu.stat", text)

    def meter(self, *, daemon: bool = True) -> Meter:
        return Meter(str(self.place / "ledger"), str(self.place), self.warnings.append, daemon=daemon)

    def sample(self, meter: Meter, seconds: float) -> None:
        self.seconds += seconds
        meter.sample(FLEET, str(self.place))

    def reconciled(self, seconds: float) -> None:
        """The sample of a run without a daemon."""
        meter = self.meter(daemon=False)
        self.sample(meter, seconds)
        meter.close()

    def kills(self, path: str, number: int) -> None:
        self.cgroups.events(path, Events(killed=number, ooms=number))
        self.runs(path, path.partition("/")[0])

    def incidents(self) -> list[Incident]:
        with reading(str(self.place / "ledger")) as connection:
            return faults.incidents(connection)

    def pictures(self) -> list[Picture]:
        with reading(str(self.place / "ledger")) as connection:
            return [
                picture for each in faults.incidents(connection) for picture in faults.pictures(connection, each.id)
            ]

    @property
    def numbers(self) -> list[int]:
        return [each.number for each in self.incidents()]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_without_a_daemon_each_run_finds_what_happened_since_the_one_before(machine: Machine) -> None:
    machine.kills("alice/web", 7)  # long ago
    machine.reconciled(0)
    assert machine.incidents() == []
    machine.kills("alice/web", 9)
    machine.reconciled(60)
    machine.reconciled(60)
    (incident,) = machine.incidents()
    assert (incident.kind, incident.level, incident.leaf, incident.number) == (Kind.KILLED, Level.LEAF, "web", 2)
    assert machine.warnings == []


def test_an_event_is_told_at_once_and_written_at_the_next_sample(machine: Machine) -> None:
    meter = machine.meter()
    told: list[Fault] = []
    meter.told = told.extend
    machine.sample(meter, 0)
    machine.kills("alice/web", 1)
    meter.look(FLEET, str(machine.place), {"", "alice"}, set())
    assert [each.number for each in told] == [1]
    machine.sample(meter, 10)
    assert machine.numbers == [1]
    machine.sample(meter, 60)
    meter.close()
    assert machine.numbers == [1]
    assert len(told) == 1


def test_faults_outlive_the_cgroup(machine: Machine) -> None:
    """cadvisor 3015."""
    meter = machine.meter()
    machine.sample(meter, 0)
    machine.kills("alice/web", 3)
    meter.removing(FLEET, str(machine.place), "users/alice/web")
    for file in (machine.cgroups.users / "alice/web").iterdir():
        file.unlink()
    (machine.cgroups.users / "alice/web").rmdir()
    machine.sample(meter, 10)
    meter.close()
    assert machine.numbers == [3]
    FakeCgroups(machine.cgroups.users)
    machine.runs("alice", "alice/web")
    machine.reconciled(10)
    machine.kills("alice/web", 4)
    machine.reconciled(60)
    assert machine.numbers == [7]


@pytest.mark.parametrize("after", [1, 10, 70])
def test_a_daemon_that_is_killed_loses_no_fault_and_writes_none_twice(machine: Machine, after: int) -> None:
    machine.reconciled(0)
    meter = machine.meter()
    machine.sample(meter, 10)
    machine.kills("alice/web", 2)
    meter.look(FLEET, str(machine.place), {"alice"}, set())
    machine.sample(meter, after)
    machine.kills("alice/web", 3)
    meter.look(FLEET, str(machine.place), {"alice"}, set())  # and then kill -9
    again = machine.meter()
    machine.sample(again, 10)
    machine.sample(again, 60)
    again.close()
    assert sum(machine.numbers) == 3


def test_a_full_disk_is_told_once_and_costs_no_fault(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = machine.meter()
    machine.sample(meter, 0)

    def is_full(*_: object, **__: object) -> None:
        raise LedgerError("ledger.db: database or disk is full")

    for number in (1, 2):
        with monkeypatch.context() as full:
            full.setattr(LedgerWriter, "write", is_full)
            for _ in range(3):
                machine.kills("alice/web", number)
                meter.look(FLEET, str(machine.place), {"", "alice"}, set())
                machine.sample(meter, 70)
        assert (
            machine.warnings
            == ["what accounts use is measured, but not written until this ends: ledger.db: database or disk is full"]
            * number
        )
        machine.sample(meter, 70)
    meter.close()
    assert sum(machine.numbers) == 2


def test_after_a_reboot_counters_begin_anew(machine: Machine) -> None:
    machine.reconciled(0)
    machine.kills("alice/web", 5)
    machine.reconciled(60)
    machine.boot, machine.seconds = "b2", 5.0
    machine.cgroups.events("alice/web", Events())
    machine.reconciled(0)
    machine.kills("alice/web", 1)
    machine.reconciled(60)
    assert sorted(machine.numbers) == [1, 5]


def test_a_throttled_account_is_written_once_a_minute(machine: Machine) -> None:
    machine.cgroups.write("alice", "cpu.max", "1 100000\n")
    meter = machine.meter()
    for sample in range(13):
        machine.runs("alice", throttled=sample * 2_000_000)
        machine.sample(meter, 10)
    meter.close()
    (incident,) = machine.incidents()
    assert (incident.kind, incident.number, incident.amount) == (Kind.THROTTLED, 12, 24_000_000)
    with reading(str(machine.place / "ledger")) as connection:
        assert len(faults.faults(connection)) <= 4


@pytest.mark.parametrize(("gone", "left"), [(lambda users: None, 1), (lambda users: users.rename("elsewhere"), 0)])
def test_pictures_are_erased_with_the_account(
    machine: Machine, gone: Callable[[Path], object], left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine.place)
    meter = machine.meter()
    machine.sample(meter, 0)
    machine.kills("alice/web", 1)
    picture = Picture(WALL, (Process(1, "mysqldump --password=secret", "alice", "web"),))
    meter.told = lambda told: meter.keep([Taken(*fault[:4], fault.at, picture) for fault in told])
    meter.look(FLEET, str(machine.place), {"alice"}, set())
    machine.sample(meter, 10)
    assert machine.pictures() == [picture]
    gone(machine.cgroups.users / "alice")
    machine.runs("bob")
    machine.sample(meter, 60)
    meter.close()
    assert len(machine.pictures()) == left
    assert machine.numbers == [1]
