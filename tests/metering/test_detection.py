"""What counts as a fault, and whose limit it was."""

import pytest

from paas_isolate.metering import detection
from paas_isolate.metering.detection import Events, Found
from paas_isolate.metering.faults import Kind, Level
from paas_isolate.model.metering import FaultSettings
from paas_isolate.model.quota import Quota, QuotaUsage
from tests.support.fake_cgroups import BUSY, MEMORY, QUIET

SETTINGS = FaultSettings()
NONE = Events()


def levels(more: dict[str, Events]) -> list[tuple[Kind, str, Level]]:
    return [(each.kind, each.path, each.level) for each in detection.found(more)]


def test_events_of_the_kernel() -> None:
    text = MEMORY.format(killed=3, ooms=2, slowed=40).encode()
    assert detection.events(text, b"max 7\n") == Events(3, 2, 40, 7)
    assert detection.events(None, None) == NONE
    assert detection.events(b"oom_kill 1\noom", b"max") == Events(killed=1)  # torn


@pytest.mark.parametrize(
    ("of", "level"),
    [("alice/web", Level.LEAF), ("alice", Level.ACCOUNT), ("", Level.ALL), (None, Level.MACHINE)],
)
def test_a_kill_has_the_level_of_the_limit_that_caused_it(of: str | None, level: Level) -> None:
    more = {"alice/web": Events(killed=1), "alice/login": NONE, "alice": NONE, "": NONE}
    if of is not None:
        more[of] = more[of]._replace(ooms=1)
    assert levels(more) == [(Kind.KILLED, "alice/web", level)]


def test_slowed_and_refused_are_counted_where_the_limit_is() -> None:
    more = {"alice/web": Events(slowed=4), "alice": Events(refused=2), "": Events(slowed=1)}
    assert levels(more) == [
        (Kind.SLOWED, "alice/web", Level.LEAF),
        (Kind.REFUSED, "alice", Level.ACCOUNT),
        (Kind.SLOWED, "", Level.ALL),
    ]


@pytest.mark.parametrize(
    ("full", "limited"), [(["alice/web", "alice"], "alice/web"), (["alice"], "alice"), ([], "alice/web")]
)
def test_before_linux_6_11_a_refused_fork_is_counted_where_it_was_asked_for(full: list[str], limited: str) -> None:
    assert list(detection.found({"alice/web": Events(refused=2)}, full)) == [
        Found(Kind.REFUSED, "alice/web", limited, 2)
    ]


def test_a_counter_that_fell_is_another_cgroups() -> None:
    assert detection.grown(Events(5, 5, 5, 5), Events(1, 1, 9, 5)) == Events(1, 1, 9, 5)
    assert detection.grown(Events(1, 0, 2, 0), Events(3, 0, 2, 1)) == Events(2, 0, 0, 1)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(1, 0)], 1),  # one process (kill: process)
        ([(2, 1)], 1),  # one process, killed alone and with its group
        ([(1, 0), (1, 1), (2, 1)], 1),  # the same, read in between
        ([(1, 0), (1, 1), (4, 1)], 3),
        ([(1, 1)], 1),  # it had ended before its group was killed
        ([(5, 0), (6, 0), (6, 1)], 6),
        ([(4, 1), (8, 2)], 6),
        ([(0, 1)], 0),  # the group of an account: the kernel counts kills where the victims were
    ],
)
def test_a_group_that_is_killed_counts_each_process_once(steps: list[tuple[int, int]], told: int) -> None:
    seen, total = NONE, 0
    for kills, groups in steps:
        text = f"low 0\nhigh 0\nmax 9\noom 0\noom_kill {kills}\noom_group_kill {groups}\n"
        now = detection.events(text.encode(), None)
        total += detection.grown(seen, now).killed
        seen = now
    assert total == told


def test_memory_high_that_only_took_back_cache_is_no_fault() -> None:
    assert not detection.stalls(QUIET.encode())
    assert detection.stalls(BUSY.encode())
    assert detection.stalls(None)
    assert not detection.stalls(b"some avg10=torn")


def test_throttled_for_a_tenth_of_the_time_near_the_limit() -> None:
    assert detection.is_long_throttled(1_000_000, 10_000, SETTINGS)
    assert not detection.is_long_throttled(999_999, 10_000, SETTINGS)
    assert not detection.is_long_throttled(None, 10_000, SETTINGS)
    assert detection.is_long_throttled(500_000, 10_000, SETTINGS._replace(throttled=5))
    assert detection.is_at_limit(4_000_000, 10_000, "50000 100000", SETTINGS)
    assert not detection.is_at_limit(3_999_999, 10_000, "50000 100000", SETTINGS)
    assert detection.is_at_limit(2_500_000, 10_000, "50000 100000", SETTINGS._replace(used=50))


@pytest.mark.parametrize("text", ["max 100000", "", "50000", "50000 0"])
def test_without_a_limit_nobody_is_at_it(text: str) -> None:
    """netdata 12433."""
    assert not detection.is_at_limit(10_000_000, 10_000, text, SETTINGS)


def test_no_alarm_for_who_does_next_to_nothing() -> None:
    """prometheus-operator 2063: throttled in each of 100 periods, for 1 ms each, at 5 % of the limit."""
    periods, each, used = 100, 1000, 250_000
    assert not detection.is_long_throttled(periods * each, 10_000, SETTINGS)
    assert not detection.is_at_limit(used, 10_000, "50000 100000", SETTINGS)


def test_all_work_waited_for_half_of_the_time() -> None:
    assert detection.is_long_waited(5_000_000, 10_000, SETTINGS)
    assert not detection.is_long_waited(4_999_999, 10_000, SETTINGS)


@pytest.mark.parametrize(
    ("space", "files", "allowed", "full"),
    [
        (100 << 20, 5, Quota(100 << 10, 0), True),
        ((100 << 20) - 4095, 5, Quota(100 << 10, 0), True),
        ((100 << 20) - 8192, 5, Quota(100 << 10, 0), False),
        (1, 200, Quota(0, 200), True),
        (1 << 40, 200, Quota(), False),
    ],
)
def test_a_full_disk(space: int, files: int, allowed: Quota, full: bool) -> None:
    assert detection.is_full(QuotaUsage(space, files, allowed)) is full
