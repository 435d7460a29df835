"""One turn of the wheel: look, compare, mend, look again. Read this first."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.apply import Ending, Outcome, apply
from paas_isolate.changes.catalogue import DeviceOf
from paas_isolate.changes.conditions import Condition, condition
from paas_isolate.changes.desire import as_sold, desire
from paas_isolate.changes.diff import diff
from paas_isolate.changes.keeping import Kept, keep_as_sold, wish
from paas_isolate.changes.leaving import Leaving, leaving
from paas_isolate.changes.runs import Start
from paas_isolate.changes.steps import Changes, Step, owner, touched
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.commands import CommandReader
from paas_isolate.linux.doors import DoorDirectory
from paas_isolate.linux.listening import astray, up
from paas_isolate.linux.records import RecordDirectory
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.machine import Machine
from paas_isolate.model.network import Wires
from paas_isolate.model.quota import Rations
from paas_isolate.model.running import FOREVER, NO_WISH, Run, Wish
from paas_isolate.model.view import Looks
from paas_isolate.model.world import World
from paas_isolate.observe import observe

PAUSE = 0.02
"""Seconds between two questions whether somebody has ended."""

ROUNDS = 10
"""Looks a run at the most: a process that forks while it is moved leaves a child for the next look."""


class Wheel(NamedTuple):
    """What a turn works on. `records` tell what runs, where paas-isolate runs anything. `held` are frozen accounts and
    services, `stopped` services that are not to run, `departed` the directories whose removal was accepted before,
    `meant` confirms a removal of many, `only` narrows all to one account's directory. `patience` is how many seconds
    a turn waits for services that are asked to end, or may start again in a moment."""

    cgroups: CgroupTree
    fleet: Fleet
    machine: Machine
    device_of: DeviceOf
    controllers: tuple[str, ...]
    weight_at: str
    doors: DoorDirectory | None = None
    wires: Wires | None = None
    records: RecordDirectory | None = None
    looks: Looks | None = None
    rations: Rations | None = None
    held: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    departed: frozenset[str] = frozenset()
    meant: bool = False
    only: str = ""
    patience: float = 0.0
    commands: CommandReader | None = None


class Look(NamedTuple):
    """The world as it is, as it should be, and the steps between."""

    observed: World
    desired: World
    changes: Changes
    leaving: Leaving


class Report(NamedTuple):
    """What was done, and what still differs after the last look."""

    outcomes: tuple[Outcome, ...]
    last: Look
    remaining: tuple[Outcome, ...]

    def ended(self, ending: Ending) -> bool:
        """Whether anything is left that ended so."""
        return any(outcome.ending is ending for outcome in self.remaining)

    @property
    def unmet(self) -> tuple[str, ...]:
        """Limits that this machine cannot keep at all."""
        return tuple(self.last.desired.unmet.values())

    @property
    def late(self) -> tuple[str, ...]:
        """What could not be looked at in time: it stays as it was."""
        return tuple(self.last.desired.late.values())


class _Sold(NamedTuple):
    """What was sold, the same at every look of a run."""

    world: World
    keep: Mapping[str, Kept]


def look(wheel: Wheel) -> Look:
    """Look once and change nothing."""
    return _look(wheel, _sold(wheel))


def as_wanted(wheel: Wheel) -> World:
    """What should be of the house, and of those accounts that the wheel is for, whatever there is now."""
    return as_sold(
        wheel.fleet,
        machine=wheel.machine,
        device_of=wheel.device_of,
        held=wheel.held,
        weight_at=wheel.weight_at,
        controllers=wheel.controllers,
        with_doors=wheel.doors is not None,
        with_views=wheel.looks is not None,
    )


def _sold(wheel: Wheel) -> _Sold:
    world = as_wanted(wheel)
    keep, unmet = kept_by(wheel, world)
    return _Sold(world._replace(unmet={**world.unmet, **unmet}) if unmet else world, keep)


def kept_by(wheel: Wheel, world: World) -> tuple[Mapping[str, Kept], Mapping[str, str]]:
    """The programs that are kept, by leaf; and which cannot be, with the reason. `world` is what was sold."""
    if wheel.records is None:
        return {}, {}
    return keep_as_sold(wheel.fleet, world.cgroups, wheel.held, wheel.stopped)


def _look(wheel: Wheel, sold: _Sold, since: tuple[World, Collection[str]] | None = None) -> Look:
    observed = observe(
        wheel.cgroups,
        wheel.fleet,
        weight_at=wheel.weight_at,
        doors=wheel.doors,
        wires=wheel.wires,
        records=wheel.records,
        looks=wheel.looks,
        rations=wheel.rations,
        since=since,
        commands=wheel.commands,
    )
    departing = leaving(wheel.fleet, observed, known=wheel.departed, meant=wheel.meant)
    staying = frozenset(departing.waiting) | frozenset(wheel.fleet.kept)
    desired = desire(wheel.fleet, sold.world, observed, staying=staying)
    now = time.time()
    desired = desired._replace(services=services_now(wheel, sold.keep, observed, now, departing.accepted))
    changes = diff(desired, observed, now)
    if wheel.only:
        changes = tuple(step for step in changes if owner(step) in ("", wheel.only))
    return Look(observed, desired, changes, departing)


def conditions(wheel: Wheel, runs: Mapping[str, Run]) -> dict[str, Condition]:
    """How it stands with each program that is kept, by its leaf."""
    keep, _ = kept_by(wheel, World())
    now = time.time()
    elsewhere = astray(kept.launch for leaf, kept in keep.items() if (run := runs.get(leaf)) and run.alive)
    return {
        leaf: condition(kept, runs.get(leaf), astray=elsewhere.get(kept.launch, ""), now=now)
        for leaf, kept in keep.items()
    }


def services_now(
    wheel: Wheel, keep: Mapping[str, Kept], observed: World, now: float, accepted: Collection[str] = ()
) -> Wish:
    """What is to run at this moment. What runs of accounts that nobody may remove is left as it is; of all, when the
    machine goes down."""
    if wheel.records is None:
        return NO_WISH
    wished = wish(keep, observed.runs, observed.members, now, up)
    ending = wheel.records.ending
    known = {sold.directory for sold in wheel.fleet.accounts.values()} | set(accepted)
    strange = {leaf for leaf in observed.runs if leaf not in keep and tree.directory_of(leaf) not in known}
    if ending:
        return wished._replace(run=dict.fromkeys((*observed.runs, *keep)), dues={}, missed=frozenset(), untold={})
    if not strange:
        return wished
    dues = {leaf: due for leaf, due in wished.dues.items() if leaf not in strange}
    return wished._replace(run={**wished.run, **dict.fromkeys(strange)}, dues=dues)


def reconcile(wheel: Wheel, tell: Callable[[Outcome], None]) -> Report:
    """Mend what differs, look again until nothing new differs, and report what could not be mended."""
    outcomes: list[Outcome] = []
    sold = _sold(wheel)
    since = None
    until = time.monotonic() + wheel.patience
    left = ROUNDS
    while left:
        last = _look(wheel, sold, since)
        tried = {outcome.step for outcome in outcomes} if last.changes else ()
        new = tuple(step for step in last.changes if step not in tried)
        since = (last.observed, touched(new)) if new else None
        if not new and not _wait(wheel, last, until):
            break
        for outcome in apply(wheel.cgroups, new, wheel.doors, wheel.wires, wheel.looks, wheel.records, wheel.rations):
            outcomes.append(outcome)
            tell(outcome)
        left -= 1 if new else 0
    return Report(tuple(outcomes), last, tuple(_remaining(last.changes, outcomes)))


def _wait(wheel: Wheel, last: Look, until: float) -> bool:
    """Whether something may have changed meanwhile: somebody was asked to end, or waits for that of another."""
    ending = [leaf for leaf, run in last.observed.runs.items() if run.asked and leaf in last.observed.members]
    ending = [leaf for leaf in ending if wheel.only in ("", tree.directory_of(leaf))]
    waiting = [leaf for leaf in last.desired.services.waiting if wheel.only in ("", tree.directory_of(leaf))]
    if not ending and not waiting:
        return False
    killed = min((last.observed.runs[leaf].kill_due for leaf in ending), default=FOREVER) - time.time()
    soon = min(until, time.monotonic() + min(killed, 1.0))
    while time.monotonic() < soon and all(wheel.cgroups.populated(leaf) for leaf in ending):
        time.sleep(PAUSE)
    return time.monotonic() < until


def _remaining(changes: Changes, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    ended = {outcome.step: outcome for outcome in outcomes} if changes else {}
    for step in changes:
        yield _left(step, ended.get(step))


def _left(step: Step, outcome: Outcome | None) -> Outcome:
    """Why a step is still to be done after the last look."""
    if outcome is None:
        return Outcome(step, Ending.PENDING, "it came up during the last look")
    if isinstance(step, Start) and outcome.ending is Ending.DONE:
        return Outcome(step, Ending.PENDING, "its program has ended again")
    if outcome.ending in (Ending.DONE, Ending.GONE):
        return Outcome(step, Ending.FAILED, "it was carried out, and differs again")
    return outcome
