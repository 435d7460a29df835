"""Whether the caller has a socket of their own at a port, bound to exactly their own address."""

from paas_isolate.linux.bpf.assemble import Jump, Size
from paas_isolate.linux.bpf.gate.frame import (
    FP,
    LOOPBACK4,
    LOOPBACK6,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    TUPLE,
    Context,
    Helper,
    Home,
    Program,
    Socket,
)

_TCP, _UDP = 6, 17
_HERE = -1


def seek4(program: Program, *, found: str, missed: str) -> None:
    """Add the look-up for IPv4, which jumps to `found` or `missed`. R9 is kept; R8 (the uid) is overwritten."""
    program.store(FP, TUPLE, LOOPBACK4)
    program.load(R1, R7, Home.V4)
    program.store(FP, TUPLE + 4, R1)
    _seek(program, 12, missed, found)
    program.load(R8, R0, Socket.SOURCE4)
    program.move(R1, R0)
    program.call(Helper.RELEASE)
    program.load(R1, R7, Home.V4)
    program.when(Jump.EQUAL, R1, R8, found)
    program.go(missed)


def seek6(program: Program, *, found: str, missed: str) -> None:
    """Add the look-up for IPv6, which jumps to `found` or `missed`. R8 and R9 are overwritten."""
    for i, constant in enumerate(LOOPBACK6):
        program.store(FP, TUPLE + 4 * i, constant)
    for i in range(0, 16, 4):
        program.load(R1, R7, Home.V6 + i)
        program.store(FP, TUPLE + 16 + i, R1)
    _seek(program, 36, missed, found)
    program.move(R9, R0)
    program.same6(R9, Socket.SOURCE6, R7, Home.V6, R8)
    program.move(R1, R9)
    program.call(Helper.RELEASE)
    program.when(Jump.EQUAL, R8, 0, found)
    program.go(missed)


def _seek(program: Program, size: int, missed: str, found: str) -> None:
    """The ports follow the addresses in struct bpf_sock_tuple, in network order. The remote port is 0, which no
    connection has: only listeners are found. `size` is that of the tuple in bytes."""
    program.store(FP, TUPLE + size - 4, 0, Size.HALF)
    program.load(R1, R6, Context.PORT)
    program.store(FP, TUPLE + size - 2, R1, Size.HALF)
    program.load(R1, R6, Context.PROTOCOL)
    program.when(Jump.EQUAL, R1, _TCP, f"tcp for {found}")
    program.when(Jump.DIFFERENT, R1, _UDP, missed)
    _call(program, Helper.FIND_UDP, size)
    program.go(f"sought for {found}")
    program.label(f"tcp for {found}")
    _call(program, Helper.FIND_TCP, size)
    program.label(f"sought for {found}")
    program.when(Jump.EQUAL, R0, 0, missed, wide=True)


def _call(program: Program, helper: Helper, size: int) -> None:
    program.move(R1, R6)
    program.point(R2, TUPLE)
    program.move(R3, size)
    program.move(R4, _HERE)
    program.move(R5, 0)
    program.call(helper)
