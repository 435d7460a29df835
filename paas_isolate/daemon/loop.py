"""The daemon's loop: hear, look, rest. Events only wake: whatever is lost costs an interval, never correctness."""

import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol

from paas_isolate.linux.events.event import Event, EventKind

REST = 1.0
"""A whole turn rests as long as it took, so many seconds at the most: whoever changes something without end gets half
of a core and no more."""


_SOON = 0.005
"""Seconds, doubled each time: what could not be settled is tried again."""
_SMALL = (EventKind.KNOB, EventKind.PROCESS, EventKind.SPECS, EventKind.NETWORK, EventKind.SERVICE)
"""What need not mean that everything is looked at."""


class EventSource(Protocol):
    def fileno(self) -> int: ...

    def read(self) -> Iterator[Event]: ...


class DaemonActions(Protocol):
    """What the loop can have done. None raises: what goes wrong is told, and comes up again at the next look."""

    def reconcile_all(self) -> bool:
        """Everything is read, looked at and mended; False where that should soon be done again."""

    def grace(self) -> float:
        """Seconds to the next turn when nothing is heard."""

    def quick_check(self) -> bool:
        """A look at what no event tells, in a few system calls; False where everything should be looked at."""

    def apply_files(self, places: Collection[str]) -> float | None:
        """These files have changed: those of accounts are read and applied. None where all is done by that, else the
        seconds after which everything should be looked at."""

    def repair_knob(self, heard: Event) -> bool:
        """One cgroup is looked at and mended; whether that was possible."""

    def note_writer(self, heard: Event) -> None:
        """Somebody has written to a cgroup: the next whole turn, which mends it, tells who."""

    def repair_network(self, heard: Sequence[Event]) -> bool:
        """The network is looked at and mended; whether that was possible."""

    def move_strays(self, pids: Collection[int]) -> bool:
        """These processes are looked at and put in their place, all that there are where one is 0; whether none of
        theirs is left elsewhere."""

    def run_services(self, records: Collection[str]) -> bool:
        """The services of these accounts, and those for which it is time, are looked at and kept; whether that was
        possible."""

    def until_services(self) -> float:
        """Seconds until it is time for a service: to start it again, to end one that does not, to run a job."""

    def until_strays(self) -> float:
        """Seconds until it is time to look at processes of which no events are heard for now: sweep of none."""

    def keep_rcu_warm(self) -> bool:
        """Keep the kernel ready to move processes; False where there is no reason to any more."""


class Loop:
    """`alive` is called at least every `pulse` seconds (0: never mind), and first when it hears; a glance is taken
    every `glancing` seconds, and while processes are moved something is done for them every `warming` seconds."""

    def __init__(
        self,
        hands: DaemonActions,
        ears: Sequence[EventSource],
        *,
        pulse: float,
        alive: Callable[[], None],
        glancing: float = 60.0,
        warming: float = 0.004,
    ) -> None:
        self._hands, self._ears = hands, ears
        self._pulse, self._alive = pulse, alive
        self._glancing, self._warming = glancing, warming
        self._stopped = False
        self._due = self._rested = 0.0
        """When the next whole turn is to be, and when it may be at the earliest, by the monotonic clock."""
        self._glance_due = 0.0
        self._asked = False
        """Whether something was heard that the next whole turn is for."""
        self._warm, self._warm_due = False, 0.0
        self._unsettled = 0
        """Turns in a row that asked for another."""

    def run(self) -> None:
        """Until SIGTERM or SIGINT, which end it between two turns; SIGHUP is a reason to turn."""
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for ear in self._ears:
                selector.register(ear, selectors.EVENT_READ, ear)
            selector.register(stack.enter_context(self._signals()), selectors.EVENT_READ, None)
            self._alive()  # from here on nothing is missed
            while not self._stopped:
                self._on_time()
                self._alive()
                ready = selector.select(self._patience())
                self._answer([heard for key, _ in ready for heard in self._said(key.data, key.fd)])

    def _on_time(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._turn()
        elif now >= self._glance_due:
            self._glance_due = now + self._glancing
            if not self._hands.quick_check():
                self._turn_in(0)
        if self._hands.until_strays() <= 0:
            self._hands.move_strays(())
        if self._hands.until_services() <= 0 and not self._hands.run_services(()):
            self._turn_in(0)
        if self._warm and now >= self._warm_due:  # not at every wake: what is written for it wakes, too
            self._keep_warm()

    def _keep_warm(self) -> None:
        self._warm = self._hands.keep_rcu_warm()
        self._warm_due = time.monotonic() + self._warming

    def _patience(self) -> float:
        left = max(0.0, min(self._due, self._glance_due) - time.monotonic())
        left = max(0.0, min(left, self._hands.until_services(), self._hands.until_strays()))
        left = min(left, self._warming) if self._warm else left
        return min(left, self._pulse) if self._pulse else left

    def _turn(self) -> None:
        self._asked = False
        begin = time.monotonic()
        settled = self._hands.reconcile_all()
        end = time.monotonic()
        self._rested = end + min(end - begin, REST)
        self._unsettled = 0 if settled else self._unsettled + 1
        soon = end - begin + _SOON * 2**self._unsettled
        patience = self._hands.grace()
        self._due = end + (patience if settled else min(patience, soon))
        self._glance_due = end + self._glancing

    def _turn_in(self, seconds: float) -> None:
        self._asked = True
        self._due = min(self._due, max(self._rested, time.monotonic() + seconds))

    def _said(self, ear: EventSource | None, fd: int) -> Iterator[Event]:
        if ear is not None:
            yield from ear.read()
            return
        with suppress(BlockingIOError):
            for number in os.read(fd, 4096):
                if number == signal.SIGHUP:
                    yield Event(EventKind.LOST)
                else:
                    self._stopped = True

    def _answer(self, heard: Sequence[Event]) -> None:
        """Specifications first: what somebody else's run has written meanwhile is as they say now."""
        if any(it.kind not in _SMALL for it in heard):
            self._turn_in(0)
        pids = {it.pid for it in heard if it.kind is EventKind.PROCESS}
        if pids:
            if not self._hands.move_strays(pids):
                self._turn_in(0)
            self._keep_warm()
        files = {it.place for it in heard if it.kind is EventKind.SPECS}
        if files and (seconds := self._hands.apply_files(files)) is not None:
            self._turn_in(seconds)
        wires = [it for it in heard if it.kind is EventKind.NETWORK]
        if wires and not self._hands.repair_network(wires):
            self._turn_in(0)
        records = {it.place for it in heard if it.kind is EventKind.SERVICE}
        if records and not self._asked and not self._hands.run_services(records):
            self._turn_in(0)
        for knob in {it.place: it for it in heard if it.kind is EventKind.KNOB}.values():
            if self._asked:  # the whole turn does it, by what is wanted then
                self._hands.note_writer(knob)
            elif not self._hands.repair_knob(knob):
                self._hands.note_writer(knob)
                self._turn_in(0)

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
