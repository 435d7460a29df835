"""The process that answers questions for the daemon (daemon/worker.py): it forks a child for each, which runs a command
of the program. `python -m paas_isolate.cli.worker ETC STATE RUN`, with the daemon's socket as standard input.

It ends when the daemon closes the socket, and kills what is at work then.
"""

import ctypes
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.cli.answer import answer
from paas_isolate.cli.commands import VERBS as COMMANDS
from paas_isolate.control.request import refusal
from paas_isolate.daemon.frames import framed, taken
from paas_isolate.exits import Exit

PRELOADED = (
    *(f"paas_isolate.cli.{COMMANDS[command]}" for command in ("usage", "chart", "faults", "explain", "account")),
    "paas_isolate.spec.parse",
    "paas_isolate.spec.diagnostics",
    "yaml",
)
"""Modules of the commands that pages ask for all the time. Those of the others are imported by the child that runs
them."""
_LONGEST = 2 << 20
"""Bytes of an answer."""
_PR_SET_PDEATHSIG = 1
_CHUNK = 1 << 16


class Work(NamedTuple):
    """A question, as daemon/frames.py describes it."""

    number: int
    words: list[str]
    seconds: float
    for_customer: bool
    body: bytes


class _Child:
    """A child at work, which leads a process group of its own. Its answer comes through a pipe."""

    def __init__(self, work: Work, do: Callable[[int], None]) -> None:
        self.number, self.deadline = work.number, time.monotonic() + work.seconds
        self.line = bytearray()
        self.pipe, to = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self.pipe)
            os.close(to)
            raise
        if not self.pid:
            _lead_and_do(do, to)
        os.close(to)
        with suppress(OSError):  # the child does the same; whoever is first
            os.setpgid(self.pid, self.pid)

    def read(self) -> bool:
        """Read what has come; whether more may come."""
        more = os.read(self.pipe, _CHUNK)
        self.line += more
        return bool(more) and len(self.line) <= _LONGEST

    def end(self) -> None:
        """Kill it, and what it has started. It is waited for later: it may be in a system call."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self.pipe)


def _lead_and_do(do: Callable[[int], None], to: int) -> None:
    """Does not return."""
    try:
        os.setpgid(0, 0)
        do(to)
    finally:
        os._exit(0)


class Worker:
    """`prefix` are the words that come before those of a question. A child ends with this process (prctl(2),
    PR_SET_PDEATHSIG)."""

    def __init__(self, connection: socket.socket, prefix: list[str]) -> None:
        self._connection, self._prefix = connection, prefix
        self._received = bytearray()
        self._children: dict[int, _Child] = {}
        self._ended: set[int] = set()
        """Pids that were killed, and are not gone yet."""
        self._libc = ctypes.CDLL(None)
        self._pid = os.getpid()
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)

    def run(self) -> None:
        """Until the daemon closes the socket."""
        try:
            while True:
                for key, _ in self._selector.select(self._patience()):
                    if key.fileobj is self._connection:
                        if not self._receive():
                            return
                    elif (child := self._children.get(key.fd)) is not None and not child.read():
                        self._finish(child, bytes(child.line))
                self._ended -= {pid for pid in self._ended if os.waitpid(pid, os.WNOHANG)[0]}
                for child in [each for each in self._children.values() if each.deadline <= time.monotonic()]:
                    self._finish(child, refusal("it took too long: ask for less", Exit.BUSY))
        finally:
            for child in self._children.values():
                child.end()

    def _patience(self) -> float | None:
        now = time.monotonic()
        if self._ended:
            return 0.1
        return min((max(0.0, each.deadline - now) for each in self._children.values()), default=None)

    def _receive(self) -> bool:
        try:
            more = self._connection.recv(_CHUNK)
        except ConnectionError:
            return False
        self._received += more
        for question in taken(self._received):
            self._begin(Work(*question))
        return bool(more)

    def _begin(self, work: Work) -> None:
        try:
            child = _Child(work, lambda to: self._answer(work, to))
        except OSError as error:
            self._send(work.number, refusal(f"no process can be started: {error.strerror}", Exit.BUSY))
            return
        self._children[child.pipe] = child
        self._selector.register(child.pipe, selectors.EVENT_READ)

    def _finish(self, child: _Child, line: bytes) -> None:
        del self._children[child.pipe]
        self._selector.unregister(child.pipe)
        child.end()
        self._ended.add(child.pid)
        if not line.endswith(b"\n") or len(line) > _LONGEST:
            line = refusal("the process that was to answer has died", Exit.ERROR)
        self._send(child.number, line)

    def _send(self, number: int, line: bytes) -> None:
        with suppress(ConnectionError):  # the end of the socket is read next
            self._connection.sendall(framed((number, line)))

    def _answer(self, work: Work, to: int) -> None:
        """In the child."""
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._pid:
            return
        self._connection.close()
        self._selector.close()
        for child in self._children.values():
            os.close(child.pipe)
        if work.body:
            body = os.memfd_create("body")
            os.write(body, work.body)
            os.lseek(body, 0, os.SEEK_SET)
            os.dup2(body, 0)
        line = answer([*self._prefix, *work.words], for_customer=work.for_customer)
        with open(to, "wb") as pipe:
            pipe.write(line)


def main() -> None:
    etc, state, run = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the daemon ends it
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)  # the daemon's own is for repairs
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for module in PRELOADED:
        importlib.import_module(module)
    gc.disable()  # a child makes no cycles worth collecting, and ends soon
    Worker(connection, ["--etc", etc, "--state", state, "--run", run]).run()


if __name__ == "__main__":
    main()
