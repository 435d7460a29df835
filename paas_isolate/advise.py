"""Which plan fits whom: gathers from the ledger and the plans what metering.advice judges."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.ledger import faults, past
from paas_isolate.ledger.history import MINUTES
from paas_isolate.ledger.queries import Question, totals
from paas_isolate.metering.advice import DAYS, Past, Sold
from paas_isolate.metering.calendar import HOUR, Calendar
from paas_isolate.metering.faults import Incident, Kind
from paas_isolate.metering.past import MINUTE, minutes_of
from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import GAP
from paas_isolate.model.limits import Limits
from paas_isolate.units import CPU_PERIOD


def sold_by(limits: Limits) -> Sold:
    """Limits as advice compares them."""

    def number(name: str) -> int | None:
        value = limits.get(name)
        return value if isinstance(value, int) else None

    cpu = number("cpu.max")
    percent = None if cpu is None else cpu * 100 / CPU_PERIOD
    return Sold(percent, number("memory.max"), number("pids"), number("io.read"), number("io.write"))


class Counted(NamedTuple):
    """An account that was counted. `plan` is its last one then; `own` and `pids` are those of Past."""

    name: str
    directory: str
    plan: str
    own: Number = None
    pids: Number = None


def counted(connection: sqlite3.Connection, account: str, now: int) -> list[Counted]:
    """An account, or all ('') that were counted in the last days, by name and directory. `now` is in ms since 1970."""
    lately = past.highest(connection, _begin(now), now)
    return [
        Counted(name, directory, plan, *lately.get(directory, (None, None)))
        for name, directory, plan in past.accounts(connection)
        if account in ("", name) and (account or directory in lately)
    ]


def _begin(now: int) -> int:
    return now - DAYS * 24 * HOUR * 1000


def pasts(connection: sqlite3.Connection, chosen: Iterable[Counted], now: int, calendar: Calendar) -> Iterator[Past]:
    """The last days of these accounts. `now` is in ms since 1970."""
    chosen, begin = list(chosen), _begin(now)
    account = chosen[0].name if len({each.name for each in chosen}) == 1 else ""
    taken = past.moments(connection, begin - GAP, now, MINUTES)
    minutes, lengths = len(minutes_of(taken)), past.lengths_of(taken)
    measured = _measured(connection, account, begin, now, calendar)
    hits: dict[str, list[Incident]] = {}
    for incident in faults.incidents(connection, account, since=begin, until=now):
        hits.setdefault(incident.directory, []).append(incident)
    for name, directory, plan, own, pids in chosen:
        busy = past.busy(connection, directory, begin, now, taken, lengths)
        known = min(minutes, measured.get(directory, 0))
        yield Past(name, plan, known, busy, own, pids, _by_kind(hits.get(directory, []), calendar))


def _measured(
    connection: sqlite3.Connection, account: str, begin: int, now: int, calendar: Calendar
) -> Mapping[str, int]:
    """Minutes in which an account was measured, by directory; of the days that lie in that time, whole or in part."""
    found: dict[str, int] = {}
    for each in totals(
        connection, Question("day", calendar.label(begin).day, calendar.label(now).day, account), calendar
    ):
        found[each.directory] = found.get(each.directory, 0) + (each.use.measured or 0) // MINUTE
    return found


def _by_kind(incidents: list[Incident], calendar: Calendar) -> Mapping[Kind, tuple[int, int]]:
    found: dict[Kind, tuple[int, int]] = {}
    for kind in Kind:
        of_kind = [incident for incident in incidents if incident.kind is kind]
        if of_kind:
            found[kind] = len(of_kind), len({calendar.label(incident.begin).day for incident in of_kind})
    return found
