"""Columns of integers as bytes that compress well, and that are read as arrays.

A column is its first value, and the differences between neighbours: signed integers of one, two, four or eight bytes,
the lowest byte of all of them first, then the next one (most high bytes are alike). Which of its values are known
(None is not) stands before them.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub

from paas_isolate.metering import varints
from paas_isolate.metering.reading import Number

_HEAD = struct.Struct("<IB")
"""Numbers of rows and of columns."""
_COLUMN = struct.Struct("<BqI")
"""How it is written, its first value, and the bytes that follow."""
_SIZES = {1: "b", 2: "h", 4: "i", 8: "q"}
"""Types of array.array by the bytes of a value."""
_UNKNOWN, _CONSTANT, _ANY, _SOME = 16, 0, 15, 32
"""None of it is known; all values are the first one; differences need more than eight bytes (varints); with _SOME added
only a part is known. Every other code is one of _SIZES."""
_MOST = 1 << 20
"""Rows: more are no block of ours, and would take the memory."""


def pack(rows: Sequence[Sequence[Number]]) -> bytes:
    """Rows of the same number of columns, up to 255."""
    parts = [_HEAD.pack(len(rows), len(rows[0]) if rows else 0)]
    for column in zip(*rows, strict=True):
        code, first, data = _packed(column)
        parts += _COLUMN.pack(code, first, len(data)), data
    return b"".join(parts)


def _packed(column: Sequence[Number]) -> tuple[int, int, bytes]:
    known = [value for value in column if value is not None]
    if not known:
        return _UNKNOWN, 0, b""
    which, some = (b"", 0) if len(known) == len(column) else (bytes(value is not None for value in column), _SOME)
    steps = list(map(sub, known[1:], known))
    bits = max(max(steps, default=0), ~min(steps, default=0)).bit_length()
    size = next((each for each in _SIZES if bits < 8 * each), _ANY)
    if size == _ANY or known[0].bit_length() > 63:
        out = bytearray()
        varints.put_column(out, known)
        return _ANY + some, 0, which + out
    if not any(steps):
        return _CONSTANT + some, known[0], which
    data = array(_SIZES[size], steps).tobytes()
    return size + some, known[0], which + b"".join(data[byte::size] for byte in range(size))


def unpack(data: bytes, most: int | None = None) -> list[list[Number]]:
    """The columns, or the first `most` of them. ValueError where the data is damaged."""
    try:
        rows, number = _HEAD.unpack_from(data)
        if rows > _MOST:
            raise ValueError("a damaged block: it has too many rows")
        parts = list(_parts(data, number))
        return [_unpacked(code, first, part, rows) for code, first, part in parts[:most]]
    except (struct.error, KeyError) as error:
        raise ValueError(f"a damaged block: {error}") from error


def _parts(data: bytes, number: int) -> Iterator[tuple[int, int, bytes]]:
    place = _HEAD.size
    for _ in range(number):
        code, first, length = _COLUMN.unpack_from(data, place)
        place += _COLUMN.size + length
        yield code, first, data[place - length : place]
    if place != len(data):
        raise ValueError("a damaged block: its size is wrong")


def _unpacked(code: int, first: int, data: bytes, rows: int) -> list[Number]:
    if code == _UNKNOWN:
        return [None] * rows
    if not code & _SOME:
        return _known(code, first, data, rows)
    which = data[:rows]
    if len(which) != rows:
        raise ValueError("a damaged block: its size is wrong")
    known = iter(_known(code - _SOME, first, data[rows:], rows - which.count(0)))
    return [next(known) if each else None for each in which]


def _known(code: int, first: int, data: bytes, number: int) -> list[Number]:
    if code == _CONSTANT:
        return [first] * number
    if code == _ANY:
        values = varints.column(varints.numbers(data))
    else:
        length = number - 1
        if length * code != len(data):
            raise ValueError("a damaged block: its size is wrong")
        if code > 1:
            together = bytearray(len(data))
            for byte in range(code):
                together[byte::code] = data[byte * length : (byte + 1) * length]
            data = bytes(together)
        values = list(accumulate(array(_SIZES[code], data), initial=first))
    if len(values) != number:
        raise ValueError("a damaged block: its size is wrong")
    return values
