"""One run of reconcile: the lock, the turn, what is told of it, and the exit status."""

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.apply import Ending, Outcome
from paas_isolate.changes.jobs import jobs_of
from paas_isolate.changes.leaving import Leaving
from paas_isolate.changes.quotas import still_given
from paas_isolate.changes.runs import Kill
from paas_isolate.changes.steps import owner
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk
from paas_isolate.cli.exits import Exit, exit_of
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.linux.records import path_of
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.reconcile import Look, Report
from paas_isolate.reconcile import reconcile as turn
from paas_isolate.source import decisions

MANY = 20

WAIT = 10.0
"""Seconds for another run, where nobody says otherwise; cron has another one in a minute."""

PATIENCE = 15.0
"""Seconds: a little more than a service has to end where its file does not say."""


class Manner(NamedTuple):
    """How a run is wanted: the options of `reconcile`."""

    account: str = ""
    remove: bool = False
    wait: float | None = None
    cron: bool = False
    quiet: bool = False
    as_json: bool = False
    patience: float = 0.0
    """Seconds that the run waits for services which are asked to end, so that they start again in it."""


def reconcile(desk: Desk, manner: Manner) -> Exit:
    """One run, from the lock to the last word."""
    wait = manner.wait if manner.wait is not None else 0 if manner.cron else WAIT
    manner = manner._replace(patience=PATIENCE, wait=wait)
    try:
        with desk.alone(wait=wait, waits=None if manner.quiet else _tell_waiting):
            fleet, report = run_once(desk, manner)
            if manner.as_json:
                say.print_json(report_data(fleet, report))
            elif not manner.cron or _news(desk, complaints(fleet, report)):
                tell(fleet, report, quiet=manner.quiet or manner.cron)
            return exit_after(fleet, report)
    except PaasError as error:
        if manner.cron and (isinstance(error, BusyError) or (os.geteuid() == 0 and not _news(desk, str(error)))):
            return exit_of(error)
        raise


def run_once(desk: Desk, manner: Manner, hear: Callable[[Outcome], None] | None = None) -> tuple[Fleet, Report]:
    """One run without the lock, which the caller holds; what was done is told, by `hear` where that is given; what is
    left is not."""
    desk.take_up_notes()
    fleet = desk.fleet(remember=True)
    if fleet.host.network:
        _remember_network(desk, True)
    with desk.wheel(fleet, account=manner.account, meant=manner.remove, patience=manner.patience) as wheel:
        report = turn(wheel, hear or (_silent if manner.cron or manner.as_json else tell_outcome))
    fleet = fleet.with_broken(report.broken)
    _remember_departures(desk, fleet, report)
    _remember_quotas(desk, report.last)
    if not fleet.host.network and not report.remaining:
        _remember_network(desk, False)
    return fleet, report


def tell(fleet: Fleet, report: Report, *, quiet: bool) -> None:
    """What is wrong, and what is left; if not `quiet`, how much was done too."""
    say.complain(fleet)
    _tell_rest(report, quiet=quiet)


def exit_after(fleet: Fleet, report: Report) -> Exit:
    if fleet.broken or report.unmet or report.ended(Ending.FAILED) or report.ended(Ending.SKIPPED):
        return Exit.ERROR
    partly = report.remaining or report.late or report.last.leaving.waiting or fleet.kept or fleet.removal
    wrong = any(not complaint.warning for complaint in fleet.complaints)
    return Exit.PARTLY if partly or wrong else Exit.CONVERGED


def _tell_waiting(what: str) -> None:
    say.line(what, err=True)


def _silent(outcome: Outcome) -> None:
    pass


def tell_outcome(outcome: Outcome, by: str = "") -> None:
    """What was done."""
    again = isinstance(outcome.step, Kill) and outcome.step.before
    if outcome.ending is Ending.DONE and not again:
        say.line(say.outcome_line(outcome, by))


def _tell_rest(report: Report, *, quiet: bool) -> None:
    for outcome in report.remaining:
        say.line(say.outcome_line(outcome), err=True)
    tell_unmet(report.unmet)
    tell_late(report.late)
    tell_waiting(report.last.leaving)
    if quiet:
        return
    done = sum(outcome.ending is Ending.DONE for outcome in report.outcomes)
    left = f", {len(report.remaining)} left" if report.remaining else ""
    say.line(f"{say.number(done, 'change')} made{left}" if report.outcomes else f"nothing to do{left}")


def tell_unmet(unmet: Collection[str]) -> None:
    """One disk that is missing is told by every account below it: a few of them say it all."""
    for reason in list(unmet)[:MANY]:
        say.line(reason, fg="red", err=True)
    if len(unmet) > MANY:
        say.line(f"and {len(unmet) - MANY} more limits that cannot be kept; all of them: --json", fg="red", err=True)


def tell_late(late: Collection[str]) -> None:
    for reason in list(late)[:MANY]:
        say.line(reason, fg="yellow", err=True)
    if len(late) > MANY:
        say.line(f"and {len(late) - MANY} more accounts of which not all could be looked at", fg="yellow", err=True)


def tell_waiting(leaving: Leaving) -> None:
    for directory, reason in leaving.waiting.items():
        say.line(f"{directory} is not removed: {reason}", fg="yellow", err=True)


def complaints(fleet: Fleet, report: Report) -> str:
    """What is not well, as one text in which nothing changes by itself (no pid, no figure): cron compares it
    with what it said before. '' when all is well."""
    lines = [str(complaint) for complaint in fleet.complaints if not complaint.warning]
    lines += [f"{name}: {it.place}" for name, it in fleet.broken.items()]
    lines += [f"{name}: {reason}" for name, reason in fleet.kept.items() if name not in fleet.broken]
    lines += [f"{each.ending} {type(each.step).__name__} for {owner(each.step)}" for each in report.remaining]
    lines += [*report.unmet, *report.last.leaving.waiting]
    lines += [f"late {path}" for path in report.last.desired.late]
    return "\n".join(sorted(set(lines)))


def _news(desk: Desk, complaints: str) -> bool:
    """Whether cron is to hear of it: something is not well, and today it has not been told just that."""
    decided = decisions.load(desk.state)
    said = _said(complaints) if complaints else ()
    if said != decided.said:
        with suppress(OSError):  # a full disk: then it is told every time
            decisions.save(desk.state, decided._replace(said=said))
    return bool(complaints) and said != decided.said


def _said(complaints: str) -> tuple[str, str]:
    from datetime import date  # only what is not well pays for these: OpenSSL alone is a tenth of all imports
    from hashlib import sha256

    return str(date.today()), sha256(complaints.encode()).hexdigest()


def _remember_departures(desk: Desk, fleet: Fleet, report: Report) -> None:
    """Keep in mind whose removal was accepted, for as long as it waits for its last process; and forget what was
    kept of those that are gone."""
    decided = decisions.load(desk.state)
    leaving = report.last.leaving
    now = decided._replace(departed=leaving.accepted)
    if not leaving.blocked and not fleet.removal:
        directories = {sold.directory for sold in fleet.accounts.values()} | fleet.kept.keys() | leaving.accepted
        now = now.among(directories)
        for target in sorted(decided.held - now.held):
            say.line(f"{target} was frozen; that ends with the account", err=True)
        copies = desk.directory.last_good
        for name in copies.names().difference(fleet.accounts, fleet.kept, leaving.accepted):
            if (copy := copies.account(name)) is None or copy.directory not in leaving.accepted:
                copies.forget(name)
        _forget_results(desk, fleet, leaving)
    if now != decided:
        decisions.save(desk.state, now)


def _forget_results(desk: Desk, fleet: Fleet, leaving: Leaving) -> None:
    """Of what is no job any more."""
    results = desk.records.results
    if not (names := results.names()):
        return
    jobs, staying = jobs_of(fleet), {*fleet.kept, *leaving.accepted, *leaving.waiting}
    for name in names:
        path = path_of(name)
        if path not in jobs and tree.directory_of(path) not in staying:
            results.forget(name)


def _remember_quotas(desk: Desk, last: Look) -> None:
    """What was lifted is nobody's of ours any more; what was there already as it is sold now, is from now on."""
    known, now = last.observed.quotas.given, still_given(last.desired.quotas, last.observed.quotas)
    if now != known:
        desk.given.save(now)


def _remember_network(desk: Desk, there: bool) -> None:
    """Before the first address is added, and when the last is gone."""
    decided = decisions.load(desk.state)
    if decided.network != there:
        decisions.save(desk.state, decided._replace(network=there))


def circumstances(fleet: Fleet, seen: Look) -> dict[str, object]:
    return {
        "complaints": [say.complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.kept),
        "broken": {name: it.text or it.what for name, it in fleet.broken.items()},
        "waiting": dict(seen.leaving.waiting),
        "unmet": dict(seen.desired.unmet),
        "late": dict(seen.desired.late),
        "not_enforced": fleet.not_enforced(),
    }


def report_data(fleet: Fleet, report: Report) -> dict[str, object]:
    return {
        "outcomes": [say.outcome_data(outcome) for outcome in report.outcomes],
        "remaining": [say.outcome_data(outcome) for outcome in report.remaining],
        **circumstances(fleet, report.last),
    }
