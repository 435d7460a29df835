"""faults: which limits accounts have hit, and which processes did it."""

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.metering import Day, calendar_of, need_measured
from paas_isolate.cli.options import as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger import faults as rows
from paas_isolate.ledger.database import reading
from paas_isolate.metering.calendar import HOUR, Calendar
from paas_isolate.metering.faults import WORDS, Incident, Kind, Level, Picture, Process
from paas_isolate.metering.guilty import guilty
from paas_isolate.metering.reading import cores_of
from paas_isolate.units import format_size

_SHOWN = 10
"""Processes of a picture that are shown as text."""
_LEVELS = {
    Level.LEAF: "leaf",
    Level.ACCOUNT: "account",
    Level.ALL: "all customers",
    Level.MACHINE: "machine",
}


@click.command()
@click.argument("account", default="")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only faults of this kind.")
@click.option("--since", type=Day(), metavar="DAY", help="The first day (two days back).")
@click.option("--pictures", is_flag=True, help="Show the processes of each incident, too.")
@as_json
@click.pass_obj
def faults(
    installation: Installation, account: str, kind: str | None, since: date | None, pictures: bool, as_json: bool
) -> int:
    """Show which limits were hit, an incident a line: when, by whom, whose limit it was, how often, and which process
    was it most likely. Faults at most five minutes apart are one incident. They are kept for a year, also of what is
    gone.

    Kinds: killed (for memory), slowed (by memory.high), refused (processes), throttled (CPU), waited (for IO), disk
    (its quota is full).
    """
    need_root()
    calendar = calendar_of(installation.directory.host())
    now = time.time_ns() // 1_000_000
    begin = calendar.midnight(since) if since else now - 2 * 24 * HOUR * 1000
    if begin > now:
        raise click.UsageError(f"--since is {since}, which has not begun")
    with reading(installation.ledger) as connection:
        found = rows.incidents(connection, account, Kind(kind) if kind else None, begin)
        if account and not found:
            need_measured(connection, account)
        shown = [(each, rows.pictures(connection, each.id)) for each in found]
    if as_json:
        output.print_json([_plain(each, taken, calendar, pictures=pictures) for each, taken in shown])
    elif not shown:
        output.line("no limit was hit in this time")
    elif pictures:
        for each, taken in shown:
            _tell([(each, taken)], calendar)
            _tell_pictures(taken, calendar)
    else:
        _tell(shown, calendar)
    return Exit.CONVERGED


def _plain(incident: Incident, taken: Sequence[Picture], calendar: Calendar, *, pictures: bool) -> dict[str, Any]:
    process = guilty(incident, taken)
    data = incident._asdict() | {
        "begin": calendar.time(incident.begin).isoformat(timespec="seconds"),
        "end": calendar.time(incident.end).isoformat(timespec="seconds"),
        "process": process._asdict() if process else None,
    }
    del data["directory"]
    if pictures:
        data["pictures"] = [_plain_picture(incident, picture, calendar) for picture in taken]
    return data


def _plain_picture(incident: Incident, picture: Picture, calendar: Calendar) -> dict[str, Any]:
    process = guilty(incident, [picture])
    return {
        "time": calendar.time(picture.wall).isoformat(timespec="seconds"),
        "process": process._asdict() if process else None,
        "processes": [each._asdict() for each in picture.processes],
        "before": [each._asdict() for each in picture.before],
    }


def _tell(shown: Sequence[tuple[Incident, Sequence[Picture]]], calendar: Calendar) -> None:
    titles = ("WHEN", "FOR", "ACCOUNT", "LEAF", "WHAT", "LIMIT OF", "LIMIT", "NUMBER", "PROCESS")
    output.table(titles, (_row(each, taken, calendar) for each, taken in shown), right=("FOR", "NUMBER"))


def _row(incident: Incident, taken: Sequence[Picture], calendar: Calendar) -> tuple[str, ...]:
    process = guilty(incident, taken)
    return (
        calendar.time(incident.begin).isoformat(" ", "seconds")[:19],
        _duration((incident.end - incident.begin) / 1000),
        incident.account or "-",
        incident.leaf or (process.leaf if process else "") or "-",
        WORDS[incident.kind],
        _LEVELS[incident.level],
        limit_words(incident.kind, incident.limit),
        _number(incident),
        f"{process.command} ({process.pid})" if process else "-",
    )


def _number(incident: Incident) -> str:
    if incident.kind in (Kind.THROTTLED, Kind.WAITED) and incident.amount is not None:
        return f"{incident.number} ({_duration(incident.amount / 1e6)})"
    return str(incident.number)


def limit_words(kind: Kind, limit: str) -> str:
    """A limit as people write it: `512M`, `50%`, `32`; `-` where there is none."""
    if kind in (Kind.KILLED, Kind.SLOWED, Kind.DISK) and limit.isdigit():
        return format_size(int(limit))
    if kind is Kind.THROTTLED and (cores := cores_of(limit)) is not None:
        return f"{cores * 100:.4g}%"
    return "-" if limit in ("", "max") else limit


def _tell_pictures(taken: Sequence[Picture], calendar: Calendar) -> None:
    for picture in taken:
        output.line(f"  processes at {calendar.time(picture.wall):%H:%M:%S}")
        past = [(process, process.state or "ended") for process in picture.before]
        seen = [*past, *((process, process.state) for process in picture.processes)]
        titles = ("PID", "LEAF", "USER", "MEMORY", "CPU TIME", "STATE", "AGE", "COMMAND")
        output.table(titles, [_process(*each) for each in seen[:_SHOWN]], right=("PID", "MEMORY", "CPU TIME", "AGE"))
        if len(seen) > _SHOWN:
            output.line(f"  and {len(seen) - _SHOWN} more (--json has them)")
    output.line("")


def _process(process: Process, state: str) -> tuple[str, ...]:
    return (
        str(process.pid),
        process.leaf or "-",
        process.user or "-",
        "-" if process.memory is None else format_size(process.memory),
        "-" if process.cpu is None else _duration(process.cpu),
        state or "-",
        "-" if process.age is None else _duration(process.age),
        process.command,
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g}s"
    return f"{seconds / 60:.0f}m" if seconds < 3600 else f"{seconds / 3600:.1f}h"
