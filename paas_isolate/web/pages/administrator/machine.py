"""The machine: pressure, what it lacks, processes outside, what differs, addresses, and what happens."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.control import logins
from paas_isolate.exits import Exit
from paas_isolate.metering.faults import WORDS, Kind
from paas_isolate.text import counted
from paas_isolate.web.event_stream import close
from paas_isolate.web.filters import iso, moment, size
from paas_isolate.web.link import AskError
from paas_isolate.web.logins import Login
from paas_isolate.web.pages import figures
from paas_isolate.web.pages.administrator.accounts import TONES
from paas_isolate.web.pages.administrator.tables import Part, part_of
from paas_isolate.web.pages.base import done, get, post, render

_BEFORE_ALL = "0.0"
"""No event has this id: the daemon tells all that it remembers."""
SHOWN = 500
"""Processes and sentences that a page shows."""
CHANGED = "changed"
"""Kind of the events that say what a run has changed."""
_OF_MACHINE = (CHANGED, *(kind.value for kind in Kind))
"""Kinds after which the machine's figures are asked for again: none that strangers cause."""
KINDS = (*_OF_MACHINE, logins.KIND)
_HITS = {kind.value: words for kind, words in WORDS.items()}
_COUNTS = {"total": "Accounts", "active": "Active since the hour before"}
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
    machine, customers = told["machine"], told["customers"]
    bars = [
        ("CPU of the machine", figures.of_share(machine["cpu_share"])),
        ("Memory of the machine", figures.of_size(machine["memory"], machine["memory_total"])),
        ("Waited for CPU time", figures.of_share(machine["cpu_pressure"])),
        ("Waited for memory", figures.of_share(machine["memory_pressure"])),
        ("Waited for the disk", figures.of_share(machine["io_pressure"])),
        ("Memory of all customers", figures.of_size(customers.get("memory"), customers.get("memory_limit"))),
        ("Processes of all customers", figures.of_count(customers.get("pids"), customers.get("pids_limit"))),
    ]
    return render(
        request,
        "administrator/host.html",
        figures=bars,
        counts=list(_counts(told["accounts"])),
        at_limit=[_at_limit(each) for each in told["at_limit"]],
        more=told["accounts_at_limit"] - len(told["at_limit"]),
        mistakes=told["complaints"],
        sampled=told["sampled"],
        kinds=_OF_MACHINE,
    )


def _counts(accounts: Mapping[str, int | None]) -> Iterator[tuple[str, str, str]]:
    """Title, number, and what a state means for whoever looks."""
    for key, number in accounts.items():
        if number is not None:
            yield _COUNTS.get(key, key), str(number), TONES.get(key, "")


def _at_limit(told: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ", ".join(f"{number} {_HITS.get(kind, kind)}" for kind, number in told["kinds"].items())
    return {"account": told["account"], "number": told["number"], "kinds": kinds, "last": told["last"]}


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
        repaired=await _changed_lately(login),
        parts=[("Wrong in the files", mistakes), *listed],
    )


async def _changed_lately(login: Login) -> list[str]:
    told = await _remembered(login)
    changes = [event for event in told["events"] if event["kind"] == CHANGED][-SHOWN:]
    return [f"{moment(event['time'])} {_with_account(event)}" for event in reversed(changes)]


def _with_account(event: Mapping[str, Any]) -> str:
    return f"{event['account']}: {event['sentence']}" if event["account"] else str(event["sentence"])


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
    try:
        part = await part_of(login, "network", "/network", request.query_params)
        nothing = "There is no account."
    except AskError as error:
        if error.status != Exit.UNFIT:
            raise
        part, nothing = Part({"accounts": {}}, "", ""), error.words  # this machine has no network of accounts
    return render(
        request,
        "administrator/network.html",
        rows=[_traffic(name, account) for name, account in part.told["accounts"].items()],
        nothing=nothing,
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
    """Those that the daemon remembers; the page's script adds those that come after the last one."""
    told = await _remembered(login)
    return render(
        request,
        "administrator/events.html",
        events=[shown(event) for event in reversed(told["events"][-SHOWN:])],
        last=told["last"],
        kinds=KINDS,
    )


async def _remembered(login: Login) -> Mapping[str, Any]:
    following = login.link.events(_BEFORE_ALL)
    try:
        return await anext(following)
    finally:
        await close(following)


def shown(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**event, "at": moment(event["time"]), "datetime": iso(event["time"])}


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
