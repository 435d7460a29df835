"""Why an account was slow: gathers from the ledger what metering.explanation tells."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from paas_isolate.ledger import faults, past, steps
from paas_isolate.ledger.history import MINUTES, SAMPLES
from paas_isolate.ledger.queries import LABEL, Question, totals
from paas_isolate.metering.calendar import HOUR, Calendar
from paas_isolate.metering.evidence import RESOURCES, SHORT, Case, Neighbour, machine_share
from paas_isolate.metering.explanation import Facts, Wait
from paas_isolate.metering.faults import Incident, Level
from paas_isolate.metering.host import Pressure, pressures
from paas_isolate.metering.past import MINUTE, Row, by_minute, measured
from paas_isolate.metering.use import GAP

DAY = 24 * HOUR * 1000
_SAMPLE = 10_000
"""Milliseconds: an incident begins with the sample that found it."""
AROUND = 15 * MINUTE
"""Milliseconds before and after a moment that is asked about."""
_BEFORE = DAY
"""Milliseconds before an incident in which changes may have caused it."""
_NEIGHBOURS = 3
_CANDIDATES = 10
"""Accounts with the most use in the hours around, whose minutes are looked at."""


class Window(NamedTuple):
    """From `begin` to `end`, in ms since 1970. `at` is the moment that was asked about, if one was."""

    begin: int
    end: int
    at: int | None = None


def around(at: int | None, now: int) -> Window:
    """The time to look at: around a moment, or the last 24 hours."""
    return Window(at - AROUND, min(at + AROUND, now), at) if at is not None else Window(now - DAY, now)


def gather(connection: sqlite3.Connection, account: str, window: Window, now: int, calendar: Calendar) -> Facts:
    """All that the ledger knows of an account in that time. `now` is in ms since 1970."""
    return _Gatherer(connection, account, window, now, calendar).facts()


class _Gatherer:
    def __init__(
        self, connection: sqlite3.Connection, account: str, window: Window, now: int, calendar: Calendar
    ) -> None:
        self._connection, self._account, self._window, self._calendar = connection, account, window, calendar
        self._seconds = SAMPLES if now - window.begin <= DAY else MINUTES
        found = past.directories(connection, account)
        self._directory = found[-1] if found else account
        self._incidents = self._found()
        begin = min((window.begin, *(incident.begin for incident in self._incidents))) - GAP - MINUTE
        self._taken = past.moments(connection, begin, window.end + MINUTE, self._seconds)
        self._pressures = pressures(past.pressure(connection, begin, window.end + GAP))

    def facts(self) -> Facts:
        begin, end, at = self._window
        return Facts(
            self._account,
            begin,
            end,
            measured(self._taken, begin, end),
            tuple(map(self._case, self._incidents)),
            tuple(self._waits()),
            tuple(steps.changes(self._connection, self._directory, begin, end)),
            at,
        )

    def _found(self) -> list[Incident]:
        """The incidents of the account, and those of all customers together."""
        begin, end, _ = self._window
        everyone = faults.incidents(self._connection, since=begin, until=end)
        return [each for each in everyone if each.account == self._account or not each.directory]

    def _case(self, incident: Incident) -> Case:
        resource = RESOURCES.get(incident.kind, "")
        begin, end = incident.begin - MINUTE, incident.end + MINUTE
        leaf = incident.leaf if incident.level is Level.LEAF else ""
        share = machine_share(resource, self._within(incident.begin - _SAMPLE, incident.end)) if resource else None
        crowded = resource and (incident.level in (Level.ALL, Level.MACHINE) or (share or 0) >= SHORT)
        return Case(
            incident,
            self._rows(self._directory, leaf, incident.begin - MINUTE, incident.end),
            faults.pictures(self._connection, incident.id),
            share,
            self._neighbours(resource, begin, end) if crowded else (),
            steps.changes(self._connection, self._directory, incident.begin - _BEFORE, incident.end),
        )

    def _within(self, begin: int, end: int) -> list[Pressure]:
        return [each for each in self._pressures if each.wall > begin and each.wall - each.milliseconds < end]

    def _rows(self, directory: str, leaf: str, begin: int, end: int) -> list[Row]:
        return by_minute(past.rows(self._connection, directory, leaf, begin, end, self._taken, self._seconds))

    def _neighbours(self, resource: str, begin: int, end: int) -> tuple[Neighbour, ...]:
        candidates = past.heaviest(self._connection, resource, begin, end, self._directory, _CANDIDATES)
        found = (
            Neighbour(name, _amount(resource, self._rows(directory, "", begin, end), begin, end))
            for name, directory in candidates
        )
        return tuple(sorted((each for each in found if each.amount >= 1), key=_amount_of, reverse=True)[:_NEIGHBOURS])

    def _waits(self) -> Iterable[Wait]:
        """Hours in which the account waited though no limit held it."""
        if not measured(self._taken, self._window.begin, self._window.end):
            return
        first, last = self._window.begin // 1000 // HOUR, self._window.end // 1000 // HOUR
        question = Question("hour", first, last, self._account, leaves=True, by=LABEL)
        found = totals(self._connection, question, self._calendar)
        by_limits: dict[object, int] = {}  # waiting for a limit is pressure too, for that of a leaf as well
        for each in found:
            by_limits[each.label] = by_limits.get(each.label, 0) + (each.use.throttled or 0)
        for each in (total for total in found if not total.leaf):
            begin = int(each.label) * HOUR * 1000
            end = begin + HOUR * 1000
            held = {
                RESOURCES.get(incident.kind)
                for incident in self._incidents
                if incident.begin < end and incident.end > begin
            }
            waited = {
                "cpu": (each.use.cpu_some or 0) - by_limits[each.label],
                "memory": each.use.memory_some or 0,
                "io": each.use.io_some or 0,
            }
            for resource, microseconds in waited.items():
                share = microseconds / ((each.use.measured or 0) * 1000 or 1)
                if share >= SHORT and resource not in held:
                    machine = machine_share(resource, self._within(begin, end))
                    yield Wait(resource, begin, end, min(share, 1.0), machine, self._neighbours(resource, begin, end))


def _amount_of(neighbour: Neighbour) -> float:
    return neighbour.amount


def _amount(resource: str, rows: Sequence[Row], begin: int, end: int) -> float:
    """What was used in that time: percent of one core, the most bytes held, or bytes a second."""
    if resource == "memory":
        return float(max((row.memory or 0 for row in rows), default=0))
    used = sum((row.cpu if resource == "cpu" else row.io) * row.milliseconds for row in rows)
    return used / max(end - begin, 1)
