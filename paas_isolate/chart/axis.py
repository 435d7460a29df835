"""Marks of axes: round values, and local times."""

import math
from datetime import date, timedelta
from typing import NamedTuple

from paas_isolate.metering.calendar import Calendar

_MINUTES = (5, 10, 15, 30, 60, 120, 180, 360)
_DAYS = (1, 2, 3, 5, 7, 14, 31)
_MARKS = 10
"""Marks of the axis of times at the most."""
_DAY = 24 * 60 * 60 * 1000


def marks(highest: float, *, binary: bool, number: int = 4) -> list[float]:
    """Round values from 0 to the first that is not below `highest`, about `number` of them. With `binary` they are
    round in powers of 1024."""
    if highest <= 0:
        return [0.0, 1.0]
    least = highest / number
    if binary:
        step = max(1.0, 2.0 ** math.ceil(math.log2(least)))
        if number * step * 3 / 4 >= highest and step * 3 / 4 >= 1:
            step *= 3 / 4  # 0, 384M, 768M and so on: also round, and a better fit
        step = max(1.0, step)
    else:
        power = 10.0 ** math.floor(math.log10(least))
        step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= least * 0.999)
    return [step * each for each in range(math.ceil(highest / step - 1e-9) + 1)]


class TimeMark(NamedTuple):
    """A mark at a moment (ms since 1970); `day` where a day begins."""

    moment: int
    label: str
    day: bool


def times(begin: int, end: int, calendar: Calendar) -> list[TimeMark]:
    """Marks at round local times: hours up to two days, days beyond that."""
    if end - begin > 2 * _DAY:
        return _days(begin, end, calendar)
    minutes = next((each for each in _MINUTES if (end - begin) / 60_000 / each <= _MARKS), _MINUTES[-1])
    found = []
    for moment in range(-(-begin // 300_000) * 300_000, end + 1, 300_000):
        local = calendar.time(moment)
        of_day = local.hour * 60 + local.minute
        if not of_day % minutes:
            label = f"{local:%a} {local.day} {local:%b}" if not of_day else f"{local:%H:%M}"
            found.append(TimeMark(moment, label, not of_day))
    return found


def _days(begin: int, end: int, calendar: Calendar) -> list[TimeMark]:
    first = date.fromisoformat(calendar.label(begin).day)
    number = (end - begin) // _DAY + 2
    every = next((each for each in _DAYS if number / each <= _MARKS), _DAYS[-1])
    days = (first + timedelta(days=n) for n in range(number))
    return [
        TimeMark(moment, f"{day:%a} {day.day} {day:%b}" if every == 1 else f"{day.day} {day:%b}", True)
        for day in days
        if not (day.toordinal() - 1) % every and begin <= (moment := calendar.midnight(day)) <= end
    ]
