"""connect and sendto: to an address of the pool by a grant only; to localhost goes to the own server, if there is one.

The own server is a socket bound to exactly the own address. The kernel's look-up also finds wildcard listeners of the
machine; these do not count, and `user@localhost` of the machine's database means what it always meant. A connection to
the own server comes from 127.0.0.1, so that the server can tell it from a front end, which comes from the own address.
"""

from paas_isolate.linux.bpf.assemble import Jump, Size
from paas_isolate.linux.bpf.gate.frame import (
    FP,
    KEY,
    LOOPBACK4,
    LOOPBACK6,
    MAPPED,
    PASS,
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R9,
    SCRATCH,
    Asked,
    Context,
    Flag,
    Helper,
    Home,
    Name,
    Program,
    Terms,
)
from paas_isolate.linux.bpf.gate.seek import seek4, seek6

_AF_INET, _AF_INET6 = 2, 10


def connect4(terms: Terms) -> bytes:
    program = Program(terms)
    program.begin()
    program.load(R9, R6, Context.ADDRESS4)
    _reach4(program)
    program.label("found4")
    _remember4(program)
    program.store(FP, SCRATCH, _AF_INET, Size.HALF)
    program.store(FP, SCRATCH + 2, 0, Size.HALF)
    program.store(FP, SCRATCH + 4, LOOPBACK4)
    program.store(FP, SCRATCH + 8, 0, Size.DOUBLE)
    _from_here(program, 16)
    program.load(R1, R7, Home.V4)
    program.store(R6, Context.ADDRESS4, R1)
    program.leave(PASS)
    return program.end()


def send4(terms: Terms) -> bytes:
    program = Program(terms)
    program.begin()
    _source4(program)
    program.load(R9, R6, Context.ADDRESS4)
    _reach4(program)
    program.label("found4")
    _remember4(program)
    program.load(R1, R6, Context.SOURCE4)
    program.when(Jump.DIFFERENT, R1, 0, "bound")
    program.move(R1, LOOPBACK4)
    program.store(R6, Context.SOURCE4, R1)
    program.label("bound")
    program.load(R1, R7, Home.V4)
    program.store(R6, Context.ADDRESS4, R1)
    program.leave(PASS)
    return program.end()


def connect6(terms: Terms) -> bytes:
    """A server that asked for `::` is bound to the mapped IPv4 address: a connection to ::1 finds it, too."""
    program = Program(terms)
    program.begin()
    _reach6(program)
    seek6(program, found="found6", missed="mapped?")
    program.label("mapped?")
    program.move(R9, LOOPBACK4)
    seek4(program, found="mapped by ::1", missed="pass")
    program.label("found6")
    _remember6(program)
    _sockaddr6(program, LOOPBACK6)
    _from_here(program, 28)
    program.copy6(R6, Context.ADDRESS6, R7, Home.V6)
    program.leave(PASS)
    program.label("mapped by ::1")
    _remember4(program, LOOPBACK6)
    program.go("to mapped")
    program.label("mapped")
    _reach4(program)
    program.label("found4")
    _remember4(program)
    program.label("to mapped")
    _sockaddr6(program, (0, 0, MAPPED, LOOPBACK4))
    _from_here(program, 28)
    program.load(R2, R7, Home.V4)
    program.write6(R6, Context.ADDRESS6, (0, 0, MAPPED), R2)
    program.leave(PASS)
    return program.end()


def send6(terms: Terms) -> bytes:
    """Mapped addresses do not come here: the kernel calls send4 for them."""
    program = Program(terms)
    program.begin()
    program.in_pool6(Context.SOURCE6, "from pool")
    program.label("not spoofed")
    _reach6(program)
    seek6(program, found="found6", missed="pass")
    program.label("found6")
    _remember6(program)
    program.copy6(R6, Context.ADDRESS6, R7, Home.V6)
    program.leave(PASS)
    program.label("from pool")
    program.homeless("refuse")
    program.same6(R6, Context.SOURCE6, R7, Home.V6, R9)
    program.when(Jump.EQUAL, R9, 0, "not spoofed")
    program.go("refuse")
    program.label("mapped")
    return program.end()


def _source4(program: Program) -> None:
    """With IP_PKTINFO a sender may name any address of the machine as the source: of the pool only the own one
    passes."""
    program.load(R9, R6, Context.SOURCE4)
    program.in_pool4(R9, "from pool")
    program.go("not spoofed")
    program.label("from pool")
    program.homeless("refuse")
    program.when(Jump.DIFFERENT, R1, R9, "refuse")
    program.label("not spoofed")


def _reach4(program: Program) -> None:
    """R9 is the address. 0.0.0.0 is localhost for connect. Every way ends with a jump; the caller adds the label
    `found4`, for an own server."""
    program.in_pool4(R9, "pool4")
    program.homeless("pass")
    program.flagged(Flag.SHARED, "pass")
    program.when(Jump.EQUAL, R9, 0, "any4")
    program.loopback4(R9, "local4")
    program.go("pass")
    program.label("pool4")
    program.when(Jump.EQUAL, R7, 0, "stranger4", wide=True)
    program.load(R1, R7, Home.V4)
    program.when(Jump.EQUAL, R1, R9, "pass")
    program.label("stranger4")
    program.store(FP, KEY + 4, 0)
    program.store(FP, KEY + 8, 0)
    program.store(FP, KEY + 12, MAPPED)
    program.store(FP, KEY + 16, R9)
    _granted(program, "4")
    program.label("any4")
    program.move(R9, LOOPBACK4)
    program.label("local4")
    seek4(program, found="found4", missed="pass")


def _reach6(program: Program) -> None:
    """Goes on behind this code for localhost; jumps for every other address."""
    program.sort6(mapped="mapped", wildcard="local6", localhost="local6")
    program.in_pool6(Context.ADDRESS6, "pool6")
    program.go("pass")
    program.label("pool6")
    program.when(Jump.EQUAL, R7, 0, "stranger6", wide=True)
    program.same6(R6, Context.ADDRESS6, R7, Home.V6, R9)
    program.when(Jump.EQUAL, R9, 0, "pass")
    program.label("stranger6")
    for i in range(0, 16, 4):
        program.load(R1, R6, Context.ADDRESS6 + i)
        program.store(FP, KEY + 4 + i, R1)
    _granted(program, "6")
    program.label("local6")
    program.homeless("pass")
    program.flagged(Flag.SHARED, "pass")


def _granted(program: Program, family: str) -> None:
    """Jumps to `pass` for a front end and for a peer whose grant is the key on the stack, else to `refuse`."""
    program.when(Jump.EQUAL, R7, 0, f"ask{family}", wide=True)
    program.flagged(Flag.FRONTEND, "pass")
    program.label(f"ask{family}")
    program.look_up(program.terms.maps.peers)
    program.when(Jump.EQUAL, R0, 0, "refuse", wide=True)
    program.go("pass")


def _remember4(program: Program, asked: tuple[int, ...] = ()) -> None:
    """Note what was asked for: the IPv6 address `asked`, or the IPv4 address in R9."""
    unnamed = f"unnamed4 {len(asked)}"
    program.storage(unnamed, create=True)
    program.note(Asked.CONNECT)
    program.write6(R0, Name.PEER_ASKED, asked or (0, 0, MAPPED), None if asked else R9)
    program.load(R2, R7, Home.V4)
    program.write6(R0, Name.PEER, (0, 0, MAPPED), R2)
    program.label(unnamed)


def _remember6(program: Program) -> None:
    program.storage("unnamed6", create=True)
    program.note(Asked.CONNECT)
    program.write6(R0, Name.PEER_ASKED, LOOPBACK6)
    program.copy6(R0, Name.PEER, R7, Home.V6)
    program.label("unnamed6")


def _sockaddr6(program: Program, words: tuple[int, ...]) -> None:
    program.store(FP, SCRATCH, _AF_INET6, Size.HALF)
    program.store(FP, SCRATCH + 2, 0, Size.HALF)
    program.store(FP, SCRATCH + 4, 0)
    for i, constant in enumerate(words):
        program.store(FP, SCRATCH + 8 + 4 * i, constant)
    program.store(FP, SCRATCH + 24, 0)


def _from_here(program: Program, size: int) -> None:
    """Bind to the address on the stack. Its error is ignored: a socket that is bound already keeps its source."""
    program.move(R1, R6)
    program.point(R2, SCRATCH)
    program.move(R3, size)
    program.call(Helper.BIND)
