"""Values by time, from a ledger that a test writes: the arithmetic, gaps, and what did nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from paas_isolate.chart.metrics import METRICS
from paas_isolate.chart.values import Number, Values, of_account, of_host
from paas_isolate.ledger.database import NAME
from paas_isolate.ledger.writer import Owner
from paas_isolate.metering.reading import Counters, Levels, Reading
from tests.support.ledger import MB, WALL, Metered

MINUTE, HOURS, DAY = 60_000, 3_600_000, 24 * 3_600_000


def alice(user: int, memory: int = 64, **more: int) -> Reading:
    levels = Levels(memory=memory * MB, pids=3, swap=0, own=memory * MB // 2)
    return Reading("alice", 3, Counters(user=user, system=0, throttled=0, **more), levels)


@pytest.fixture
def metered(tmp_path: Path) -> Iterator[Metered]:
    found = Metered(tmp_path)
    yield found
    found.writer.close()


def ask(metered: Metered, name: str, begin: int, end: int, now: int, leaf: str = "") -> Values:
    with closing(sqlite3.connect(metered.place / NAME)) as connection:
        (found,) = of_account(connection, "alice", leaf, [METRICS[name]], WALL + begin, WALL + end, WALL + now)
    return found


def curve(values: Values, label: str = "") -> list[Number]:
    return list(values.curves[label] if label else next(iter(values.curves.values())))


def rounded(points: list[Number]) -> list[Number]:
    return [None if point is None else round(point, 6) for point in points]


def test_half_a_core_is_half_a_core_and_the_gap_is_a_gap(metered: Metered) -> None:
    for second in (*range(0, 301, 10), *range(600, 911, 10)):
        metered.sampled(second, alice(second * 500_000, memory=64 if second < 400 else 128))
    cpu = ask(metered, "cpu", 0, 900_000, 900_000)
    assert cpu.span.step == MINUTE
    assert rounded(curve(cpu)) == [0.5] * 5 + [None] * 5 + [0.5] * 5
    assert curve(ask(metered, "memory", 0, 900_000, 900_000)) == [64 * MB] * 5 + [None] * 5 + [128 * MB] * 5


def test_who_did_nothing_used_nothing_and_held_what_it_had(metered: Metered) -> None:
    for second in range(0, 601, 10):
        metered.sampled(second, *([alice(second * 500_000)] if second <= 120 else []))
    assert rounded(curve(ask(metered, "cpu", 0, 600_000, 600_000))) == [0.5] * 2 + [0] * 8
    assert curve(ask(metered, "memory", 0, 600_000, 600_000)) == [64 * MB] * 10
    assert "throttled" not in ask(metered, "cpu", 0, 600_000, 600_000).curves


def test_what_the_account_has_no_counter_of_is_never_0(metered: Metered) -> None:
    for second in range(0, 301, 10):
        metered.take(second, *([alice(second)] if second < 200 else []))
    metered.write(metered.take(310))
    assert curve(ask(metered, "io", 0, 300_000, 300_000)) == [None] * 5


def test_bytes_a_second_of_both_directions(metered: Metered) -> None:
    for second in range(0, 301, 10):
        metered.take(second, alice(second, read=second * 1000, written=second * 500))
    metered.write(metered.take(310))
    values = ask(metered, "io", 0, 300_000, 300_000)
    assert rounded(curve(values, "read")) == [1000] * 5
    assert rounded(curve(values, "written")) == [500] * 5


def test_two_plans_are_one_curve(metered: Metered) -> None:
    for begin, plan in ((0, "small"), (300, "large")):
        for second in range(begin, begin + 300, 10):
            now = metered.take(second, alice(second * 500_000))
        owner = Owner("alice", "", plan)
        metered.writer.write("b1", now, "UTC", metered.tally.unwritten(), lambda _: owner, {}, metered.tally.times)  # noqa: B023
        metered.tally.wrote()
    assert rounded(curve(ask(metered, "cpu", 60_000, 540_000, 590_000))) == [0.5] * 8


def test_a_week_is_of_minutes_and_a_month_of_hours(metered: Metered) -> None:
    for minute in range(24 * 60):
        now = metered.take(minute * 60, alice(minute * 30_000_000, cpu_some=minute * 6_000_000))
        if not minute % 50:
            metered.write(now)
            metered.writer.tidy(now)
    metered.write(now)
    for _ in range(20):
        metered.writer.tidy(now)
    end = DAY - MINUTE
    week = ask(metered, "cpu", end - 7 * DAY, end, end)
    assert week.span.step == 15 * MINUTE
    known = [point for point in curve(week) if point is not None]
    assert len(known) == pytest.approx(96, abs=2)
    assert set(rounded(list(known))) == {0.5}
    month = ask(metered, "cpu", end - 30 * DAY, end, end)
    assert month.span.step == HOURS
    points = [point for point in curve(month) if point is not None]
    assert len(points) == pytest.approx(24, abs=1)
    assert points == pytest.approx([0.5] * len(points), rel=0.02)
    memory = ask(metered, "memory", end - 30 * DAY, end, end)
    assert {round(point / MB) for point in curve(memory, "with cache") if point is not None} == {64}
    assert {round(point / MB) for point in curve(memory, "own") if point is not None} == {32}
    pressure = ask(metered, "pressure", end - DAY, end, end)
    assert {round(point, 1) for point in curve(pressure) if point is not None} == {10.0}


def test_an_hour_of_which_less_than_half_was_measured_is_a_gap(metered: Metered) -> None:
    for second in (*range(0, 7200, 60), *range(10_000, 13_000, 60)):
        metered.sampled(second, alice(second * 500_000))
    points = curve(ask(metered, "cpu", -20 * DAY, 13_000_000, 13_000_000))
    known = [point is not None for point in points]
    # 14:13 to 16:13, then from 17:00: of the hour that begins at 16:00 only 13 minutes were measured
    assert known[-4:] == [True, True, False, True]


def test_all_accounts_are_one_sum(metered: Metered) -> None:
    for second in range(0, 7200, 60):
        other = Reading("bob", 4, Counters(user=second * 250_000, system=0), Levels(memory=64 * MB))
        leaf = Reading("bob/web", 5, Counters(user=second * 250_000, system=0), Levels(memory=64 * MB))
        metered.sampled(second, alice(second * 500_000), other, leaf)
    with closing(sqlite3.connect(metered.place / NAME)) as connection:
        cpu, memory = of_host(connection, [METRICS["cpu"], METRICS["memory"]], WALL, WALL + 7_200_000, WALL + 7_200_000)
    assert [round(point, 3) for point in curve(cpu) if point is not None] == pytest.approx([0.75] * 3, rel=0.01)
    assert [round(point / MB) for point in curve(memory) if point is not None] == pytest.approx([128] * 3, rel=0.05)


def test_a_leaf_has_curves_of_its_own(metered: Metered) -> None:
    for second in range(0, 301, 10):
        metered.take(second, alice(second * 500_000)._replace(path="alice/web"))
    metered.write(metered.take(310))
    assert rounded(curve(ask(metered, "cpu", 0, 300_000, 300_000, leaf="web"))) == [0.5] * 5


def test_an_idle_hour_has_0_only_of_what_was_ever_counted(metered: Metered) -> None:
    for second in range(0, 4 * 3600, 60):
        metered.sampled(second, *([alice(second * 500_000)] if second <= 3600 else []))
    end = 4 * HOURS
    assert None not in curve(ask(metered, "cpu", -20 * DAY, end, end))[-4:-1]
    assert curve(ask(metered, "cpu", -20 * DAY, end, end))[-2] == 0
    assert [round((point or 0) / MB) for point in curve(ask(metered, "memory", -20 * DAY, end, end))[-4:-1]] == [64] * 3
    assert set(curve(ask(metered, "io", -20 * DAY, end, end))) == {None}
