"""Requests by netlink(7), many at a time, and their answers."""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from paas_isolate.linux.network import netlink
from paas_isolate.linux.network.netlink import Message

AT_ONCE = 200
"""Requests in one sendmsg(2): their answers fit into the socket's buffer."""
_BUFFER = 4 << 20
"""Bytes."""


_ROUTE = 0  # NETLINK_ROUTE


class NetlinkSocket:
    """A socket of the family `protocol` in this network namespace; NETLINK_ROUTE has addresses, routes, links and
    qdiscs (rtnetlink(7)). The flag NLM_F_REQUEST and the sequence
    numbers of messages are set here."""

    def __init__(self, protocol: int = _ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        # so that a dump can be of one link alone (Linux 4.20)
        self._socket.setsockopt(netlink.SOL_NETLINK, netlink.GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._number = 0

    def __enter__(self) -> "NetlinkSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The bodies of all answers. OSError with the kernel's error number where it refuses the request."""
        self._send([Message(kind, netlink.DUMP, body)])
        while True:
            for answer, _, _, answer_body in netlink.messages(self._socket.recv(1 << 17)):
                if answer == netlink.DONE:
                    return
                if answer == netlink.ERROR:
                    raise _error(answer_body)
                yield answer_body

    def ask(self, messages: Iterable[Message]) -> list[int]:
        """Send all; the error number (errno(3)) of each in order, 0 where it was carried out."""
        waiting = list(messages)
        ends: list[int] = []
        for first in range(0, len(waiting), AT_ONCE):
            ends += self._ask_at_once(waiting[first : first + AT_ONCE])
        return ends

    def _ask_at_once(self, messages: list[Message]) -> list[int]:
        numbers = self._send([message._replace(flags=message.flags | netlink.ACK) for message in messages])
        ends = dict.fromkeys(numbers, -1)
        left = len(messages)
        while left:
            for kind, number, _, body in netlink.messages(self._socket.recv(1 << 17)):
                if kind == netlink.ERROR and ends.get(number) == -1:
                    ends[number] = _error_number(body)
                    left -= 1
        return list(ends.values())

    def _send(self, messages: list[Message]) -> range:
        """Send them in one system call; their sequence numbers."""
        numbers = range(self._number + 1, self._number + 1 + len(messages))
        self._number += len(messages)
        numbered = zip(messages, numbers, strict=True)
        self._socket.send(
            b"".join(
                [
                    netlink.pack(message._replace(flags=message.flags | netlink.REQUEST, number=number))
                    for message, number in numbered
                ]
            )
        )
        return numbers


def _error_number(body: bytes) -> int:
    """Of struct nlmsgerr, which has it negated."""
    number: int = struct.unpack_from("=i", body)[0]
    return -number


def _error(body: bytes) -> OSError:
    number = _error_number(body) or errno.EIO
    return OSError(number, os.strerror(number))
