"""freeze, thaw, kill: what an administrator orders by hand."""

import click

from paas_isolate.changes.jobs import jobs_of
from paas_isolate.cli import output
from paas_isolate.cli.emergency import WAIT, Emergency
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
    """Stop all processes of an account or service where they are, until thaw: through reconciles and reboots."""
    need_root()
    emergency = Emergency(installation)
    with installation.tree(emergency.fleet) as (cgroups, _):
        path = _path(cgroups, emergency.fleet, target)
        held = path.removeprefix(f"{tree.USERS}/")
        emergency.note(HELD, held)
        frozen = emergency.freeze(cgroups, path)

    def turn() -> None:
        if not _turn(installation, target):
            emergency.partly = True

    emergency.finish(lambda decided: decided.freeze(held), turn)
    if not frozen:
        return Exit.ERROR
    return Exit.PARTLY if emergency.partly else Exit.CONVERGED


@click.command()
@target
@click.pass_obj
def thaw(installation: Installation, target: str) -> int:
    """Let a frozen account or service go on."""
    with installation.locked(wait=WAIT):
        fleet = installation.fleet(remember=True)
        with installation.tree(fleet) as (cgroups, _):
            held = _path(cgroups, fleet, target).removeprefix(f"{tree.USERS}/")
        installation.decide(lambda decided: decided.thaw(held))
        return Exit.CONVERGED if _turn(installation, target) else Exit.ERROR


@click.command()
@click.argument("target", metavar="[ACCOUNT[/SERVICE]]", default="")
@click.option("--all", "everyone", is_flag=True, help="Every account: what the shutdown of the machine does.")
@click.option("--down", is_flag=True, help="The machine goes down: no service starts any more.")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=10, metavar="SECONDS", help="Time to end after SIGTERM (10)."
)
@click.pass_obj
def kill(installation: Installation, target: str, everyone: bool, down: bool, grace: float) -> int:
    """End all processes of an account or service: SIGTERM, time to leave, then SIGKILL for what is left."""
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
        paths = _everyone(cgroups) if everyone else [_path(cgroups, fleet, target)]
        ended = terminate(cgroups, paths, grace=grace)
        if down:
            with emergency.attempt("the results of jobs are not remembered"):
                _remember_ends(installation, fleet, cgroups)
    output.line(f"{ended} {'process' if ended == 1 else 'processes'} ended")
    return Exit.PARTLY if emergency.partly else Exit.CONVERGED


def _remember_ends(installation: Installation, fleet: Fleet, cgroups: CgroupTree) -> None:
    """Of jobs that were at it: /run is gone before anybody looks at it again."""
    for path, run in runs(cgroups, installation.records, {}, jobs_of(fleet)).items():
        if run.is_news and run.result:
            installation.records.remember(path, run.result)


_SOON = 1.0
"""Seconds: to kill waits no longer for another run."""

MOST_GRACE = 40.0
"""Seconds: the unit that ends customers has 60 (systemd/paas-isolate-shutdown.service)."""


def _patience(fleet: Fleet) -> float:
    """The longest time in seconds that a service may take to end."""
    services = (service for account in fleet.accounts.values() for service in account.services if service.work.run)
    return max((service.work.complete().stop_timeout or 0 for service in services), default=0) / 1000


def _turn(installation: Installation, target: str) -> bool:
    """A run for the account, under the lock; whether nothing has failed."""
    with installation.open(installation.fleet(remember=True), scope=Scope(target.partition("/")[0])) as reconciler:
        report = reconcile(reconciler, lambda outcome: output.line(output.outcome_line(outcome)))
    for outcome in report.remaining:
        output.line(output.outcome_line(outcome), err=True)
    output.broken(report.broken)
    return not report.ended(Status.FAILED) and target.partition("/")[0] not in report.broken


def _path(cgroups: CgroupTree, fleet: Fleet, target: str) -> str:
    """UsageError where there is no such account, or it has no such service, with the nearest."""
    account, slash, service = target.partition("/")
    directory = directory_of(cgroups, fleet, account)
    there = cgroups.children(tree.account(directory))
    if slash and service not in there:
        raise no_such(f"service of {account}", service, there, otherwise="" if there else "it has no cgroup yet")
    if not cgroups.exists(tree.account(directory)):
        raise HostError(f"{account} has no cgroup", hint="paas-isolate reconcile makes it")
    return tree.leaf(directory, service) if slash else tree.account(directory)


def _everyone(cgroups: CgroupTree) -> list[str]:
    return [tree.account(directory) for directory in cgroups.children(tree.USERS)]
