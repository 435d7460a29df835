"""What was used and hit lately, by account: answered without a look at the kernel, for lists of many accounts."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from paas_isolate.ledger.queries import last_sample
from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.faults import Kind
from paas_isolate.metering.rates import Rates
from paas_isolate.metering.reading import Levels
from paas_isolate.metering.use import GAP

_HOUR = HOUR * 1000
_COUNTED = (Kind.KILLED, Kind.REFUSED)


def faults_of_last_hour(connection: sqlite3.Connection, wall: int) -> dict[str, int] | None:
    """Processes killed for memory and forks refused in the hour until `wall` (ms since 1970), by account and by leaf
    (`alice`, `alice/web`). None where nothing is measured now."""
    return None if _sampled(connection, wall) is None else _faults(connection, wall)


def _faults(connection: sqlite3.Connection, wall: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for directory, leaf, number in connection.execute(
        "SELECT directory, faults.leaf, sum(faults.number) FROM faults JOIN incidents ON incidents.id = incident "
        "WHERE faults.wall BETWEEN ? AND ? AND kind IN (?, ?) GROUP BY directory, faults.leaf",
        (wall - _HOUR, wall, *_COUNTED),
    ):
        found[directory] += number
        if leaf:
            found[f"{directory}/{leaf}"] += number
    return found


class Lately(NamedTuple):
    """What an account held when it was sampled last, its means since the hour before this one began, and the processes
    killed for memory and forks refused in the last hour. None: unknown."""

    levels: Levels = Levels()
    rates: Rates = Rates()
    faults: int | None = None


class Recent(NamedTuple):
    """`accounts` by directory, and when the last sample was written (ms since 1970)."""

    sampled: int
    accounts: Mapping[str, Lately]


_GROWN = (
    "sum(coalesce(user, 0) + coalesce(system, 0))",
    "sum(throttled)",
    "sum(read) * 1000000",
    "sum(written) * 1000000",
    "sum(cpu_some)",
    "sum(memory_some)",
    "sum(io_some)",
)
"""Rates times the microseconds."""


def recent(connection: sqlite3.Connection, wall: int) -> Recent | None:
    """What all accounts used lately. None where nothing is measured now."""
    sampled = _sampled(connection, wall)
    if sampled is None:
        return None
    held = {
        path: Levels(memory, swap, pids, own=own)
        for path, memory, swap, pids, own in connection.execute(
            "SELECT path, memory, swap, pids, own FROM bases WHERE instr(path, '/') = 0"
        )
    }
    rows = connection.execute(
        f"SELECT series.directory, {', '.join(_GROWN)}, sum(measured) FROM spans "  # noqa: S608
        "JOIN uses ON uses.span = spans.id JOIN series ON series.id = uses.series "
        "WHERE spans.kind = 'hour' AND spans.label >= ? AND leaf = '' GROUP BY series.directory",
        (wall // 1000 // HOUR - 1,),
    ).fetchall()
    # Who did nothing for a while has no row for it: the longest time is that of the ledger.
    whole = max((row[-1] or 0 for row in rows), default=0) * 1000
    idle = Rates._make([0.0 if whole else None] * len(_GROWN))
    did = {
        directory: Rates._make(None if each is None else each / whole for each in grown)
        for directory, *grown, _ in rows
        if whole
    }
    faults = _faults(connection, wall)
    accounts = {path: Lately(levels, did.get(path, idle), faults.get(path, 0)) for path, levels in held.items()}
    return Recent(sampled, accounts)


def _sampled(connection: sqlite3.Connection, wall: int) -> int | None:
    """When the last sample was written (ms since 1970); None where that is too long ago to be of now."""
    sampled = last_sample(connection)
    return None if sampled is None or wall - sampled.wall > GAP else sampled.wall
