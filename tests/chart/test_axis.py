"""Marks of axes."""

from datetime import UTC, datetime

import pytest

from paas_isolate.chart.axis import marks, times
from paas_isolate.metering.calendar import Calendar

MB = 1 << 20


@pytest.mark.parametrize(
    ("highest", "binary", "expected"),
    [
        (0.9, False, [0, 0.25, 0.5, 0.75, 1.0]),
        (7, False, [0, 2, 4, 6, 8]),
        (1.0, False, [0, 0.25, 0.5, 0.75, 1.0]),
        (0, False, [0, 1]),
        (-1, True, [0, 1]),
        (512 * MB, True, [0, 128 * MB, 256 * MB, 384 * MB, 512 * MB]),
        (1000 * MB, True, [0, 256 * MB, 512 * MB, 768 * MB, 1024 * MB]),
        (3, True, [0, 1, 2, 3]),
    ],
)
def test_marks_are_round_and_reach_the_highest_value(highest: float, binary: bool, expected: list[float]) -> None:
    assert marks(highest, binary=binary) == pytest.approx(expected)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("highest", [1e-6, 0.013, 1, 3.3, 99, 12_345, 5e9, 8e18])
def test_there_are_a_few_marks(highest: float, binary: bool) -> None:
    found = marks(highest, binary=binary)
    assert 2 <= len(found) <= 7
    assert found[0] == 0 and found[-2] < highest <= found[-1] * 1.000001


def at(text: str, calendar: Calendar) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=calendar.zone).timestamp()) * 1000


def test_a_day_has_marks_at_local_hours_and_names_the_day_at_midnight() -> None:
    berlin = Calendar("Europe/Berlin")
    found = times(at("2026-07-21T15:10", berlin), at("2026-07-22T15:10", berlin), berlin)
    hours = ["18:00", "21:00", "Wed 22 Jul", "03:00", "06:00", "09:00", "12:00", "15:00"]
    assert [mark.label for mark in found] == hours
    assert [mark.day for mark in found].count(True) == 1


def test_marks_of_the_day_on_which_clocks_are_set_back_are_at_their_real_places() -> None:
    berlin = Calendar("Europe/Berlin")
    begin = at("2026-10-25T00:00", berlin)
    found = {mark.label: mark.moment for mark in times(begin, begin + 25 * 3_600_000, berlin)}
    assert found["06:00"] - begin == 7 * 3_600_000
    assert datetime.fromtimestamp(found["06:00"] / 1000, UTC).hour == 5


@pytest.mark.parametrize(("days", "most"), [(0.02, 10), (0.1, 10), (1, 10), (2, 10), (7, 10), (30, 10), (366, 16)])
def test_there_are_never_too_many_marks(days: float, most: int) -> None:
    utc = Calendar("UTC")
    end = at("2026-10-25T14:03", utc)
    begin = end - int(days * 86_400_000)
    found = times(begin, end, utc)
    assert 2 <= len(found) <= most
    assert all(begin <= mark.moment <= end for mark in found)
    assert len({mark.label for mark in found}) == len(found) or days == 2
