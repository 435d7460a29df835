"""The server of the control socket: each connection sends one request, gets one answer and is closed. Lines that narrow
its rights may come before the request. None of them can
hold up the loop.

One round of the loop accepts and reads a bounded number of connections. Connections at once and requests a second are
bounded for each uid, for each account, and for all together.
"""

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial

from paas_isolate.daemon.control import Caller, refusal
from paas_isolate.daemon.rate_limit import Rate
from paas_isolate.exits import Exit
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.system.control_socket import LONGEST, peer_of

AT_ONCE = 16
"""Connections that are accepted, and events that are handled, in one round of the loop."""
PATIENCE = 5.0
"""Seconds within which a request must come, and its answer must be read."""
EACH, ALL = 4, 128
"""Connections at once of one uid, and of all uids but root, which has ALL for itself."""
TOGETHER = ALL // 4
"""Connections at once of one account's uids, and of all uids that have none: a user namespace has 65,536 of them."""
ACCEPTING = Rate(burst=200, a_second=100)
"""Connections that are accepted; above it the others wait in the socket's queue, in order."""
REQUESTS_OF_UID, REQUESTS_OF_ALL = Rate(burst=10, a_second=0.5), Rate(burst=100, a_second=20)
"""Requests of one uid, and of all: the loop has other work."""
REQUESTS_OF_ACCOUNT = Rate(burst=25, a_second=5)
"""Requests of one account's uids, and of all uids without an account."""

Ask = Callable[[bytes, Caller, Callable[[bytes], None]], bytes | float | Caller]
Owner = Callable[[int], str]
"""The account of a uid; '' for one that has none."""


class _Connection:
    """A client: `received` is the part of its request that has come, `unsent` what is left of its answer. `waits` says
    that its answer comes later; at `deadline` (monotonic clock) it is closed."""

    __slots__ = ("account", "caller", "connection", "deadline", "received", "unsent", "waits")

    def __init__(self, connection: socket.socket, owner: Owner) -> None:
        self.connection = connection
        self.caller = Caller(*peer_of(connection))
        self.account = owner(self.caller.uid) if self.caller.uid else None
        self.received = b""
        self.unsent = b""
        self.waits = False
        self.deadline = time.monotonic() + PATIENCE


class ControlServer:
    """An event source of the loop. `ask` is Control.ask. It has an epoll of its own, whose descriptor the loop
    polls."""

    def __init__(self, listening: socket.socket, ask: Ask, owner: Owner = lambda _: "") -> None:
        self._listening, self._ask, self._owner = listening, ask, owner
        self._connections: dict[int, _Connection] = {}
        self._by_uid: Counter[int] = Counter()
        self._by_account: Counter[str | None] = Counter()
        self._accepting, self._everybody, self._asking = (
            ACCEPTING.begin(),
            REQUESTS_OF_ALL.begin(),
            REQUESTS_OF_UID.each(),
        )
        self._together = REQUESTS_OF_ACCOUNT.each()
        self._gone: list[socket.socket] = []
        self._open = True
        with ExitStack() as undo:
            self._poll = select.epoll()
            undo.callback(self._poll.close)
            self._timer = Timer()
            undo.callback(self._timer.close)
            self._poll.register(self._timer.fileno(), select.EPOLLIN)
            self._poll.register(listening.fileno(), select.EPOLLIN)
            self._undo = undo.pop_all()

    def fileno(self) -> int:
        return self._poll.fileno()

    def listen(self, listening: socket.socket) -> None:
        """Accept new connections from this socket from now on; those that are open stay."""
        self._poll.unregister(self._listening.fileno())
        self._listening = listening
        self._poll.register(listening.fileno(), select.EPOLLIN if self._open else 0)

    def close(self) -> None:
        for client in list(self._connections.values()):
            self._close(client)
        self._clear()
        self._undo.close()

    def read(self) -> Iterator[Event]:
        """Serve the connections. No Event comes of it."""
        for fd, events in self._poll.poll(0, AT_ONCE):
            if fd == self._listening.fileno():
                self._admit()
            elif fd == self._timer.fileno():
                self._on_timer()
            elif client := self._connections.get(fd):
                try:
                    self._serve(client, events)
                except Exception:  # else it would be raised in each round: the loop reports it
                    self._close(client)
                    raise
        self._clear()
        return iter(())

    def _clear(self) -> None:
        """Close after a round: a closed descriptor may be the next connection's, and get the events of the old one."""
        for connection in self._gone:
            connection.close()
        self._gone.clear()

    def _admit(self) -> None:
        for _ in range(AT_ONCE):
            if not self._accepting.take(time.monotonic()):
                return self._pause()
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                return None
            except OSError:  # no descriptor left: the others wait in the queue
                return self._pause()
            connection.setblocking(False)
            self._add(_Connection(connection, self._owner))
        return None

    def _add(self, client: _Connection) -> None:
        uid, fd = client.caller.uid, client.connection.fileno()
        full = self._by_uid[uid] >= EACH if uid else self._by_uid[0] >= ALL
        many = uid and self._by_account[client.account] >= TOGETHER
        crowded = uid and len(self._connections) - self._by_uid[0] >= ALL
        if not self._connections:
            self._timer.arm(1)
        self._connections[fd] = client
        self._by_uid[uid] += 1
        self._by_account[client.account] += 1
        self._poll.register(fd, select.EPOLLIN)
        if full or many or crowded:
            self._send(client, refusal("too many ask at once: ask again in a moment", Exit.BUSY))
        else:
            self._receive(client)

    def _pause(self) -> None:
        """Accept nothing until the timer runs out, in a second."""
        self._open = False
        self._poll.modify(self._listening.fileno(), 0)
        self._timer.arm(1)

    def _on_timer(self) -> None:
        self._timer.read()
        now = time.monotonic()
        for client in [each for each in self._connections.values() if each.deadline <= now]:
            if client.waits:
                self._send(client, refusal("it takes longer: look at it later", Exit.BUSY))
            else:
                self._close(client)
        if not self._open:
            self._open = True
            self._poll.modify(self._listening.fileno(), select.EPOLLIN)
        if not self._connections:
            self._timer.arm(0)

    def _serve(self, client: _Connection, events: int) -> None:
        if client.unsent:
            self._send(client, b"")
        elif not client.waits:
            self._receive(client)
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            self._close(client)

    def _receive(self, client: _Connection) -> None:
        try:
            more = client.connection.recv(LONGEST + 1 - len(client.received))  # descriptors that come along are dropped
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        client.received += more
        while b"\n" in client.received:
            line, _, client.received = client.received.partition(b"\n")
            if self._answer(client, line):
                return
        if len(client.received) > LONGEST:
            self._send(client, refusal(f"a request is a line of {LONGEST} bytes at the most", Exit.WRONG))
        elif not more:
            self._close(client)

    def _answer(self, client: _Connection, line: bytes) -> bool:
        """Whether that was the request: what comes after it is not read."""
        if self._too_often(client):
            self._send(client, refusal("too many questions: ask again in a moment", Exit.BUSY))
            return True
        answer = self._ask(line, client.caller, partial(self._send_later, client))
        if isinstance(answer, Caller):
            client.caller = answer
            return False
        client.received = b""
        if isinstance(answer, bytes):
            self._send(client, answer)
        elif not client.unsent and client.connection.fileno() in self._connections:
            client.waits, client.deadline = True, time.monotonic() + answer
            self._poll.modify(client.connection.fileno(), 0)
        return True

    def _too_often(self, client: _Connection) -> bool:
        now, account, uid = time.monotonic(), client.account, client.caller.uid
        return account is not None and not (
            self._asking.take(uid, now) and self._together.take(account, now) and self._everybody.take(now)
        )

    def _send_later(self, client: _Connection, line: bytes) -> None:
        """Nothing is sent to a connection that was closed meanwhile."""
        if self._connections.get(client.connection.fileno()) is client and not client.unsent:
            self._send(client, line)

    def _send(self, client: _Connection, line: bytes) -> None:
        """Send as much as the connection takes; the rest when it takes more."""
        if line:
            client.unsent, client.waits, client.deadline = line, False, time.monotonic() + PATIENCE
            self._poll.modify(client.connection.fileno(), select.EPOLLOUT)
        try:
            client.unsent = client.unsent[client.connection.send(client.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        if not client.unsent:
            self._close(client)

    def _close(self, client: _Connection) -> None:
        fd = client.connection.fileno()
        if self._connections.pop(fd, None) is None:
            return
        self._by_uid[client.caller.uid] -= 1
        if not self._by_uid[client.caller.uid]:
            del self._by_uid[client.caller.uid]
        self._by_account[client.account] -= 1
        if not self._by_account[client.account]:
            del self._by_account[client.account]
        with suppress(OSError):
            self._poll.unregister(fd)
        with suppress(OSError):
            client.connection.shutdown(socket.SHUT_RDWR)
        self._gone.append(client.connection)
