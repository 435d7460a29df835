"""Tables that are longer than a page: the daemon is asked for a part of the rows, and says where the next begins."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from paas_isolate.text import counted
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.asking import options_of

ROWS = 100
"""Rows of a page."""


class Part(NamedTuple):
    """A page of an answer. Addresses are '' where there is no such page."""

    told: Mapping[str, Any]
    first: str
    next: str


def address(path: str, **query: str) -> str:
    """The address of a page; what is '' is left out."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


async def part_of(login: Login, verb: str, path: str, query: Mapping[str, str], *names: str) -> Part:
    """What the daemon answers to the page that the query asks for, with its options of these names."""
    options = options_of(verb, query, *names, "after")
    told = await login.link.ask(verb, options={"limit": str(ROWS), **options})
    kept = {name: value for name, value in options.items() if name in names}
    following = address(path, **kept, after=told["next"]) if told["next"] else ""
    return Part(told, address(path, **kept) if "after" in options else "", following)


def shown_of(shown: int, total: int, what: str) -> str:
    """`2 accounts`, or `100 of 250 accounts`."""
    return counted(total, what) if shown == total else f"{shown} of {counted(total, what)}"
