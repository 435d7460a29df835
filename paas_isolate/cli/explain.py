"""explain: why an account was slow, or something of it was killed."""

import time
from collections.abc import Mapping
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.metering import calendar_of, need_measured
from paas_isolate.cli.options import as_json, no_command_lines
from paas_isolate.exits import Exit
from paas_isolate.explain import around, gather
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger import past
from paas_isolate.ledger.database import reading
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.clock import Clock, moment_of
from paas_isolate.metering.explanation import Explanation, Facts, for_customer, without_arguments
from paas_isolate.metering.explanation import explain as explained


@click.command()
@click.argument("account")
@click.option("--at", "at", metavar="TIME", help="Around this time, such as 14:05 or '2026-11-28 14:05'.")
@click.option("--for-customer", "by_customer", is_flag=True, help="Leave out what is about others and the machine.")
@no_command_lines
@as_json
@click.pass_obj
def explain(
    installation: Installation, account: str, at: str | None, by_customer: bool, no_command_lines: bool, as_json: bool
) -> int:
    """Say why an account was slow, or why something of it was killed, in the last 24 hours or around a time: which
    limit did it, which processes, what was changed before, whether the machine itself was short and who else used it,
    and which limit would have been enough, as far as that is known.

    Times are in the time zone of config.yaml. `14:05` is the last time that the clock showed it.
    """
    need_root()
    calendar = calendar_of(installation.directory.host())
    now = time.time_ns() // 1_000_000
    try:
        moment = moment_of(at, calendar, now) if at else None
    except ValueError as error:
        raise click.UsageError(f"--at is {at}; expected {error}") from None
    if moment is not None and moment > now:
        raise click.UsageError(f"--at is {at}; expected a time that has passed")
    with reading(installation.ledger) as connection:
        need_measured(connection, account)
        facts = gather(connection, account, around(moment, now), now, calendar)
        if by_customer:
            facts = for_customer(facts, (past.directories(connection, account) or [account])[-1])
    if no_command_lines:
        facts = without_arguments(facts)
    clock = Clock(calendar, now)
    found = explained(facts, clock)
    data = _data(facts, found, calendar)
    if as_json:
        output.print_json(data)
    else:
        tell(data)
    return Exit.CONVERGED


def _data(facts: Facts, found: Explanation, calendar: Calendar) -> dict[str, Any]:
    findings = [
        {**each._asdict(), "begin": _iso(each.begin, calendar), "end": _iso(each.end, calendar)}
        for each in found.findings
    ]
    return {
        "account": facts.account,
        "from": _iso(facts.begin, calendar),
        "to": _iso(facts.end, calendar),
        "time_zone": calendar.name,
        "measured_seconds": facts.measured / 1000,
        "summary": found.summary,
        "findings": findings,
        "notes": found.notes,
    }


def _iso(wall: int, calendar: Calendar) -> str:
    return calendar.time(wall).isoformat(timespec="seconds")


def tell(data: Mapping[str, Any]) -> None:
    """Print an explanation that was written as JSON."""
    findings = data["findings"]
    output.line(data["summary"], fg="yellow" if findings else "green")
    for finding in findings:
        first, *more = finding["sentences"]
        if len(findings) > 1:  # the summary is the first sentence of one of them
            output.line("")
            output.line(first)
        for sentence in more:
            output.line(f"  {sentence}")
    if data["notes"]:
        output.line("")
    for note in data["notes"]:
        output.line(note)
    begin, end = (data[key][:16].replace("T", " ") for key in ("from", "to"))
    output.line(f"Looked at: {data['account']}, from {begin} to {end} ({data['time_zone']}).")
