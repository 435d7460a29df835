"""The bill of a month: quantities by account and plan, the share of the month that was measured, and amounts.

Rounding: a quantity to four decimals, half to even. An amount is the rounded quantity times its price, to six decimals;
the sum of a line is the sum of its amounts, to two decimals, half up. So everybody can recompute a line from what it
says.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import NamedTuple

from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import Use

GB = 1 << 30
HOUR = 3600

Quantity = Decimal | None


class Line(NamedTuple):
    """An account while it had one plan. A GB is 1024 MB. None: it was not measured. `suspended_hours` is the time in
    which it was frozen. `measured` is the share of the month, from 0 to 1; `amount` is None without prices."""

    account: str
    plan: str
    core_hours: Quantity
    gb_hours: Quantity
    gb_read: Quantity
    gb_written: Quantity
    gb_received: Quantity
    gb_sent: Quantity
    suspended_hours: Quantity
    measured: Decimal
    amount: Quantity


PRICE_OF = {
    "core_hours": "core_hour",
    "gb_hours": "gb_hour",
    "gb_read": "gb_read",
    "gb_written": "gb_written",
    "gb_received": "gb_received",
    "gb_sent": "gb_sent",
    "suspended_hours": "suspended_hour",
}
"""Quantity -> its price in config.yaml (model.metering.PRICED)."""


def line(account: str, plan: str, use: Use, seconds: int, prices: Mapping[str, str]) -> Line:
    """The line of what an account used in a month of so many seconds."""
    quantities = {
        "core_hours": quantity(use.cpu, 1_000_000 * HOUR),
        "gb_hours": quantity(use.memory, (1 << 20) * HOUR),
        "gb_read": quantity(use.read, GB),
        "gb_written": quantity(use.written, GB),
        "gb_received": quantity(use.received, GB),
        "gb_sent": quantity(use.sent, GB),
        "suspended_hours": quantity(use.frozen, 1_000_000 * HOUR),
    }
    measured = quantity(use.measured or 0, seconds * 1000) or Decimal("0.0000")
    return Line(account, plan, **quantities, measured=measured, amount=_amount(quantities, prices))


def quantity(value: Number, unit: int) -> Quantity:
    """A whole number in a larger unit, to four decimals."""
    return None if value is None else (Decimal(value) / unit).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


def _amount(quantities: Mapping[str, Quantity], prices: Mapping[str, str]) -> Quantity:
    if not prices:
        return None
    amounts = (
        (found * Decimal(prices[PRICE_OF[name]])).quantize(Decimal("0.000001"), ROUND_HALF_UP)
        for name, found in quantities.items()
        if found is not None and PRICE_OF[name] in prices
    )
    return sum(amounts, Decimal(0)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def totals(lines: Iterable[Line]) -> dict[str, Quantity]:
    """By quantity the sum of all lines; None where none was measured."""
    found: dict[str, Quantity] = dict.fromkeys(PRICE_OF)
    for each in lines:
        for name in PRICE_OF:
            value: Quantity = getattr(each, name)
            if value is not None:
                found[name] = (found[name] or Decimal("0.0000")) + value
    return found


def amount_of_all(lines: Iterable[Line]) -> Quantity:
    """The sum of the amounts; None where there are no prices."""
    amounts = [each.amount for each in lines if each.amount is not None]
    return sum(amounts, Decimal("0.00")) if amounts else None
