"""bill: what accounts used in a month, and what it costs."""

import time
from datetime import timedelta
from typing import Any

import click

from paas_isolate.cli import output, paging
from paas_isolate.cli.metering import as_csv, ask, by_label, calendar_of, print_csv, today_of, value_of, with_label
from paas_isolate.cli.options import ParamType, as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.queries import Question, mount_options
from paas_isolate.metering import bill as bills
from paas_isolate.metering.calendar import HOUR, days_of
from paas_isolate.metering.labels import GroupLine, grouped_lines
from paas_isolate.model.metering import MeteringConfig

_MEANING = {"memory_hugetlb_accounting": "huge pages count as memory"}
"""By mount option (meter.COUNTING)."""


class Month(ParamType[str]):
    """A month such as 2026-10."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            days_of(value)
        except ValueError:
            self.fail(f"{value} is no month; expected one such as 2026-10.", param, ctx)
        return str(value)


@click.command()
@click.option("--month", type=Month(), metavar="MONTH", help="Such as 2026-10 (the last one that has ended).")
@with_label
@by_label
@paging.limit
@paging.after
@as_json
@as_csv
@click.pass_obj
def bill(
    installation: Installation,
    month: str | None,
    labels: tuple[tuple[str, str], ...],
    by_label: str,
    limit: int | None,
    after: str,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Show what each account used in a month, which share of it was measured, and the amount at the prices of
    config.yaml.

    An account whose plan changed has a line for each plan. Accounts that were deleted since are there too. Of a page
    of lines (--limit), the sums are those of all lines.
    """
    need_root()
    if by_label and (limit or after):
        raise click.UsageError("expected --by-label, or --limit and --after")
    host = installation.directory.host()
    calendar = calendar_of(host)
    which = month or str(today_of(calendar).replace(day=1) - timedelta(days=1))[:7]
    first, last = days_of(which)
    if first > today_of(calendar):
        raise click.UsageError(f"--month is {which}, which has not begun")
    seconds = calendar.seconds_of(first, last)
    prices = dict((host.metering or MeteringConfig()).prices)
    found, known = ask(installation, calendar, Question("day", str(first), str(last)), labels)
    with reading(installation.ledger) as connection:
        options = mount_options(connection, which)
    accounts = [bills.line(each.account, each.plan, each.use, seconds, prices) for each in found]
    amount = bills.amount_of_all(accounts)
    page, following = paging.page_of(
        list(zip(found, accounts, strict=True)),
        lambda row: (row[0].account, row[0].directory, row[0].plan),
        paging.Asked(limit, after),
    )
    values = (value_of(each, known, by_label) for each in found)
    lines = grouped_lines(zip(values, accounts, strict=True)) if by_label else [line for _, line in page]
    form = GroupLine if by_label else bills.Line
    rows = [({"label": by_label} if by_label else {}) | line._asdict() for line in lines]
    if as_json:
        data = {"month": which, "time_zone": calendar.name, "hours": seconds / HOUR, "prices": prices}
        whole = {"total": len(rows) if by_label else len(accounts), "totals": bills.totals(accounts), "amount": amount}
        output.print_json({**data, "mount_options": options, "lines": rows, "next": following, **whole})
    elif as_csv:
        print_csv([*(["label"] if by_label else []), *form._fields], rows)
    elif not lines:
        output.line("nothing was measured in this month")
    else:
        titles = [(by_label if name == "value" else name).upper().replace("_", " ") for name in form._fields]
        output.table(titles, map(_row, lines), right=titles[1 if by_label else 2 :])
        if amount is not None:
            output.line(f"all accounts: {amount}")
        paging.tell(following, f"{len(accounts)} lines")
        for option in options:
            output.line(f"cgroup2 was mounted with {option}, in {which} or a part of it: {_MEANING[option]}")
    if calendar.midnight(last) / 1000 + 86_400 > time.time():
        output.line(f"{which} has not ended: this bill will change", fg="yellow", err=True)
    return Exit.CONVERGED


def _row(line: bills.Line | GroupLine) -> tuple[str, ...]:
    cells = {name: "-" if value in (None, "") else str(value) for name, value in line._asdict().items()}
    if isinstance(line, bills.Line):
        cells["measured"] = f"{line.measured:.2%}"
    return tuple(cells.values())
