"""A use beside its limit, as a table shows it."""

from typing import Any, NamedTuple

from paas_isolate.web.filters import NONE, size


class Bar(NamedTuple):
    """`used` and `limit` are text with units; `limit` is '' where there is none. `percent` is the length of the bar,
    None where there is none."""

    used: str
    limit: str = ""
    percent: int | None = None


def of_size(used: float | None, limit: float | None, unit: str = "") -> Bar:
    """Bytes, or with the unit `/s` bytes a second."""
    return _bar(used, limit, lambda value: f"{size(value)}{unit}")


def of_cores(used: float | None, limit: float | None) -> Bar:
    """Cores, as percent of one core."""
    return _bar(used, limit, lambda value: f"{value * 100:.0f} %")


def of_count(used: float | None, limit: float | None) -> Bar:
    return _bar(used, limit, lambda value: f"{value:.0f}")


def of_share(share: float | None) -> Bar:
    """A share of 1, with a bar and no limit."""
    return Bar(NONE) if share is None else Bar(f"{share * 100:.0f} %", percent=round(share * 100))


def _bar(used: float | None, limit: float | None, words: Any) -> Bar:
    if used is None:
        return Bar(NONE, words(limit) if limit else "")
    if not limit:
        return Bar(words(used))
    return Bar(words(used), words(limit), round(used / limit * 100))
