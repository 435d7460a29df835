"""Limits that contradict each other once plan and account are merged, or that the machine cannot give."""

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
"""In each pair the first limit must not be above the second."""

_AT_MOST_ACCOUNT = ("cpu.max", "memory.max", "pids", "io.read", "io.write", "io.read_ops", "io.write_ops")
"""A service with more than its account never reaches it: cgroup v2 limits are hierarchical."""


class Conflict(NamedTuple):
    """`keys` are the key paths that take part, first the one that the complaint names; `text` is what it says of it."""

    keys: tuple[str, ...]
    text: str
    warning: bool = False


def conflicts(limits: Limits, services: tuple[Service, ...], machine: Machine) -> tuple[Conflict, ...]:
    """The conflicts in the merged limits of an account and its services."""
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
    """The conflicts within the limits of one cgroup. `key` is the key path of its limits, `above` the bytes of memory
    that its parent has."""
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
            # a percentage is one of the cgroup's own memory.max; where that is unlimited, of what the parent has
            lower = _whole(limits[low], above if memory is None else memory)
            upper = memory if high == "memory.max" else _whole(limits[high], above if memory is None else memory)
            if lower is not None and upper is not None and lower > upper:
                text = f"is {_shown(low, lower)}, above {high} with {_shown(high, upper)}; expected at most that"
                yield Conflict((f"{key}.{low}", f"{key}.{high}"), text)


def _cores(key: str, value: Value | None, machine: Machine) -> Iterator[Conflict]:
    if not isinstance(value, int) or value <= machine.cores * CPU_PERIOD:
        return
    available = f"this machine has {machine.cores}"
    if isinstance(value, Cores):
        number = f"{Decimal(value) / CPU_PERIOD:f}"
        yield Conflict((key,), f"is {number} cores, and {available}; write {number}% for percent of one core")
    elif key.endswith("cpu.max"):
        text = f"is {format_cpu(value)} of a core, and {available} cores; it is cut to {machine.cores * 100}%"
        yield Conflict((key,), text, warning=True)


def _outside(key: str, service: Limits, account: Limits) -> Iterator[Conflict]:
    for name in _AT_MOST_ACCOUNT:
        own, whole = service.get(name), account.get(name)
        if isinstance(own, int) and isinstance(whole, int) and own > whole:
            text = f"is {_shown(name, own)}, above the account's {_shown(name, whole)}, which holds for both"
            yield Conflict((f"{key}.{name}", f"limits.{name}"), text, warning=True)


def _stalls(key: str, own: Limits, effective: Limits) -> Iterator[Conflict]:
    # without swap, anonymous memory above memory.high cannot be reclaimed: the kernel then throttles the program more
    # and more, and never kills it (cgroup-v2.rst, memory.high)
    if own.get("memory.high", UNLIMITED) is not UNLIMITED and effective.get("memory.swap") == 0:
        keys = (f"{key}.memory.high", f"{key if 'memory.swap' in own else 'limits'}.memory.swap")
        text = "is given together with memory.swap 0, which can stall a program for good; leave memory.high out"
        yield Conflict(keys, text, warning=True)


def _whole(value: Value, of: int) -> int | None:
    """An integer in the limit's unit; None for no limit. `of` is what a percentage is one of."""
    if isinstance(value, Percent):
        return int(value.of_hundred * of / Decimal(100))
    return value if isinstance(value, int) else None


def _shown(name: str, value: int) -> str:
    if name.startswith("cpu."):
        return format_cpu(value)
    return str(value) if name == "pids" or name.endswith("_ops") else format_size(value)
