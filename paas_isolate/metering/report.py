"""What was used in the units that people read, and the periods that they ask about."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from paas_isolate.metering.bill import quantity
from paas_isolate.metering.calendar import days_of
from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import Use

PERIODS = ("today", "yesterday", "week", "month")
"""Words for a period; `week` are the last seven days, `month` is this month until today."""

TOPS: dict[str, Callable[[Use], Number]] = {
    "cpu": lambda use: use.cpu,
    "memory": lambda use: use.memory,
    "read": lambda use: use.read,
    "written": lambda use: use.written,
    "received": lambda use: use.received,
    "sent": lambda use: use.sent,
    "throttled": lambda use: use.throttled,
    "pressure": lambda use: use.cpu_some,
    "killed": lambda use: use.killed,
}
"""By what accounts may be sorted."""


def period(text: str, today: date) -> tuple[date, date]:
    """First and last day of a word of PERIODS, a month `2026-10` or a day `2026-10-25`. ValueError for other text."""
    match text:
        case "today" | "day":
            return today, today
        case "yesterday":
            return today - timedelta(days=1), today - timedelta(days=1)
        case "week":
            return today - timedelta(days=6), today
        case "month":
            return today.replace(day=1), today
    try:
        return days_of(text) if len(text) == 7 else (date.fromisoformat(text), date.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{', '.join(PERIODS)}, a month such as 2026-10, or a day such as 2026-10-25") from None


def plain(use: Use) -> dict[str, Any]:
    """A Use as JSON and CSV have it: seconds, bytes, GB-hours, numbers. None: it was not measured."""
    return {
        "measured_seconds": seconds(use.measured, 1000) or 0.0,
        "cpu_seconds": seconds(use.cpu),
        "user_seconds": seconds(use.user),
        "system_seconds": seconds(use.system),
        "throttled_seconds": seconds(use.throttled),
        "frozen_seconds": seconds(use.frozen),
        "memory_gb_hours": gb_hours(use.memory),
        "own_memory_gb_hours": gb_hours(use.own),
        "swap_gb_hours": gb_hours(use.swap),
        "memory_peak": use.peak,
        "pids_peak": use.pids,
        "read": use.read,
        "written": use.written,
        "read_operations": use.read_ops,
        "write_operations": use.write_ops,
        "received": use.received,
        "sent": use.sent,
        "killed": use.killed,
        "slowed": use.slowed,
        "refused": use.refused,
        "cpu_pressure_seconds": seconds(use.cpu_some),
        "memory_pressure_seconds": seconds(use.memory_some),
        "io_pressure_seconds": seconds(use.io_some),
        "memory_mean": mean_memory(use),
    }


def seconds(value: Number, unit: int = 1_000_000) -> float | None:
    return None if value is None else value / unit


def gb_hours(value: Number) -> float | None:
    found = quantity(value, (1 << 20) * 3600)
    return None if found is None else float(found)


def mean_memory(use: Use) -> Number:
    """Bytes that were held in the measured time, on average; None where nothing was measured."""
    return None if use.memory is None or not use.measured else use.memory * 1024 * 1000 // use.measured
