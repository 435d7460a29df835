"""netlink(7) as bytes: what was packed comes back, and no data keep us for ever."""

import struct

import pytest

from paas_isolate.linux.network import netlink
from paas_isolate.linux.network.netlink import Message, attribute, attributes, messages


@pytest.mark.parametrize("bodies", [[b""], [b"a"], [b"abcd", b"", b"abcde"]])
def test_messages_come_back(bodies: list[bytes]) -> None:
    data = b"".join(netlink.pack(Message(20 + at, 1, body, at, 7)) for at, body in enumerate(bodies))
    assert len(data) % 4 == 0
    assert list(messages(data)) == [(20 + at, at, 7, body) for at, body in enumerate(bodies)]


def test_attributes_come_back() -> None:
    data = b"head" + attribute(1, b"paas0\0") + attribute(18, attribute(1, b"dummy"))
    assert list(attributes(data, 4)) == [(1, b"paas0\0"), (18, attribute(1, b"dummy"))]


@pytest.mark.parametrize("length", [0, 1, 15, 99])
def test_wrong_lengths_come_to_an_end(length: int) -> None:
    data = struct.pack("=IHHII", length, 20, 0, 1, 0) + bytes(40)
    assert len(list(messages(data))) <= 4
    assert len(list(attributes(struct.pack("=HH", length, 1) + bytes(40), 0))) <= 11
