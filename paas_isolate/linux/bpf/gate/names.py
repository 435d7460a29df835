"""getsockname, getpeername and recvfrom return the address that the customer asked for, from the socket's storage.

An accepted socket inherits the storage of its listener. Where the listener asked for the wildcard, the peer's address
tells by which address it came: a peer at 127.0.0.1 came by localhost.
"""

from paas_isolate.linux.bpf.assemble import Alu, Jump, Size
from paas_isolate.linux.bpf.gate.frame import (
    LOOPBACK4,
    LOOPBACK6,
    MAPPED,
    R0,
    R1,
    R2,
    R6,
    R7,
    R8,
    R9,
    Asked,
    Context,
    Name,
    Program,
    Socket,
    Terms,
)


def peer4(terms: Terms) -> bytes:
    """The code for getpeername and recvfrom."""
    program = _begin(terms, Asked.CONNECT)
    program.load(R1, R6, Context.ADDRESS4)
    program.load(R2, R7, Name.PEER + 12)
    program.when(Jump.DIFFERENT, R1, R2, "pass")
    program.load(R1, R7, Name.PEER_ASKED + 12)
    program.store(R6, Context.ADDRESS4, R1)
    return _end(program)


def peer6(terms: Terms) -> bytes:
    program = _begin(terms, Asked.CONNECT)
    program.same6(R6, Context.ADDRESS6, R7, Name.PEER, R9)
    program.when(Jump.DIFFERENT, R9, 0, "pass")
    program.copy6(R6, Context.ADDRESS6, R7, Name.PEER_ASKED)
    return _end(program)


def own4(terms: Terms) -> bytes:
    program = _begin(terms, Asked.BIND)
    program.load(R9, R7, Name.ASKED + 12)
    program.when(Jump.DIFFERENT, R9, 0, "tell")
    _unconnected(program, "tell")
    program.load(R1, R8, Socket.THERE4)
    program.loopback4(R1, "local")
    program.go("pass")
    program.label("local")
    program.move(R9, LOOPBACK4)
    program.label("tell")
    program.store(R6, Context.ADDRESS4, R9)
    return _end(program)


def own6(terms: Terms) -> bytes:
    program = _begin(terms, Asked.BIND, otherwise="connected")
    program.load(R1, R7, Name.ASKED + 12)
    program.when(Jump.DIFFERENT, R1, 0, "tell")
    _unconnected(program, "tell")
    program.load(R2, R6, Context.ADDRESS6 + 8)
    program.when(Jump.DIFFERENT, R2, MAPPED, "native")
    program.load(R1, R8, Socket.THERE4)
    program.loopback4(R1, "local4")
    program.go("pass")
    program.label("local4")
    program.move(R1, LOOPBACK4)
    program.store(R6, Context.LAST6, R1)
    program.go("pass")
    program.label("native")
    for i, constant in enumerate(LOOPBACK6):
        program.load(R1, R8, Socket.THERE6 + 4 * i)
        program.when(Jump.DIFFERENT, R1, constant, "pass")
    program.write6(R6, Context.ADDRESS6, LOOPBACK6)
    program.go("pass")
    program.label("tell")
    program.copy6(R6, Context.ADDRESS6, R7, Name.ASKED)
    program.go("pass")
    _from_mapped(program)
    return _end(program)


def _from_mapped(program: Program) -> None:
    """A socket that connected to ::1 and got the mapped address has ::1 as its own address."""
    program.label("connected")
    program.when(Jump.EQUAL, R9, 0, "pass")
    program.load(R1, R7, Name.PEER_ASKED + 8)
    program.when(Jump.DIFFERENT, R1, 0, "pass")
    program.load(R1, R6, Context.ADDRESS6 + 8)
    program.when(Jump.DIFFERENT, R1, MAPPED, "pass")
    program.write6(R6, Context.ADDRESS6, LOOPBACK6)


def _begin(terms: Terms, asked: Asked, otherwise: str = "pass") -> Program:
    """Afterwards R7 is the storage, R8 the socket, R9 whether connect was asked. Jumps to `otherwise` where nothing of
    the kind `asked` was noted."""
    program = Program(terms)
    program.move(R6, R1)
    program.storage("pass")
    program.move(R7, R0)
    program.load(R8, R6, Context.SOCKET, Size.DOUBLE)
    program.load(R1, R7, Name.FLAGS)
    program.move(R9, R1)
    program.sum(Alu.AND, R9, Asked.CONNECT)
    program.when(Jump.ANY_BIT, R1, asked, "asked")
    program.go(otherwise)
    program.label("asked")
    return program


def _unconnected(program: Program, label: str) -> None:
    program.load(R1, R8, Socket.PORT_THERE, Size.HALF)
    program.when(Jump.EQUAL, R1, 0, label)


def _end(program: Program) -> bytes:
    """1 is the only result that the verifier allows for these hooks."""
    program.label("pass")
    program.leave(1)
    return program.code()
