"""status --host: the machine as a whole."""

import time
from collections import Counter
from contextlib import suppress
from typing import Any

from paas_isolate.cli import output
from paas_isolate.cli.account_list import listed, open_tree
from paas_isolate.cli.metering import calendar_of
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.ledger import faults
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.recent import recent
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.live.machine import MachineReader, plain
from paas_isolate.live.rates import LIMIT_KNOBS, limits_of
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.faults import WORDS
from paas_isolate.metering.reading import number
from paas_isolate.model import tree
from paas_isolate.text import counted
from paas_isolate.units import format_size

_LOOK = 0.1
"""Seconds between two looks at the machine: pressure is what grows between them."""
_HOUR = 3_600_000
_LISTED = 50


def host(installation: Installation, *, as_json: bool) -> int:
    """Print the machine's use and pressure, how many accounts there are, and who stood at a limit in the last hour."""
    fleet = installation.fleet()
    calendar, now = calendar_of(fleet.host), time.time_ns() // 1_000_000
    reader = MachineReader()
    reader.read()
    begun = time.monotonic()
    with open_tree(installation, fleet) as cgroups:
        states = Counter(each.state for each in listed(installation, fleet, cgroups))
        customers = _customers(cgroups) if cgroups else {}
    at_limit, active, sampled = _from_ledger(installation, calendar, now)
    time.sleep(max(0.0, _LOOK - (time.monotonic() - begun)))
    data = {
        "time": calendar.time(now).isoformat(timespec="seconds"),
        "machine": plain(reader.read()),
        "customers": customers,
        "accounts": {"total": states.total(), "active": active, **states},
        "complaints": sum(not complaint.warning for complaint in fleet.complaints),
        "at_limit": at_limit[:_LISTED],
        "accounts_at_limit": len(at_limit),
        "sampled": sampled,
    }
    if as_json:
        output.print_json(data)
    else:
        _tell(data)
    return Exit.CONVERGED


def _customers(cgroups: CgroupTree) -> dict[str, int | None]:
    """What all customers together use, and their ceiling."""
    knobs, _ = cgroups.look(tree.USERS, (*LIMIT_KNOBS, "memory.current", "pids.current")) or ({}, ())
    limits = limits_of(knobs)
    return {
        "memory": number(knobs.get("memory.current")),
        "memory_limit": limits.memory,
        "pids": number(knobs.get("pids.current")),
        "pids_limit": limits.pids,
    }


def _from_ledger(installation: Installation, calendar: Calendar, now: int) -> tuple[list[dict[str, Any]], Any, Any]:
    """Who was at a limit in the last hour, those with the most faults first; how many accounts did something; when the
    last sample was written. None where nothing is measured."""
    found: dict[str, dict[str, Any]] = {}
    with suppress(HostError), reading(installation.ledger) as connection:
        for each in faults.incidents(connection, since=now - _HOUR):
            if each.directory:
                row = found.setdefault(each.account, {"account": each.account, "number": 0, "kinds": {}, "last": 0})
                row["number"] += each.number
                row["kinds"][each.kind.value] = row["kinds"].get(each.kind.value, 0) + each.number
                row["last"] = max(row["last"], each.end)
        lately = recent(connection, now)
        rows = sorted(found.values(), key=lambda row: -int(row["number"]))
        for row in rows:
            row["last"] = calendar.time(row["last"]).isoformat(timespec="seconds")
        if lately is None:
            return rows, None, None
        active = sum(bool(use.rates.cpu) for use in lately.accounts.values())
        return rows, active, calendar.time(lately.sampled).isoformat(timespec="seconds")
    return [], None, None


def _tell(data: dict[str, Any]) -> None:
    use = data["machine"]
    output.line(f"{counted(use['cores'], 'core')}, {_share(use['cpu_share'])} used")
    output.line(f"memory: {format_size(use['memory'])} of {format_size(use['memory_total'])} used")
    waits = (f"{name} {_share(use[f'{name.lower()}_pressure'])}" for name in ("CPU", "memory", "IO"))
    output.line(f"pressure: {', '.join(waits)}")
    total, active, *_ = data["accounts"].values()
    states = {key: number for key, number in data["accounts"].items() if key not in ("total", "active")}
    output.line(f"{counted(total, 'account')}: {', '.join(f'{number} {state}' for state, number in states.items())}")
    if active is not None:
        output.line(f"{active} did something since the hour before this one began")
    if data["complaints"]:
        output.line(f"{counted(data['complaints'], 'mistake')} in the specifications: paas-isolate check", fg="yellow")
    output.line(f"last sample: {data['sampled'] or 'none'}")
    if data["at_limit"]:
        output.table(("AT A LIMIT", "NUMBER", "WHAT", "LAST"), map(_row, data["at_limit"]), right=("NUMBER",))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    words = {kind.value: text for kind, text in WORDS.items()}
    what = ", ".join(f"{number} {words[kind]}" for kind, number in row["kinds"].items())
    return row["account"], str(row["number"]), what, row["last"][:19].replace("T", " ")


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"
