"""start, stop, restart, scale, logs: the services that paas-isolate runs, by hand."""

import os
import subprocess
from collections.abc import Callable

import click

from paas_isolate.apply import Ending
from paas_isolate.changes.catalogue import replicas
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk, account_of, need_root, no_such
from paas_isolate.cli.exits import Exit
from paas_isolate.errors import PaasError
from paas_isolate.linux.users import People
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Service, Sold
from paas_isolate.reconcile import reconcile
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions

PATIENCE = 60.0
"""Seconds beyond the time that a service may take to end: a rolling restart takes it for each of the replicas."""

_WAIT = 60.0
target = click.argument("target", metavar="ACCOUNT/SERVICE")


@click.command()
@target
@click.pass_obj
def start(desk: Desk, target: str) -> int:
    """Start a service that was stopped, has ended or was given up; a job now, though it is not time."""
    return order(desk, target, lambda decided, name: decided.order("start", name), again=True)


@click.command()
@target
@click.pass_obj
def stop(desk: Desk, target: str) -> int:
    """Stop a service: SIGTERM, its stop_timeout, then SIGKILL. It stays stopped until start, through reboots too."""
    return order(desk, target, lambda decided, name: decided.order("stop", name))


@click.command()
@target
@click.pass_obj
def restart(desk: Desk, target: str) -> int:
    """Stop and start a service; of replicas one at a time, while the others do their work."""
    return order(desk, target, lambda decided, name: decided.order("restart", name), again=True, alive=True)


@click.command()
@target
@click.argument("number", metavar="N|default")
@click.pass_obj
def scale(desk: Desk, target: str, number: str) -> int:
    """Run N of a service, whatever its file says; `default`: as its file says."""
    if number != "default" and not (number.isdecimal() and 0 < int(number) <= 100):
        raise click.UsageError(f"{number!r} is no number of replicas; expected 1 to 100, or default")
    many = None if number == "default" else int(number)
    return order(desk, target, lambda decided, name: decided.scale(name, many))


@click.command()
@target
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=50, metavar="N", show_default=True)
@click.option("--number", type=click.IntRange(min=1), default=1, metavar="N", help="Which of the replicas (1).")
@click.pass_obj
def logs(desk: Desk, target: str, follow: bool, lines: int, number: int) -> int:
    """Show the end of a service's log, ~/logs/SERVICE.log."""
    need_root()
    sold, service = named(desk.fleet(), target)
    name = service.name if number == 1 else f"{service.name}.{number}"
    user = People().by_name(sold.owner)
    if user is None:
        raise PaasError(f"{sold.owner} cannot be resolved now")
    words = ["tail", "--lines", str(lines), *(["--follow=name", "--retry"] if follow else [])]
    # As the customer: what a link in their home leads to is theirs to read, or it is not shown.
    return subprocess.call(
        [*words, "--", f"{sold.home}/logs/{name}.log"],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath},
    )


Decision = Callable[[Decisions, str], Decisions]


def order(desk: Desk, target: str, decision: Decision, *, again: bool = False, alive: bool = False) -> int:
    """Decide something about a service, and see it through. `again` starts it anew where it does not run, with `alive`
    where it does too."""
    with desk.alone(wait=_WAIT):
        fleet = desk.fleet(remember=True)
        sold, service = named(fleet, target)
        name = f"{sold.directory}/{service.name}"
        decisions.save(desk.state, decision(decisions.load(desk.state), name))
        patience = PATIENCE + (service.work.complete().stop_timeout or 0) / 1000
        with desk.wheel(fleet, account=sold.name, patience=patience) as wheel:
            assert wheel.records is not None  # there is a service that is run
            service = named(wheel.fleet, target)[1]  # as many of them as are ordered now
            if again:
                for replica in replicas(service):
                    wheel.records.order(tree.leaf(sold.directory, replica.name), alive=alive)
            report = reconcile(wheel, lambda outcome: click.echo(say.outcome_line(outcome)))
    for outcome in report.remaining:
        click.echo(say.outcome_line(outcome), err=True)
    say.broken(report.broken)
    if not report.outcomes:
        click.echo("nothing to do")
    failed = report.remaining or any(outcome.ending is Ending.FAILED for outcome in report.outcomes)
    return Exit.ERROR if failed or sold.name in report.broken else Exit.CONVERGED


def named(fleet: Fleet, target: str) -> tuple[Sold, Service]:
    """The account and the service that paas-isolate runs. UsageError where there is none, with the nearest."""
    sold, service = account_of(fleet, target)
    run = {each.name: each for each in sold.services if each.work.run}
    if service not in run:
        otherwise = "" if run else "none of its services has `run:`"
        raise no_such(f"service that is run of {sold.name}", service, run, otherwise=otherwise)
    return sold, run[service]
