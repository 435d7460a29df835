"""What every command works with: the directories, the fleet, the tree, the reconciler, the lock."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from paas_isolate.changes.bandwidth import sells_bandwidth
from paas_isolate.changes.supervision import scaled
from paas_isolate.compare import EVERYTHING, Reconciler, Scope
from paas_isolate.errors import HostError, PaasError
from paas_isolate.linux.cgroup.location import TreeLocation, find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.network import traces
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.process.commands import CommandReader
from paas_isolate.linux.quota.devices import BlockDevices
from paas_isolate.linux.services.records import RunRecords
from paas_isolate.linux.services.results import JobResults
from paas_isolate.linux.system import lock
from paas_isolate.linux.system.machine import machine
from paas_isolate.linux.system.users import HostUsers
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, NetworkConfig
from paas_isolate.model.bandwidth import BandwidthPort
from paas_isolate.model.identity import distinct
from paas_isolate.model.intent import Intent
from paas_isolate.model.knobs import CONTROLLERS
from paas_isolate.model.network import NetworkPort, Pools
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.quota import QuotaPort
from paas_isolate.model.view import NamespacePort
from paas_isolate.source import decisions
from paas_isolate.source.applied_quotas import AppliedQuotas
from paas_isolate.source.decisions import Decisions
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.source.notes import Notes, added

_COMMANDS = CommandReader()


class Installation(NamedTuple):
    """The three directories of the product on this machine."""

    etc: str = "/etc/paas-isolate"
    state: str = "/var/lib/paas-isolate"
    run: str = "/run/paas-isolate"
    removing: Callable[[Fleet, str], None] | None = None
    """Called with the path of each cgroup that is about to be removed. It must not raise."""
    applied: Callable[[Sequence[Outcome]], None] | None = None
    """Called with what a pass has done, where metering is on. It must not raise."""

    @property
    def commands(self) -> CommandReader:
        """One for the whole program: it remembers processes that were too slow, so no pass waits for them again."""
        return _COMMANDS

    @property
    def doors(self) -> str:
        return os.path.join(self.run, "doors")

    @property
    def directory(self) -> SpecDirectory:
        """For root, files must belong to root; another user may look at files of their own."""
        try:
            owner = os.stat(self.etc).st_uid if os.geteuid() else 0
        except OSError as error:
            raise HostError(f"{self.etc} cannot be read: {error.strerror}", hint="name another by --etc DIR") from error
        return SpecDirectory(self.etc, self.state, owner=owner)

    def fleet(self, *, remember: bool = False) -> Fleet:
        """Everything that is configured. `remember` saves last good copies, for a pass that applies them."""
        return self.directory.load(HostUsers(), machine(), remember=remember)

    @contextmanager
    def tree(self, fleet: Fleet) -> Iterator[tuple[CgroupTree, TreeLocation]]:
        location = find_tree(fleet.host.tree)
        with CgroupTree(location.mount, location.root) as cgroups:
            if self.removing is not None:
                cgroups.removing = partial(self.removing, fleet)
            yield cgroups, location

    @contextmanager
    def open(
        self,
        fleet: Fleet,
        *,
        scope: Scope = EVERYTHING,
        with_network: bool = True,
        decided: Decisions | None = None,
    ) -> Iterator[Reconciler]:
        """What a pass over `fleet` takes. `scope.account` is a name here, and the account's directory in the result.
        Without `with_network` the network is left as it is. `decided` are decisions to use instead of the stored ones.

        HostError where there is no tree, or decisions.json is damaged; UsageError where there is no such account.
        """
        self.commands.forget()
        decided = decided if decided is not None else self.decided()
        fleet = scaled(fleet, decided.scaled)
        networked = with_network and (fleet.host.network or decided.network or self.traces_of_network())
        with self.tree(fleet) as (cgroups, location):
            offered = (cgroups.read("", "cgroup.controllers") or "").split()
            kernel = Kernel(
                cgroups,
                doors=DoorDirectory(self.doors, location.root) if decided.with_doors else None,
                network=self._network(fleet, location) if networked else None,
                namespaces=self._namespaces(fleet, location),
                quotas=self._quotas(fleet),
                bandwidth=self._bandwidth(fleet) if with_network else None,
                records=self.records if self._keeps(fleet) else None,
                commands=self.commands,
                device_of=BlockDevices().device_of,
                weight_cgroup=location.weight_cgroup,
                applied=self.applied if fleet.host.metering is not None else None,
            )
            intent = Intent(
                fleet,
                machine(),
                controllers=tuple(name for name in CONTROLLERS if name in offered),
                frozen=decided.frozen,
                stopped=decided.stopped,
                removal_accepted=decided.removal_accepted,
            )
            account = directory_of(cgroups, fleet, scope.account) if scope.account else ""
            yield Reconciler(kernel, intent, scope._replace(account=account))

    @property
    def ledger(self) -> str:
        """The directory of what was used."""
        return os.path.join(self.state, "ledger")

    @property
    def records(self) -> RunRecords:
        results = JobResults(os.path.join(self.state, "results"))
        return RunRecords(os.path.join(self.run, "services"), os.path.join(self.run, "views", "keeper"), results)

    def _keeps(self, fleet: Fleet) -> bool:
        """Whether there is a service that paas-isolate runs, or has run."""
        services = distinct(account.services for account in fleet.accounts.values())
        runs = any(service.work.run for each in services for service in each)
        return runs or os.path.isdir(self.records.directory)

    def traces_of_network(self) -> bool:
        """Whether the network has something of ours though nothing says so: decisions.json may have been deleted. Gate,
        link and hosts(5) have no mark of their installation: the one in /run/paas-isolate takes them for its own."""
        own = self.run == self._field_defaults["run"]
        return traces.of_installation(self.run, self.state) or (own and traces.of_machine())

    def _network(self, fleet: Fleet, location: TreeLocation) -> NetworkPort:
        from paas_isolate.changes.subordinates import is_subordinate
        from paas_isolate.linux.bpf.gate.gate import attach_points
        from paas_isolate.linux.network.host import (
            HostNetwork,  # a machine without a network of ours does not pay for it
        )
        from paas_isolate.linux.system.subordinates import subordinate_uids

        network = fleet.host.network or NetworkConfig()
        ports = frozenset(
            service.publish for account in fleet.accounts.values() for service in account.services if service.publish
        )
        pools = Pools(network.pool, network.pool6)

        def is_customers(uid: int) -> bool:
            return fleet.governs(uid) or is_subordinate(uid, fleet, subordinate_uids())

        return HostNetwork(pools, self.run, self.state, attach_points(fleet.host.tree, location), ports, is_customers)

    def _namespaces(self, fleet: Fleet, location: TreeLocation) -> NamespacePort | None:
        """None where no account has a view and none is left of earlier ones, and for users other than root."""
        views = os.path.join(self.run, "views")
        wanted = any(account.view for account in fleet.accounts.values())
        if os.geteuid() or not (wanted or os.path.isdir(views)):
            return None
        from paas_isolate.linux.namespaces.namespaces import (
            MountNamespaces,  # a machine without views does not pay for it
        )

        return MountNamespaces(views, location)

    @property
    def applied_quotas(self) -> AppliedQuotas:
        return AppliedQuotas(self.state)

    def _quotas(self, fleet: Fleet) -> QuotaPort | None:
        """None where no account has a `disk` and no earlier quota is ours. None without root."""
        if os.geteuid() or not (
            any(account.disk for account in fleet.accounts.values()) or self.applied_quotas.there()
        ):
            return None
        from paas_isolate.linux.quota.store import QuotaStore  # a machine without quotas of ours does not pay for it

        return QuotaStore(self.applied_quotas)

    @property
    def bandwidth_mark(self) -> str:
        """The file that exists while bandwidth of an account is limited."""
        return os.path.join(self.run, "bandwidth")

    def _bandwidth(self, fleet: Fleet) -> BandwidthPort | None:
        """None where no account is sold bandwidth and nothing is left of earlier limits. None without root."""
        sold = any(map(sells_bandwidth, distinct(account.limits for account in fleet.accounts.values())))
        if os.geteuid() or not (sold or os.path.exists(self.bandwidth_mark)):
            return None
        from paas_isolate.linux.network.bandwidth import (
            HostBandwidth,  # a machine without bandwidth does not pay for it
        )

        return HostBandwidth(self.bandwidth_mark)

    @contextmanager
    def locked(self, *, wait: float = 0, waits: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the lock that every writing command takes; `waits` is called with the holder that it waits for."""
        need_root()
        with lock.held(os.path.join(self.run, "lock"), wait=wait, waits=waits):
            yield

    @property
    def notes(self) -> Notes:
        return Notes(os.path.join(self.run, "decided"))

    def decided(self) -> Decisions:
        """The decisions, with those that could only be noted because decisions.json could not be written."""
        return added(decisions.load(self.state), self.notes.names())

    def decide(self, change: Callable[[Decisions], Decisions]) -> None:
        """Save a decision, and those that were only noted. The caller holds the lock. HostError where
        decisions.json cannot be read, OSError where it cannot be written."""
        names = self.notes.names()
        before = decisions.load(self.state)
        if (now := change(added(before, names))) != before:
            decisions.save(self.state, now)
        self.notes.remove(names)

    def take_up_notes(self) -> None:
        """Move noted decisions into decisions.json, where that is possible; while the disk is full, the notes count."""
        if self.notes.names():
            with suppress(OSError):
                self.decide(lambda decided: decided)


def need_root() -> None:
    if os.geteuid() != 0:
        raise HostError("this needs root", hint="sudo paas-isolate …")


def directory_of(cgroups: CgroupTree, fleet: Fleet, name: str) -> str:
    """The cgroup directory of an account, or of one that is being removed. UsageError when there is neither."""
    if found := fleet.accounts.get(name):
        return found.directory
    if name in fleet.on_last_good or cgroups.exists(tree.account(name)):
        return name
    raise unknown(name, fleet)


def account_of(fleet: Fleet, target: str) -> tuple[Account, str]:
    """The account of `ACCOUNT/SERVICE`, and the service's name. UsageError where `target` is of another form or there
    is no such account; PaasError where its file is wrong and there is no last good copy."""
    from click import UsageError

    name, _, service = target.partition("/")
    if not name or not service:
        raise UsageError(f"{target!r} is not ACCOUNT/SERVICE")
    account = fleet.accounts.get(name)
    if account is None:
        if name in fleet.on_last_good:
            raise PaasError(f"{name}: {fleet.on_last_good[name]}")
        raise unknown(name, fleet)
    return account, service


def unknown(name: str, fleet: Fleet) -> Exception:
    """The error for an unknown account."""
    return no_such("account", name, fleet.accounts, otherwise="paas-isolate status lists them")


def no_such(what: str, name: str, known: Collection[str], *, otherwise: str = "") -> Exception:
    """The error for an unknown name, with the nearest known name, or `otherwise`, or all of them."""
    from difflib import get_close_matches  # imported for mistyped names only

    from click import UsageError

    nearest = get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else otherwise or f"there are: {', '.join(sorted(known))}"
    return UsageError(f"no {what} is called {name!r}; {hint}")
