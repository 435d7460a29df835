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
from paas_isolate.model.steps.cgroup import MoveProcess
from paas_isolate.reconcile import Report
from paas_isolate.text import counted

_SPREAD = 0.2
"""By so much of the interval machines differ, so that the guests of one host do not look all at once."""
PATIENCE = 60.0
"""Seconds that another run may hold the lock; and until the next look while not all is well."""


class Daemon:
    """The hands of the loop: a whole run as reconcile's, and what needs less, by what that run found."""

    def __init__(self, installation: Installation, ears: EventSources, interval: float, reporter: Reporter) -> None:
        self._reporter = reporter
        self._desk, self.ears = installation, ears
        self._interval = interval * (1 - _SPREAD / 2 + _SPREAD * _share())
        self._known: DaemonState | None = None
        self._leaving = False
        self._well = False
        self._limits = RepairLimits(reporter)
        self.troubles = Troubles(reporter)
        self._sweeper = StrayMover(installation, self._limits, ears.ignore, self.troubles, reporter, ears.processes)
        self._servant = ServiceRunner(installation, self.troubles, reporter)
        self._mender, self._writers = Repairer(installation, self._limits, reporter), KnobWriters(reporter)
        self._editor = AccountEdits(installation, self._servant, lambda: self._listen(True), self._note, reporter)
        self._print: tuple[object, ...] = ()
        self._machine: tuple[object, ...] = ()
        """As it was before everything was looked at last; our own work does not change it."""
        self._told = self._told_status = ""
        self._ready = False
        self._pulse, self._beat = watchdog() / 2, 0.0

    def customers(self) -> Customers | None:
        """For those who ask."""
        return Customers(self._known.fleet, self._known.places) if self._known else None

    def alive(self) -> None:
        if not self._ready:
            notify("READY=1\nSTATUS=hears; looks at everything for the first time")
            self._ready = True
        if self._pulse and (now := time.monotonic()) >= self._beat:
            notify("WATCHDOG=1")
            self._beat = now + self._pulse / 2

    @deferred_gc()
    def reconcile_all(self) -> bool:
        self._well = False
        self.ears.rewatch()
        try:
            self._look_at_machine()
            with self._desk.locked(wait=PATIENCE):
                self._hear_writers()
                fleet, report = full_pass(self._desk, self._writers.report, self._reporter.warning)
        except (PaasError, OSError) as error:
            failure = error
            self._tell(str(error), lambda: self._reporter.failure("paas-isolate", failure))
            return True
        self._writers.forget()
        forking = any(isinstance(it.step, MoveProcess) for it in report.remaining)
        wrong = "" if forking else complaints(fleet, report)
        if not forking:
            self._tell(wrong, lambda: self._reporter.rest(fleet, report))
        self._known = DaemonState.of(fleet)
        if self._told_status != (status := f"STATUS={counted(len(fleet.accounts), 'account')}"):
            notify(status)
            self._told_status = status
        self._well, self._limits.left_alone = not wrong, False
        self._listen(self._known.places.programs_count())
        unheard = self._only(fleet)
        self._servant.wait_for_all(report.last.desired.services.due_times)
        try:
            return not self._follow(fleet, report) and not forking and not unheard
        except (PaasError, OSError):
            return False  # the tree has gone since: the next one says what is wrong

    def _look_at_machine(self) -> None:
        now = _machine()
        if self._machine and now[1] != self._machine[1]:
            forget_zone()
        self._machine = now

    def _hear_writers(self) -> None:
        """Whoever has written until now: after the turn nothing is left to be mended for their sake."""
        if self.ears.knobs:
            for heard in ContainedSource(self.ears.knobs, self.troubles.tell).read():
                self.note_writer(heard)

    def _listen(self, execs: bool) -> None:
        if self.ears.processes:
            self.ears.processes.listen(execs=execs)

    def _only(self, fleet: Fleet) -> bool:
        """Whether some of the uids that may be customers' were not heard until now."""
        processes = self.ears.processes
        return processes is not None and processes.only(fleet.host.first_uid, fleet.host.last_uid)

    def _follow(self, fleet: Fleet, report: Report) -> bool:
        """Hear where the tree is now; whether somebody who leaves has no process any more already."""
        leaving = report.last.removals
        there = [it for it in leaving.accepted if tree.account(it) in report.last.observed.cgroups]
        self._leaving = bool(leaving.accepted or leaving.waiting)
        with self._desk.tree(fleet) as (_, location):
            if self.ears.knobs:
                self.ears.knobs.root = location.root
            empty = self.ears.emptying.rewatch([f"{location.root}/{tree.account(it)}" for it in there])
            self._print = fingerprint(location.root, self._desk.doors, self._desk.state)
        self._mender.make_ready(fleet, report.last)
        return empty

    def grace(self) -> float:
        return self._interval if self._well else min(self._interval, PATIENCE)

    def quick_check(self) -> bool:
        if self._known is None or self._limits.left_alone:
            return False
        try:
            return _machine() == self._machine and self._looks(self._known.fleet) == self._print
        except (PaasError, OSError):
            return False

    def _looks(self, fleet: Fleet) -> tuple[object, ...]:
        with self._desk.tree(fleet) as (_, location):
            return fingerprint(location.root, self._desk.doors, self._desk.state)

    def _note(self, cgroups: CgroupTree) -> None:
        self._print = fingerprint(cgroups.root, self._desk.doors, self._desk.state)

    def _tell(self, news: str, say_it: Callable[[], None]) -> None:
        """The same once, until it has changed."""
        if news and news != self._told:
            say_it()
        self._told = news

    def apply_files(self, places: Collection[str]) -> float | None:
        return self._editor.apply_files(self._known, places)

    def run_services(self, records: Collection[str]) -> bool:
        if self._known is None:
            return False
        served = self._servant.run_services(self._known.fleet, self._known.places, records)
        return self._renew() and served

    def _renew(self) -> bool:
        """After our own work; whether there is a tree."""
        try:
            self._print = self._looks(self._known.fleet) if self._known else ()
        except (PaasError, OSError):
            return False  # the whole turn says what is wrong
        return True

    def until_services(self) -> float:
        return self._servant.until_services()

    def order(self, verb: str, account: Account, service: Service, by_customer: bool) -> tuple[str, ...]:
        """start, stop or restart one: what was done of it at once. BusyError."""
        customers = self.customers()
        assert customers is not None  # of whom `sold` is one
        as_before = self.quick_check()
        said = self._servant.order(customers.fleet, customers.places, verb, account, service, by_customer=by_customer)
        if as_before:  # else the next glance finds what somebody else has done
            self._renew()
        return said

    def repair_knob(self, heard: Event) -> bool:
        return self._known is not None and self._mender.repair_knob(self._known.fleet, self._known.places, heard)

    def note_writer(self, heard: Event) -> None:
        self._writers.note(heard)

    def repair_network(self, heard: Sequence[Event]) -> bool:
        fleet = self._known.fleet if self._known else None
        if fleet is None or not fleet.host.network or fleet.on_last_good or self._leaving:
            return False
        return self._mender.repair_network(fleet, heard)

    def move_strays(self, pids: Collection[int]) -> bool:
        known = self._known
        return known is None or self._sweeper.move_strays(known.fleet, known.places, pids)

    def until_strays(self) -> float:
        return self._sweeper.until_strays()

    def keep_rcu_warm(self) -> bool:
        return self._sweeper.keep_rcu_warm()


def _machine() -> tuple[object, ...]:
    """CPUs, memory and pids; and its own time. Limits and schedules go by these."""
    return machine(), zone()


def _share() -> float:
    """From 0 to 1, the same for good on one machine."""
    try:
        with open("/etc/machine-id", "rb") as file:
            return crc32(file.read()) / 0xFFFFFFFF
    except OSError:
        return 0.5
