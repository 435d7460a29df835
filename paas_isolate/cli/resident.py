"""daemon: the wheel, turned by events instead of the clock."""

import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import cast
from zlib import crc32

import click

from paas_isolate.apply import Ending, Outcome
from paas_isolate.changes.place import Places, asks_programs
from paas_isolate.changes.steps import Changes, Move
from paas_isolate.cli import say
from paas_isolate.cli.answering import Answering
from paas_isolate.cli.desk import Desk, need_root
from paas_isolate.cli.exits import Exit
from paas_isolate.cli.hearing import Ears, who
from paas_isolate.cli.running import Manner, complaints, run_once, tell, tell_outcome
from paas_isolate.cli.running import reconcile as run
from paas_isolate.cli.serving import Servant
from paas_isolate.cli.sweeping import Fights, Sweeper
from paas_isolate.daemon.account import Edit, account_world, as_wanted, can_turn, only, same_network, turn_account
from paas_isolate.daemon.control import Customers
from paas_isolate.daemon.fingerprint import fingerprint
from paas_isolate.daemon.loop import Loop
from paas_isolate.daemon.mending import differing, mended
from paas_isolate.daemon.network import rewired, wires_differ
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.ears.heard import Heard
from paas_isolate.linux.machine import machine
from paas_isolate.linux.notify import notify, watchdog
from paas_isolate.linux.users import Asked
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Service, Sold
from paas_isolate.reconcile import Report
from paas_isolate.source.single import Single, account_of
from paas_isolate.spec.alone import Ties, ties

HOUR = 3600.0
_SPREAD = 0.2
"""By so much of the interval machines differ, so that the guests of one host do not look all at once."""
_EDITORS = 1.0
"""Seconds: whoever writes a file may take it away first. A file that is gone for longer is gone."""
_AT_ONCE = 50
"""Accounts: to look at so many one by one takes as long as to look at all."""
_PATIENCE = 60.0
"""Seconds that another run may hold the lock; and until the next look while not all is well."""


@click.command()
@click.option("--once", is_flag=True, help="One turn, and the end: reconcile.")
@click.option(
    "--interval",
    type=click.FloatRange(min=1),
    default=HOUR,
    metavar="SECONDS",
    show_default=True,
    help="Look at everything so often, though nothing is heard; a tenth more or less, by the machine.",
)
@click.pass_obj
def daemon(desk: Desk, once: bool, interval: float) -> int:
    """Stay, and mend what differs as soon as it does: a file that is saved, a knob that is written by hand, a ruleset
    that is flushed, a process outside. What is told by no event is found when everything is looked at.

    What was mended is told once, with who did it; whoever does the same more than three times a minute is left alone
    for that minute, and named. SIGHUP: look at everything now. SIGTERM: end; nothing of a customer's changes.
    """
    need_root()
    if once:
        return run(desk, Manner(wait=_PATIENCE))
    cast("object", sys.stdout).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        resident = Resident(desk, Ears(desk, stack), interval)
        answering = Answering(desk, resident.customers, resident.order)
        ears = [*resident.ears.all, *answering.ears(stack)]
        resident.ears.following.append(answering.follow)
        Loop(resident, ears, pulse=watchdog() / 2, alive=resident.alive).run()
    notify("STOPPING=1")
    return Exit.CONVERGED


class Resident:
    """The hands of the loop: a whole run as reconcile's, and what needs less, by what that run found."""

    def __init__(self, desk: Desk, ears: Ears, interval: float) -> None:
        self._desk, self.ears = desk, ears
        self._interval = interval * (1 - _SPREAD / 2 + _SPREAD * _share())
        self._single = Single(desk.directory)
        self._fleet: Fleet | None = None
        self._places: Places | None = None
        self._ties = Ties(frozenset(), frozenset(), True)
        self._leaving = False
        self._well = False
        self._fights = Fights()
        self._sweeper = Sweeper(desk, self._fights)
        self._servant = Servant(desk)
        self._print: tuple[object, ...] = ()
        self._told = self._told_status = ""
        self._ready = False
        self._pulse, self._beat = watchdog() / 2, 0.0

    def customers(self) -> Customers | None:
        """For those who ask."""
        return Customers(self._fleet, self._places) if self._fleet and self._places else None

    def alive(self) -> None:
        if not self._ready:
            notify("READY=1\nSTATUS=hears; looks at everything for the first time")
            self._ready = True
        if self._pulse and (now := time.monotonic()) >= self._beat:
            notify("WATCHDOG=1")
            self._beat = now + self._pulse / 2

    def turn(self) -> bool:
        self.ears.follow()
        try:
            with self._desk.alone(wait=_PATIENCE):
                fleet, report = run_once(self._desk, Manner(quiet=True))
        except (PaasError, OSError) as error:
            wrong = f"paas-isolate: {error}"
            self._well = False
            self._tell(wrong, lambda: say.line(wrong, fg="red", err=True))
            return True
        forking = any(isinstance(it.step, Move) for it in report.remaining)
        wrong = "" if forking else complaints(fleet, report)
        if not forking:
            self._tell(wrong, lambda: tell(fleet, report, quiet=True))
        self._fleet, self._places, self._ties = fleet, Places(fleet), ties(fleet)
        if self._told_status != (status := f"STATUS={say.number(len(fleet.accounts), 'account')}"):
            notify(status)
            self._told_status = status
        self._well, self._fights.left_alone = not wrong, False
        self._listen(self._places.programs_count())
        self._servant.wait_for_all(report.last.desired.services.dues)
        try:
            return not self._follow(fleet, report) and not forking
        except (PaasError, OSError):
            return False  # the tree has gone since: the next one says what is wrong

    def _listen(self, execs: bool) -> None:
        if self.ears.processes:
            self.ears.processes.listen(execs=execs)

    def _follow(self, fleet: Fleet, report: Report) -> bool:
        """Hear where the tree is now; whether somebody who leaves has no process any more already."""
        leaving = report.last.leaving
        there = [it for it in leaving.accepted if tree.account(it) in report.last.observed.cgroups]
        self._leaving = bool(leaving.accepted or leaving.waiting)
        with self._desk.tree(fleet) as (_, location):
            if self.ears.knobs:
                self.ears.knobs.root = location.root
            empty = self.ears.emptying.follow([f"{location.root}/{tree.account(it)}" for it in there])
            self._print = fingerprint(location.root, self._desk.doors, self._desk.state)
        return empty

    def patience(self) -> float:
        return self._interval if self._well else min(self._interval, _PATIENCE)

    def glance(self) -> bool:
        if self._fleet is None or self._fights.left_alone:
            return False
        try:
            return self._looks() == self._print
        except (PaasError, OSError):
            return False

    def _looks(self) -> tuple[object, ...]:
        assert self._fleet is not None
        with self._desk.tree(self._fleet) as (_, location):
            return fingerprint(location.root, self._desk.doors, self._desk.state)

    def _tell(self, news: str, say_it: Callable[[], None]) -> None:
        """The same once, until it has changed."""
        if news and news != self._told:
            say_it()
        self._told = news

    def edit(self, places: Collection[str]) -> float | None:
        names = {account_of(place, self._desk.etc) for place in places}
        if "" in names or len(names) > _AT_ONCE:
            return 0.0
        return None if all(self._edit(name) for name in sorted(names)) else self._how_soon(names)

    def _how_soon(self, names: Collection[str]) -> float:
        """An account that is to go can wait."""
        return 0.0 if all(self._single.there(name) for name in names) else _EDITORS

    def _edit(self, name: str) -> bool:
        """One account by its file alone; whether that was possible, and nothing is left."""
        edit = self._sold(name)
        if edit is None or self._fleet is None or self._places is None or not same_network(edit, self._fleet):
            return False
        try:
            with self._desk.alone(), self._desk.wheel(only(self._fleet, edit.sold), wired=False) as wheel:
                world = account_world(wheel, edit.sold)
                if world.unmet or not can_turn(wheel, edit):
                    return False
                self._remember(edit)
                turned = turn_account(wheel, world, edit, self._places, tell_outcome)
                # after it: this takes as long as all the rest, and whoever is killed before it reads the file again
                self._desk.directory.last_good.remember(edit.sold)
                self._print = fingerprint(wheel.cgroups.root, self._desk.doors, self._desk.state)
                self._servant.wait_for(edit.sold.directory, turned)
                return turned.settled
        except (PaasError, OSError):
            return False  # the whole turn says what is wrong

    def _sold(self, name: str) -> Edit | None:
        if self._fleet is None or self._places is None:
            return None
        sold = self._single.sold(name, self._fleet, self._ties, Asked(), machine(), self._places.owner)
        return Edit(self._fleet.accounts.get(name), sold) if sold else None

    def _remember(self, edit: Edit) -> None:
        assert self._fleet is not None
        assert self._places is not None
        self._fleet = self._fleet._replace(accounts={**self._fleet.accounts, edit.sold.name: edit.sold})
        self._places.replace(edit.before, edit.sold)
        self._ties = self._ties.with_peers(edit.sold.peers)
        if asks_programs(edit.sold):
            self._listen(True)

    def serve(self, records: Collection[str]) -> bool:
        if self._fleet is None or self._places is None:
            return False
        served = self._servant.serve(self._fleet, self._places, records)
        return self._renew() and served

    def _renew(self) -> bool:
        """After our own work; whether there is a tree."""
        try:
            self._print = self._looks()
        except (PaasError, OSError):
            return False  # the whole turn says what is wrong
        return True

    def until_served(self) -> float:
        return self._servant.until_served()

    def order(self, verb: str, sold: Sold, service: Service) -> tuple[str, ...]:
        """start, stop or restart one: what was done of it at once. BusyError."""
        customers = self.customers()
        assert customers is not None  # of whom `sold` is one
        as_before = self.glance()
        said = self._servant.order(customers.fleet, customers.places, verb, sold, service)
        if as_before:  # else the next glance finds what somebody else has done
            self._renew()
        return said

    def mend(self, heard: Heard) -> bool:
        if self._fleet is None or self._places is None:
            return False
        by, directory = who(heard), tree.directory_of(heard.place)
        sold = self._places.account_in(directory)
        if directory and sold is None:
            return True  # it leaves, or is kept as it is: nothing is wanted of it
        try:
            with self._desk.alone(), self._desk.wheel(only(self._fleet, *filter(None, [sold])), wired=False) as wheel:
                steps = differing(wheel.cgroups, as_wanted(wheel), heard.place)
                return steps is not None and self._put_back(wheel.cgroups, steps, heard.place, by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.line(f"{heard.place}: {error}", fg="red", err=True)
            return False

    def rewire(self, heard: Sequence[Heard]) -> bool:
        fleet = self._fleet
        if fleet is None or not fleet.host.network or fleet.kept or self._leaving:
            return False
        try:
            with self._desk.alone(), self._desk.wheel(fleet) as wheel:
                steps = wires_differ(wheel)
                by = "; ".join(sorted({it for it in map(who, heard) if it}))
                if steps and self._fights.may_mend(heard[0].place, by):
                    _tell_mended(rewired(wheel, steps), by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.line(f"the network: {error}", fg="red", err=True)
            return False
        return True

    def sweep(self, pids: Collection[int]) -> bool:
        return self._fleet is None or self._places is None or self._sweeper.sweep(self._fleet, self._places, pids)

    def warm(self) -> bool:
        return self._sweeper.warm()

    def _put_back(self, cgroups: CgroupTree, steps: Changes, place: str, by: str) -> bool:
        if steps and self._fights.may_mend(place, by):
            _tell_mended(mended(cgroups, steps), by)
        return True


def _share() -> float:
    """From 0 to 1, the same for good on one machine."""
    try:
        with open("/etc/machine-id", "rb") as file:
            return crc32(file.read()) / 0xFFFFFFFF
    except OSError:
        return 0.5


def _tell_mended(outcomes: Sequence[Outcome], by: str) -> None:
    for outcome in outcomes:
        changed = f"; changed by {by}" if by else ""
        say.line(f"{say.outcome_line(outcome)}{changed}", err=outcome.ending is not Ending.DONE)
