"""What cannot be together, or should not be, once plan and account are merged; and what the machine lacks."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from paas_isolate.model.account import Service
from paas_isolate.model.limits import UNLIMITED, Cores, Limits, Percent, Value
from paas_isolate.model.machine import Machine
from paas_isolate.text import shortened
from paas_isolate.units import CPU_PERIOD, cores_without, format_cpu, format_size

_ORDER = (
    ("memory.low", "memory.high"),
    ("memory.min", "memory.high"),
    ("memory.low", "memory.max"),
    ("memory.min", "memory.max"),
    ("memory.high", "memory.max"),
    ("cpu.burst", "cpu.max"),
)
"""The first of each may not be above the second."""

_INSIDE = ("cpu.max", "memory.max", "pids", "io.read", "io.write", "io.read_ops", "io.write_ops")


class Conflict(NamedTuple):
    """`keys` are the key paths that meet in it, the one to complain of first."""

    keys: tuple[str, ...]
    text: str
    warning: bool = False


def conflicts(limits: Limits, services: tuple[Service, ...], machine: Machine) -> tuple[Conflict, ...]:
    """All of an account (or a plan) after merging."""
    found = [*place_conflicts("limits", limits, machine, machine.memory)]
    memory = _whole(limits.get("memory.max", UNLIMITED), machine.memory) or machine.memory
    for service in services:
        if service.limits:
            key = f"services.{service.name}.limits"
            found += place_conflicts(key, service.limits, machine, memory)
            found += _outside(key, service.limits, limits)
            found += _stalls(key, service.limits, {**limits, **service.limits})
    return (*found, *_stalls("limits", limits, limits))


def place_conflicts(key: str, limits: Limits, machine: Machine, above: int) -> Iterator[Conflict]:
    """One place alone. `above` is the memory that it can have at the most."""
    yield from _order(key, limits, above)
    for name in ("cpu.max", "cpu.burst"):
        yield from _cores(f"{key}.{name}", limits.get(name), machine)
    cores = limits.get("cpu.set")
    if isinstance(cores, str) and (missing := cores_without(cores, machine.cpu_set)):
        gap = f"cores {shortened(missing)} do not exist"
        text = f"is {shortened(cores)}, but {gap}; expected cores among {machine.cpu_set}"
        yield Conflict((f"{key}.cpu.set",), text)


def _order(key: str, limits: Limits, above: int) -> Iterator[Conflict]:
    memory = _whole(limits.get("memory.max", UNLIMITED), above)
    for low, high in _ORDER:
        if low in limits and high in limits:
            # a percentage of memory.max itself is of the service's; of anything else there is none to compare
            less = _whole(limits[low], above if memory is None else memory)
            more = memory if high == "memory.max" else _whole(limits[high], above if memory is None else memory)
            if less is not None and more is not None and less > more:
                text = f"is {_told(low, less)}, above {high} with {_told(high, more)}; expected at most that"
                yield Conflict((f"{key}.{low}", f"{key}.{high}"), text)


def _cores(key: str, value: Value | None, machine: Machine) -> Iterator[Conflict]:
    if not isinstance(value, int) or value <= machine.cores * CPU_PERIOD:
        return
    has = f"this machine has {machine.cores}"
    if isinstance(value, Cores):
        number = f"{Decimal(value) / CPU_PERIOD:f}"
        yield Conflict((key,), f"is {number} cores, and {has}; write {number}% for percent of one core")
    elif key.endswith("cpu.max"):
        text = f"is {format_cpu(value)} of a core, and {has} cores; it is cut to {machine.cores * 100}%"
        yield Conflict((key,), text, warning=True)


def _outside(key: str, service: Limits, account: Limits) -> Iterator[Conflict]:
    for name in _INSIDE:
        own, all_ = service.get(name), account.get(name)
        if isinstance(own, int) and isinstance(all_, int) and own > all_:
            text = f"is {_told(name, own)}, above the account's {_told(name, all_)}, which it never gets past"
            yield Conflict((f"{key}.{name}", f"limits.{name}"), text, warning=True)


def _stalls(key: str, own: Limits, effective: Limits) -> Iterator[Conflict]:
    # above memory.high without swap there is nothing to reclaim: the program is slowed to a standstill for good
    if own.get("memory.high", UNLIMITED) is not UNLIMITED and effective.get("memory.swap") == 0:
        keys = (f"{key}.memory.high", f"{key if 'memory.swap' in own else 'limits'}.memory.swap")
        text = "is given together with memory.swap 0, which can stall a program for good; leave memory.high out"
        yield Conflict(keys, text, warning=True)


def _whole(value: Value, of: int) -> int | None:
    """Bytes (or the unit's integer); None for no limit."""
    if isinstance(value, Percent):
        return int(value.of_hundred * of / Decimal(100))
    return value if isinstance(value, int) else None


def _told(name: str, value: int) -> str:
    if name.startswith("cpu."):
        return format_cpu(value)
    return str(value) if name == "pids" or name.endswith("_ops") else format_size(value)
