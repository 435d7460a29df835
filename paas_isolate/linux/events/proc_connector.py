"""Event source: a process has changed its uid, or runs another program. See linux/cn_proc.h (the proc connector).

From Linux 6.6 on the kernel sends only these events; before, it sends forks and exits too, which are dropped here. A
process that changes its uid by running a set-uid program is reported as a change of uid (kernel/cred.c, commit_creds).
"""

import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.socket_filter import attach
from paas_isolate.linux.network import netlink
from paas_isolate.linux.network.netlink import Message
from paas_isolate.linux.system.machine import kernel_version

_CONNECTOR, _PROC, _LISTEN = 11, 1, 1  # NETLINK_CONNECTOR; CN_IDX_PROC = CN_VAL_PROC; PROC_CN_MCAST_LISTEN
_EXEC, _UID = 0x2, 0x4
_MESSAGE = struct.Struct("=IIIIHH")  # struct cn_msg: idx, val, seq, ack, length, flags
_EVENT = struct.Struct("=IIQIIII")  # struct proc_event: what, cpu, time; thread, process; real and effective uid
_EVENT_PLACE = netlink.HEADER.size + _MESSAGE.size
_FILTERED = (6, 6)
PROGRAMS, EVERYBODY = -1, -2
"""In place of a uid: PROGRAMS is every execve(2), which is reported without a uid; EVERYBODY is all uids."""
_AT_ONCE = 2000
"""Events that one `read` takes at most, so that other sources get their turn."""
_SO_RCVBUFFORCE, _ROOM = 33, 4 << 20  # asm-generic/socket.h; bytes, some five thousand events


class ProcConnectorSource:
    """OSError when the kernel has no proc connector, or not in this network namespace."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._execs: bool | None = None
        self._wants_execs = True
        self._uids: tuple[int, int] | None = None
        self._without = frozenset[int]()
        self._events, self._seconds = Counter[int](), 0.0
        self._socket = socket.socket(socket.AF_NETLINK, kind, _CONNECTOR)
        try:
            with suppress(OSError):  # without CAP_NET_ADMIN the buffer keeps its default size
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
            self._socket.bind((0, _PROC))
            self.listen(execs=True)
        except OSError:
            self.close()
            raise

    def listen(self, *, execs: bool) -> None:
        """Report changes of uid, and with `execs` also programs: there may be thousands of these a second.
        OSError when the kernel refuses the subscription."""
        self._wants_execs = execs
        execs = execs and PROGRAMS not in self._without
        if execs != self._execs:
            self._socket.send(_subscription(_EXEC | _UID if execs else _UID))
            self._execs = execs
            self._attach_filter()

    def only(self, first: int, last: int) -> bool:
        """Report no uids but first to last from now on. Returns whether some of these were not reported before."""
        before, self._uids = self._uids, (first, last)
        if before != self._uids:
            self._attach_filter()
        return before is not None and not before[0] <= first <= last <= before[1]

    def pause(self, uids: frozenset[int]) -> None:
        """Report nothing of these uids, which may be PROGRAMS or EVERYBODY, until the next call."""
        if uids != self._without:
            self._without = uids
            self.listen(execs=self._wants_execs)
            self._attach_filter()

    def cost(self) -> tuple[float, Counter[int]]:
        """Since the last call: seconds of CPU time spent on events, and the number of events by uid (or PROGRAMS)."""
        spent = self._seconds, self._events
        self._seconds, self._events = 0.0, Counter()
        return spent

    def _attach_filter(self) -> None:
        if self._uids:
            first, last = (1, 0) if EVERYBODY in self._without else self._uids
            without = sorted(uid for uid in self._without if uid >= 0)
            attach(self._socket, first, last, execs=bool(self._execs), without=without)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> Iterator[Event]:
        """PROCESS events, one a pid; pid 0 when events were lost. At most _AT_ONCE events are read; the rest keeps the
        descriptor readable."""
        pids, begin = set[int](), time.thread_time()
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: the socket's buffer has overflowed
                pids.add(0)
                break
            if len(data) >= _EVENT_PLACE + _EVENT.size:
                what, _, _, _, pid, _, uid = _EVENT.unpack_from(data, _EVENT_PLACE)
                payer = uid if what == _UID else PROGRAMS
                if (what == _UID or (what == _EXEC and self._execs)) and payer not in self._without:
                    self._events[payer] += 1
                    pids.add(pid)
        self._seconds += time.thread_time() - begin
        yield from (Event(EventKind.PROCESS, pid=pid) for pid in pids)


def _subscription(events: int) -> bytes:
    body = struct.pack("=II", _LISTEN, events) if kernel_version() >= _FILTERED else struct.pack("=I", _LISTEN)
    message = _MESSAGE.pack(_PROC, _PROC, 0, 0, len(body), 0) + body
    return netlink.pack(Message(netlink.DONE, 0, message, port=os.getpid()))
