"""Just enough of rtnetlink(7) for tens of thousands of addresses: messages out, many at a time, and answers in."""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_SOL_NETLINK, _GET_STRICT_CHK, _EXT_ACK = 270, 12, 11
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
CREATE, EXCL = 0x400, 0x200
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
AT_ONCE = 200
"""Messages in one sendmsg(2): their answers fit into the socket's buffer."""
_BUFFER = 4 << 20


class Message(NamedTuple):
    """A request: its kind (RTM_…), flags besides NLM_F_REQUEST, and what follows the header."""

    kind: int
    flags: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


class Rtnetlink:
    """A socket to the routing tables of this network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)  # a dump of one link alone (Linux 4.20)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._number = 0

    def __enter__(self) -> "Rtnetlink":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The bodies of all answers. OSError as the kernel gives it."""
        self._number += 1
        self._socket.send(_packed(Message(kind, _DUMP, body), self._number))
        while True:
            for kind_, _, answer in self._receive():
                if kind_ == _NLMSG_DONE:
                    return
                if kind_ == _NLMSG_ERROR:
                    raise _error(answer)
                yield answer

    def ask(self, messages: Iterable[Message]) -> list[int]:
        """Send all; the error number of each in order, 0 where it was carried out."""
        ends: list[int] = []
        waiting = list(messages)
        for first in range(0, len(waiting), AT_ONCE):
            ends += self._ask_some(waiting[first : first + AT_ONCE])
        return ends

    def _ask_some(self, messages: list[Message]) -> list[int]:
        first = self._number + 1
        self._number += len(messages)
        packed = [_packed(it._replace(flags=it.flags | _ACK), first + at) for at, it in enumerate(messages)]
        self._socket.send(b"".join(packed))
        ends = dict.fromkeys(range(first, first + len(messages)), -1)
        left = len(messages)
        while left:
            for kind, number, answer in self._receive():
                if kind == _NLMSG_ERROR and ends.get(number) == -1:
                    ends[number] = -struct.unpack_from("=i", answer)[0]
                    left -= 1
        return list(ends.values())

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(1 << 17)
        at = 0
        while at < len(data):
            length, kind, _, number, _ = _HEADER.unpack_from(data, at)
            yield kind, number, data[at + _HEADER.size : at + length]
            at += length + -length % 4


def attributes(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """What follows the fixed part of an answer, by kind."""
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4


def _packed(message: Message, number: int) -> bytes:
    length = _HEADER.size + len(message.body)
    return _HEADER.pack(length, message.kind, message.flags | _REQUEST, number, 0) + message.body + bytes(-length % 4)


def _error(answer: bytes) -> OSError:
    number = -struct.unpack_from("=i", answer)[0] or errno.EIO
    return OSError(number, os.strerror(number))
