"""What is sold: the plans, the bill of a month, and advice."""

import csv
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.text import counted
from paas_isolate.web.filters import NONE
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.administrator.tables import part_of
from paas_isolate.web.pages.asking import options_of
from paas_isolate.web.pages.base import get, render

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
    told = await _bill(request, login)
    lines, month = told["lines"], told["month"]
    found = f"{counted(len(lines), 'line')}. Days and months are those of {told['time_zone']}."
    rows, part = part_of(lines, "/bill", request.query_params)
    return render(
        request,
        "administrator/bill.html",
        month=month,
        heading=found if lines else f"Nothing was measured in {month}.",
        titles=list(QUANTITIES.values()),
        rows=[_line(line) for line in rows],
        totals=_totals(lines, told["amount"]),
        first=part.first,
        next=part.next,
    )


async def bill_as_csv(request: Request, login: Login) -> Response:
    told = await _bill(request, login)
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(["account", "plan", *QUANTITIES])
    writer.writerows([*map(_harmless, (line["account"], line["plan"])), *_values(line)] for line in told["lines"])
    month = f"-{told['month']}" if re.fullmatch("[0-9]{4}-[0-9]{2}", told["month"], re.ASCII) else ""
    file = {"content-disposition": f'attachment; filename="bill{month}.csv"'}
    return Response(text.getvalue(), media_type="text/csv", headers=file)


def _harmless(word: str) -> str:
    """A word that a spreadsheet would take for a formula gets a quote before it (OWASP, CSV Injection)."""
    return f"'{word}" if word[:1] in ("=", "+", "-", "@", "\t", "\r") else word


async def _bill(request: Request, login: Login) -> Mapping[str, Any]:
    return await login.link.ask("bill", options=options_of("bill", request.query_params, "month"))


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    cells = [_figure(value) for value in _values({**line, "measured": 100 * Decimal(line["measured"])})]
    return {"account": line["account"], "plan": line["plan"], "cells": cells}


def _values(line: Mapping[str, Any]) -> list[Any]:
    return [line[name] for name in QUANTITIES]


def _totals(lines: Sequence[Mapping[str, Any]], amount: Any) -> list[str]:
    """The sums of the quantities. Shares are not added up."""
    known = {name: [Decimal(line[name]) for line in lines if line[name] is not None] for name in QUANTITIES}
    sums = {name: _figure(sum(values) if values else None) for name, values in known.items()}
    return list((sums | {"measured": "", "amount": _figure(amount)}).values())


def _figure(value: Any) -> str:
    """Two decimals; the CSV has all."""
    return NONE if value is None else f"{Decimal(value):.2f}"


async def advice(request: Request, login: Login) -> Response:
    options = options_of("advise", request.query_params, "plan")
    told = await login.link.ask("advise", options=options)
    plan = options.get("plan", "")
    found = told["accounts"] if plan else told["rows"]
    if plan:
        hurt = [each for each in found if each["hurt"]]
        heading = f"Whom {plan} would have hurt"
        summary = f"{len(hurt)} of {counted(len(found), 'account')} in the last 14 days, as far as minutes show it."
        rows = [{**each, "verdict": "hurt", "tone": "bad"} for each in hurt]
    else:
        heading = "Advice"
        summary = f"{counted(len(found), 'account')}, by the minutes and the faults of the last 14 days."
        judged = [(each, VERDICTS.get(each["verdict"], (each["verdict"], ""))) for each in found]
        rows = [{**each, "verdict": words, "tone": tone} for each, (words, tone) in judged]
    shown, part = part_of(rows, "/advice", request.query_params)
    return render(
        request,
        "administrator/advice.html",
        heading=heading,
        summary=summary,
        verdict_title="Plan" if plan else "Limits",
        rows=shown,
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
