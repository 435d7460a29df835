"""Which process an incident is due to."""

import pytest

from paas_isolate.metering.faults import Incident, Kind, Level, Picture, Process
from paas_isolate.metering.guilty import guilty


def process(pid: int, command: str = "php", leaf: str = "web", **known: object) -> Process:
    return Process(pid, command, "alice", leaf, **known)  # type: ignore[arg-type]


def incident(kind: Kind, leaf: str = "") -> Incident:
    return Incident(1, kind, Level.LEAF if leaf else Level.ACCOUNT, "alice", "alice", leaf, "", 0, 0, 1, None, "")


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
    found = guilty(incident(kind), [Picture(0, SEEN)])
    assert found is not None and found.pid == pid


def test_the_one_that_the_kernel_killed() -> None:
    killed = process(7, memory=5, state="killed")
    assert guilty(incident(Kind.KILLED), [Picture(0, SEEN, (killed,))]) == killed


def test_of_the_leaf_whose_limit_it_was() -> None:
    found = guilty(incident(Kind.KILLED, "login"), [Picture(0, SEEN)])
    assert found is not None and found.pid == 6


def test_without_a_picture_nobody() -> None:
    assert guilty(incident(Kind.KILLED), []) is None
    assert guilty(incident(Kind.KILLED), [Picture(0, ())]) is None
