"""Hours, days and months: hours in UTC, days and months in the time zone of config.yaml."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR = 3600


class Label(NamedTuple):
    """The hour (hours since 1970, UTC) and the day (`2026-10-25`) that a moment lies in."""

    hour: int
    day: str


class Part(NamedTuple):
    """A part of an interval that lies in one hour and one day; milliseconds."""

    label: Label
    milliseconds: int


class Calendar:
    """Days of one time zone. It remembers the day that it was asked about last, for the next question is mostly about
    the same."""

    def __init__(self, zone: str) -> None:
        """KeyError for a zone that tzdata does not know (zoneinfo.ZoneInfoNotFoundError)."""
        self.name = zone
        self.zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        self._day, self._begin, self._end = "", 1, 0

    def time(self, wall: int) -> datetime:
        """A moment (milliseconds since 1970) as the zone's clocks show it."""
        return datetime.fromtimestamp(wall / 1000, self.zone)

    def label(self, wall: int) -> Label:
        """`wall`: milliseconds since 1970."""
        if not self._begin <= wall < self._end:
            found = self.time(wall).date()
            self._day, self._begin, self._end = str(found), self.midnight(found), self.midnight(found + _DAY)
        return Label(wall // 1000 // HOUR, self._day)

    def parts(self, wall: int, milliseconds: int) -> list[Part]:
        """The interval of so many milliseconds that ends at `wall`, cut where an hour or a day begins."""
        parts: list[Part] = []
        begin = wall - milliseconds
        while begin < wall:
            label = self.label(begin)
            end = min(wall, (label.hour + 1) * HOUR * 1000, self._end)
            parts.append(Part(label, end - begin))
            begin = end
        return parts

    def midnight(self, day: date) -> int:
        """When a day begins, in milliseconds since 1970. Where midnight is skipped by a clock change, when the clock
        shows the first time of the day."""
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()) * 1000

    def seconds_of(self, first: date, last: date) -> int:
        """The length of the days from `first` to `last`, which is included: 90,000 s for a day on which clocks are set
        back."""
        return (self.midnight(last + _DAY) - self.midnight(first)) // 1000


_DAY = timedelta(days=1)


@lru_cache(8)
def days_of(text: str) -> tuple[date, date]:
    """First and last day of a month, `2026-10`. ValueError for other text."""
    if len(text) != 7:
        raise ValueError("a month such as 2026-10")
    first = date.fromisoformat(f"{text}-01")
    return first, (first + timedelta(days=31)).replace(day=1) - _DAY
