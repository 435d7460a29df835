"""The machine as a whole, beside which accounts are seen."""

import time
from typing import Any, NamedTuple

import psutil

from paas_isolate.metering.reading import Number, pressure

_RESOURCES = ("cpu", "memory", "io")


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
        self._at = 0.0
        self._waited: dict[str, Number] = {}

    def read(self) -> MachineUse:
        now, first = time.monotonic(), not self._at
        cpu = psutil.cpu_percent(None) / 100
        memory = psutil.virtual_memory()
        waits = [self._wait(name, now) for name in _RESOURCES]
        self._at = now
        return MachineUse(
            psutil.cpu_count() or 1,
            None if first else cpu,
            memory.total - memory.available,
            memory.total,
            *waits,
        )

    def _wait(self, name: str, now: float) -> float | None:
        try:
            with open(f"/proc/pressure/{name}", "rb") as file:
                waited, _ = pressure(file.read())
        except OSError:  # CONFIG_PSI is not set, or psi=0
            waited = None
        before, self._waited[name] = self._waited.get(name), waited
        if before is None or waited is None:
            return None
        return min(1.0, (waited - before) / 1e6 / (now - self._at))
