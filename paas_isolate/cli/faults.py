"""faults: which limits accounts have hit, and which processes did it."""

import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.metering import Day, calendar_of, need_measured
from paas_isolate.cli.options import as_json, no_command_lines
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger import faults as rows
from paas_isolate.ledger.database import reading
from paas_isolate.metering.calendar import HOUR, Calendar
from paas_isolate.metering.culprits import without_arguments
from paas_isolate.metering.faults import WORDS, Incident, Kind, Level, Picture
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
@no_command_lines
@as_json
@click.pass_obj
def faults(
    installation: Installation,
    account: str,
    kind: str | None,
    since: date | None,
    pictures: bool,
    no_command_lines: bool,
    as_json: bool,
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
    if no_command_lines:
        shown = [(each, [without_arguments(picture) for picture in taken]) for each, taken in shown]
    data = [_plain(each, taken, calendar, pictures=pictures) for each, taken in shown]
    if as_json:
        output.print_json(data)
    else:
        tell(data)
    return Exit.CONVERGED


def tell(data: Sequence[Mapping[str, Any]]) -> None:
    """Print incidents that were written as JSON."""
    if not data:
        output.line("no limit was hit in this time")
    elif any("pictures" in each for each in data):
        for each in data:
            _tell([each])
            _tell_pictures(each["pictures"])
    else:
        _tell(data)


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


def _tell(shown: Sequence[Mapping[str, Any]]) -> None:
    titles = ("WHEN", "FOR", "ACCOUNT", "LEAF", "WHAT", "LIMIT OF", "LIMIT", "NUMBER", "PROCESS")
    output.table(titles, map(_row, shown), right=("FOR", "NUMBER"))


def _row(incident: Mapping[str, Any]) -> tuple[str, ...]:
    process, kind = incident["process"], Kind(incident["kind"])
    begin, end = (datetime.fromisoformat(incident[key]) for key in ("begin", "end"))
    return (
        begin.isoformat(" ", "seconds")[:19],
        _duration((end - begin).total_seconds()),
        incident["account"] or "-",
        incident["leaf"] or (process["leaf"] if process else "") or "-",
        WORDS[kind],
        _LEVELS[Level(incident["level"])],
        limit_words(kind, incident["limit"]),
        _number(kind, incident["number"], incident["amount"]),
        f"{process['command']} ({process['pid']})" if process else "-",
    )


def _number(kind: Kind, number: int, amount: int | None) -> str:
    if kind in (Kind.THROTTLED, Kind.WAITED) and amount is not None:
        return f"{number} ({_duration(amount / 1e6)})"
    return str(number)


def limit_words(kind: Kind, limit: str) -> str:
    """A limit as people write it: `512M`, `50%`, `32`; `-` where there is none."""
    if kind in (Kind.KILLED, Kind.SLOWED, Kind.DISK) and limit.isdigit():
        return format_size(int(limit))
    if kind is Kind.THROTTLED and (cores := cores_of(limit)) is not None:
        return f"{cores * 100:.4g}%"
    return "-" if limit in ("", "max") else limit


def _tell_pictures(taken: Sequence[Mapping[str, Any]]) -> None:
    for picture in taken:
        output.line(f"  processes at {picture['time'][11:19]}")
        past = [{**process, "state": process["state"] or "ended"} for process in picture["before"]]
        seen = [*past, *picture["processes"]]
        titles = ("PID", "LEAF", "USER", "MEMORY", "CPU TIME", "STATE", "AGE", "COMMAND")
        output.table(titles, map(_process, seen[:_SHOWN]), right=("PID", "MEMORY", "CPU TIME", "AGE"))
        if len(seen) > _SHOWN:
            output.line(f"  and {len(seen) - _SHOWN} more (--json has them)")
    output.line("")


def _process(process: Mapping[str, Any]) -> tuple[str, ...]:
    memory, cpu, age = process["memory"], process["cpu"], process["age"]
    return (
        str(process["pid"]),
        process["leaf"] or "-",
        process["user"] or "-",
        "-" if memory is None else format_size(memory),
        "-" if cpu is None else _duration(cpu),
        process["state"] or "-",
        "-" if age is None else _duration(age),
        process["command"],
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g}s"
    return f"{seconds / 60:.0f}m" if seconds < 3600 else f"{seconds / 3600:.1f}h"
