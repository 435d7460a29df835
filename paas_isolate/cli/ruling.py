"""freeze, thaw, kill: what an administrator orders by hand."""

from collections.abc import Callable

import click

from paas_isolate.apply import Ending
from paas_isolate.changes.jobs import jobs_of
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk, directory_of, need_root
from paas_isolate.cli.exits import Exit
from paas_isolate.end import end
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.services import runs
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.reconcile import reconcile
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions

target = click.argument("target", metavar="ACCOUNT[/SERVICE]")


@click.command()
@target
@click.pass_obj
def freeze(desk: Desk, target: str) -> int:
    """Stop all processes of an account or service where they are, until thaw: through reconciles and reboots."""
    return _decide(desk, target, Decisions.freeze)


@click.command()
@target
@click.pass_obj
def thaw(desk: Desk, target: str) -> int:
    """Let a frozen account or service go on."""
    return _decide(desk, target, Decisions.thaw)


@click.command()
@click.argument("target", metavar="[ACCOUNT[/SERVICE]]", default="")
@click.option("--all", "everyone", is_flag=True, help="Every account: what the shutdown of the machine does.")
@click.option("--down", is_flag=True, help="The machine goes down: no service starts any more.")
@click.option("--grace", type=float, default=10, metavar="SECONDS", help="Time to end after SIGTERM (10).")
@click.pass_obj
def kill(desk: Desk, target: str, everyone: bool, down: bool, grace: float) -> int:
    """End all processes of an account or service: SIGTERM, time to leave, then SIGKILL for what is left."""
    if bool(target) == everyone:
        raise click.UsageError("name an account, or say --all")
    fleet = desk.fleet()
    if down:
        need_root()
        desk.records.end()
        grace = max(grace, min(MOST_GRACE, _patience(fleet)))
    with desk.alone(wait=grace), desk.tree(fleet) as (cgroups, _):
        paths = _everyone(cgroups) if everyone else [_path(cgroups, fleet, target)]
        ended = end(cgroups, paths, grace=grace)
        if down:
            _remember_ends(desk, fleet, cgroups)
    click.echo(f"{ended} {'process' if ended == 1 else 'processes'} ended")
    return Exit.CONVERGED


def _remember_ends(desk: Desk, fleet: Fleet, cgroups: CgroupTree) -> None:
    """Of jobs that were at it: /run is gone before anybody looks at it again."""
    for path, run in runs(cgroups, desk.records, {}, jobs_of(fleet)).items():
        if run.is_news and run.result:
            desk.records.remember(path, run.result)


MOST_GRACE = 40.0
"""Seconds: the unit that ends customers has 60 (systemd/paas-isolate-shutdown.service)."""


def _patience(fleet: Fleet) -> float:
    """The longest time in seconds that a service may take to end."""
    services = (service for sold in fleet.accounts.values() for service in sold.services if service.work.run)
    return max((service.work.complete().stop_timeout or 0 for service in services), default=0) / 1000


def _decide(desk: Desk, target: str, decision: Callable[[Decisions, str], Decisions]) -> int:
    account, slash, service = target.partition("/")
    with desk.alone(wait=10):
        fleet = desk.fleet(remember=True)
        with desk.tree(fleet) as (cgroups, _):
            _path(cgroups, fleet, target)
            held = f"{directory_of(cgroups, fleet, account)}{slash}{service}"
        decisions.save(desk.state, decision(decisions.load(desk.state), held))
        with desk.wheel(fleet, account=account) as wheel:
            report = reconcile(wheel, lambda outcome: click.echo(say.outcome_line(outcome)))
    for outcome in report.remaining:
        click.echo(say.outcome_line(outcome), err=True)
    say.broken(report.broken)
    return Exit.ERROR if account in report.broken or report.ended(Ending.FAILED) else Exit.CONVERGED


def _path(cgroups: CgroupTree, fleet: Fleet, target: str) -> str:
    account, slash, service = target.partition("/")
    directory = directory_of(cgroups, fleet, account)
    path = tree.leaf(directory, service) if slash else tree.account(directory)
    if not cgroups.exists(path):
        names = ", ".join(sorted(cgroups.children(tree.account(directory))))
        raise HostError(f"{target} has no cgroup", hint=f"{account} has: {names or 'none yet; reconcile first'}")
    return path


def _everyone(cgroups: CgroupTree) -> list[str]:
    return [tree.account(directory) for directory in cgroups.children(tree.USERS)]
