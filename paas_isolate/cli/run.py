"""One run of reconcile: the lock, the turn, what is told of it, and the exit status."""

import os
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.changes.removal import Removals
from paas_isolate.cli import output
from paas_isolate.compare import Scope
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.exits import Exit, exit_of
from paas_isolate.full_pass import complaints, exit_after, full_pass, report_data
from paas_isolate.installation import Installation
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps.service import Kill
from paas_isolate.reconcile import Report
from paas_isolate.source import decisions
from paas_isolate.text import counted

MANY = 20

WAIT = 10.0
"""Seconds for another run, where nobody says otherwise; cron has another one in a minute."""

PATIENCE = 15.0
"""Seconds: a little more than a service has to end where its file does not say."""


class RunOptions(NamedTuple):
    """How a run is wanted: the options of `reconcile`."""

    account: str = ""
    remove: bool = False
    wait: float | None = None
    cron: bool = False
    quiet: bool = False
    as_json: bool = False


def reconcile(installation: Installation, manner: RunOptions) -> Exit:
    """One run, from the lock to the last word."""
    wait = manner.wait if manner.wait is not None else 0 if manner.cron else WAIT
    try:
        with installation.locked(wait=wait, waits=None if manner.quiet else _tell_waiting):
            fleet, report = full_pass(
                installation,
                _silent if manner.cron or manner.as_json else tell_outcome,
                warn,
                Scope(manner.account, confirm_removal=manner.remove, grace=PATIENCE),
            )
            if manner.as_json:
                output.print_json(report_data(fleet, report))
            elif not manner.cron or _news(installation, complaints(fleet, report)):
                tell(fleet, report, quiet=manner.quiet or manner.cron)
            return exit_after(fleet, report)
    except PaasError as error:
        if manner.cron and (
            isinstance(error, BusyError) or (os.geteuid() == 0 and not _news(installation, str(error)))
        ):
            return exit_of(error)
        raise


def tell(fleet: Fleet, report: Report, *, quiet: bool) -> None:
    """What is wrong, and what is left; if not `quiet`, how much was done too."""
    output.complain(fleet)
    _tell_rest(report, quiet=quiet)


def warn(text: str) -> None:
    output.line(text, err=True)


def _tell_waiting(what: str) -> None:
    output.line(what, err=True)


def _silent(outcome: Outcome) -> None:
    pass


def tell_outcome(outcome: Outcome, by: str = "") -> None:
    """What was done."""
    again = isinstance(outcome.step, Kill) and outcome.step.before
    if outcome.status is Status.DONE and not again:
        output.line(output.outcome_line(outcome, by))


def _tell_rest(report: Report, *, quiet: bool) -> None:
    for outcome in report.remaining:
        output.line(output.outcome_line(outcome), err=True)
    tell_unmet(report.unmet)
    tell_late(report.late)
    tell_waiting(report.last.removals)
    if quiet:
        return
    done = sum(outcome.status is Status.DONE for outcome in report.outcomes)
    left = f", {len(report.remaining)} left" if report.remaining else ""
    output.line(f"{counted(done, 'change')} made{left}" if report.outcomes else f"nothing to do{left}")


def tell_unmet(unmet: Collection[str]) -> None:
    """One disk that is missing is told by every account below it: a few of them say it all."""
    for reason in list(unmet)[:MANY]:
        output.line(reason, fg="red", err=True)
    if len(unmet) > MANY:
        output.line(f"and {len(unmet) - MANY} more limits that cannot be kept; all of them: --json", fg="red", err=True)


def tell_late(late: Collection[str]) -> None:
    for reason in list(late)[:MANY]:
        output.line(reason, fg="yellow", err=True)
    if len(late) > MANY:
        output.line(f"and {len(late) - MANY} more accounts of which not all could be looked at", fg="yellow", err=True)


def tell_waiting(leaving: Removals) -> None:
    for directory, reason in leaving.waiting.items():
        output.line(f"{directory} is not removed: {reason}", fg="yellow", err=True)


def _news(installation: Installation, complaints: str) -> bool:
    """Whether cron is to hear of it: something is not well, and today it has not been told just that."""
    decided = decisions.load(installation.state)
    said = _said(complaints) if complaints else ()
    if said != decided.last_complaint:
        with suppress(OSError):  # a full disk: then it is told every time
            decisions.save(installation.state, decided._replace(last_complaint=said))
    return bool(complaints) and said != decided.last_complaint


def _said(complaints: str) -> tuple[str, str]:
    from datetime import date  # only what is not well pays for these: OpenSSL alone is a tenth of all imports
    from hashlib import sha256

    return str(date.today()), sha256(complaints.encode()).hexdigest()
