"""What is sold: the plans, the bill of a month, and advice."""

import csv
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from paas_isolate.web.filters import NONE
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.administrator.tables import part_of, shown_of
from paas_isolate.web.pages.asking import options_of
from paas_isolate.web.pages.base import get, render

_AT_ONCE = "999"
"""Lines of the bill that are asked for at once."""
QUANTITIES = {
    "core_hours": "Core hours",
    "gb_hours": "GB hours",
    "gb_read": "GB read",
    "gb_written": "GB written",
    "gb_received": "GB received",
    "gb_sent": "GB sent",
    "suspended_hours": "Suspended, h",
    "measured": "Measured, %",
    "amount": "Amount",
}
"""Key of a line of the bill -> the title of its column."""
VERDICTS = {
    "tight": ("too tight", "bad"),
    "roomy": ("ten times its use", "warn"),
    "fits": ("fits", "good"),
    "unknown": ("too little measured", ""),
}


async def plans(request: Request, login: Login) -> Response:
    told = await login.link.ask("plans")
    return render(request, "administrator/plans.html", rows=told["plans"], without=told["without"])


async def bill(request: Request, login: Login) -> Response:
    part = await part_of(login, "bill", "/bill", request.query_params, "month")
    told, month = part.told, part.told["month"]
    lines = told["lines"]
    found = f"{shown_of(len(lines), told['total'], 'line')}. Days and months are those of {told['time_zone']}."
    return render(
        request,
        "administrator/bill.html",
        month=month,
        heading=found if lines else f"Nothing was measured in {month}.",
        titles=list(QUANTITIES.values()),
        rows=[_line(line) for line in lines],
        totals=_totals(told),
        first=part.first,
        next=part.next,
    )


async def bill_as_csv(request: Request, login: Login) -> Response:
    """All lines, a page of the answer after the other: nothing holds all of them."""
    options = {**options_of("bill", request.query_params, "month"), "limit": _AT_ONCE}
    first = await login.link.ask("bill", options=options)
    found = re.fullmatch("[0-9]{4}-[0-9]{2}", first["month"], re.ASCII)
    file = {"content-disposition": f'attachment; filename="bill{f"-{found[0]}" if found else ""}.csv"'}
    lines = _csv_of(login, {**options, "month": first["month"]}, first)
    return StreamingResponse(lines, media_type="text/csv", headers=file)


async def _csv_of(login: Login, options: Mapping[str, str], told: Mapping[str, Any]) -> AsyncIterator[str]:
    """What cannot be had any more breaks the answer off, so that half a bill is no whole one."""
    yield _as_csv([["account", "plan", *QUANTITIES]])
    while True:
        yield _as_csv([*map(_harmless, (line["account"], line["plan"])), *_values(line)] for line in told["lines"])
        if not told["next"]:
            return
        told = await login.link.ask("bill", options={**options, "after": told["next"]})


def _as_csv(rows: Iterable[Sequence[Any]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _harmless(word: str) -> str:
    """A word that a spreadsheet would take for a formula gets a quote before it (OWASP, CSV Injection)."""
    return f"'{word}" if word[:1] in ("=", "+", "-", "@", "\t", "\r") else word


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    cells = [_figure(value) for value in _values({**line, "measured": 100 * Decimal(line["measured"])})]
    return {"account": line["account"], "plan": line["plan"], "cells": cells}


def _values(line: Mapping[str, Any]) -> list[Any]:
    return [line[name] for name in QUANTITIES]


def _totals(told: Mapping[str, Any]) -> list[str]:
    """Of all lines. Shares are not added up."""
    sums = {**told["totals"], "amount": told["amount"]}
    return ["" if name == "measured" else _figure(sums.get(name)) for name in QUANTITIES]


def _figure(value: Any) -> str:
    """Two decimals; the CSV has all."""
    return NONE if value is None else f"{Decimal(value):.2f}"


async def advice(request: Request, login: Login) -> Response:
    part = await part_of(login, "advise", "/advice", request.query_params, "plan")
    told, plan = part.told, part.told.get("plan", "")
    found = told["accounts"] if plan else told["rows"]
    accounts = shown_of(len(found), told["total"], "account")
    if plan:
        hurt = sum(each["hurt"] for each in found)
        heading = f"Whom {plan} would have hurt"
        summary = f"{accounts}, {hurt} of them hurt in the last 14 days, as far as minutes show it."
        judged = [(each, ("hurt", "bad") if each["hurt"] else ("has room", "good")) for each in found]
    else:
        heading = "Advice"
        summary = f"{accounts}, by the minutes and the faults of the last 14 days."
        judged = [(each, VERDICTS.get(each["verdict"], (each["verdict"], ""))) for each in found]
    return render(
        request,
        "administrator/advice.html",
        heading=heading,
        summary=summary,
        verdict_title="Plan" if plan else "Limits",
        rows=[{**each, "verdict": words, "tone": tone} for each, (words, tone) in judged],
        first=part.first,
        next=part.next,
    )


def routes() -> list[BaseRoute]:
    return [
        get("/plans", plans, administrator=True),
        get("/bill", bill, administrator=True),
        get("/bill.csv", bill_as_csv, administrator=True),
        get("/advice", advice, administrator=True),
    ]
