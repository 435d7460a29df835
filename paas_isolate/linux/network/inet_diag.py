"""The TCP connections of this network namespace: listed and ended (sock_diag(7), linux/inet_diag.h)."""

import errno
import struct
from collections.abc import Iterable
from functools import lru_cache
from socket import AF_INET, AF_INET6, IPPROTO_TCP, inet_ntop, inet_pton

from paas_isolate.changes.connections import Connection
from paas_isolate.linux.network.netlink import Message
from paas_isolate.linux.network.netlink_socket import NetlinkSocket

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY, _DESTROY = 20, 21  # SOCK_DIAG_BY_FAMILY, SOCK_DESTROY
_LISTEN, _TIME_WAIT = 10, 6  # include/net/tcp_states.h
_STATES = 0xFFF & ~(1 << _LISTEN | 1 << _TIME_WAIT)
_REQUEST = struct.Struct("=4BI")
"""struct inet_diag_req_v2 before `id`: family, protocol, extensions, padding, states."""
_ID = struct.Struct(">HH16s16s12s")
"""struct inet_diag_sockid: ports and addresses in network byte order; interface and cookie."""
_ID_AT, _UID = 4, struct.Struct("=I")
"""struct inet_diag_msg: `id` is behind four bytes, the uid behind it and three numbers."""
_MAPPED = bytes(10) + b"\xff\xff"


def connections() -> list[Connection]:
    """Both ends of those within the machine. A connection over a mapped address (::ffff:0:0/96) has IPv4 addresses.
    OSError where the kernel does not list them."""
    with NetlinkSocket(_SOCK_DIAG) as diag:
        return [_connection(answer) for family in (AF_INET, AF_INET6) for answer in diag.dump(_BY_FAMILY, _all(family))]


def uid_of(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The uid of the socket of this network namespace that is connected from `local` to `remote`, both as address and
    port; None where there is none. The kernel compares the ports, so others' connections cost nothing. OSError where
    it does not list them."""
    ends = _ID.pack(local[1], remote[1], bytes(16), bytes(16), bytes(12))
    with NetlinkSocket(_SOCK_DIAG) as diag:
        for family in (AF_INET, AF_INET6):  # a socket of IPv6 may be connected to an address of IPv4
            for answer in diag.dump(_BY_FAMILY, _REQUEST.pack(family, IPPROTO_TCP, 0, 0, _STATES) + ends):
                found = _connection(answer)
                if (found.local, found.remote) == (local[0], remote[0]):
                    return found.uid
    return None


def end(ending: Iterable[Connection]) -> list[int]:
    """End them: their programs see ECONNABORTED, the other end a reset. The error number of each, 0 where it was ended;
    those that are gone are no error. EOPNOTSUPP where the kernel has no CONFIG_INET_DIAG_DESTROY."""
    with NetlinkSocket(_SOCK_DIAG) as diag:
        found = diag.ask(Message(_DESTROY, 0, _one(each)) for each in ending)
    return [0 if number == errno.ENOENT else number for number in found]


def _all(family: int) -> bytes:
    return _REQUEST.pack(family, IPPROTO_TCP, 0, 0, _STATES) + bytes(_ID.size)


def _one(connection: Connection) -> bytes:
    """The kernel finds a socket of IPv6 with IPv4 addresses by these, too; one that is bound to an interface, with it
    only. Where there is none any more, it finds the listener, which has another cookie."""
    _, local, local_port, remote, remote_port, identity = connection
    family = AF_INET6 if ":" in local else AF_INET
    ends = (inet_pton(family, address).ljust(16, b"\0") for address in (local, remote))
    return _REQUEST.pack(family, IPPROTO_TCP, 0, 0, _STATES) + _ID.pack(local_port, remote_port, *ends, identity)


def _connection(answer: bytes) -> Connection:
    local_port, remote_port, local, remote, identity = _ID.unpack_from(answer, _ID_AT)
    (uid,) = _UID.unpack_from(answer, _ID_AT + _ID.size + 12)
    return Connection(uid, _text(answer[0], local), local_port, _text(answer[0], remote), remote_port, identity)


@lru_cache(4096)
def _text(family: int, address: bytes) -> str:
    if family == AF_INET:
        return inet_ntop(AF_INET, address[:4])
    if address.startswith(_MAPPED):
        return inet_ntop(AF_INET, address[12:])
    return inet_ntop(AF_INET6, address)
