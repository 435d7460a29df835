"""The accounts' addresses on the host: on a dummy link of our own, or on lo where the kernel has no dummy links.

All carry a protocol number of ours, so that no others are read or changed. IPv4 addresses are local routes: for each
address that is added or removed the kernel walks all addresses of the link (net/ipv4/devinet.c, inet_insert_ifa), which
takes 20 s for 20,000 addresses; as many routes take 0.3 s. bind(2) of an IPv6 address looks for the address itself, so
IPv6 addresses are addresses.
"""

import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from socket import AF_INET, AF_INET6, if_indextoname, if_nametoindex, inet_ntop, inet_pton

from paas_isolate.errors import HostError
from paas_isolate.linux.network.netlink import CREATE, EXCL, Message, attribute, attributes
from paas_isolate.linux.network.rtnetlink import Rtnetlink
from paas_isolate.model.network import LINK, Address

PROTOCOL = 119
"""`proto 119` in ip-route(8) and ip-address(8); iproute2's rt_protos gives the number to no program."""

_NEWLINK, _DELLINK, _SETLINK = 16, 17, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_PROTO = 1, 2, 8, 11  # the last from Linux 5.18 on
_NODAD, _NOPREFIXROUTE = 0x02, 0x200
_RTA_DST, _RTA_OIF = 1, 4
_TABLE_LOCAL, _TYPE_LOCAL, _SCOPE_HOST = 255, 2, 254
_UP = 1
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, which flags change
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, two lengths, tos, table, protocol, scope, type, flags
_OURS = bytes((PROTOCOL,))
_INDEX = struct.Struct("=I")
_NO_DUMMY = (errno.EOPNOTSUPP, errno.ENOTSUP)
_THERE, _GONE = (errno.EEXIST,), (errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENODEV)


class Links:
    """The addresses of accounts in this network namespace."""

    def observe(self) -> dict[Address, str]:
        """Every address of ours, with the name of the link that it is on. OSError where netlink refuses."""
        with Rtnetlink() as socket:
            return dict((*_routes(socket), *_addresses(socket)))

    def add(self, addresses: Iterable[Address]) -> list[str]:
        """Add addresses, and first make the link where it is missing. For each address, in order, what went wrong with
        it, '' where it is there now. HostError when the link cannot be made."""
        wanted = list(addresses)
        with Rtnetlink() as socket:
            index = _link_index(socket) if wanted else 0
            ends = socket.ask(_message(_NEWROUTE, _NEWADDR, CREATE | EXCL, address, index) for address in wanted)
        return [_wrong(end, _THERE) for end in ends]

    def remove(self, addresses: Iterable[Address]) -> list[str]:
        """Remove addresses from whichever link they are on, and the link with the last of ours. For each address, in
        order, what went wrong with it, '' where it is gone now."""
        unwanted = list(addresses)
        with Rtnetlink() as socket:
            there = dict(_addresses(socket)) if any(":" in address for address in unwanted) else {}
            indexes = {link: _index(link) for link in (*there.values(), "")}
            ends = socket.ask(
                _message(_DELROUTE, _DELADDR, 0, address, indexes[there.get(address, "")]) for address in unwanted
            )
        with Rtnetlink() as socket:
            if (index := _index(LINK)) and next(_routes(socket), None) is None:
                _remove_unless_used(index)
        return [_wrong(end, _GONE) for end in ends]


def _remove_unless_used(index: int) -> None:
    with Rtnetlink() as socket:
        if next(_addresses(socket), None) is not None:
            return
    with Rtnetlink() as socket:
        socket.ask([Message(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))])


def _addresses(socket: Rtnetlink) -> Iterator[tuple[Address, str]]:
    for link in ("lo", LINK):
        if index := _index(link):
            for answer in socket.dump(_GETADDR, _ADDRESS.pack(AF_INET6, 0, 0, 0, index)):
                known = dict(attributes(answer, _ADDRESS.size))
                if known.get(_IFA_PROTO) == _OURS:
                    yield inet_ntop(AF_INET6, known[_IFA_ADDRESS]), link


def _routes(socket: Rtnetlink) -> Iterator[tuple[Address, str]]:
    names: dict[bytes, str] = {}
    wanted = _ROUTE.pack(AF_INET, 0, 0, 0, _TABLE_LOCAL, PROTOCOL, 0, _TYPE_LOCAL, 0)
    for answer in socket.dump(_GETROUTE, wanted):
        known = dict(attributes(answer, _ROUTE.size))
        if (link := names.get(known[_RTA_OIF])) is None:
            link = names[known[_RTA_OIF]] = if_indextoname(*_INDEX.unpack(known[_RTA_OIF]))
        yield inet_ntop(AF_INET, known[_RTA_DST]), link


def _link_index(socket: Rtnetlink) -> int:
    """The index of our link, which is made where it is missing, and set up."""
    if not _index(LINK):
        kind = attribute(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"dummy"))
        body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, LINK.encode() + b"\0") + kind
        (end,) = socket.ask([Message(_NEWLINK, CREATE | EXCL, body)])
        if end in _NO_DUMMY:
            return if_nametoindex("lo")
        if wrong := _wrong(end, _THERE):
            raise HostError(f"the link {LINK} cannot be made: {wrong}")
    index = if_nametoindex(LINK)
    socket.ask([Message(_SETLINK, 0, _LINK.pack(0, 0, index, _UP, _UP))])
    return index


def _message(route: int, address: int, flags: int, which: Address, index: int) -> Message:
    if ":" in which:
        return Message(address, flags, _address(inet_pton(AF_INET6, which), index))
    return Message(route, flags, _route(inet_pton(AF_INET, which), index))


def _route(packed: bytes, index: int) -> bytes:
    """The body of a request about a route. `index` 0 stands for any link, for removal."""
    head = _ROUTE.pack(AF_INET, 8 * len(packed), 0, 0, _TABLE_LOCAL, PROTOCOL, _SCOPE_HOST, _TYPE_LOCAL, 0)
    link = attribute(_RTA_OIF, _INDEX.pack(index)) if index else b""
    return head + attribute(_RTA_DST, packed) + link


def _address(packed: bytes, index: int) -> bytes:
    head = _ADDRESS.pack(AF_INET6, 8 * len(packed), 0, 0, index)
    own = attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    flags = attribute(
        _IFA_FLAGS, _INDEX.pack(_NODAD | _NOPREFIXROUTE)
    )  # no duplicate address detection: no other machine has it
    return head + own + flags + attribute(_IFA_PROTO, _OURS)


def _index(link: str) -> int:
    """0 when there is no such link."""
    with suppress(OSError):
        return if_nametoindex(link)
    return 0


def _wrong(error_number: int, fine: tuple[int, ...]) -> str:
    return "" if error_number == 0 or error_number in fine else os.strerror(error_number)
