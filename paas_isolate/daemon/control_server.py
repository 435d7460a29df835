"""The server of the control socket: its connections, their lines, and how many of each there may be. None of them can
hold up the loop. What the lines mean is control.py's.

One round of the loop accepts and reads a bounded number of connections. Connections at once and requests a second are
bounded for each uid, for each account, and for all together.
"""

import math
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from typing import NamedTuple, TypeVar

from paas_isolate.control.request import Caller, Keep, refusal
from paas_isolate.daemon.control import Final, Later, Outcome, Stream, WantsBody
from paas_isolate.daemon.rate_limit import Rate
from paas_isolate.exits import Exit
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.system.control_socket import LONGEST, peer_of

AT_ONCE = 16
"""Connections that are accepted, and events that are handled, in one round of the loop."""
PATIENCE = 5.0
"""Seconds within which a request must come, and its answer must be read."""
IDLE = 3600.0
"""Seconds that a kept connection may be silent."""
EACH, ALL = 4, 128
"""Connections at once of one uid, and of all uids but root, which has ALL for itself. Kept ones do not count here."""
TOGETHER = ALL // 4
"""Connections at once of one account's uids, and of all uids that have none: a user namespace has 65,536 of them."""
KEPT_EACH, KEPT_TOGETHER, KEPT_ALL = 8, 32, 1024
"""Kept connections of one uid, of one account's uids, and of all. Only KEPT_ALL bounds root."""
OUTSTANDING = 8
"""Requests of one connection that have no answer yet: more are not read before."""
UNREAD = 1 << 20
"""Bytes that a client has not read: at a quarter of them no further request is read, and no event is kept beyond."""
BODIES = 4
"""Requests whose body is being received, of all connections."""
ACCEPTING = Rate(burst=200, a_second=100)
"""Connections that are accepted; above it the others wait in the socket's queue, in order."""
REQUESTS_OF_UID, REQUESTS_OF_ALL = Rate(burst=30, a_second=1), Rate(burst=100, a_second=20)
"""Requests of one uid, and of all: the loop has other work. A page asks a handful when it opens."""
REQUESTS_OF_ACCOUNT = Rate(burst=60, a_second=5)
"""Requests of one account's uids, and of all uids without an account."""

Ask = Callable[[bytes, Caller, Callable[[bytes], bool]], Outcome]
Owner = Callable[[int], str]
"""The account of a uid; '' for one that has none."""


class _Connection:
    """A client. `received` is what has come of its next request, `unsent` what is left of its answers. `body` is the
    request whose body is being received. `waiting` are the requests that will be answered later, by a number of ours;
    `streams` are those whose lines come until the client goes. `last`: nothing more is read, and it is closed when all
    is sent. It is closed at `deadline` (monotonic clock), too. `slowed`: it asks too often, and is read again in a
    second."""

    __slots__ = (
        "account",
        "body",
        "caller",
        "connection",
        "deadline",
        "kept",
        "last",
        "mask",
        "received",
        "slowed",
        "state",
        "streams",
        "unsent",
        "waiting",
    )

    def __init__(self, connection: socket.socket, owner: Owner) -> None:
        self.connection = connection
        self.caller = Caller(*peer_of(connection))
        self.account = owner(self.caller.uid) if self.caller.uid else None
        self.received = self.unsent = b""
        self.body: WantsBody | None = None
        self.waiting: dict[int, _Waiting] = {}
        self.streams: set[int] = set()
        self.kept = self.last = self.slowed = False
        self.mask = select.EPOLLIN
        self.renew()

    @property
    def reads(self) -> bool:
        """Whether more of it is read now."""
        return not (self.last or self.slowed) and len(self.waiting) < OUTSTANDING and len(self.unsent) < UNREAD // 4

    @property
    def done(self) -> bool:
        return self.last and not (self.waiting or self.unsent or self.streams)

    def renew(self) -> None:
        """Begin the time anew within which it must do what it has to do now."""
        self.state = (bool(self.unsent), self.body is None, not (self.waiting or self.streams), self.kept)
        if self.unsent or self.body:
            seconds = PATIENCE
        elif self.waiting or self.streams:
            seconds = math.inf
        else:
            seconds = IDLE if self.kept else PATIENCE
        self.deadline = time.monotonic() + seconds

    def renew_if_changed(self) -> None:
        """Who sends or reads a byte now and then gains no time."""
        before, deadline = self.state, self.deadline
        self.renew()
        if self.state == before:
            self.deadline = deadline


class _Waiting(NamedTuple):
    """`deadline` is on the monotonic clock; `too_late` is what the client gets then."""

    deadline: float
    too_late: bytes


class ControlServer:
    """An event source of the loop. `ask` is Control.ask. It has an epoll of its own, whose descriptor the loop
    polls."""

    def __init__(self, listening: socket.socket, ask: Ask, owner: Owner = lambda _: "") -> None:
        self._listening, self._ask, self._owner = listening, ask, owner
        self._connections: dict[int, _Connection] = {}
        self._by_uid: Counter[int] = Counter()
        self._by_account: Counter[str | None] = Counter()
        self._kept_by_uid: Counter[int] = Counter()
        self._kept_by_account: Counter[str | None] = Counter()
        self._accepting, self._everybody, self._asking = (
            ACCEPTING.begin(),
            REQUESTS_OF_ALL.begin(),
            REQUESTS_OF_UID.each(),
        )
        self._together = REQUESTS_OF_ACCOUNT.each()
        self._numbers = count()
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
        crowded = uid and self._by_uid.total() - self._by_uid[0] >= ALL
        if not self._connections:
            self._timer.arm(1)
        self._connections[fd] = client
        self._count(client, 1)
        self._poll.register(fd, select.EPOLLIN)
        if full or many or crowded:
            self._refuse(client, "too many ask at once: ask again in a moment", Exit.BUSY)
            self._settle(client)
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
        for client in list(self._connections.values()):
            for number, (deadline, too_late) in list(client.waiting.items()):
                if deadline <= now:
                    self._send_later(client, number, too_late)
            if client.deadline <= now:
                self._close(client)
            elif client.slowed:
                client.slowed = False
                self._take(client)
        if not self._open:
            self._open = True
            self._poll.modify(self._listening.fileno(), select.EPOLLIN)
        if not self._connections:
            self._timer.arm(0)

    def _serve(self, client: _Connection, events: int) -> None:
        if events & select.EPOLLIN:
            self._receive(client)
        elif events & select.EPOLLOUT:
            self._send(client, b"")
        else:  # EPOLLHUP or EPOLLERR alone
            self._close(client)

    def _receive(self, client: _Connection) -> None:
        room = client.body.size if client.body else LONGEST + 1
        try:
            more = client.connection.recv(max(1, room - len(client.received)))  # descriptors that come are dropped
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        client.received += more
        if not more and client.kept and not (client.received or client.body):
            client.last = True  # it has shut down its side, and reads what it has asked for
        elif not more:
            self._close(client)
            return
        self._take(client)

    def _take(self, client: _Connection) -> None:
        """Ask what was received, as far as its answers have room."""
        while client.reads:
            if client.body:
                if len(client.received) < client.body.size:
                    break
                body, client.received = client.received[: client.body.size], client.received[client.body.size :]
                wanted, client.body = client.body, None
                self._do(client, partial(wanted.go, body))
            elif b"\n" in client.received:
                if not self._too_often(client):
                    line, _, client.received = client.received.partition(b"\n")
                    self._do(client, partial(self._ask, line, client.caller))
                elif client.kept:
                    client.slowed = True
                else:
                    self._refuse(client, "too many questions: ask again in a moment", Exit.BUSY)
            elif len(client.received) > LONGEST:
                self._refuse(client, f"a request is a line of {LONGEST} bytes at the most", Exit.WRONG)
            else:
                break
        self._settle(client)

    def _do(self, client: _Connection, ask: Callable[[Callable[[bytes], bool]], Outcome]) -> None:
        """Ask one thing, and do with the connection what its outcome says."""
        number = next(self._numbers)
        client.waiting[number] = _Waiting(math.inf, b"")  # an answer may come before `ask` returns
        outcome = ask(partial(self._send_later, client, number))
        if isinstance(outcome, Later):
            if number in client.waiting:
                client.waiting[number] = _Waiting(time.monotonic() + outcome.seconds, outcome.too_late)
        else:
            del client.waiting[number]
        client.renew()
        match outcome:
            case Caller():
                client.caller = outcome
                return
            case Keep():
                self._keep(client)
                return
            case WantsBody():
                if sum(each.body is not None for each in self._connections.values()) < BODIES:
                    client.body = outcome
                    return
                self._end(client, outcome.busy)
            case Final():
                self._end(client, outcome.line)
            case Stream():
                client.streams.add(number)
                outcome.begin(partial(self._stream, client, number))
                self._send(client, outcome.line)
            case bytes():
                self._send(client, outcome)
        client.last = client.last or not client.kept

    def _keep(self, client: _Connection) -> None:
        """Keep the connection for many requests, unless there are too many of that kind."""
        uid, account = client.caller.uid, client.account
        many = uid and (self._kept_by_uid[uid] >= KEPT_EACH or self._kept_by_account[account] >= KEPT_TOGETHER)
        if client.kept:
            return
        if many or self._kept_by_uid.total() >= KEPT_ALL:
            self._refuse(client, "too many connections are kept: close one", Exit.BUSY)
            return
        self._count(client, -1)
        client.kept = True
        self._count(client, 1)

    def _count(self, client: _Connection, one: int) -> None:
        _add(self._kept_by_uid if client.kept else self._by_uid, client.caller.uid, one)
        _add(self._kept_by_account if client.kept else self._by_account, client.account, one)

    def _too_often(self, client: _Connection) -> bool:
        now, account, uid = time.monotonic(), client.account, client.caller.uid
        return account is not None and not (
            self._asking.take(uid, now) and self._together.take(account, now) and self._everybody.take(now)
        )

    def _refuse(self, client: _Connection, words: str, status: int) -> None:
        self._end(client, refusal(words, status))

    def _end(self, client: _Connection, line: bytes) -> None:
        """Send this last line: nothing that the client sends is asked any more."""
        client.last, client.received = True, b""
        self._send(client, line)

    def _send_later(self, client: _Connection, number: int, line: bytes) -> bool:
        """Send the answer of a request that waits for one. Nothing is sent twice, or to a closed connection."""
        if client.waiting.pop(number, None) is None or not self._is_open(client):
            return False
        self._send(client, line)
        self._take(client)
        return True

    def _stream(self, client: _Connection, number: int, line: bytes) -> bool:
        """Send one more line. Who does not read is disconnected: what they missed they can ask for."""
        if number not in client.streams or not self._is_open(client):
            return False
        if len(client.unsent) + len(line) > UNREAD:
            self._close(client)
            return False
        self._send(client, line)
        self._settle(client)
        return True

    def _is_open(self, client: _Connection) -> bool:
        return self._connections.get(client.connection.fileno()) is client

    def _send(self, client: _Connection, line: bytes) -> None:
        """Send as much as the connection takes; the rest when it takes more."""
        client.unsent += line
        try:
            client.unsent = client.unsent[client.connection.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)

    def _settle(self, client: _Connection) -> None:
        """Close the connection when it is done; else poll for what comes next."""
        if not self._is_open(client):
            return
        if client.done:
            self._close(client)
            return
        client.renew_if_changed()
        mask = (select.EPOLLIN if client.reads else 0) | (select.EPOLLOUT if client.unsent else 0)
        if mask != client.mask:
            client.mask = mask
            self._poll.modify(client.connection.fileno(), mask)

    def _close(self, client: _Connection) -> None:
        fd = client.connection.fileno()
        if self._connections.pop(fd, None) is None:
            return
        client.last = True
        self._count(client, -1)
        with suppress(OSError):
            self._poll.unregister(fd)
        with suppress(OSError):
            client.connection.shutdown(socket.SHUT_RDWR)
        self._gone.append(client.connection)


_Key = TypeVar("_Key")


def _add(counter: Counter[_Key], key: _Key, one: int) -> None:
    counter[key] += one
    if not counter[key]:
        del counter[key]
