"""What the daemon and its worker process send each other: data of marshal (both are the same Python), each after its
length.

A question is (number, words of the command, seconds, whether a customer asks, body); an answer is (number, line).
"""

import marshal
from collections.abc import Iterator
from typing import Any

_LENGTH = 8


def framed(data: Any) -> bytes:
    text = marshal.dumps(data)
    return len(text).to_bytes(_LENGTH) + text


def taken(received: bytearray) -> Iterator[Any]:
    """Take what is whole out of `received`."""
    while len(received) >= _LENGTH:
        end = _LENGTH + int.from_bytes(received[:_LENGTH])
        if len(received) < end:
            return
        data = marshal.loads(received[_LENGTH:end])  # noqa: S302  (from a process of our own)
        del received[:end]
        yield data
