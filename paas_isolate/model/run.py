"""Runs of the services that paas-isolate starts: one run of one program, from its record and the kernel; and which
should run. All times are in seconds since the epoch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.model.service_program import Launch

FOREVER = float("inf")

MANY, PERIOD = 5, 120.0
"""MANY starts within PERIOD seconds are a crash loop."""

OWN_FAILURE = 125
"""Exit status where the program could not be executed: its directory is missing, and the like (paas-run(8))."""

HOUR = 3600.0
"""Seconds. A time that lies further in the future was written while the clock was wrong; less is a usual correction."""

LONGEST = 60.0
"""The longest delay in seconds between an end and the next start, and between two attempts to kill."""


class ProgramExit(NamedTuple):
    """How a program ended: with an exit `status` or by a `signal`; both are None where nobody saw the end. `at` is the
    time, 0 where it is unknown. `oom_killed`: the kernel killed it because memory ran out. `why` is set where the
    program could not start: with status OWN_FAILURE it waits for something, without a status the customer's own
    settings are at fault."""

    status: int | None = None
    signal: int | None = None
    at: float = 0.0
    oom_killed: bool = False
    why: str = ""

    @property
    def why_waiting(self) -> str:
        """What the program waits for, where it could not start without that; '' otherwise."""
        return self.why if self.status == OWN_FAILURE else ""

    @property
    def well(self) -> bool:
        return self.status == 0

    def __str__(self) -> str:
        if self.oom_killed:
            return "killed: out of memory"
        if self.why:
            return f"no beginning: {self.why}"
        if self.status is not None:
            return f"exit status {self.status}"
        return f"signal {self.signal}" if self.signal is not None else "killed, with all that was in its leaf"


class Result(NamedTuple):
    """The last result of a job, kept over reboots: when that run started, how it ended, and when a run last succeeded
    (0: never)."""

    started: float
    end: ProgramExit
    succeeded: float = 0.0

    def plain(self) -> dict[str, float | None]:
        """As `--json` shows it."""
        end = self.end
        ended = {"ended": end.at, "status": end.status, "signal": end.signal, "out_of_memory": end.oom_killed}
        return {"begun": self.started, **ended, "succeeded": self.succeeded}


class Run(NamedTuple):
    """The last run of one program.

    Its start: `digest` is that of its Launch. `starts` are the times of the last starts, this one's last; () for a job
    that waits for its first run since `since`. `pid` and `start` (clock ticks since boot, proc_pid_stat(5)) identify
    the program, 0 where it did not start; `keeper` and `keeper_start` its shim (paas-run). `failures` counts the
    starts in a row before this one at which the program could not start.
    Its state: `alive`: the program lives in its leaf. `unhealthy`: its health checks fail. `background`: it ended with
    status 0 and left processes in its leaf. `end`: how it ended; the default while it runs.
    Its stop: `stop_requested_at` is when it was asked to end (0: it was not), `why` the reason, `kill_at` when it is
    killed if it has not ended. `kills` counts the attempts, the last at `killed`. `tidied`: the program had ended
    before, and the stop only removes what it left behind.
    After it: `restart_requested`: an administrator ordered a start. `given_up`: it is not started again by itself.
    `last` is the result of the run before. `remembered`: the result of this run is saved. `notified`: its failure was
    reported. `future_dated`: its times lie more than an HOUR in the future.
    """

    digest: str
    since: float = 0.0
    starts: tuple[float, ...] = ()
    pid: int = 0
    start: int = 0
    keeper: int = 0
    keeper_start: int = 0
    failures: int = 0
    alive: bool = False
    end: ProgramExit = ProgramExit()
    stop_requested_at: float = 0.0
    kill_at: float = 0.0
    killed: float = 0.0
    kills: int = 0
    why: str = ""
    tidied: bool = False
    background: bool = False
    unhealthy: bool = False
    restart_requested: bool = False
    given_up: bool = False
    last: Result | None = None
    remembered: bool = False
    notified: bool = False
    future_dated: bool = False

    def by(self, now: float) -> "Run":
        """This run with no time later than `now`: after a wrong clock is set back, nothing waits for a future time."""
        if max(self.since, self.stop_requested_at, self.end.at, *self.starts) <= now:
            return self
        late = max(0.0, self.stop_requested_at - now)
        return self._replace(
            future_dated=max(self.since, 0.0, *self.starts) > now + HOUR,
            since=min(self.since, now),
            starts=tuple(min(at, now) for at in self.starts),
            end=self.end._replace(at=min(self.end.at, now)),
            stop_requested_at=self.stop_requested_at - late,
            kill_at=self.kill_at - late,
        )

    @property
    def how_it_ended(self) -> str:
        return f"{self.end}{': it went to the background; keep it in the foreground' if self.background else ''}"

    @property
    def result(self) -> Result | None:
        """The result of the last run that has ended: of this one, or of the one before."""
        if self.end == ProgramExit() or not self.starts:
            return self.last
        before = self.last.succeeded if self.last else 0.0
        return Result(self.starts[-1], self.end, self.end.at if self.end.well else before)

    @property
    def is_news(self) -> bool:
        """Whether it has ended and its result is not saved yet."""
        return self.end != ProgramExit() and bool(self.starts) and not self.remembered

    @property
    def failure_unreported(self) -> bool:
        """Whether its failure is still to be reported: its shim was killed together with it."""
        end = self.end
        unseen = end != ProgramExit() and end.status is None and end.signal is None
        return unseen and bool(self.pid) and not self.stop_requested_at and not self.notified

    @property
    def clean_restart(self) -> bool:
        """Whether its next start does not count as a failure: the start was ordered, or the program was asked to
        end."""
        return self.restart_requested or (bool(self.stop_requested_at) and not self.unhealthy and not self.tidied)

    @property
    def recent(self) -> int:
        """How many starts there were within PERIOD seconds before the last one, with that one."""
        return sum(self.starts[-1] - at < PERIOD for at in self.starts) if self.starts else 0

    @property
    def looping(self) -> bool:
        """Whether it is in a crash loop: MANY starts in a PERIOD, or MANY in a row at which the program did not
        start."""
        return self.recent >= MANY or self.failed_starts >= MANY

    @property
    def failed_starts(self) -> int:
        """How many starts in a row failed, with this one; 0 where this one has not failed."""
        never = bool(self.starts) and not self.pid and not self.alive and not self.end.why_waiting
        return self.failures + 1 if never else 0

    @property
    def ready_at(self) -> float:
        """When it may start again: one, two, four ... seconds after its end; LONGEST where it waits for something."""
        delay = LONGEST if self.end.why_waiting else min(LONGEST, 2.0 ** (self.recent - 1))
        return max(self.end.at, self.starts[-1]) + delay if self.starts else 0.0

    @property
    def kill_due(self) -> float:
        """When it is killed next: at `kill_at`, and then one, two, four ... seconds after each attempt."""
        return self.killed + min(LONGEST, 2.0 ** min(self.kills - 1, 9)) if self.kills else self.kill_at


class DesiredServices(NamedTuple):
    """Which programs should run at one moment, by leaf. In `run`, None means that the leaf is left as it is; a leaf
    that is missing there should run nothing. `inactive` is why a program must not run. `given_up` are those to give up
    now, with the reason. `patience` has every leaf with a program of ours: milliseconds from the request to end to the
    kill. `jobs` are the leaves of programs with a schedule."""

    run: Mapping[str, Launch | None] = MappingProxyType({})
    inactive: Mapping[str, str] = MappingProxyType({})
    given_up: Mapping[str, str] = MappingProxyType({})
    patience: Mapping[str, int] = MappingProxyType({})
    jobs: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()
    """Leaves whose running program must be replaced."""
    waiting: frozenset[str] = frozenset()
    """Replicas that are replaced only when the others are up."""
    due_times: Mapping[str, float] = MappingProxyType({})
    """When to look at a leaf again. A leaf that waits for no time is not here."""
    missed: frozenset[str] = frozenset()
    """Inactive jobs whose time has come: they skip it and wait for the next one."""
    failure_unreported: Mapping[str, Launch] = MappingProxyType({})
    """Programs that failed and whose failure is still to be reported (`on_failure`)."""

    @property
    def due(self) -> float:
        """When to look again at any leaf; FOREVER where no leaf waits for a time."""
        return min(self.due_times.values(), default=FOREVER)


NO_WISH = DesiredServices()
