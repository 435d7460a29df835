"""One look at the machine: what is there, what should be, and the steps between."""

import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.parts import Parts
from paas_isolate.changes.removal import Removals, removals
from paas_isolate.errors import PaasError, Trouble, without_broken
from paas_isolate.linux.kernel import Kernel
from paas_isolate.model.account import Fleet
from paas_isolate.model.intent import Intent
from paas_isolate.model.steps import Changes, DoorStep, Step
from paas_isolate.model.steps.bandwidth import BandwidthStep
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.world import DesiredWorld, ObservedWorld
from paas_isolate.observe import BANDWIDTH, DOORS, NETWORK, VIEWS, observe
from paas_isolate.service_state import Managed, services_now, services_to_manage

NO_ACCOUNT = "paas-isolate"
"""The name under which trouble of no account is reported."""


class Scope(NamedTuple):
    """How far a pass may go. `account` is the directory of the only account that it may change ('' for all),
    `confirm_removal` confirms the removal of many accounts at once, and `grace` is how many seconds it waits for
    services that are asked to end, or may start again in a moment."""

    account: str = ""
    confirm_removal: bool = False
    grace: float = 0.0

    def contains(self, directory: str) -> bool:
        return self.account in ("", directory)


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

    observed: ObservedWorld
    desired: DesiredWorld
    changes: Changes
    removals: Removals
    broken: Mapping[str, Trouble] = MappingProxyType({})


class Desired(NamedTuple):
    """What should be, the same at every look of a pass. `reconciler` is without the accounts that are `broken`."""

    reconciler: Reconciler
    world: DesiredWorld
    managed: Managed
    broken: Mapping[str, Trouble] = MappingProxyType({})

    def without(self, broken: Mapping[str, Trouble]) -> "Desired":
        return self._replace(broken={**self.broken, **broken})


def compare(reconciler: Reconciler) -> Comparison:
    """Look once and change nothing."""
    return look(desired_by(reconciler))[1]


def desired_world(reconciler: Reconciler) -> DesiredWorld:
    """What should be for the machine and the accounts of this reconciler, whatever there is now."""
    kernel = reconciler.kernel
    return desired_static(
        reconciler.intent,
        device_of=kernel.device_of,
        weight_cgroup=kernel.weight_cgroup,
        with_doors=kernel.doors is not None,
        with_views=kernel.namespaces is not None,
        with_bandwidth=kernel.bandwidth is not None,
    )


def desired_by(reconciler: Reconciler) -> Desired:
    """What should be. Accounts that raise an unexpected exception are left out and are `broken`."""
    names = tuple(reconciler.intent.fleet.accounts)
    desired, broken = without_broken(
        lambda working: _desired_of(_restricted(reconciler, working)), names, partial(_desired_part, reconciler)
    )
    return desired.without(broken)


def _restricted(reconciler: Reconciler, names: Sequence[str]) -> Reconciler:
    return reconciler.with_fleet(reconciler.intent.fleet.restricted_to(names))


def _desired_part(reconciler: Reconciler, names: Sequence[str]) -> Desired:
    """The desired state if these were the only accounts."""
    accounts = {name: reconciler.intent.fleet.accounts[name] for name in names}
    return _desired_of(reconciler.with_fleet(reconciler.intent.fleet._replace(accounts=accounts)))


def _desired_of(reconciler: Reconciler) -> Desired:
    world = desired_world(reconciler)
    managed, unmet = services_to_manage(reconciler.kernel, reconciler.intent, world.cgroups)
    return Desired(reconciler, world._replace(unmet={**world.unmet, **unmet}) if unmet else world, managed)


def look(desired: Desired, since: tuple[ObservedWorld, Collection[str]] | None = None) -> tuple[Desired, Comparison]:
    """Look at the machine and compare. The first answer is `desired` without the accounts that could not be compared.

    `since` is an earlier look of the same pass, with the account directories that were worked on after it.
    """
    reconciler = desired.reconciler
    unseen: dict[str, Trouble] = {}
    observed = observe(reconciler.kernel, reconciler.intent.fleet, since=since, broken=unseen)
    try:
        comparison = _compared(desired, observed)
    except PaasError:
        raise
    except Exception:  # noqa: BLE001  (the account that raises it is found in what follows)
        (comparison, rest), broken = _compared_apart(reconciler, observed)
        desired = rest.without(desired.broken).without(broken)
    return desired, _as_far_as_seen(comparison, desired, unseen)


def _compared_apart(
    reconciler: Reconciler, observed: ObservedWorld
) -> tuple[tuple[Comparison, Desired], Mapping[str, Trouble]]:
    """The comparison of the accounts that can be compared; and what the others raise."""
    parts = Parts(observed, reconciler.intent.fleet)

    def whole(names: Sequence[str]) -> tuple[Comparison, Desired]:
        desired = _desired_of(_restricted(reconciler, names))
        return _compared(desired, observed), desired

    def part(names: Sequence[str]) -> Comparison:
        directories = [reconciler.intent.fleet.accounts[name].directory for name in names]
        return _compared(_desired_part(reconciler, names), parts.of(directories))

    return without_broken(whole, tuple(reconciler.intent.fleet.accounts), part)


def _as_far_as_seen(comparison: Comparison, desired: Desired, unseen: Mapping[str, Trouble]) -> Comparison:
    """Drop the steps of accounts and parts that could not be observed completely."""
    if not unseen:
        return comparison._replace(broken=desired.broken)
    names = desired.reconciler.intent.fleet.names_by_directory()
    broken = {names.get(directory) or directory or NO_ACCOUNT: trouble for directory, trouble in unseen.items()}
    left = unseen.keys() - {""}  # "" owns what all accounts need
    changes = tuple(step for step in comparison.changes if step.owner not in left and _part_of(step) not in left)
    return comparison._replace(changes=changes, broken={**desired.broken, **broken})


def _part_of(step: Step) -> str:
    """The part, observed for all accounts at once, that a step changes; '' for none."""
    if isinstance(step, DoorStep):
        return DOORS
    if isinstance(step, NetworkStep):
        return NETWORK
    if isinstance(step, BandwidthStep):
        return BANDWIDTH
    return VIEWS if isinstance(step, NamespaceStep) else ""


def _compared(desired: Desired, observed: ObservedWorld) -> Comparison:
    kernel, intent, scope = desired.reconciler
    departing = removals(intent.fleet, observed, known=intent.removal_accepted, meant=scope.confirm_removal)
    staying = frozenset(departing.waiting) | frozenset(intent.fleet.on_last_good)
    world = desired_state(intent.fleet, desired.world, observed, staying=staying)
    now = time.time()
    world = world._replace(services=services_now(kernel, intent, desired.managed, observed, now, departing.accepted))
    changes = diff(world, observed, now)
    if scope.account:
        changes = tuple(step for step in changes if step.owner == "" or scope.contains(step.owner))
    return Comparison(observed, world, changes, departing)
