"""One turn of the reconciler: look, compare, mend, look again. Read this first."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.apply import Outcome, Status, apply
from paas_isolate.changes.conditions import Condition, condition
from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.parts import Parts
from paas_isolate.changes.removal import Removals, removals
from paas_isolate.changes.supervision import ManagedService, desired_services, managed_services
from paas_isolate.changes.touched import touched
from paas_isolate.errors import PaasError, Trouble, without_broken
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.network.sockets import not_listening, ready
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.intent import Intent
from paas_isolate.model.run import FOREVER, NO_WISH, DesiredServices, Run
from paas_isolate.model.steps import Changes, DoorStep, Step
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.steps.service import Start
from paas_isolate.model.world import World
from paas_isolate.observe import DOORS, NETWORK, VIEWS, observe

PAUSE = 0.02
"""Seconds between two questions whether somebody has ended."""

NOBODY = "paas-isolate"
"""What was broken where it is no account."""

ROUNDS = 10
"""Looks a run at the most: a process that forks while it is moved leaves a child for the next look."""


class Scope(NamedTuple):
    """How far a pass may go. `account` is the directory of the only account that it may change ('' for all),
    `confirm_removal` confirms the removal of many accounts at once, and `grace` is how many seconds it waits for
    services that are asked to end, or may start again in a moment."""

    account: str = ""
    confirm_removal: bool = False
    grace: float = 0.0


EVERYTHING = Scope()


class Reconciler(NamedTuple):
    """What a pass takes: the ports, what should be, and how far it may go."""

    kernel: Kernel
    intent: Intent
    scope: Scope = EVERYTHING

    def with_fleet(self, fleet: Fleet) -> "Reconciler":
        return self._replace(intent=self.intent._replace(fleet=fleet))


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
    """What was sold, the same at every look of a pass. `reconciler` is without the accounts that are `broken`."""

    reconciler: Reconciler
    world: World
    keep: Mapping[str, ManagedService]
    broken: Mapping[str, Trouble] = MappingProxyType({})

    def without(self, broken: Mapping[str, Trouble]) -> "_Desired":
        return self._replace(broken={**self.broken, **broken})


def compare(reconciler: Reconciler) -> Comparison:
    """Look once and change nothing."""
    return _compare(_desired_part(reconciler))[1]


def desired_intent(reconciler: Reconciler) -> World:
    """What should be of the house, and of those accounts that the reconciler is for, whatever there is now."""
    kernel = reconciler.kernel
    return desired_static(
        reconciler.intent,
        device_of=kernel.device_of,
        weight_cgroup=kernel.weight_cgroup,
        with_doors=kernel.doors is not None,
        with_views=kernel.namespaces is not None,
    )


def _desired_part(reconciler: Reconciler) -> _Desired:
    names = tuple(reconciler.intent.fleet.accounts)
    desired, broken = without_broken(
        lambda some: _desired_of(_without_others(reconciler, some)), names, partial(_desired_half, reconciler)
    )
    return desired.without(broken)


def _without_others(reconciler: Reconciler, names: Sequence[str]) -> Reconciler:
    return reconciler.with_fleet(reconciler.intent.fleet.restricted_to(names))


def _desired_half(reconciler: Reconciler, names: Sequence[str]) -> _Desired:
    """As if there were no others at all."""
    accounts = {name: reconciler.intent.fleet.accounts[name] for name in names}
    return _desired_of(reconciler.with_fleet(reconciler.intent.fleet._replace(accounts=accounts)))


def _desired_of(reconciler: Reconciler) -> _Desired:
    world = desired_intent(reconciler)
    keep, unmet = managed_services_of(reconciler, world)
    return _Desired(reconciler, world._replace(unmet={**world.unmet, **unmet}) if unmet else world, keep)


def managed_services_of(reconciler: Reconciler, world: World) -> tuple[Mapping[str, ManagedService], Mapping[str, str]]:
    """The programs that are kept, by leaf; and which cannot be, with the reason. `world` is what was sold."""
    if reconciler.kernel.records is None:
        return {}, {}
    return managed_services(reconciler.intent.fleet, world.cgroups, reconciler.intent.frozen, reconciler.intent.stopped)


def _compare(desired: _Desired, since: tuple[World, Collection[str]] | None = None) -> tuple[_Desired, Comparison]:
    """What was sold, of the accounts that could be looked at, and the look."""
    reconciler = desired.reconciler
    unseen: dict[str, Trouble] = {}
    observed = observe(reconciler.kernel, reconciler.intent.fleet, since=since, broken=unseen)
    try:
        found = _compared(desired, observed)
    except PaasError:
        raise
    except Exception:  # noqa: BLE001  (whoever it is that raises it is found in what follows)
        (found, again), broken = _compared_apart(reconciler, observed)
        desired = again.without(desired.broken).without(broken)
    return desired, _as_far_as_seen(found, desired, unseen)


def _compared_apart(
    reconciler: Reconciler, observed: World
) -> tuple[tuple[Comparison, _Desired], Mapping[str, Trouble]]:
    """Of the accounts that can be compared; and what the others raise."""
    parts = Parts(observed, reconciler.intent.fleet)

    def whole(names: Sequence[str]) -> tuple[Comparison, _Desired]:
        desired = _desired_of(_without_others(reconciler, names))
        return _compared(desired, observed), desired

    def part(names: Sequence[str]) -> Comparison:
        directories = [reconciler.intent.fleet.accounts[name].directory for name in names]
        return _compared(_desired_half(reconciler, names), parts.of(directories))

    return without_broken(whole, tuple(reconciler.intent.fleet.accounts), part)


def _as_far_as_seen(found: Comparison, desired: _Desired, unseen: Mapping[str, Trouble]) -> Comparison:
    """Nothing is done to an account that was not seen whole."""
    if not unseen:
        return found._replace(broken=desired.broken)
    names = {it.directory: it.name for it in desired.reconciler.intent.fleet.accounts.values()}
    broken = {names.get(directory) or directory or NOBODY: it for directory, it in unseen.items()}
    left = unseen.keys() - {""}  # which is nobody's: all stand on it
    changes = tuple(step for step in found.changes if step.owner not in left and _part_of(step) not in left)
    return found._replace(changes=changes, broken={**desired.broken, **broken})


def _part_of(step: Step) -> str:
    """What is looked at for all accounts at once, of which a step changes something."""
    if isinstance(step, DoorStep):
        return DOORS
    if isinstance(step, NetworkStep):
        return NETWORK
    return VIEWS if isinstance(step, NamespaceStep) else ""


def _compared(static: _Desired, observed: World) -> Comparison:
    reconciler = static.reconciler
    departing = removals(
        reconciler.intent.fleet,
        observed,
        known=reconciler.intent.removal_accepted,
        meant=reconciler.scope.confirm_removal,
    )
    staying = frozenset(departing.waiting) | frozenset(reconciler.intent.fleet.on_last_good)
    desired = desired_state(reconciler.intent.fleet, static.world, observed, staying=staying)
    now = time.time()
    desired = desired._replace(
        services=desired_services_now(reconciler, static.keep, observed, now, departing.accepted)
    )
    changes = diff(desired, observed, now)
    if reconciler.scope.account:
        changes = tuple(step for step in changes if step.owner in ("", reconciler.scope.account))
    return Comparison(observed, desired, changes, departing)


def conditions(reconciler: Reconciler, runs: Mapping[str, Run]) -> dict[str, Condition]:
    """How it stands with each program that is kept, by its leaf."""
    keep, _ = managed_services_of(reconciler, World())
    now = time.time()
    elsewhere = not_listening(kept.launch for leaf, kept in keep.items() if (run := runs.get(leaf)) and run.alive)
    return {
        leaf: condition(kept, runs.get(leaf), astray=elsewhere.get(kept.launch, ""), now=now)
        for leaf, kept in keep.items()
    }


def desired_services_now(
    reconciler: Reconciler,
    keep: Mapping[str, ManagedService],
    observed: World,
    now: float,
    accepted: Collection[str] = (),
) -> DesiredServices:
    """What is to run at this moment. What runs of accounts that nobody may remove is left as it is; of all, when the
    machine goes down."""
    if reconciler.kernel.records is None:
        return NO_WISH
    wished = desired_services(keep, observed.runs, observed.members, now, ready)
    ending = reconciler.kernel.records.ending
    known = {account.directory for account in reconciler.intent.fleet.accounts.values()} | set(accepted)
    strange = {leaf for leaf in observed.runs if leaf not in keep and tree.directory_of(leaf) not in known}
    if ending:
        return wished._replace(
            run=dict.fromkeys((*observed.runs, *keep)), due_times={}, missed=frozenset(), failure_unreported={}
        )
    if not strange:
        return wished
    dues = {leaf: due for leaf, due in wished.due_times.items() if leaf not in strange}
    return wished._replace(run={**wished.run, **dict.fromkeys(strange)}, due_times=dues)


def reconcile(reconciler: Reconciler, tell: Callable[[Outcome], None]) -> Report:
    """Mend what differs, look again until nothing new differs, and report what could not be mended. An account on which
    an error of our own is raised stays as it is, and the others are worked on."""
    outcomes: list[Outcome] = []
    failed: dict[str, Trouble] = {}
    desired = _desired_part(reconciler)
    since = None
    until = time.monotonic() + reconciler.scope.grace
    left = ROUNDS
    while left:
        desired, last = _compare(desired, since)
        tried = {outcome.step for outcome in outcomes} if last.changes else ()
        new = tuple(step for step in last.changes if step not in tried and step.owner not in failed)
        since = (last.observed, touched(new)) if new else None
        if not new and not _wait(reconciler, last, until):
            break
        for outcome in apply(reconciler.kernel, new):
            outcomes.append(outcome)
            tell(outcome)
            if outcome.trouble:
                failed[outcome.step.owner or NOBODY] = outcome.trouble
        left -= 1 if new else 0
    if reconciler.kernel.network:
        reconciler.kernel.network.remember()
    names = {it.directory: it.name for it in reconciler.intent.fleet.accounts.values()}
    broken = {names.get(whose, whose): found for whose, found in failed.items()}
    return Report(tuple(outcomes), last, tuple(_remaining(last.changes, outcomes)), {**broken, **last.broken})


def _wait(reconciler: Reconciler, last: Comparison, until: float) -> bool:
    """Whether something may have changed meanwhile: somebody was asked to end, or waits for that of another."""
    ending = [
        leaf for leaf, run in last.observed.runs.items() if run.stop_requested_at and leaf in last.observed.members
    ]
    ending = [leaf for leaf in ending if reconciler.scope.account in ("", tree.directory_of(leaf))]
    waiting = [
        leaf for leaf in last.desired.services.waiting if reconciler.scope.account in ("", tree.directory_of(leaf))
    ]
    if not ending and not waiting:
        return False
    killed = min((last.observed.runs[leaf].kill_due for leaf in ending), default=FOREVER) - time.time()
    soon = min(until, time.monotonic() + min(killed, 1.0))
    while time.monotonic() < soon and all(reconciler.kernel.cgroups.populated(leaf) for leaf in ending):
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
