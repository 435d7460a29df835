"""What the programs share: the context, the stack, the maps, and checks that several of them make.

Registers while a program runs: R6 the context, R7 the home of the caller (0 for none), R8 the caller's uid, R9 an IPv4
address. Offsets are those of `struct bpf_sock_addr` and `struct bpf_sock` in linux/bpf.h.
"""

from enum import IntEnum, IntFlag
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from paas_isolate.linux.bpf.assemble import Alu, Assembly, Jump, Reg, Size, word
from paas_isolate.model.network import Pools
from paas_isolate.model.network import network as network_of

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = Reg

ANY4 = word(bytes(4))
LOOPBACK4 = word(inet_pton(AF_INET, "127.0.0.1"))
MAPPED = word(b"\0\0\xff\xff")
LOOPBACK6 = tuple(word(inet_pton(AF_INET6, "::1")[i : i + 4]) for i in range(0, 16, 4))
REFUSE, PASS, PASS_LOW = 0, 1, 3
"""PASS_LOW lets bind take a port below 1024 too (BPF_RET_BIND_NO_CAP_NET_BIND_SERVICE, kernel 5.12)."""


class Helper(IntEnum):
    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    UID_GID = 15
    BIND = 64
    ANCESTOR_CGROUP = 83
    FIND_TCP = 84
    FIND_UDP = 85
    RELEASE = 86
    SOCKET_STORAGE = 107
    NETNS_COOKIE = 122
    AS_TCP6 = 136
    AS_UDP6 = 140


class Context(IntEnum):
    ADDRESS4 = 4
    ADDRESS6 = 8
    LAST6 = 20
    PORT = 24
    PROTOCOL = 36
    SOURCE4 = 40
    SOURCE6 = 44
    SOCKET = 64


class Socket(IntEnum):
    SOURCE4 = 24
    SOURCE6 = 28
    PORT_THERE = 48
    THERE4 = 52
    THERE6 = 56


class Home(IntEnum):
    """Offsets in a value of the map of homes: the IPv4 address, flags, the IPv6 address. A front end that is no
    customer has zeros for addresses."""

    V4 = 0
    FLAGS = 4
    V6 = 8


class Flag(IntFlag):
    SHARED = 1
    FRONTEND = 2


class Name(IntEnum):
    """Offsets in a socket's storage, which notes what was asked for: flags, and addresses of 16 bytes. WORDS is its
    size in words of 4 bytes."""

    FLAGS = 0
    ASKED = 4
    PEER_ASKED = 20
    PEER = 36
    WORDS = 13


class Asked(IntFlag):
    """Which of the addresses in a socket's storage are set."""

    BIND = 1
    CONNECT = 2


KEY, TUPLE, SCRATCH = -24, -64, -96
"""Offsets on the stack: uid and address of a grant (20 bytes), a bpf_sock_tuple (36), a socket address (28)."""


class Maps(NamedTuple):
    """The descriptors of the maps."""

    homes: int
    peers: int
    names: int
    traffic: int


class Terms(NamedTuple):
    """The parameters of the programs. `netns` is the cookie of the network namespace that they are for, `level` the
    depth of the accounts' cgroups below the hierarchy's root."""

    maps: Maps
    pools: Pools
    netns: int
    level: int


class Program(Assembly):
    """Methods add code. R1 to R5 and R0 are overwritten by it, except where a docstring says otherwise."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.terms = terms

    def begin(self) -> None:
        """Set R6 to R8. root passes. A process in another network namespace passes, too: our addresses are not there,
        so rootless containers work as usual, and reach nobody here."""
        self.move(R6, R1)
        self.call(Helper.UID_GID)
        self.narrow(R0)
        self.move(R8, R0)
        self.when(Jump.EQUAL, R8, 0, "pass")
        self.move(R1, R6)
        self.call(Helper.NETNS_COOKIE)
        self.constant(R1, self.terms.netns)
        self.when(Jump.DIFFERENT, R0, R1, "pass", wide=True)
        self.store(FP, KEY, R8)
        self.look_up(self.terms.maps.homes)
        self.move(R7, R0)

    def end(self) -> bytes:
        """Add the labels `pass` and `refuse`; the code."""
        self.label("pass")
        self.leave(PASS)
        self.label("refuse")
        self.leave(REFUSE)
        return self.code()

    def look_up(self, table: int, place: int = KEY) -> None:
        """R0: the address of the value for the key at `place` of the stack, 0 for none."""
        self.table(R1, table)
        self.point(R2, place)
        self.call(Helper.MAP_LOOKUP)

    def point(self, to: Reg, place: int) -> None:
        """Set a register to the address of `place` on the stack."""
        self.move(to, FP)
        self.sum(Alu.ADD, to, place)

    def homeless(self, label: str) -> None:
        """Jump where the caller has no address, so is no customer. Otherwise R1 is their IPv4 address."""
        self.when(Jump.EQUAL, R7, 0, label, wide=True)
        self.load(R1, R7, Home.V4)
        self.when(Jump.EQUAL, R1, 0, label)

    def flagged(self, flag: Flag, label: str) -> None:
        """Jump where the caller's home has this flag."""
        self.load(R1, R7, Home.FLAGS)
        self.when(Jump.ANY_BIT, R1, flag, label)

    def in_pool4(self, address: Reg, label: str) -> None:
        """Jump where an IPv4 address is of the pool."""
        network, mask = network_of(self.terms.pools.v4)
        self.move(R1, address)
        self.sum(Alu.AND, R1, word(mask), narrow=True)
        self.when(Jump.EQUAL, R1, word(network), label)

    def in_pool6(self, offset: int, label: str) -> None:
        """Jump where the IPv6 address at an offset of the context is of the pool."""
        network, mask = network_of(self.terms.pools.v6)
        self.move(R2, 0)
        for i in range(0, 16, 4):
            self.load(R1, R6, offset + i)
            self.sum(Alu.AND, R1, word(mask[i : i + 4]), narrow=True)
            self.sum(Alu.XOR, R1, word(network[i : i + 4]), narrow=True)
            self.sum(Alu.OR, R2, R1)
        self.when(Jump.EQUAL, R2, 0, label)

    def loopback4(self, address: Reg, label: str) -> None:
        """Jump where an IPv4 address is of 127.0.0.0/8."""
        self.move(R1, address)
        self.sum(Alu.AND, R1, word(b"\xff\0\0\0"), narrow=True)
        self.when(Jump.EQUAL, R1, word(b"\x7f\0\0\0"), label)

    def sort6(self, *, mapped: str, wildcard: str, localhost: str) -> None:
        """Jump by the kind of the IPv6 address in the context; any other goes on behind this code. For a mapped one R9
        is the IPv4 address."""
        self.load(R1, R6, Context.ADDRESS6)
        self.load(R2, R6, Context.ADDRESS6 + 4)
        self.sum(Alu.OR, R1, R2)
        self.when(Jump.DIFFERENT, R1, 0, "native")
        self.load(R2, R6, Context.ADDRESS6 + 8)
        self.load(R9, R6, Context.LAST6)
        self.when(Jump.EQUAL, R2, MAPPED, mapped)
        self.when(Jump.DIFFERENT, R2, 0, "native")
        self.when(Jump.EQUAL, R9, 0, wildcard)
        self.when(Jump.EQUAL, R9, LOOPBACK6[3], localhost)
        self.label("native")

    def same6(self, left: Reg, at: int, right: Reg, there: int, into: Reg) -> None:
        """Set `into` to 0 where two IPv6 addresses are equal. R1, R2 and R3 are overwritten."""
        self.move(R3, 0)
        for i in range(0, 16, 4):
            self.load(R1, left, at + i)
            self.load(R2, right, there + i)
            self.sum(Alu.XOR, R1, R2)
            self.sum(Alu.OR, R3, R1)
        self.move(into, R3)

    def copy6(self, to: Reg, at: int, source: Reg, there: int) -> None:
        """Copy 16 bytes. R1 is overwritten."""
        for i in range(0, 16, 4):
            self.load(R1, source, there + i)
            self.store(to, at + i, R1)

    def write6(self, to: Reg, at: int, words: tuple[int, ...], last: Reg | None = None) -> None:
        """Write constants to memory or to the context, by way of R1: the context can be written from registers only.
        With `last` that register is the last word."""
        for i, constant in enumerate(words):
            self.move(R1, constant)
            self.store(to, at + 4 * i, R1)
        if last is not None:
            self.store(to, at + 12, last)

    def storage(self, none: str, *, create: bool = False) -> None:
        """R0: the address of the socket's storage, which `create` makes where it is missing. Jump to `none` where there
        is none then."""
        self.table(R1, self.terms.maps.names)
        self.load(R2, R6, Context.SOCKET, Size.DOUBLE)
        self.move(R3, 0)
        self.move(R4, int(create))
        self.call(Helper.SOCKET_STORAGE)
        self.when(Jump.EQUAL, R0, 0, none, wide=True)

    def note(self, asked: Asked) -> None:
        """Set a flag in the storage in R0."""
        self.load(R1, R0, Name.FLAGS)
        self.sum(Alu.OR, R1, asked)
        self.store(R0, Name.FLAGS, R1)
