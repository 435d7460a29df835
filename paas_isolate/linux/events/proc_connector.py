"""The proc connector: which process has become somebody else's, or another program. See linux/cn_proc.h.

From Linux 6.6 on the kernel sends these events alone; before, forks and ends come along and are dropped here. Whoever
becomes another by running a set-uid program is told as that (kernel/cred.c, commit_creds).
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
from paas_isolate.linux.system.machine import kernel_version

_CONNECTOR, _PROC, _LISTEN = 11, 1, 1  # NETLINK_CONNECTOR; CN_IDX_PROC = CN_VAL_PROC; PROC_CN_MCAST_LISTEN
_EXEC, _UID = 0x2, 0x4
_HEAD = struct.Struct("=IHHII")  # struct nlmsghdr
_MESSAGE = struct.Struct("=IIIIHH")  # struct cn_msg: idx, val, seq, ack, length, flags
_EVENT = struct.Struct("=IIQIIII")  # struct proc_event: what, cpu, time; thread, process; real and effective uid
_DONE = 3
_FILTERED = (6, 6)
PROGRAMS, EVERYBODY = -1, -2
"""Stand for uids: what is told without one, and all."""
_AT_ONCE = 2000
"""Events, before others are listened to."""
_SO_RCVBUFFORCE, _ROOM = 33, 4 << 20  # asm-generic/socket.h; bytes, some five thousand events


class ProcConnectorSource:
    """OSError where the kernel has no connector, or not in this network namespace."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._execs: bool | None = None
        self._asked = True
        self._uids: tuple[int, int] | None = None
        self._without = frozenset[int]()
        self._events, self._seconds = Counter[int](), 0.0
        self._socket = socket.socket(socket.AF_NETLINK, kind, _CONNECTOR)
        try:
            with suppress(OSError):  # without CAP_NET_ADMIN here it stays as small as it is
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
            self._socket.bind((0, _PROC))
            self.listen(execs=True)
        except OSError:
            self.close()
            raise

    def listen(self, *, execs: bool) -> None:
        """Without `execs` only for who becomes somebody else: there may be thousands of the others a second."""
        self._asked = execs
        execs = execs and PROGRAMS not in self._without
        if execs != self._execs:
            self._socket.send(_subscription(_EXEC | _UID if execs else _UID))
            self._execs = execs
            self._sift()

    def only(self, first: int, last: int) -> bool:
        """No uids but these, from now on: the others wake nobody. Whether some of them were not heard before."""
        before, self._uids = self._uids, (first, last)
        if before != self._uids:
            self._sift()
        return before is not None and not before[0] <= first <= last <= before[1]

    def pause(self, uids: frozenset[int]) -> None:
        """Nothing of these is heard until others are said."""
        if uids != self._without:
            self._without = uids
            self.listen(execs=self._asked)
            self._sift()

    def cost(self) -> tuple[float, Counter[int]]:
        """Seconds of CPU time since this was asked last, and how many events of which uid they were spent on."""
        spent = self._seconds, self._events
        self._seconds, self._events = 0.0, Counter()
        return spent

    def _sift(self) -> None:
        if self._uids:
            first, last = (1, 0) if EVERYBODY in self._without else self._uids
            without = sorted(uid for uid in self._without if uid >= 0)
            attach(self._socket, first, last, execs=bool(self._execs), without=without)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> Iterator[Event]:
        """Each process once; 0 where events were lost. There may be more, but no more at once."""
        pids, begin = set[int](), time.thread_time()
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: more than the socket holds
                pids.add(0)
                break
            if len(data) >= _HEAD.size + _MESSAGE.size + _EVENT.size:
                what, _, _, _, pid, _, uid = _EVENT.unpack_from(data, _HEAD.size + _MESSAGE.size)
                whose = uid if what == _UID else PROGRAMS
                if (what == _UID or (what == _EXEC and self._execs)) and whose not in self._without:
                    self._events[whose] += 1
                    pids.add(pid)
        self._seconds += time.thread_time() - begin
        yield from (Event(EventKind.PROCESS, pid=pid) for pid in pids)


def _subscription(events: int) -> bytes:
    body = struct.pack("=II", _LISTEN, events) if kernel_version() >= _FILTERED else struct.pack("=I", _LISTEN)
    message = _MESSAGE.pack(_PROC, _PROC, 0, 0, len(body), 0) + body
    return _HEAD.pack(_HEAD.size + len(message), _DONE, 0, 0, os.getpid()) + message
