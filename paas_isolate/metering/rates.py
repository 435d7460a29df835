"""From two readings to rates. Pure. None is unknown, and never 0."""

from typing import NamedTuple

from paas_isolate.metering.reading import Counters, Number, cpu_time
from paas_isolate.metering.use import grown


class Rates(NamedTuple):
    """What a cgroup did between two readings. `cpu` is in cores, `read` and `written` in bytes a second. `throttled` is
    the time that cpu.max made its cores wait, and the others the time in which some of its tasks waited (pressure), as
    shares of the time between the readings."""

    cpu: float | None = None
    throttled: float | None = None
    read: float | None = None
    written: float | None = None
    cpu_wait: float | None = None
    memory_wait: float | None = None
    io_wait: float | None = None

    @property
    def wait(self) -> float | None:
        """The highest pressure."""
        return max((each for each in self[-3:] if each is not None), default=None)


def rates(before: Counters, now: Counters, milliseconds: int) -> Rates:
    """The rates between two readings of one cgroup. Nothing is known where a counter fell: then it is another one."""
    growth = grown(before, now) if milliseconds > 0 else None
    if growth is None:
        return Rates()
    whole = milliseconds * 1000
    return Rates(
        _share(cpu_time(growth.user, growth.system), whole),
        _share(growth.throttled, whole),
        _share(growth.read, milliseconds / 1000),
        _share(growth.written, milliseconds / 1000),
        _share(growth.cpu_some, whole),
        _share(growth.memory_some, whole),
        _share(growth.io_some, whole),
    )


def idle(counters: Counters) -> Rates:
    """The rates of a cgroup that did nothing since these counters: 0 for what it has counters of."""
    return rates(counters, counters, 1)


def _share(part: Number, whole: float) -> float | None:
    return None if part is None else part / whole
