"""chart: what an account used over time, as a picture or as lines of characters."""

import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from shutil import get_terminal_size
from typing import Any, NamedTuple

import click

from paas_isolate.chart import values as charts
from paas_isolate.chart.metrics import METRICS, Metric
from paas_isolate.chart.sparkline import letters_in, sparkline
from paas_isolate.chart.values import Values
from paas_isolate.cli import output
from paas_isolate.cli.metering import calendar_of, need_measured
from paas_isolate.cli.options import as_json
from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger.database import reading
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.live.rates import LIMIT_KNOBS, limits_of
from paas_isolate.metering import report
from paas_isolate.metering.calendar import Calendar
from paas_isolate.model import tree
from paas_isolate.model.account import Host
from paas_isolate.replace_file import Durability, replace_file

_DAY = 24 * 60 * 60 * 1000
_LENGTHS = {"day": _DAY, "week": 7 * _DAY, "month": 30 * _DAY}
"""Words for a time until now."""
_LABEL = 28
"""Characters of a line that are not its sparkline."""


class Asked(NamedTuple):
    """Whose values: an account's or a leaf's, or ('') those of all accounts; `begin` and `end` in ms since 1970."""

    account: str
    leaf: str
    begin: int
    end: int
    now: int


@click.command()
@click.argument("account", default="")
@click.option(
    "--host", "of_host", is_flag=True, help="All accounts together, by hour, and what the machine waited for."
)
@click.option("--metric", "names", multiple=True, type=click.Choice(list(METRICS)), help="Only this; may be repeated.")
@click.option("--period", default="day", metavar="PERIOD", help="day, week, month (until now), 2026-10 or 2026-10-25.")
@click.option("--out", "-o", "path", metavar="FILE", help="Write an SVG picture to this file; - for standard output.")
@as_json
@click.pass_obj
def chart(
    installation: Installation,
    account: str,
    of_host: bool,
    names: tuple[str, ...],
    period: str,
    path: str | None,
    as_json: bool,
) -> int:
    """Draw what an account or ACCOUNT/LEAF used over time, or all accounts together: an SVG picture with -o, lines of
    characters without.

    With --host pressure is that of the whole machine, of which two weeks are kept. What was not measured is a gap. The
    limit is that of now. Times are in the time zone of config.yaml.
    """
    need_root()
    if bool(account) == of_host:
        raise click.UsageError("expected an account, or --host")
    host = installation.directory.host()
    calendar = calendar_of(host)
    asked = _asked(account, period, calendar)
    metrics = [metric for name, metric in METRICS.items() if not names or name in names]
    with reading(installation.ledger) as connection:
        if of_host:
            some = [metric for metric in metrics if metric.of_host]
            if not some:
                raise click.UsageError(f"--metric is {names[0]}, which is not added up over accounts")
            found = charts.of_host(connection, some, asked.begin, asked.end, asked.now)
            limits: Mapping[str, float] = {}
        else:
            directory = _directory(connection, asked)
            found = charts.of_account(connection, asked.account, asked.leaf, metrics, asked.begin, asked.end, asked.now)
            limits = _limits(host, tree.leaf(directory, asked.leaf) if asked.leaf else tree.account(directory))
    if as_json:
        output.print_json(_data(asked, found, limits, calendar))
    elif path:
        from paas_isolate.chart.svg import Frame, draw

        frame = Frame(asked.begin, asked.end, limits, calendar)
        picture = draw(account or "all accounts", _subtitle(asked, calendar), found, frame).encode()
        if path == "-":
            output.raw(picture)
        else:
            replace_file(path, picture, Durability.NONE, mode=0o644)
    else:
        tell(_data(asked, found, limits, calendar), _subtitle(asked, calendar))
    return Exit.CONVERGED


def _asked(account: str, period: str, calendar: Calendar) -> Asked:
    now = time.time_ns() // 1_000_000
    name, _, leaf = account.partition("/")
    if period in _LENGTHS:
        return Asked(name, leaf, now - _LENGTHS[period], now, now)
    try:
        first, last = report.period(period, date.fromisoformat(calendar.label(now).day))
    except ValueError as error:
        raise click.UsageError(f"--period is {period}; expected day, week, {error}") from None
    begin = calendar.midnight(first)
    end = min(now, begin + calendar.seconds_of(first, last) * 1000)
    if end <= begin:
        raise click.UsageError(f"--period is {period}, which has not begun")
    return Asked(name, leaf, begin, end, now)


def _directory(connection: sqlite3.Connection, asked: Asked) -> str:
    found = connection.execute(
        "SELECT series.directory FROM series LEFT JOIN names ON names.directory = series.directory "
        "WHERE coalesce(names.name, series.directory) = ? AND leaf = ? ORDER BY id DESC LIMIT 1",
        (asked.account, asked.leaf),
    ).fetchone()
    if found is None:
        need_measured(connection, asked.account)
        raise click.UsageError(f"no leaf {asked.leaf} of {asked.account} was measured")
    return str(found[0])


def _limits(host: Host, path: str) -> dict[str, float]:
    """The limits that the cgroup has now; {} where it or the tree is gone."""
    try:
        location = find_tree(host.tree)
        with CgroupTree(location.mount, location.root) as cgroups:
            knobs, _ = cgroups.look(path, LIMIT_KNOBS) or ({}, ())
    except (PaasError, OSError):
        return {}
    return {name: limit for name, limit in limits_of(knobs)._asdict().items() if limit is not None}


def _subtitle(asked: Asked, calendar: Calendar) -> str:
    begin, end = (f"{calendar.time(moment):%a %d %b %Y %H:%M}" for moment in (asked.begin, asked.end))
    return f"{begin} to {end}, {calendar.name}"


def _data(asked: Asked, found: Sequence[Values], limits: Mapping[str, float], calendar: Calendar) -> dict[str, Any]:
    names = {metric: name for name, metric in METRICS.items()}
    begin, end = (calendar.time(moment).isoformat(timespec="seconds") for moment in (asked.begin, asked.end))
    metrics = {
        names[each.metric]: {
            "unit": each.metric.unit,
            "begin": calendar.time(each.span.begin).isoformat(timespec="seconds"),
            "step_seconds": each.span.step // 1000,
            "limits": {curve.label: limits[curve.limit] for curve in each.metric.curves if curve.limit in limits},
            "values": each.curves,
        }
        for each in found
    }
    whose = {"account": asked.account, "leaf": asked.leaf}
    return {**whose, "from": begin, "to": end, "time_zone": calendar.name, "metrics": metrics}


def tell(data: Mapping[str, Any], subtitle: str) -> None:
    """Print a chart that was written as JSON."""
    output.line(f"{data['account'] or 'all accounts'}: {subtitle}")
    for name, each in data["metrics"].items():
        if name in METRICS:  # a newer daemon may have more
            _lines(METRICS[name], each["values"], each["limits"])


def _lines(metric: Metric, curves: Mapping[str, Sequence[float | None]], limits: Mapping[str, float]) -> None:
    """Print a metric, a line for each curve. `limits` are by the curve's label."""
    letters = letters_in(sys.stdout.encoding)
    width = get_terminal_size((100, 24)).columns
    title = f"{metric.title}, {metric.unit}"
    if not any(value is not None for points in curves.values() for value in points):
        output.line(f"{title}: not measured")
        return
    output.line(title)
    for label, points in curves.items():
        known = [value for value in points if value is not None]
        of = f" of {metric.say(limits[label])}" if label in limits else ""
        highest = f"highest {metric.say(max(known))}{of}" if known else "not measured"
        line = sparkline(points, max(10, width - 14 - _LABEL), letters)
        output.line(f"  {label:<13.13} {line} {highest}")
