"""diff and reconcile: one look, one turn of the wheel."""

import os
from collections.abc import Collection

import click

from paas_isolate.apply import Ending, Outcome
from paas_isolate.changes.leaving import Leaving
from paas_isolate.changes.steps import owner
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk
from paas_isolate.cli.exits import Exit, exit_of
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.model.account import Fleet
from paas_isolate.reconcile import Look, Report, look
from paas_isolate.reconcile import reconcile as turn
from paas_isolate.source import decisions

MANY = 20

only = click.option("--account", default="", metavar="NAME", help="Only this account.")


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit status 3 when anything differs.")
@only
@say.as_json
@click.pass_obj
def diff(desk: Desk, exit_code: bool, account: str, as_json: bool) -> int:
    """Say what reconcile would do, one sentence a step. Changes nothing."""
    fleet = desk.fleet()
    with desk.wheel(fleet, account=account) as wheel:
        seen = look(wheel)
    if as_json:
        say.print_json({"changes": [str(step) for step in seen.changes], **_circumstances(fleet, seen)})
    else:
        say.complain(fleet)
        for step in seen.changes:
            click.echo(str(step))
        _tell_unmet(seen.desired.unmet.values())
        _tell_waiting(seen.leaving)
        say.tell_reserved(fleet)
        if not seen.changes:
            click.echo("nothing differs")
    return Exit.DIFFERS if exit_code and seen.changes else Exit.CONVERGED


@click.command("reconcile")
@only
@click.option("--remove", is_flag=True, help="Really remove accounts, though many would go at once.")
@click.option("--wait", type=float, default=0, metavar="SECONDS", help="Wait so long for another run to end.")
@click.option("--cron", is_flag=True, help="Silent when all is well; the same complaint once a day.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when there was nothing to do.")
@say.as_json
@click.pass_obj
def reconcile(desk: Desk, account: str, remove: bool, wait: float, cron: bool, quiet: bool, as_json: bool) -> int:
    """Make the kernel agree with the specifications: cgroups, limits, and every process in its place.

    Exit status 0 when all agrees afterwards, 4 when something waits or keeps its last good state, 1 when
    something failed, 75 when another run is at work.
    """
    try:
        with desk.alone(wait=wait):
            return _reconcile(desk, account, meant=remove, cron=cron, quiet=quiet, as_json=as_json)
    except PaasError as error:
        if cron and (isinstance(error, BusyError) or (os.geteuid() == 0 and not _news(desk, str(error)))):
            return exit_of(error)
        raise


def _reconcile(desk: Desk, account: str, *, meant: bool, cron: bool, quiet: bool, as_json: bool) -> int:
    fleet = desk.fleet(remember=True)
    with desk.wheel(fleet, account=account, meant=meant) as wheel:
        report = turn(wheel, _silent if cron or as_json else _tell)
    _remember_departures(desk, fleet, report)
    if as_json:
        say.print_json(_report_data(fleet, report))
    elif not cron or _news(desk, _complaints(fleet, report)):
        say.complain(fleet)
        _tell_rest(report, quiet=quiet or cron)
    return _exit(fleet, report)


def _exit(fleet: Fleet, report: Report) -> Exit:
    if report.unmet or report.ended(Ending.FAILED) or report.ended(Ending.SKIPPED):
        return Exit.ERROR
    partly = report.remaining or report.last.leaving.waiting or fleet.kept or fleet.removal
    wrong = any(not complaint.warning for complaint in fleet.complaints)
    return Exit.PARTLY if partly or wrong else Exit.CONVERGED


def _silent(outcome: Outcome) -> None:
    pass


def _tell(outcome: Outcome) -> None:
    if outcome.ending is Ending.DONE:
        click.echo(say.outcome_line(outcome))


def _tell_rest(report: Report, *, quiet: bool) -> None:
    for outcome in report.remaining:
        click.echo(say.outcome_line(outcome), err=True)
    _tell_unmet(report.unmet)
    _tell_waiting(report.last.leaving)
    if quiet:
        return
    done = sum(outcome.ending is Ending.DONE for outcome in report.outcomes)
    left = f", {len(report.remaining)} left" if report.remaining else ""
    click.echo(f"{say.number(done, 'change')} made{left}" if report.outcomes else f"nothing to do{left}")


def _tell_unmet(unmet: Collection[str]) -> None:
    """One disk that is missing is told by every account below it: a few of them say it all."""
    for reason in list(unmet)[:MANY]:
        click.secho(reason, fg="red", err=True)
    if len(unmet) > MANY:
        click.secho(f"and {len(unmet) - MANY} more limits that cannot be kept; all of them: --json", fg="red", err=True)


def _tell_waiting(leaving: Leaving) -> None:
    for directory, reason in leaving.waiting.items():
        click.secho(f"{directory} is not removed: {reason}", fg="yellow", err=True)


def _complaints(fleet: Fleet, report: Report) -> str:
    """What is not well, as one text in which nothing changes by itself (no pid, no figure): cron compares it
    with what it said before. '' when all is well."""
    lines = [str(complaint) for complaint in fleet.complaints if not complaint.warning]
    lines += [f"{name}: {reason}" for name, reason in fleet.kept.items()]
    lines += [f"{each.ending} {type(each.step).__name__} for {owner(each.step)}" for each in report.remaining]
    lines += [*report.unmet, *report.last.leaving.waiting]
    return "\n".join(sorted(set(lines)))


def _news(desk: Desk, complaints: str) -> bool:
    """Whether cron is to hear of it: something is not well, and today it has not been told just that."""
    decided = decisions.load(desk.state)
    said = _said(complaints) if complaints else ()
    if said != decided.said:
        decisions.save(desk.state, decided._replace(said=said))
    return bool(complaints) and said != decided.said


def _said(complaints: str) -> tuple[str, str]:
    from datetime import date  # only what is not well pays for these: OpenSSL alone is a tenth of all imports
    from hashlib import sha256

    return str(date.today()), sha256(complaints.encode()).hexdigest()


def _remember_departures(desk: Desk, fleet: Fleet, report: Report) -> None:
    """Keep in mind whose removal was accepted, for as long as it waits for its last process; and forget the
    last good copies of those that are gone."""
    decided = decisions.load(desk.state)
    leaving = report.last.leaving
    if leaving.accepted != decided.departed:
        decisions.save(desk.state, decided._replace(departed=leaving.accepted))
    if not leaving.blocked and not fleet.removal:
        copies = desk.directory.last_good
        for name in copies.names() - fleet.accounts.keys() - fleet.kept.keys() - leaving.accepted:
            copies.forget(name)


def _circumstances(fleet: Fleet, seen: Look) -> dict[str, object]:
    return {
        "complaints": [say.complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.kept),
        "waiting": dict(seen.leaving.waiting),
        "unmet": dict(seen.desired.unmet),
        "not_enforced": fleet.not_enforced(),
    }


def _report_data(fleet: Fleet, report: Report) -> dict[str, object]:
    return {
        "outcomes": [say.outcome_data(outcome) for outcome in report.outcomes],
        "remaining": [say.outcome_data(outcome) for outcome in report.remaining],
        **_circumstances(fleet, report.last),
    }
