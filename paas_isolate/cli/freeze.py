"""freeze, thaw, kill: emergency commands of an administrator."""

import click

from paas_isolate.changes.jobs import jobs_of
from paas_isolate.cli import output
from paas_isolate.cli.emergency import WAIT, Emergency
from paas_isolate.cli.options import Duration
from paas_isolate.compare import Scope
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, directory_of, need_root, no_such
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.services.steps import runs
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Status
from paas_isolate.reconcile import reconcile
from paas_isolate.source.notes import HELD
from paas_isolate.terminate import terminate

target = click.argument("target", metavar="ACCOUNT[/SERVICE]")


@click.command()
@target
@click.pass_obj
def freeze(installation: Installation, target: str) -> int:
    """Freeze all processes of an account or service, and refuse logins into it, until thaw, also after a reboot."""
    need_root()
    emergency = Emergency(installation)
    with installation.tree(emergency.fleet) as (cgroups, _):
        path = _path(cgroups, emergency.fleet, target)
        name = path.removeprefix(f"{tree.USERS}/")
        emergency.note(HELD, name)
        frozen = emergency.freeze(cgroups, path)

    def reconcile_target() -> None:
        if not _reconcile_account(installation, target):
            emergency.partly = True

    emergency.finish(lambda decided: decided.freeze(name), reconcile_target)
    if not frozen:
        return Exit.ERROR
    return Exit.PARTLY if emergency.partly else Exit.CONVERGED


@click.command()
@target
@click.pass_obj
def thaw(installation: Installation, target: str) -> int:
    """Let a frozen account or service run again."""
    with installation.locked(wait=WAIT):
        fleet = installation.fleet(remember=True)
        with installation.tree(fleet) as (cgroups, _):
            name = _path(cgroups, fleet, target).removeprefix(f"{tree.USERS}/")
        installation.decide(lambda decided: decided.thaw(name))
        return Exit.CONVERGED if _reconcile_account(installation, target) else Exit.ERROR


@click.command()
@click.argument("target", metavar="[ACCOUNT[/SERVICE]]", default="")
@click.option("--all", "everyone", is_flag=True, help="Every account, as at the shutdown of the machine.")
@click.option("--down", is_flag=True, help="The machine goes down: start no service any more.")
@click.option(
    "--grace",
    type=Duration(min=0),
    default=10,
    metavar="SECONDS",
    help="Time between SIGTERM and SIGKILL (10).",
)
@click.pass_obj
def kill(installation: Installation, target: str, everyone: bool, down: bool, grace: float) -> int:
    """End all processes of an account or service: SIGTERM, then SIGKILL for those that remain after --grace."""
    if bool(target) == everyone:
        raise click.UsageError("name an account, or say --all")
    need_root()
    emergency = Emergency(installation)
    fleet = emergency.fleet
    if down:
        with emergency.attempt("services may start again meanwhile"):
            installation.records.end()
        grace = max(grace, min(MOST_GRACE, _patience(fleet)))
    with emergency.lock_if_free(wait=_SOON), installation.tree(fleet) as (cgroups, _):
        paths = _accounts(cgroups) if everyone else [_path(cgroups, fleet, target)]
        ended = terminate(cgroups, paths, grace=grace)
        if down:
            with emergency.attempt("the results of jobs are not remembered"):
                _remember_ends(installation, fleet, cgroups)
    output.line(f"{ended} {'process' if ended == 1 else 'processes'} ended")
    return Exit.PARTLY if emergency.partly else Exit.CONVERGED


def _remember_ends(installation: Installation, fleet: Fleet, cgroups: CgroupTree) -> None:
    """Save the results of the jobs that were running: the shutdown deletes their records in /run."""
    for path, run in runs(cgroups, installation.records, {}, jobs_of(fleet)).items():
        if run.is_news and run.result:
            installation.records.remember(path, run.result)


_SOON = 1.0
"""Seconds to wait for another run's lock. After that `kill` goes on without it."""

MOST_GRACE = 40.0
"""Seconds: the unit that runs `kill --all --down` is itself ended after 60 (systemd/paas-isolate-shutdown.service)."""


def _patience(fleet: Fleet) -> float:
    """The longest stop_timeout of all services, in seconds."""
    services = (service for account in fleet.accounts.values() for service in account.services if service.work.run)
    return max((service.work.complete().stop_timeout or 0 for service in services), default=0) / 1000


def _reconcile_account(installation: Installation, target: str) -> bool:
    """One pass for the account of `target`, under the caller's lock. False when something has failed."""
    with installation.open(installation.fleet(remember=True), scope=Scope(target.partition("/")[0])) as reconciler:
        report = reconcile(reconciler, lambda outcome: output.line(output.outcome_line(outcome)))
    for outcome in report.remaining:
        output.line(output.outcome_line(outcome), err=True)
    output.broken(report.broken)
    return not report.ended(Status.FAILED) and target.partition("/")[0] not in report.broken


def _path(cgroups: CgroupTree, fleet: Fleet, target: str) -> str:
    """The cgroup of an account or service. Raises UsageError, with the nearest name, when there is no such account or
    service, and HostError when the account has no cgroup."""
    account, slash, service = target.partition("/")
    directory = directory_of(cgroups, fleet, account)
    leaves = cgroups.children(tree.account(directory))
    if slash and service not in leaves:
        raise no_such(f"service of {account}", service, leaves, otherwise="" if leaves else "it has no cgroup yet")
    if not cgroups.exists(tree.account(directory)):
        raise HostError(f"{account} has no cgroup", hint="paas-isolate reconcile makes it")
    return tree.leaf(directory, service) if slash else tree.account(directory)


def _accounts(cgroups: CgroupTree) -> list[str]:
    return [tree.account(directory) for directory in cgroups.children(tree.USERS)]
