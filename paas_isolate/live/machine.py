"""The machine as a whole, beside which accounts are seen."""

from typing import Any, NamedTuple

import psutil

from paas_isolate.linux.cgroup.sampled import boottime
from paas_isolate.linux.system.pressure import host_pressure
from paas_isolate.metering.host import HostReading, share


class MachineUse(NamedTuple):
    """`cpu` is the share of all cores that was used since the look before (None at the first), `memory` and `total` are
    bytes. The others are the time in which some tasks waited (psi.rst), as shares; None: unknown."""

    cores: int
    cpu: float | None
    memory: int
    total: int
    cpu_wait: float | None
    memory_wait: float | None
    io_wait: float | None


def plain(use: MachineUse) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "cores": use.cores,
        "cpu_share": use.cpu,
        "memory": use.memory,
        "memory_total": use.total,
        "cpu_pressure": use.cpu_wait,
        "memory_pressure": use.memory_wait,
        "io_pressure": use.io_wait,
    }


class MachineReader:
    """Remembers the counters from one look to the next."""

    def __init__(self) -> None:
        self._before: HostReading | None = None

    def read(self) -> MachineUse:
        now, before = host_pressure(boottime()), self._before
        cpu = psutil.cpu_percent(None) / 100
        memory = psutil.virtual_memory()
        self._before = now
        return MachineUse(
            psutil.cpu_count() or 1,
            None if before is None else cpu,
            memory.total - memory.available,
            memory.total,
            *([None] * 3 if before is None else _waits(before, now)),
        )


def _waits(before: HostReading, now: HostReading) -> list[float | None]:
    totals = (before.cpu_some, now.cpu_some), (before.memory_some, now.memory_some), (before.io_some, now.io_some)
    return [share(was, waited, now.at - before.at) if now.at > before.at else None for was, waited in totals]
