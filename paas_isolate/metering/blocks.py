"""Rows of integers as compressed columns: differences between neighbours as variable-length integers, then zlib.

A value that is not known is a value of its own: None comes back as None.
"""

import zlib
from collections.abc import Iterable, Sequence

Row = tuple[int | None, ...]

_PLAIN = b"\0"
"""The first byte where it is not compressed; zlib's is 0x78."""


def pack(rows: Sequence[Row], *, compressed: bool = True) -> bytes:
    """Rows of the same number of columns. A few rows are no smaller compressed, and that takes longer than all else."""
    out = bytearray()
    _put(out, len(rows))
    _put(out, len(rows[0]) if rows else 0)
    for column in zip(*rows, strict=True):
        last = 0
        for value in column:
            if value is None:
                out.append(0)
                continue
            step = value - last
            _put(out, (step << 1 if step >= 0 else (-step << 1) - 1) + 1)
            last = value
    return zlib.compress(out) if compressed else _PLAIN + zlib.crc32(out).to_bytes(4) + out


def unpack(data: bytes) -> list[Row]:
    """ValueError where the data is damaged."""
    try:
        numbers = list(_numbers(_checked(data)))
        rows, columns = numbers[:2]
        if len(numbers) != 2 + rows * columns:
            raise ValueError("a damaged block: its size is wrong")
    except (zlib.error, IndexError) as error:
        raise ValueError(f"a damaged block: {error}") from error
    return list(zip(*(_column(numbers[2 + rows * n : 2 + rows * (n + 1)]) for n in range(columns)), strict=True))


def _checked(data: bytes) -> bytes:
    if not data.startswith(_PLAIN):
        return zlib.decompress(data)
    if zlib.crc32(data[5:]) != int.from_bytes(data[1:5]):
        raise ValueError("a damaged block: its checksum is wrong")
    return data[5:]


def _column(codes: Iterable[int]) -> list[int | None]:
    values: list[int | None] = []
    last = 0
    for code in codes:
        if not code:
            values.append(None)
            continue
        step = code - 1
        last += -((step + 1) >> 1) if step & 1 else step >> 1
        values.append(last)
    return values


def _put(out: bytearray, value: int) -> None:
    """LEB128: seven bits a byte, the lowest first; the highest bit says that more follow."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _numbers(data: bytes) -> Iterable[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            yield value
            value = shift = 0
    if shift:
        raise ValueError("a damaged block: it ends in the middle of a number")


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
