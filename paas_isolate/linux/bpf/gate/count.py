"""Counts bytes and packets of each account's cgroup as the IP layer sees them: with IP headers, without the link layer.

A packet that the stack splits later (GSO) counts as one packet, with the bytes that it carried then.
"""

from paas_isolate.linux.bpf.assemble import Jump, Size
from paas_isolate.linux.bpf.gate.frame import FP, PASS, R0, R1, R2, R3, R4, R6, R7, Helper, Program, Terms

_ID, _FRESH = -8, -40
_NOT_THERE_YET = 1


def ingress(terms: Terms) -> bytes:
    return _count(terms, 0)


def egress(terms: Terms) -> bytes:
    return _count(terms, 16)


def _count(terms: Terms, place: int) -> bytes:
    """`place` is where the two counters lie in a value: bytes in, packets in, bytes out, packets out."""
    program = Program(terms)
    program.move(R6, R1)
    program.load(R7, R6, 0)
    program.move(R2, terms.level)
    program.call(Helper.ANCESTOR_CGROUP)
    program.when(Jump.EQUAL, R0, 0, "pass", wide=True)
    program.store(FP, _ID, R0, Size.DOUBLE)
    program.look_up(terms.maps.traffic, _ID)
    program.when(Jump.DIFFERENT, R0, 0, "known", wide=True)
    _enter(program)
    program.look_up(terms.maps.traffic, _ID)
    program.when(Jump.EQUAL, R0, 0, "pass", wide=True)
    program.label("known")
    program.add_atomically(R0, place, R7)
    program.move(R1, 1)
    program.add_atomically(R0, place + 8, R1)
    program.label("pass")
    program.leave(PASS)
    return program.code()


def _enter(program: Program) -> None:
    for i in range(0, 32, 8):
        program.store(FP, _FRESH + i, 0, Size.DOUBLE)
    program.table(R1, program.terms.maps.traffic)
    program.point(R2, _ID)
    program.point(R3, _FRESH)
    program.move(R4, _NOT_THERE_YET)
    program.call(Helper.MAP_UPDATE)
