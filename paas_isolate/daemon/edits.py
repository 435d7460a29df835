"""Applies files of accounts that were saved: each is read and applied alone, where that is possible."""

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
"""Seconds: an editor may remove a file before it writes the new one. A file that is missing for longer was removed."""
_AT_ONCE = 50
"""Accounts: to apply so many one by one takes as long as a full pass."""


@dataclass
class DaemonState:
    """The accounts that the last full pass found, with every edit since."""

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
    """`programs_count` is called when a rule of an account names programs; `done` is called with the tree after an
    edit, while the lock is held."""

    def __init__(
        self,
        installation: Installation,
        service_runner: ServiceRunner,
        programs_count: Callable[[], None],
        done: Callable[[CgroupTree], None],
        reporter: Reporter,
    ) -> None:
        self._reporter = reporter
        self._installation, self._service_runner = installation, service_runner
        self._programs_count, self._done = programs_count, done
        self._single = AccountReader(installation.directory)

    def apply_files(self, known: DaemonState | None, places: Collection[str]) -> float | None:
        """None where nothing is left, else the seconds after which a full pass should be made."""
        names = {account_of(place, self._installation.etc) for place in places}
        if known is None or "" in names or len(names) > _AT_ONCE:
            return 0.0
        return None if all(self._edit(known, name) for name in sorted(names)) else self._how_soon(names)

    def _how_soon(self, names: Collection[str]) -> float:
        """The removal of an account can wait."""
        return 0.0 if all(self._single.there(name) for name in names) else _EDITORS

    def _edit(self, known: DaemonState, name: str) -> bool:
        """Apply one account's file; whether that was possible alone, and nothing is left."""
        edit = self._change(known, name)
        if edit is None or not same_network(edit, known.fleet):
            return False
        try:
            with (
                self._installation.locked(),
                self._installation.open(restricted_to(known.fleet, edit.account), with_network=False) as reconciler,
            ):
                world = account_world(reconciler, edit.account)
                if world.unmet or not can_reconcile(reconciler, edit):
                    return False
                self._remember(known, edit)
                result = reconcile_account(reconciler, world, edit, known.places, self._reporter.done)
                # last: this takes as long as all the rest; a daemon that is killed before it reads the file again
                self._installation.directory.last_good.remember(edit.account)
                self._done(reconciler.kernel.cgroups)
                self._service_runner.wait_for(edit.account.directory, result)
                return result.settled
        except (PaasError, OSError):
            return False  # the full pass says what is wrong

    def _change(self, known: DaemonState, name: str) -> AccountChange | None:
        account = self._single.sold(name, known.fleet, known.ties, UncachedUsers(), machine(), known.places.owner)
        return AccountChange(known.fleet.accounts.get(name), account) if account else None

    def _remember(self, known: DaemonState, edit: AccountChange) -> None:
        known.remember(edit)
        if has_program_rules(edit.account.services):
            self._programs_count()
