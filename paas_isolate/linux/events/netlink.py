"""Our table of nftables and our link: whether somebody has changed or removed them.

Of nftables the kernel tells every transaction (NFNLGRP_NFTABLES), and at its end whose it was
(nf_tables_fill_gen_info); of addresses and routes each that goes (rtnetlink(7)), and the port of who asked, which is a
pid where it is the first of its process (netlink(7)). What we did ourselves is no news.
"""

import os
import socket
from collections.abc import Iterator

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.network import netlink, nfnetlink
from paas_isolate.linux.network.links import PROTOCOL
from paas_isolate.linux.network.netlink import KIND_MASK, attributes

_NETFILTER, _ROUTE = 12, 0
_NFTABLES_GROUP = 7
_LINKS, _ROUTES4, _ADDRESSES6 = 1 << 0, 1 << 6, 1 << 8  # RTMGRP_LINK, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR
_NFGENMSG = 4  # bytes of struct nfgenmsg
_NFNL_NFTABLES, _NEWGEN = 10, 15
_DELLINK, _DELADDR, _DELROUTE = 17, 21, 25
_GEN_ID, _GEN_PID, _GEN_NAME = 1, 2, 3
_TABLE_NAME = 1
_TABLE = b"paas_isolate"
_LOST = -1
_NO_PID = 1 << 31
"""From here on the kernel gives ports to sockets that are not the first of their process (net/netlink/af_netlink.c)."""
_RTM_PROTOCOL = 5  # its place in struct rtmsg


class NetlinkSource:
    """Two sockets; `fileno` is of an epoll(7) of both."""

    def __init__(self) -> None:
        import select

        self._nft = _socket(_NETFILTER, 0)
        self._nft.setsockopt(netlink.SOL_NETLINK, netlink.ADD_MEMBERSHIP, _NFTABLES_GROUP)
        self._route = _socket(_ROUTE, _LINKS | _ROUTES4 | _ADDRESSES6)
        self._touched = False
        """Our table, in a transaction of which the end has not been told yet."""
        self._both = select.epoll()
        for each in (self._nft, self._route):
            self._both.register(each, select.EPOLLIN)

    def fileno(self) -> int:
        return self._both.fileno()

    def close(self) -> None:
        for each in (self._both, self._nft, self._route):
            each.close()

    def read(self) -> Iterator[Event]:
        for kind, _, body in _messages(self._nft):
            if kind == _LOST or _of_our_table(kind, body):
                self._touched = True
            if self._touched and (kind == _LOST or kind == _NFNL_NFTABLES << 8 | _NEWGEN):
                self._touched = False
                # where more was to be told than fits: if the last one was ours, nobody had one that we have not seen
                made, pid, name = _made(body) if kind != _LOST else (nfnetlink.generation(), 0, "")
                if not nfnetlink.was_ours(made):
                    yield Event(EventKind.NETWORK, "the ruleset", pid, f"pid {pid} ({name})" if pid else "")
        for kind, port, body in _messages(self._route):
            if _ours_is_gone(kind, body):
                yield Event(EventKind.NETWORK, "an address", 0 if port >= _NO_PID or port == os.getpid() else port)


def _socket(protocol: int, groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    made.bind((0, groups))
    return made


def _messages(of: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """All that wait: kind, port of who asked, body. _LOST where there were more than fit (ENOBUFS)."""
    while True:
        try:
            data = of.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            yield _LOST, 0, b""
            continue
        for kind, _, port, body in netlink.messages(data):
            yield kind, port, body


def _of_our_table(kind: int, body: bytes) -> bool:
    """The name of the table is the first attribute of every message but that of the generation."""
    if kind >> 8 != _NFNL_NFTABLES or kind & 0xFF == _NEWGEN:
        return False
    number, name = next(attributes(body, _NFGENMSG), (0, b""))
    return number & KIND_MASK == _TABLE_NAME and name.rstrip(b"\0") == _TABLE


def _made(body: bytes) -> tuple[int, int, str]:
    """The generation that the transaction which this message ends has made, by which pid and program; 0 where it does
    not say."""
    known = dict(attributes(body, _NFGENMSG))
    made, pid = (int.from_bytes(known.get(it, b"")) for it in (_GEN_ID, _GEN_PID))
    return made, pid, known.get(_GEN_NAME, b"").rstrip(b"\0").decode(errors="replace")


def _ours_is_gone(kind: int, body: bytes) -> bool:
    """A route with our number; any link or address of IPv6, for those carry none on older kernels."""
    if kind == _DELROUTE:
        return body[_RTM_PROTOCOL] == PROTOCOL
    return kind in (_LOST, _DELLINK, _DELADDR)
