"""Limits from the kernel's text, and the order of rows."""

import pytest

from paas_isolate.live.rates import (
    NAME,
    ORDERS,
    CgroupLimits,
    Row,
    limits_of,
    of_limit,
    ordered,
    plain,
)
from paas_isolate.metering.rates import Rates
from paas_isolate.metering.reading import Levels


@pytest.mark.parametrize(
    ("knobs", "limits"),
    [
        (
            {
                "cpu.max": "150000 100000",
                "memory.max": "1073741824",
                "memory.high": "536870912",
                "pids.max": "100",
                "io.max": "254:0 rbps=1048576 wbps=max riops=max wiops=500",
            },
            CgroupLimits(1.5, 536870912, 100, 1048576, None),
        ),
        (
            {"cpu.max": "max 100000", "memory.max": "max", "memory.high": "max", "pids.max": "max", "io.max": ""},
            CgroupLimits(),
        ),
        ({}, CgroupLimits()),
        ({"cpu.max": "", "memory.max": "torn"}, CgroupLimits()),
    ],
)
def test_limits_in_the_text_of_knobs(knobs: dict[str, str], limits: CgroupLimits) -> None:
    assert limits_of(knobs) == limits


def test_there_is_no_share_without_a_limit() -> None:
    assert of_limit(0.5, None) is None
    assert of_limit(0.5, 0) is None
    assert of_limit(None, 2.0) is None
    assert of_limit(0.5, 2.0) == 0.25


def row(name: str, cpu: float | None = None, memory: int | None = None, **more: float) -> Row:
    return Row(name, name, Rates(cpu=cpu, **more), Levels(memory=memory), faults=len(name))


ROWS = [
    row("b", 0.5, 3, read=5.0),
    row("a", 0.5, 9),
    row("ccc", None, 1, written=7.0),
    row("dd", 2.0, None, io_wait=0.1),
]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("cpu", "dd a b ccc"),
        ("memory", "a b ccc dd"),
        ("io", "ccc b a dd"),
        ("pressure", "dd a b ccc"),
        ("faults", "ccc dd a b"),
        ("processes", "a b ccc dd"),
        (NAME, "a b ccc dd"),
    ],
)
def test_the_highest_comes_first_and_the_unknown_last(by: str, names: str) -> None:
    assert [row.name for row in ordered(ROWS, by)] == names.split()


@pytest.mark.parametrize("by", [*ORDERS, NAME])
def test_every_order_has_all_rows_also_reversed(by: str) -> None:
    assert {row.name for row in ordered(ROWS, by, reverse=True)} == {row.name for row in ROWS}
    assert [row.name for row in ordered(ROWS, "cpu", reverse=True)] == ["ccc", "b", "a", "dd"]


def test_json_has_no_percentage_without_a_limit() -> None:
    found = plain(row("a", 0.5, 100)._replace(limits=CgroupLimits(cpu=2.0)))
    assert (found["cpu_cores"], found["cpu_limit"], found["cpu_of_limit"]) == (0.5, 2.0, 0.25)
    assert (found["memory"], found["memory_limit"], found["memory_of_limit"]) == (100, None, None)
