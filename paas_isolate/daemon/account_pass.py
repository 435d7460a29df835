"""A pass over one account: observe, compare, apply, observe again. It looks at no other account."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.apply import apply
from paas_isolate.changes.bandwidth import IN, OUT, sells_bandwidth
from paas_isolate.changes.desired import desired_state
from paas_isolate.changes.diff import diff
from paas_isolate.changes.doors import desired_doors
from paas_isolate.changes.placement import Placement
from paas_isolate.compare import Reconciler, desired_world
from paas_isolate.linux.cgroup.tree import PROCS
from paas_isolate.linux.services.steps import runs
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.bandwidth import Bandwidth
from paas_isolate.model.network import Network
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.quota import Quotas
from paas_isolate.model.run import Run
from paas_isolate.model.steps import Changes
from paas_isolate.model.view import Views
from paas_isolate.model.world import COMPLETE, DesiredWorld
from paas_isolate.observe import observe_account
from paas_isolate.rounds import run_rounds
from paas_isolate.service_state import services_now, services_to_manage


class AccountChange(NamedTuple):
    """An account as it was, None where it is new, and as it is to be."""

    before: Account | None
    account: Account

    def changes_network(self, *, names: bool) -> bool:
        """Whether the network, which is observed as a whole, changes. `names`: services have host names."""
        if self.before is None:
            return bool(self.account.addresses)
        return _network_inputs(self.before, names=names) != _network_inputs(self.account, names=names)

    @property
    def changes_more_than_cgroups(self) -> bool:
        """Whether its view, a disk quota or its bandwidth changes: they are observed for all accounts at once."""
        before = _beside_cgroups(self.before) if self.before else (None, None, None)
        return before != _beside_cgroups(self.account)

    @property
    def newcomers(self) -> frozenset[int]:
        """Uids that are new to the account: their processes may run in any cgroup."""
        before = self.before.uids.values() if self.before else ()
        return frozenset(self.account.uids.values()) - frozenset(before)


def _beside_cgroups(account: Account) -> tuple[object, object, object]:
    """The inputs of the account's view, of its users' quotas and of its bandwidth."""
    quota = (account.disk, account.uids, account.home) if account.disk else None
    rates = (account.limits.get(OUT), account.limits.get(IN), account.uids) if sells_bandwidth(account.limits) else None
    return account.view, quota, rates


def _network_inputs(account: Account, *, names: bool) -> object:
    """All of an account that the network depends on."""
    ports = (
        []
        if account.suspended
        else [(service.listen, service.publish) for service in account.services if service.publish]
    )
    named = [service.name for service in account.services] if names else []
    return account.addresses, account.uids, account.peers, account.loopback, account.egress, ports, named


def restricted_to(fleet: Fleet, *accounts: Account) -> Fleet:
    """The fleet with these accounts alone."""
    return fleet._replace(accounts={account.name: account for account in accounts}, on_last_good={})


def runs_of(reconciler: Reconciler, leaves: Sequence[str]) -> dict[str, Run]:
    """The last run of each of these leaves."""
    if reconciler.kernel.records is None:
        return {}
    seen = {leaf: reconciler.kernel.cgroups.look(leaf, (PROCS,)) for leaf in leaves}
    members = {leaf: looked[1] for leaf, looked in seen.items() if looked}
    return runs(reconciler.kernel.cgroups, reconciler.kernel.records, members, leaves)


def account_world(reconciler: Reconciler, account: Account) -> DesiredWorld:
    """The desired state of one account. The fleet of `reconciler` has no other account."""
    world = desired_world(reconciler)
    cgroups = {path: knobs for path, knobs in world.cgroups.items() if tree.directory_of(path) == account.directory}
    doors = {name: target for name, target in world.doors.items() if name != COMPLETE}
    world = world._replace(network=Network(), views=Views(), quotas=Quotas(), bandwidth=Bandwidth())
    return world._replace(cgroups=cgroups, doors=doors)


def can_reconcile(reconciler: Reconciler, edit: AccountChange) -> bool:
    """Whether a pass over this account alone suffices: the tree, the doors and the account's view stand."""
    account = edit.account
    if account.directory in reconciler.intent.removal_accepted or not reconciler.kernel.cgroups.exists(tree.USERS):
        return False
    if edit.changes_more_than_cgroups:
        return False
    if edit.before is None and reconciler.kernel.cgroups.exists(tree.account(account.directory)):
        return False
    return reconciler.kernel.doors is None or bool(reconciler.kernel.doors.observe_door((COMPLETE,)))


class AccountResult(NamedTuple):
    """`settled`: nothing is left to do. `dues`: by leaf, when a waiting service is due, in seconds since the epoch."""

    settled: bool
    dues: Mapping[str, float] = MappingProxyType({})


def reconcile_account(
    reconciler: Reconciler,
    world: DesiredWorld,
    edit: AccountChange,
    places: Placement,
    report: Callable[[Outcome], None],
) -> AccountResult:
    """Reconcile one account with `world`, its desired state. `places` must know the account as it is now."""
    looks = _AccountLooks(reconciler, world, edit, places)
    rounds = run_rounds(looks.look, partial(apply, reconciler.kernel), report)
    reconciler.kernel.tell(rounds.outcomes)
    return AccountResult(not rounds.last, looks.due_times)


class _AccountLooks:
    """The looks of a pass over one account."""

    def __init__(self, reconciler: Reconciler, world: DesiredWorld, edit: AccountChange, places: Placement) -> None:
        self._kernel, self._intent = reconciler.kernel, reconciler.intent
        self._world, self._edit, self._places = world, edit, places
        self._managed, _ = services_to_manage(self._kernel, self._intent, world.cgroups)
        before = _doors(reconciler, edit.before)
        # COMPLETE belongs to no account: a pass over all accounts sets it
        self._doors = (frozenset(world.doors) | frozenset(before)) - {COMPLETE}
        self.due_times: Mapping[str, float] = {}

    def look(self, _: Changes) -> Changes:
        kernel = self._kernel
        observed = observe_account(kernel, self._edit.account, self._places, self._edit.newcomers)
        observed = observed._replace(doors=kernel.doors.observe_door(self._doors) if kernel.doors else {})
        now = time.time()
        desired = desired_state(self._intent.fleet, self._world, observed, places=self._places)
        services = services_now(kernel, self._intent, self._managed, observed, now)
        self.due_times = services.due_times
        return diff(desired._replace(services=services), observed, now)


def _doors(reconciler: Reconciler, before: Account | None) -> dict[str, str]:
    return (
        desired_doors(restricted_to(reconciler.intent.fleet, before), reconciler.intent.frozen)
        if before and reconciler.kernel.doors
        else {}
    )


def same_network(edit: AccountChange, fleet: Fleet) -> bool:
    """Whether the network is as it was; a machine without one has none that could change."""
    network = fleet.host.network
    return network is None or not edit.changes_network(names=network.names)
