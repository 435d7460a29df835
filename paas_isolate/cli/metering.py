"""usage, bill, faults: what accounts used, what it costs, and which limits they have hit."""

import csv
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger import queries
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.queries import LABEL, MONTH, Question, Total
from paas_isolate.metering import bill as bills
from paas_isolate.metering import report
from paas_isolate.metering.calendar import HOUR, Calendar, days_of
from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import Use
from paas_isolate.model.account import Host
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.units import format_size

as_csv = click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of text.")
_MOST = 10
"""Accounts that --top lists."""


class Day(click.ParamType[date]):
    """A day such as 2026-10-25."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no day; expected one such as 2026-10-25.", param, ctx)


class Month(click.ParamType[str]):
    """A month such as 2026-10."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            days_of(value)
        except ValueError:
            self.fail(f"{value} is no month; expected one such as 2026-10.", param, ctx)
        return str(value)


@click.command()
@click.argument("account", default="")
@click.option("--from", "first", type=Day(), metavar="DAY", help="The first day, such as 2026-10-25.")
@click.option("--to", "last", type=Day(), metavar="DAY", help="The last day, which is included (today).")
@click.option(
    "--period", metavar="PERIOD", help="today (this is the default), yesterday, week, month, 2026-10 or 2026-10-25."
)
@click.option("--by", type=click.Choice(["hour", "day", "month", "leaf"]), help="A line for each, not one for all.")
@click.option("--top", type=click.Choice(list(report.TOPS)), help="The ten accounts with the most of this.")
@as_json
@as_csv
@click.pass_obj
def usage(
    installation: Installation,
    account: str,
    first: date | None,
    last: date | None,
    period: str | None,
    by: str | None,
    top: str | None,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Show what accounts used in some days: CPU time, memory, disk, network, processes; how long that was measured, and
    which limits were hit.

    Days begin in the time zone of config.yaml. Hours have lines only for who did something in them.
    """
    need_root()
    calendar = _calendar(installation.directory.host())
    today = _today(calendar)
    if period and (first or last):
        raise click.UsageError("expected --period, or --from and --to")
    try:
        begin, end = report.period(period or "today", today)
    except ValueError as error:
        raise click.UsageError(f"--period is {period}; expected {error}") from None
    if first or last:
        begin, end = first or last or today, last or today
    question = _question(calendar, begin, end, account, by)
    found = _ask(installation, calendar, question)
    if top:
        most = report.TOPS[top]
        found = sorted((each for each in found if most(each.use)), key=lambda each: -(most(each.use) or 0))[:_MOST]
    rows = [
        {"account": each.account, "leaf": each.leaf, "plan": each.plan, "time": _time(each, calendar)}
        | report.plain(each.use)
        for each in found
    ]
    if as_json:
        output.print_json({"from": str(begin), "to": str(end), "time_zone": calendar.name, "rows": rows})
    elif as_csv:
        _csv(["account", "leaf", "plan", "time", *report.plain(Use())], rows)
    else:
        _tell_usage(found, calendar, by or "")
    return Exit.CONVERGED


def _question(calendar: Calendar, begin: date, end: date, account: str, by: str | None) -> Question:
    if by == "hour":
        midnight = calendar.midnight(begin) // 1000
        after = midnight + calendar.seconds_of(begin, end)
        return Question("hour", midnight // HOUR, (after - 1) // HOUR, account, by=LABEL)
    labels = {"day": LABEL, "month": MONTH}.get(by or "", "")
    return Question("day", str(begin), str(end), account, leaves=by == "leaf", by=labels)


def _ask(installation: Installation, calendar: Calendar, question: Question) -> list[Total]:
    with reading(installation.ledger) as connection:
        connection.execute("BEGIN")  # one state of the ledger for all of it
        if question.account and not queries.known(connection, question.account):
            raise click.UsageError(f"no account {question.account} was measured")
        return queries.totals(connection, question, calendar)


def _today(calendar: Calendar) -> date:
    return date.fromisoformat(calendar.label(time.time_ns() // 1_000_000).day)


def _calendar(host: Host) -> Calendar:
    return Calendar((host.metering or MeteringConfig()).time_zone)


def _time(total: Total, calendar: Calendar) -> str:
    if isinstance(total.label, int):
        return datetime.fromtimestamp(total.label * HOUR, UTC).astimezone(calendar.zone).isoformat(timespec="minutes")
    return total.label


def _tell_usage(found: Sequence[Total], calendar: Calendar, by: str) -> None:
    if not found:
        output.line("nothing was measured in this time")
        return
    titles = ("ACCOUNT", *(["LEAF"] if by == "leaf" else []), *(["TIME"] if by in ("hour", "day", "month") else []))
    networked = any(each.use.received is not None for each in found)
    traffic = ("RECEIVED", "SENT") if networked else ()
    right = ("CPU TIME", "MEMORY", "PEAK", "PROCESSES", "READ", "WRITTEN", *traffic, "THROTTLED", "MEASURED")
    rows = []
    for each in found:
        use = each.use
        keys = [each.account, *([each.leaf] if by == "leaf" else [])]
        keys += [_time(each, calendar)] if by in ("hour", "day", "month") else []
        figures = (
            _duration(use.cpu),
            _size(report.mean_memory(use)),
            _size(use.peak),
            "-" if use.pids is None else str(use.pids),
            _size(use.read),
            _size(use.written),
            *([_size(use.received), _size(use.sent)] if networked else []),
            _duration(use.throttled),
            _duration((use.measured or 0) * 1000),
        )
        rows.append((*keys, each.plan or "-", *figures, _hits(use._asdict())))
    output.table((*titles, "PLAN", *right, "HITS"), rows, right=right)


def _duration(microseconds: Number) -> str:
    if microseconds is None:
        return "-"
    seconds = microseconds / 1e6
    return f"{seconds:.1f}s" if seconds < 3600 else f"{seconds / 3600:.1f}h"


def _size(size: Number) -> str:
    return "-" if size is None else format_size(size)


_KINDS = {"killed": "memory killed", "slowed": "memory slowed", "refused": "processes refused"}


def _hits(use: Mapping[str, Number]) -> str:
    return ", ".join(f"{use[kind]} {words}" for kind, words in _KINDS.items() if use[kind]) or "-"


@click.command()
@click.option("--month", type=Month(), metavar="MONTH", help="Such as 2026-10 (the last one that has ended).")
@as_json
@as_csv
@click.pass_obj
def bill(installation: Installation, month: str | None, as_json: bool, as_csv: bool) -> int:
    """Show what each account used in a month, which share of it was measured, and the amount at the prices of
    config.yaml.

    An account whose plan changed has a line for each plan. Accounts that were deleted since are there too.
    """
    need_root()
    host = installation.directory.host()
    calendar = _calendar(host)
    which = month or str(_today(calendar).replace(day=1) - timedelta(days=1))[:7]
    first, last = days_of(which)
    seconds = calendar.seconds_of(first, last)
    prices = dict((host.metering or MeteringConfig()).prices)
    found = _ask(installation, calendar, Question("day", str(first), str(last)))
    lines = [bills.line(each.account, each.plan, each.use, seconds, prices) for each in found]
    amount = bills.amount_of_all(lines)
    if as_json:
        data = {"month": which, "time_zone": calendar.name, "hours": seconds / HOUR, "prices": prices}
        output.print_json({**data, "lines": [each._asdict() for each in lines], "amount": amount})
    elif as_csv:
        _csv(list(bills.Line._fields), [each._asdict() for each in lines])
    elif not lines:
        output.line("nothing was measured in this month")
    else:
        titles = [name.upper().replace("_", " ") for name in bills.Line._fields]
        output.table(titles, map(_bill_row, lines), right=titles[2:])
        if amount is not None:
            output.line(f"all accounts: {amount}")
    if calendar.midnight(last) / 1000 + 86_400 > time.time():
        output.line(f"{which} has not ended: this bill will change", fg="yellow", err=True)
    return Exit.CONVERGED


def _bill_row(line: bills.Line) -> tuple[str, ...]:
    quantities = ("-" if value is None else str(value) for value in line[2:-2])
    amount = "-" if line.amount is None else str(line.amount)
    return (line.account, line.plan or "-", *quantities, f"{line.measured:.2%}", amount)


@click.command()
@click.argument("account", default="")
@click.option("--kind", type=click.Choice(list(_KINDS)), help="Only faults of this kind.")
@click.option("--since", type=Day(), metavar="DAY", help="The first day (the day before yesterday).")
@as_json
@click.pass_obj
def faults(installation: Installation, account: str, kind: str | None, since: date | None, as_json: bool) -> int:
    """Show which limits of accounts and leaves were hit, hour by hour: processes killed for memory, slowed down by
    memory.high, and forks refused by the limit of processes. They are kept for a year, also of what is gone."""
    need_root()
    calendar = _calendar(installation.directory.host())
    now = time.time_ns() // 1_000_000
    begin = calendar.midnight(since) if since else now - 2 * 24 * HOUR * 1000
    question = Question("hour", begin // 1000 // HOUR, now // 1000 // HOUR, account, leaves=True, by=LABEL)
    rows = [
        {
            "time": _time(each, calendar),
            "account": each.account,
            "leaf": each.leaf,
            "kind": name,
            "number": number,
        }
        for each in _ask(installation, calendar, question)
        for name in _KINDS
        if (number := getattr(each.use, name)) and kind in (None, name)
    ]
    rows.sort(key=lambda row: (row["time"], row["account"], row["leaf"]))
    if as_json:
        output.print_json(rows)
    elif not rows:
        output.line("no limit was hit in this time")
    else:
        titles = ("HOUR", "ACCOUNT", "LEAF", "WHAT", "NUMBER")
        shown = (
            (row["time"], row["account"], row["leaf"] or "-", _KINDS[row["kind"]], str(row["number"])) for row in rows
        )
        output.table(titles, shown, right=("NUMBER",))
    return Exit.CONVERGED


def _csv(titles: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows([row[title] for title in titles] for row in rows)
    for line in text.getvalue().splitlines():
        output.line(line)
