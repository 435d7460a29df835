"""How much CPU time the events of processes may cost the daemon, in all and for each uid.

Events that cost more are paused for a while. Those processes are looked at once a second instead.
"""

from collections.abc import Mapping
from typing import NamedTuple

from paas_isolate.linux.events.proc_connector import EVERYBODY, PROGRAMS


class BudgetRate(NamedTuple):
    """`share` is seconds of CPU time for each second; `most` is how many seconds may be saved up."""

    share: float
    most: float


TOTAL = BudgetRate(0.2, 1.0)
EACH = BudgetRate(0.05, 0.5)
"""An ordinary process that becomes a customer's costs about a millisecond."""
_LITTLE = 0.02
"""Seconds. A uid that has spent no more than that of its savings is not the reason that the total is spent."""
_MOST = 64
"""Uids that are paused one by one: more of them make a long filter for the kernel."""


class Budget:
    """A token bucket for each uid (PROGRAMS for events without one), and one for all."""

    def __init__(self, total: BudgetRate = TOTAL, each: BudgetRate = EACH) -> None:
        self._total, self._each = _Bucket(total, 0.0), each
        self._buckets: dict[int, _Bucket] = {}
        self._until: dict[int, float] = {}

    def spend(self, seconds: float, events: Mapping[int, int], now: float) -> None:
        """Count `seconds` that were spent on so many events of each uid. Uids that overrun are `paused` from now on."""
        number = sum(events.values())
        for uid, count in events.items():
            bucket = self._buckets.setdefault(uid, _Bucket(self._each, now))
            if bucket.spend(seconds * count / number, now) < 0:
                self._pause(uid, now + bucket.until_half())
        if self._total.spend(seconds, now) < 0:
            until = now + self._total.until_half()
            heavy = [uid for uid in events if self._buckets[uid].level < self._each.most - _LITTLE]
            for uid in heavy or [EVERYBODY]:
                self._pause(uid, until)
        if len(self._buckets) > 10 * _MOST:
            self._buckets = {
                uid: bucket for uid, bucket in self._buckets.items() if bucket.at_time(now) < self._each.most
            }

    def _pause(self, uid: int, until: float) -> None:
        self._until[uid] = max(until, self._until.get(uid, 0.0))

    def paused(self, now: float) -> frozenset[int]:
        """The uids whose events are paused now; EVERYBODY stands for all."""
        self._until = {uid: until for uid, until in self._until.items() if until > now}
        return frozenset(self._until) if len(self._until) <= _MOST else frozenset({EVERYBODY, PROGRAMS})


class _Bucket:
    def __init__(self, rate: BudgetRate, now: float) -> None:
        self._rate, self.level, self._at = rate, rate.most, now

    def at_time(self, now: float) -> float:
        self.level = min(self._rate.most, self.level + (now - self._at) * self._rate.share)
        self._at = now
        return self.level

    def spend(self, seconds: float, now: float) -> float:
        """What is left."""
        self.level = self.at_time(now) - seconds
        return self.level

    def until_half(self) -> float:
        """Seconds until half of the most is there again."""
        return (self._rate.most / 2 - self.level) / self._rate.share
