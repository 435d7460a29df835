"""The daemon's loop: hear, look, rest. Events only wake: whatever is lost costs an interval, never correctness."""

import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol

from paas_isolate.linux.ears.heard import Heard, Kind

REST = 1.0
"""A whole turn rests as long as it took, so many seconds at the most: whoever changes something without end gets half
of a core and no more."""


_SOON = 0.005
"""Seconds, doubled each time: a process that forks while it is moved in leaves a child for the next turn."""
_SMALL = (Kind.KNOB, Kind.PROCESS)


class Ear(Protocol):
    def fileno(self) -> int: ...

    def heard(self) -> Iterator[Heard]: ...


class Hands(Protocol):
    """What the loop can have done. Neither raises: what goes wrong is told, and comes up again at the next look."""

    def turn(self) -> bool:
        """Everything is read, looked at and mended; False where that should soon be done again."""

    def mend(self, heard: Heard) -> bool:
        """One cgroup is looked at and mended; whether that was possible."""

    def sweep(self, pids: Collection[int]) -> bool:
        """These processes are looked at and put in their place; whether all were there already."""


class Loop:
    """`interval` is the time in seconds between whole turns when nothing is heard; `alive` is called at least every
    `pulse` seconds, and when the first turn is done."""

    def __init__(
        self, hands: Hands, ears: Sequence[Ear], *, interval: float, pulse: float, alive: Callable[[], None]
    ) -> None:
        self._hands, self._ears = hands, ears
        self._interval, self._pulse, self._alive = interval, pulse, alive
        self._stopped = False
        self._due = 0.0
        """When the next whole turn is to be, by the monotonic clock."""
        self._rested = 0.0
        self._unsettled = 0
        """Turns in a row that asked for another."""

    def run(self) -> None:
        """Until SIGTERM or SIGINT, which end it between two turns; SIGHUP is a reason to turn."""
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for ear in self._ears:
                selector.register(ear, selectors.EVENT_READ, ear)
            selector.register(stack.enter_context(self._signals()), selectors.EVENT_READ, None)
            while not self._stopped:
                if time.monotonic() >= self._due:
                    self._turn()
                self._alive()
                ready = selector.select(self._patience())
                self._answer([heard for key, _ in ready for heard in self._said(key.data, key.fd)])

    def _patience(self) -> float:
        left = max(0.0, self._due - time.monotonic())
        return min(left, self._pulse) if self._pulse else left

    def _turn(self) -> None:
        begin = time.monotonic()
        settled = self._hands.turn()
        end = time.monotonic()
        self._rested = end + min(end - begin, REST)
        self._unsettled = 0 if settled else self._unsettled + 1
        soon = end - begin + _SOON * 2**self._unsettled
        self._due = end + (self._interval if settled else min(self._interval, soon))

    def _said(self, ear: Ear | None, fd: int) -> Iterator[Heard]:
        if ear is not None:
            yield from ear.heard()
            return
        with suppress(BlockingIOError):
            for number in os.read(fd, 4096):
                if number == signal.SIGHUP:
                    yield Heard(Kind.LOST)
                else:
                    self._stopped = True

    def _answer(self, heard: Sequence[Heard]) -> None:
        knobs = {it.place: it for it in heard if it.kind is Kind.KNOB}
        mended = [self._hands.mend(it) for it in knobs.values()]
        pids = {it.pid for it in heard if it.kind is Kind.PROCESS}
        swept = not pids or self._hands.sweep(pids)  # what a stray has forked meanwhile, a whole turn finds
        if not swept or not all(mended) or any(it.kind not in _SMALL for it in heard):
            self._due = min(self._due, max(self._rested, time.monotonic()))

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """A descriptor on which every signal is a byte (signal.set_wakeup_fd)."""
        here, there = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {it: signal.signal(it, lambda *_: None) for it in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        old = signal.set_wakeup_fd(there, warn_on_full_buffer=False)
        try:
            yield here
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(here)
            os.close(there)
