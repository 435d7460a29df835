"""The pages of one account, for its customer and for administrators.

Each part of the page is a question of its own. What cannot be had now leaves its place empty, with a sentence; the rest
is shown.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paas_isolate.chart.metrics import METRICS
from paas_isolate.metering.faults import WORDS, Kind, Level
from paas_isolate.metering.reading import cores_of
from paas_isolate.units import format_size
from paas_isolate.web.link import AskError
from paas_isolate.web.logins import Login
from paas_isolate.web.pages import picture
from paas_isolate.web.pages.asking import name_in, options_of, said
from paas_isolate.web.pages.base import done, form, get, post, redirect, render
from paas_isolate.web.pages.figures import Bar, of_cores, of_count, of_size

OF = "/accounts/{account}"
_OF_SERVICE = f"{OF}/services/{{service}}"
_CHARTS = ("cpu", "memory")
"""Metrics on the account's page; the page of charts has all."""
_LATELY = 5
"""Faults on the account's page."""
_LEVELS = {
    Level.LEAF: "of the service",
    Level.ACCOUNT: "of the account",
    Level.ALL: "of all customers together",
    Level.MACHINE: "the machine had no more",
}
_REMEMBERED = 8
"""Accounts whose CPU time of the last look a login remembers."""


class Row(NamedTuple):
    """A service. `runs`: paas-isolate runs it, and it can be ordered about; `tone` is a class of the style."""

    name: str
    service: str
    state: str
    tone: str
    detail: str
    runs: bool
    is_job: bool
    memory: Bar
    processes: Bar
    last: Mapping[str, Any] | None


class Fault(NamedTuple):
    """An incident, as the page says it."""

    when: str
    what: str
    limit: str
    number: str
    process: str
    leaf: str
    pictures: Sequence[Mapping[str, Any]]


async def home(_: Request, login: Login) -> Response:
    """An administrator begins with all accounts."""
    if login.administrator:
        return redirect("/accounts")
    if login.account is None:
        raise HTTPException(404, "You have no account on this machine.")
    return redirect(f"/accounts/{login.account}")


async def account(request: Request, login: Login) -> Response:
    name = name_in(request)
    period = _period(request)
    me = await login.link.ask("me", name)
    explained, history, faults, notices, plan = await asyncio.gather(
        _or_words(login, "explain", name),
        _or_words(login, "history", name, {"period": period}),
        _or_words(login, "faults", name),
        _or_words(login, "notices", name),
        _or_words(login, "plan", name),
    )
    metrics = history.get("metrics", {})
    before = picture.last(metrics["cpu"]) if period == "day" and "cpu" in metrics else None
    found = [_fault(each) for each in reversed(faults.get("rows", ()))]
    return render(
        request,
        "account.html",
        explained=explained,
        period=period,
        periods=picture.PERIODS,
        charts=[(each, METRICS[each], list(picture.summaries(metrics[each], each))) for each in _CHARTS if metrics],
        history=history,
        faults=found[:_LATELY],
        more=len(found) - _LATELY,
        told=faults,
        notices=notices,
        plan=plan,
        **_live(login, name, me, before),
    )


async def live(request: Request, login: Login) -> Response:
    """The part of the account's page that is asked for again and again."""
    name = name_in(request)
    return render(request, "account_live.html", **_live(login, name, await login.link.ask("me", name), None))


async def charts(request: Request, login: Login) -> Response:
    name, period = name_in(request), _period(request)
    told = await login.link.ask("history", name, {"period": period})
    shown = [(each, METRICS[each], list(picture.summaries(told["metrics"][each], each))) for each in METRICS]
    return render(
        request,
        "charts.html",
        name=name,
        period=period,
        periods=picture.PERIODS,
        charts=[each for each in shown if each[2]],
        unmeasured=[metric.title for _, metric, found in shown if not found],
    )


async def chart(request: Request, login: Login) -> Response:
    """A chart as a picture."""
    name, period = name_in(request), _period(request)
    metric = request.query_params.get("metric", "cpu")
    if metric not in METRICS:
        raise HTTPException(404, "There is no such chart.")
    told = await login.link.ask("history", name, {"period": period, "metric": metric})
    headers = {"content-security-policy": picture.POLICY, "cache-control": "private, max-age=60"}
    return Response(picture.svg(told, metric), media_type="image/svg+xml", headers=headers)


async def explain(request: Request, login: Login) -> Response:
    name = name_in(request)
    at = request.query_params.get("at", "").strip().replace("T", " ")
    words, told = "", {}
    try:
        told = await login.link.ask("explain", name, {"at": at} if at else {})
    except AskError as error:
        if not at or error.reason:
            raise
        words = error.words  # what was typed is no time, or one that has not come
    return render(request, "explain.html", 400 if words else 200, name=name, at=at, told=told, words=words)


async def faults(request: Request, login: Login) -> Response:
    name = name_in(request)
    options = options_of("faults", request.query_params, "kind", "since")
    told = await login.link.ask("faults", name, options)
    return render(
        request,
        "faults.html",
        name=name,
        options=options,
        kinds={kind.value: WORDS[kind] for kind in Kind},
        faults=[_fault(each) for each in reversed(told["rows"])],
    )


async def usage(request: Request, login: Login) -> Response:
    name = name_in(request)
    told = await login.link.ask("usage", name, {"period": "month", "by": "day"})
    return render(request, "usage.html", name=name, told=told, rows=list(reversed(told["rows"])))


async def service(request: Request, login: Login) -> Response:
    name, leaf = name_in(request), name_in(request, "service")
    options = options_of("logs", {**request.query_params, "service": leaf}, "service", "lines", "number")
    me = await login.link.ask("me", name)
    rows = [row for row in _rows(me) if row.service == leaf]
    if not rows:
        raise HTTPException(404, "There is no such service.")
    logs = await _or_words(login, "logs", name, options) if rows[0].runs else {"lines": ()}
    return render(request, "service.html", name=name, service=leaf, rows=rows, logs=logs, lines=options.get("lines"))


async def order(request: Request, login: Login) -> Response:
    """Start, stop or restart a service."""
    name, leaf = name_in(request), name_in(request, "service")
    verb = request.path_params["verb"]
    if verb not in ("start", "stop", "restart"):
        raise HTTPException(404, "There is no such page.")
    try:
        sentences = said(await login.link.ask(verb, name, {"service": leaf}))
    except AskError as error:
        sentences = [f"{error.words[:1].upper()}{error.words[1:]}."]
    back = f"/accounts/{name}/services/{leaf}" if form(request).get("back") == "service" else f"/accounts/{name}"
    return done(login, back, *sentences)


async def switch_notices(request: Request, login: Login) -> Response:
    name = name_in(request)
    told = await login.link.ask("switch-notices", name, options_of("switch-notices", form(request), "state"))
    return done(login, f"/accounts/{name}", *said(told))


def routes() -> list[Route]:
    return [
        get("/", home),
        get(OF, account),
        get(f"{OF}/live", live),
        get(f"{OF}/charts", charts),
        get(f"{OF}/chart.svg", chart),
        get(f"{OF}/explain", explain),
        get(f"{OF}/faults", faults),
        get(f"{OF}/usage", usage),
        get(_OF_SERVICE, service),
        post(f"{_OF_SERVICE}/{{verb}}", order),
        post(f"{OF}/notices", switch_notices),
    ]


async def _or_words(login: Login, verb: str, name: str, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The answer, or {"words": why there is none}."""
    try:
        return await login.link.ask(verb, name, options)
    except AskError as error:
        return {"words": error.words}


def _period(request: Request) -> str:
    period = request.query_params.get("period", "day")
    if period not in picture.PERIODS:
        raise HTTPException(404, "There is no such chart.")
    return period


def _live(login: Login, name: str, me: Mapping[str, Any], before: float | None) -> dict[str, Any]:
    """`before` is the use of CPU that is shown where this login has not looked before."""
    whole = me["cgroups"][0] if me["cgroups"] else None
    cores = _cores(login, name, whole["use"]["cpu"]) if whole else None
    cores = before if cores is None else cores
    rows = list(_rows(me))
    return {
        "name": name,
        "me": me,
        "figures": list(_figures(whole, cores)) if whole else [],
        "cores": cores,
        "memory": whole["use"]["memory"] if whole else None,
        "state": whole["state"] if whole else "",
        "services": [row for row in rows if not row.is_job],
        "jobs": [row for row in rows if row.is_job],
        "ordered": [row.service for row in rows if row.runs],
        "may_order": login.administrator or not login.suspended,
        "frozen": whole is not None and whole["state"] == "frozen",
    }


def _cores(login: Login, name: str, cpu: int | None) -> float | None:
    """Cores that were used since this login looked last; None where it has not, or long ago."""
    now = time.monotonic()
    then = login.looked.pop(name, None)
    if cpu is None:
        return None
    login.looked[name] = now, cpu
    while len(login.looked) > _REMEMBERED:
        del login.looked[next(iter(login.looked))]
    if then is None or not 1 <= now - then[0] <= 120 or cpu < then[1]:
        return None
    return (cpu - then[1]) / 1e6 / (now - then[0])


def _figures(whole: Mapping[str, Any], cores: float | None) -> Iterator[tuple[str, Bar]]:
    knobs, use = whole["knobs"], whole["use"]
    yield "CPU", of_cores(cores, cores_of(knobs.get("cpu.max", "")))
    yield "Memory", of_size(use["memory"], _number(knobs.get("memory.max")))
    yield "Processes", of_count(use["pids"], _number(knobs.get("pids.max")))


def _rows(me: Mapping[str, Any]) -> Iterator[Row]:
    """The account's own cgroup comes first, and is none of them."""
    for line in me["cgroups"][1:]:
        run, use, knobs = line["service"] or {}, line["use"], line["knobs"]
        last = run.get("last")
        yield Row(
            line["name"],
            line["name"].partition(".")[0],
            line["state"],
            _tone(line["state"]),
            run.get("detail", ""),
            bool(run),
            last is not None or "next at" in run.get("detail", ""),
            of_size(use["memory"], _number(knobs.get("memory.max"))),
            of_count(use["pids"], _number(knobs.get("pids.max"))),
            last,
        )


def _tone(state: str) -> str:
    match state:
        case "running" | "ok":
            return "good"
        case "failed" | "unhealthy":
            return "bad"
        case "suspended" | "frozen" | "kept" | "restarting":
            return "warn"
    return ""


def _fault(row: Mapping[str, Any]) -> Fault:
    """A newer daemon may have kinds that are not known here."""
    kind, limit, process = row["kind"], row["limit"], row["process"]
    match kind:
        case Kind.KILLED | Kind.SLOWED | Kind.DISK if limit.isdigit():
            limit = format_size(int(limit))
        case Kind.THROTTLED if (cores := cores_of(limit)) is not None:
            limit = f"{cores * 100:.4g} %"
    whose = _LEVELS.get(row["level"], row["level"])
    return Fault(
        row["begin"],
        WORDS.get(kind, kind),
        f"{limit} {whose}" if limit not in ("", "max") else whose,
        f"{row['number']}\u00d7",
        f"{process['command']} ({process['pid']})" if process else "",
        row["leaf"] or (process["leaf"] if process else ""),
        row.get("pictures", ()),
    )


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
