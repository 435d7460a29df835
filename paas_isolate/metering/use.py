"""What was used in an interval: the growth between two readings, sums, and shares of an interval."""

from collections.abc import Sequence
from typing import NamedTuple

from paas_isolate.metering.reading import Counters, Levels, Number

GAP = 150_000
"""Milliseconds between two samples above which the time between them was not measured. What the kernel has counted
meanwhile is counted nevertheless; memory, which it does not count, is not. Cron samples every minute."""


class Use(NamedTuple):
    """What was used in the measured time. The first fields are those of Counters. Memory is in KiB-seconds, the area
    under its line; `peak` and `pids` are the highest seen. None: it was not measured."""

    user: Number = None
    system: Number = None
    throttled: Number = None
    read: Number = None
    written: Number = None
    read_ops: Number = None
    write_ops: Number = None
    frozen: Number = None
    cpu_some: Number = None
    cpu_full: Number = None
    memory_some: Number = None
    memory_full: Number = None
    io_some: Number = None
    io_full: Number = None
    killed: Number = None
    slowed: Number = None
    refused: Number = None
    received: Number = None
    sent: Number = None
    memory: Number = None
    own: Number = None
    swap: Number = None
    measured: Number = None
    """Milliseconds."""
    peak: Number = None
    pids: Number = None

    @property
    def cpu(self) -> Number:
        """Microseconds of CPU time."""
        return None if self.user is None or self.system is None else self.user + self.system


SUMMED = Use._fields[:-2]
HIGHEST = Use._fields[-2:]
NOTHING = Use()
_SUMMED = len(SUMMED)


def grown(before: Counters, now: Counters) -> Counters | None:
    """What each counter has grown by. None where one of them fell: then it is another cgroup, or a broken file, and no
    counter of this reading can be compared."""
    growth: list[Number] = []
    for was, new in zip(before, now, strict=True):
        if was is None or new is None:
            growth.append(None)
        elif new < was:
            return None
        else:
            growth.append(new - was)
    return Counters(*growth)


def known(before: Counters, now: Counters) -> Counters:
    """The newest known value of each counter: what is missing now keeps its value, so that its growth is not lost."""
    if None not in now:
        return now
    return Counters(*(was if new is None else new for was, new in zip(before, now, strict=True)))


def known_levels(before: Levels, now: Levels) -> Levels:
    """As `known`, for what is read once a minute: `peak`, `own` and `in_freezer`."""
    return now._replace(
        peak=before.peak if now.peak is None else now.peak,
        own=before.own if now.own is None else now.own,
        in_freezer=before.in_freezer if now.in_freezer is None else now.in_freezer,
    )


def area(before: Number, now: Number, milliseconds: int) -> Number:
    """KiB-seconds below the straight line between two sizes in bytes (the trapezoidal rule), rounded to the nearest."""
    if before is None or now is None:
        return None
    return ((before + now) * milliseconds + 1_024_000) // 2_048_000


def between(growth: Counters, before: Levels, now: Levels, milliseconds: int) -> Use:
    """The use between two readings. Beyond GAP only what the kernel has counted."""
    if milliseconds > GAP:
        return Use(*growth, peak=now.peak, pids=now.pids)
    if growth.frozen is None:
        growth = growth._replace(frozen=_frozen(before, milliseconds))
    return Use(
        *growth,
        area(before.memory, now.memory, milliseconds),
        area(before.own, now.own, milliseconds),
        area(before.swap, now.swap, milliseconds),
        milliseconds,
        now.peak,
        now.pids,
    )


def held(levels: Levels, milliseconds: int) -> Use:
    """The use of a cgroup that did nothing for so long: what it held (a step, for both ends are the same)."""
    return Use(
        frozen=_frozen(levels, milliseconds),
        memory=area(levels.memory, levels.memory, milliseconds),
        own=area(levels.own, levels.own, milliseconds),
        swap=area(levels.swap, levels.swap, milliseconds),
        measured=milliseconds,
    )


def _frozen(levels: Levels, milliseconds: int) -> Number:
    """Microseconds in the freezer, where the kernel says only whether it is there."""
    return None if levels.in_freezer is None else levels.in_freezer * milliseconds * 1000


def total(one: Sequence[Number], other: Sequence[Number]) -> Use:
    """Both together. What one of them does not know is the other's."""
    summed = [
        b if a is None else a if b is None else a + b for a, b in zip(one[:_SUMMED], other[:_SUMMED], strict=True)
    ]
    highest = [
        b if a is None else a if b is None else max(a, b) for a, b in zip(one[_SUMMED:], other[_SUMMED:], strict=True)
    ]
    return Use(*summed, *highest)


def shares(use: Use, weights: Sequence[int]) -> list[Use]:
    """The use in proportion to `weights`, in whole numbers whose sums are exactly those of `use`."""
    whole = sum(weights)
    if whole <= 0:
        return [use, *[NOTHING] * (len(weights) - 1)]
    parts, begin, done = [], 0, [None if value is None else 0 for value in use[:_SUMMED]]
    for weight in weights:
        begin += weight
        until = [None if value is None else value * begin // whole for value in use[:_SUMMED]]
        summed = [None if a is None or b is None else b - a for a, b in zip(done, until, strict=True)]
        parts.append(Use(*summed, *use[_SUMMED:]))
        done = until
    return parts
