"""Steps -> kernel: one match from step to hand. Every step ends as an Outcome; none ends the run."""

import errno
import os
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from itertools import groupby, takewhile
from typing import NamedTuple, TypeVar

from paas_isolate.errors import HostError, Trouble, trouble, without_broken
from paas_isolate.linux.cgroup.lowering import StillInUse, lower_memory
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.pam import refused_logins
from paas_isolate.linux.process import fork, pidfd
from paas_isolate.linux.process.ending import end_of_uid
from paas_isolate.linux.services.steps import apply_service_step
from paas_isolate.linux.system import systemd
from paas_isolate.model import tree
from paas_isolate.model.knobs import kernel_writes
from paas_isolate.model.network import NetworkPort
from paas_isolate.model.quota import QuotaPort
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
from paas_isolate.model.steps.door import CompleteDoors, RemoveDoor, SetDoor
from paas_isolate.model.steps.namespace import MakeView, NamespaceStep, RemoveView, SetAging
from paas_isolate.model.steps.network import AddAddress, NetworkStep, RemoveAddress, SetGate, SetNames, SetRules
from paas_isolate.model.steps.quota import SetQuota
from paas_isolate.model.steps.service import ServiceStep
from paas_isolate.model.view import NamespacePort

WORTH_A_PROCESS = 1000
"""Steps: a fork(2) and the way back cost as much as some hundred."""

PICKED = 97
"""Of so many steps one is looked at to find where the parts begin."""


class Status(StrEnum):
    DONE = "done"
    GONE = "gone"  # it was no longer there: as good as done
    SKIPPED = "skipped"
    PENDING = "pending"  # it cannot be had now without harm; the next run tries again
    FAILED = "failed"


class Outcome(NamedTuple):
    """How one step ended, and why where it is not simply done."""

    step: Step
    status: Status
    reason: str = ""
    trouble: Trouble | None = None
    """What nobody expected to be raised by it."""


_NotDone = tuple[str, str, tuple[str, ...]]

Executor = Callable[[Step], None]
"""Carries out one step, or raises what became of it."""


def apply(kernel: Kernel, changes: Changes) -> Iterator[Outcome]:
    """Carry out the steps in order, one outcome each, as they end. Whatever a step raises is its outcome.

    When a cgroup cannot be made ready, the later steps of its account are skipped. A knob that cannot be
    written holds nothing else back: better confined by nine knobs than free of ten.
    Many knobs are written in shares, those of an account and its doors in order by one process. Cgroups are not
    created so: the kernel makes one at a time (cgroup_mutex, kernel/cgroup/cgroup.c).
    """
    broken: dict[str, Step] = {}
    by_port = SetKnob | NetworkStep | NamespaceStep | SetQuota
    structure = tuple(takewhile(lambda step: not isinstance(step, by_port), changes))
    knobs = tuple(takewhile(lambda step: isinstance(step, SetKnob | SetDoor), changes[len(structure) :]))
    hand = partial(_carry_out, kernel)
    yield from _in_order(hand, broken, structure)
    yield from _in_shares(hand, broken, knobs)
    rest = changes[len(structure) + len(knobs) :]
    for kind, some in groupby(rest, _kind):
        steps = list(some)
        if kind == "network":
            yield from _in_network(kernel.network, steps)
        elif kind == "namespaces":
            yield from _in_namespaces(kernel.namespaces, broken, steps)
        elif kind == "quota":
            yield from _in_quotas(kernel.quotas, steps)
        else:
            yield from _in_order(hand, broken, steps)


def _kind(step: Step) -> str:
    if isinstance(step, NetworkStep):
        return "network"
    if isinstance(step, NamespaceStep):
        return "namespaces"
    return "quota" if isinstance(step, SetQuota) else ""


def _in_quotas(port: QuotaPort | None, steps: list[Step]) -> Iterator[Outcome]:
    """What thousands are given is remembered once."""
    assert port is not None  # who desires a quota looks at it with the same hands
    quotas = [step for step in steps if isinstance(step, SetQuota)]
    yield from _ends(quotas, lambda steps: port.set({step.row: step.wanted for step in steps}))


def _in_namespaces(port: NamespacePort | None, broken: dict[str, Step], steps: list[Step]) -> Iterator[Outcome]:
    """A thousand views by one process. A view shows the account's cgroup: without that there is none."""
    assert port is not None  # who desires a view looks at it with the same hands
    for step in steps:
        if isinstance(step, MakeView) and (before := broken.get(step.directory)):
            yield Outcome(step, Status.SKIPPED, f"could not {before}")
    made = [step for step in steps if isinstance(step, MakeView) and step.directory not in broken]
    gone = [step for step in steps if isinstance(step, RemoveView)]
    yield from _ends(made, lambda steps: port.make((step.directory, step.view) for step in steps))
    for aging in (step for step in steps if isinstance(step, SetAging)):
        yield from _end(aging, partial(port.set_aging, aging.text))
    yield from _ends(gone, lambda steps: port.remove((step.directory, step.tmp) for step in steps))


def _in_network(port: NetworkPort | None, steps: list[Step]) -> Iterator[Outcome]:
    """Thousands of addresses in a few system calls."""
    gone = [step for step in steps if isinstance(step, RemoveAddress)]
    rules = [step for step in steps if isinstance(step, SetRules)]
    gates = [step for step in steps if isinstance(step, SetGate)]
    new = [step for step in steps if isinstance(step, AddAddress)]
    assert port is not None  # who desires a network looks at it with the same hands
    yield from _ends(gone, lambda steps: port.remove(step.address for step in steps))
    for step in rules:
        yield from _end(step, partial(port.set_rules, step.rules, step.was))
    for laid in gates:
        yield from _end(laid, partial(port.set_gate, laid.gate, laid.was))
    yield from _ends(new, lambda steps: port.add(step.address for step in steps))
    for named in (step for step in steps if isinstance(step, SetNames)):
        yield from _end(named, partial(port.set_names, named.names))


def _end(step: Step, hand: Callable[[], None]) -> Iterator[Outcome]:
    def only_one(_: Sequence[Step]) -> list[str]:
        hand()
        return [""]

    return _ends([step], only_one)


Many = TypeVar("Many", bound=Step)


def _ends(steps: Sequence[Many], hand: Callable[[Sequence[Many]], list[str]]) -> Iterator[Outcome]:
    """`hand` carries out all of them, and answers what went wrong with each. Where it raises what nobody expects, it
    does so for one of them alone: what it has done already, it does again."""

    def carried_out(numbers: Sequence[int]) -> dict[int, str]:
        some = [steps[number] for number in numbers]
        if not some:
            return {}
        try:
            wrong = hand(some)
        except (OSError, HostError) as error:
            wrong = [str(error).partition("\n")[0]] * len(some)
        return dict(zip(numbers, wrong, strict=True))

    ends, broken = without_broken(carried_out, range(len(steps)))
    for number, step in enumerate(steps):
        if found := broken.get(number):
            yield Outcome(step, Status.FAILED, found.what, found)
        else:
            because = ends[number]
            yield Outcome(step, Status.FAILED, because) if because else Outcome(step, Status.DONE)


def _in_shares(hand: Executor, broken: dict[str, Step], steps: Sequence[Step]) -> Iterator[Outcome]:
    count = fork.worker_count(len(steps), least=WORTH_A_PROCESS)
    if count == 1:
        yield from _in_order(hand, broken, steps)
        return
    parts = _by_account(steps, count)
    for part, ends in zip(parts, fork.map_forked(partial(_not_done, hand, broken), parts), strict=True):
        for number, step in enumerate(part):
            if number in ends:
                ending, because, found = ends[number]
                if found and (account := step.owner):
                    broken[account] = step
                yield Outcome(step, Status(ending), because, Trouble(*found) if found else None)
            else:
                yield Outcome(step, Status.DONE)


def _by_account(steps: Sequence[Step], count: int) -> list[list[Step]]:
    """The steps in so many parts of about the same size, those of an account in one and in order."""
    some = sorted(step.owner for step in steps[::PICKED])
    borders = [some[len(some) * part // count] for part in range(1, count)]
    parts: list[list[Step]] = [[] for _ in range(count)]
    for step in steps:
        parts[bisect(borders, step.owner)].append(step)
    return parts


def _not_done(hand: Executor, broken: dict[str, Step], steps: Iterable[Step]) -> dict[int, _NotDone]:
    """Carry out steps; how those ended that are not simply done, by their number, as marshal knows it."""
    ends = enumerate(_in_order(hand, broken, steps))
    return {number: _plain(end) for number, end in ends if end.status is not Status.DONE}


def _plain(end: Outcome) -> _NotDone:
    return str(end.status), end.reason, (*end.trouble,) if end.trouble else ()


def _in_order(hand: Executor, broken: dict[str, Step], steps: Iterable[Step]) -> Iterator[Outcome]:
    """`broken` tells what could not be made ready, by account; it grows."""
    for step in steps:
        if broken and (before := broken.get(step.owner)):
            yield Outcome(step, Status.SKIPPED, f"could not {before}")
            continue
        try:
            hand(step)
            outcome = Outcome(step, Status.DONE)
        except (OSError, HostError, pidfd.ProcessChanged, StillInUse) as error:
            outcome = _other_end(step, error)
            if (
                outcome.status is Status.FAILED
                and isinstance(step, CreateCgroup | EnableControllers)
                and (account := step.owner)
            ):
                broken[account] = step
        except Exception as error:  # noqa: BLE001  (it costs the account alone: who knows what it would do next)
            found = trouble(error)
            outcome = Outcome(step, Status.FAILED, found.what, found)
            if account := step.owner:
                broken[account] = step
        yield outcome


def _other_end(step: Step, error: Exception) -> Outcome:
    match error:
        case ProcessLookupError() | pidfd.ProcessChanged():
            return Outcome(step, Status.GONE)
        case StillInUse():
            return Outcome(step, Status.PENDING, str(error))
        case OSError(errno=errno.EBUSY | errno.ENOTEMPTY) if isinstance(step, RemoveCgroup):
            return Outcome(step, Status.PENDING, "a process still lives in it")
        case OSError():
            return Outcome(step, Status.FAILED, _explained(step, error))
    return Outcome(step, Status.FAILED, str(error))


def _carry_out(kernel: Kernel, step: Step) -> None:
    cgroups, doors, records = kernel.cgroups, kernel.doors, kernel.records
    match step:
        case SetKnob(path, knob, value, was) if knob != "cpu.weight" or tree.inside(path):
            for text in kernel_writes(knob, value, was):
                cgroups.write(path, knob, text)
        case SetKnob(path, _, value):
            systemd.set_cpu_weight(os.path.basename(path), value)
        case CreateCgroup(path, mode):
            cgroups.create(path, mode)
        case EnableControllers(path, controllers):
            cgroups.write(path, "cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))
        case LowerMemory():
            lower_memory(cgroups, step)
        case MoveProcess(process, tree.NOWHERE):
            refused_logins.end(process)
        case MoveProcess(process, to):
            pidfd.move(cgroups, process, to)
        case EndRevoked(path, uid):
            end_of_uid(cgroups, path, uid)
        case RemoveCgroup(path):
            cgroups.remove(path)
        case SetDoor(name, target) if doors:
            doors.set(name, target)
        case RemoveDoor(name) if doors:
            doors.remove(name)
        case CompleteDoors() if doors:
            doors.complete()
        case _ if isinstance(step, ServiceStep) and records:
            apply_service_step(cgroups, records, step)
        case _:
            raise HostError("no doors are kept here")


def _explained(step: Step, error: OSError) -> str:
    """The kernel's answer, with what it means here."""
    reason = error.strerror or str(error)
    if isinstance(step, SetKnob | LowerMemory) and isinstance(error, FileNotFoundError):
        knob = step.knob if isinstance(step, SetKnob) else "memory.max"
        controller = knob.partition(".")[0]
        return f"this kernel offers no {knob} here (controller {controller}); see paas-isolate doctor"
    if isinstance(step, EnableControllers):
        return f"{reason}: the machine does not hand {' '.join(step.controllers)} down; see paas-isolate doctor"
    return reason
