"""One run of reconcile: the lock, the pass, the messages and the exit status."""

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
from paas_isolate.run_meter import RunMeter
from paas_isolate.source import decisions
from paas_isolate.step_history import with_history
from paas_isolate.text import counted

MANY = 20
"""Lines of one kind that are printed; then their number follows."""

WAIT = 10.0
"""Seconds to wait for another run's lock, without --wait. Cron does not wait: its next run is a minute away."""

PATIENCE = 15.0
"""Seconds to wait for services to end: a little more than the default stop_timeout."""


class RunOptions(NamedTuple):
    """The options of the command `reconcile`; `wait` in seconds."""

    account: str = ""
    remove: bool = False
    wait: float | None = None
    cron: bool = False
    quiet: bool = False
    as_json: bool = False


def reconcile(installation: Installation, options: RunOptions) -> Exit:
    """Take the lock, make a full pass, print the result, and return the exit status.

    Raises BusyError when another run holds the lock for longer than `options.wait`, and PaasError when nothing can be
    read or applied. With `options.cron` neither is raised where cron must stay silent: the exit status says it.
    """
    wait = options.wait if options.wait is not None else 0 if options.cron else WAIT
    meter = RunMeter(installation, warn)
    installation = with_history(installation._replace(removing=meter.removing), warn)
    try:
        with installation.locked(wait=wait, waits=None if options.quiet else _tell_waiting):
            fleet, report = full_pass(
                installation,
                _silent if options.cron or options.as_json else tell_outcome,
                warn,
                Scope(options.account, confirm_removal=options.remove, grace=PATIENCE),
            )
            meter.end(fleet)
            if options.as_json:
                output.print_json(report_data(fleet, report))
            elif not options.cron or _is_news(installation, complaints(fleet, report)):
                tell(fleet, report, quiet=options.quiet or options.cron)
            return exit_after(fleet, report)
    except PaasError as error:
        if options.cron and (
            isinstance(error, BusyError) or (os.geteuid() == 0 and not _is_news(installation, str(error)))
        ):
            return exit_of(error)
        raise


def tell(fleet: Fleet, report: Report, *, quiet: bool) -> None:
    """Print what is wrong and what remains to be done; if not `quiet`, also how many changes were made."""
    output.complain(fleet)
    _tell_rest(report, quiet=quiet)


def warn(text: str) -> None:
    output.line(text, err=True)


def _tell_waiting(text: str) -> None:
    output.line(text, err=True)


def _silent(outcome: Outcome) -> None:
    pass


def tell_outcome(outcome: Outcome, by: str = "") -> None:
    """Print a step that was done. The second and further Kill steps of one leaf are not printed."""
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
    """Print limits that cannot be applied. One missing disk concerns many accounts, so only MANY are printed."""
    for reason in list(unmet)[:MANY]:
        output.line(reason, fg="red", err=True)
    if len(unmet) > MANY:
        output.line(f"and {len(unmet) - MANY} more limits that cannot be applied; --json lists all", fg="red", err=True)


def tell_late(late: Collection[str]) -> None:
    """Print which accounts could not be examined in time, MANY at the most."""
    for reason in list(late)[:MANY]:
        output.line(reason, fg="yellow", err=True)
    if len(late) > MANY:
        output.line(
            f"and {len(late) - MANY} more accounts that could not be examined completely", fg="yellow", err=True
        )


def tell_waiting(removals: Removals) -> None:
    """Print which accounts without a file are not removed yet, and why."""
    for directory, reason in removals.waiting.items():
        output.line(f"{directory} is not removed: {reason}", fg="yellow", err=True)


def _is_news(installation: Installation, complaints: str) -> bool:
    """Whether cron prints these complaints: there are some, and the same were not printed today."""
    decided = decisions.load(installation.state)
    complaint = _dated_digest(complaints) if complaints else ()
    if complaint != decided.last_complaint:
        with suppress(OSError):  # a full disk: then every run prints them
            decisions.save(installation.state, decided._replace(last_complaint=complaint))
    return bool(complaints) and complaint != decided.last_complaint


def _dated_digest(complaints: str) -> tuple[str, str]:
    # Late: 4 ms (OpenSSL), and a run without complaints does not need them.
    from datetime import date
    from hashlib import sha256

    return str(date.today()), sha256(complaints.encode()).hexdigest()
