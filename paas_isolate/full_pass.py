"""A pass with all that belongs to it: read the specifications, reconcile, and store what must outlive the pass. Cron,
the commands and the daemon all use it; each reports the result in its own way.
"""

from collections.abc import Callable
from typing import Any

from paas_isolate.changes.jobs import jobs_of
from paas_isolate.changes.quotas import applied_after
from paas_isolate.changes.removal import Removals
from paas_isolate.compare import EVERYTHING, Comparison, Scope
from paas_isolate.errors import Complaint
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.location import make_tree
from paas_isolate.linux.network import traces
from paas_isolate.linux.services.records import path_of
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.reconcile import Report, reconcile
from paas_isolate.source import decisions


def full_pass(
    installation: Installation,
    hear: Callable[[Outcome], None],
    warn: Callable[[str], None],
    scope: Scope = EVERYTHING,
) -> tuple[Fleet, Report]:
    """One pass, under the caller's lock. Returns the specifications as read, and the report.

    `hear` is called with each outcome as it comes, `warn` with messages for the administrator. `scope` limits the pass.
    Raises PaasError when nothing can be read or applied, and OSError when decisions or quotas cannot be stored.
    """
    installation.take_up_notes()
    fleet = installation.fleet(remember=True)
    if fleet.host.network:
        _remember_network(installation, True)
    make_tree(fleet.host.tree)
    with installation.open(fleet, scope=scope) as reconciler:
        report = reconcile(reconciler, hear)
    fleet = fleet.with_broken(report.broken)
    _remember_departures(installation, fleet, report, warn)
    _remember_quotas(installation, report.last)
    if not fleet.host.network and not report.remaining:
        _remember_network(installation, False)
        if traces.of_installation(installation.run, installation.state):  # a ruleset that somebody else has removed
            traces.forget_installation(installation.run, installation.state)
    return fleet, report


def exit_after(fleet: Fleet, report: Report) -> Exit:
    """The exit status of a pass: ERROR when a step failed or was skipped, a limit cannot be kept, or an account is
    broken; PARTLY when something waits or a file is wrong; else CONVERGED."""
    if fleet.broken or report.unmet or report.ended(Status.FAILED) or report.ended(Status.SKIPPED):
        return Exit.ERROR
    partly = (
        report.remaining or report.late or report.last.removals.waiting or fleet.on_last_good or fleet.removal_blocked
    )
    wrong = any(not complaint.warning for complaint in fleet.complaints)
    return Exit.PARTLY if partly or wrong else Exit.CONVERGED


def complaints(fleet: Fleet, report: Report) -> str:
    """All that is wrong, one line each; '' when all is well. Cron compares the text with that of the run before, so it
    has no pids or figures, which differ each time."""
    lines = [str(complaint) for complaint in fleet.complaints if not complaint.warning]
    lines += [f"{name}: {trouble.place}" for name, trouble in fleet.broken.items()]
    lines += [f"{name}: {reason}" for name, reason in fleet.on_last_good.items() if name not in fleet.broken]
    lines += [f"{each.status} {type(each.step).__name__} for {each.step.owner}" for each in report.remaining]
    lines += [*report.unmet, *report.last.removals.waiting]
    lines += [f"late {path}" for path in report.last.desired.late]
    return "\n".join(sorted(set(lines)))


def _remember_departures(installation: Installation, fleet: Fleet, report: Report, warn: Callable[[str], None]) -> None:
    """Store which removals are accepted, as long as they wait for their last process. Delete the decisions, last good
    copies and job results of accounts that are gone."""
    decided = decisions.load(installation.state)
    removals = report.last.removals
    now = decided._replace(removal_accepted=removals.accepted)
    if not removals.blocked and not fleet.removal_blocked:
        directories = (
            {account.directory for account in fleet.accounts.values()} | fleet.on_last_good.keys() | removals.accepted
        )
        now = now.restricted_to(directories)
        for target in sorted(decided.frozen - now.frozen):
            warn(f"{target} was frozen; with the account gone, it is no longer")
        copies = installation.directory.last_good
        for name in copies.names().difference(fleet.accounts, fleet.on_last_good, removals.accepted):
            if (copy := copies.account(name)) is None or copy.directory not in removals.accepted:
                copies.forget(name)
        _forget_results(installation, fleet, removals)
    if now != decided:
        decisions.save(installation.state, now)


def _forget_results(installation: Installation, fleet: Fleet, removals: Removals) -> None:
    """Delete the results of jobs that no longer exist."""
    results = installation.records.results
    if not (names := results.names()):
        return
    jobs, preserved = jobs_of(fleet), {*fleet.on_last_good, *removals.accepted, *removals.waiting}
    for name in names:
        path = path_of(name)
        if path not in jobs and tree.directory_of(path) not in preserved:
            results.forget(name)


def _remember_quotas(installation: Installation, last: Comparison) -> None:
    """Store which quotas are ours: not those that were lifted, but also those that already were as sold."""
    known, now = last.observed.quotas.applied, applied_after(last.desired.quotas, last.observed.quotas)
    if now != known:
        installation.applied_quotas.save(now)


def _remember_network(installation: Installation, in_use: bool) -> None:
    """Store that the machine has addresses of ours: before the first is added, until the last is gone."""
    decided = decisions.load(installation.state)
    if decided.network != in_use:
        decisions.save(installation.state, decided._replace(network=in_use))


def circumstances(fleet: Fleet, comparison: Comparison) -> dict[str, object]:
    """What `diff --json` and `reconcile --json` say beside the steps."""
    return {
        "complaints": [complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.on_last_good),
        "broken": {name: trouble.text or trouble.what for name, trouble in fleet.broken.items()},
        "waiting": dict(comparison.removals.waiting),
        "unmet": dict(comparison.desired.unmet),
        "late": dict(comparison.desired.late),
        "not_enforced": fleet.not_enforced(),
    }


def report_data(fleet: Fleet, report: Report) -> dict[str, object]:
    """The report as `reconcile --json` prints it."""
    return {
        "outcomes": [outcome_data(outcome) for outcome in report.outcomes],
        "remaining": [outcome_data(outcome) for outcome in report.remaining],
        **circumstances(fleet, report.last),
    }


def complaint_data(complaint: Complaint) -> dict[str, Any]:
    return complaint._asdict()


def outcome_data(outcome: Outcome) -> dict[str, str]:
    return {"step": str(outcome.step), "ending": str(outcome.status), "because": outcome.reason}
