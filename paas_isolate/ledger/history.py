"""Samples of the last day and minutes of two weeks, one compressed block for each series and hour.

Samples are written as chunks when they are a minute old, so that a killed program loses no more; when the hour has
ended, its chunks become one block of samples and one of minutes. The moments of all samples are a series of their own
(TIMES): a series without a row at such a moment did nothing then, and what no moment covers was not measured.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from paas_isolate.metering import blocks
from paas_isolate.metering.blocks import Row, minutes, pack
from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.reading import Number
from paas_isolate.metering.tally import Moment, Sample

TIMES, HOST = 0, -1
"""Series that are no account's: the moments of samples, and readings of the machine's pressure."""
SAMPLES, MINUTES = 10, 60
"""The values of the column `seconds`."""
_KEPT = {SAMPLES: 24, MINUTES: 14 * 24}
"""Hours."""
_AT_ONCE = 30
"""Blocks that are made in one go, which takes 80 ms at the most: 10,000 in an hour of samples."""
GROWING = 7
"""Columns of a sample, after its time, that are growth; the others are levels."""


Chunk = tuple[int, int, int, int, int, bytes]
"""A row of `chunks`."""


def chunk(series: int, boot: int, now: Moment, samples: Sequence[Sample]) -> Chunk:
    """The chunk of samples of a series; there must be one at least."""
    begin = samples[0].at
    wall = now.wall - (now.at - begin)
    return wall // 1000 // HOUR, series, boot, begin, wall, pack(samples, compressed=False)


def add(connection: sqlite3.Connection, chunks: Iterable[Chunk]) -> None:
    """Write chunks."""
    connection.executemany("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", chunks)


def add_times(connection: sqlite3.Connection, boot: int, times: Sequence[Moment]) -> None:
    """Write when samples were taken."""
    if times:
        rows = [(time.at,) for time in times]
        begin, wall = times[0]
        add(connection, [(wall // 1000 // HOUR, TIMES, boot, begin, wall, pack(rows, compressed=False))])


def add_host(connection: sqlite3.Connection, boot: int, now: Moment, readings: Sequence[HostReading]) -> None:
    """Write readings of the machine's pressure, until `now`."""
    if readings:
        begin = readings[0].at
        wall = now.wall - (now.at - begin)
        chunk = wall // 1000 // HOUR, HOST, boot, begin, wall, pack(readings)
        connection.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", chunk)


def compact(connection: sqlite3.Connection, hour: int) -> None:
    """Make blocks of chunks of hours before `hour`. A chunk that cannot be read is left out."""
    ended = connection.execute(
        "SELECT DISTINCT hour, series, boot FROM chunks WHERE hour < ? LIMIT ?", (hour, _AT_ONCE)
    ).fetchall()
    for key in ended:
        chunks = connection.execute(
            "SELECT begin, wall, data FROM chunks WHERE hour = ? AND series = ? AND boot = ? ORDER BY begin", key
        ).fetchall()
        rows = [row for *_, data in chunks for row in _readable(data)]
        growing = 0 if key[1] == TIMES else GROWING
        by_minute = rows if key[1] == HOST else minutes(rows, growing)  # totals, which are read once a minute
        for seconds, those in ((SAMPLES, rows), (MINUTES, by_minute)):
            block = (seconds, *key, *chunks[0][:2], pack(those))
            connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", block)
        connection.execute("DELETE FROM chunks WHERE hour = ? AND series = ? AND boot = ?", key)


def prune(connection: sqlite3.Connection, hour: int) -> None:
    """Delete what is older than is kept."""
    for seconds, hours in _KEPT.items():
        connection.execute("DELETE FROM blocks WHERE seconds = ? AND hour < ?", (seconds, hour - hours))


def drop_oldest(connection: sqlite3.Connection) -> bool:
    """Delete the oldest hour of samples, or of minutes where there are no samples; whether there was one."""
    for seconds in (SAMPLES, MINUTES):
        (oldest,) = connection.execute("SELECT min(hour) FROM blocks WHERE seconds = ?", (seconds,)).fetchone()
        if oldest is not None:
            connection.execute("DELETE FROM blocks WHERE seconds = ? AND hour = ?", (seconds, oldest))
            return True
    return False


def read(connection: sqlite3.Connection, series: int, first: int, last: int, seconds: int) -> list[tuple[int, Row]]:
    """Rows of a series in the hours `first` to `last`, which is included, each with its moment (ms since 1970). Those
    of the current hour are samples, whatever `seconds` says."""
    found: list[tuple[int, Row]] = []
    for moments, rest in columns(connection, series, first, last, seconds):
        found += zip(moments, zip(*rest, strict=True) if rest else [()] * len(moments), strict=True)
    return found


def columns(
    connection: sqlite3.Connection, series: int, first: int, last: int, seconds: int, most: int | None = None
) -> Iterator[tuple[list[int], list[list[Number]]]]:
    """As `read`, by columns, of which there are several parts: the moments, and the columns after them, or the first
    `most` of those."""
    for table, where in (("blocks", f"seconds = {int(seconds)} AND"), ("chunks", "")):
        for begin, wall, data in connection.execute(
            f"SELECT begin, wall, data FROM {table} WHERE {where} series = ? AND hour BETWEEN ? AND ? ORDER BY wall",  # noqa: S608
            (series, first, last),
        ):
            with suppress(ValueError):  # it is damaged
                if found := blocks.columns(data, None if most is None else 1 + most):
                    yield [wall - begin + (at or 0) for at in found[0]], found[1:]


def _readable(data: bytes) -> list[Row]:
    try:
        return blocks.unpack(data)
    except ValueError:
        return []
