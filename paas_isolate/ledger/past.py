"""What was measured of one account in some hours, as explanations and advice need it."""

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from operator import add, truediv

from paas_isolate.ledger import history
from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.past import Busy, Row
from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import GAP

_SKEW = 1000
"""Milliseconds by which the moments of one sample may differ where the clock was corrected meanwhile."""
_USED = {"cpu": "user + system", "memory": "memory * 1024000 / nullif(measured, 0)", "io": "read + written"}
"""The use of an hour by which accounts are compared (names and units: Use)."""


def directories(connection: sqlite3.Connection, account: str) -> list[str]:
    """The directories in which an account of this name was counted; mostly one."""
    query = (
        "SELECT DISTINCT series.directory FROM series LEFT JOIN names ON names.directory = series.directory "
        "WHERE coalesce(names.name, series.directory) = ?"
    )
    return [row[0] for row in connection.execute(query, (account,))]


def accounts(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Name, directory and last plan of all accounts that were ever counted, by name."""
    query = (
        "SELECT coalesce(names.name, series.directory), series.directory, plan FROM series "
        "LEFT JOIN names ON names.directory = series.directory WHERE leaf = '' ORDER BY series.id"
    )
    found = {directory: (name, directory, plan) for name, directory, plan in connection.execute(query)}
    return sorted(found.values())


def moments(connection: sqlite3.Connection, begin: int, end: int, seconds: int) -> list[int]:
    """When samples were taken (SAMPLES), or the last ones of each minute (MINUTES): ms since 1970, in their order."""
    found = history.read(connection, history.TIMES, _hour(begin), _hour(end), seconds)
    return sorted(wall for wall, _ in found if begin <= wall <= end)


def rows(
    connection: sqlite3.Connection, directory: str, leaf: str, begin: int, end: int, taken: Sequence[int], seconds: int
) -> list[Row]:
    """What an account or a leaf did from `begin` to `end` (ms since 1970). `taken` are the moments of `seconds`, and of
    GAP before `begin`; what began in a gap is left out."""
    series = connection.execute("SELECT id FROM series WHERE directory = ? AND leaf = ?", (directory, leaf)).fetchall()
    found: list[Row] = []
    for (number,) in series:
        for wall, values in history.read(connection, number, _hour(begin), _hour(end), seconds):
            if begin <= wall <= end and (milliseconds := _length(taken, wall)):
                found.append(Row(wall, milliseconds, *values))
    return sorted(found)


def busy(
    connection: sqlite3.Connection, directory: str, begin: int, end: int, taken: Sequence[int], lengths: dict[int, int]
) -> Busy:
    """The minutes in which an account was active, as `rows`. `lengths` are those of `taken` (see `lengths_of`)."""
    series = connection.execute("SELECT id FROM series WHERE directory = ? AND leaf = ''", (directory,)).fetchall()
    found = Busy([], [], [], [])
    for (number,) in series:
        for walls, columns in history.columns(connection, number, _hour(begin), _hour(end), history.MINUTES, 5):
            if len(columns) < 5 or not walls:
                continue
            times = [lengths[wall] if wall in lengths else _length(taken, wall) for wall in walls]
            if not (min(times) and begin <= walls[0] and walls[-1] <= end):
                keep = [time > 0 and begin <= wall <= end for time, wall in zip(times, walls, strict=True)]
                walls, times = list(compress(walls, keep)), list(compress(times, keep))
                columns = [list(compress(column, keep)) for column in columns]
            user, system, throttled, read, written = map(_zeroed, columns)  # by columns: a tenth of the time
            seconds = [time / 1000 for time in times]
            found.walls.extend(walls)
            waited = map(add, map(add, user, system), throttled)
            found.wanted.extend(map(truediv, waited, [time * 10 for time in times]))
            found.read.extend(map(truediv, read, seconds))
            found.written.extend(map(truediv, written, seconds))
    return found


def _zeroed(column: list[Number]) -> list[int]:
    return [value or 0 for value in column] if None in column else column  # type: ignore[return-value]


def lengths_of(taken: Sequence[int]) -> dict[int, int]:
    """How many milliseconds each of these moments lies after the one before; 0 where there is none within GAP."""
    return {moment: _length(taken, moment) for moment in taken}


def _length(taken: Sequence[int], wall: int) -> int:
    """Milliseconds since the moment before; 0 where there is none within GAP."""
    number = bisect_left(taken, wall - _SKEW)
    milliseconds = wall - taken[number - 1] if number else 0
    return milliseconds if milliseconds <= GAP else 0


def pressure(connection: sqlite3.Connection, begin: int, end: int) -> list[HostReading]:
    """Readings of the machine's pressure, by the wall clock."""
    found = history.read(connection, history.HOST, _hour(begin), _hour(end), history.MINUTES)
    return [HostReading(wall, *values) for wall, values in sorted(found) if begin <= wall <= end]


def heaviest(
    connection: sqlite3.Connection, resource: str, begin: int, end: int, but: str, number: int
) -> list[tuple[str, str]]:
    """Names and directories of so many accounts that used most of a resource (`cpu`, `memory`, `io`) in the hours from
    `begin` to `end`; without the one in the directory `but`."""
    query = (
        f"SELECT coalesce(names.name, series.directory), series.directory, sum({_USED[resource]}) AS used FROM spans "  # noqa: S608
        "JOIN uses ON uses.span = spans.id JOIN series ON series.id = uses.series "
        "LEFT JOIN names ON names.directory = series.directory "
        "WHERE kind = 'hour' AND label BETWEEN ? AND ? AND leaf = '' AND series.directory <> ? "
        "GROUP BY series.directory HAVING used > 0 ORDER BY used DESC LIMIT ?"
    )
    found = connection.execute(query, (_hour(begin), _hour(end), but, number))
    return [(name, directory) for name, directory, _ in found]


def highest(connection: sqlite3.Connection, begin: int, end: int) -> dict[str, tuple[int | None, int | None]]:
    """By directory of an account: its highest hour of memory without the cache, on average in bytes, and the most
    processes; of the hours from `begin` to `end` (ms since 1970)."""
    query = (
        "SELECT series.directory, max(own * 1024000 / nullif(measured, 0)), max(pids) FROM spans "
        "JOIN uses ON uses.span = spans.id JOIN series ON series.id = uses.series "
        "WHERE kind = 'hour' AND label BETWEEN ? AND ? AND leaf = '' GROUP BY series.directory"
    )
    return {directory: (own, pids) for directory, own, pids in connection.execute(query, (_hour(begin), _hour(end)))}


def _hour(wall: int) -> int:
    return wall // 1000 // HOUR
