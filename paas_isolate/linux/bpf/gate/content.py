"""The entries of the gate's maps as bytes, and the Gate that they stand for. The map of homes also notes front ends."""

import struct
from collections.abc import Iterator, Mapping
from enum import IntFlag
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from paas_isolate.model.network import SUBORDINATE_RANGES as RANGES
from paas_isolate.model.network import Gate, Grant, Subordinates, UidAddresses, UidRange

_HOME = struct.Struct("=4sI16s")
_UID = struct.Struct("=I")
_ACCOUNT = struct.Struct(f"={1 + 2 * RANGES}I")
"""struct account of gate.bpf.c."""
_MAPPED = bytes(10) + b"\xff\xff"
_NOWHERE = (bytes(4), bytes(16))
_YES = b"\1"

Entries = Mapping[bytes, bytes]


class Flag(IntFlag):
    """enum home_flag of gate.bpf.c."""

    SHARED = 1
    FRONTEND = 2


def homes(gate: Gate) -> dict[bytes, bytes]:
    """The entries of the map of homes."""
    entries = {_UID.pack(uid): _home(home, uid in gate.frontends) for uid, home in gate.homes.items()}
    for uid in gate.frontends - gate.homes.keys():
        entries[_UID.pack(uid)] = _HOME.pack(_NOWHERE[0], Flag.FRONTEND, _NOWHERE[1])
    return entries


def peers(gate: Gate) -> dict[bytes, bytes]:
    """The entries of the map of peers."""
    return {_UID.pack(uid) + packed(address): _YES for uid, address in gate.peers}


def account(subordinates: Subordinates) -> bytes:
    """The value of the map of accounts."""
    first, last = zip(*(*subordinates.ranges, *((0, 0),) * RANGES)[:RANGES], strict=True)
    return _ACCOUNT.pack(subordinates.uid, *first, *last)


def subordinates_of(value: bytes) -> Subordinates:
    """What `account` made this value of."""
    uid, *numbers = _ACCOUNT.unpack(value)
    ranges = zip(numbers[:RANGES], numbers[RANGES:], strict=True)
    return Subordinates(uid, tuple(UidRange(first, last) for first, last in ranges if last))


def differing(wanted: Gate, found: Gate) -> tuple[Gate, Gate]:
    """Both gates without the homes that are equal in them. Of 20,000 homes mostly one differs, and packing all of them
    takes 27 ms."""
    changed = wanted.frontends ^ found.frontends

    def other(gate: Gate, than: Gate) -> Gate:
        than_homes = than.homes
        homes = {uid: home for uid, home in gate.homes.items() if than_homes.get(uid) != home or uid in changed}
        return gate._replace(homes=homes, frontends=gate.frontends & (changed | homes.keys()))

    return other(wanted, found), other(found, wanted)


def gate_of(homes: Entries, peers: Entries, accounts: Mapping[str, bytes], translates: bool) -> Gate:
    """The Gate of which `homes` and `peers` make these entries, and `account` these values, by account directory."""
    found, frontends = dict[int, UidAddresses](), set[int]()
    for key, value in homes.items():
        (uid,), (v4, flags, v6) = _UID.unpack(key), _HOME.unpack(value)
        if flags & Flag.FRONTEND:
            frontends.add(uid)
        if (v4, v6) != _NOWHERE:
            found[uid] = UidAddresses(inet_ntop(AF_INET, v4), inet_ntop(AF_INET6, v6), bool(flags & Flag.SHARED))
    subordinates = {directory: subordinates_of(value) for directory, value in accounts.items()}
    return Gate(found, frozenset(_grants(peers)), frozenset(frontends), subordinates, translates)


def packed(address: str) -> bytes:
    """16 bytes; an IPv4 address as the IPv6 address that maps it (::ffff:0:0/96)."""
    return inet_pton(AF_INET6, address) if ":" in address else _MAPPED + inet_pton(AF_INET, address)


def _home(home: UidAddresses, frontend: bool) -> bytes:
    flags = (Flag.SHARED if home.shared else 0) | (Flag.FRONTEND if frontend else 0)
    return _HOME.pack(inet_pton(AF_INET, home.v4), flags, inet_pton(AF_INET6, home.v6))


def _grants(entries: Entries) -> Iterator[Grant]:
    for key in entries:
        (uid,), there = _UID.unpack(key[:4]), key[4:]
        mapped = there.startswith(_MAPPED)
        yield Grant(uid, inet_ntop(AF_INET, there[12:]) if mapped else inet_ntop(AF_INET6, there))
