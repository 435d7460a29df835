"""usage: what accounts used."""

import csv
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from io import StringIO
from itertools import zip_longest
from typing import Any, NamedTuple

import click

from paas_isolate.cli import output, sparklines
from paas_isolate.cli.options import ParamType, as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger import queries
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.queries import LABEL, MONTH, Question, Total
from paas_isolate.metering import report
from paas_isolate.metering.calendar import HOUR, Calendar
from paas_isolate.metering.faults import WORDS, Kind
from paas_isolate.metering.labels import Group, Labels, grouped, has
from paas_isolate.metering.reading import Number
from paas_isolate.metering.use import Use
from paas_isolate.model.account import Host
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.units import format_size

as_csv = click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of text.")
_MOST = 10
"""Accounts that --top lists."""


class Label(ParamType[tuple[str, str]]):
    """A label such as reseller=north."""

    name = "label"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, equals, text = value.partition("=")
        if not key or not equals:
            self.fail(f"{value} is no label; expected one such as reseller=north.", param, ctx)
        return key, text


with_label = click.option(
    "--label", "labels", type=Label(), multiple=True, metavar="KEY=VALUE", help="Only accounts with this label."
)
by_label = click.option("--by-label", default="", metavar="KEY", help="Add accounts up by the value of this label.")


class Day(ParamType[date]):
    """A day such as 2026-10-25."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no day; expected one such as 2026-10-25.", param, ctx)


@click.command()
@click.argument("account", default="")
@click.option("--from", "first", type=Day(), metavar="DAY", help="The first day, such as 2026-10-25.")
@click.option("--to", "last", type=Day(), metavar="DAY", help="The last day, which is included (today).")
@click.option(
    "--period", metavar="PERIOD", help="today (this is the default), yesterday, week, month, 2026-10 or 2026-10-25."
)
@click.option("--by", type=click.Choice(["hour", "day", "month", "leaf"]), help="A line for each, not one for all.")
@click.option("--top", type=click.Choice(list(report.TOPS)), help="The ten accounts with the most of this.")
@click.option("--sparkline", is_flag=True, help="A column of characters: CPU time, or what --top asks for, over time.")
@with_label
@by_label
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
    sparkline: bool,
    labels: tuple[tuple[str, str], ...],
    by_label: str,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Show what accounts used in some days: CPU time, memory, disk, network, processes; how long that was measured, and
    which limits were hit.

    Days begin in the time zone of config.yaml. Hours have lines only for who did something in them.
    """
    need_root()
    calendar = calendar_of(installation.directory.host())
    today = today_of(calendar)
    if period and (first or last):
        raise click.UsageError("expected --period, or --from and --to")
    try:
        begin, end = report.period(period or "today", today)
    except ValueError as error:
        raise click.UsageError(f"--period is {period}; expected {error}") from None
    if first or last:
        begin, end = first or last or today, last or today
    if begin > end:
        raise click.UsageError(f"--from is {begin}, which is after {end}")
    if begin > today:
        raise click.UsageError(f"{begin} has not begun")
    if by_label and by == "leaf":
        raise click.UsageError("expected --by-label, or --by leaf")
    if sparkline and by not in (None, "leaf"):
        raise click.UsageError(f"expected --sparkline, or --by {by}")
    found, known = ask(installation, calendar, _question(calendar, begin, end, account, by), labels)
    rows: list[_Row] = (
        [_group_row(each, by_label, calendar) for each in _grouped(found, known, by_label)]
        if by_label
        else [_account_row(each, calendar) for each in found]
    )
    if top:
        most = report.TOPS[top]
        rows = sorted((row for row in rows if most(row.use)), key=lambda row: -(most(row.use) or 0))[:_MOST]
    data = [row.keys | report.plain(row.use) for row in rows]
    if as_json:
        output.print_json({"from": str(begin), "to": str(end), "time_zone": calendar.name, "rows": data})
    elif as_csv:
        print_csv([*(_GROUP_KEYS if by_label else _KEYS), *report.plain(Use())], data)
    elif sparkline:
        steps = sparklines.steps(calendar, begin, end, account, leaves=by == "leaf")
        figure_of, idle = report.TOPS[top or "cpu"], None if top == "memory" else 0.0
        found, known = ask(installation, calendar, steps.question, labels)
        with reading(installation.ledger) as connection:
            measured = queries.written(connection, steps.question)
        key_of = (lambda each: value_of(each, known, by_label)) if by_label else _key
        drawn = sparklines.lines(found, steps.labels, measured, key_of, figure_of, idle)
        tell(data, by, f"{top or 'cpu'} by {steps.word}", [drawn.get(row.key, "") for row in rows])
    else:
        tell(data, by)
    return Exit.CONVERGED


def _key(total: Total) -> object:
    return total.directory, total.leaf, total.plan


class _Row(NamedTuple):
    """A line of `usage`: what it is about, and what was used. `key` is _key's, or the value of a label."""

    keys: dict[str, Any]
    use: Use
    key: object


_KEYS = ("account", "leaf", "plan", "time")
_GROUP_KEYS = ("label", "value", "accounts", "time")


def _account_row(total: Total, calendar: Calendar) -> _Row:
    keys = total.account, total.leaf, total.plan, _time(total.label, calendar)
    return _Row(dict(zip(_KEYS, keys, strict=True)), total.use, _key(total))


def _group_row(group: Group, label: str, calendar: Calendar) -> _Row:
    keys = label, group.value, group.accounts, _time(group.time, calendar)
    return _Row(dict(zip(_GROUP_KEYS, keys, strict=True)), group.use, group.value)


def _grouped(found: Iterable[Total], known: Mapping[str, Labels], label: str) -> list[Group]:
    return grouped((value_of(each, known, label), each.directory, each.label, each.use) for each in found)


def value_of(total: Total, known: Mapping[str, Labels], label: str) -> str:
    """The value of an account's label; '' where it has none. `known` are the labels by directory."""
    return known.get(total.directory, {}).get(label, "")


def _question(calendar: Calendar, begin: date, end: date, account: str, by: str | None) -> Question:
    if by == "hour":
        midnight = calendar.midnight(begin) // 1000
        after = midnight + calendar.seconds_of(begin, end)
        return Question("hour", midnight // HOUR, (after - 1) // HOUR, account, by=LABEL)
    labels = {"day": LABEL, "month": MONTH}.get(by or "", "")
    return Question("day", str(begin), str(end), account, leaves=by == "leaf", by=labels)


def ask(
    installation: Installation,
    calendar: Calendar,
    question: Question,
    labels: Collection[tuple[str, str]] = (),
) -> tuple[list[Total], Mapping[str, Labels]]:
    """What was used by accounts with these labels, and the labels of all accounts by directory."""
    with reading(installation.ledger) as connection:
        if question.account:
            need_measured(connection, question.account)
        found, known = queries.totals(connection, question, calendar), queries.labels(connection)
    return [each for each in found if has(known.get(each.directory, {}), labels)], known


def need_measured(connection: sqlite3.Connection, account: str) -> None:
    """UsageError where the ledger has nothing of an account with this name."""
    if not queries.known(connection, account):
        from difflib import get_close_matches  # imported for mistyped names only

        nearest = get_close_matches(account, queries.accounts(connection), n=1)
        raise click.UsageError(f"no account {account} was measured{f'; did you mean {nearest[0]}?' if nearest else ''}")


def today_of(calendar: Calendar) -> date:
    return date.fromisoformat(calendar.label(time.time_ns() // 1_000_000).day)


def calendar_of(host: Host) -> Calendar:
    """In the time zone of config.yaml."""
    return Calendar((host.metering or MeteringConfig()).time_zone)


def _time(label: int | str, calendar: Calendar) -> str:
    if isinstance(label, int):
        return calendar.time(label * HOUR * 1000).isoformat(timespec="minutes")
    return label


def tell(rows: Sequence[Mapping[str, Any]], by: str | None, title: str = "", lines: Sequence[str] = ()) -> None:
    """Print the rows of `usage --json`, which was asked with this --by. `lines` are a column more."""
    if not rows:
        output.line("nothing was measured in this time")
        return
    hidden = {"leaf": by != "leaf", "time": by not in ("hour", "day", "month"), "label": True}
    keys = [key for key in rows[0] if key in {*_KEYS, *_GROUP_KEYS} and not hidden.get(key)]
    networked = any(row["received"] is not None for row in rows)
    traffic = ("RECEIVED", "SENT") if networked else ()
    right = ("CPU TIME", "MEMORY", "PEAK", "PROCESSES", "READ", "WRITTEN", *traffic, "THROTTLED", "MEASURED")
    table = []
    for row, line in zip_longest(rows, lines):
        figures = (
            _duration(row["cpu_seconds"]),
            _size(row["memory_mean"]),
            _size(row["memory_peak"]),
            "-" if row["pids_peak"] is None else str(row["pids_peak"]),
            _size(row["read"]),
            _size(row["written"]),
            *([_size(row["received"]), _size(row["sent"])] if networked else []),
            _duration(row["throttled_seconds"]),
            _duration(row["measured_seconds"]),
        )
        drawn = (line or "",) if title else ()
        table.append((*(str(row[key]) or "-" for key in keys), *drawn, *figures, _hits(row)))
    titles = [(rows[0]["label"] if key == "value" else key).upper() for key in keys]
    if title:
        titles.append(title.upper())
    output.table((*titles, *right, "HITS"), table, right=("ACCOUNTS", *right))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f}s" if seconds < 3600 else f"{seconds / 3600:.1f}h"


def _size(size: Number) -> str:
    return "-" if size is None else format_size(size)


_KINDS = {kind.value: WORDS[kind] for kind in (Kind.KILLED, Kind.SLOWED, Kind.REFUSED)}


def _hits(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{row[kind]} {words}" for kind, words in _KINDS.items() if row[kind]) or "-"


def print_csv(titles: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Lines of CSV with these columns of the rows; None is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows([row[title] for title in titles] for row in rows)
    for line in text.getvalue().splitlines():
        output.line(line)
