"""Our table of nftables and our link: whether somebody has changed or removed them.

Of nftables the kernel tells every transaction (NFNLGRP_NFTABLES), of addresses and routes each that goes
(rtnetlink(7)). Our own are told to us too: the look that follows finds nothing.
"""

import socket
import struct
from collections.abc import Iterator

from paas_isolate.linux.ears.heard import Heard, Kind
from paas_isolate.linux.links import PROTOCOL

_NETFILTER, _ROUTE = 12, 0
_NFTABLES_GROUP = 7
_LINKS, _ROUTES4, _ADDRESSES6 = 1 << 0, 1 << 6, 1 << 8  # RTMGRP_LINK, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_HEAD = struct.Struct("=IHHII")  # struct nlmsghdr
_NFGENMSG, _ATTRIBUTE = 4, struct.Struct("=HH")
_NFNL_NFTABLES, _NEWGEN = 10, 15
_DELLINK, _DELADDR, _DELROUTE = 17, 21, 25
_TABLE = b"paas_isolate"
_RTM_PROTOCOL = 5  # its place in struct rtmsg


class Netlinks:
    """Two sockets; `fileno` is of an epoll(7) of both."""

    def __init__(self) -> None:
        import select

        self._nft = _socket(_NETFILTER, 0)
        self._nft.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTABLES_GROUP)
        self._route = _socket(_ROUTE, _LINKS | _ROUTES4 | _ADDRESSES6)
        self._both = select.epoll()
        for each in (self._nft, self._route):
            self._both.register(each, select.EPOLLIN)

    def fileno(self) -> int:
        return self._both.fileno()

    def close(self) -> None:
        for each in (self._both, self._nft, self._route):
            each.close()

    def heard(self) -> Iterator[Heard]:
        if any(_of_our_table(kind, body) for kind, body in _messages(self._nft)):
            yield Heard(Kind.NETWORK)
        if any(_ours_is_gone(kind, body) for kind, body in _messages(self._route)):
            yield Heard(Kind.NETWORK)


def _socket(protocol: int, groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    made.bind((0, groups))
    return made


def _messages(of: socket.socket) -> Iterator[tuple[int, bytes]]:
    """All that wait. What was lost (ENOBUFS) counts as a message of ours."""
    while True:
        try:
            data = of.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            yield -1, b""
            continue
        at = 0
        while at + _HEAD.size <= len(data):
            size, kind, *_ = _HEAD.unpack_from(data, at)
            yield kind, data[at + _HEAD.size : at + size]
            at += max(size + 3 & ~3, _HEAD.size)


def _of_our_table(kind: int, body: bytes) -> bool:
    """The name of the table is the first attribute of every message but that of the generation."""
    if kind < 0:
        return True
    if kind >> 8 != _NFNL_NFTABLES or kind & 0xFF == _NEWGEN or len(body) < _NFGENMSG + _ATTRIBUTE.size:
        return False
    size, number = _ATTRIBUTE.unpack_from(body, _NFGENMSG)
    return number & 0x3FFF == 1 and body[_NFGENMSG + _ATTRIBUTE.size : _NFGENMSG + size].rstrip(b"\0") == _TABLE


def _ours_is_gone(kind: int, body: bytes) -> bool:
    """A route with our number; any link or address of IPv6, for those carry none on older kernels."""
    if kind == _DELROUTE:
        return body[_RTM_PROTOCOL] == PROTOCOL
    return kind in (-1, _DELLINK, _DELADDR)
