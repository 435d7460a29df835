"""Reads what the gate has counted."""

import struct
from typing import NamedTuple

from paas_isolate.linux.bpf import call
from paas_isolate.linux.bpf.gate.hooks import FLUSH
from paas_isolate.linux.bpf.gate.pins import Pins
from paas_isolate.linux.bpf.table import BpfMap

ID = struct.Struct("=Q")
"""A key of the map: the id of an account's cgroup, which is its inode."""
_TRAFFIC = struct.Struct("=4Q")


class Traffic(NamedTuple):
    """Bytes and segments of an account's TCP connections since its cgroup was made. Bytes are payload: without headers,
    and without what was sent again."""

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int


NONE = Traffic(0, 0, 0, 0)
"""The map has no entry for a cgroup that never had a connection."""


class Counted(NamedTuple):
    """Traffic by the inode of the account's cgroup. `map` is the map's id: one with another id has begun at 0."""

    map: int
    traffic: dict[int, Traffic]


def counted(pins: Pins) -> Counted | None:
    """None where there is no gate. It walks all connections of this network namespace. OSError as the kernel gives
    it."""
    with pins.opened(FLUSH) as flush:
        if flush is not None:
            call.iterate(flush)
    with pins.opened("traffic") as descriptor:
        if descriptor is None:
            return None
        entries = BpfMap(descriptor).items()
        return Counted(
            call.id_of(descriptor),
            {ID.unpack(key)[0]: Traffic(*_TRAFFIC.unpack(value)) for key, value in entries.items()},
        )
