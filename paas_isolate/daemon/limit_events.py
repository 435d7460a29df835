"""The limits that were hit lately, from the growth of the kernel's counters between two polls. Pure.

There may be 20,000 accounts, so memory is bounded: an account that has hit nothing keeps one entry, and all accounts
together keep ALL hits.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.metering.reading import killed_before
from paas_isolate.usage import LimitCounters

DAY = 86_400
EACH, ALL = 8, 10_000
"""Hits that are kept for one account, and for all; above ALL, only the newest of each account."""


class LimitEvent(NamedTuple):
    """`number` times `what` (a field of LimitCounters) in a service ('' for the account itself), between two polls or
    several in a row; `since` and `until` in seconds since the epoch."""

    service: str
    what: str
    number: int
    since: int
    until: int


class _Watched(NamedTuple):
    """An account that is polled since `since`, last at `at`; `counts` has the counters that are not all 0."""

    since: int
    at: int
    counts: Mapping[str, LimitCounters]
    hits: tuple[LimitEvent, ...]


_NOTHING: Mapping[str, LimitCounters] = {}


class LimitEvents:
    """The hits of all accounts, by the account's directory."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._number = 0

    def take(self, directory: str, counted: Mapping[str, LimitCounters], now: int) -> None:
        """Add a poll of an account's counters. The first poll counts as no hit: its numbers may be years old."""
        counts = {service: each for service, each in counted.items() if any(each)} or _NOTHING
        before = self._watched.get(directory)
        if before is None:
            self._watched[directory] = _Watched(now, now, counts, ())
            return
        hits = self._kept(before, counts, now)
        self._number += len(hits) - len(before.hits)
        self._watched[directory] = _Watched(before.since, now, counts, hits)

    def _kept(self, before: _Watched, counts: Mapping[str, LimitCounters], now: int) -> tuple[LimitEvent, ...]:
        hits = {(hit.service, hit.what, hit.since): hit for hit in before.hits if hit.until > now - DAY}
        for hit in _news(before, counts, now):
            earlier = next((each for each in hits.values() if each[:2] == hit[:2] and each.until == before.at), None)
            if earlier:
                hit = hit._replace(number=earlier.number + hit.number, since=earlier.since)
            hits[hit.service, hit.what, hit.since] = hit
        if not hits:
            return ()
        newest = sorted(hits.values(), key=lambda hit: (hit.until, hit.since))
        return tuple(newest[-(EACH if self._number < ALL else 1) :])

    def knows(self, directory: str) -> bool:
        return directory in self._watched

    def of(self, directory: str) -> tuple[int, tuple[LimitEvent, ...]]:
        """Since when the account is polled, in seconds since the epoch (0: not yet), and its hits of the last DAY, the
        newest last."""
        found = self._watched.get(directory)
        return (found.since, tuple(hit for hit in found.hits if hit.until > found.at - DAY)) if found else (0, ())

    def forget_all_but(self, directories: Collection[str]) -> None:
        for gone in self._watched.keys() - set(directories):
            self._number -= len(self._watched.pop(gone).hits)


def _news(before: _Watched, counts: Mapping[str, LimitCounters], now: int) -> Iterator[LimitEvent]:
    more = {
        service: _more(before.counts.get(service, LimitCounters()), now_counted)
        for service, now_counted in counts.items()
    }
    if "" in more:
        more[""] = _less(more[""], [each for service, each in more.items() if service])
    for service, news in more.items():
        for what, number in zip(LimitCounters._fields, news, strict=True):
            if number:
                yield LimitEvent(service, what, number, before.at, now)


def _more(was: LimitCounters, now: LimitCounters) -> LimitCounters:
    was = was._replace(killed=killed_before(was.killed, now.killed))
    if any(new < old for new, old in zip(now, was, strict=True)):
        return now  # another cgroup of the same name
    return LimitCounters(*(new - old for new, old in zip(now, was, strict=True)))


def _less(whole: LimitCounters, parts: Collection[LimitCounters]) -> LimitCounters:
    """What an account itself has hit: memory.events counts its services too, as does pids.events from Linux 6.11 on."""
    killed, refused = (sum(part.killed for part in parts), sum(part.refused for part in parts))
    return LimitCounters(max(0, whole.killed - killed), max(0, whole.refused - refused), whole.throttled)
