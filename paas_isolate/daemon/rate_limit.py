"""How often something may be asked for: so many at once, so many a second. Pure: the caller has the clock."""

from typing import NamedTuple

_MANY = 1000
"""Askers that are remembered without a thought; of more, those are forgotten that have been quiet long enough."""


class Rate(NamedTuple):
    burst: float
    a_second: float

    def begin(self) -> "TokenBucket":
        return TokenBucket(self)

    def each(self) -> "TokenBuckets":
        return TokenBuckets(self)


class TokenBucket:
    """What is left to spend; it fills with time."""

    __slots__ = ("_at", "_left", "_pace")

    def __init__(self, pace: Rate) -> None:
        self._pace, self._left, self._at = pace, pace.burst, 0.0

    def _fill(self, now: float) -> None:
        self._left = min(self._pace.burst, self._left + max(0.0, now - self._at) * self._pace.a_second)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether there is one more, at a moment of the monotonic clock; it is spent."""
        self._fill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def full(self, now: float) -> bool:
        self._fill(now)
        return self._left >= self._pace.burst


class TokenBuckets:
    """One for each uid, or account."""

    def __init__(self, pace: Rate) -> None:
        self._pace = pace
        self._of: dict[int | str, TokenBucket] = {}
        self._forgot = 0.0

    def take(self, asking: int | str, now: float) -> bool:
        if len(self._of) >= _MANY and now >= self._forgot + 1:
            self._of = {it: purse for it, purse in self._of.items() if not purse.full(now)}
            self._forgot = now
        return self._of.setdefault(asking, TokenBucket(self._pace)).take(now)
