"""Limits -> the text of each knob, in the normal form in which the kernel prints it back.

Kernel documentation: Documentation/admin-guide/cgroup-v2.rst (Interface Files of each controller).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from paas_isolate.model.limits import UNLIMITED, Limits, Percent, Value
from paas_isolate.model.machine import Machine
from paas_isolate.units import CPU_PERIOD

FREEZE = "cgroup.freeze"
SUBTREE_CONTROL = "cgroup.subtree_control"
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")
"""The controllers that we use, in the order in which cgroup.controllers lists them."""

DEFAULTS: Mapping[str, str] = {
    "cpu.max": f"max {CPU_PERIOD}",
    "cpu.weight": "100",
    "cpu.max.burst": "0",
    "cpuset.cpus": "",
    "memory.max": "max",
    "memory.high": "max",
    "memory.low": "0",
    "memory.min": "0",
    "memory.swap.max": "max",
    "memory.oom.group": "0",
    "pids.max": "max",
    "io.max": "",
    "io.weight": "default 100",
    FREEZE: "0",
}
"""Every knob that we manage, with its text in a new cgroup. A limit that the YAML leaves out gets this text."""

_RATES = ("io.read", "io.write", "io.read_ops", "io.write_ops")
_UNLIMITED_RATES = "rbps=max wbps=max riops=max wiops=max"


class LimitContext(NamedTuple):
    """What a cgroup's limits depend on: the `memory` of its parent (bytes), and the `device` of its io limits (`254:0`,
    '' for none)."""

    machine: Machine
    memory: int
    device: str = ""


def knobs(limits: Limits, around: LimitContext) -> dict[str, str]:
    """The text of every knob of one cgroup. What `limits` leaves out has the kernel's default.

    Without a device, io.max has its default whatever `limits` says: the caller decides what becomes of it.
    """
    texts = dict(DEFAULTS)
    if not limits:
        return texts
    page = around.machine.page_size
    memory = effective_memory(limits, around)
    for name, value in limits.items():
        match name:
            case "cpu.max":
                texts["cpu.max"] = _cpu_max(value, around.machine)
            case "cpu.weight" | "pids" | "memory.swap":
                texts[_PLAIN[name]] = _amount(value, page if name == "memory.swap" else 1)
            case "io.weight":
                texts["io.weight"] = f"default {value}"
            case "cpu.burst":
                texts["cpu.max.burst"] = _burst(value, limits.get("cpu.max", UNLIMITED), around.machine)
            case "cpu.set":
                texts["cpuset.cpus"] = "" if value is UNLIMITED else str(value)
            case "memory.max":
                texts[name] = "max" if value is UNLIMITED else str(memory)
            case "memory.high" | "memory.low" | "memory.min":
                texts[name] = _amount(_share(value, memory), page)
            case "memory.kill":
                texts["memory.oom.group"] = "1" if value == "leaf" else "0"
    if around.device:
        texts["io.max"] = io_max(limits, around.device)
    return texts


_PLAIN = {"cpu.weight": "cpu.weight", "pids": "pids.max", "memory.swap": "memory.swap.max"}


def effective_memory(limits: Limits, around: LimitContext) -> int:
    """The memory.max of a cgroup in bytes, in whole pages; that of its parent where `limits` says none. A percentage is
    of the parent's."""
    value = limits.get("memory.max", UNLIMITED)
    own = around.memory if value is UNLIMITED else _share(value, around.memory)
    assert isinstance(own, int)
    return own // around.machine.page_size * around.machine.page_size


def io_max(limits: Limits, device: str) -> str:
    """The line of io.max for one device, with all four keys (cgroup-v2.rst, io.max); '' where none is limited."""
    read, write, read_ops, write_ops = (_amount(limits.get(name, UNLIMITED), 1) for name in _RATES)
    text = f"rbps={read} wbps={write} riops={read_ops} wiops={write_ops}"
    return "" if text == _UNLIMITED_RATES else f"{device} {text}"


def kernel_writes(knob: str, want: str, was: str | None) -> tuple[str, ...]:
    """The texts to write, one write(2) each, to get a knob from `was` to `want`. For most knobs that is `want` itself.

    io.max and io.weight have one line for each device. The kernel drops the line of a device only after `max` for all
    keys (io.max) or `default` (io.weight) was written for it.
    """
    if knob == "io.max":
        dropped = devices(was or "") - devices(want)
        return *(f"{device} {_UNLIMITED_RATES}" for device in sorted(dropped)), *want.splitlines()
    if knob == "io.weight":
        return *(f"{device} default" for device in sorted(devices(was or "") - {"default"})), want
    if knob == "cpuset.cpus" and not want:
        return ("\n",)  # an empty write never reaches the kernel's handler
    return (want,)


def devices(text: str) -> set[str]:
    """The first word of each line of io.max or io.weight: `254:0`, or `default`."""
    return {line.partition(" ")[0] for line in text.splitlines()}


def amount(text: str) -> float:
    """The first number of a knob's text, to compare with another; infinity for `max`."""
    first = text.partition(" ")[0]
    return float("inf") if first == "max" else float(first)


def _cpu_max(value: Value, machine: Machine) -> str:
    if value is UNLIMITED:
        return DEFAULTS["cpu.max"]
    assert isinstance(value, int)
    return f"{min(value, machine.cores * CPU_PERIOD)} {CPU_PERIOD}"


def _burst(value: Value, quota: Value, machine: Machine) -> str:
    """At most the quota, which _cpu_max limits to the machine's cores: the kernel refuses more (EINVAL)."""
    assert isinstance(value, int)
    return str(value if quota is UNLIMITED else min(value, int(_cpu_max(quota, machine).partition(" ")[0])))


def _share(value: Value, whole: int) -> Value:
    return int(value.of_hundred * whole / Decimal(100)) if isinstance(value, Percent) else value


def _amount(value: Value, step: int) -> str:
    if value is UNLIMITED:
        return "max"
    assert isinstance(value, int)
    return str(value // step * step)
