"""Steps -> kernel: each step goes to its port and ends as an Outcome; a step that fails does not stop the pass."""

import errno
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, takewhile
from typing import TypeVar, assert_never

from paas_isolate.errors import HostError, Trouble, trouble
from paas_isolate.linux.cgroup.lowering import StillInUse
from paas_isolate.linux.cgroup.steps import apply_cgroup_step
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.namespaces.steps import apply_namespace_steps
from paas_isolate.linux.network.bandwidth_steps import apply_bandwidth_steps
from paas_isolate.linux.network.steps import apply_network_steps
from paas_isolate.linux.pam.steps import apply_door_step
from paas_isolate.linux.process import fork, pidfd
from paas_isolate.linux.quota.steps import apply_quota_steps
from paas_isolate.linux.services.steps import apply_service_step
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import CgroupStep, Changes, DoorStep, Step
from paas_isolate.model.steps.bandwidth import BandwidthStep
from paas_isolate.model.steps.cgroup import CreateCgroup, EnableControllers, LowerMemory, RemoveCgroup, SetKnob
from paas_isolate.model.steps.door import SetDoor
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.steps.quota import SetQuota
from paas_isolate.model.steps.service import ServiceStep

WORTH_A_PROCESS = 1000
"""Steps: a fork(2) and the way back cost as much as some hundred."""

SAMPLING = 97
"""One step of so many is looked at to find where the shares begin."""

_NotDone = tuple[str, str, tuple[str, ...]]
"""The status, reason and trouble of an outcome, as marshal knows them."""

_Broken = dict[str, Step]
"""Account directory -> the step after which nothing more is done to the account: it could not make the cgroups ready,
or has raised an unexpected exception."""

BatchStep = NetworkStep | NamespaceStep | SetQuota | BandwidthStep
"""Steps of which a port carries out many at once."""


Port = TypeVar("Port")


def apply(kernel: Kernel, changes: Changes) -> Iterator[Outcome]:
    """Carry out the steps in order and yield one outcome each, as they end. Whatever a step raises is its outcome.

    When a cgroup cannot be made ready, the later steps of its account are skipped. A knob that cannot be written
    holds nothing else back: better confined by nine knobs than free of ten.
    Many knobs are written in shares, those of an account and its doors in order by one process. Cgroups are
    made by one process: the kernel makes one at a time (cgroup_mutex, kernel/cgroup/cgroup.c).
    """
    broken: _Broken = {}
    structure = tuple(takewhile(lambda step: not isinstance(step, SetKnob | BatchStep), changes))
    knobs = tuple(takewhile(lambda step: isinstance(step, SetKnob | SetDoor), changes[len(structure) :]))
    yield from _in_order(kernel, broken, structure)
    yield from _in_shares(kernel, broken, knobs)
    rest = changes[len(structure) + len(knobs) :]
    for _, steps in groupby(rest, _kind):
        yield from _in_batches(kernel, broken, tuple(steps))


def _kind(step: Step) -> int:
    """The same number for steps that go to one port together when they stand beside each other."""
    if isinstance(step, NetworkStep):
        return 1
    if isinstance(step, NamespaceStep):
        return 2
    if isinstance(step, BandwidthStep):
        return 4
    return 3 if isinstance(step, SetQuota) else 0


def _in_batches(kernel: Kernel, broken: _Broken, steps: Sequence[Step]) -> Iterator[Outcome]:
    """Carry out steps of one kind."""
    if network := [step for step in steps if isinstance(step, NetworkStep)]:
        yield from apply_network_steps(_required(kernel.network, "network"), network)
    elif views := [step for step in steps if isinstance(step, NamespaceStep)]:
        yield from apply_namespace_steps(_required(kernel.namespaces, "namespaces"), broken, views)
    elif quotas := [step for step in steps if isinstance(step, SetQuota)]:
        yield from apply_quota_steps(_required(kernel.quotas, "quotas"), quotas)
    elif rates := [step for step in steps if isinstance(step, BandwidthStep)]:
        yield from apply_bandwidth_steps(_required(kernel.bandwidth, "bandwidth"), rates)
    else:
        yield from _in_order(kernel, broken, steps)


def _required(port: Port | None, name: str) -> Port:
    """A port for which there are steps. HostError where this pass works without it."""
    if port is None:
        raise HostError(f"this pass works without {name}")
    return port


def _in_shares(kernel: Kernel, broken: _Broken, steps: Sequence[Step]) -> Iterator[Outcome]:
    count = fork.worker_count(len(steps), least=WORTH_A_PROCESS)
    if count == 1:
        yield from _in_order(kernel, broken, steps)
        return
    shares = _by_account(steps, count)
    for share, ends in zip(shares, fork.map_forked(partial(_not_done, kernel, broken), shares), strict=True):
        for number, step in enumerate(share):
            if number in ends:
                status, reason, raised = ends[number]
                if raised and (account := step.owner):
                    broken[account] = step
                yield Outcome(step, Status(status), reason, Trouble(*raised) if raised else None)
            else:
                yield Outcome(step, Status.DONE)


def _by_account(steps: Sequence[Step], count: int) -> list[list[Step]]:
    """The steps in so many shares of about the same size, those of an account in one share and in order."""
    owners = sorted(step.owner for step in steps[::SAMPLING])
    borders = [owners[len(owners) * number // count] for number in range(1, count)]
    shares: list[list[Step]] = [[] for _ in range(count)]
    for step in steps:
        shares[bisect(borders, step.owner)].append(step)
    return shares


def _not_done(kernel: Kernel, broken: _Broken, steps: Iterable[Step]) -> dict[int, _NotDone]:
    """Carry out steps; how those ended that are not simply done, by their number."""
    outcomes = enumerate(_in_order(kernel, broken, steps))
    return {number: _plain(outcome) for number, outcome in outcomes if outcome.status is not Status.DONE}


def _plain(outcome: Outcome) -> _NotDone:
    return str(outcome.status), outcome.reason, (*outcome.trouble,) if outcome.trouble else ()


def _in_order(kernel: Kernel, broken: _Broken, steps: Iterable[Step]) -> Iterator[Outcome]:
    """Carry out the steps one by one. Steps of accounts in `broken` are skipped; `broken` grows as _Broken says."""
    for step in steps:
        if broken and (before := broken.get(step.owner)):
            yield Outcome(step, Status.SKIPPED, f"could not {before}")
            continue
        try:
            _carry_out(kernel, step)
            outcome = Outcome(step, Status.DONE)
        except (OSError, HostError, pidfd.ProcessChanged, StillInUse) as error:
            outcome = _outcome_of(step, error)
            if (
                outcome.status is Status.FAILED
                and isinstance(step, CreateCgroup | EnableControllers)
                and (account := step.owner)
            ):
                broken[account] = step
        except Exception as error:  # noqa: BLE001  (a bug costs the account alone: nothing more is done to it)
            raised = trouble(error)
            outcome = Outcome(step, Status.FAILED, raised.what, raised)
            if account := step.owner:
                broken[account] = step
        yield outcome


def _carry_out(kernel: Kernel, step: Step) -> None:
    if isinstance(step, CgroupStep):
        apply_cgroup_step(kernel.cgroups, step)
    elif isinstance(step, DoorStep):
        apply_door_step(_required(kernel.doors, "doors"), step)
    elif isinstance(step, ServiceStep):
        apply_service_step(kernel.cgroups, _required(kernel.records, "records of services"), step)
    elif isinstance(step, BatchStep):
        raise HostError(f"steps of this kind are carried out together: {step}")
    else:
        assert_never(step)


def _outcome_of(step: Step, error: Exception) -> Outcome:
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
