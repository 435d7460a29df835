"""From readings to sums: each cgroup has a base, the reading up to which its use is counted; what grew since is added
to an hour and a day. Pure: who calls it gives the time, and writes what `unwritten` returns.

A cgroup that does nothing is not read. It has used what it held when it is next looked at, and at the end of a day.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from paas_isolate.metering.calendar import Calendar, Label, Part
from paas_isolate.metering.reading import Counters, Levels, Number, Reading
from paas_isolate.metering.use import GAP, Use, between, grown, held, known, known_levels, shares, total


class Moment(NamedTuple):
    """A sample's time in milliseconds: CLOCK_BOOTTIME, which nobody sets and which counts suspended time too, and the
    wall clock, which gives the names of hours and days only."""

    at: int
    wall: int


class Slot(NamedTuple):
    """Where use is added: a day, and an hour (since 1970). None: to the day alone, for an idle cgroup has no hours."""

    hour: int | None
    day: str


class Sample(NamedTuple):
    """What a cgroup did until `at`, for the history: growth of the counters, and levels. None: unknown."""

    at: int
    user: Number
    system: Number
    throttled: Number
    read: Number
    written: Number
    read_ops: Number
    write_ops: Number
    memory: Number
    swap: Number
    pids: Number


class Base(NamedTuple):
    """The reading of a cgroup up to which its use is counted, and since when (CLOCK_BOOTTIME, ms)."""

    path: str
    inode: int
    at: int
    counters: Counters
    levels: Levels
    traffic_map: Number = None


UNWRITTEN_SAMPLES = 60
"""Samples of a cgroup that are kept where they cannot be written (a full disk)."""


class _Metered:
    """A cgroup with what is not written yet."""

    __slots__ = ("base", "hour", "pending", "samples", "written")

    def __init__(self, base: Base, *, written: bool) -> None:
        self.base = base
        self.written = written
        self.pending: dict[Slot, Use] = {}
        self.samples: list[Sample] = []
        self.hour: int | None = None
        """The hour in which it last did something."""


class Unwritten(NamedTuple):
    """What a cgroup used since the last writing, and its base (None: it is gone)."""

    path: str
    base: Base | None
    uses: dict[Slot, Use]
    samples: tuple[Sample, ...]


class Tally:
    """The bases of all cgroups of one boot. `bases` are those that were written last, `sampled` is when (0: never)."""

    def __init__(self, calendar: Calendar, bases: Iterable[Base] = (), sampled: Moment | None = None) -> None:
        self._calendar = calendar
        self._cgroups = {base.path: _Metered(base, written=True) for base in bases}
        self._gone: list[_Metered] = []
        self.sampled = sampled
        """The last sample; None before the first."""
        self.times: list[Moment] = []
        """The samples that are not written yet."""

    def __len__(self) -> int:
        return len(self._cgroups)

    def __contains__(self, path: str) -> bool:
        return path in self._cgroups

    def take(self, now: Moment, moved: Iterable[Reading], gone: Collection[str] = ()) -> None:
        """Add a sample: the readings of those that did something since the sample before, and the paths of those that
        are no longer there. All others have done nothing."""
        before = self.sampled
        if before is not None:
            self._close(before, now)
        for path in gone:
            self._leave(path)
        for reading in moved:
            self._read(reading, now, before)
        self.sampled = now
        self.times.append(now)
        del self.times[:-UNWRITTEN_SAMPLES]

    def last(self, now: Moment, readings: Iterable[Reading]) -> None:
        """Add readings of cgroups that are about to be removed, between two samples. They are gone then."""
        for reading in readings:
            self._read(reading, now, self.sampled)
            self._leave(reading.path)

    def forget(self, paths: Iterable[str]) -> None:
        """These cgroups are gone since the last sample."""
        for path in paths:
            self._leave(path)

    def end(self) -> None:
        """All cgroups are gone: the machine was booted since."""
        for path in list(self._cgroups):
            self._leave(path)

    @property
    def has_gone(self) -> bool:
        """Whether a cgroup that is gone is not written yet."""
        return bool(self._gone)

    def base(self, path: str) -> Base | None:
        cgroup = self._cgroups.get(path)
        return cgroup.base if cgroup else None

    def bases(self) -> Iterator[Base]:
        return (cgroup.base for cgroup in self._cgroups.values())

    def _close(self, before: Moment, now: Moment) -> None:
        """End the hour or the day that `before` lies in, where `now` lies in another one. After a gap nobody is known
        to have done nothing."""
        was, new = self._calendar.label(before.wall), self._calendar.label(now.wall)
        gap = now.at - before.at > GAP
        for cgroup in self._cgroups.values() if gap or was != new else ():
            if gap or was.day != new.day or cgroup.hour is not None:
                self._hold(cgroup, before)
            if gap:
                cgroup.base = cgroup.base._replace(at=now.at)
            if was != new:
                cgroup.hour = None

    def _read(self, reading: Reading, now: Moment, before: Moment | None) -> None:
        path, inode, counters, levels, traffic_map = reading
        cgroup = self._cgroups.get(path)
        if cgroup is None or before is None or cgroup.base.inode != inode:
            self._begin(reading, now)
            return
        base = cgroup.base
        self._hold(cgroup, before)
        growth = grown(_since(base, traffic_map), counters)
        if growth is None:  # another cgroup, whatever its inode: nothing of this row is used
            self._begin(reading, now)
            return
        levels = known_levels(base.levels, levels)
        begin = max(before.at, base.at) if now.at - before.at <= GAP else before.at
        use = between(growth, base.levels, levels, now.at - begin)
        self._add(cgroup, use, now.wall, now.at - begin, idle=False)
        traffic_map = base.traffic_map if traffic_map is None else traffic_map
        cgroup.base = Base(path, inode, now.at, known(base.counters, counters), levels, traffic_map)
        cgroup.written = False
        cgroup.samples.append(Sample(now.at, *growth[:7], levels.memory, levels.swap, levels.pids))
        if len(cgroup.samples) > UNWRITTEN_SAMPLES:
            del cgroup.samples[0]

    def _begin(self, reading: Reading, now: Moment) -> None:
        """From here on the cgroup is counted. One that was there under this name is gone."""
        self._leave(reading.path)
        path, inode, counters, levels, traffic_map = reading
        cgroup = _Metered(Base(path, inode, now.at, counters, levels, traffic_map), written=False)
        cgroup.hour = self._calendar.label(now.wall).hour
        self._cgroups[reading.path] = cgroup

    def _leave(self, path: str) -> None:
        if (cgroup := self._cgroups.pop(path, None)) is not None:
            if self.sampled is not None:
                self._hold(cgroup, self.sampled)
            self._gone.append(cgroup)

    def _hold(self, cgroup: _Metered, until: Moment) -> None:
        """Count what the cgroup held while it did nothing."""
        milliseconds = until.at - cgroup.base.at
        if milliseconds > 0:
            self._add(cgroup, held(cgroup.base.levels, milliseconds), until.wall, milliseconds, idle=True)
            cgroup.base = cgroup.base._replace(at=until.at)
            cgroup.written = False

    def _add(self, cgroup: _Metered, use: Use, wall: int, milliseconds: int, *, idle: bool) -> None:
        """Add the use of the so many milliseconds until `wall`."""
        label = self._calendar.label(wall)
        if not idle:
            cgroup.hour = label.hour
        if self._calendar.label(wall - milliseconds) == label:
            slot = Slot(label.hour if cgroup.hour == label.hour else None, label.day)
            cgroup.pending[slot] = total(cgroup.pending[slot], use) if slot in cgroup.pending else use
            return
        for part, share in split(self._calendar.parts(wall, milliseconds), use):
            slot = Slot(None if idle and part.hour != cgroup.hour else part.hour, part.day)
            cgroup.pending[slot] = total(cgroup.pending[slot], share) if slot in cgroup.pending else share

    def unwritten(self) -> Iterator[Unwritten]:
        """What is to be written: each cgroup that did something, was settled or is gone. Call `wrote` after that."""
        for cgroup in self._gone:
            yield Unwritten(cgroup.base.path, None, cgroup.pending, tuple(cgroup.samples))
        for path, cgroup in self._cgroups.items():
            if not cgroup.written:
                yield Unwritten(path, cgroup.base, cgroup.pending, tuple(cgroup.samples))

    def wrote(self) -> None:
        """All that `unwritten` returned is on the disk."""
        self._gone.clear()
        self.times.clear()
        for cgroup in self._cgroups.values():
            if not cgroup.written:
                cgroup.written = True
                cgroup.pending = {}
                cgroup.samples = []


def _since(base: Base, traffic_map: Number) -> Counters:
    """The counters that a reading is compared with. A map that was made since has begun at 0; of one that was there
    before the base, unseen, nobody knows."""
    if traffic_map is None or traffic_map == base.traffic_map:
        return base.counters
    begun = None if base.traffic_map is None else 0
    return base.counters._replace(received=begun, sent=begun)


def split(parts: list[Part], use: Use) -> Iterator[tuple[Label, Use]]:
    """The use of an interval, in proportion to the parts that it was cut into."""
    weights = [part.milliseconds for part in parts]
    for part, share in zip(parts, shares(use, weights), strict=True):
        yield part.label, share


def until_now(base: Base, sampled: Moment, calendar: Calendar) -> Iterator[tuple[str, Use]]:
    """What a cgroup held since its base, by day: what was last sampled and is not written, for it did nothing."""
    milliseconds = sampled.at - base.at
    if milliseconds > 0:
        for label, share in split(calendar.parts(sampled.wall, milliseconds), held(base.levels, milliseconds)):
            yield label.day, share
