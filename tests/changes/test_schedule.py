"""When a job is due by local time, including both changes of daylight saving time."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSimError
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.changes.schedule import forget_zone, next_time

Clock = Callable[[str], ZoneInfo]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Sets the machine's time zone for a test."""

    def at(name: str) -> ZoneInfo:
        monkeypatch.setenv("TZ", name)
        time.tzset()
        next_time.cache_clear()
        return ZoneInfo(name)

    yield at
    monkeypatch.undo()
    time.tzset()
    next_time.cache_clear()


def after(schedule: str, moment: datetime, times: int = 1) -> list[str]:
    """The next times, told with the hours to UTC."""
    found, at = [], moment.timestamp()
    for _ in range(times):
        at = next_time(schedule, at)
        found.append(f"{datetime.fromtimestamp(at, moment.tzinfo):%d.%m. %H:%M %z}")
    return found


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/5 * * * *", ["03.03. 12:05 +0100", "03.03. 12:10 +0100"]),
        ("0 0 * * *", ["04.03. 00:00 +0100", "05.03. 00:00 +0100"]),
        ("30 4 1 * *", ["01.04. 04:30 +0200", "01.05. 04:30 +0200"]),
        ("0 0 29 2 *", ["29.02. 00:00 +0100", "29.02. 00:00 +0100"]),
        ("0 12 * * MON", ["09.03. 12:00 +0100", "16.03. 12:00 +0100"]),
    ],
)
def test_the_next_times_are_those_of_the_machines_clock(clock: Clock, schedule: str, expected: list[str]) -> None:
    zone = clock("Europe/Paris")
    assert after(schedule, datetime(2026, 3, 3, 12, 3, 20, tzinfo=zone), 2) == expected


def test_the_same_moment_is_another_time_elsewhere(clock: Clock) -> None:
    moment = datetime(2026, 7, 1, 12, 0, tzinfo=ZoneInfo("UTC")).timestamp()
    found = set()
    for name in ("Asia/Tokyo", "Asia/Kolkata", "America/New_York", "UTC"):
        clock(name)
        found.add((next_time("0 3 * * *", moment) - moment) / 3600)
    assert found == {6.0, 9.5, 19.0, 15.0}


def test_a_day_that_never_comes_is_infinitely_far(clock: Clock) -> None:
    clock("UTC")
    with suppress(CronSimError):  # cronsim 2.6 refuses it, and so does the parser of the YAML then
        assert next_time("0 0 31 2,4 MON", 0.0) < float("inf"), "a day of the week is another way to be due"
    assert next_time("0 0 1-2 * SUN#5", 0.0) < float("inf")
    assert next_time("0 0 */30 2 MON#5", 0.0) == float("inf"), "1 February is no fifth Monday"


def test_a_clock_that_is_set_forward_skips_no_job(clock: Clock) -> None:
    """29 March 2026: from 02:00 to 03:00."""
    zone = clock("Europe/Paris")
    before = datetime(2026, 3, 28, 22, 0, tzinfo=zone)
    assert after("0 3 * * *", before, 2) == ["29.03. 03:00 +0200", "30.03. 03:00 +0200"]
    assert after("30 2 * * *", before, 2) == ["29.03. 03:00 +0200", "30.03. 02:30 +0200"]
    assert after("*/20 * * * *", datetime(2026, 3, 29, 1, 30, tzinfo=zone), 2) == [
        "29.03. 01:40 +0100",
        "29.03. 03:00 +0200",
    ]


def test_a_clock_that_is_set_back_runs_no_job_twice_and_skips_none(clock: Clock) -> None:
    """25 October 2026: from 03:00 to 02:00."""
    zone = clock("Europe/Paris")
    before = datetime(2026, 10, 24, 22, 0, tzinfo=zone)
    assert after("0 3 * * *", before, 2) == ["25.10. 03:00 +0100", "26.10. 03:00 +0100"]
    assert after("30 2 * * *", before, 2) == ["25.10. 02:30 +0200", "26.10. 02:30 +0100"]
    assert after("*/30 * * * *", datetime(2026, 10, 25, 2, 10, tzinfo=zone), 4) == [
        "25.10. 02:30 +0200",
        "25.10. 02:00 +0100",
        "25.10. 02:30 +0100",
        "25.10. 03:00 +0100",
    ]
    second = datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=1)
    assert after("30 2 * * *", second) == ["26.10. 02:30 +0100"], "the first 02:30 is past"


SCHEDULES = st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 * * * *", "15 1,2,3 * * *", "0 0 1 * *"])
YEAR_2026 = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp()


@given(schedule=SCHEDULES, seconds=st.floats(0, 366 * 86400))
def test_what_is_next_is_never_now_or_past(schedule: str, seconds: float) -> None:
    """Else a job would begin again and again within its minute."""
    at = next_time(schedule, YEAR_2026 + seconds)
    assert at > YEAR_2026 + seconds
    assert at == int(at)


@given(minutes=st.integers(-180, 180))
def test_what_is_next_is_never_past_when_clocks_are_set_back(minutes: int) -> None:
    name, turn = "America/New_York", datetime(2026, 11, 1, 6, 0, tzinfo=ZoneInfo("UTC"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        next_time.cache_clear()
        moment = (turn + timedelta(minutes=minutes)).timestamp()
        for schedule in ("30 1 * * *", "*/10 * * * *", "0 1,2 * * *"):
            assert next_time(schedule, moment) > moment
    time.tzset()
    next_time.cache_clear()


def test_the_machines_own_time_may_be_another_from_now_on(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon stays while an administrator sets the time zone."""
    clock("UTC")
    begin = datetime(2026, 1, 10, tzinfo=ZoneInfo("UTC")).timestamp()
    before = next_time("0 12 * * *", begin)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    forget_zone()
    assert next_time("0 12 * * *", begin) == before - 9 * 3600
