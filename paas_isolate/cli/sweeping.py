"""The daemon's broom, for processes that are elsewhere; and when to give way to somebody who undoes our work."""

import time
from collections.abc import Callable, Collection, Sequence

from paas_isolate.apply import Ending, Outcome
from paas_isolate.changes.place import Places
from paas_isolate.changes.steps import Move
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk
from paas_isolate.daemon.mending import FLIPS, Flips, mended, strays, unplaced
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.pidfd import Warmth
from paas_isolate.model.account import Fleet

_TOLD = 5
"""Processes that are moved at once, of which each is told."""
_WARM = 1.0
"""Seconds after a stray in which the next one does not wait for the kernel."""
_ROUNDS = 100


class Fights:
    """What is put back again and again is left alone, and told; `left_alone` until everything is looked at."""

    def __init__(self) -> None:
        self._flips = Flips()
        self.left_alone = False

    def may_mend(self, what: str, by: str, thing: object = None) -> bool:
        """Not a fourth time within a minute: that is told, and a look at everything a minute later puts it back."""
        now, thing = time.monotonic(), thing or what
        if not self._flips.more_than_enough(thing, now):
            return True
        self.left_alone = True
        if self._flips.is_news(thing, now):
            last = f", last by {by}" if by else ""
            text = f"{what} was changed more than {FLIPS} times a minute{last}: left until the next look"
            say.line(text, fg="red", err=True)
        return False


class Sweeper:
    """`unheard` is told what is written for nobody's sake: it is no news, and there is a lot of it."""

    def __init__(self, desk: Desk, fights: Fights, unheard: Callable[[int], None]) -> None:
        self._desk, self._fights, self._unheard = desk, fights, unheard
        self._warm_until = 0.0
        self._warmth: Warmth | None = None

    def sweep(self, fleet: Fleet, places: Places, pids: Collection[int]) -> bool:
        """Whether none of theirs is left elsewhere."""
        some = frozenset(unplaced(places, pids, ()))
        if not some:
            return True  # of the many that become somebody else most are nobody's of ours
        commands = self._desk.commands
        commands.forget()
        late = commands.late
        try:
            with self._desk.tree(fleet) as (cgroups, _):
                return self._swept(cgroups, places, some) and commands.late <= late
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            say.line(f"a process could not be placed: {error}", fg="red", err=True)
            return False

    def _swept(self, cgroups: CgroupTree, places: Places, pids: Collection[int]) -> bool:
        """A process that forks while it is moved leaves a child: so all of its user's are looked at until none is
        elsewhere."""
        uids: set[int] = set()
        for _ in range(_ROUNDS):
            steps = tuple(step for step in strays(cgroups, places, pids, self._desk.commands) if self._may_move(step))
            if not steps:
                return True
            with self._desk.alone():
                _tell_moves(mended(cgroups, steps))
            self._keep_warm(cgroups)
            uids |= {step.process.uid for step in steps}
            pids = tuple(unplaced(places, (), uids))
        return False

    def _may_move(self, move: Move) -> bool:
        """A process that somebody takes out again and again is not fought for."""
        process = move.process
        return self._fights.may_mend(f"process {process.pid} of uid {process.uid}", "", (process.pid, process.start))

    def _keep_warm(self, cgroups: CgroupTree) -> None:
        self._warm_until = time.monotonic() + _WARM
        if self._warmth is None:
            self._warmth = Warmth(cgroups)
            self._unheard(self._warmth.fileno())

    def warm(self) -> bool:
        """Whether there is still a reason to."""
        if self._warmth is None:
            return False
        if time.monotonic() >= self._warm_until:
            self._warmth.close()
            self._warmth = None
            return False
        self._warmth.keep()
        return True


def _tell_moves(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes[:_TOLD]:
        say.line(say.outcome_line(outcome), err=outcome.ending is Ending.FAILED)
    if len(outcomes) > _TOLD:
        say.line(f"and {len(outcomes) - _TOLD} processes more")
