"""What the machine as a whole waited for: pressure stall information (psi.rst)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import GAP


class HostReading(NamedTuple):
    """The totals of /proc/pressure at `at`: microseconds since boot in which some or all tasks that had work waited.
    `at` is in ms, of CLOCK_BOOTTIME when it is written, of the wall clock when it is read. None: unknown."""

    at: int
    cpu_some: Number = None
    cpu_full: Number = None
    memory_some: Number = None
    memory_full: Number = None
    io_some: Number = None
    io_full: Number = None


class Pressure(NamedTuple):
    """The share of the `milliseconds` until `wall` (ms since 1970) in which some tasks of the machine waited, 0 to 1.
    None: unknown."""

    wall: int
    milliseconds: int
    cpu: float | None
    memory: float | None
    io: float | None


def pressures(readings: Sequence[HostReading]) -> list[Pressure]:
    """What lies between readings, in the order of time. Across a boot, and across a gap, nothing is known."""
    found = []
    for before, now in pairwise(readings):
        milliseconds = now.at - before.at
        if 0 < milliseconds <= GAP:
            shares = (
                share(before.cpu_some, now.cpu_some, milliseconds),
                share(before.memory_some, now.memory_some, milliseconds),
                share(before.io_some, now.io_some, milliseconds),
            )
            found.append(Pressure(now.at, milliseconds, *shares))
    return found


def share(before: Number, now: Number, milliseconds: int) -> float | None:
    """The share of the time in which tasks waited, 0 to 1, by two totals. None: unknown."""
    if before is None or now is None or now < before:
        return None
    return min(1.0, (now - before) / (milliseconds * 1000))
