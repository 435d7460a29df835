"""One turn of the wheel: look, compare, mend, look again. Read this first."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from paas_isolate.apply import Ending, Outcome, apply
from paas_isolate.changes.catalogue import DeviceOf
from paas_isolate.changes.desire import as_sold, desire
from paas_isolate.changes.diff import diff
from paas_isolate.changes.leaving import Leaving, leaving
from paas_isolate.changes.steps import Changes, Step, owner, touched
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.doors import DoorDirectory
from paas_isolate.model.account import Fleet
from paas_isolate.model.machine import Machine
from paas_isolate.model.network import Wires
from paas_isolate.model.view import Looks
from paas_isolate.model.world import World
from paas_isolate.observe import observe

ROUNDS = 10
"""Looks a run at the most: a process that forks while it is moved leaves a child for the next look."""


class Wheel(NamedTuple):
    """What a turn works on. `held` are frozen accounts and services, `departed` the directories whose removal
    was accepted before, `meant` confirms a removal of many, `only` narrows all to one account's directory."""

    cgroups: CgroupTree
    fleet: Fleet
    machine: Machine
    device_of: DeviceOf
    controllers: tuple[str, ...]
    weight_at: str
    doors: DoorDirectory | None = None
    wires: Wires | None = None
    looks: Looks | None = None
    held: frozenset[str] = frozenset()
    departed: frozenset[str] = frozenset()
    meant: bool = False
    only: str = ""


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


def look(wheel: Wheel) -> Look:
    """Look once and change nothing."""
    return _look(wheel, _sold(wheel))


def _sold(wheel: Wheel) -> World:
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


def _look(wheel: Wheel, sold: World, since: tuple[World, Collection[str]] | None = None) -> Look:
    observed = observe(
        wheel.cgroups,
        wheel.fleet,
        weight_at=wheel.weight_at,
        doors=wheel.doors,
        wires=wheel.wires,
        looks=wheel.looks,
        since=since,
    )
    departing = leaving(wheel.fleet, observed, known=wheel.departed, meant=wheel.meant)
    staying = frozenset(departing.waiting) | frozenset(wheel.fleet.kept)
    desired = desire(wheel.fleet, sold, observed, staying=staying)
    changes = diff(desired, observed)
    if wheel.only:
        changes = tuple(step for step in changes if owner(step) in ("", wheel.only))
    return Look(observed, desired, changes, departing)


def reconcile(wheel: Wheel, tell: Callable[[Outcome], None]) -> Report:
    """Mend what differs, look again until nothing new differs, and report what could not be mended."""
    outcomes: list[Outcome] = []
    sold = _sold(wheel)
    since = None
    for _ in range(ROUNDS):
        last = _look(wheel, sold, since)
        tried = {outcome.step for outcome in outcomes} if last.changes else ()
        new = tuple(step for step in last.changes if step not in tried)
        if not new:
            break
        for outcome in apply(wheel.cgroups, new, wheel.doors, wheel.wires, wheel.looks):
            outcomes.append(outcome)
            tell(outcome)
        since = last.observed, touched(new)
    return Report(tuple(outcomes), last, tuple(_remaining(last.changes, outcomes)))


def _remaining(changes: Changes, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    ended = {outcome.step: outcome for outcome in outcomes} if changes else {}
    for step in changes:
        yield _left(step, ended.get(step))


def _left(step: Step, outcome: Outcome | None) -> Outcome:
    """Why a step is still to be done after the last look."""
    if outcome is None:
        return Outcome(step, Ending.PENDING, "it came up during the last look")
    if outcome.ending in (Ending.DONE, Ending.GONE):
        return Outcome(step, Ending.FAILED, "it was carried out, and differs again")
    return outcome
