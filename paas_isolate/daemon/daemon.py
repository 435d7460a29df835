"""The daemon: a pass over everything now and then, and after each event only what that event is about."""

import time
from collections.abc import Callable, Collection, Sequence
from zlib import crc32

from paas_isolate.changes.schedule import forget_zone
from paas_isolate.daemon.contained import ContainedSource
from paas_isolate.daemon.control import Customers
from paas_isolate.daemon.edits import AccountEdits, DaemonState
from paas_isolate.daemon.fingerprint import fingerprint
from paas_isolate.daemon.gc_pause import deferred_gc
from paas_isolate.daemon.repairer import KnobWriters, Repairer
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.services import ServiceRunner
from paas_isolate.daemon.sources import EventSources
from paas_isolate.daemon.strays import RepairLimits, StrayMover
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.errors import PaasError
from paas_isolate.full_pass import complaints, full_pass
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.system.machine import machine, zone
from paas_isolate.linux.system.notify import notify, watchdog
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, Service
from paas_isolate.model.network import Polled
from paas_isolate.model.steps.cgroup import MoveProcess
from paas_isolate.reconcile import Report
from paas_isolate.text import counted

_SPREAD = 0.2
"""The part of the interval by which machines differ, so that guests of one host do not all make a pass at once."""
PATIENCE = 60.0
"""Seconds that another run may hold the lock; also the time to the next pass while something is wrong."""


class Daemon:
    """What the loop can have done: a full pass, and the smaller actions that start from what the last full pass
    found."""

    def __init__(self, installation: Installation, sources: EventSources, interval: float, reporter: Reporter) -> None:
        self._reporter = reporter
        self._installation, self.sources = installation, sources
        self._interval = interval * (1 - _SPREAD / 2 + _SPREAD * _share())
        self._known: DaemonState | None = None
        self._leaving = False
        self._well = False
        self._limits = RepairLimits(reporter)
        self.troubles = Troubles(reporter)
        self._stray_mover = StrayMover(
            installation, self._limits, sources.ignore, self.troubles, reporter, sources.processes
        )
        self._service_runner = ServiceRunner(installation, self.troubles, reporter)
        self._repairer, self._writers = Repairer(installation, self._limits, reporter), KnobWriters(reporter)
        self._editor = AccountEdits(
            installation, self._service_runner, lambda: self._listen(True), self._note, reporter
        )
        self._fingerprint: tuple[object, ...] = ()
        self._machine: tuple[object, ...] = ()
        """The machine before the last full pass; our own work does not change it."""
        self._last_news = self._last_status = ""
        self._ready = False
        self._pulse, self._beat = watchdog() / 2, 0.0

    def customers(self) -> Customers | None:
        """The accounts of the last full pass, for the control socket. None before the first pass."""
        return Customers(self._known.fleet, self._known.places) if self._known else None

    def fleet(self) -> Fleet | None:
        """The accounts of the last full pass; None before the first."""
        return self._known.fleet if self._known else None

    def alive(self) -> None:
        if not self._ready:
            notify("READY=1\nSTATUS=watches for events; the first full pass is running")
            self._ready = True
        if self._pulse and (now := time.monotonic()) >= self._beat:
            notify("WATCHDOG=1")
            self._beat = now + self._pulse / 2

    @deferred_gc()
    def reconcile_all(self) -> bool:
        self._well = False
        self.sources.rewatch()
        try:
            self._look_at_machine()
            with self._installation.locked(wait=PATIENCE):
                self._read_writers()
                fleet, report = full_pass(self._installation, self._writers.report, self._reporter.warning)
        except (PaasError, OSError) as error:
            failure = error
            self._tell(str(error), lambda: self._reporter.failure("paas-isolate", failure))
            return True
        self._writers.forget()
        forking = any(isinstance(outcome.step, MoveProcess) for outcome in report.remaining)
        wrong = "" if forking else complaints(fleet, report)
        if not forking:
            self._tell(wrong, lambda: self._reporter.rest(fleet, report))
        self._known = DaemonState.of(fleet)
        if self._last_status != (status := f"STATUS={counted(len(fleet.accounts), 'account')}"):
            notify(status)
            self._last_status = status
        self._well, self._limits.left_alone = not wrong, False
        self._listen(self._known.places.programs_count())
        newly_watched = self._only(fleet)
        self._service_runner.wait_for_all(report.last.desired.services.due_times)
        try:
            return not self._follow(fleet, report) and not forking and not newly_watched
        except (PaasError, OSError):
            return False  # the tree has gone since: the next one says what is wrong

    def _look_at_machine(self) -> None:
        now = _machine()
        if self._machine and now[1] != self._machine[1]:
            forget_zone()
        self._machine = now

    def _read_writers(self) -> None:
        """Note who has written to knobs until now: this pass repairs what they wrote."""
        if self.sources.knobs:
            for event in ContainedSource(self.sources.knobs, self.troubles.tell).read():
                self.note_writer(event)

    def _listen(self, execs: bool) -> None:
        if self.sources.processes:
            self.sources.processes.listen(execs=execs)

    def _only(self, fleet: Fleet) -> bool:
        """Whether uids that may be customers' were not watched until now."""
        processes = self.sources.processes
        return processes is not None and processes.only(fleet.host.first_uid, fleet.host.last_uid)

    def _follow(self, fleet: Fleet, report: Report) -> bool:
        """Watch the tree where it is now; whether the last process of a leaving account has ended already."""
        leaving = report.last.removals
        directories = [each for each in leaving.accepted if tree.account(each) in report.last.observed.cgroups]
        self._leaving = bool(leaving.accepted or leaving.waiting)
        with self._installation.tree(fleet) as (_, location):
            if self.sources.knobs:
                self.sources.knobs.root = location.root
            empty = self.sources.emptying.rewatch([f"{location.root}/{tree.account(each)}" for each in directories])
            self._fingerprint = fingerprint(location.root, self._installation)
        self._repairer.make_ready(fleet, report.last)
        if self.sources.polled_network:
            network = report.last.observed.network
            self.sources.polled_network.watch(self._repairer.polled, Polled(network.ports_in_use, network.leaves))
        return empty

    def grace(self) -> float:
        return self._interval if self._well else min(self._interval, PATIENCE)

    def quick_check(self) -> bool:
        if self._known is None or self._limits.left_alone:
            return False
        try:
            return _machine() == self._machine and self._looks(self._known.fleet) == self._fingerprint
        except (PaasError, OSError):
            return False

    def _looks(self, fleet: Fleet) -> tuple[object, ...]:
        with self._installation.tree(fleet) as (_, location):
            return fingerprint(location.root, self._installation)

    def _note(self, cgroups: CgroupTree) -> None:
        self._fingerprint = fingerprint(cgroups.root, self._installation)

    def _tell(self, news: str, report: Callable[[], None]) -> None:
        """Report `news` where it differs from what was reported last."""
        if news and news != self._last_news:
            report()
        self._last_news = news

    def apply_files(self, places: Collection[str]) -> float | None:
        return self._editor.apply_files(self._known, places)

    def run_services(self, records: Collection[str]) -> bool:
        if self._known is None:
            return False
        served = self._service_runner.run_services(self._known.fleet, self._known.places, records)
        return self._renew() and served

    def _renew(self) -> bool:
        """Take the fingerprint again after our own work; whether there is a tree."""
        try:
            self._fingerprint = self._looks(self._known.fleet) if self._known else ()
        except (PaasError, OSError):
            return False  # the full pass says what is wrong
        return True

    def until_services(self) -> float:
        return self._service_runner.until_services()

    def order(self, verb: str, account: Account, service: Service, by_customer: bool) -> tuple[str, ...]:
        """Start, stop or restart a service; the sentences of what was done at once. BusyError where another run holds
        the lock."""
        customers = self.customers()
        assert customers is not None  # the account is one of them
        as_before = self.quick_check()
        lines = self._service_runner.order(
            customers.fleet, customers.places, verb, account, service, by_customer=by_customer
        )
        if as_before:  # else the next quick check finds what somebody else has done
            self._renew()
        return lines

    def repair_knob(self, event: Event) -> bool:
        return self._known is not None and self._repairer.repair_knob(self._known.fleet, self._known.places, event)

    def note_writer(self, event: Event) -> None:
        self._writers.note(event)

    def repair_network(self, events: Sequence[Event]) -> bool:
        fleet = self._known.fleet if self._known else None
        if fleet is None or not fleet.host.network or fleet.on_last_good or self._leaving:
            return False
        return self._repairer.repair_network(fleet, events)

    def move_strays(self, pids: Collection[int]) -> bool:
        known = self._known
        return known is None or self._stray_mover.move_strays(known.fleet, known.places, pids)

    def until_strays(self) -> float:
        return self._stray_mover.until_strays()

    def keep_rcu_warm(self) -> bool:
        return self._stray_mover.keep_rcu_warm()


def _machine() -> tuple[object, ...]:
    """CPUs, memory, pids and the time zone: limits and schedules depend on them."""
    return machine(), zone()


def _share() -> float:
    """A number from 0 to 1 that never changes on one machine."""
    try:
        with open("/etc/machine-id", "rb") as file:
            return crc32(file.read()) / 0xFFFFFFFF
    except OSError:
        return 0.5
