"""The daemon's hands for files: those of accounts that were saved, each read and applied alone where it can be."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from paas_isolate.changes.placement import Placement, has_program_rules
from paas_isolate.daemon.account_pass import (
    AccountChange,
    account_world,
    can_reconcile,
    reconcile_account,
    restricted_to,
    same_network,
)
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.services import ServiceRunner
from paas_isolate.errors import PaasError
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.system.machine import machine
from paas_isolate.linux.system.users import UncachedUsers
from paas_isolate.model.account import Fleet
from paas_isolate.source.account_reader import AccountReader, account_of
from paas_isolate.spec.resolve_alone import Dependencies, dependencies

_EDITORS = 1.0
"""Seconds: whoever writes a file may take it away first. A file that is gone for longer is gone."""
_AT_ONCE = 50
"""Accounts: to look at so many one by one takes as long as to look at all."""


@dataclass
class DaemonState:
    """What the last whole turn found, and every edit since."""

    fleet: Fleet
    places: Placement
    ties: Dependencies

    @classmethod
    def of(cls, fleet: Fleet) -> "DaemonState":
        return cls(fleet, Placement(fleet), dependencies(fleet))

    def remember(self, edit: AccountChange) -> None:
        self.fleet = self.fleet._replace(accounts={**self.fleet.accounts, edit.account.name: edit.account})
        self.places.replace(edit.before, edit.account)
        self.ties = self.ties.with_peers(edit.account.peers)


class AccountEdits:
    """`programs_count` is called when an account wants to know of programs; `done` with the tree, before anybody else
    may work on it."""

    def __init__(
        self,
        installation: Installation,
        servant: ServiceRunner,
        programs_count: Callable[[], None],
        done: Callable[[CgroupTree], None],
        reporter: Reporter,
    ) -> None:
        self._reporter = reporter
        self._desk, self._servant = installation, servant
        self._programs_count, self._done = programs_count, done
        self._single = AccountReader(installation.directory)

    def apply_files(self, known: DaemonState | None, places: Collection[str]) -> float | None:
        """None where all is done by that, else the seconds after which everything should be looked at."""
        names = {account_of(place, self._desk.etc) for place in places}
        if known is None or "" in names or len(names) > _AT_ONCE:
            return 0.0
        return None if all(self._edit(known, name) for name in sorted(names)) else self._how_soon(names)

    def _how_soon(self, names: Collection[str]) -> float:
        """An account that is to go can wait."""
        return 0.0 if all(self._single.there(name) for name in names) else _EDITORS

    def _edit(self, known: DaemonState, name: str) -> bool:
        """One account by its file alone; whether that was possible, and nothing is left."""
        edit = self._sold(known, name)
        if edit is None or not same_network(edit, known.fleet):
            return False
        try:
            with (
                self._desk.locked(),
                self._desk.open(restricted_to(known.fleet, edit.account), with_network=False) as reconciler,
            ):
                world = account_world(reconciler, edit.account)
                if world.unmet or not can_reconcile(reconciler, edit):
                    return False
                self._remember(known, edit)
                turned = reconcile_account(reconciler, world, edit, known.places, self._reporter.done)
                # after it: this takes as long as all the rest, and whoever is killed before it reads the file again
                self._desk.directory.last_good.remember(edit.account)
                self._done(reconciler.kernel.cgroups)
                self._servant.wait_for(edit.account.directory, turned)
                return turned.settled
        except (PaasError, OSError):
            return False  # the whole turn says what is wrong

    def _sold(self, known: DaemonState, name: str) -> AccountChange | None:
        account = self._single.sold(name, known.fleet, known.ties, UncachedUsers(), machine(), known.places.owner)
        return AccountChange(known.fleet.accounts.get(name), account) if account else None

    def _remember(self, known: DaemonState, edit: AccountChange) -> None:
        known.remember(edit)
        if has_program_rules(edit.account.services):
            self._programs_count()
