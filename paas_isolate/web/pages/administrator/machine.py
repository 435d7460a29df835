"""The machine: pressure, what it lacks, processes outside, what differs, addresses, and what happens."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.text import counted
from paas_isolate.web.event_stream import close
from paas_isolate.web.filters import iso, moment, size
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.administrator import figures
from paas_isolate.web.pages.administrator.tables import part_of
from paas_isolate.web.pages.base import done, get, post, render

_BEFORE_ALL = "0.0"
"""No event has this id: the daemon tells all that it remembers."""
SHOWN = 500
"""Processes and sentences that a page shows."""
REPAIRED = "changed"
"""Kind of the events that say what a run has changed."""
_ORDER = ("FAILED", "WARNING", "SKIPPED", "OK")
_TONES = {"FAILED": "bad", "WARNING": "warn", "SKIPPED": "warn", "OK": "good"}
_PARTS = {
    "kept": "Accounts that keep their last good state",
    "broken": "Accounts with an error of paas-isolate's own",
    "waiting": "Removals that wait",
    "unmet": "Limits that cannot be kept",
    "late": "Limits that come later",
    "not_enforced": "Not enforced by this version",
}
"""Key of the answer -> heading. The values are sentences by the name of an account or a path."""


async def host(request: Request, login: Login) -> Response:
    told = await login.link.ask("host")
    machine = told["machine"]
    return render(
        request,
        "administrator/host.html",
        figures=[
            ("CPU", figures.of_share(machine["cpu_share"])),
            ("Memory", figures.of_size(machine["memory"], machine["memory_total"])),
            ("Waited for CPU time", figures.of_share(machine["cpu_pressure"])),
            ("Waited for memory", figures.of_share(machine["memory_pressure"])),
            ("Waited for the disk", figures.of_share(machine["io_pressure"])),
        ],
        counts=[],
        at_limit=told["at_limit"],
    )


async def doctor(request: Request, login: Login) -> Response:
    told = await login.link.ask("doctor")
    checks = sorted(told["rows"], key=lambda check: _rank(check["verdict"]))
    wrong = [check for check in checks if check["verdict"] in ("FAILED", "WARNING")]
    return render(
        request,
        "administrator/doctor.html",
        summary=f"{counted(len(checks), 'check')}, {len(wrong)} of them with something to mend.",
        checks=[{**check, "tone": _TONES.get(check["verdict"], "")} for check in checks],
    )


def _rank(verdict: str) -> int:
    return _ORDER.index(verdict) if verdict in _ORDER else 0


async def coverage(request: Request, login: Login) -> Response:
    told = await login.link.ask("coverage")
    outside = [each for each in told["processes"] if each["cgroup"] != each["belongs"]]
    return render(
        request,
        "administrator/coverage.html",
        confined=told["confined"],
        total=told["total"],
        left=told["left"],
        rows=outside[:SHOWN],
        more=max(0, len(outside) - SHOWN),
    )


async def differences(request: Request, login: Login) -> Response:
    told = await login.link.ask("differences")
    changes = told["changes"]
    mistakes = [_complaint(each) for each in told["complaints"]]
    listed = [(title, list(_sentences(told.get(key) or {}))) for key, title in _PARTS.items()]
    return render(
        request,
        "administrator/differences.html",
        changes=changes[:SHOWN],
        more=max(0, len(changes) - SHOWN),
        repaired=[_repair(event) for event in await _events(login) if event["kind"] == REPAIRED],
        parts=[("Wrong in the files", mistakes), *listed],
    )


def _repair(event: Mapping[str, Any]) -> str:
    return f"{event['at']} {event['sentence']}"


def _complaint(told: Mapping[str, Any]) -> str:
    place = f"{told['file']}:{told['line']}" if told["line"] else told["file"]
    return f"{place}: {'warning: ' if told['warning'] else ''}{told['key']} {told['text']}"


def _sentences(told: Mapping[str, Any]) -> Iterator[str]:
    for name, words in told.items():
        yield f"{name}: {', '.join(words) if isinstance(words, list) else str(words).splitlines()[-1]}"


async def reconcile(_: Request, login: Login) -> Response:
    told = await login.link.ask("reconcile")
    left = len(told["remaining"])
    words = (
        f"{counted(told['done'], 'step')} done; {left} remain." if left else f"{counted(told['done'], 'step')} done."
    )
    return done(login, "/differences", words)


async def network(request: Request, login: Login) -> Response:
    told = await login.link.ask("network")
    found = sorted(told["accounts"].items())
    rows, part = part_of(found, "/network", request.query_params)
    return render(
        request,
        "administrator/network.html",
        rows=[_traffic(name, account) for name, account in rows],
        nothing="No account has an address.",
        first=part.first,
        next=part.next,
    )


def _traffic(name: str, account: Mapping[str, Any]) -> dict[str, Any]:
    traffic = account["traffic"]
    return {
        "name": name,
        "addresses": ", ".join(account["addresses"]),
        "peers": ", ".join(account["peers"]) or "nobody",
        "egress": ", ".join(account["egress"]) or "allow all",
        "received": size(traffic["bytes_in"]),
        "sent": size(traffic["bytes_out"]),
        "datagrams": size(traffic["udp_bytes_out"]),
        "denied": traffic["packets_denied"],
        "mail": traffic["mail_connections"],
    }


async def events(request: Request, login: Login) -> Response:
    """Those of the last hours; the page's script adds what comes."""
    return render(request, "administrator/events.html", events=await _events(login))


async def _events(login: Login) -> list[dict[str, Any]]:
    """The events that the daemon remembers, the newest first."""
    following = login.link.events(_BEFORE_ALL)
    try:
        told = await anext(following)
    finally:
        await close(following)
    return [
        {**event, "at": moment(event["time"]), "datetime": iso(event["time"])} for event in reversed(told["events"])
    ][:SHOWN]


def routes() -> list[BaseRoute]:
    return [
        get("/host", host, administrator=True),
        get("/doctor", doctor, administrator=True),
        get("/coverage", coverage, administrator=True),
        get("/differences", differences, administrator=True),
        get("/network", network, administrator=True),
        get("/events", events, administrator=True),
        post("/reconcile", reconcile, administrator=True),
    ]
