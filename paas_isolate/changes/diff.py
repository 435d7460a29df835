"""Desired and observed state -> the steps between them, in order. Both must be in the kernel's normal form."""

from collections.abc import Set

from paas_isolate.changes.bandwidth import bandwidth_steps
from paas_isolate.changes.doors import door_steps
from paas_isolate.changes.network import network_steps
from paas_isolate.changes.order import rank
from paas_isolate.changes.quotas import quota_steps
from paas_isolate.changes.service_steps import service_steps
from paas_isolate.changes.views import view_steps
from paas_isolate.model.identity import IdentityCache
from paas_isolate.model.knobs import DEFAULTS, SUBTREE_CONTROL, amount
from paas_isolate.model.steps import Changes, Step
from paas_isolate.model.steps.cgroup import (
    CreateCgroup,
    EnableControllers,
    EndRevoked,
    LowerMemory,
    MoveProcess,
    RemoveCgroup,
    SetKnob,
)
from paas_isolate.model.world import DesiredWorld, Knobs, ObservedWorld


def diff(desired: DesiredWorld, observed: ObservedWorld, now: float = 0.0) -> Changes:
    """The steps that turn `observed` into `desired`, in the order in which to carry them out; `()` where they agree.
    `now` is in seconds since the epoch: services that were asked to end are killed when their time is over.
    """
    steps: list[Step] = []
    existing = observed.cgroups
    alive = observed.populated()
    equal = IdentityCache[bool]()  # thousands of cgroups share a few mappings
    matched = 0
    for path, knobs in desired.cgroups.items():
        current = existing.get(path)
        if current is None:
            steps.append(CreateCgroup(path))
            steps += _settings(path, knobs)
            continue
        matched += 1
        if not equal.get(knobs, current):
            repairs = _repairs(path, knobs, current, alive) if current != knobs else []
            steps += repairs
            if not repairs:
                equal.set(True, knobs, current)
    steps += door_steps(desired.doors, observed.doors)
    steps += view_steps(desired.views, observed.views, desired.cgroups)
    steps += quota_steps(desired.quotas, observed.quotas)
    steps += network_steps(desired.network, observed.network)
    steps += bandwidth_steps(desired.bandwidth, observed.bandwidth)
    if matched < len(existing):
        steps += [RemoveCgroup(path) for path in existing if path not in desired.cgroups]
    by_pid = {process.pid: process for process in observed.processes} if desired.moves else {}
    steps += [MoveProcess(by_pid[process.pid], process.cgroup) for process in desired.moves]
    steps += [EndRevoked(path, uid) for path, uid in desired.revoked]
    if observed.runs or desired.services.patience:
        steps += service_steps(desired.services, observed, now)
    steps.sort(key=rank)
    return tuple(steps)


def _settings(path: str, knobs: Knobs) -> list[Step]:
    """The steps for all knobs of a new cgroup that differ from the kernel's defaults."""
    steps: list[Step] = []
    for knob, value in knobs.items():
        if value == DEFAULTS.get(knob):
            continue
        if knob != SUBTREE_CONTROL:
            steps.append(SetKnob(path, knob, value))
        elif value:
            steps.append(EnableControllers(path, tuple(value.split())))
    return steps


def _repairs(path: str, knobs: Knobs, current: Knobs, alive: Set[str]) -> list[Step]:
    steps: list[Step] = []
    for knob, value in knobs.items():
        was = current.get(knob)
        if was == value or (was is None and value == DEFAULTS.get(knob)):
            continue  # a kernel without this file behaves as with its default
        if knob == SUBTREE_CONTROL:
            missing = tuple(name for name in value.split() if name not in (was or "").split())
            steps += [EnableControllers(path, missing)] if missing else []
        elif knob == "memory.max" and was is not None and _kills(path, value, was, alive):
            steps.append(LowerMemory(path, value, was, knobs["memory.high"]))
        else:
            steps.append(SetKnob(path, knob, value, was))
    return steps


def _kills(path: str, value: str, was: str, alive: Set[str]) -> bool:
    """Whether a plain write could kill processes: below the current usage, the kernel kills where it cannot reclaim
    (cgroup-v2.rst, memory.max; opencontainers/runc issue 3509)."""
    return amount(value) < amount(was) and path in alive
