"""Hears of faults as they happen, and has pictures taken of the processes of the accounts concerned."""

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from select import EPOLLIN, epoll
from typing import NamedTuple

from paas_isolate.daemon.metering import MeterSource
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.fault_events import FaultEventSource
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.process import pictures
from paas_isolate.linux.process.pictures import PictureChild, Subject
from paas_isolate.metering.faults import (
    ENDED,
    JOINED,
    KILLED,
    PICTURES,
    RECENT,
    Fault,
    Kind,
    Picture,
    Process,
    Taken,
    joined_leaf,
)

PATIENCE = 2.0
"""Seconds that a picture may take."""
MINUTE = 60_000
_INCIDENTS = 10_000
"""Incidents that are remembered: far more than can go on at once."""
_WAITING = 50
"""Pictures that wait to be taken; above that none is."""
_GLANCING = 0.02
"""Seconds for looking at processes at each sample: those of some 100 active accounts."""
_Key = tuple[str, str, str, str]


class RecentProcesses:
    """The processes of active accounts at the last samples, as far as the time allows."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, list[Process]]]] = {}
        self._next = 0

    def glance(self, users: str, active: Sequence[str]) -> None:
        """Look at the processes of some of these accounts; at the others at the next call."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        end = time.monotonic() + _GLANCING
        begin = self._next if self._next < len(active) else 0
        for number, directory in enumerate((*active[begin:], *active[:begin])):
            if time.monotonic() >= end:
                self._next = (begin + number) % len(active)
                break
            looks = [
                pictures.glance(pid, directory, leaf, now) for pid, _, leaf in pictures.members(users, [directory])
            ]
            self._seen.setdefault(directory, deque(maxlen=4)).append((now, [look for look in looks if look]))
        self._seen = {each: looks for each, looks in self._seen.items() if looks[-1][0] >= now - 2 * RECENT}

    def of(self, directory: str) -> list[Process]:
        """Those of the last RECENT seconds, each as it was last seen: ENDED where the last look did not find it."""
        since = time.clock_gettime(time.CLOCK_BOOTTIME) - RECENT - 5  # a sample may come late
        looks = [processes for at, processes in self._seen.get(directory, ()) if at >= since]
        first = {process.pid: process for processes in reversed(looks) for process in processes}
        last = {process.pid: process for processes in looks for process in processes}
        there = {process.pid for processes in looks[-1:] for process in processes}
        return [
            process._replace(burnt=_burnt(first[pid], process), state=process.state if pid in there else ENDED)
            for pid, process in last.items()
        ]


def _burnt(first: Process, last: Process) -> float:
    """CPU seconds that a process used in RECENT seconds; the two are its first and its last look of that time."""
    before = 0.0 if (first.age or 0.0) <= RECENT else first.cpu or 0.0
    return round(max(0.0, (last.cpu or 0.0) - before), 2)


class PictureLimits:
    """Which faults get a picture: at most two a minute of one account, and two of processes that were killed; one a
    minute and PICTURES of one incident. Pure."""

    def __init__(self) -> None:
        self._incidents: dict[_Key, _Pictured] = {}
        self._last: dict[tuple[str, bool], tuple[int, int]] = {}
        """By account, and whether it was for a kill: when the last two pictures were."""

    def wanted(self, faults: Sequence[Fault]) -> dict[str, list[Fault]]:
        """By account, the faults of incidents that a picture is to be taken for."""
        wanted: dict[str, list[Fault]] = {}
        for fault in faults:
            key = fault.kind.value, fault.level.value, fault.directory, joined_leaf(fault)
            known = self._incidents.get(key)
            if known is None or fault.at - known.fault > JOINED:
                known = _Pictured()
            known = known._replace(fault=fault.at)
            if self._may(fault, known, fault.directory in wanted):
                wanted.setdefault(fault.directory, []).append(fault)
                known = known._replace(number=known.number + 1, last=fault.at)
            self._incidents[key] = known
        for directory, those in wanted.items():
            counted = directory, any(fault.kind is Kind.KILLED for fault in those)
            self._last[counted] = self._last.get(counted, (-MINUTE, -MINUTE))[1], those[0].at
        if len(self._incidents) > _INCIDENTS:
            self._incidents.clear()
            self._last.clear()
        return wanted

    def _may(self, fault: Fault, known: "_Pictured", is_taken: bool) -> bool:
        if fault.kind is Kind.DISK or known.number >= PICTURES or fault.at - known.last < MINUTE:
            return False
        counted = fault.directory, fault.kind is Kind.KILLED
        return is_taken or fault.at - self._last.get(counted, (-MINUTE, -MINUTE))[0] >= MINUTE


class _Pictured(NamedTuple):
    """What is known of an incident: its pictures, and when the last one and the last fault were."""

    number: int = 0
    last: int = -MINUTE
    fault: int = 0


class _Wanted(NamedTuple):
    """Faults of one account that a picture is to be taken for; `is_again` where one did not come in time, or
    `first` did without whom the kernel killed."""

    faults: list[Fault]
    is_again: bool = False
    first: Picture | None = None


class FaultSource:
    """An event source of the loop. `meter` is told what was heard, and keeps the pictures. OSError where the kernel has
    no more descriptors of the kinds that this takes."""

    def __init__(self, meter: MeterSource) -> None:
        self._meter = meter
        meter.sampled = self._sampled
        meter.listeners.append(self._told)
        self._events, self._clock, self._poll = FaultEventSource(), Timer(), epoll()
        self._recent, self._limits = RecentProcesses(), PictureLimits()
        self._waiting: deque[_Wanted] = deque()
        self._child: tuple[PictureChild, _Wanted, float] | None = None
        for source in (self._events, self._clock):
            self._poll.register(source.fileno(), EPOLLIN)

    def fileno(self) -> int:
        return self._poll.fileno()

    def close(self) -> None:
        if self._child is not None:
            self._child[0].end()
        for source in (self._events, self._clock, self._poll):
            source.close()

    def read(self) -> Iterator[Event]:
        self._clock.read()
        hit = self._events.hit()
        waiting = self._events.waiting() if not hit and self._child is None else set()  # else we know what woke us
        if hit or waiting:
            self._meter.look(hit, waiting)
        self._go_on()
        return iter(())

    def _sampled(self, users: str, active: Collection[str], waited: int) -> None:
        # The kernel counts that a limit was reached before it counts the kill, and reports the first of both alone.
        if fired := self._events.watch(users, active, waited):
            self._meter.look(fired, ())
        self._recent.glance(users, sorted(active))

    def _told(self, faults: Sequence[Fault]) -> None:
        for those in self._limits.wanted(faults).values():
            self._wait(_Wanted(those))
        self._go_on()

    def _wait(self, wanted: _Wanted) -> None:
        if len(self._waiting) < _WAITING:
            self._waiting.append(wanted)

    def _go_on(self) -> None:
        """Read the picture that is being taken, and have the next one taken."""
        if self._child is not None:
            child, wanted, until = self._child
            while (more := _is_readable(child)) and child.read():
                pass
            if not more and time.monotonic() < until:
                return
            self._poll.unregister(child.fileno())
            self._child = None
            picture = child.end() or wanted.first
            if not wanted.is_again and _lacks(picture, wanted.faults):
                self._wait(_Wanted(wanted.faults, True, picture))
            elif picture is not None:
                self._meter.keep([Taken(*fault[:4], fault.at, picture) for fault in wanted.faults])
        if not self._waiting:
            self._clock.arm(0)
            return
        wanted = self._waiting.popleft()
        subject = self._meter.subject(wanted.faults[0].directory, wanted.faults[0].kind)
        if subject is not None:
            self._begin(subject, wanted)

    def _begin(self, subject: Subject, wanted: _Wanted) -> None:
        try:
            child = PictureChild(subject, self._recent.of(subject.directory))
        except OSError:  # no more processes are possible here
            return
        self._child = child, wanted, time.monotonic() + PATIENCE
        self._poll.register(child.fileno(), EPOLLIN)
        self._clock.arm(PATIENCE)


def _lacks(picture: Picture | None, faults: Sequence[Fault]) -> bool:
    """Whether it should be taken again: nothing came, or the kernel had not logged yet whom it killed."""
    if picture is None:
        return True
    killed = any(fault.kind is Kind.KILLED for fault in faults)
    return killed and all(process.state != KILLED for process in picture.before)


def _is_readable(child: PictureChild) -> bool:
    with epoll() as poll:
        poll.register(child.fileno(), EPOLLIN)
        return bool(poll.poll(0))
