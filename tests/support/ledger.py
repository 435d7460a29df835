"""A ledger, and samples of accounts that a test makes up."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from paas_isolate.ledger.database import NAME
from paas_isolate.ledger.writer import FaultNews, LedgerWriter, Owner
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.faults import Fault, Kind, Level
from paas_isolate.metering.reading import Counters, Levels, Reading
from paas_isolate.metering.tally import Moment, Tally

WALL = 1_790_000_000_000  # 2026-09-21T14:13:20Z
HOUR = WALL // 3_600_000
MB = 1 << 20


class Metered:
    """A ledger with a tally that is written to it."""

    def __init__(self, place: Path, boot: str = "b1", keep: int = 1 << 40, zone: str = "UTC") -> None:
        self.place, self.boot, self.zone = place / "ledger", boot, zone
        self.warnings: list[str] = []
        self.labels: dict[str, dict[str, str]] = {}
        self.writer = LedgerWriter(str(self.place), keep, self.warnings.append)
        self.begin()

    def begin(self) -> None:
        written = self.writer.read()
        if written is not None and written.boot == self.boot:
            self.tally = Tally(Calendar(self.zone), written.bases, written.sampled)
        else:
            self.tally = Tally(Calendar(self.zone))

    def take(self, seconds: int, *readings: Reading, gone: tuple[str, ...] = (), step: int = 0) -> Moment:
        now = Moment(seconds * 1000, WALL + (seconds + step) * 1000)
        self.tally.take(now, readings, gone)
        return now

    def write(self, now: Moment, faults: Sequence[Fault] = ()) -> None:
        names, times, news = {"alice": "alice"}, self.tally.times, FaultNews(faults)
        uses = self.tally.unwritten()
        self.writer.write(self.boot, now, self.zone, uses, owner, names, times, news, labels=self.labels)
        self.tally.wrote()

    def sampled(self, seconds: int, *readings: Reading, step: int = 0, faults: Sequence[Fault] = ()) -> None:
        self.write(self.take(seconds, *readings, step=step), faults)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.place / NAME)) as connection:
            return connection.execute(query).fetchall()

    def users(self, kind: str = "day") -> list[tuple[object, ...]]:
        return self.rows(
            "SELECT label, leaf, user FROM uses JOIN spans ON spans.id = span JOIN series ON series.id = series "
            f"WHERE kind = '{kind}' AND user IS NOT NULL ORDER BY span, leaf"
        )


def owner(path: str) -> Owner:
    directory, _, leaf = path.partition("/")
    return Owner(directory, leaf, "small")


def web(user: int, memory: int = MB, inode: int = 7) -> Reading:
    return Reading("alice/web", inode, Counters(user=user, system=0), Levels(memory=memory, pids=3))


def fault(kind: Kind, seconds: int, path: str = "alice/web", number: int = 1) -> Fault:
    """One of `path`, so many seconds after WALL."""
    directory, _, leaf = path.partition("/")
    return Fault(kind, Level.LEAF, directory, leaf, "small", seconds * 1000, WALL + seconds * 1000, number)
