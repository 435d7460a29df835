"""Faults are found once, at the right level, whatever happens to the cgroup or to us."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from paas_isolate.fault_finder import WRITTEN_AGAIN, FaultFinder
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import Fault, Kind, Level
from paas_isolate.metering.reading import Counters, Levels, Reading
from paas_isolate.metering.tally import Base, Moment
from paas_isolate.model.metering import FaultSettings
from tests.support.fake_cgroups import BUSY, FakeCgroups

WALL = 1_800_000_000_000
NOTHING = Counters(user=0, system=0, throttled=0, io_full=0)


def moment(seconds: float) -> Moment:
    return Moment(int(seconds * 1000), WALL + int(seconds * 1000))


class Found:
    """A finder on made-up cgroups, all of which were there at second 0."""

    def __init__(self, cgroups: FakeCgroups, seen: Mapping[str, Events] | None = None) -> None:
        self.cgroups = cgroups
        paths = ("alice", "alice/web", "alice/login", "bob", "bob/web", "bob/login")
        self.bases = {path: Base(path, 7, 0, NOTHING, Levels()) for path in paths}
        self.begin({"": Events()} if seen is None else seen)

    def begin(self, seen: Mapping[str, Events]) -> None:
        self.finder = FaultFinder(str(self.cgroups.users), FaultSettings(), seen, self.bases.get)

    def sample(self, seconds: float, *readings: Reading, before: float | None = 0) -> list[Fault]:
        self.finder.sample(moment(seconds), None if before is None else moment(before), readings, ())
        return self.finder.untold()

    def look(self, seconds: float, *directories: str) -> list[Fault]:
        self.finder.look(moment(seconds), moment(0), directories)
        return self.finder.untold()

    def write(self) -> dict[str, Events | None]:
        _, seen = self.finder.unwritten()
        self.finder.wrote()
        return seen


@pytest.fixture
def found(tmp_path: Path) -> Found:
    return Found(FakeCgroups(tmp_path / "users"))


def read(path: str, **counters: int) -> Reading:
    return Reading(path, 7, Counters(**{"user": 0, "system": 0, **counters}), Levels())


def told(faults: list[Fault]) -> list[tuple[Kind, Level, str, str, int, str]]:
    return [(each.kind, each.level, each.directory, each.leaf, each.number, each.limit) for each in faults]


def test_a_kill_by_the_limit_of_the_account(found: Found) -> None:
    found.cgroups.write("alice", "memory.max", "536870912\n")
    found.cgroups.events("alice/web", Events(killed=2))
    found.cgroups.events("alice", Events(ooms=1))
    expected = [(Kind.KILLED, Level.ACCOUNT, "alice", "web", 2, "536870912")]
    assert told(found.look(3, "alice")) == expected
    assert found.look(4, "alice") == []
    assert found.sample(10, read("alice/web", killed=2, slowed=0, refused=0)) == []


def test_the_sample_finds_what_no_event_told(found: Found) -> None:
    found.cgroups.events("alice/web", Events(killed=1, ooms=1))
    (fault,) = found.sample(60, read("alice/web", killed=1, slowed=0, refused=0), read("alice", killed=0))
    assert (fault.kind, fault.level) == (Kind.KILLED, Level.LEAF)


def test_a_kill_by_the_limit_of_all_that_two_samples_find(found: Found) -> None:
    found.cgroups.events("", Events(ooms=2))
    for name in ("alice", "bob"):
        found.cgroups.events(f"{name}/web", Events(killed=1))
    assert [each[:3] for each in told(found.look(3, "alice"))] == [(Kind.KILLED, Level.ALL, "alice")]
    assert [each[:3] for each in told(found.look(50, "bob"))] == [(Kind.KILLED, Level.ALL, "bob")]


@pytest.mark.parametrize(("path", "level"), [("alice/web", Level.LEAF), ("alice", Level.ACCOUNT)])
def test_a_look_between_the_reason_and_the_kill(path: str, level: Level, found: Found) -> None:
    """The kernel counts `oom` before it kills, and wakes us."""
    found.cgroups.events(path, Events(ooms=1))
    assert found.look(3, "alice") == []
    found.cgroups.events("alice/web", Events(killed=1, ooms=int(path == "alice/web")))
    assert [each[:4] for each in told(found.look(3.1, "alice"))] == [(Kind.KILLED, level, "alice", "web")]
    found.cgroups.events("alice/login", Events(killed=1, ooms=1))
    assert [each[:4] for each in told(found.look(4, "alice"))] == [(Kind.KILLED, Level.LEAF, "alice", "login")]
    found.cgroups.events("bob/web", Events(killed=1))
    assert [each[:4] for each in told(found.look(5, "bob"))] == [(Kind.KILLED, Level.MACHINE, "bob", "web")]


def test_a_kill_for_the_machines_memory(found: Found) -> None:
    found.cgroups.events("alice/web", Events(killed=1))
    assert told(found.look(3, "alice")) == [(Kind.KILLED, Level.MACHINE, "alice", "web", 1, "")]


def test_processes_refused_by_each_level(found: Found) -> None:
    for path in ("alice/web", "alice", ""):
        found.cgroups.events(path, Events(refused=3))
        found.cgroups.write(path, "pids.max", "32\n")
    assert sorted(told(found.look(3, "alice"))) == sorted(
        [
            (Kind.REFUSED, Level.LEAF, "alice", "web", 3, "32"),
            (Kind.REFUSED, Level.ACCOUNT, "alice", "", 3, "32"),
            (Kind.REFUSED, Level.ALL, "", "", 3, "32"),
        ]
    )


def test_processes_refused_on_a_kernel_before_6_11(tmp_path: Path) -> None:
    found = Found(FakeCgroups(tmp_path / "users", by_limit=False))
    found.cgroups.events("alice/web", Events(refused=3))
    for path, most, now in (("alice/web", "max", 5), ("alice", "9", 9), ("", "max", 20)):
        found.cgroups.write(path, "pids.max", f"{most}\n")
        found.cgroups.write(path, "pids.current", f"{now}\n")
    (fault,) = found.sample(60, read("alice/web", killed=0, slowed=0))
    assert told([fault]) == [(Kind.REFUSED, Level.ACCOUNT, "alice", "web", 3, "9")]


def test_slowed_is_decided_by_the_next_sample(found: Found) -> None:
    found.cgroups.events("alice/web", Events(slowed=5))
    assert found.look(3, "alice") == []
    found.cgroups.write("alice/web", "memory.pressure", BUSY)
    found.cgroups.write("alice/web", "memory.high", "1048576\n")
    assert told(found.sample(10)) == [(Kind.SLOWED, Level.LEAF, "alice", "web", 5, "1048576")]
    assert found.sample(20, read("alice/web", killed=0, slowed=5, refused=0)) == []


def test_cache_that_was_taken_back_is_no_fault_and_stays_none(found: Found) -> None:
    found.cgroups.events("alice/web", Events(slowed=5))
    assert found.sample(60, read("alice/web", killed=0, slowed=5, refused=0)) == []
    found.cgroups.write("alice/web", "memory.pressure", BUSY)
    assert found.look(70, "alice") == []


def test_old_counters_are_no_faults_when_metering_begins(tmp_path: Path) -> None:
    cgroups = FakeCgroups(tmp_path / "users")
    for path in ("", "alice/web"):
        cgroups.events(path, Events(9, 9, 9, 9))
    found = Found(cgroups, seen={})
    found.bases.clear()
    reading = read("alice/web", killed=9, slowed=9, refused=9)
    assert found.sample(0, reading, before=None) == []
    cgroups.events("alice/web", Events(10, 10, 9, 9))
    assert [each.number for each in found.look(3, "alice")] == [1]


def test_a_leaf_that_was_made_since_the_last_sample_has_all_its_faults(found: Found) -> None:
    del found.bases["alice/web"]
    found.cgroups.events("alice/web", Events(killed=1, ooms=1))
    assert len(found.look(3, "alice")) == 1


def test_faults_outlive_their_cgroup_and_its_next_one_begins_anew(found: Found) -> None:
    """cadvisor 3015."""
    found.cgroups.events("alice/web", Events(killed=5, ooms=5))
    assert [each.number for each in found.look(3, "alice")] == [5]
    found.finder.forget(["alice/web"])
    assert found.write() == {"alice/web": None}
    found.cgroups.events("alice/web", Events(killed=6, ooms=6))  # made anew, and even more
    assert [each.number for each in found.look(20, "alice")] == [6]


def test_killed_before_it_has_written_it_finds_all_again_and_nothing_twice(found: Found) -> None:
    found.cgroups.events("alice/web", Events(killed=1, ooms=1))
    assert len(found.look(3, "alice")) == 1
    seen: dict[str, Events] = {"": Events()}
    found.begin(seen)  # kill -9: neither the fault nor what was seen is on the disk
    assert len(found.look(5, "alice")) == 1
    seen |= {path: events for path, events in found.write().items() if events}
    found.begin(seen)
    assert found.look(8, "alice") == []


def test_throttled(found: Found) -> None:
    found.cgroups.write("alice", "cpu.max", "50000 100000\n")
    busy = read("alice", user=4_500_000, throttled=5_000_000)
    (fault,) = found.sample(10, busy)
    assert told([fault]) == [(Kind.THROTTLED, Level.ACCOUNT, "alice", "", 1, "50000 100000")]
    assert fault.amount == 5_000_000


def test_no_alarm_for_who_is_throttled_and_does_next_to_nothing(found: Found) -> None:
    """prometheus-operator 2063."""
    found.cgroups.write("alice", "cpu.max", "50000 100000\n")
    assert found.sample(10, read("alice", user=300_000, throttled=2_000_000)) == []
    assert found.sample(10, read("alice", user=4_900_000, throttled=900_000)) == []


def test_all_accounts_together_throttled(found: Found) -> None:
    found.cgroups.write("", "cpu.max", "100000 100000\n")
    for seconds, used, throttled in ((10, 0, 0), (20, 9_900_000, 3_000_000)):
        found.cgroups.write(
            "", "cpu.stat", f"usage_usec {used}\nuser_usec {used}\nsystem_usec 0\nthrottled_usec {throttled}\n"
        )
        faults = found.sample(seconds)
    assert told(faults) == [(Kind.THROTTLED, Level.ALL, "", "", 1, "100000 100000")]


def test_io_waited_names_the_leaf_that_waits_most_and_the_lowest_limit(found: Found) -> None:
    found.cgroups.write("alice/web", "io.pressure", BUSY)
    assert [each.level for each in found.sample(60, read("alice", io_full=31_000_000))] == [Level.MACHINE]
    found.cgroups.write("alice", "io.max", "252:0 rbps=1048576 wbps=max riops=max wiops=max\n")
    found.cgroups.write("alice", "io.pressure", BUSY.replace("801234", "33000000"))
    found.finder.waiting(moment(62), "alice")
    (fault,) = found.finder.untold()
    assert (fault.kind, fault.level, fault.leaf, fault.amount) == (Kind.WAITED, Level.ACCOUNT, "web", 2_000_000)
    assert fault.limit.startswith("252:0 rbps=1048576")
    assert found.sample(70, read("alice", io_full=33_100_000)) == []


def test_faults_alike_are_written_once_a_minute(found: Found) -> None:
    def kill(number: int, seconds: float) -> None:
        found.cgroups.events("alice/web", Events(killed=number, ooms=number))
        found.look(seconds, "alice")

    kill(1, 1)
    assert found.finder.is_urgent
    found.write()
    kill(2, 11)
    kill(4, 21)
    assert not found.finder.is_urgent
    (fault,), _ = found.finder.unwritten()
    assert (fault.number, fault.at) == (3, 21_000)
    kill(5, 1 + WRITTEN_AGAIN / 1000)
    assert found.finder.is_urgent
