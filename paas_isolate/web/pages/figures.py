"""A use beside its limit, as a table shows it."""

from collections.abc import Callable
from typing import NamedTuple

from paas_isolate.units import format_size
from paas_isolate.web.filters import NONE, size


class Bar(NamedTuple):
    """`used` and `limit` are text with units; `limit` is '' where there is none. `percent` is the length of the bar,
    None where there is none."""

    used: str
    limit: str = ""
    percent: int | None = None


def of_size(used: float | None, limit: float | None, unit: str = "") -> Bar:
    """Bytes, or with the unit `/s` bytes a second."""
    sold = f"{format_size(int(limit))}{unit}" if limit else ""
    return _bar(used, limit, lambda value: f"{size(value)}{unit}", sold)


def of_cores(used: float | None, limit: float | None) -> Bar:
    """Cores, as percent of one core."""
    return _bar(used, limit, lambda value: f"{value * 100:.0f} %")


def of_count(used: float | None, limit: float | None) -> Bar:
    return _bar(used, limit, lambda value: f"{value:.0f}")


def of_share(share: float | None) -> Bar:
    """A share of 1, with a bar and no limit."""
    return Bar(NONE) if share is None else Bar(f"{share * 100:.0f} %", percent=round(share * 100))


def _bar(used: float | None, limit: float | None, words: Callable[[float], str], sold: str = "") -> Bar:
    sold = sold or (words(limit) if limit else "")
    if used is None:
        return Bar(NONE, sold)
    return Bar(words(used), sold, round(used / limit * 100) if limit else None)
