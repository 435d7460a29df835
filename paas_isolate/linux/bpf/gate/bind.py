"""bind: a customer binds to their own addresses only; localhost and the wildcard become those.

The wildcard with port 0 is left as it is: clients bind so, and their packets must carry the machine's address. With a
port it becomes the own address, for UDP as for TCP: two customers can both bind 0.0.0.0:5353. Packets that such a
socket sends to other machines have a source address of the pool, which the ruleset masquerades.
"""

import sys

from paas_isolate.linux.bpf.assemble import Alu, Jump, Size
from paas_isolate.linux.bpf.gate.frame import (
    LOOPBACK6,
    MAPPED,
    PASS,
    PASS_LOW,
    R0,
    R1,
    R2,
    R6,
    R7,
    R9,
    Asked,
    Context,
    Flag,
    Helper,
    Home,
    Name,
    Program,
    Terms,
)

_OPTIONS, _ONLY6 = 19, 1 << 5 if sys.byteorder == "little" else 1 << 2


def bind4(terms: Terms) -> bytes:
    program = Program(terms)
    program.begin()
    program.load(R9, R6, Context.ADDRESS4)
    _claim4(program, Context.ADDRESS4)
    _plain(program)
    return program.end()


def bind6(terms: Terms) -> bytes:
    program = Program(terms)
    program.begin()
    program.sort6(mapped="mapped", wildcard="wildcard6", localhost="localhost6")
    program.in_pool6(Context.ADDRESS6, "pool6")
    program.homeless("pass")
    program.go("refuse")
    _own6(program)
    _wildcard6(program)
    program.label("mapped")
    _claim4(program, Context.LAST6)
    _plain(program)
    return program.end()


def _claim4(program: Program, place: int) -> None:
    """R9 is the address, which lies at `place` of the context."""
    program.in_pool4(R9, "pool")
    program.homeless("pass")
    program.when(Jump.EQUAL, R9, 0, "wildcard")
    program.loopback4(R9, "localhost")
    program.go("refuse")
    program.label("wildcard")
    program.load(R1, R6, Context.PORT)
    program.when(Jump.EQUAL, R1, 0, "plain")
    program.go("own")
    program.label("localhost")
    program.flagged(Flag.SHARED, "plain")
    program.label("own")
    program.storage("unnamed", create=True)
    program.note(Asked.BIND)
    program.write6(R0, Name.ASKED, (0, 0, MAPPED), R9)
    program.label("unnamed")
    program.load(R1, R7, Home.V4)
    program.store(R6, place, R1)
    program.leave(PASS_LOW)
    _pool4(program)


def _pool4(program: Program) -> None:
    program.label("pool")
    program.homeless("refuse")
    program.when(Jump.DIFFERENT, R1, R9, "refuse")
    program.label("owned")
    _forget(program, "kept")
    program.label("kept")
    program.leave(PASS_LOW)


def _own6(program: Program) -> None:
    program.label("pool6")
    program.homeless("refuse")
    program.same6(R6, Context.ADDRESS6, R7, Home.V6, R9)
    program.when(Jump.DIFFERENT, R9, 0, "refuse")
    program.go("owned")
    program.label("localhost6")
    program.homeless("pass")
    program.flagged(Flag.SHARED, "plain")
    program.storage("own6", create=True)
    program.note(Asked.BIND)
    program.write6(R0, Name.ASKED, LOOPBACK6)
    program.label("own6")
    program.copy6(R6, Context.ADDRESS6, R7, Home.V6)
    program.leave(PASS_LOW)


def _wildcard6(program: Program) -> None:
    """A server on `::` serves IPv4 clients too, so `::` becomes the mapped IPv4 address; where the socket is
    IPV6_V6ONLY, it becomes the own IPv6 address."""
    program.label("wildcard6")
    program.homeless("pass")
    program.load(R1, R6, Context.PORT)
    program.when(Jump.EQUAL, R1, 0, "plain")
    program.storage("unnamed6", create=True)
    program.note(Asked.BIND)
    program.write6(R0, Name.ASKED, (0, 0, 0, 0))
    program.label("unnamed6")
    _only6(program, "own6")
    program.load(R2, R7, Home.V4)
    program.write6(R6, Context.ADDRESS6, (0, 0, MAPPED), R2)
    program.leave(PASS_LOW)


def _only6(program: Program, label: str) -> None:
    """Jump where the socket is IPV6_V6ONLY. No helper tells that, so it is read from struct sock_common, which has had
    it in the byte behind family and state since 4.4 (include/net/sock.h, skc_ipv6only)."""
    program.load(R9, R6, Context.SOCKET, Size.DOUBLE)
    for helper in (Helper.AS_TCP6, Helper.AS_UDP6):
        program.move(R1, R9)
        program.call(helper)
        other = f"not by {helper.name}"
        program.when(Jump.EQUAL, R0, 0, other, wide=True)
        program.load(R1, R0, _OPTIONS, Size.BYTE)
        program.when(Jump.ANY_BIT, R1, _ONLY6, label)
        program.label(other)


def _plain(program: Program) -> None:
    """The address is bound as it was asked for: nothing is noted, and a note of an earlier attempt is removed."""
    program.label("plain")
    _forget(program, "pass")
    program.leave(PASS)


def _forget(program: Program, none: str) -> None:
    program.storage(none)
    program.load(R1, R0, Name.FLAGS)
    program.sum(Alu.AND, R1, ~Asked.BIND.value)
    program.store(R0, Name.FLAGS, R1)
