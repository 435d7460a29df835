"""Which process an incident is due to."""

import pytest

from paas_isolate.metering.faults import ENDED, KILLED, Incident, Kind, Level, Picture, Process
from paas_isolate.metering.guilty import guilty


def process(pid: int, command: str = "php", leaf: str = "web", **known: object) -> Process:
    return Process(pid, command, "alice", leaf, **known)  # type: ignore[arg-type]


def incident(kind: Kind, leaf: str = "", limit: str = "") -> Incident:
    return Incident(1, kind, Level.LEAF if leaf else Level.ACCOUNT, "alice", "alice", leaf, "", 0, 0, 1, None, limit)


def pid_of(found: Process | None) -> int:
    assert found is not None
    return found.pid


SEEN = (
    process(1, memory=900, cpu=9.0, age=900.0),
    process(2, memory=10, cpu=2.0, age=2.1),
    process(3, "fork", memory=1),
    process(4, "fork", memory=1, state="disk-sleep"),
    process(5, "fork", memory=1),
    process(6, "sshd", "login", memory=5),
)


@pytest.mark.parametrize(
    ("kind", "pid"), [(Kind.KILLED, 1), (Kind.SLOWED, 1), (Kind.REFUSED, 5), (Kind.THROTTLED, 2), (Kind.WAITED, 4)]
)
def test_the_one_that_used_most_of_it(kind: Kind, pid: int) -> None:
    assert pid_of(guilty(incident(kind), [Picture(0, SEEN)])) == pid


def test_the_one_that_the_kernel_killed() -> None:
    killed = process(7, memory=5, state=KILLED)
    assert guilty(incident(Kind.KILLED), [Picture(0, SEEN, (killed,))]) == killed


def test_the_one_that_was_killed_last_of_several() -> None:
    before = process(7, memory=900, state=KILLED), process(8, memory=5, state=KILLED)
    assert pid_of(guilty(incident(Kind.KILLED), [Picture(0, SEEN, before)])) == 8
    later = Picture(60_000, (), (process(9, memory=5, state=KILLED),))
    assert pid_of(guilty(incident(Kind.KILLED), [Picture(0, SEEN, before), later])) == 9
    unknown = Picture(60_000, SEEN)
    assert pid_of(guilty(incident(Kind.KILLED), [Picture(0, SEEN, before), unknown])) == 8


def test_a_later_fault_of_the_same_incident_has_its_own() -> None:
    pictures = [Picture(0, (process(1, memory=900),)), Picture(60_000, (process(2, memory=90),))]
    assert pid_of(guilty(incident(Kind.SLOWED), pictures)) == 2


def test_a_hog_that_was_gone_before_is_not_who_is_slowed_now() -> None:
    gone = process(7, memory=900, state=KILLED), process(8, memory=800, state=ENDED)
    now = Picture(0, (process(9, memory=32), process(10, memory=1)), gone)
    assert pid_of(guilty(incident(Kind.SLOWED, limit="40"), [now])) == 9
    freed = Picture(0, (process(10, memory=1),), gone)
    assert pid_of(guilty(incident(Kind.SLOWED, limit="40"), [freed])) == 7


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.THROTTLED, Kind.WAITED])
def test_who_was_gone_before_is_none_of_it_unless_there_is_nobody_else(kind: Kind) -> None:
    gone = tuple(process(pid, cpu=9.0, age=9.0, state=ENDED) for pid in (7, 8))
    assert pid_of(guilty(incident(kind), [Picture(0, (process(9, "sh", cpu=0.1, age=9.0),), gone)])) == 9
    assert pid_of(guilty(incident(kind), [Picture(0, (), gone)])) in (7, 8)


def test_one_that_ended_since_the_last_sample_may_be_it() -> None:
    busy = process(7, cpu=8.0, age=9.0, state="running")
    assert pid_of(guilty(incident(Kind.THROTTLED), [Picture(0, (process(9, cpu=0.1, age=900.0),), (busy,))])) == 7


def test_an_old_process_that_burns_now_and_a_young_one_that_has_just_started() -> None:
    old = process(1, cpu=25.0, age=9000.0, burnt=20.0)
    young = process(2, cpu=0.08, age=0.1, burnt=0.08)
    assert pid_of(guilty(incident(Kind.THROTTLED), [Picture(0, (old, young))])) == 1


def test_of_the_leaf_whose_limit_it_was() -> None:
    assert pid_of(guilty(incident(Kind.KILLED, "login"), [Picture(0, SEEN)])) == 6


def test_without_a_picture_nobody() -> None:
    assert guilty(incident(Kind.KILLED), []) is None
    assert guilty(incident(Kind.KILLED), [Picture(0, ())]) is None
