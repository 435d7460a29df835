"""Command lines of customers' processes: read by a child, for the kernel makes a reader wait as long as the process
keeps its memory locked (fs/proc/base.c, get_mm_cmdline: mmap_lock), and a customer can do that for good.

Who makes others wait costs them a moment, and is late: so are all processes of the same account until later.
"""

import os
import select
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.child import Child

SLOW = 0.1
"""Seconds without an answer: then the other accounts are read by another child."""
PATIENCE = 0.5
"""Seconds more, for all slow ones together."""
PAUSE = 50.0
"""Seconds in which an account that was late is not waited for again: less than the daemon's pause."""
_SIZE = 4
"""Bytes before each answer that tell how long it is."""


class CommandKey(NamedTuple):
    """A process, which its pid and the time of its start name for good."""

    pid: int
    start: int


Commands = Mapping[CommandKey, str | None]
"""None: it could not be read in time."""


class CommandReader:
    """What was read is kept until `forget`; who was late stays so for a while."""

    def __init__(self) -> None:
        self._known: dict[CommandKey, str | None] = {}
        self._late: dict[str, float] = {}

    @property
    def late(self) -> frozenset[str]:
        """The accounts that are not waited for now."""
        now = monotonic()
        return frozenset(account for account, until in self._late.items() if now < until)

    def forget(self) -> None:
        """A process may have become another program since."""
        self._known.clear()

    def read(self, asked: Mapping[str, Sequence[CommandKey]]) -> Commands:
        """The command lines of processes, by account."""
        new = {account: [it for it in each if it not in self._known] for account, each in asked.items()}
        late = self.late & new.keys()
        for account in late:
            self._known.update(dict.fromkeys(new[account]))
        queue = [(account, each) for account, each in new.items() if each and account not in late]
        if queue:
            self._known.update(_read(queue))
        for account, each in queue:
            if any(self._known[it] is None for it in each):
                self._late[account] = monotonic() + PAUSE
        return self._known


_Queue = Sequence[tuple[str, Sequence[CommandKey]]]


def _read(queue: _Queue) -> dict[CommandKey, str | None]:
    """One child reads all. Where it waits for an account, it goes on with that alone, and another with the rest."""
    found: dict[CommandKey, str | None] = {it: None for _, each in queue for it in each}
    slow: list[_Reading] = []
    try:
        while queue:
            try:
                reading = _Reading(queue)
            except OSError:  # the machine has no process to give: all are late
                break
            slow.append(reading)
            while reading.left and reading.wait(SLOW):
                found.update(reading.answers())
            queue = reading.rest() if reading.left else ()
        until = monotonic() + PATIENCE
        for reading in slow:
            while reading.left and reading.wait(until - monotonic()):
                found.update(reading.answers())
    finally:
        for reading in slow:
            reading.end()
    return found


class _Reading:
    """A child that reads a queue from its beginning; `left` are those that it has not answered for."""

    def __init__(self, queue: _Queue) -> None:
        self.left = deque((account, it) for account, each in queue for it in each)
        self._queue = queue
        self._text = b""
        self._child = Child(self._work)

    def _work(self, to: int) -> None:
        for _, it in self.left:
            text = _command(it.pid).encode(errors="replace")
            with open(to, "wb", closefd=False) as answer:
                answer.write(len(text).to_bytes(_SIZE) + text)

    def wait(self, seconds: float) -> bool:
        """Whether more has come."""
        waits = select.poll()
        waits.register(self._child, select.POLLIN)
        if not waits.poll(max(0.0, seconds) * 1000):
            return False
        more = os.read(self._child.fileno(), 1 << 16)
        self._text += more
        return bool(more)

    def answers(self) -> Iterator[tuple[CommandKey, str]]:
        """Those of `left` that have come."""
        while self.left and len(self._text) >= _SIZE + (size := int.from_bytes(self._text[:_SIZE])):
            text, self._text = self._text[_SIZE : _SIZE + size], self._text[_SIZE + size :]
            yield self.left.popleft()[1], text.decode(errors="replace")

    def rest(self) -> _Queue:
        """What comes after the account that it waits for, which it is left with."""
        waits = self.left[0][0]
        self.left = deque(it for it in self.left if it[0] == waits)
        names = [account for account, _ in self._queue]
        return self._queue[names.index(waits) + 1 :]

    def end(self) -> None:
        self._child.end()


def _command(pid: int) -> str:
    """Where its first thread has ended, another still has it."""
    if text := procfs.command(pid):
        return text
    identity = procfs.identity(pid)
    return procfs.command(identity.thread) if identity and identity.thread != pid else ""
