"""Runs services for the daemon, one account at a time: when a run record changes, when it is time, when a customer or
administrator orders it."""

import time
from collections.abc import Callable, Collection, Mapping

from paas_isolate.changes.knob_compiler import replicas
from paas_isolate.changes.placement import Placement
from paas_isolate.control.refusal import RefusedError
from paas_isolate.daemon.account_pass import (
    AccountChange,
    AccountResult,
    account_world,
    reconcile_account,
    restricted_to,
)
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.errors import BusyError, PaasError, trouble
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.process import pidfd
from paas_isolate.linux.services.records import path_of
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, Service
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.run import FOREVER
from paas_isolate.source.notes import RESTED, STOPPED

_SOON = 0.1
"""Seconds to the next try where another run holds the lock, or a killed process has not ended yet."""


_LATER = 60.0
"""Seconds to the next try after an error of ours."""


class ServiceRunner:
    def __init__(self, installation: Installation, troubles: Troubles, reporter: Reporter) -> None:
        self._installation, self._troubles, self._reporter = installation, troubles, reporter
        self._dues: dict[str, float] = {}
        """When to look again at leaves whose services wait for something, in seconds since the epoch."""

    def until_services(self) -> float:
        return min(self._dues.values(), default=FOREVER) - time.time()

    def wait_for_all(self, dues: Mapping[str, float]) -> None:
        self._dues = _from_now_on(dues)

    def wait_for(self, directory: str, turned: AccountResult) -> None:
        self._forget(directory)
        self._dues.update(_from_now_on(turned.dues))

    def _forget(self, directory: str) -> None:
        for leaf in tree.within(self._dues, (directory,)):
            del self._dues[leaf]

    def run_services(self, fleet: Fleet, places: Placement, records: Collection[str]) -> bool:
        """The services of these records' accounts, and those for which it is time; whether that was possible."""
        now = time.time()
        paths = {*map(path_of, records), *(leaf for leaf, due in self._dues.items() if due <= now)}
        served = [self._contained(fleet, places, directory) for directory in sorted(tree.directories(paths))]
        return all(served)

    def _contained(self, fleet: Fleet, places: Placement, directory: str) -> bool:
        """An error of ours delays the services of one account by a minute; a full pass may come sooner."""
        try:
            return self._serve(fleet, places, directory, self._reporter.done)
        except Exception as error:  # noqa: BLE001
            self._troubles.tell(directory, trouble(error))
            self._dues[tree.leaf(directory, "")] = time.time() + _LATER
            return True

    def order(
        self, fleet: Fleet, places: Placement, verb: str, account: Account, service: Service, *, by_customer: bool
    ) -> tuple[str, ...]:
        """Start, stop or restart a service; the sentences of what was done at once. A stop works with a full disk too.

        BusyError where another run holds the lock: the loop does not wait. RefusedError where a customer would start
        what an administrator has stopped, or a stop cannot be saved.
        """
        sentences: list[str] = []
        unsaved, noted = False, True
        name, records = f"{account.directory}/{service.name}", self._installation.records
        with self._installation.locked():
            if by_customer and verb != "stop" and not self._installation.decided().may_start(name):
                raise RefusedError(f"{service.name} was stopped by your provider: ask them")
            try:
                self._installation.decide(lambda decided: decided.order(verb, name, by_customer=by_customer))
            except (PaasError, OSError) as error:
                if verb != "stop":
                    raise
                unsaved, noted = True, self._note(name, error, by_customer=by_customer)
            for path in map(path_of, records.names_of(tree.leaf(account.directory, service.name))):
                if verb != "stop":
                    records.order(path, alive=verb == "restart")

        def hear(outcome: Outcome) -> None:
            sentences.append(str(outcome.step))
            self._reporter.done(outcome)

        served = self._serve(fleet, places, account.directory, hear)
        if unsaved and not (served and noted):
            self._ask(fleet, account.directory, service)
        if unsaved:
            until = "until the machine restarts only" if noted else "by nobody: it may start again at any time"
            raise RefusedError(f"{service.name} is stopped, which is remembered {until}", Exit.PARTLY)
        return tuple(sentences)

    def _note(self, name: str, error: PaasError | OSError, *, by_customer: bool) -> bool:
        """Note a stop where decisions.json cannot be written; whether that worked. The customer does not learn why."""
        self._reporter.failure(f"that {name} is stopped cannot be remembered", error)
        try:
            self._installation.notes.add(RESTED if by_customer else STOPPED, name)
        except OSError:
            return False
        return True

    def _ask(self, fleet: Fleet, directory: str, service: Service) -> None:
        """Send SIGTERM to the service's processes, where it cannot be computed what should run."""
        with self._installation.tree(fleet) as (cgroups, _):
            for replica in replicas(service):
                for pid in cgroups.pids(tree.leaf(directory, replica.name)):
                    pidfd.request_stop(pid)

    def _serve(self, fleet: Fleet, places: Placement, directory: str, hear: Callable[[Outcome], None]) -> bool:
        """Run the services of one account; whether nothing is left to do."""
        self._forget(directory)
        account = places.account_in(directory)
        if account is None:
            return False
        try:
            with (
                self._installation.locked(),
                self._installation.open(restricted_to(fleet, account), with_network=False) as reconciler,
            ):
                turned = reconcile_account(
                    reconciler, account_world(reconciler, account), AccountChange(account, account), places, hear
                )
                self.wait_for(directory, turned)
                return turned.settled
        except BusyError:
            self._dues[tree.leaf(directory, "")] = time.time() + _SOON
            return True
        except (PaasError, OSError) as error:
            self._reporter.failure(account.name, error)
            return False


def _from_now_on(dues: Mapping[str, float]) -> dict[str, float]:
    """Due times that are not at once: a process that does not end when it is killed would take all of a core."""
    soon = time.time() + _SOON
    return {leaf: max(due, soon) for leaf, due in dues.items()}
