"""Which limits an account needs, and what another plan would have meant."""

import pytest

from paas_isolate.metering.advice import DAYS, Past, Sold, advise, need, replay
from paas_isolate.metering.faults import Kind
from paas_isolate.metering.past import MINUTE, Busy

ALL = DAYS * 24 * 60
MB = 1 << 20
DAY = 24 * 60
NOTHING = Busy([], [], [], [])
PLANS = {
    "large": Sold(400, 4096 * MB, 400),
    "small": Sold(100, 512 * MB, 100),
    "tiny": Sold(50, 128 * MB, 40),
    "endless": Sold(),
}


def rows(percent: int, number: int, waited: int = 0, first: int = 0) -> Busy:
    walls = [(first + n) * MINUTE for n in range(number)]
    return Busy(walls, [percent + waited] * number, [MB] * number, [0.0] * number)


def past(active: Busy = NOTHING, minutes: int = ALL, own: int | None = 100 * MB, **other: object) -> Past:
    return Past("alice", "small", minutes, active, own, 30)._replace(**other)  # type: ignore[arg-type]


def test_p95_counts_minutes_in_which_nothing_was_done() -> None:
    assert need(past(rows(80, ALL // 25))).cpu == 0  # 4 % of the time
    found = need(past(rows(80, ALL // 10, waited=20)))
    assert (found.cpu, found.cpu_peak, found.read, found.write) == (100, 100, MB, 0)


def test_who_uses_what_he_is_sold_fits() -> None:
    found = advise(past(rows(80, ALL // 10)), PLANS["small"], PLANS)
    assert (found.verdict, found.fitting, found.measured) == ("fits", "small", 1)
    assert found.sentences == (
        "It needs 80 % CPU in 95 of 100 minutes (80 % in all of them), "
        "100M of memory without cache (the highest hour), "
        "30 processes and threads (the highest); 100% of 14 days was measured.",
        "The smallest plan that fits is the one that it has: small.",
    )


def test_who_is_sold_ten_times_of_that() -> None:
    found = advise(past(rows(30, ALL // 10)), PLANS["large"], PLANS)
    assert (found.verdict, found.fitting) == ("roomy", "tiny")
    assert "It is sold 10 times of that, or more." in found.sentences
    unknown = advise(past(rows(30, ALL // 10), own=None), PLANS["large"], PLANS)
    assert unknown.verdict == "fits"
    assert advise(past(), PLANS["endless"], PLANS).verdict == "fits"  # no limit is not ten times anything


def test_who_was_throttled_and_killed() -> None:
    faults = {Kind.KILLED: (2, 1), Kind.THROTTLED: (12, 5)}
    found = advise(past(rows(100, ALL // 10, waited=50), faults=faults), PLANS["small"], PLANS)
    assert (found.verdict, found.fitting) == ("tight", "large")
    assert found.sentences[:2] == (
        "It was killed for memory 2 times, on 1 day.",
        "It was throttled by its CPU limit 12 times, on 5 days.",
    )
    small = {"small": PLANS["small"], "tiny": PLANS["tiny"]}
    assert advise(past(faults=faults), PLANS["small"], small).sentences[-1] == "No plan is known to be large enough."
    assert advise(past(faults={Kind.REFUSED: (1, 1)}), PLANS["small"], PLANS).fitting == "large"


@pytest.mark.parametrize("minutes", [0, 3 * DAY, int(ALL * 0.89)])
def test_too_little_was_measured(minutes: int) -> None:
    found = advise(past(rows(30, minutes // 10), minutes=minutes, faults={Kind.DISK: (1, 1)}), PLANS["small"], PLANS)
    assert (found.verdict, found.fitting) == ("unknown", "")
    assert found.sentences == (
        f"Only {minutes / DAY:.1f} of 14 days were measured, which is too little for advice.",
        "It was at the end of its disk quota 1 time, on 1 day.",
    )


def test_a_plan_over_the_past() -> None:
    parts = rows(80, 10), rows(60, 5, first=3 * DAY), rows(40, 100, first=5 * DAY)
    active = Busy(
        *([n for part in parts for n in part[0]], [n for part in parts for n in part[1]]),
        *([n for part in parts for n in part[2]], [n for part in parts for n in part[3]]),
    )
    hurt = replay(past(active, own=200 * MB), PLANS["tiny"])
    assert hurt.any
    assert (hurt.cpu_minutes, hurt.cpu_days, hurt.memory, hurt.pids, hurt.io_minutes) == (15, 2, True, False, 0)
    assert hurt.sentences == (
        "It would have waited for CPU time in 15 minutes on 2 days.",
        "It held 200M of memory without cache in an hour: something would have been killed.",
    )
    assert not replay(past(active), PLANS["small"]).any
    assert not replay(past(active), PLANS["endless"]).any


def test_a_plan_over_a_past_that_is_not_measured() -> None:
    hurt = replay(past(minutes=DAY), Sold(read=100, pids=10))
    assert hurt.sentences == (
        "It had 30 processes and threads: some would have been refused.",
        "Only 1.0 of 14 days were measured: it may be more.",
    )
    assert replay(past(rows(1, 3)), Sold(read=MB - 1)).io_minutes == 3
