"""Command lines of customers' processes, read by child processes with a deadline.

The kernel makes a reader wait while the process keeps its memory locked (fs/proc/base.c, get_mm_cmdline: mmap_lock),
and a customer can keep it locked. An account that makes a reader wait costs a moment, and is then late: the command
lines of all its processes are unknown for a while.
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
"""Seconds without an answer, after which another child reads the other accounts."""
PATIENCE = 0.5
"""Seconds more that all slow accounts together get."""
PAUSE = 50.0
"""Seconds for which a late account is not read again: less than the daemon's interval."""
_SIZE = 4
"""Bytes of the length before each answer."""


class CommandKey(NamedTuple):
    """A process by its pid and its start time (clock ticks since boot), which together are never reused."""

    pid: int
    start: int


Commands = Mapping[CommandKey, str | None]
"""Command lines by process; None for one that could not be read in time."""


class CommandReader:
    """Reads command lines, and keeps them until `forget`. An account that was late stays late for PAUSE seconds."""

    def __init__(self) -> None:
        self._known: dict[CommandKey, str | None] = {}
        self._late: dict[str, float] = {}

    @property
    def late(self) -> frozenset[str]:
        """The accounts that are late now, and so are not read."""
        now = monotonic()
        return frozenset(account for account, until in self._late.items() if now < until)

    def forget(self) -> None:
        """Read all again at the next call: a process may run another program by then (execve(2))."""
        self._known.clear()

    def read(self, asked: Mapping[str, Sequence[CommandKey]]) -> Commands:
        """The command lines of the processes in `asked`, a map by account, and of those that were read before."""
        new = {account: [key for key in keys if key not in self._known] for account, keys in asked.items()}
        late = self.late & new.keys()
        for account in late:
            self._known.update(dict.fromkeys(new[account]))
        queue = [(account, keys) for account, keys in new.items() if keys and account not in late]
        if queue:
            self._known.update(_read(queue))
        for account, keys in queue:
            if any(self._known[key] is None for key in keys):
                self._late[account] = monotonic() + PAUSE
        return self._known


_Queue = Sequence[tuple[str, Sequence[CommandKey]]]


def _read(queue: _Queue) -> dict[CommandKey, str | None]:
    """One child reads all. When it has to wait for an account, it keeps that one, and another child reads the rest."""
    found: dict[CommandKey, str | None] = {key: None for _, keys in queue for key in keys}
    slow: list[_Reading] = []
    try:
        while queue:
            try:
                reading = _Reading(queue)
            except OSError:  # no more processes are possible: all that are left are late
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
    """A child that reads a queue in its order; `left` are the processes that it has not answered for."""

    def __init__(self, queue: _Queue) -> None:
        self.left = deque((account, key) for account, keys in queue for key in keys)
        self._queue = queue
        self._text = b""
        self._child = Child(self._work)

    def _work(self, to: int) -> None:
        for _, key in self.left:
            text = _command(key.pid).encode(errors="replace")
            with open(to, "wb", closefd=False) as answer:
                answer.write(len(text).to_bytes(_SIZE) + text)

    def wait(self, seconds: float) -> bool:
        """Whether more has come, within so many seconds. False at the end of the answers too."""
        poll = select.poll()
        poll.register(self._child, select.POLLIN)
        if not poll.poll(max(0.0, seconds) * 1000):
            return False
        more = os.read(self._child.fileno(), 1 << 16)
        self._text += more
        return bool(more)

    def answers(self) -> Iterator[tuple[CommandKey, str]]:
        """The answers that have come whole; their processes leave `left`."""
        while self.left and len(self._text) >= _SIZE + (size := int.from_bytes(self._text[:_SIZE])):
            text, self._text = self._text[_SIZE : _SIZE + size], self._text[_SIZE + size :]
            yield self.left.popleft()[1], text.decode(errors="replace")

    def rest(self) -> _Queue:
        """The queue after the account that the child waits for; only that account's processes stay in `left`."""
        slow = self.left[0][0]
        self.left = deque((account, key) for account, key in self.left if account == slow)
        names = [account for account, _ in self._queue]
        return self._queue[names.index(slow) + 1 :]

    def end(self) -> None:
        self._child.end()


def _command(pid: int) -> str:
    """When the first thread has ended, the command line is read from another one."""
    if text := procfs.command(pid):
        return text
    identity = procfs.identity(pid)
    return procfs.command(identity.thread) if identity and identity.thread != pid else ""
