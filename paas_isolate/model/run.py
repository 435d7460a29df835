"""What runs of the services that paas-isolate keeps: one run of one program, as its record and the kernel tell it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.model.service_program import Launch

FOREVER = float("inf")

MANY, PERIOD = 5, 120.0
"""So many starts within so many seconds are a crash loop."""

OWN_FAILURE = 125
"""Exit status of a program that never became one: its directory is not there, and the like (paas-run(8))."""

HOUR = 3600.0
"""Seconds: by so much clocks are set right; what is wrong by more was never right."""

LONGEST = 60.0
"""Seconds between an end and the next start, and between two times that it is killed, at the most."""


class ProgramExit(NamedTuple):
    """How a program ended: one of `status` (of exit) and `signal` is there, none where nobody saw it. `at` is in
    seconds since the epoch, 0 where nobody knows. `starved` says that the kernel killed for want of memory. `why` says
    what kept it from beginning at all: with OWN_FAILURE something that it waits for, without a status something that is
    the customer's own doing."""

    status: int | None = None
    signal: int | None = None
    at: float = 0.0
    oom_killed: bool = False
    why: str = ""

    @property
    def why_waiting(self) -> str:
        """What it waits for, where it could not begin for want of that; '' otherwise."""
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
    """What is remembered of a job, through reboots: when its last run was begun, how that ended, and when one has last
    ended well, 0 where none has; in seconds since the epoch."""

    started: float
    end: ProgramExit
    succeeded: float = 0.0

    def plain(self) -> dict[str, float | None]:
        """As JSON has it."""
        end = self.end
        ended = {"ended": end.at, "status": end.status, "signal": end.signal, "out_of_memory": end.oom_killed}
        return {"begun": self.started, **ended, "succeeded": self.succeeded}


class Run(NamedTuple):
    """`digest` is of what it was begun with; `pid` and `start` (clock ticks since boot) name its program, 0 where it
    never began, `keeper` the process beside it. `begun` are the times of its last starts, this one's at the end, in
    seconds since the epoch; () where it waits for its first time since `since`. `alive`: the program lives in its leaf.
    `keeper_start` is when that one started. `failures` is how many starts before this one, in a row, never became the
    program. `background`: it ended well, and left others in its leaf. `asked` is when it was asked to end, and `why`;
    `tidied`: its program had ended already, and nobody ordered it; `kill_at` when it is not asked any more; `kills` how
    often it was killed since, last at `killed`. `again` that a start was ordered by hand, `given_up` that it starts no
    more by itself. `last` is the result of the run before this one, `remembered` that this one's is kept, `told` that
    those were told of it who are to hear of a failure. `early`: it is noted for a time that has not come by far."""

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
        """With nothing in the future: a clock that was wrong and has stepped back must let nobody wait for a year."""
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
        """Of the last run that has ended."""
        if self.end == ProgramExit() or not self.starts:
            return self.last
        before = self.last.succeeded if self.last else 0.0
        return Result(self.starts[-1], self.end, self.end.at if self.end.well else before)

    @property
    def is_news(self) -> bool:
        """Whether it has ended, and that is not remembered yet."""
        return self.end != ProgramExit() and bool(self.starts) and not self.remembered

    @property
    def failure_unreported(self) -> bool:
        """Whether its keeper was killed together with it, and so has told nobody."""
        end = self.end
        unseen = end != ProgramExit() and end.status is None and end.signal is None
        return unseen and bool(self.pid) and not self.stop_requested_at and not self.notified

    @property
    def clean_restart(self) -> bool:
        """Whether its next start is no sign of trouble: it was ordered, or it had been asked to end."""
        return self.restart_requested or (bool(self.stop_requested_at) and not self.unhealthy and not self.tidied)

    @property
    def recent(self) -> int:
        """How many starts there were within a PERIOD before the last one, with it."""
        return sum(self.starts[-1] - at < PERIOD for at in self.starts) if self.starts else 0

    @property
    def looping(self) -> bool:
        """Whether it was started too often: in a short time, or, however slowly, without ever becoming the program."""
        return self.recent >= MANY or self.failed_starts >= MANY

    @property
    def failed_starts(self) -> int:
        """How many starts in a row never became the program, with this one; 0 while it may still become it."""
        never = bool(self.starts) and not self.pid and not self.alive and not self.end.why_waiting
        return self.failures + 1 if never else 0

    @property
    def ready_at(self) -> float:
        """When it may start again: after a second, two, four; after a minute where it waits for something."""
        delay = LONGEST if self.end.why_waiting else min(LONGEST, 2.0 ** (self.recent - 1))
        return max(self.end.at, self.starts[-1]) + delay if self.starts else 0.0

    @property
    def kill_due(self) -> float:
        """When it is killed: after its time to end, and where that was of no use a second, two, four later."""
        return self.killed + min(LONGEST, 2.0 ** min(self.kills - 1, 9)) if self.kills else self.kill_at


class DesiredServices(NamedTuple):
    """What is to run at one moment, by leaf: `run` has None where a leaf is left as it is. `idle` is why nothing is to
    run; `given_up` what starts no more by itself, with the reason. `patience` has every leaf with a program of ours:
    milliseconds from asking it to end to killing it. `jobs` run when it is time."""

    run: Mapping[str, Launch | None] = MappingProxyType({})
    inactive: Mapping[str, str] = MappingProxyType({})
    given_up: Mapping[str, str] = MappingProxyType({})
    patience: Mapping[str, int] = MappingProxyType({})
    jobs: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()
    """What runs there is to be replaced."""
    waiting: frozenset[str] = frozenset()
    """Replicas that are to be replaced when another is up."""
    due_times: Mapping[str, float] = MappingProxyType({})
    """When to look again at a leaf, in seconds since the epoch; of those that wait for nothing there is none."""

    missed: frozenset[str] = frozenset()
    """Jobs that may not run, whose time has come: they wait for the next one."""

    failure_unreported: Mapping[str, Launch] = MappingProxyType({})
    """Programs of which somebody is to hear that they have failed, and nobody has told."""

    @property
    def due(self) -> float:
        return min(self.due_times.values(), default=FOREVER)


NO_WISH = DesiredServices()
