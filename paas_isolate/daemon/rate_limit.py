"""Rate limits by token buckets: so many requests at once, so many a second. Pure: the caller has the clock."""

from typing import NamedTuple

_MANY = 1000
"""Buckets that are kept; of more, those that are full again are dropped, at most once a second."""


class Rate(NamedTuple):
    burst: float
    a_second: float

    def begin(self) -> "TokenBucket":
        return TokenBucket(self)

    def each(self) -> "TokenBuckets":
        return TokenBuckets(self)


class TokenBucket:
    """Tokens that are left; they come back with time."""

    __slots__ = ("_at", "_left", "_pace")

    def __init__(self, pace: Rate) -> None:
        self._pace, self._left, self._at = pace, pace.burst, 0.0

    def _fill(self, now: float) -> None:
        self._left = min(self._pace.burst, self._left + max(0.0, now - self._at) * self._pace.a_second)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token at `now` (monotonic clock); whether there was one."""
        self._fill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def full(self, now: float) -> bool:
        self._fill(now)
        return self._left >= self._pace.burst


class TokenBuckets:
    """A bucket for each uid or account."""

    def __init__(self, pace: Rate) -> None:
        self._pace = pace
        self._of: dict[int | str, TokenBucket] = {}
        self._pruned = 0.0

    def take(self, key: int | str, now: float) -> bool:
        if len(self._of) >= _MANY and now >= self._pruned + 1:
            self._of = {key: bucket for key, bucket in self._of.items() if not bucket.full(now)}
            self._pruned = now
        return self._of.setdefault(key, TokenBucket(self._pace)).take(now)
