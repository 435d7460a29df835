"""Hands questions to the worker process (cli/worker.py), which answers them by the program's own commands. The loop
never waits for it."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import refusal
from paas_isolate.control.table import command_of
from paas_isolate.daemon.control import Request
from paas_isolate.daemon.frames import framed, taken
from paas_isolate.daemon.notices import OURS
from paas_isolate.daemon.work_queue import Question, WorkQueue
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer

IDLE = 60.0
"""Seconds without a question after which the worker is ended: it holds memory."""
MODULE = "paas_isolate.cli.worker"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds from the end of a worker that died to the next one, doubled each time."""
_AT_ONCE = 1 << 18
"""Bytes of answers that are read in one round of the loop."""


class WorkerSource:
    """An event source of the loop. `warn` is told when the worker dies. OSError where it gets no descriptor."""

    def __init__(self, installation: Installation, warn: Callable[[str], None]) -> None:
        self._installation, self._warn = installation, warn
        self._queue = WorkQueue()
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._unsent, self._received, self._mask = bytearray(), bytearray(), 0
        self._pause, self._not_before, self._asked = _FIRST_PAUSE, 0.0, 0.0
        self._leaving: list[subprocess.Popen[bytes]] = []
        """Workers that were ended and may not have gone yet."""
        self._poll, self._clock = select.epoll(), Timer()
        self._poll.register(self._clock.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        return self._poll.fileno()

    def close(self) -> None:
        """The worker ends with its socket, and with it what it is working at."""
        self._end()
        self._clock.close()
        self._poll.close()

    def ask(self, request: Request) -> None:
        """Have the question answered: `request.send` gets the line. RefusedError where too many wait, or there is no
        worker."""
        now = time.monotonic()
        if now < self._not_before:
            raise RefusedError("this cannot be answered now: ask again in a moment", Exit.BUSY)
        account = request.about if request.by_customer else ""
        self._queue.add(Question(next(self._numbers), request, account, now + request.verb.patience))
        self._asked = now
        self._go_on()

    def read(self) -> Iterator[Event]:
        self._clock.read()
        self._leaving = [each for each in self._leaving if each.poll() is None]
        if self._socket is not None:
            for _, events in self._poll.poll(0):
                if events & select.EPOLLOUT:
                    self._send()
            self._receive()
        self._go_on()
        return iter(())

    def _go_on(self) -> None:
        while (question := self._queue.next(time.monotonic())) is not None:
            if self._socket is None and not self._begin():
                return
            self._hand_over(question)
        if not self._queue.idle:
            self._clock.arm(1)  # questions that nobody waits for any more make room
        elif self._socket is None:
            self._clock.arm(1 if self._leaving else 0)
        elif (left := self._asked + IDLE - time.monotonic()) > 0:
            self._clock.arm(left)
        else:
            self._end()
            self._clock.arm(1)

    def _hand_over(self, question: Question) -> None:
        request = question.request
        words = command_of(request.verb, request.about, request.options, by_customer=request.by_customer)
        seconds = question.deadline - time.monotonic()
        self._unsent += framed((question.number, words, seconds, request.by_customer, request.body))
        self._send()

    def _begin(self) -> bool:
        """Start a worker; whether that was possible."""
        here = self._installation
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        words = [sys.executable, "-P", "-m", MODULE, here.etc, here.state, here.run]
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        try:
            self._process = subprocess.Popen(
                words, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment, cwd="/", close_fds=False
            )
        except OSError as error:
            ours.close()
            self._fail(f"no process can be started to answer questions: {error}")
            return False
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket, self._mask = ours, select.EPOLLIN
        self._unsent, self._received = bytearray(), bytearray()
        self._poll.register(ours.fileno(), self._mask)
        return True

    def _send(self) -> None:
        assert self._socket is not None
        with suppress(OSError):  # a worker that is gone is seen when it is read
            del self._unsent[: self._socket.send(self._unsent)]
        mask = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        if mask != self._mask:
            self._mask = mask
            self._poll.modify(self._socket.fileno(), mask)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            more = self._socket.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._fail("the process that answers questions has died")
            return
        self._received += more
        for number, line in taken(self._received):
            self._answer(number, line)

    def _answer(self, number: int, line: bytes) -> None:
        if (question := self._queue.running.pop(number, None)) is not None:
            self._pause, self._asked = _FIRST_PAUSE, time.monotonic()
            question.request.send(line)

    def _fail(self, why: str) -> None:
        """All that was asked is refused, and no worker is started for a while."""
        self._warn(f"{why}; questions are refused for {self._pause:.0f} s")
        self._not_before = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._end()
        for question in self._queue.clear():
            question.request.send(refusal("this cannot be answered now: ask again in a moment", Exit.BUSY))

    def _end(self) -> None:
        if self._socket is not None:
            self._poll.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._process is not None and self._process.poll() is None:
            self._leaving.append(self._process)
        self._process = None
