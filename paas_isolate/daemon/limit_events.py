"""Which limits were hit lately: what the kernel's counters said before, and since when they say more. Pure.

Small, for there may be 20,000 accounts: who has never hit anything costs a line, and all together keep so many hits.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.usage import LimitCounters

DAY = 86_400
EACH, ALL = 8, 10_000
"""Hits that are kept of an account, and of all: above it only the newest of each."""


class LimitEvent(NamedTuple):
    """`number` of `what` (a field of Struck) in a service ('' for the account as a whole) between two looks, or in a
    row of them; in seconds since 1970."""

    service: str
    what: str
    number: int
    since: int
    until: int


class _Watched(NamedTuple):
    """An account since it is looked at; `counts` are those that are not all 0."""

    since: int
    at: int
    counts: Mapping[str, LimitCounters]
    hits: tuple[LimitEvent, ...]


_NOTHING: Mapping[str, LimitCounters] = {}


class LimitEvents:
    """By the account's directory."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._number = 0

    def take(self, directory: str, counted: Mapping[str, LimitCounters], now: int) -> None:
        """What the counters of an account's services say. The first look tells nothing: that may be years old."""
        counts = {service: it for service, it in counted.items() if any(it)} or _NOTHING
        before = self._watched.get(directory)
        if before is None:
            self._watched[directory] = _Watched(now, now, counts, ())
            return
        hits = self._kept(before, counts, now)
        self._number += len(hits) - len(before.hits)
        self._watched[directory] = _Watched(before.since, now, counts, hits)

    def _kept(self, before: _Watched, counts: Mapping[str, LimitCounters], now: int) -> tuple[LimitEvent, ...]:
        hits = {(it.service, it.what, it.since): it for it in before.hits if it.until > now - DAY}
        for hit in _news(before, counts, now):
            earlier = next((it for it in hits.values() if it[:2] == hit[:2] and it.until == before.at), None)
            if earlier:
                hit = hit._replace(number=earlier.number + hit.number, since=earlier.since)
            hits[hit.service, hit.what, hit.since] = hit
        if not hits:
            return ()
        newest = sorted(hits.values(), key=lambda it: (it.until, it.since))
        return tuple(newest[-(EACH if self._number < ALL else 1) :])

    def knows(self, directory: str) -> bool:
        return directory in self._watched

    def of(self, directory: str) -> tuple[int, tuple[LimitEvent, ...]]:
        """Since when the account is watched (0: not yet), and what it has hit in the last DAY, the newest last."""
        found = self._watched.get(directory)
        return (found.since, tuple(hit for hit in found.hits if hit.until > found.at - DAY)) if found else (0, ())

    def forget_all_but(self, directories: Collection[str]) -> None:
        for gone in self._watched.keys() - set(directories):
            self._number -= len(self._watched.pop(gone).hits)


def _news(before: _Watched, counts: Mapping[str, LimitCounters], now: int) -> Iterator[LimitEvent]:
    more = {service: _more(before.counts.get(service, LimitCounters()), said) for service, said in counts.items()}
    if "" in more:
        more[""] = _less(more[""], [it for service, it in more.items() if service])
    for service, news in more.items():
        for what, number in zip(LimitCounters._fields, news, strict=True):
            if number:
                yield LimitEvent(service, what, number, before.at, now)


def _more(was: LimitCounters, said: LimitCounters) -> LimitCounters:
    if any(new < old for new, old in zip(said, was, strict=True)):
        return said  # another cgroup of the same name
    return LimitCounters(*(new - old for new, old in zip(said, was, strict=True)))


def _less(whole: LimitCounters, parts: Collection[LimitCounters]) -> LimitCounters:
    """What an account itself has hit: memory.events counts its services too, as does pids.events from Linux 6.11 on."""
    killed, refused = (sum(part.killed for part in parts), sum(it.refused for it in parts))
    return LimitCounters(max(0, whole.killed - killed), max(0, whole.refused - refused), whole.throttled)
