"""daemon: the wheel, turned by events instead of the clock."""

import pwd
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import cast

import click

from paas_isolate.apply import Ending, Outcome
from paas_isolate.changes.place import Places
from paas_isolate.changes.steps import Changes, Move
from paas_isolate.cli import say
from paas_isolate.cli.answering import Answering
from paas_isolate.cli.desk import Desk, need_root
from paas_isolate.cli.exits import Exit
from paas_isolate.cli.running import Manner, complaints, run_once, tell
from paas_isolate.cli.running import reconcile as run
from paas_isolate.daemon.control import Customers
from paas_isolate.daemon.loop import Ear, Loop
from paas_isolate.daemon.mending import FLIPS, Flips, differing, mended, strays
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.ears.fanotify import Fanotify
from paas_isolate.linux.ears.heard import Heard
from paas_isolate.linux.ears.inotify import Inotify
from paas_isolate.linux.ears.netlinks import Netlinks
from paas_isolate.linux.ears.processes import Processes
from paas_isolate.linux.mounts import cgroup2
from paas_isolate.linux.notify import notify, watchdog
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import World
from paas_isolate.source.directory import ACCOUNTS, PLANS

INTERVAL = 60.0
_PATIENCE = 60.0
"""Seconds that another run may hold the lock."""
_TOLD = 5
"""Processes that are moved at once, of which each is told."""


@click.command()
@click.option("--once", is_flag=True, help="One turn, and the end: reconcile.")
@click.option(
    "--interval",
    type=click.FloatRange(min=1),
    default=INTERVAL,
    metavar="SECONDS",
    show_default=True,
    help="Look at everything so often, though nothing is heard.",
)
@click.pass_obj
def daemon(desk: Desk, once: bool, interval: float) -> int:
    """Stay, and mend what differs as soon as it does: a file that is saved, a knob that is written by hand, a ruleset
    that is flushed. What is told by no event is found when everything is looked at.

    What was mended is told once, with who did it; whoever does the same more than three times a minute is left alone
    for that minute, and named. SIGHUP: look at everything now. SIGTERM: end; nothing of a customer's changes.
    """
    need_root()
    if once:
        return run(desk, Manner(wait=_PATIENCE))
    cast("object", sys.stdout).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        resident = Resident(desk, stack)
        pulse = watchdog() / 2
        ears = [*resident.ears, *Answering(desk, resident.customers).ears(stack)]
        Loop(resident, ears, interval=interval, pulse=pulse, alive=resident.alive).run()
    notify("STOPPING=1")
    return Exit.CONVERGED


class Resident:
    """The hands of the loop: a whole run as reconcile's, and one cgroup by what that run wanted."""

    def __init__(self, desk: Desk, stack: ExitStack) -> None:
        self._desk = desk
        self._specs = Inotify([desk.etc, *(f"{desk.etc}/{it}" for it in (PLANS, ACCOUNTS))])
        stack.callback(self._specs.close)
        self._netlinks = Netlinks()
        stack.callback(self._netlinks.close)
        self._knobs, processes = _knobs(), _processes()
        for ear in (self._knobs, processes):
            if ear:
                stack.callback(ear.close)
        self.ears: list[Ear] = [it for it in (self._specs, self._netlinks, self._knobs, processes) if it]
        self._fleet: Fleet | None = None
        self._places: Places | None = None
        self._desired = World()
        self._flips = Flips()
        self._told = ""
        self._ready = False

    def customers(self) -> Customers | None:
        """For those who ask."""
        return Customers(self._fleet, self._places) if self._fleet and self._places else None

    def alive(self) -> None:
        if not self._ready:
            notify("READY=1")
            self._ready = True
        notify("WATCHDOG=1")

    def turn(self) -> bool:
        self._specs.follow()
        try:
            with self._desk.alone(wait=_PATIENCE):
                fleet, report = run_once(self._desk, Manner(quiet=True))
        except (PaasError, OSError) as error:
            wrong = f"paas-isolate: {error}"
            self._tell(wrong, lambda: say.line(wrong, fg="red", err=True))
            return True
        forking = any(isinstance(it.step, Move) for it in report.remaining)
        if not forking:
            self._tell(complaints(fleet, report), lambda: tell(fleet, report, quiet=True))
        self._fleet, self._places, self._desired = fleet, Places(fleet), report.last.desired
        if self._knobs:
            with self._desk.tree(fleet) as (_, location):
                self._knobs.root = location.root
        return not forking

    def _tell(self, news: str, say_it: Callable[[], None]) -> None:
        """The same once, until it has changed."""
        if news and news != self._told:
            say_it()
        self._told = news

    def mend(self, heard: Heard) -> bool:
        who = _who(heard.pid)
        if self._fleet is None:
            return False
        try:
            with self._desk.alone(), self._desk.tree(self._fleet) as (cgroups, _):
                steps = differing(cgroups, self._desired, heard.place)
                return steps is not None and self._put_back(cgroups, steps, heard.place, who)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.line(f"{heard.place}: {error}", fg="red", err=True)
            return False

    def sweep(self, pids: Collection[int]) -> bool:
        if self._fleet is None or self._places is None:
            return True
        try:
            with self._desk.tree(self._fleet) as (cgroups, _):
                steps = strays(cgroups, self._fleet, self._places, pids)
                if steps:
                    with self._desk.alone():
                        _tell_moves(mended(cgroups, steps))
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.line(f"a process could not be placed: {error}", fg="red", err=True)
            return False
        return not steps

    def _put_back(self, cgroups: CgroupTree, steps: Changes, place: str, who: str) -> bool:
        if not steps:
            return True
        now = time.monotonic()
        if self._flips.more_than_enough(place, now):
            if self._flips.is_news(place, now):
                text = f"{place} was changed more than {FLIPS} times a minute, last by {who}: left until the next look"
                say.line(text, fg="red", err=True)
            return True
        for outcome in mended(cgroups, steps):
            say.line(f"{say.outcome_line(outcome)}; changed by {who}", err=outcome.ending is not Ending.DONE)
        return True


def _knobs() -> Fanotify | None:
    try:
        return Fanotify(cgroup2().point)
    except (OSError, PaasError) as error:
        say.line(f"a knob that is written by hand is seen at the next look only: {error}", fg="yellow", err=True)
        return None


def _tell_moves(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes[:_TOLD]:
        say.line(say.outcome_line(outcome), err=outcome.ending is Ending.FAILED)
    if len(outcomes) > _TOLD:
        say.line(f"and {len(outcomes) - _TOLD} processes more")


def _processes() -> Processes | None:
    try:
        return Processes()
    except OSError as error:
        say.line(f"a process outside is seen at the next look only: {error.strerror}", fg="yellow", err=True)
        return None


def _who(pid: int) -> str:
    """As far as it can still be told."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return f"pid {pid}, which has ended"
    uid = int(lines["Uid"].split()[0])
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"pid {pid} ({lines['Name']}, {name})"
