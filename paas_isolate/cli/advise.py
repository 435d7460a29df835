"""advise: whose limits are too tight or too wide, which plan fits, and whom a plan would have hurt."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import click

from paas_isolate.advise import counted, pasts, sold_by
from paas_isolate.cli import output, paging
from paas_isolate.cli.metering import calendar_of, need_measured
from paas_isolate.cli.options import as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root, no_such
from paas_isolate.ledger.database import reading
from paas_isolate.metering.advice import Advice, Hurt, Past, Sold, replay
from paas_isolate.metering.advice import advise as advice_for
from paas_isolate.model.account import Fleet
from paas_isolate.units import format_size

_VERDICTS = {"tight": "too tight", "roomy": "ten times its use", "fits": "fits", "unknown": "too little measured"}


@click.command()
@click.argument("account", default="")
@click.option("--plan", metavar="PLAN", help="Whom this plan would have hurt, and how often.")
@paging.limit
@paging.after
@as_json
@click.pass_obj
def advise(
    installation: Installation, account: str, plan: str | None, limit: int | None, after: str, as_json: bool
) -> int:
    """Say whose limits are too tight, who is sold ten times what they use, and which plan fits; by the minutes and the
    faults of the last 14 days, never by averages.

    With --plan: whom the limits of this plan would have hurt in those days, and how often.
    """
    need_root()
    fleet = installation.fleet()
    plans = {name: sold_by(each.limits) for name, each in installation.directory.plans().items()}
    if plan is not None and plan not in plans:
        raise no_such("plan", plan, plans)
    calendar = calendar_of(fleet.host)
    with reading(installation.ledger) as connection:
        if account:
            need_measured(connection, account)
        now = time.time_ns() // 1_000_000
        known = [each for each in counted(connection, account, now) if account or each.name in fleet.accounts]
        chosen, following = paging.page_of(known, lambda each: (each.name, each.directory), paging.Asked(limit, after))
        found = pasts(connection, chosen, now, calendar)
        page = _Page(len(known), following)
        if plan is not None:
            _tell_hurt([replay(past, plans[plan]) for past in found], plan, page, as_json)
        else:
            advice = [each for past in found if (each := _advice(past, fleet, plans))]
            _tell_advice(advice, account, page, as_json)
    return Exit.CONVERGED


class _Page(NamedTuple):
    """How many accounts there are in all, and where the next page begins."""

    total: int
    next: str | None

    def tell(self) -> None:
        paging.tell(self.next, f"{self.total} accounts")


def _advice(past: Past, fleet: Fleet, plans: dict[str, Sold]) -> Advice | None:
    """None for an account that is gone."""
    known = fleet.accounts.get(past.account)
    return advice_for(past._replace(plan=known.plan or ""), sold_by(known.limits), plans) if known else None


def _tell_advice(advice: Sequence[Advice], account: str, page: _Page, as_json: bool) -> None:
    if as_json:
        rows = [{**each._asdict(), "need": each.need._asdict()} for each in advice]
        output.print_json({**page._asdict(), "rows": rows})
    elif not advice:
        output.line("no account was measured in the last 14 days")
    elif account:
        for each in advice:
            for sentence in each.sentences:
                output.line(sentence)
    else:
        titles = (
            "ACCOUNT",
            "PLAN",
            "LIMITS",
            "CPU P95",
            "CPU PEAK",
            "MEMORY",
            "PROCESSES",
            "SMALLEST THAT FITS",
            "MEASURED",
        )
        output.table(titles, map(_row, advice), right=titles[3:7])
        page.tell()


def _row(advice: Advice) -> tuple[str, ...]:
    need = advice.need
    return (
        advice.account,
        advice.plan or "-",
        _VERDICTS[advice.verdict],
        f"{need.cpu:.0f}%",
        f"{need.cpu_peak:.0f}%",
        "-" if need.memory is None else format_size(need.memory),
        "-" if need.pids is None else str(need.pids),
        advice.fitting or "-",
        f"{advice.measured:.0%}",
    )


def _tell_hurt(found: Sequence[Hurt], plan: str, page: _Page, as_json: bool) -> None:
    hurt = [each for each in found if each.any]
    if as_json:
        rows = [{**each._asdict(), "hurt": each.any} for each in found]
        output.print_json({"plan": plan, **page._asdict(), "accounts": rows})
        return
    for each in hurt:
        output.line(f"{each.account} (now: {each.plan or 'no plan'})")
        for sentence in each.sentences:
            output.line(f"  {sentence}")
    output.line(
        f"{plan} would have hurt {len(hurt)} of {len(found)} accounts in the last 14 days, as far as minutes show it"
    )
    if found and (least := min(each.measured for each in found)) < 1:
        output.line(f"measured: {least:.0%} of that time")
    page.tell()
