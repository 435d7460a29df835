"""Rows of minutes, the measured time, and shares."""

import pytest

from paas_isolate.metering.host import HostReading, pressures
from paas_isolate.metering.past import MINUTE, Row, at_share, by_minute, measured, minutes_of


def test_samples_of_a_minute_become_one_row() -> None:
    rows = [Row(MINUTE + second * 1000, 10_000, 1_000_000, 0, 500_000, memory=second) for second in (9, 19, 59)]
    (one, other) = by_minute([*rows, Row(2 * MINUTE, 10_000, pids=4)])
    assert (one.wall, one.milliseconds, one.user, one.throttled, one.memory) == (
        119_000,
        30_000,
        3_000_000,
        1_500_000,
        59,
    )
    assert (one.cpu, one.wanted) == (10.0, 15.0)
    assert (other.pids, other.cpu, other.user) == (4, 0.0, None)


def test_what_no_samples_cover_was_not_measured() -> None:
    moments = [0, 10_000, 20_000, 400_000, 410_000]
    assert measured(moments, 0, 1_000_000) == 30_000
    assert measured(moments, 5_000, 405_000) == 20_000
    assert measured([], 0, 1000) == 0
    assert minutes_of([0, 60_000, 180_000, 400_000]) == {0, 1, 2, 3, 6}


@pytest.mark.parametrize(("share", "value"), [(0.95, 19), (1.0, 20), (0.5, 10), (0.0, 1)])
def test_at_share(share: float, value: int) -> None:
    assert at_share(range(20, 0, -1), share) == value


def test_zeros_are_values_too() -> None:
    assert [at_share([7, 5], 0.95, zeros) for zeros in (0, 18, 19, 38, 1000)] == [7, 5, 5, 0, 0]
    assert at_share([7, 5], 0.95, 18) == at_share([7, 5, *[0] * 18], 0.95) == 5


def test_nothing_has_no_share() -> None:
    assert at_share([], 0.95) == at_share([], 0.95, 7) == 0


def test_pressure_between_readings() -> None:
    readings = [
        HostReading(0, 0, None, 0, None, None),
        HostReading(60_000, 30_000_000, None, 6_000_000, None, None),
        HostReading(120_000, 5, None, 12_000_000, None, None),  # another boot
        HostReading(600_000, 9, None, 12_000_000, None, None),  # after a gap
    ]
    one, other = pressures(readings)
    assert (one.wall, one.milliseconds, one.cpu, one.memory, one.io) == (60_000, 60_000, 0.5, 0.1, None)
    assert (other.cpu, other.memory) == (None, 0.1)
