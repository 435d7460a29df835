"""Whoever comes to the control socket: heard for a while, answered once, and shown out. Nobody holds the loop up.

One turn of the loop does a bounded piece of it: so many newcomers, so many lines. What a customer may cost is bounded
too: connections at once, questions a second; and all of them together.
"""

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial

from paas_isolate.daemon.control import refusal
from paas_isolate.daemon.rate_limit import Rate
from paas_isolate.exits import Exit
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.system.control_socket import LONGEST, peer_of

AT_ONCE = 16
"""Newcomers, and lines, that one turn of the loop takes."""
PATIENCE = 5.0
"""Seconds for a request to come, and for its answer to be fetched."""
EACH, ALL = 4, 128
"""Connections at once of one uid, and of all; root has its own."""
TOGETHER = ALL // 4
"""Connections at once of one account's uids, and of all uids that have none: a user namespace has 65,536 of them."""
COMING = Rate(burst=200, a_second=100)
"""Connections; above it the others wait in the socket's queue, and the kernel lets nobody past them."""
ASKING, EVERYBODY = Rate(burst=10, a_second=0.5), Rate(burst=100, a_second=20)
"""Questions of one uid, and of all: the loop has other work."""
ASKING_TOGETHER = Rate(burst=25, a_second=5)
"""Of one account's uids, and of all that have none."""

Ask = Callable[[bytes, int, int, Callable[[bytes], None]], bytes | float]
Owner = Callable[[int], str]
"""The account of a uid; '' for one that has none."""


class _Connection:
    """One connection: what has been heard of it, and what it is still to be told."""

    __slots__ = ("account", "connection", "heard", "late", "telling", "waits", "who")

    def __init__(self, connection: socket.socket, owner: Owner) -> None:
        self.connection = connection
        self.who = peer_of(connection)
        self.account = owner(self.who.uid) if self.who.uid else None
        self.heard = b""
        self.telling = b""
        self.waits = False
        self.late = time.monotonic() + PATIENCE


class ControlServer:
    """An ear of the loop. `ask` is Control's. It has a poll of its own, whose descriptor is the ear's."""

    def __init__(self, listening: socket.socket, ask: Ask, owner: Owner = lambda _: "") -> None:
        self._listening, self._ask, self._owner = listening, ask, owner
        self._visits: dict[int, _Connection] = {}
        self._by_uid: Counter[int] = Counter()
        self._by_account: Counter[str | None] = Counter()
        self._coming, self._everybody, self._asking = COMING.begin(), EVERYBODY.begin(), ASKING.each()
        self._together = ASKING_TOGETHER.each()
        self._gone: list[socket.socket] = []
        self._open = True
        with ExitStack() as undo:
            self._poll = select.epoll()
            undo.callback(self._poll.close)
            self._clock = Timer()
            undo.callback(self._clock.close)
            self._poll.register(self._clock.fileno(), select.EPOLLIN)
            self._poll.register(listening.fileno(), select.EPOLLIN)
            self._undo = undo.pop_all()

    def fileno(self) -> int:
        return self._poll.fileno()

    def listen(self, listening: socket.socket) -> None:
        """Newcomers come by this one from now on; who is here stays."""
        self._poll.unregister(self._listening.fileno())
        self._listening = listening
        self._poll.register(listening.fileno(), select.EPOLLIN if self._open else 0)

    def close(self) -> None:
        for visit in list(self._visits.values()):
            self._close(visit)
        self._clear()
        self._undo.close()

    def read(self) -> Iterator[Event]:
        """Nothing of it is news for the reconciler."""
        for fd, events in self._poll.poll(0, AT_ONCE):
            if fd == self._listening.fileno():
                self._admit()
            elif fd == self._clock.fileno():
                self._look_at_the_clock()
            elif visit := self._visits.get(fd):
                try:
                    self._attend(visit, events)
                except Exception:  # else it would be raised at each round: the loop tells
                    self._close(visit)
                    raise
        self._clear()
        return iter(())

    def _clear(self) -> None:
        """After a round, for a descriptor that is closed may be the next one's: and the round's events its."""
        for connection in self._gone:
            connection.close()
        self._gone.clear()

    def _admit(self) -> None:
        for _ in range(AT_ONCE):
            if not self._coming.take(time.monotonic()):
                return self._rest()
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                return None
            except OSError:  # no descriptor left: whoever waits, waits
                return self._rest()
            connection.setblocking(False)
            self._welcome(_Connection(connection, self._owner))
        return None

    def _welcome(self, visit: _Connection) -> None:
        uid, fd = visit.who.uid, visit.connection.fileno()
        full = self._by_uid[uid] >= EACH if uid else self._by_uid[0] >= ALL
        many = uid and self._by_account[visit.account] >= TOGETHER
        crowded = uid and len(self._visits) - self._by_uid[0] >= ALL
        if not self._visits:
            self._clock.arm(1)
        self._visits[fd] = visit
        self._by_uid[uid] += 1
        self._by_account[visit.account] += 1
        self._poll.register(fd, select.EPOLLIN)
        if full or many or crowded:
            self._tell(visit, refusal("too many ask at once: ask again in a moment", Exit.BUSY))
        else:
            self._hear(visit)

    def _rest(self) -> None:
        """Nobody is let in until the clock strikes."""
        self._open = False
        self._poll.modify(self._listening.fileno(), 0)
        self._clock.arm(1)

    def _look_at_the_clock(self) -> None:
        self._clock.read()
        now = time.monotonic()
        for visit in [it for it in self._visits.values() if it.late <= now]:
            if visit.waits:
                self._tell(visit, refusal("it takes longer: look at it later", Exit.BUSY))
            else:
                self._close(visit)
        if not self._open:
            self._open = True
            self._poll.modify(self._listening.fileno(), select.EPOLLIN)
        if not self._visits:
            self._clock.arm(0)

    def _attend(self, visit: _Connection, events: int) -> None:
        if visit.telling:
            self._tell(visit, b"")
        elif not visit.waits:
            self._hear(visit)
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            self._close(visit)

    def _hear(self, visit: _Connection) -> None:
        try:
            more = visit.connection.recv(LONGEST + 1 - len(visit.heard))  # descriptors that come along are dropped
        except BlockingIOError:
            return
        except OSError:
            self._close(visit)
            return
        visit.heard += more
        line, end, _ = visit.heard.partition(b"\n")
        if end:
            self._answer(visit, line)
        elif len(visit.heard) > LONGEST:
            self._tell(visit, refusal(f"a request is a line of {LONGEST} bytes at the most", Exit.WRONG))
        elif not more:
            self._close(visit)

    def _answer(self, visit: _Connection, line: bytes) -> None:
        visit.heard = b""
        if self._too_often(visit):
            return self._tell(visit, refusal("too many questions: ask again in a moment", Exit.BUSY))
        answer = self._ask(line, *visit.who, partial(self._tell_later, visit))
        if isinstance(answer, bytes):
            return self._tell(visit, answer)
        if not visit.telling and visit.connection.fileno() in self._visits:
            visit.waits, visit.late = True, time.monotonic() + answer
            self._poll.modify(visit.connection.fileno(), 0)
        return None

    def _too_often(self, visit: _Connection) -> bool:
        now, account = time.monotonic(), visit.account
        return account is not None and not (
            self._asking.take(visit.who.uid, now) and self._together.take(account, now) and self._everybody.take(now)
        )

    def _tell_later(self, visit: _Connection, line: bytes) -> None:
        """Who has gone meanwhile is told nothing."""
        if self._visits.get(visit.connection.fileno()) is visit and not visit.telling:
            self._tell(visit, line)

    def _tell(self, visit: _Connection, line: bytes) -> None:
        """As much as the connection takes; the rest when it takes more."""
        if line:
            visit.telling, visit.waits, visit.late = line, False, time.monotonic() + PATIENCE
            self._poll.modify(visit.connection.fileno(), select.EPOLLOUT)
        try:
            visit.telling = visit.telling[visit.connection.send(visit.telling) :]
        except BlockingIOError:
            return
        except OSError:
            self._close(visit)
            return
        if not visit.telling:
            self._close(visit)

    def _close(self, visit: _Connection) -> None:
        fd = visit.connection.fileno()
        if self._visits.pop(fd, None) is None:
            return
        self._by_uid[visit.who.uid] -= 1
        if not self._by_uid[visit.who.uid]:
            del self._by_uid[visit.who.uid]
        self._by_account[visit.account] -= 1
        if not self._by_account[visit.account]:
            del self._by_account[visit.account]
        with suppress(OSError):
            self._poll.unregister(fd)
        with suppress(OSError):
            visit.connection.shutdown(socket.SHUT_RDWR)
        self._gone.append(visit.connection)
