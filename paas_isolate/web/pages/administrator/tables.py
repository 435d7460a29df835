"""Tables that are longer than a page: a part of the rows, and the addresses of the others."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

Row = TypeVar("Row")
ROWS = 100
"""Rows of a page."""


class Part(NamedTuple):
    """Addresses are '' where there is no such page."""

    first: str
    next: str


def address(path: str, **query: str) -> str:
    """The address of a page; what is '' is left out."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def part_of(rows: Sequence[Row], path: str, query: Mapping[str, str]) -> tuple[Sequence[Row], Part]:
    """The rows from `from` of the query on, for an answer that has all of them."""
    given = query.get("from", "")
    start = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    kept = {name: value for name, value in query.items() if name != "from"}
    more = address(path, **kept, **{"from": str(start + ROWS)}) if start + ROWS < len(rows) else ""
    return rows[start : start + ROWS], Part(address(path, **kept) if start else "", more)
