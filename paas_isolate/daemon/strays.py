"""The daemon's broom, for processes that are elsewhere; and when to give way to somebody who undoes our work."""

import time
from collections.abc import Callable, Collection, Sequence

from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.budget import Budget
from paas_isolate.daemon.repair import FLIPS, RepairLimiter, apply_repairs, candidates, strays
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.errors import BusyError, PaasError, without_broken
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.proc_connector import EVERYBODY, PROGRAMS, ProcConnectorSource
from paas_isolate.linux.process.pidfd import RcuWarmer
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps.cgroup import MoveProcess

_TOLD = 5
"""Processes that are moved at once, of which each is told."""
_WARM = 1.0
"""Seconds after a stray in which the next one does not wait for the kernel."""
_ROUNDS = 100
_AGAIN = 1.0
"""Seconds between two looks at those whose events are not heard for now, or ten times as long as one takes."""


class RepairLimits:
    """What is put back again and again is left alone, and told; `left_alone` until everything is looked at."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._flips = RepairLimiter()
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
            self._reporter.error(text)
        return False

    def tell_paused(self, uid: int) -> None:
        """Once in a minute."""
        names = {PROGRAMS: "programs are begun", EVERYBODY: "processes become customers'"}
        what = names.get(uid, f"processes become uid {uid}'s")
        if self._flips.is_news(("paused", uid), time.monotonic()):
            self._reporter.warning(f"{what} more often than can be followed: looked at once a second")


class StrayMover:
    """`unheard` is told what is written for nobody's sake: it is no news, and there is a lot of it."""

    def __init__(
        self,
        installation: Installation,
        fights: RepairLimits,
        unheard: Callable[[int], None],
        troubles: Troubles,
        reporter: Reporter,
        processes: ProcConnectorSource | None = None,
    ) -> None:
        self._desk, self._fights, self._unheard, self._troubles = installation, fights, unheard, troubles
        self._reporter, self._processes, self._budget = reporter, processes, Budget()
        self._paused = frozenset[int]()
        self._due = 0.0
        self._waiting = set[int]()
        """Logins that are refused, to be ended when they have had their time."""
        self._warm_until = 0.0
        self._warmth: RcuWarmer | None = None

    def move_strays(self, fleet: Fleet, places: Placement, pids: Collection[int]) -> bool:
        """Whether none of theirs is left elsewhere, or what is will be looked at soon. Without `pids` those are looked
        at whose events are not heard for now."""
        begin, begin_at = time.thread_time(), time.monotonic()
        if pids:
            settled = self._sweep(fleet, places, pids, ())
            if self._waiting and not self._due > begin_at:
                self._due = begin_at + _AGAIN
            return self._spend(time.thread_time() - begin) or settled
        before, now = self._paused, time.monotonic()
        waiting, self._waiting = self._waiting, set()
        pids = (*waiting, 0) if before & {EVERYBODY, PROGRAMS} else waiting
        self._pause(self._budget.paused(now))  # first: who is heard again is looked at after that
        if not self._sweep(fleet, places, pids, before):
            self._waiting |= waiting
        self._due = time.monotonic() + max(_AGAIN, 10 * (time.thread_time() - begin))
        return True

    def until_strays(self) -> float:
        """Seconds; for ever where all are heard."""
        return max(0.0, self._due - time.monotonic()) if self._paused or self._waiting else float("inf")

    def _spend(self, seconds: float) -> bool:
        """Whether events of somebody are not heard now, for they were more than an account may cost."""
        heard, events = self._processes.cost() if self._processes else (0.0, {})
        if events:
            now = time.monotonic()
            self._budget.spend(heard + seconds, events, now)
            if paused := self._budget.paused(now) - self._paused:
                self._due = min(self._due, now + _AGAIN) if self._paused else now + _AGAIN
                self._pause(self._paused | paused)
        return bool(self._paused.intersection(events))

    def _pause(self, uids: frozenset[int]) -> None:
        for uid in sorted(uids - self._paused):
            self._fights.tell_paused(uid)
        self._paused = uids
        if self._processes:
            self._processes.pause(uids)

    def _sweep(self, fleet: Fleet, places: Placement, pids: Collection[int], uids: Collection[int]) -> bool:
        some = frozenset(candidates(places, pids, uids))
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
            self._reporter.failure("a process could not be placed", error)
            return False

    def _swept(self, cgroups: CgroupTree, places: Placement, pids: Collection[int]) -> bool:
        """A process that forks while it is moved leaves a child: so all of its user's are looked at until none is
        elsewhere."""
        uids: set[int] = set()
        for _ in range(_ROUNDS):
            found, broken = without_broken(
                lambda some: strays(cgroups, places, some, self._waiting, self._desk.commands), tuple(pids)
            )
            for pid, wrong in broken.items():
                self._troubles.tell(f"process {pid}", wrong)
            steps = tuple(step for step in found if self._may_move(step))
            if not steps:
                return True
            with self._desk.locked():
                self._report(apply_repairs(cgroups, steps))
            self._keep_warm(cgroups)
            moved = (step.process for step in steps if step.to != tree.NOWHERE)
            uids |= {uid for process in moved for uid in (process.uid, *process.others)}
            pids = tuple(candidates(places, (), uids))
        return False

    def _may_move(self, move: MoveProcess) -> bool:
        """A process that somebody takes out again and again is not fought for."""
        process = move.process
        return self._fights.may_mend(f"process {process.pid} of uid {process.uid}", "", (process.pid, process.start))

    def _keep_warm(self, cgroups: CgroupTree) -> None:
        self._warm_until = time.monotonic() + _WARM
        if self._warmth is None:
            self._warmth = RcuWarmer(cgroups)
            self._unheard(self._warmth.fileno())

    def keep_rcu_warm(self) -> bool:
        """Whether there is still a reason to."""
        if self._warmth is None:
            return False
        if time.monotonic() >= self._warm_until:
            self._warmth.close()
            self._warmth = None
            return False
        self._warmth.keep()
        return True

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes[:_TOLD]:
            self._reporter.outcome(outcome)
        if len(outcomes) > _TOLD:
            self._reporter.info(f"and {len(outcomes) - _TOLD} processes more")
