"""HTB qdiscs and classes by rtnetlink(7): those of ours, on the interfaces that lead to other machines.

See linux/pkt_sched.h, linux/rtnetlink.h and net/sched/sch_htb.c. HTB counts the bytes of the link layer.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from socket import AF_INET, AF_INET6, if_indextoname, if_nametoindex

from paas_isolate.linux.network.netlink import CREATE, EXCL, KIND_MASK, Message, attribute, attributes
from paas_isolate.linux.network.netlink_socket import NetlinkSocket
from paas_isolate.model.bandwidth import MAJOR, REST, ClassKey, Interface
from paas_isolate.model.network import OLD_LINK

_GETROUTE = 26
_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWTCLASS, _DELTCLASS, _GETTCLASS = 40, 41, 42
_TC = struct.Struct("=BxxxiIII")  # struct tcmsg: family, interface, handle, parent, info
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: family, two lengths, tos, table, protocol, scope, type, flags
_HOP = struct.Struct("=HBBi")  # struct rtnexthop: length, flags, hops, interface
_GLOBAL = struct.Struct("=5I")  # struct tc_htb_glob: version, rate2quantum, default class, debug, direct packets
_PARAMETERS = struct.Struct("=" + 2 * "BBHhHI" + "5I")
"""struct tc_htb_opt: two of struct tc_ratespec (cell_log, linklayer, overhead, cell_align, mpu, rate), for rate and
ceil; buffer, cbuffer, quantum, level, prio."""
_INDEX = struct.Struct("=i")
_KIND, _OPTIONS = 1, 2  # TCA_…
_PARMS, _INIT, _RATE64, _CEIL64 = 1, 2, 6, 7  # TCA_HTB_…
_RTA_DST, _RTA_OIF, _RTA_MULTIPATH = 1, 4, 9
_TABLE_MAIN, _UNICAST = 254, 1
_ROOT = 0xFFFFFFFF
_OURS = MAJOR << 16
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: else the kernel wants a table of rates
_FAIR = attribute(_KIND, b"fq_codel\0")
_LINK_LOCAL = (0xFE, 0x80)
_TICK = 64
"""Nanoseconds in which the kernel has buffers (PSCHED_SHIFT, net/pkt_sched.h)."""
_QUANTUM, _QUANTUM_OF_REST = 15_000, 200_000
"""Bytes that a class sends in its turn when several may send. Derived from the rate, they would be too many or too few,
of which the kernel warns: it allows 1,000 to 200,000."""
_MORE_THAN_32_BITS = (1 << 32) - 1
_THERE, _GONE = (errno.EEXIST,), (errno.ENOENT, errno.EINVAL, errno.ENODEV)


class HtbClasses:
    """Our qdiscs and classes in this network namespace."""

    def interfaces(self) -> dict[str, Interface]:
        """Those that a route of the main table leads to, but for loopback and our own link; and those with a root qdisc
        of ours. OSError where netlink refuses."""
        with NetlinkSocket() as socket:
            routed = _routed(socket)
            roots = dict(_roots(socket))
        found = {}
        for index in sorted(routed | {index for index, (handle, kind) in roots.items() if _is_ours(handle, kind)}):
            handle, kind = roots.get(index, (0, ""))
            ours = _is_ours(handle, kind)
            # the kernel's own defaults have no handle; of these, mq has a queue for each ring of the network card
            foreign = "" if ours or (handle == 0 and kind != "mq") else kind
            with suppress(OSError):  # it is gone already
                found[if_indextoname(index)] = Interface(ours, index in routed, foreign)
        return {name: each for name, each in found.items() if name not in ("lo", OLD_LINK)}

    def classes(self, interfaces: Iterable[str]) -> dict[ClassKey, int]:
        """The rates of our classes on these interfaces, in bytes a second; 0 for one that is not as we make it."""
        found: dict[ClassKey, int] = {}
        with NetlinkSocket() as socket:
            for name in interfaces:
                index = _index(name)
                for answer in socket.dump(_GETTCLASS, _TC.pack(0, index, 0, 0, 0)) if index else ():
                    handle, known = _TC.unpack_from(answer)[2], _attributes(answer, _TC.size)
                    if handle >> 16 == MAJOR and known.get(_KIND) == b"htb\0":
                        found[ClassKey(name, handle & 0xFFFF)] = _rate(handle & 0xFFFF, known.get(_OPTIONS, b""))
        return found

    def add_roots(self, interfaces: Iterable[str]) -> list[str]:
        """Of each interface, in order, what went wrong with it, '' where it has our root qdisc now."""
        options = attribute(_OPTIONS, attribute(_INIT, _GLOBAL.pack(3, 10, REST, 0, 0)))
        body = attribute(_KIND, b"htb\0") + options
        # EXCL: never in place of a root qdisc that somebody has set meanwhile
        return _ask([(name, _NEWQDISC, CREATE | EXCL, _OURS, _ROOT, body) for name in interfaces], _root_error)

    def remove_roots(self, interfaces: Iterable[str]) -> list[str]:
        return _ask([(name, _DELQDISC, 0, _OURS, _ROOT, b"") for name in interfaces], _removal_error)

    def set_classes(self, classes: Mapping[ClassKey, int]) -> list[str]:
        """Make or change classes of these rates, in bytes a second. In that of all others, flows have fair shares where
        the kernel has fq_codel, which is its own default in most distributions."""
        ends = _ask(
            [
                (key.interface, _NEWTCLASS, CREATE, _OURS | key.number, _OURS, _class(key.number, rate))
                for key, rate in classes.items()
            ],
            _error,
        )
        rests = [key.interface for key in classes if key.number == REST]
        _ask([(name, _NEWQDISC, CREATE | EXCL, 0, _OURS | REST, _FAIR) for name in rests], _error)
        return ends

    def remove_classes(self, classes: Iterable[ClassKey]) -> list[str]:
        return _ask([(key.interface, _DELTCLASS, 0, _OURS | key.number, 0, b"") for key in classes], _removal_error)


_Request = tuple[str, int, int, int, int, bytes]
"""Interface, message, flags, handle, parent, attributes."""


def _ask(requests: Iterable[_Request], explain: Callable[[int], str]) -> list[str]:
    indexes: dict[str, int] = {}
    messages = []
    for name, kind, flags, handle, parent, body in requests:
        index = indexes[name] if name in indexes else indexes.setdefault(name, _index(name))
        messages.append(Message(kind, flags, _TC.pack(0, index or -1, handle, parent, 0) + body))
    with NetlinkSocket() as socket:
        return [explain(end) for end in socket.ask(messages)]


def _error(number: int) -> str:
    return os.strerror(number) if number else ""


def _root_error(number: int) -> str:
    if number == errno.ENOENT:
        return "this kernel has no HTB (sch_htb)"
    return "it has got another root qdisc meanwhile" if number in _THERE else _error(number)


def _removal_error(number: int) -> str:
    return "" if number in _GONE else _error(number)


def _class(number: int, rate: int) -> bytes:
    """The attributes of a class."""
    plain = (0, _ETHERNET, 0, 0, 0, min(rate, _MORE_THAN_32_BITS))
    ticks = _buffer(rate)
    parameters = _PARAMETERS.pack(*plain, *plain, ticks, ticks, _quantum(number), 0, 0)
    exact = struct.pack("=Q", rate)
    options = attribute(_PARMS, parameters) + attribute(_RATE64, exact) + attribute(_CEIL64, exact)
    return attribute(_KIND, b"htb\0") + attribute(_OPTIONS, options)


def _buffer(rate: int) -> int:
    """The time, in ticks, that a class may send at once after a pause: 2 ms and a packet. With less, a late timer would
    cost throughput; with more, the network behind would see the burst."""
    return (2_000_000 + 1600 * 1_000_000_000 // rate) // _TICK


def _quantum(number: int) -> int:
    return _QUANTUM_OF_REST if number == REST else _QUANTUM


def _rate(number: int, options: bytes) -> int:
    """Of TCA_OPTIONS; 0 for a class that we would make otherwise."""
    known = _attributes(options, 0)
    values = _PARAMETERS.unpack_from(known[_PARMS])
    rate, ceil, buffer, cbuffer, quantum, _, prio = (values[5], *values[11:])
    rate = int.from_bytes(known[_RATE64], "little") if _RATE64 in known else rate
    ceil = int.from_bytes(known[_CEIL64], "little") if _CEIL64 in known else ceil
    if not rate:
        return 0
    expected = (rate, _buffer(rate), _buffer(rate), _quantum(number), 0)
    return rate if (ceil, buffer, cbuffer, quantum, prio) == expected else 0


def _is_ours(handle: int, kind: str) -> bool:
    return handle == _OURS and kind == "htb"


def _roots(socket: NetlinkSocket) -> Iterator[tuple[int, tuple[int, str]]]:
    """Handle and kind of the root qdisc, by interface."""
    for answer in socket.dump(_GETQDISC, _TC.pack(0, 0, 0, 0, 0)):
        _, index, handle, parent, _ = _TC.unpack_from(answer)
        if parent == _ROOT:
            kind = _attributes(answer, _TC.size).get(_KIND, b"").rstrip(b"\0").decode()
            yield index, (handle, kind)


def _routed(socket: NetlinkSocket) -> set[int]:
    """The interfaces of the unicast routes of the main table. Every interface that is up has a route for the link-local
    addresses of IPv6: those do not count."""
    found: set[int] = set()
    for family in (AF_INET, AF_INET6):
        for answer in _routes(socket, family):
            known = _attributes(answer, _ROUTE.size)
            if family == AF_INET6 and tuple(known.get(_RTA_DST, b"")[:2]) == _LINK_LOCAL:
                continue
            if _RTA_OIF in known:
                found.add(*_INDEX.unpack(known[_RTA_OIF]))
            found.update(_hops(known.get(_RTA_MULTIPATH, b"")))
    return found


def _routes(socket: NetlinkSocket, family: int) -> Iterator[bytes]:
    try:
        yield from socket.dump(_GETROUTE, _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, 0, 0, _UNICAST, 0))
    except OSError as error:  # a kernel without IPv6 (ipv6.disable=1)
        if error.errno not in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
            raise


def _hops(data: bytes) -> Iterator[int]:
    """The interfaces of a route by several of them."""
    at = 0
    while at + _HOP.size <= len(data):
        length, _, _, index = _HOP.unpack_from(data, at)
        yield index
        at += length + -length % 4 if length > _HOP.size else _HOP.size


def _attributes(data: bytes, at: int) -> dict[int, bytes]:
    return {kind & KIND_MASK: value for kind, value in attributes(data, at)}


def _index(name: str) -> int:
    """0 when there is no such interface."""
    with suppress(OSError):
        return if_nametoindex(name)
    return 0
