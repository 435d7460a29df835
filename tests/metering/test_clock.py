"""Moments as people write and read them."""

import pytest

from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.clock import Clock, moment_of

NOON = 1_790_078_400_000  # 2026-09-22T12:00:00Z
HOUR = 3_600_000
BERLIN = Calendar("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("13:30", NOON - HOUR // 2),
        ("14:00", NOON),
        ("14:05", NOON - 24 * HOUR + HOUR // 12),
        ("13:59:58", NOON - 2000),
        ("2026-09-21 14:00", NOON - 24 * HOUR),
        ("2026-09-21T14:00:01", NOON - 24 * HOUR + 1000),
        ("2026-09-21", NOON - 26 * HOUR),
    ],
)
def test_moments(text: str, wall: int) -> None:
    assert moment_of(text, BERLIN, NOON) == wall


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2026-13-01 12:00"])
def test_other_text(text: str) -> None:
    with pytest.raises(ValueError, match="a time such as 14:05"):
        moment_of(text, BERLIN, NOON)


def test_the_day_is_named_where_it_is_another_one() -> None:
    clock = Clock(BERLIN, NOON)
    assert clock.when(NOON - HOUR, NOON) == "between 13:00 and 14:00"
    assert clock.when(NOON, NOON + 1000) == "at 14:00"
    assert clock.when(NOON - 24 * HOUR, NOON - 23 * HOUR) == "between 2026-09-21 14:00 and 15:00"
    assert clock.when(NOON - 24 * HOUR, NOON) == "between 2026-09-21 14:00 and 14:00 today"
