"""Messages of netlink(7) and their attributes as bytes: `struct nlmsghdr` and `struct nlattr` of linux/netlink.h."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

REQUEST, ACK, DUMP, REPLACE, EXCL, CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400  # NLM_F_…
ERROR, DONE = 2, 3  # NLMSG_…
SOL_NETLINK, ADD_MEMBERSHIP, GET_STRICT_CHK = 270, 1, 12

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length with the header, kind, flags, sequence number, port of the sender."""
_ATTRIBUTE = struct.Struct("=HH")
"""struct nlattr: length with this header, kind."""
KIND_MASK = 0x3FFF
"""NLA_TYPE_MASK: of an attribute's kind the upper two bits are flags."""


class Message(NamedTuple):
    """A request; `body` is what follows the header."""

    kind: int
    flags: int
    body: bytes
    number: int = 0
    port: int = 0


def pack(message: Message) -> bytes:
    """The message, padded so that another may follow."""
    length = HEADER.size + len(message.body)
    header = HEADER.pack(length, message.kind, message.flags, message.number, message.port)
    return header + message.body + bytes(-length % 4)


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, sequence number, port of the sender and body of all messages of one recv(2). Plain tuples: a dump has tens
    of thousands."""
    at, size, unpack = 0, HEADER.size, HEADER.unpack_from
    while at + size <= len(data):
        length, kind, _, number, port = unpack(data, at)
        yield kind, number, port, data[at + size : at + length]
        at += length + -length % 4 if length > size else size


def attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each attribute from `at` on, which is behind the fixed part of a body. A kind has its flags
    still (NLA_F_…)."""
    size, unpack = _ATTRIBUTE.size, _ATTRIBUTE.unpack_from
    while at + size <= len(data):
        length, kind = unpack(data, at)
        yield kind, data[at + size : at + length]
        at += length + -length % 4 if length > size else size
