"""The bill and what people read."""

from datetime import date
from decimal import Decimal

import pytest

from paas_isolate.metering import bill, report
from paas_isolate.metering.use import Use
from paas_isolate.model.metering import PRICED

SEPTEMBER = 30 * 86_400


def test_quantities_and_amounts() -> None:
    use = Use(
        user=3_600_000_000,
        system=1_800_000_000,
        memory=(512 << 10) * 600,
        read=3 << 30,
        written=1 << 20,
        sent=1 << 29,
        frozen=0,
        measured=SEPTEMBER * 500,
    )
    line = bill.line(
        "alice", "small", use, SEPTEMBER, {"core_hour": "0.01", "gb_hour": "2", "gb_read": "0.1", "gb_sent": "1"}
    )
    assert line == bill.Line(
        account="alice",
        plan="small",
        core_hours=Decimal("1.5000"),
        gb_hours=Decimal("0.0833"),
        gb_read=Decimal("3.0000"),
        gb_written=Decimal("0.0010"),
        gb_received=None,
        gb_sent=Decimal("0.5000"),
        suspended_hours=Decimal("0.0000"),
        measured=Decimal("0.5000"),
        amount=Decimal("0.98"),  # 0.015 + 0.1666 + 0.3 + 0.5
    )


def test_what_was_not_measured_is_not_zero() -> None:
    line = bill.line("alice", "", Use(user=1, system=1), SEPTEMBER, {"gb_read": "5"})
    assert line.gb_read is line.gb_hours is None
    assert (line.measured, line.amount) == (Decimal("0.0000"), Decimal("0.00"))


def test_without_prices_there_are_no_amounts() -> None:
    line = bill.line("alice", "small", Use(user=1, system=1), SEPTEMBER, {})
    assert line.amount is bill.amount_of_all([line]) is None


def test_every_quantity_has_its_price() -> None:
    assert tuple(bill.PRICE_OF.values()) == PRICED
    assert set(bill.PRICE_OF) < set(bill.Line._fields)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2026-10-25", "2026-10-25"),
        ("yesterday", "2026-10-24", "2026-10-24"),
        ("week", "2026-10-19", "2026-10-25"),
        ("month", "2026-10-01", "2026-10-25"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026-02-03", "2026-02-03", "2026-02-03"),
    ],
)
def test_periods(text: str, first: str, last: str) -> None:
    assert report.period(text, date(2026, 10, 25)) == (date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize("text", ["", "year", "2026-13", "2026-02-30", "2026-1"])
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(ValueError, match="a month such as 2026-10"):
        report.period(text, date(2026, 10, 25))


def test_no_use_is_unknown_and_not_zero() -> None:
    plain = report.plain(Use())
    assert plain.pop("measured_seconds") == 0
    assert set(plain.values()) == {None}


def test_memory_on_average() -> None:
    assert report.mean_memory(Use(memory=1024 * 60, measured=60_000)) == 1 << 20
    assert report.mean_memory(Use(memory=1024)) is report.mean_memory(Use(measured=5)) is None
