"""All accounts: searched, sorted and paged by the daemon."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.web.filters import NONE
from paas_isolate.web.logins import Login
from paas_isolate.web.pages import figures
from paas_isolate.web.pages.administrator.tables import ROWS, address, shown_of
from paas_isolate.web.pages.asking import mistake, options_of
from paas_isolate.web.pages.base import get, render
from paas_isolate.web.pages.figures import Bar

PATH = "/accounts"
TITLES = {
    "": "Account",
    "plan": "Plan",
    "state": "State",
    "cpu": "CPU",
    "memory": "Memory",
    "processes": "Processes",
    "read": "Read",
    "written": "Written",
    "faults": "Faults",
}
"""By what the daemon sorts ('': by name), or a name of our own -> the title of the column."""
_NOT_SORTED = ("plan", "state")
_NOTHING: Mapping[str, Any] = {"total": 0, "next": None, "sampled": None, "rows": ()}
TONES = {"ok": "good", "frozen": "bad", "suspended": "bad", "kept": "warn", "pending": "warn", "leaving": "warn"}


class Column(NamedTuple):
    """`sorted` is the value of aria-sort, '' where the table is not sorted by it."""

    title: str
    href: str
    numeric: bool
    sorted: str


class Row(NamedTuple):
    """`bars` have the title of their column."""

    name: str
    plan: str
    state: str
    tone: str
    note: str
    bars: tuple[tuple[str, Bar], ...]
    faults: str


async def accounts(request: Request, login: Login) -> Response:
    """A search that no name can match is said beside the field, while it is being typed."""
    options = options_of("accounts", request.query_params, "sort", "after")
    search, sort = request.query_params.get("search", "").strip(), options.get("sort", "")
    wrong = mistake("accounts", "search", search) if search else ""
    told = _NOTHING if wrong else await _asked(login, search, options)
    rows = [row_of(each) for each in told["rows"]]
    following = address(PATH, search=search, sort=sort, after=told["next"]) if told["next"] else ""
    return render(
        request,
        "administrator/accounts.html",
        search=search,
        sort=sort,
        rows=rows,
        heading=wrong or _heading(told, len(rows), search),
        columns=list(columns(sort, search)),
        sampled=told["sampled"],
        first=address(PATH, search=search, sort=sort) if "after" in options else "",
        next=following,
    )


async def _asked(login: Login, search: str, options: Mapping[str, str]) -> Mapping[str, Any]:
    wanted = {"search": search} if search else {}
    return await login.link.ask("accounts", options={"limit": str(ROWS), **wanted, **options})


def columns(sort: str, search: str) -> Iterator[Column]:
    for by, title in TITLES.items():
        href = "" if by in _NOT_SORTED else address(PATH, search=search, sort=by)
        order = "descending" if by else "ascending"
        yield Column(title, href, by not in ("", *_NOT_SORTED), order if by == sort else "")


def row_of(account: Mapping[str, Any]) -> Row:
    bars = (
        ("CPU", figures.of_cores(account["cpu_cores"], account["cpu_limit"])),
        ("Memory", figures.of_size(account["memory"], account["memory_limit"])),
        ("Processes", figures.of_count(account["pids"], account["pids_limit"])),
        ("Read", figures.of_size(account["read_per_second"], account["read_limit"], "/s")),
        ("Written", figures.of_size(account["written_per_second"], account["write_limit"], "/s")),
    )
    state, faults = account["state"], account["faults"]
    return Row(
        account["account"],
        account["plan"] or NONE,
        state,
        TONES.get(state, ""),
        account["note"],
        bars,
        NONE if faults is None else str(faults),
    )


def _heading(told: Mapping[str, Any], shown: int, search: str) -> str:
    found: int = told["total"]
    if not found:
        return f"No account whose name, plan or owner contains {search}." if search else "There is no account yet."
    return f"{shown_of(shown, found, 'account')}."


def routes() -> list[BaseRoute]:
    return [get(PATH, accounts, administrator=True)]
