"""Rows as compressed columns."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.metering import blocks, columns
from paas_isolate.metering.blocks import Row, minutes, pack, unpack

VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63))


@given(st.integers(1, 6).flatmap(lambda columns: st.lists(st.tuples(*[VALUES] * columns), max_size=20)))
def test_what_was_packed_comes_back(rows: list[Row]) -> None:
    for packed in (pack(rows), pack(rows, compressed=False)):
        assert unpack(packed) == rows
        assert blocks.columns(packed, 2) == [list(column) for column in zip(*rows, strict=True)][:2]


def test_an_idle_hour_is_small() -> None:
    rows: list[Row] = [(n * 10_000, 0, 0, None, 5 << 20, 3) for n in range(360)]
    assert len(pack(rows)) < 360


@pytest.mark.parametrize("bits", [6, 7, 8, 14, 15, 16, 30, 31, 32, 62, 63, 64])
def test_each_width_of_a_column(bits: int) -> None:
    rows: list[Row] = [(value,) for high in (1 << bits, -1 << bits) for value in (0, high, 0, high - 1, None, 5)]
    assert unpack(pack(rows)) == rows


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        pack([(1, 2)])[:-1],
        pack([(1, 2)], compressed=False)[:-1],
        pack([(1, 2)], compressed=False) + b"x",
        b"\1" + zlib.compress(b"\x02\0\0\0\x02\x01"),
        b"\1" + zlib.compress(b"\xff\xff\xff\xff\x01" + b"\0" * 13),
        b"\1" + zlib.compress(columns.pack([(1, 2), (3, 9)])[:-1]),
        b"\1" + zlib.compress(columns.pack([(1, 2), (3, 9)]) + b"x"),
        zlib.compress(columns.pack([(1, 2), (3, 9)])),
    ],
)
def test_damaged_data_is_no_row(data: bytes) -> None:
    """atop 34: what follows a broken spot is taken for values."""
    with pytest.raises(ValueError, match="damaged"):
        unpack(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_damaged(data: bytes) -> None:
    for each in (data, b"\1" + zlib.compress(data)):
        try:
            unpack(each)
        except ValueError:
            continue


def test_minutes_add_growth_and_average_levels() -> None:
    rows: list[Row] = [(10_000, 1, None, 100), (20_000, 2, None, 300), (70_000, 5, 1, None)]
    assert minutes(rows, 2) == [(20_000, 3, None, 200), (70_000, 5, 1, None)]
