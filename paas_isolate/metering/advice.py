"""Which limits an account needs, by what it did; and what another plan would have meant for it.

A p95 is the value that 95 of 100 measured minutes do not exceed. Averages advise nothing: who needs four cores for ten
minutes of each hour does not need two thirds of one.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import NamedTuple

from paas_isolate.metering.faults import Kind
from paas_isolate.metering.past import Busy, at_share
from paas_isolate.metering.reading import Number
from paas_isolate.text import counted
from paas_isolate.units import format_size

DAYS = 14
"""Days that are looked at."""
ENOUGH = 0.9
"""The share of them that must be measured."""
TIMES = 10
"""Who pays for so many times what they use is told."""
_DAY = 24 * 60
"""Minutes."""


class Sold(NamedTuple):
    """Limits of an account or a plan: percent of one core, bytes, processes and threads, and bytes a second. None: no
    limit."""

    cpu: float | None = None
    memory: int | None = None
    pids: int | None = None
    read: int | None = None
    write: int | None = None


class Past(NamedTuple):
    """What an account did in the last DAYS. In all of the `minutes` that were measured but the `busy` ones it did
    nothing. `own` and `pids` are the highest: memory without the cache, as the average of an hour in
    bytes, and processes. `faults` are incidents by kind, with the days on which they began."""

    account: str
    plan: str
    minutes: int
    busy: Busy = Busy([], [], [], [])
    own: Number = None
    pids: Number = None
    faults: Mapping[Kind, tuple[int, int]] = {}


class Need(NamedTuple):
    """What an account needs: CPU time in percent of one core (p95 and peak of minutes), memory, processes, and the
    p95 of bytes a second. None: it was not measured."""

    cpu: float
    cpu_peak: float
    memory: Number
    pids: Number
    read: float
    write: float


class Advice(NamedTuple):
    """`measured` is the share of DAYS, 0 to 1. `verdict` is `unknown` (too little was measured), `tight`, `roomy` or
    `fits`. `fitting` is the smallest plan that fits; '' where none does, or too little is known."""

    account: str
    plan: str
    measured: float
    verdict: str
    need: Need
    fitting: str
    sentences: tuple[str, ...]


class Hurt(NamedTuple):
    """How often limits would have been hit: in minutes on days for CPU time and for the disk, and whether at all for
    memory and processes, of which only the highest is known."""

    account: str
    plan: str
    measured: float
    cpu_minutes: int
    cpu_days: int
    io_minutes: int
    memory: bool
    pids: bool
    sentences: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.cpu_minutes or self.io_minutes or self.memory or self.pids)


def need(past: Past) -> Need:
    busy = past.busy
    zeros = max(0, past.minutes - len(busy.walls))  # in minutes that are not active nothing was used
    cpu, read, write = (at_share(values, 0.95, zeros) for values in (busy.wanted, busy.read, busy.written))
    return Need(cpu, max(busy.wanted, default=0.0), past.own, past.pids, read, write)


def share_measured(past: Past) -> float:
    return min(1.0, past.minutes / (DAYS * _DAY))


def advise(past: Past, sold: Sold, plans: Mapping[str, Sold]) -> Advice:
    """Advice for an account that is sold `sold`. `plans` are those that it could have."""
    share, needs = share_measured(past), need(past)
    hits = tuple(_hits(past))
    if share < ENOUGH:
        few = f"{past.minutes / _DAY:.1f} of {DAYS} days were measured, which is too little for advice"
        return Advice(past.account, past.plan, share, "unknown", needs, "", (f"Only {few}.", *hits))
    fitting = _fitting(past, needs, sold, plans)
    verdict = "tight" if past.faults else "roomy" if _is_roomy(needs, sold) else "fits"
    sentences = [*hits, _needs(needs, share)]
    if verdict == "roomy":
        sentences.append(f"It is sold {TIMES} times of that, or more.")
    if not fitting:
        sentences.append("No plan is known to be large enough." if plans else "There are no plans to compare.")
    elif fitting == past.plan:
        sentences.append(f"The smallest plan that fits is the one that it has: {fitting}.")
    else:
        sentences.append(f"The smallest plan that fits is {fitting}.")
    return Advice(past.account, past.plan, share, verdict, needs, fitting, tuple(sentences))


_HIT = {
    Kind.KILLED: "killed for memory",
    Kind.SLOWED: "slowed down for memory",
    Kind.REFUSED: "refused processes",
    Kind.THROTTLED: "throttled by its CPU limit",
    Kind.WAITED: "waiting for the disk",
    Kind.DISK: "at the end of its disk quota",
}


def _hits(past: Past) -> Iterator[str]:
    for kind, (number, days) in past.faults.items():
        yield f"It was {_HIT[kind]} {counted(number, 'time')}, on {counted(days, 'day')}."


def _needs(needs: Need, share: float) -> str:
    cpu = f"{ceil(needs.cpu)} % CPU in 95 of 100 minutes ({ceil(needs.cpu_peak)} % in all of them)"
    memory = "memory unknown" if needs.memory is None else f"{format_size(needs.memory)} of memory without cache"
    pids = "processes unknown" if needs.pids is None else f"{needs.pids} processes and threads"
    return (
        f"It needs {cpu}, {memory} (the highest hour), {pids} (the highest); {share:.0%} of {DAYS} days was measured."
    )


def _is_roomy(needs: Need, sold: Sold) -> bool:
    """Whether every limit that it is sold is TIMES its need at least. What was not measured is not known to be."""
    pairs = (sold.cpu, needs.cpu), (sold.memory, needs.memory), (sold.pids, needs.pids)
    limited = [(limit, used) for limit, used in pairs if limit is not None]
    return bool(limited) and all(used is not None and used * TIMES <= limit for limit, used in limited)


def _fitting(past: Past, needs: Need, sold: Sold, plans: Mapping[str, Sold]) -> str:
    """The smallest plan that has the room; where something was killed or refused, one with more than it has now."""
    fit = [name for name, plan in plans.items() if _fits(needs, plan) and _is_more(past.faults, sold, plan)]
    return min(fit, key=lambda name: (*map(_size, plans[name]), name), default="")


def _size(limit: float | None) -> float:
    return float("inf") if limit is None else limit


def _fits(needs: Need, plan: Sold) -> bool:
    return all((used or 0) <= _size(limit) for used, limit in zip(_compared(needs), plan, strict=True))


def _compared(needs: Need) -> tuple[Number | float, ...]:
    """In the order of Sold."""
    return needs.cpu, needs.memory, needs.pids, needs.read, needs.write


def _is_more(faults: Mapping[Kind, tuple[int, int]], sold: Sold, plan: Sold) -> bool:
    short_of_memory = Kind.KILLED in faults and sold.memory is not None
    short_of_pids = Kind.REFUSED in faults and sold.pids is not None
    return not (
        (short_of_memory and _size(plan.memory) <= _size(sold.memory))
        or (short_of_pids and _size(plan.pids) <= _size(sold.pids))
    )


def replay(past: Past, plan: Sold) -> Hurt:
    """How often the limits of a plan would have been hit, at least: a minute hides what is shorter."""
    busy, cpu, read, write = past.busy, _size(plan.cpu), _size(plan.read), _size(plan.write)
    slow = {wall // 60_000 for wall, wanted in zip(busy.walls, busy.wanted, strict=True) if wanted > cpu}
    waits = sum(one > read or other > write for one, other in zip(busy.read, busy.written, strict=True))
    memory, pids = (past.own or 0) > _size(plan.memory), (past.pids or 0) > _size(plan.pids)
    days = len({minute // _DAY for minute in slow})
    found = Hurt(past.account, past.plan, share_measured(past), len(slow), days, waits, memory, pids, ())
    return found._replace(sentences=tuple(_hurts(found, past)))


def _hurts(hurt: Hurt, past: Past) -> Iterator[str]:
    if hurt.cpu_minutes:
        often = f"{counted(hurt.cpu_minutes, 'minute')} on {counted(hurt.cpu_days, 'day')}"
        yield f"It would have waited for CPU time in {often}."
    if hurt.io_minutes:
        yield f"It would have waited for the disk in {counted(hurt.io_minutes, 'minute')}."
    if hurt.memory:
        held = format_size(past.own or 0)
        yield f"It held {held} of memory without cache in an hour: something would have been killed."
    if hurt.pids:
        yield f"It had {past.pids} processes and threads: some would have been refused."
    if hurt.measured < ENOUGH:
        yield f"Only {past.minutes / _DAY:.1f} of {DAYS} days were measured: it may be more."
