"""The daemon's hands for what somebody has changed: a knob, the ruleset, an address. Told with who it was."""

from collections.abc import Sequence
from contextlib import suppress

from paas_isolate.apply import Ending, Outcome
from paas_isolate.changes.place import Places
from paas_isolate.changes.steps import Changes, LowerMemory, SetKnob
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk
from paas_isolate.cli.hearing import who
from paas_isolate.cli.running import tell_outcome
from paas_isolate.cli.sweeping import Fights
from paas_isolate.daemon.account import only
from paas_isolate.daemon.mending import differing, mended
from paas_isolate.daemon.network import prepared, rewired, ruled_again, unruled, wires_differ
from paas_isolate.errors import BusyError, HostError, PaasError
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.ears.heard import Heard
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.network import Prepared
from paas_isolate.reconcile import Look, as_wanted


class Writers:
    """Who has written to which cgroup since everything was looked at last, asked while they live."""

    def __init__(self) -> None:
        self._by: dict[str, str] = {}

    def note(self, heard: Heard) -> None:
        if by := who(heard):
            self._by[heard.place] = by

    def tell(self, outcome: Outcome) -> None:
        step = outcome.step
        tell_outcome(outcome, self._by.get(step.path, "") if isinstance(step, SetKnob | LowerMemory) else "")

    def forget(self) -> None:
        self._by.clear()


class Mender:
    """False is answered where all should be looked at instead."""

    def __init__(self, desk: Desk, fights: Fights) -> None:
        self._desk, self._fights = desk, fights
        self._ready: Prepared | None = None
        """What lays the ruleset of the last whole turn's fleet; an edit that is none of the network's leaves it so."""

    def make_ready(self, fleet: Fleet, last: Look) -> None:
        """After a whole turn. Where that cannot be had, nothing is ready."""
        self._ready = None
        if last.desired.network.rules is not None:
            with self._desk.wheel(fleet) as wheel, suppress(HostError):
                self._ready = prepared(wheel, last)

    def mend(self, fleet: Fleet, places: Places, heard: Heard) -> bool:
        by, directory = who(heard), tree.directory_of(heard.place)
        sold = places.account_in(directory)
        if directory and sold is None:
            return True  # it leaves, or is kept as it is: nothing is wanted of it
        try:
            with self._desk.alone(), self._desk.wheel(only(fleet, *filter(None, [sold])), wired=False) as wheel:
                steps = differing(wheel.cgroups, as_wanted(wheel), heard.place)
                return steps is not None and self._put_back(wheel.cgroups, steps, heard.place, by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.lines(f"{heard.place}: {error}", fg="red", err=True)
            return False

    def rewire(self, fleet: Fleet, heard: Sequence[Heard]) -> bool:
        by = "; ".join(sorted({it for it in map(who, heard) if it}))
        try:
            with self._desk.alone(), self._desk.wheel(fleet) as wheel:
                gone = unruled(wheel)
                if gone and not self._fights.may_mend(heard[0].place, by):
                    return True
                if gone:
                    _tell_mended(ruled_again(wheel, self._ready), by)
                steps = wires_differ(wheel)
                if steps and (gone or self._fights.may_mend(heard[0].place, by)):
                    _tell_mended(rewired(wheel, steps), by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.lines(f"the network: {error}", fg="red", err=True)
            return False
        return True

    def _put_back(self, cgroups: CgroupTree, steps: Changes, place: str, by: str) -> bool:
        if steps and self._fights.may_mend(place, by):
            _tell_mended(mended(cgroups, steps), by)
        return True


def _tell_mended(outcomes: Sequence[Outcome], by: str) -> None:
    for outcome in outcomes:
        say.line(say.outcome_line(outcome, by), err=outcome.ending is not Ending.DONE)
