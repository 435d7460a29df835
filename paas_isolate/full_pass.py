"""One pass over everything that is sold: the specifications are read, compared with the machine and applied, and what
is to outlive the pass is remembered. Cron, the commands and the daemon do the same; how it is reported is theirs.
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
    """One pass, under the lock that the caller holds. `hear` is called with each outcome as it comes, `warn` with what
    an administrator may not expect. `scope` says how far the pass may go.

    PaasError where nothing can be read or applied, OSError where it cannot be remembered.
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
    return fleet, report


def exit_after(fleet: Fleet, report: Report) -> Exit:
    if fleet.broken or report.unmet or report.ended(Status.FAILED) or report.ended(Status.SKIPPED):
        return Exit.ERROR
    partly = (
        report.remaining or report.late or report.last.removals.waiting or fleet.on_last_good or fleet.removal_blocked
    )
    wrong = any(not complaint.warning for complaint in fleet.complaints)
    return Exit.PARTLY if partly or wrong else Exit.CONVERGED


def complaints(fleet: Fleet, report: Report) -> str:
    """What is not well, as one text in which nothing changes by itself (no pid, no figure): cron compares it
    with what it said before. '' when all is well."""
    lines = [str(complaint) for complaint in fleet.complaints if not complaint.warning]
    lines += [f"{name}: {it.place}" for name, it in fleet.broken.items()]
    lines += [f"{name}: {reason}" for name, reason in fleet.on_last_good.items() if name not in fleet.broken]
    lines += [f"{each.status} {type(each.step).__name__} for {each.step.owner}" for each in report.remaining]
    lines += [*report.unmet, *report.last.removals.waiting]
    lines += [f"late {path}" for path in report.last.desired.late]
    return "\n".join(sorted(set(lines)))


def _remember_departures(installation: Installation, fleet: Fleet, report: Report, warn: Callable[[str], None]) -> None:
    """Keep in mind whose removal was accepted, for as long as it waits for its last process; and forget what was
    kept of those that are gone."""
    decided = decisions.load(installation.state)
    leaving = report.last.removals
    now = decided._replace(removal_accepted=leaving.accepted)
    if not leaving.blocked and not fleet.removal_blocked:
        directories = (
            {account.directory for account in fleet.accounts.values()} | fleet.on_last_good.keys() | leaving.accepted
        )
        now = now.restricted_to(directories)
        for target in sorted(decided.frozen - now.frozen):
            warn(f"{target} was frozen; that ends with the account")
        copies = installation.directory.last_good
        for name in copies.names().difference(fleet.accounts, fleet.on_last_good, leaving.accepted):
            if (copy := copies.account(name)) is None or copy.directory not in leaving.accepted:
                copies.forget(name)
        _forget_results(installation, fleet, leaving)
    if now != decided:
        decisions.save(installation.state, now)


def _forget_results(installation: Installation, fleet: Fleet, leaving: Removals) -> None:
    """Of what is no job any more."""
    results = installation.records.results
    if not (names := results.names()):
        return
    jobs, staying = jobs_of(fleet), {*fleet.on_last_good, *leaving.accepted, *leaving.waiting}
    for name in names:
        path = path_of(name)
        if path not in jobs and tree.directory_of(path) not in staying:
            results.forget(name)


def _remember_quotas(installation: Installation, last: Comparison) -> None:
    """What was lifted is nobody's of ours any more; what was there already as it is sold now, is from now on."""
    known, now = last.observed.quotas.applied, applied_after(last.desired.quotas, last.observed.quotas)
    if now != known:
        installation.applied_quotas.save(now)


def _remember_network(installation: Installation, there: bool) -> None:
    """Before the first address is added, and when the last is gone."""
    decided = decisions.load(installation.state)
    if decided.network != there:
        decisions.save(installation.state, decided._replace(network=there))


def circumstances(fleet: Fleet, seen: Comparison) -> dict[str, object]:
    return {
        "complaints": [complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.on_last_good),
        "broken": {name: it.text or it.what for name, it in fleet.broken.items()},
        "waiting": dict(seen.removals.waiting),
        "unmet": dict(seen.desired.unmet),
        "late": dict(seen.desired.late),
        "not_enforced": fleet.not_enforced(),
    }


def report_data(fleet: Fleet, report: Report) -> dict[str, object]:
    return {
        "outcomes": [outcome_data(outcome) for outcome in report.outcomes],
        "remaining": [outcome_data(outcome) for outcome in report.remaining],
        **circumstances(fleet, report.last),
    }


def complaint_data(complaint: Complaint) -> dict[str, Any]:
    return complaint._asdict()


def outcome_data(outcome: Outcome) -> dict[str, str]:
    return {"step": str(outcome.step), "ending": str(outcome.status), "because": outcome.reason}
