"""usage --sparkline: what accounts used in the course of the time, a few characters each."""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from paas_isolate.chart.sparkline import letters_in, sparkline
from paas_isolate.ledger.queries import LABEL, Question, Total
from paas_isolate.metering.calendar import HOUR, Calendar
from paas_isolate.metering.use import Use, total

WIDTH = 31
"""Characters of a line at the most: the days of a month."""
_BY_HOUR = 7
"""Days that are drawn by hour. More are drawn by day."""


class Steps(NamedTuple):
    """The hours or the days from the first to the last, which may be `now`."""

    question: Question
    labels: Sequence[int | str]
    word: str


def steps(calendar: Calendar, begin: date, end: date, account: str, *, leaves: bool) -> Steps:
    """Those from `begin` to `end`, which is included, without the ones to come."""
    if (end - begin).days < _BY_HOUR:
        first = calendar.midnight(begin) // 1000
        last = min(first + calendar.seconds_of(begin, end) - 1, time.time_ns() // 1_000_000_000)
        hours = range(first // HOUR, last // HOUR + 1)
        return Steps(Question("hour", hours[0], hours[-1], account, leaves, LABEL), hours, "hour")
    last_day = min(end, date.fromisoformat(calendar.label(time.time_ns() // 1_000_000).day))
    days = [str(begin + timedelta(days=number)) for number in range((last_day - begin).days + 1)]
    return Steps(Question("day", days[0], days[-1], account, leaves, LABEL), days, "day")


def lines(
    found: Iterable[Total],
    labels: Sequence[int | str],
    measured: Collection[int | str],
    key_of: Callable[[Total], object],
    figure_of: Callable[[Use], float | None],
    idle: float | None,
) -> Mapping[object, str]:
    """A line for each key. Who has no use of a step that was `measured` has `idle`; what was not is a blank."""
    uses: dict[object, dict[int | str, Use]] = {}
    for each in found:
        of_key = uses.setdefault(key_of(each), {})
        of_key[each.label] = total(of_key[each.label], each.use) if each.label in of_key else each.use
    letters = letters_in(sys.stdout.encoding)
    without = {label: idle if label in measured else None for label in labels}
    return {
        key: sparkline([figure_of(those[each]) if each in those else without[each] for each in labels], WIDTH, letters)
        for key, those in uses.items()
    }
