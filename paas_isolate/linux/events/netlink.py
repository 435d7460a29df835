"""Event source: another process has changed our nftables table, or removed an address or a route of ours.

The kernel reports every nftables transaction (NFNLGRP_NFTABLES) and at its end the process that made it
(nf_tables_fill_gen_info). It reports every removed address and route (rtnetlink(7)) with the port id of the
socket that asked for it, which is a pid for the first socket of a process (netlink(7)). Our own changes of the ruleset
are left out.
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
_ROUTES4, _ADDRESSES6, _ROUTES6 = 1 << 6, 1 << 8, 1 << 10  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE
_NFGENMSG = 4  # bytes of struct nfgenmsg
_NFNL_NFTABLES, _NEWGEN = 10, 15
_DELADDR, _DELROUTE = 21, 25
_GEN_ID, _GEN_PID, _GEN_NAME = 1, 2, 3
_TABLE_NAME = 1
_TABLE = b"paas_isolate"
_LOST = -1
_NO_PID = 1 << 31
"""Port ids from here on belong to sockets that are not the first of their process (net/netlink/af_netlink.c)."""
_RTM_PROTOCOL = 5  # offset of rtm_protocol in struct rtmsg


class NetlinkSource:
    """Two netlink sockets, and an epoll(7) of both, which `fileno` is. OSError when they cannot be opened."""

    def __init__(self) -> None:
        import select

        self._nft = _socket(_NETFILTER, 0)
        self._nft.setsockopt(netlink.SOL_NETLINK, netlink.ADD_MEMBERSHIP, _NFTABLES_GROUP)
        self._route = _socket(_ROUTE, _ROUTES4 | _ADDRESSES6 | _ROUTES6)
        self._touched = False
        """Whether the transaction whose end has not been reported yet changes our table."""
        self._epoll = select.epoll()
        for each in (self._nft, self._route):
            self._epoll.register(each, select.EPOLLIN)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        for each in (self._epoll, self._nft, self._route):
            each.close()

    def read(self) -> Iterator[Event]:
        """NETWORK events, with `place` as words for the log and the pid where the kernel reports one. Lost messages
        count as a change."""
        for kind, _, body in _messages(self._nft):
            if kind == _LOST or _of_our_table(kind, body):
                self._touched = True
            if self._touched and (kind == _LOST or kind == _NFNL_NFTABLES << 8 | _NEWGEN):
                self._touched = False
                # Messages were lost: if the newest generation is ours, no other process has changed anything since.
                generation, pid, name = _generation(body) if kind != _LOST else (nfnetlink.generation(), 0, "")
                if not nfnetlink.was_ours(generation):
                    yield Event(EventKind.NETWORK, "the ruleset", pid, f"pid {pid} ({name})" if pid else "")
        for kind, port, body in _messages(self._route):
            if _ours_is_gone(kind, body):
                yield Event(EventKind.NETWORK, "an address", 0 if port >= _NO_PID or port == os.getpid() else port)


def _socket(protocol: int, groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    made.bind((0, groups))
    return made


def _messages(source: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """All waiting messages: type, port id of the process that caused it, body. The type is _LOST when the socket's
    buffer overflowed (ENOBUFS)."""
    while True:
        try:
            data = source.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            yield _LOST, 0, b""
            continue
        for kind, _, port, body in netlink.messages(data):
            yield kind, port, body


def _of_our_table(kind: int, body: bytes) -> bool:
    """In every message but NFT_MSG_NEWGEN the first attribute is the name of the table."""
    if kind >> 8 != _NFNL_NFTABLES or kind & 0xFF == _NEWGEN:
        return False
    number, name = next(attributes(body, _NFGENMSG), (0, b""))
    return number & KIND_MASK == _TABLE_NAME and name.rstrip(b"\0") == _TABLE


def _generation(body: bytes) -> tuple[int, int, str]:
    """From NFT_MSG_NEWGEN, which ends a transaction: the new generation, and pid and name of the process that made it;
    0 and '' for what the message does not have."""
    known = dict(attributes(body, _NFGENMSG))
    generation, pid = (int.from_bytes(known.get(number, b"")) for number in (_GEN_ID, _GEN_PID))
    return generation, pid, known.get(_GEN_NAME, b"").rstrip(b"\0").decode(errors="replace")


def _ours_is_gone(kind: int, body: bytes) -> bool:
    """Whether a route with our protocol number was removed, or any IPv6 address: these carry no such number on older
    kernels."""
    if kind == _DELROUTE:
        return body[_RTM_PROTOCOL] == PROTOCOL
    return kind in (_LOST, _DELADDR)
