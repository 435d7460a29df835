"""Writing the ledger."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.ledger import faults as fault_rows
from paas_isolate.ledger import history, steps
from paas_isolate.ledger.database import NAME, DamagedError, open_for_writing, set_aside, translated
from paas_isolate.ledger.schema import ADD_USE, PUT_BASE
from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import Fault, Taken
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.reading import Counters, Levels
from paas_isolate.metering.tally import Base, Moment, Unwritten
from paas_isolate.metering.use import Use

HOURS_KEPT = 366 * 24
_NONE: Mapping[str, Mapping[str, str]] = {}


class Outdated(Exception):  # noqa: N818  (no mistake of anybody's: it is to be read again)
    """Somebody else has written since this writer last read or wrote."""


class Written(NamedTuple):
    """What the ledger knows of the last sample: boot, moment, and the bases of all cgroups of that boot."""

    boot: str
    sampled: Moment
    bases: list[Base]


class Owner(NamedTuple):
    """Whose the use of a cgroup is: the account's directory, the leaf ('': the account itself), the plan ('': none)."""

    directory: str
    leaf: str
    plan: str


class FaultNews(NamedTuple):
    """Faults and pictures to write, and what is seen of the cgroups' events from then on (None: the cgroup is gone)."""

    faults: Sequence[Fault] = ()
    pictures: Sequence[Taken] = ()
    seen: Mapping[str, Events | None] = MappingProxyType({})


class LedgerWriter:
    """`directory` holds the file, `keep` is the number of bytes that it may take. `warn` is told of a damaged file.
    LedgerError where it cannot be opened. Close it after use."""

    def __init__(self, directory: str, keep: int, warn: Callable[[str], None]) -> None:
        self._directory, self._keep, self._warn = directory, keep, warn
        self._path = os.path.join(directory, NAME)
        self._forget()
        self._connection = open_for_writing(directory, warn)

    def _forget(self) -> None:
        self._generation = 0
        self._series: dict[Owner, int] = {}
        self._names: dict[str, str] = {}
        self._labels: dict[str, Mapping[str, str]] = {}
        self._mount_options: set[tuple[str, str]] = set()
        self._pruned = 0

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def read(self) -> Written | None:
        """What was written last; None in a new ledger. LedgerError where it cannot be read."""
        with self._whole():
            connection = self._connection
            connection.execute("BEGIN")
            try:
                self._forget()
                state = connection.execute(
                    "SELECT generation, boots.boot, at, wall FROM state JOIN boots ON boots.id = state.boot"
                ).fetchone()
                if state is None:
                    return None
                self._generation, boot, at, wall = state
                bases = [_base(row) for row in connection.execute("SELECT * FROM bases")]
                return Written(boot, Moment(at, wall), bases)
            finally:
                connection.execute("COMMIT")
        return None

    def seen(self) -> dict[str, Events]:
        """Up to which events there are faults, by the path of the cgroup."""
        with self._whole():
            return fault_rows.seen(self._connection)
        return {}

    def forget_pictures(self, exists: Callable[[str], bool]) -> None:
        """Erase the pictures of accounts that do not exist any more. LedgerError and Outdated as `write`."""
        with self._whole(), self._transaction():
            fault_rows.forget(self._connection, exists)

    def plan_of(self, directory: str) -> str:
        """The plan under which an account was counted last; '' where it never was."""
        with self._whole():
            found = self._connection.execute(
                "SELECT plan FROM series WHERE directory = ? ORDER BY id DESC LIMIT 1", (directory,)
            ).fetchone()
            return found[0] if found else ""
        return ""

    def write(
        self,
        boot: str,
        now: Moment,
        zone: str,
        unwritten: Iterable[Unwritten],
        owner_of: Callable[[str], Owner],
        names: Mapping[str, str],
        times: Iterable[Moment] = (),
        faults: FaultNews | None = None,
        *,
        host: Sequence[HostReading] = (),
        labels: Mapping[str, Mapping[str, str]] = _NONE,
        ends: bool = False,
    ) -> None:
        """Write what was used until `now`, in one transaction. `names` and `labels` are those of accounts, by
        directory. `times` are the samples, `host` is the machine's pressure. With `ends` the boot is over, and no base
        of it is kept.

        Outdated where somebody else has written since; LedgerError where the disk is full. Then nothing was written.
        """
        with self._whole(), self._transaction():
            connection = self._connection
            found = connection.execute("SELECT generation FROM state").fetchone()
            if (found[0] if found else 0) != self._generation:
                raise Outdated
            boot_id = self._id_of_boot(boot)
            rows = list(unwritten)
            spans = self._spans(rows, zone, boot_id, now)
            uses: list[tuple[object, ...]] = []
            bases: list[tuple[object, ...]] = []
            gone: list[tuple[str]] = []
            chunks: list[history.Chunk] = []
            for path, base, slots, samples in rows:
                series = self._id_of_series(owner_of(path))
                for slot, use in slots.items():
                    uses.append((spans["day", slot.day], series, *use))
                    if slot.hour is not None:
                        uses.append((spans["hour", slot.hour], series, *use))
                if base is None:
                    gone.append((path,))
                else:
                    bases.append((path, base.inode, base.at, *base.counters, *base.levels, base.traffic_map))
                if samples:
                    chunks.append(history.chunk(series, boot_id, now, samples))
            history.add(connection, chunks)
            history.add_times(connection, boot_id, tuple(times))
            history.add_host(connection, boot_id, now, host)
            if faults is not None:
                fault_rows.add(connection, boot_id, faults.faults)
                fault_rows.add_pictures(connection, boot_id, faults.pictures)
                fault_rows.see(connection, faults.seen)
            connection.executemany(ADD_USE, uses)
            connection.executemany("DELETE FROM bases WHERE path = ?", gone)  # first: it may be there anew
            connection.executemany(PUT_BASE, bases)
            if ends:
                connection.execute("DELETE FROM bases")
                connection.execute("DELETE FROM seen")
            self._name(names)
            self._label(labels)
            generation = self._generation + 1
            connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)", (generation, boot_id, *now))
        self._generation = generation

    def note_mount_options(self, month: str, options: Iterable[str]) -> None:
        """Remember that cgroup2 was mounted with these options in a month, `2026-10`. LedgerError and Outdated as
        `write`."""
        new = {(month, option) for option in options} - self._mount_options
        if new:
            with self._whole():
                self._connection.executemany("INSERT OR IGNORE INTO mount_options VALUES (?, ?)", sorted(new))
                self._mount_options |= new

    def tidy(self, now: Moment) -> None:
        """Make blocks of the hours that have ended, and delete what is too old or too much; a little each time.
        LedgerError and Outdated as `write`."""
        hour = now.wall // 1000 // HOUR
        with self._whole(), self._transaction():
            history.compact(self._connection, hour)
            if hour != self._pruned:
                history.prune(self._connection, hour)
                self._prune_hours(hour - HOURS_KEPT)
                fault_rows.prune(self._connection, now.wall)
                self._pruned = hour
        with self._whole():
            if self._size() > self._keep:
                self._shrink()

    def _shrink(self) -> None:
        """Delete the oldest values, the finest first; days are never deleted."""
        with self._transaction():
            if not history.drop_oldest(self._connection) and not fault_rows.drop_oldest(self._connection):
                oldest = self._connection.execute("SELECT min(label) FROM spans WHERE kind = 'hour'").fetchone()[0]
                if oldest is not None:
                    self._prune_hours(oldest + 1)
        self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def _prune_hours(self, before: int) -> None:
        old = "SELECT id FROM spans WHERE kind = 'hour' AND label < ?"
        self._connection.execute(f"DELETE FROM uses WHERE span IN ({old})", (before,))  # noqa: S608
        self._connection.execute("DELETE FROM spans WHERE kind = 'hour' AND label < ?", (before,))
        steps.prune(self._connection, before * HOUR * 1000)

    def _size(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A damaged file is set aside. Then Outdated: what was written is gone, and the caller begins anew."""
        try:
            with translated(self._path):
                yield
        except DamagedError as damage:
            self.close()
            set_aside(self._directory, str(damage), self._warn)
            self._connection = open_for_writing(self._directory, self._warn)
            self._forget()
            raise Outdated from damage

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        series, names, labels = dict(self._series), dict(self._names), dict(self._labels)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._series, self._names, self._labels = series, names, labels
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _id_of_boot(self, boot: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO boots (boot) VALUES (?)", (boot,))
        return int(self._connection.execute("SELECT id FROM boots WHERE boot = ?", (boot,)).fetchone()[0])

    def _id_of_series(self, owner: Owner) -> int:
        if (known := self._series.get(owner)) is None:
            self._connection.execute("INSERT OR IGNORE INTO series (directory, leaf, plan) VALUES (?, ?, ?)", owner)
            known = self._connection.execute(
                "SELECT id FROM series WHERE directory = ? AND leaf = ? AND plan = ?", owner
            ).fetchone()[0]
            self._series[owner] = known
        return known

    def _spans(self, rows: Iterable[Unwritten], zone: str, boot: int, now: Moment) -> dict[tuple[str, int | str], int]:
        """The ids of the spans that the rows lie in, by kind and label. The newest span is gone on with where the label
        is the same; no other is: its figures stay as they are."""
        slots = {slot for row in rows for slot in row.uses}
        wanted: list[tuple[str, int | str]] = [("day", day) for day in sorted({slot.day for slot in slots})]
        wanted += [("hour", hour) for hour in sorted({slot.hour for slot in slots if slot.hour is not None})]
        newest = {
            kind: self._connection.execute(
                "SELECT id, label, zone, boot FROM spans WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,)
            ).fetchone()
            for kind in ("day", "hour")
        }
        ids: dict[tuple[str, int | str], int] = {}
        for kind, label in wanted:
            zoned = zone if kind == "day" else "UTC"
            if (last := newest[kind]) and last[1:] == (label, zoned, boot):
                ids[kind, label] = last[0]
                continue
            new = self._connection.execute(
                "INSERT INTO spans (kind, label, zone, boot, begin, wall) VALUES (?, ?, ?, ?, ?, ?)",
                (kind, label, zoned, boot, *now),
            )
            assert new.lastrowid is not None
            ids[kind, label] = new.lastrowid
        return ids

    def _name(self, names: Mapping[str, str]) -> None:
        new = {directory: name for directory, name in names.items() if self._names.get(directory) != name}
        self._connection.executemany("INSERT OR REPLACE INTO names VALUES (?, ?)", new.items())
        self._names |= new

    def _label(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        new = {directory: those for directory, those in labels.items() if self._labels.get(directory) != those}
        self._connection.executemany("DELETE FROM labels WHERE directory = ?", ((directory,) for directory in new))
        rows = ((directory, *pair) for directory, those in new.items() for pair in those.items())
        self._connection.executemany("INSERT INTO labels VALUES (?, ?, ?)", rows)
        self._labels |= new


_COUNTERS = 3 + len(Counters._fields)


def _base(row: tuple[object, ...]) -> Base:
    path, inode, at = row[:3]
    assert isinstance(path, str) and isinstance(inode, int) and isinstance(at, int)
    return Base(path, inode, at, Counters(*row[3:_COUNTERS]), Levels(*row[_COUNTERS:-1]), row[-1])  # type: ignore[arg-type]


def use_of(row: tuple[object, ...]) -> Use:
    """A row of SUMS."""
    return Use(*row)  # type: ignore[arg-type]
