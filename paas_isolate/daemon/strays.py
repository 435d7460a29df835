"""Moves processes that are in the wrong cgroup, and decides when a repair that is undone again and again stops."""

import time
from collections.abc import Callable, Collection

from paas_isolate.apply import apply
from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.budget import Budget
from paas_isolate.daemon.repair import FLIPS, RepairLimiter, candidates, strays
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.errors import BusyError, PaasError, without_broken
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.proc_connector import EVERYBODY, PROGRAMS, ProcConnectorSource
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.process.pidfd import RcuWarmer
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps import Changes, Step
from paas_isolate.model.steps.cgroup import MoveProcess
from paas_isolate.rounds import run_rounds

_REPORTED = 5
"""Processes that are moved at once, of which each is reported."""
_WARM = 1.0
"""Seconds after a stray in which the next one does not wait for the kernel."""
_ROUNDS = 100
_RETRY = 1.0
"""Seconds between two looks at users whose events are paused, or ten times as long as one takes."""


class RepairLimits:
    """Stops repairs that are undone again and again, and reports them. `left_alone` says that a target is left as it is
    until the next full pass."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._limiter = RepairLimiter()
        self.left_alone = False

    def may_repair(self, target: str, by: str, key: object = None) -> bool:
        """Whether `target` may be repaired once more: not a fourth time within a minute. Then it is reported, and the
        next full pass puts it back. `key` names the target where its text does not."""
        now, key = time.monotonic(), key or target
        if not self._limiter.is_exceeded(key, now):
            return True
        self.left_alone = True
        if self._limiter.is_news(key, now):
            last = f", last by {by}" if by else ""
            text = f"{target} was changed more than {FLIPS} times a minute{last}: left until the next look"
            self._reporter.error(text)
        return False

    def report_paused(self, uid: int) -> None:
        """Report once a minute that the events of a uid are paused."""
        names = {PROGRAMS: "programs are begun", EVERYBODY: "processes become customers'"}
        what = names.get(uid, f"processes become uid {uid}'s")
        if self._limiter.is_news(("paused", uid), time.monotonic()):
            self._reporter.warning(f"{what} more often than can be followed: looked at once a second")


class StrayMover:
    """Moves strays as their events come. `ignore` is called with each file descriptor that is written only to keep the
    kernel's RCU warm: its events are no news."""

    def __init__(
        self,
        installation: Installation,
        limits: RepairLimits,
        ignore: Callable[[int], None],
        troubles: Troubles,
        reporter: Reporter,
        processes: ProcConnectorSource | None = None,
    ) -> None:
        self._installation, self._limits, self._ignore, self._troubles = installation, limits, ignore, troubles
        self._reporter, self._processes, self._budget = reporter, processes, Budget()
        self._paused = frozenset[int]()
        self._due = 0.0
        self._waiting = set[int]()
        """Pids of refused logins, to be ended when their time is over."""
        self._warm_until = 0.0
        self._warmer: RcuWarmer | None = None

    def move_strays(self, fleet: Fleet, places: Placement, pids: Collection[int]) -> bool:
        """Whether no stray is left, or those that are will be looked at soon. Without `pids`, the processes of users
        whose events are paused are looked at."""
        begin, begin_at = time.thread_time(), time.monotonic()
        if pids:
            settled = self._sweep(fleet, places, pids, ())
            if self._waiting and not self._due > begin_at:
                self._due = begin_at + _RETRY
            return self._spend(time.thread_time() - begin) or settled
        before, now = self._paused, time.monotonic()
        waiting, self._waiting = self._waiting, set()
        pids = (*waiting, 0) if before & {EVERYBODY, PROGRAMS} else waiting
        self._pause(self._budget.paused(now))  # first: users whose events come again are looked at after that
        if not self._sweep(fleet, places, pids, before):
            self._waiting |= waiting
        self._due = time.monotonic() + max(_RETRY, 10 * (time.thread_time() - begin))
        return True

    def until_strays(self) -> float:
        """Seconds until then; infinite where no events are paused."""
        return max(0.0, self._due - time.monotonic()) if self._paused or self._waiting else float("inf")

    def _spend(self, seconds: float) -> bool:
        """Whether the events of a user are paused now, because they cost more than an account may."""
        heard, events = self._processes.cost() if self._processes else (0.0, {})
        if events:
            now = time.monotonic()
            self._budget.spend(heard + seconds, events, now)
            if paused := self._budget.paused(now) - self._paused:
                self._due = min(self._due, now + _RETRY) if self._paused else now + _RETRY
                self._pause(self._paused | paused)
        return bool(self._paused.intersection(events))

    def _pause(self, uids: frozenset[int]) -> None:
        for uid in sorted(uids - self._paused):
            self._limits.report_paused(uid)
        self._paused = uids
        if self._processes:
            self._processes.pause(uids)

    def _sweep(self, fleet: Fleet, places: Placement, pids: Collection[int], uids: Collection[int]) -> bool:
        possible = frozenset(candidates(places, pids, uids))
        if not possible:
            return True  # most of the processes that change their uid belong to no account
        commands = self._installation.commands
        commands.forget()
        late = commands.late
        try:
            with self._installation.tree(fleet) as (cgroups, _):
                return self._move(cgroups, places, possible) and commands.late <= late
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            self._reporter.failure("a process could not be placed", error)
            return False

    def _move(self, cgroups: CgroupTree, places: Placement, pids: Collection[int]) -> bool:
        """Whether no stray is left. A process that forks while it is moved leaves a child, so all processes of its
        users are looked at until none is a stray."""
        uids: set[int] = set()
        commands = self._installation.commands

        def look(done: Changes) -> Changes:
            nonlocal pids
            if done:
                uids.update(_uids_of_moved(done))
                pids = tuple(candidates(places, (), uids))
            steps, broken = without_broken(
                lambda part: strays(cgroups, places, part, self._waiting, commands), tuple(pids)
            )
            for pid, trouble in broken.items():
                self._troubles.tell(f"process {pid}", trouble)
            return tuple(step for step in steps if self._may_move(step))

        def carry_out(steps: Changes) -> tuple[Outcome, ...]:
            with self._installation.locked():
                outcomes = tuple(apply(Kernel(cgroups), steps))
            self._report(outcomes)
            self._keep_warm(cgroups)
            return outcomes

        return not run_rounds(look, carry_out, lambda _: None, limit=_ROUNDS).last

    def _may_move(self, move: MoveProcess) -> bool:
        """A process that is taken out again and again is left where it is."""
        process = move.process
        return self._limits.may_repair(f"process {process.pid} of uid {process.uid}", "", (process.pid, process.start))

    def _keep_warm(self, cgroups: CgroupTree) -> None:
        self._warm_until = time.monotonic() + _WARM
        if self._warmer is None:
            self._warmer = RcuWarmer(cgroups)
            self._ignore(self._warmer.fileno())

    def keep_rcu_warm(self) -> bool:
        """Whether there is still a reason to keep it warm."""
        if self._warmer is None:
            return False
        if time.monotonic() >= self._warm_until:
            self._warmer.close()
            self._warmer = None
            return False
        self._warmer.keep()
        return True

    def _report(self, outcomes: tuple[Outcome, ...]) -> None:
        for outcome in outcomes[:_REPORTED]:
            self._reporter.outcome(outcome)
        if len(outcomes) > _REPORTED:
            self._reporter.info(f"and {len(outcomes) - _REPORTED} processes more")


def _uids_of_moved(steps: Collection[Step]) -> set[int]:
    moved = [step.process for step in steps if isinstance(step, MoveProcess) and step.to != tree.NOWHERE]
    return {uid for process in moved for uid in (process.uid, *process.others)}
