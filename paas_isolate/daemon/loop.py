"""The daemon's loop: wait for events, act, rest. A lost event costs the time to the next full pass, never
correctness."""

import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol

from paas_isolate.linux.events.event import Event, EventKind

REST = 1.0
"""After a full pass the loop rests as long as the pass took, so many seconds at the most: endless changes cost half of
a core and no more."""


_QUIET, _PUT_OFF = 1.0, 60.0
"""Seconds without a saved file that a full pass waits for which only the time asks for, and for how long at the most:
who saves several files would wait for all of it."""
_SOON = 0.005
"""Seconds to the next try of what could not be settled, doubled each time."""
_SMALL = (EventKind.KNOB, EventKind.PROCESS, EventKind.SPECS, EventKind.NETWORK, EventKind.SERVICE)
"""Events that need no full pass."""


class EventSource(Protocol):
    def fileno(self) -> int: ...

    def read(self) -> Iterator[Event]: ...


class DaemonActions(Protocol):
    """What the loop can have done. No method raises: an error is reported, and the next full pass finds what is
    left."""

    def reconcile_all(self) -> bool:
        """Make a full pass; False where another one should follow soon."""

    def grace(self) -> float:
        """Seconds to the next full pass when there is no event."""

    def quick_check(self) -> bool:
        """Look at what causes no event, in a few system calls; False where a full pass is needed."""

    def apply_files(self, places: Collection[str]) -> float | None:
        """Read and apply changed files of accounts. None where nothing is left, else the seconds after which a full
        pass should be made."""

    def repair_knob(self, event: Event) -> bool:
        """Look at one cgroup and repair it; whether that was possible."""

    def note_writer(self, event: Event) -> None:
        """Note who has written to a cgroup; the next full pass repairs it and reports who it was."""

    def repair_network(self, events: Sequence[Event]) -> bool:
        """Look at the network and repair it; whether that was possible."""

    def move_strays(self, pids: Collection[int]) -> bool:
        """Move those of these processes that are in the wrong cgroup; a pid of 0 stands for all. Whether none is
        left."""

    def run_services(self, records: Collection[str]) -> bool:
        """Start, restart and end the services of these accounts, and those for which it is time; whether that was
        possible."""

    def until_services(self) -> float:
        """Seconds until a service must be started again or killed, or a job must run."""

    def until_strays(self) -> float:
        """Seconds until `move_strays(())` should look at processes whose events are paused."""

    def keep_rcu_warm(self) -> bool:
        """Keep the kernel ready to move processes; False where that is no longer needed."""


class Loop:
    """`alive` is called at least every `pulse` seconds (0: not on time), first when all sources are watched. Every
    `glancing` seconds there is a quick check, and while processes are moved, RCU is kept warm every `warming`
    seconds."""

    def __init__(
        self,
        actions: DaemonActions,
        sources: Sequence[EventSource],
        *,
        pulse: float,
        alive: Callable[[], None],
        glancing: float = 60.0,
        warming: float = 0.004,
    ) -> None:
        self._actions, self._sources = actions, sources
        self._pulse, self._alive = pulse, alive
        self._glancing, self._warming = glancing, warming
        self._stopped = False
        self._due = self._rested = 0.0
        """When the next full pass is due, and when it may be at the earliest, by the monotonic clock."""
        self._glance_due = 0.0
        self._saved = float("-inf")
        """When a file was saved last, by the monotonic clock."""
        self._asked = False
        """Whether an event waits for the next full pass."""
        self._warm, self._warm_due = False, 0.0
        self._unsettled = 0
        """Full passes in a row that asked for another one."""

    def run(self) -> None:
        """Until SIGTERM or SIGINT, which end it between two actions; SIGHUP asks for a full pass."""
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for source in self._sources:
                selector.register(source, selectors.EVENT_READ, source)
            selector.register(stack.enter_context(self._signals()), selectors.EVENT_READ, None)
            self._alive()  # from here on nothing is missed
            while not self._stopped:
                self._on_time()
                self._alive()
                ready = selector.select(self._patience())
                self._handle([event for key, _ in ready for event in self._events(key.data, key.fd)])

    def _on_time(self) -> None:
        now = time.monotonic()
        if now >= self._pass_due():
            self._full_pass()
        elif now >= self._glance_due:
            self._glance_due = now + self._glancing
            if not self._actions.quick_check():
                self._pass_in(0)
        if self._actions.until_strays() <= 0:
            self._actions.move_strays(())
        if self._actions.until_services() <= 0 and not self._actions.run_services(()):
            self._pass_in(0)
        if self._warm and now >= self._warm_due:  # not after every event: what is written for it is an event, too
            self._keep_warm()

    def _keep_warm(self) -> None:
        self._warm = self._actions.keep_rcu_warm()
        self._warm_due = time.monotonic() + self._warming

    def _patience(self) -> float:
        left = max(0.0, min(self._pass_due(), self._glance_due) - time.monotonic())
        left = max(0.0, min(left, self._actions.until_services(), self._actions.until_strays()))
        left = min(left, self._warming) if self._warm else left
        return min(left, self._pulse) if self._pulse else left

    def _pass_due(self) -> float:
        if self._asked or self._unsettled:
            return self._due
        return min(max(self._due, self._saved + _QUIET), self._due + _PUT_OFF)

    def _full_pass(self) -> None:
        self._asked = False
        begin = time.monotonic()
        settled = self._actions.reconcile_all()
        end = time.monotonic()
        self._rested = end + min(end - begin, REST)
        self._unsettled = 0 if settled else self._unsettled + 1
        soon = end - begin + _SOON * 2**self._unsettled
        patience = self._actions.grace()
        self._due = end + (patience if settled else min(patience, soon))
        self._glance_due = end + self._glancing

    def _pass_in(self, seconds: float) -> None:
        self._asked = True
        self._due = min(self._due, max(self._rested, time.monotonic() + seconds))

    def _events(self, source: EventSource | None, fd: int) -> Iterator[Event]:
        if source is not None:
            yield from source.read()
            return
        with suppress(BlockingIOError):
            for number in os.read(fd, 4096):
                if number == signal.SIGHUP:
                    yield Event(EventKind.LOST)
                else:
                    self._stopped = True

    def _handle(self, events: Sequence[Event]) -> None:
        """Specifications come first: what another run has written meanwhile is as they say now."""
        if any(event.kind not in _SMALL for event in events):
            self._pass_in(0)
        pids = {event.pid for event in events if event.kind is EventKind.PROCESS}
        if pids:
            if not self._actions.move_strays(pids):
                self._pass_in(0)
            self._keep_warm()
        files = {event.place for event in events if event.kind is EventKind.SPECS}
        if files:
            self._saved = time.monotonic()
        if files and (seconds := self._actions.apply_files(files)) is not None:
            self._pass_in(seconds)
        network = [event for event in events if event.kind is EventKind.NETWORK]
        if network and not self._actions.repair_network(network):
            self._pass_in(0)
        records = {event.place for event in events if event.kind is EventKind.SERVICE}
        if records and not self._asked and not self._actions.run_services(records):
            self._pass_in(0)
        for knob in {event.place: event for event in events if event.kind is EventKind.KNOB}.values():
            if self._asked:  # the full pass repairs it
                self._actions.note_writer(knob)
            elif not self._actions.repair_knob(knob):
                self._actions.note_writer(knob)
                self._pass_in(0)

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """A descriptor on which every signal is a byte (signal.set_wakeup_fd)."""
        here, there = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        old = signal.set_wakeup_fd(there, warn_on_full_buffer=False)
        try:
            yield here
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(here)
            os.close(there)
