"""Integers of any size as bytes: differences between neighbours, seven bits a byte. 0 stands for None."""

from collections.abc import Iterable, Iterator, Sequence

from paas_isolate.metering.reading import Number


def put(out: bytearray, value: int) -> None:
    """LEB128: seven bits a byte, the lowest first; the highest bit says that more follow."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def numbers(data: Iterable[int]) -> Iterator[int]:
    """What was put. ValueError where the data ends in the middle of a number."""
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


def put_column(out: bytearray, column: Sequence[Number]) -> None:
    last = 0
    for value in column:
        if value is None:
            out.append(0)
            continue
        step = value - last
        put(out, (step << 1 if step >= 0 else (-step << 1) - 1) + 1)
        last = value


def column(codes: Iterable[int]) -> list[Number]:
    """The column of which these are the numbers."""
    values: list[Number] = []
    last = 0
    for code in codes:
        if not code:
            values.append(None)
            continue
        step = code - 1
        last += -((step + 1) >> 1) if step & 1 else step >> 1
        values.append(last)
    return values
