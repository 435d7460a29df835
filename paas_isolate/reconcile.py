"""One turn of the wheel: look, compare, mend, look again. Read this first."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.apply import Outcome, Status, apply
from paas_isolate.changes.conditions import Condition, condition
from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.knob_compiler import DeviceOf
from paas_isolate.changes.parts import Parts
from paas_isolate.changes.removal import Removals, removals
from paas_isolate.changes.supervision import ManagedService, desired_services, managed_services
from paas_isolate.changes.touched import touched
from paas_isolate.errors import PaasError, Trouble, without_broken
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.network.sockets import not_listening, ready
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.process.commands import CommandReader
from paas_isolate.linux.services.records import RunRecords
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.machine import Machine
from paas_isolate.model.network import NetworkPort
from paas_isolate.model.quota import QuotaPort
from paas_isolate.model.run import FOREVER, NO_WISH, DesiredServices, Run
from paas_isolate.model.steps import Changes, DoorStep, Step
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.steps.service import Start
from paas_isolate.model.view import NamespacePort
from paas_isolate.model.world import World
from paas_isolate.observe import DOORS, NETWORK, VIEWS, observe

PAUSE = 0.02
"""Seconds between two questions whether somebody has ended."""

NOBODY = "paas-isolate"
"""What was broken where it is no account."""

ROUNDS = 10
"""Looks a run at the most: a process that forks while it is moved leaves a child for the next look."""


class Wheel(NamedTuple):
    """What a turn works on. `records` tell what runs, where paas-isolate runs anything. `held` are frozen accounts and
    services, `stopped` services that are not to run, `departed` the directories whose removal was accepted before,
    `meant` confirms a removal of many, `only` narrows all to one account's directory. `patience` is how many seconds
    a turn waits for services that are asked to end, or may start again in a moment."""

    cgroups: CgroupTree
    fleet: Fleet
    machine: Machine
    device_of: DeviceOf
    controllers: tuple[str, ...]
    weight_cgroup: str
    doors: DoorDirectory | None = None
    network: NetworkPort | None = None
    records: RunRecords | None = None
    namespaces: NamespacePort | None = None
    quotas: QuotaPort | None = None
    frozen: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    removal_accepted: frozenset[str] = frozenset()
    confirm_removal: bool = False
    account: str = ""
    grace: float = 0.0
    commands: CommandReader | None = None


class Comparison(NamedTuple):
    """The world as it is, as it should be, and the steps between. `broken` are accounts that could not be worked on: no
    step is theirs, and nothing of theirs goes."""

    observed: World
    desired: World
    changes: Changes
    removals: Removals
    broken: Mapping[str, Trouble] = MappingProxyType({})


class Report(NamedTuple):
    """What was done, and what still differs after the last look."""

    outcomes: tuple[Outcome, ...]
    last: Comparison
    remaining: tuple[Outcome, ...]
    broken: Mapping[str, Trouble] = MappingProxyType({})
    """Accounts that could not be worked on, for what nobody expected to be raised; they stay as they are."""

    def ended(self, ending: Status) -> bool:
        """Whether anything is left that ended so."""
        return any(outcome.status is ending for outcome in self.remaining)

    @property
    def unmet(self) -> tuple[str, ...]:
        """Limits that this machine cannot keep at all."""
        return tuple(self.last.desired.unmet.values())

    @property
    def late(self) -> tuple[str, ...]:
        """What could not be looked at in time: it stays as it was."""
        return tuple(self.last.desired.late.values())


class _Desired(NamedTuple):
    """What was sold, the same at every look of a run. `wheel` is without the accounts that are `broken`."""

    wheel: Wheel
    world: World
    keep: Mapping[str, ManagedService]
    broken: Mapping[str, Trouble] = MappingProxyType({})

    def without(self, broken: Mapping[str, Trouble]) -> "_Desired":
        return self._replace(broken={**self.broken, **broken})


def compare(wheel: Wheel) -> Comparison:
    """Look once and change nothing."""
    return _compare(_desired_part(wheel))[1]


def desired_intent(wheel: Wheel) -> World:
    """What should be of the house, and of those accounts that the wheel is for, whatever there is now."""
    return desired_static(
        wheel.fleet,
        machine=wheel.machine,
        device_of=wheel.device_of,
        held=wheel.frozen,
        weight_at=wheel.weight_cgroup,
        controllers=wheel.controllers,
        with_doors=wheel.doors is not None,
        with_views=wheel.namespaces is not None,
    )


def _desired_part(wheel: Wheel) -> _Desired:
    names = tuple(wheel.fleet.accounts)
    sold, broken = without_broken(
        lambda some: _desired_of(_without_others(wheel, some)), names, partial(_desired_half, wheel)
    )
    return sold.without(broken)


def _without_others(wheel: Wheel, names: Sequence[str]) -> Wheel:
    return wheel._replace(fleet=wheel.fleet.restricted_to(names))


def _desired_half(wheel: Wheel, names: Sequence[str]) -> _Desired:
    """As if there were no others at all."""
    accounts = {name: wheel.fleet.accounts[name] for name in names}
    return _desired_of(wheel._replace(fleet=wheel.fleet._replace(accounts=accounts)))


def _desired_of(wheel: Wheel) -> _Desired:
    world = desired_intent(wheel)
    keep, unmet = managed_services_of(wheel, world)
    return _Desired(wheel, world._replace(unmet={**world.unmet, **unmet}) if unmet else world, keep)


def managed_services_of(wheel: Wheel, world: World) -> tuple[Mapping[str, ManagedService], Mapping[str, str]]:
    """The programs that are kept, by leaf; and which cannot be, with the reason. `world` is what was sold."""
    if wheel.records is None:
        return {}, {}
    return managed_services(wheel.fleet, world.cgroups, wheel.frozen, wheel.stopped)


def _compare(sold: _Desired, since: tuple[World, Collection[str]] | None = None) -> tuple[_Desired, Comparison]:
    """What was sold, of the accounts that could be looked at, and the look."""
    wheel = sold.wheel
    unseen: dict[str, Trouble] = {}
    observed = observe(
        wheel.cgroups,
        wheel.fleet,
        weight_at=wheel.weight_cgroup,
        doors=wheel.doors,
        wires=wheel.network,
        records=wheel.records,
        looks=wheel.namespaces,
        rations=wheel.quotas,
        since=since,
        commands=wheel.commands,
        broken=unseen,
    )
    try:
        found = _compared(sold, observed)
    except PaasError:
        raise
    except Exception:  # noqa: BLE001  (whoever it is that raises it is found in what follows)
        (found, again), broken = _compared_apart(wheel, observed)
        sold = again.without(sold.broken).without(broken)
    return sold, _as_far_as_seen(found, sold, unseen)


def _compared_apart(wheel: Wheel, observed: World) -> tuple[tuple[Comparison, _Desired], Mapping[str, Trouble]]:
    """Of the accounts that can be compared; and what the others raise."""
    parts = Parts(observed, wheel.fleet)

    def whole(names: Sequence[str]) -> tuple[Comparison, _Desired]:
        sold = _desired_of(_without_others(wheel, names))
        return _compared(sold, observed), sold

    def part(names: Sequence[str]) -> Comparison:
        directories = [wheel.fleet.accounts[name].directory for name in names]
        return _compared(_desired_half(wheel, names), parts.of(directories))

    return without_broken(whole, tuple(wheel.fleet.accounts), part)


def _as_far_as_seen(found: Comparison, sold: _Desired, unseen: Mapping[str, Trouble]) -> Comparison:
    """Nothing is done to an account that was not seen whole."""
    if not unseen:
        return found._replace(broken=sold.broken)
    names = {it.directory: it.name for it in sold.wheel.fleet.accounts.values()}
    broken = {names.get(directory) or directory or NOBODY: it for directory, it in unseen.items()}
    left = unseen.keys() - {""}  # which is nobody's: all stand on it
    changes = tuple(step for step in found.changes if step.owner not in left and _part_of(step) not in left)
    return found._replace(changes=changes, broken={**sold.broken, **broken})


def _part_of(step: Step) -> str:
    """What is looked at for all accounts at once, of which a step changes something."""
    if isinstance(step, DoorStep):
        return DOORS
    if isinstance(step, NetworkStep):
        return NETWORK
    return VIEWS if isinstance(step, NamespaceStep) else ""


def _compared(sold: _Desired, observed: World) -> Comparison:
    wheel = sold.wheel
    departing = removals(wheel.fleet, observed, known=wheel.removal_accepted, meant=wheel.confirm_removal)
    staying = frozenset(departing.waiting) | frozenset(wheel.fleet.on_last_good)
    desired = desired_state(wheel.fleet, sold.world, observed, staying=staying)
    now = time.time()
    desired = desired._replace(services=desired_services_now(wheel, sold.keep, observed, now, departing.accepted))
    changes = diff(desired, observed, now)
    if wheel.account:
        changes = tuple(step for step in changes if step.owner in ("", wheel.account))
    return Comparison(observed, desired, changes, departing)


def conditions(wheel: Wheel, runs: Mapping[str, Run]) -> dict[str, Condition]:
    """How it stands with each program that is kept, by its leaf."""
    keep, _ = managed_services_of(wheel, World())
    now = time.time()
    elsewhere = not_listening(kept.launch for leaf, kept in keep.items() if (run := runs.get(leaf)) and run.alive)
    return {
        leaf: condition(kept, runs.get(leaf), astray=elsewhere.get(kept.launch, ""), now=now)
        for leaf, kept in keep.items()
    }


def desired_services_now(
    wheel: Wheel, keep: Mapping[str, ManagedService], observed: World, now: float, accepted: Collection[str] = ()
) -> DesiredServices:
    """What is to run at this moment. What runs of accounts that nobody may remove is left as it is; of all, when the
    machine goes down."""
    if wheel.records is None:
        return NO_WISH
    wished = desired_services(keep, observed.runs, observed.members, now, ready)
    ending = wheel.records.ending
    known = {sold.directory for sold in wheel.fleet.accounts.values()} | set(accepted)
    strange = {leaf for leaf in observed.runs if leaf not in keep and tree.directory_of(leaf) not in known}
    if ending:
        return wished._replace(
            run=dict.fromkeys((*observed.runs, *keep)), due_times={}, missed=frozenset(), failure_unreported={}
        )
    if not strange:
        return wished
    dues = {leaf: due for leaf, due in wished.due_times.items() if leaf not in strange}
    return wished._replace(run={**wished.run, **dict.fromkeys(strange)}, due_times=dues)


def reconcile(wheel: Wheel, tell: Callable[[Outcome], None]) -> Report:
    """Mend what differs, look again until nothing new differs, and report what could not be mended. An account on which
    an error of our own is raised stays as it is, and the others are worked on."""
    outcomes: list[Outcome] = []
    failed: dict[str, Trouble] = {}
    sold = _desired_part(wheel)
    since = None
    until = time.monotonic() + wheel.grace
    left = ROUNDS
    while left:
        sold, last = _compare(sold, since)
        tried = {outcome.step for outcome in outcomes} if last.changes else ()
        new = tuple(step for step in last.changes if step not in tried and step.owner not in failed)
        since = (last.observed, touched(new)) if new else None
        if not new and not _wait(wheel, last, until):
            break
        for outcome in apply(
            wheel.cgroups, new, wheel.doors, wheel.network, wheel.namespaces, wheel.records, wheel.quotas
        ):
            outcomes.append(outcome)
            tell(outcome)
            if outcome.trouble:
                failed[outcome.step.owner or NOBODY] = outcome.trouble
        left -= 1 if new else 0
    names = {it.directory: it.name for it in wheel.fleet.accounts.values()}
    broken = {names.get(whose, whose): found for whose, found in failed.items()}
    return Report(tuple(outcomes), last, tuple(_remaining(last.changes, outcomes)), {**broken, **last.broken})


def _wait(wheel: Wheel, last: Comparison, until: float) -> bool:
    """Whether something may have changed meanwhile: somebody was asked to end, or waits for that of another."""
    ending = [
        leaf for leaf, run in last.observed.runs.items() if run.stop_requested_at and leaf in last.observed.members
    ]
    ending = [leaf for leaf in ending if wheel.account in ("", tree.directory_of(leaf))]
    waiting = [leaf for leaf in last.desired.services.waiting if wheel.account in ("", tree.directory_of(leaf))]
    if not ending and not waiting:
        return False
    killed = min((last.observed.runs[leaf].kill_due for leaf in ending), default=FOREVER) - time.time()
    soon = min(until, time.monotonic() + min(killed, 1.0))
    while time.monotonic() < soon and all(wheel.cgroups.populated(leaf) for leaf in ending):
        time.sleep(PAUSE)
    return time.monotonic() < until


def _remaining(changes: Changes, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    ended = {outcome.step: outcome for outcome in outcomes} if changes else {}
    for step in changes:
        yield _left(step, ended.get(step))


def _left(step: Step, outcome: Outcome | None) -> Outcome:
    """Why a step is still to be done after the last look."""
    if outcome is None:
        return Outcome(step, Status.PENDING, "it came up during the last look")
    if isinstance(step, Start) and outcome.status is Status.DONE:
        return Outcome(step, Status.PENDING, "its program has ended again")
    if outcome.status in (Status.DONE, Status.GONE):
        return Outcome(step, Status.FAILED, "it was carried out, and differs again")
    return outcome
