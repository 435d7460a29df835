"""Moments as people say them: `14:05`, and with the day where it is another one."""

from datetime import datetime, timedelta

from paas_isolate.metering.calendar import Calendar

_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_TIMES = ("%H:%M:%S", "%H:%M")
_DAY = timedelta(days=1)


class Clock:
    """`now` (ms since 1970) is in the day whose moments are named without it."""

    def __init__(self, calendar: Calendar, now: int) -> None:
        self._calendar = calendar
        self._today = calendar.label(now).day

    def at(self, wall: int) -> str:
        moment = self._calendar.time(wall)
        same = self._calendar.label(wall).day == self._today
        return moment.strftime("%H:%M" if same else "%Y-%m-%d %H:%M")

    def both(self, begin: int, end: int) -> str:
        """`14:02 and 14:09`; the day is named once where it is the same."""
        one, other = self.at(begin), self.at(end)
        day, _, time = other.rpartition(" ")
        if day:
            return f"{one} and {time if one.startswith(day) else other}"
        return f"{one} and {other}{' today' if ' ' in one else ''}"

    def when(self, begin: int, end: int) -> str:
        """`at 14:02`, or `between 14:02 and 14:09` where they are not the same minute."""
        return f"at {self.at(begin)}" if self.at(begin) == self.at(end) else f"between {self.both(begin, end)}"


def moment_of(text: str, calendar: Calendar, now: int) -> int:
    """A moment in ms since 1970: `2026-11-28 14:05`, with seconds or without; a day alone is its noon; `14:05` is the
    last time that the clock showed it. ValueError for other text."""
    for form in _FORMS:
        try:
            found = datetime.strptime(text.replace("T", " "), form).replace(tzinfo=calendar.zone)
        except ValueError:
            continue
        return int((found.replace(hour=12) if form == "%Y-%m-%d" else found).timestamp()) * 1000
    for form in _TIMES:
        try:
            time = datetime.strptime(text, form).time()
        except ValueError:
            continue
        today = calendar.time(now).date()
        walls = (int(datetime.combine(day, time, calendar.zone).timestamp()) * 1000 for day in (today, today - _DAY))
        return next(wall for wall in walls if wall <= now)
    raise ValueError("a time such as 14:05 or 2026-11-28 14:05")
