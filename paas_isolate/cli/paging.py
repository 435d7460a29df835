"""Long lists in pages: --limit and --after. The place of a page's last row is where the next begins."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import click

from paas_isolate.cli import output

MOST = 999
"""Rows of a page at the most."""
_BETWEEN = "/"
"""It is in no name."""

Row = TypeVar("Row")
Place = tuple[str, ...]
"""What rows are sorted by: names of one row."""

limit = click.option("--limit", type=click.IntRange(1, MOST), metavar="NUMBER", help="At most so many (all).")
after = click.option("--after", default="", metavar="PLACE", help="Those after this place: `next` of the page before.")


class Asked(NamedTuple):
    """`limit` is None for all rows, `after` '' for the first page."""

    limit: int | None = None
    after: str = ""


def page_of(rows: Sequence[Row], place: Callable[[Row], Place], asked: Asked) -> tuple[Sequence[Row], str | None]:
    """The rows of the page, and where the next one begins; None where there is none. `rows` are sorted by their places.
    UsageError where `after` is no place in such a list."""
    begin = tuple(asked.after.split(_BETWEEN)) if asked.after else ()
    if begin and rows and len(begin) != len(place(rows[0])):
        raise click.UsageError(f"--after is {asked.after}; expected `next` of the page before")
    first = next((at for at, row in enumerate(rows) if place(row) > begin), len(rows)) if begin else 0
    page = rows[first : None if asked.limit is None else first + asked.limit]
    return page, _BETWEEN.join(place(page[-1])) if first + len(page) < len(rows) else None


def tell(following: str | None, found: str) -> None:
    """Say how the next page is asked for, where there is one. `found` is how many rows there are: `12 accounts`."""
    if following:
        output.line(f"{found} in all; the next: --after {following}")
