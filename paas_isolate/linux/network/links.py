"""The pools' addresses on the host: a local route for each pool, on lo, so that any number of accounts costs the same.

An IPv6 address for each account would cost the square of their number: for each that comes, the kernel looks at all
that there are (net/ipv6/addrconf.c, addrconf_verify_rtnl; 9 s for 20,000), on whichever links they are, and for each
that goes at all routes too. A route differs from an address in two ways (ip-sysctl.rst; net/ipv6/af_inet6.c,
__inet6_bind; net/ipv6/route.c, ip6_route_get_saddr):

- bind(2) accepts an IPv6 address that is only routed with net.ipv6.ip_nonlocal_bind=1. It is set here, and set back
  with the last IPv6 route. (IPV6_FREEBIND of ipv6(7) gives the same to every program.)
- A connection to an IPv4 address comes from that same address, as it does without a route. One to an IPv6 address would
  come from ::1, as if it were the account's own localhost, or from an address of the machine: so the route names
  SOURCE6, which lo has.

Routes and addresses carry a protocol number of ours, so that no others are read or changed.
"""

import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from socket import AF_INET, AF_INET6, if_nametoindex, inet_ntop, inet_pton

from paas_isolate.linux.network.netlink import CREATE, EXCL, REPLACE, Message, attribute, attributes
from paas_isolate.linux.network.netlink_socket import NetlinkSocket
from paas_isolate.model.network import OLD_LINK, SOURCE6

PROTOCOL = 119
"""`proto 119` in ip-route(8) and ip-address(8); iproute2's rt_protos gives the number to no program."""

NONLOCAL_BIND = "/proc/sys/net/ipv6/ip_nonlocal_bind"
"""Of the network namespace of the caller."""

WAS_OFF = "ip_nonlocal_bind"
"""The name of a file in /run/paas-isolate: there while NONLOCAL_BIND is on because we set it."""

_DELLINK = 17
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_PROTO = 1, 2, 8, 11  # the last from Linux 5.18 on
_NODAD, _NOPREFIXROUTE = 0x02, 0x200
_RTA_DST, _RTA_OIF, _RTA_PREFSRC = 1, 4, 7
_TABLE_MAIN, _TABLE_LOCAL, _TYPE_UNICAST, _TYPE_LOCAL, _SCOPE_HOST = 254, 255, 1, 2, 254
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, which flags change
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, two lengths, tos, table, protocol, scope, type, flags
_OURS = bytes((PROTOCOL,))
_SOURCE6 = inet_pton(AF_INET6, SOURCE6)
_INDEX = struct.Struct("=I")
_GONE = (errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENODEV)


class Links:
    """The local networks of ours in this network namespace. A network is text such as `10.77.0.0/16`, or an address.
    `was_off` is the file WAS_OFF; None where NONLOCAL_BIND need not be set back."""

    def __init__(self, was_off: str | None = None) -> None:
        self._was_off = was_off

    def observe(self) -> dict[str, bool]:
        """Every network of ours, and whether it is complete: an IPv6 one needs SOURCE6 and NONLOCAL_BIND. Single
        addresses are there too, and SOURCE6 where no network needs it. OSError where netlink refuses."""
        with NetlinkSocket() as socket:
            routes = dict(_routes(socket, AF_INET))
            routes6 = dict(_routes(socket, AF_INET6))
            addresses = dict.fromkeys([address for address, _ in _addresses(socket)], True)
        if routes6:
            fit = addresses.pop(SOURCE6, False) and _may_bind()
            routes6 = {network: fit and right for network, right in routes6.items()}
        return {**routes, **routes6, **addresses}

    def add(self, networks: Iterable[str]) -> list[str]:
        """Make networks local. For each, in order, what went wrong with it, '' where it is complete now. One into which
        a route of the machine leads is left: what is there would be cut off."""
        wanted = list(networks)
        lo = if_nametoindex("lo")
        with NetlinkSocket() as socket:
            wrong = {network: self._unfit(socket, network, lo) for network in wanted}
            fit = [network for network in wanted if not wrong[network]]
            ends = socket.ask(Message(_NEWROUTE, CREATE | REPLACE, _route(network, lo)) for network in fit)
        wrong.update((network, _wrong(end)) for network, end in zip(fit, ends, strict=True))
        return [wrong[network] for network in wanted]

    def remove(self, networks: Iterable[str]) -> list[str]:
        """Remove networks, and with the last IPv6 one what it needed. For each, in order, what went wrong with it, ''
        where it is gone now."""
        unwanted = list(networks)
        with NetlinkSocket() as socket:
            there = dict(_addresses(socket))
            if there.keys() <= {SOURCE6, *unwanted} and (index := _index(OLD_LINK)):
                socket.ask([Message(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))])  # takes all its addresses at once
            ends = socket.ask(
                Message(_DELADDR, 0, _address(network, there[network]))
                if network in there
                else Message(_DELROUTE, 0, _route(network))
                for network in unwanted
            )
        with NetlinkSocket() as socket:
            if next(_routes(socket, AF_INET6), None) is None:
                self._undo_ipv6()
        return [_wrong(end, _GONE) for end in ends]

    def _unfit(self, socket: NetlinkSocket, network: str, lo: int) -> str:
        """Why a network cannot be made local; '' where it can. An IPv6 one has what it needs then."""
        for inside in _routes_into(socket, network):
            return f"this machine has a route to {inside}: choose another pool"
        return self._prepare_ipv6(socket, lo) if ":" in network else ""

    def _prepare_ipv6(self, socket: NetlinkSocket, lo: int) -> str:
        """Make what an IPv6 network needs; '' where it is there now, else what went wrong."""
        (end,) = socket.ask([Message(_NEWADDR, CREATE | EXCL, _address(SOURCE6, lo))])
        if wrong := _wrong(end, (errno.EEXIST,)):
            return wrong
        try:
            if not _may_bind():
                if self._was_off:
                    os.close(os.open(self._was_off, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                _set_may_bind("1")
        except OSError as error:
            return f"{NONLOCAL_BIND}: {error.strerror}"
        return ""

    def _undo_ipv6(self) -> None:
        with NetlinkSocket() as socket:
            socket.ask([Message(_DELADDR, 0, _address(SOURCE6, if_nametoindex("lo")))])
        with suppress(OSError):  # where it was not set by us, there is no such file
            if self._was_off:
                os.unlink(self._was_off)
                _set_may_bind("0")


def _may_bind() -> bool:
    try:
        with open(NONLOCAL_BIND, "rb") as file:
            return file.read().strip() == b"1"
    except FileNotFoundError:  # without IPv6
        return False


def _set_may_bind(value: str) -> None:
    with open(NONLOCAL_BIND, "w") as file:
        file.write(value)


def _addresses(socket: NetlinkSocket) -> Iterator[tuple[str, int]]:
    """IPv6 addresses of ours, with the index of their link; SOURCE6 whoever has added it."""
    for link in ("lo", OLD_LINK):
        if index := _index(link):
            for answer in socket.dump(_GETADDR, _ADDRESS.pack(AF_INET6, 0, 0, 0, index)):
                known = dict(attributes(answer, _ADDRESS.size))
                if known.get(_IFA_PROTO) == _OURS or known[_IFA_ADDRESS] == _SOURCE6:
                    yield inet_ntop(AF_INET6, known[_IFA_ADDRESS]), index


def _routes(socket: NetlinkSocket, family: int) -> Iterator[tuple[str, bool]]:
    """Networks of ours, and whether the route has the source address that it should have."""
    wanted = _ROUTE.pack(family, 0, 0, 0, _TABLE_LOCAL, PROTOCOL, 0, _TYPE_LOCAL, 0)
    source = _SOURCE6 if family == AF_INET6 else None
    for answer in socket.dump(_GETROUTE, wanted):
        if answer[0] == family:  # a kernel without IPv6 answers with all families
            known = dict(attributes(answer, _ROUTE.size))
            yield _text(known[_RTA_DST], answer[1]), known.get(_RTA_PREFSRC) == source


def _routes_into(socket: NetlinkSocket, network: str) -> list[str]:
    """The networks of the main table that are a part of this one, but for those of the machine's own addresses."""
    family, packed, length = _parsed(network)
    own = {_INDEX.pack(_index(link)) for link in ("lo", OLD_LINK)}
    there = []
    for answer in socket.dump(_GETROUTE, _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, 0, 0, _TYPE_UNICAST, 0)):
        known = dict(attributes(answer, _ROUTE.size))
        address = known.get(_RTA_DST)
        if answer[0] != family or not address or answer[1] < length or known.get(_RTA_OIF) in own:
            continue
        if _first_bits(address, length) == packed:
            there.append(_text(address, answer[1]))
    return there


def _first_bits(address: bytes, length: int) -> bytes:
    mask = (1 << 8 * len(address)) - (1 << 8 * len(address) - length)
    return (int.from_bytes(address, "big") & mask).to_bytes(len(address), "big")


def _text(address: bytes, length: int) -> str:
    slash = f"/{length}" if length < 8 * len(address) else ""
    return f"{inet_ntop(AF_INET6 if len(address) == 16 else AF_INET, address)}{slash}"


def _parsed(network: str) -> tuple[int, bytes, int]:
    """Family, address and length of the prefix."""
    address, _, bits = network.partition("/")
    family = AF_INET6 if ":" in network else AF_INET
    packed = inet_pton(family, address)
    return family, packed, int(bits) if bits else 8 * len(packed)


def _route(network: str, link: int = 0) -> bytes:
    """The body of a request about a route. `link` 0 stands for any link, for removal."""
    family, packed, length = _parsed(network)
    head = _ROUTE.pack(family, length, 0, 0, _TABLE_LOCAL, PROTOCOL, _SCOPE_HOST, _TYPE_LOCAL, 0)
    body = head + attribute(_RTA_DST, packed)
    if not link:
        return body
    source = attribute(_RTA_PREFSRC, _SOURCE6) if family == AF_INET6 else b""
    return body + attribute(_RTA_OIF, _INDEX.pack(link)) + source


def _address(address: str, link: int) -> bytes:
    packed = inet_pton(AF_INET6, address)
    head = _ADDRESS.pack(AF_INET6, 8 * len(packed), 0, 0, link)
    own = attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    # no duplicate address detection: no other machine has it
    flags = attribute(_IFA_FLAGS, _INDEX.pack(_NODAD | _NOPREFIXROUTE))
    return head + own + flags + attribute(_IFA_PROTO, _OURS)


def _index(link: str) -> int:
    """0 when there is no such link."""
    with suppress(OSError):
        return if_nametoindex(link)
    return 0


def _wrong(error_number: int, fine: tuple[int, ...] = ()) -> str:
    return "" if error_number == 0 or error_number in fine else os.strerror(error_number)
