"""Rows of integers as compressed columns. A value that is not known is a value of its own: None comes back as None.

Hours of rows are columns of fixed width and zlib: of them a part can be read, fast. A few rows are no smaller that way,
and that takes longer than all else: they are varints with a checksum.
"""

import zlib
from collections.abc import Sequence

from paas_isolate.metering import columns as wide
from paas_isolate.metering import varints

Row = tuple[int | None, ...]

_FEW, _MANY = b"\0", b"\1"
"""The first byte."""


def pack(rows: Sequence[Row], *, compressed: bool = True) -> bytes:
    """Rows of the same number of columns; without `compressed` a few."""
    if compressed:
        return _MANY + zlib.compress(wide.pack(rows))
    out = bytearray()
    varints.put(out, len(rows))
    varints.put(out, len(rows[0]) if rows else 0)
    for column in zip(*rows, strict=True):
        varints.put_column(out, column)
    return _FEW + zlib.crc32(out).to_bytes(4) + out


def columns(data: bytes, most: int | None = None) -> list[list[int | None]]:
    """The columns of what was packed, or the first `most` of them. ValueError where the data is damaged."""
    kind, text = data[:1], data[1:]
    if kind == _MANY:
        try:
            return wide.unpack(zlib.decompress(text), most)
        except zlib.error as error:
            raise ValueError(f"a damaged block: {error}") from error
    if kind != _FEW or zlib.crc32(text[4:]) != int.from_bytes(text[:4]):
        raise ValueError("a damaged block: its checksum is wrong")
    numbers = list(varints.numbers(text[4:]))
    rows, number = numbers[:2] if len(numbers) > 1 else (-1, 1)
    if len(numbers) != 2 + rows * number:
        raise ValueError("a damaged block: its size is wrong")
    return [varints.column(numbers[2 + rows * n : 2 + rows * (n + 1)]) for n in range(number)][:most]


def unpack(data: bytes) -> list[Row]:
    """The rows that were packed. ValueError where the data is damaged."""
    return list(zip(*columns(data), strict=True))


def minutes(rows: Sequence[Row], summed: int) -> list[Row]:
    """Rows by minute. The first column is a time in milliseconds, that of the minute's last row. The `summed` columns
    after it are added, the others are averaged over the rows that have them."""
    by_minute: dict[int, list[Row]] = {}
    for row in rows:
        by_minute.setdefault((row[0] or 0) // 60_000, []).append(row)
    return [_joined(group, summed) for group in by_minute.values()]


def _joined(rows: Sequence[Row], summed: int) -> Row:
    columns = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    sums = [sum(column) if column else None for column in columns[1 : 1 + summed]]
    means = [sum(column) // len(column) if column else None for column in columns[1 + summed :]]
    return (rows[-1][0], *sums, *means)
