"""Values by time from the ledger: of the samples of a day, the minutes of two weeks, or the hours of a year."""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from paas_isolate.chart.curves import Number as Number
from paas_isolate.chart.curves import Span as Span
from paas_isolate.chart.curves import Values as Values
from paas_isolate.chart.metrics import Metric
from paas_isolate.ledger import history, past
from paas_isolate.ledger.history import MINUTES, SAMPLES, TIMES
from paas_isolate.metering.blocks import Row
from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.host import pressures
from paas_isolate.metering.tally import Sample
from paas_isolate.metering.use import GAP, Use

POINTS = 720
"""Values of a curve at the most, but for whole hours."""
_STEPS = (60, 120, 300, 600, 900, 1800, HOUR)
"""Seconds between two values."""
_DAY, _WEEKS = 24 * HOUR * 1000, 14 * 24 * HOUR * 1000
_HOUR = HOUR * 1000
_NEAR = 1500
"""Milliseconds that the moments of one sample may differ by, for each series rounds its own."""


class _Columns:
    """For each step how long it was measured (ms), and by column its growth or its level."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.measured = [0] * span.number
        self.columns: dict[str, list[Number]] = {}

    def column(self, name: str) -> list[Number]:
        return self.columns.setdefault(name, [None] * self.span.number)

    def place(self, moment: int) -> int:
        """The step of a sample that ends at `moment`."""
        return (moment - 1 - self.span.begin) // self.span.step

    def values(self, metric: Metric) -> Values:
        curves: dict[str, list[Number]] = {}
        for curve in metric.curves:
            if any(name in self.columns for name in curve.columns):
                parts = [self.column(name) for name in curve.columns]
                points = [self._value(metric, each, step) for step, each in enumerate(zip(*parts, strict=True))]
                if not curves or any(points):
                    curves[curve.label] = points
        return Values(metric, self.span, curves)

    def _value(self, metric: Metric, parts: Sequence[Number], step: int) -> Number:
        measured = self.measured[step]
        if not measured or None in parts:
            return None
        total = sum(part for part in parts if part is not None)
        return total * 1000 / measured / metric.divisor if metric.growing else total


def of_account(
    connection: sqlite3.Connection, account: str, leaf: str, metrics: Sequence[Metric], begin: int, end: int, now: int
) -> list[Values]:
    """The metrics of an account ('' as leaf) or a leaf, from `begin` to `end` (ms since 1970). Those that only hours
    have, and what is older than two weeks, come in steps of an hour."""
    where = "coalesce(names.name, series.directory) = ? AND leaf = ?"
    rows = connection.execute(
        f"SELECT id FROM series LEFT JOIN names ON names.directory = series.directory WHERE {where}",  # noqa: S608
        (account, leaf),
    )
    series = [row[0] for row in rows]
    fine = _samples(connection, series, begin, end, now)
    hours = None
    found = []
    for metric in metrics:
        if fine is not None and {*metric.curves[0].columns} <= fine.columns.keys():
            found.append(fine.values(metric))
        else:
            hours = hours or _hours(connection, metrics, f"series IN ({', '.join(map(str, series))})", begin, end, now)
            found.append(hours.values(metric))
    return found


def of_host(connection: sqlite3.Connection, metrics: Sequence[Metric], begin: int, end: int, now: int) -> list[Values]:
    """The sums over all accounts, in steps of an hour; of what the machine waited for, finer."""
    sums = [metric for metric in metrics if not metric.of_machine]
    columns = {}
    if sums:
        columns[False] = _hours(connection, sums, "series IN (SELECT id FROM series WHERE leaf = '')", begin, end, now)
    if len(sums) < len(metrics):
        columns[True] = _machine(connection, begin, end)
    return [columns[metric.of_machine].values(metric) for metric in metrics]


def _machine(connection: sqlite3.Connection, begin: int, end: int) -> _Columns:
    """The machine's pressure, of which there is a reading a minute for two weeks."""
    step = max(2 * MINUTES * 1000, _step(end - begin))
    columns = _Columns(Span(begin, end, step))
    columns.column(_WAITED[0])  # there in any case
    for wall, milliseconds, *shares in pressures(past.pressure(connection, begin - GAP, end)):
        if begin < wall <= end:
            place = columns.place(wall)
            columns.measured[place] += milliseconds
            for name, share in zip(_WAITED, shares, strict=True):
                if share is not None:
                    values = columns.column(name)
                    values[place] = (values[place] or 0) + share * milliseconds * 1000
    return columns


_WAITED = ("cpu_some", "memory_some", "io_some")
"""In the order of a Pressure."""


def _step(length: int) -> int:
    """Milliseconds between two values of so many in all."""
    return next((each for each in _STEPS if length <= each * 1000 * POINTS), HOUR) * 1000


def _samples(connection: sqlite3.Connection, series: Sequence[int], begin: int, end: int, now: int) -> _Columns | None:
    """None where the ledger has no samples of this time any more."""
    length = end - begin
    if length <= _DAY + _HOUR and begin >= now - _DAY:
        seconds = SAMPLES
    elif length <= 8 * _DAY and begin >= now - _WEEKS:
        seconds = MINUTES
    else:
        return None
    columns = _Columns(Span(begin, end, _step(length)))
    first, last = begin // _HOUR - 1, end // _HOUR
    times = sorted(moment for moment, _ in history.read(connection, TIMES, first, last, seconds))
    rows = [row for each in series for row in history.read(connection, each, first, last, seconds)]
    if len(times) < 2 or not rows:
        return None
    _fill(columns, times, sorted(rows, key=lambda row: row[0]))
    return columns


_GROWTH, _LEVELS = Sample._fields[1 : history.GROWING + 1], Sample._fields[history.GROWING + 1 :]


def _fill(columns: _Columns, times: Sequence[int], rows: Sequence[tuple[int, Row]]) -> None:
    """Sort samples into steps. A sample without a row did nothing; a row after a gap grew at no known moment."""
    span, measured = columns.span, columns.measured
    gaps = {times[0], *(now for before, now in pairwise(times) if now - before > GAP)}
    for before, now in pairwise(times):
        if now not in gaps and span.begin < now <= span.end:
            measured[columns.place(now)] += now - before
    growth = [columns.column(name) for name in _GROWTH]
    for values in growth:
        values[:] = [0 if time else None for time in measured]
    levels: list[list[list[int]]] = [[[] for _ in measured] for _ in _LEVELS]
    last: list[Number] = [None] * len(_LEVELS)
    for moment, row in rows:
        found = bisect_left(times, moment - _NEAR)
        moment = times[found] if found < len(times) else moment
        if moment > span.end:
            break
        if moment <= span.begin:
            last = [old if value is None else value for value, old in zip(row[history.GROWING :], last, strict=True)]
            continue
        step = columns.place(moment)
        if moment not in gaps:
            for values, value in zip(growth, row, strict=False):
                so_far = values[step]
                values[step] = None if value is None or so_far is None else so_far + value
        for each, value in zip(levels, row[history.GROWING :], strict=True):
            if value is not None:
                each[step].append(value)
    for number, values in enumerate(growth):
        if all(row[number] is None for _, row in rows):  # the account has no such counter: idle is not 0 of it
            values[:] = [None] * span.number
    for name, level, steps in zip(_LEVELS, last, levels, strict=True):
        columns.column(name)[:] = _held(steps, level, measured)


def _held(steps: Sequence[Sequence[int]], before: Number, measured: Sequence[int]) -> list[Number]:
    """The mean level of each step. One without a row did nothing, and held what it had; after a gap nobody knows."""
    held: list[Number] = []
    for each, time in zip(steps, measured, strict=True):
        before = sum(each) / len(each) if each else before
        held.append(before if time else None)
        before = each[-1] if each else before if time else None
    return held


def _hours(
    connection: sqlite3.Connection, metrics: Sequence[Metric], where: str, begin: int, end: int, now: int
) -> _Columns:
    """The columns of these metrics. `where` says of which series."""
    first, last = begin // _HOUR, (end - 1) // _HOUR
    columns = _Columns(Span(first * _HOUR, (last + 1) * _HOUR, _HOUR))
    wanted = {name for metric in metrics for curve in metric.curves for name in curve.columns}
    names = [name for name in Use._fields if name in wanted]
    sums = ", ".join(f'sum("{name}")' for name in names)
    rows = connection.execute(
        f'SELECT label, max("measured"), {sums} FROM spans JOIN uses ON uses.span = spans.id '  # noqa: S608
        f"WHERE kind = 'hour' AND label BETWEEN ? AND ? AND {where} GROUP BY spans.id",
        (first, last),
    )
    found: dict[int, list[tuple[Number, ...]]] = {}
    for label, *row in rows:
        found.setdefault(label, []).append(tuple(row))
    sampled = {
        row[0]
        for row in connection.execute(
            "SELECT label FROM spans WHERE kind = 'hour' AND label BETWEEN ?1 AND ?2 UNION "
            "SELECT hour FROM blocks WHERE series = ?3 AND seconds = ?4 AND hour BETWEEN ?1 AND ?2 UNION "
            "SELECT hour FROM chunks WHERE series = ?3 AND hour BETWEEN ?1 AND ?2",
            (first, last, TIMES, MINUTES),
        )
    }
    counted = {
        name
        for number, name in enumerate(names, 1)
        if any(row[number] is not None for each in found.values() for row in each)
    }
    before: dict[str, Number] = {}
    for step, label in enumerate(range(first, last + 1)):
        length = min(_HOUR, now - label * _HOUR)
        parts = found.get(label, [])
        time = int(sum(part[0] or 0 for part in parts))
        if not parts and label in sampled:
            columns.measured[step] = _HOUR  # it did nothing
        elif 2 * time >= length > 0:
            columns.measured[step] = min(time, _HOUR)
        else:
            before = {}
            continue
        for number, name in enumerate(names, 1):
            known = [value for part in parts if (value := part[number]) is not None]
            if parts:
                value = _of_hour(name, known, time) if known else None
            elif name in _AREAS or name == "pids":
                value = before.get(name)
            else:
                value = 0 if name in counted else None
            columns.column(name)[step] = before[name] = value
    return columns


_AREAS = ("memory", "own", "swap")
"""Columns of a Use that are KiB-seconds. The number of processes is the highest of the hour."""


def _of_hour(name: str, parts: Sequence[float], measured: int) -> float:
    """What several spans of one hour have together: more than one where the machine was booted in it."""
    if name == "pids":
        return max(parts)
    return sum(parts) * 1024 * 1000 / measured if name in _AREAS and measured else sum(parts)
