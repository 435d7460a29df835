"""One account's turn of the reconciler: look, compare, mend, look again, where nobody else is concerned."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.apply import apply
from paas_isolate.changes.desired import desired_state
from paas_isolate.changes.diff import diff
from paas_isolate.changes.doors import desired_doors
from paas_isolate.changes.placement import Placement
from paas_isolate.linux.cgroup.tree import PROCS
from paas_isolate.linux.services.steps import runs
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.network import Network
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.quota import Quotas
from paas_isolate.model.run import Run
from paas_isolate.model.steps import Step
from paas_isolate.model.view import Views
from paas_isolate.model.world import COMPLETE, World
from paas_isolate.observe import observe_account
from paas_isolate.reconcile import ROUNDS, Reconciler, desired_intent, desired_services_now, managed_services_of


class AccountChange(NamedTuple):
    """An account as it was, None where it is new, and as it is to be."""

    before: Account | None
    sold: Account

    def changes_network(self, *, names: bool) -> bool:
        """Whether anything changes in the network, which is seen as a whole; `names`: services have names there."""
        if self.before is None:
            return bool(self.sold.addresses)
        return _wired(self.before, names=names) != _wired(self.sold, names=names)

    @property
    def changes_view_or_quota(self) -> bool:
        """Whether its view or the disk quota of a user is another: both are looked at as a whole."""
        before = _elsewhere(self.before) if self.before else (None, None)
        return before != _elsewhere(self.sold)

    @property
    def newcomers(self) -> frozenset[int]:
        """Uids whose processes may be anywhere."""
        before = self.before.uids.values() if self.before else ()
        return frozenset(self.sold.uids.values()) - frozenset(before)


def _elsewhere(account: Account) -> tuple[object, object]:
    """What of an account is neither in its cgroups nor in the network."""
    return account.view, (account.disk, account.uids, account.home) if account.disk else None


def _wired(account: Account, *, names: bool) -> object:
    """Everything of an account that the network is made from."""
    ports = (
        []
        if account.suspended
        else [(service.listen, service.publish) for service in account.services if service.publish]
    )
    named = [it.name for it in account.services] if names else []
    return account.addresses, account.uids, account.peers, account.loopback, account.egress, ports, named


def restricted_to(fleet: Fleet, *accounts: Account) -> Fleet:
    """The host with these accounts alone."""
    return fleet._replace(accounts={account.name: account for account in accounts}, on_last_good={})


def runs_of(reconciler: Reconciler, leaves: Sequence[str]) -> dict[str, Run]:
    """What ran last in these leaves."""
    if reconciler.kernel.records is None:
        return {}
    seen = {leaf: reconciler.kernel.cgroups.look(leaf, (PROCS,)) for leaf in leaves}
    return runs(
        reconciler.kernel.cgroups, reconciler.kernel.records, {leaf: it[1] for leaf, it in seen.items() if it}, leaves
    )


def account_world(reconciler: Reconciler, account: Account) -> World:
    """What one account should be; `reconciler` is of a fleet that has no other."""
    world = desired_intent(reconciler)
    cgroups = {path: knobs for path, knobs in world.cgroups.items() if tree.directory_of(path) == account.directory}
    doors = {name: target for name, target in world.doors.items() if name != COMPLETE}
    return world._replace(cgroups=cgroups, doors=doors, network=Network(), views=Views(), quotas=Quotas())


def can_reconcile(reconciler: Reconciler, edit: AccountChange) -> bool:
    """Whether everything around it is as a whole turn left it."""
    account = edit.sold
    if account.directory in reconciler.intent.removal_accepted or not reconciler.kernel.cgroups.exists(tree.USERS):
        return False
    if edit.changes_view_or_quota:
        return False
    if edit.before is None and reconciler.kernel.cgroups.exists(tree.account(account.directory)):
        return False
    return reconciler.kernel.doors is None or bool(reconciler.kernel.doors.observe_door((COMPLETE,)))


class AccountResult(NamedTuple):
    """Whether nothing is left to do, and when to look again at leaves that wait, in seconds since the epoch."""

    settled: bool
    dues: Mapping[str, float] = MappingProxyType({})


def reconcile_account(
    reconciler: Reconciler, world: World, edit: AccountChange, places: Placement, tell: Callable[[Outcome], None]
) -> AccountResult:
    """`world` is what should be; `places` know the account as it is now."""
    tried: set[Step] = set()
    # not the one that says that all are there: that is no account's, and a whole turn's to say
    doors = (frozenset(world.doors) | frozenset(_doors(reconciler, edit.before))) - {COMPLETE}
    keep = managed_services_of(reconciler, world)[0]
    desired = world
    for _ in range(ROUNDS):
        observed = observe_account(reconciler.kernel, edit.sold, places, edit.newcomers)
        observed = observed._replace(
            doors=reconciler.kernel.doors.observe_door(doors) if reconciler.kernel.doors else {}
        )
        now = time.time()
        desired = desired_state(reconciler.intent.fleet, world, observed, places=places)
        desired = desired._replace(services=desired_services_now(reconciler, keep, observed, now))
        changes = diff(desired, observed, now)
        new = tuple(step for step in changes if step not in tried)
        if not new:
            return AccountResult(not changes, desired.services.due_times)
        for outcome in apply(reconciler.kernel, new):
            tell(outcome)
        tried.update(new)
    return AccountResult(False, desired.services.due_times)


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
