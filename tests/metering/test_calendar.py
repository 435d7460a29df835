"""Hours in UTC, days in a zone."""

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from paas_isolate.metering.calendar import Calendar, Label, days_of

HOUR = 3_600_000


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_a_day_is_that_of_the_zone() -> None:
    moment = at("2026-10-24T22:30")
    assert Calendar("UTC").label(moment) == Label(moment // HOUR, "2026-10-24")
    assert Calendar("Europe/Berlin").label(moment).day == "2026-10-25"


def test_an_interval_is_cut_where_an_hour_or_a_day_begins() -> None:
    berlin = Calendar("Europe/Berlin")
    parts = berlin.parts(at("2026-10-24T22:00:10"), 15_000)
    assert [(part.label.day, part.milliseconds) for part in parts] == [("2026-10-24", 5_000), ("2026-10-25", 10_000)]
    half = Calendar("Asia/Kolkata").parts(at("2026-10-24T18:31"), 120_000)
    assert [part.label.day for part in half] == ["2026-10-24", "2026-10-25"]
    assert half[0].label.hour == half[1].label.hour


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("UTC", (2026, 10, 25), 24), ("Europe/Berlin", (2026, 10, 25), 25), ("Europe/Berlin", (2026, 3, 29), 23)],
)
def test_days_on_which_clocks_are_changed(zone: str, day: tuple[int, int, int], hours: int) -> None:
    calendar = Calendar(zone)
    assert calendar.seconds_of(date(*day), date(*day)) == hours * 3600
    parts = calendar.parts(calendar.midnight(date(*day)) + hours * HOUR, hours * HOUR)
    assert {part.label.day for part in parts} == {str(date(*day))}
    assert sum(part.milliseconds for part in parts) == hours * HOUR


def test_a_midnight_that_does_not_exist_is_the_first_time_of_the_day() -> None:
    calendar = Calendar("America/Sao_Paulo")  # 2018-11-04 began at 01:00
    begin = calendar.midnight(date(2018, 11, 4))
    assert calendar.label(begin).day == "2018-11-04"
    assert calendar.label(begin - 1).day == "2018-11-03"


def test_months() -> None:
    assert days_of("2026-02") == (date(2026, 2, 1), date(2026, 2, 28))
    assert days_of("2026-12") == (date(2026, 12, 1), date(2026, 12, 31))
    for wrong in ("2026-13", "2026", "2026-1", "2026-1-", "october"):
        with pytest.raises(ValueError):
            days_of(wrong)


def test_a_zone_that_does_not_exist() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        Calendar("Europe/Nowhere")
