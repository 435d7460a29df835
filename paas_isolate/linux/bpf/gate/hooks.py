"""Which program is attached at which hook. Numbers are those of `enum bpf_attach_type` (linux/bpf.h)."""

from enum import Enum, auto
from typing import NamedTuple


class Place(Enum):
    """What a program is attached to."""

    CGROUP = auto()
    """A cgroup around all processes that are checked."""
    NAMESPACE = auto()
    """The network namespace."""
    NOTHING = auto()
    """It runs when it is read (bpf_iter)."""


class Hook(NamedTuple):
    """`name` is that of the program in gate.bpf.c, and of the pin of its link."""

    name: str
    attach: int
    place: Place = Place.CGROUP


FLUSH = "flush"
"""The program that adds what live connections have carried to the counters."""

HOOKS = (
    Hook("getsockname4", 31),
    Hook("getsockname6", 32),
    Hook("getpeername4", 29),
    Hook("getpeername6", 30),
    Hook("recvmsg4", 19),
    Hook("recvmsg6", 20),
    Hook("bind4", 8),
    Hook("bind6", 9),
    Hook("connect4", 10),
    Hook("connect6", 11),
    Hook("sendmsg4", 14),
    Hook("sendmsg6", 15),
    Hook("create", 2),
    Hook("connection", 3),
    Hook("arrives", 36, Place.NAMESPACE),
    Hook(FLUSH, 28, Place.NOTHING),
)
