"""start, stop, restart, scale, logs: the services that paas-isolate runs, by hand."""

import sys
from collections.abc import Callable, Collection

import click

from paas_isolate.changes.knob_compiler import replicas
from paas_isolate.cli import output
from paas_isolate.cli.emergency import Emergency
from paas_isolate.compare import Reconciler, Scope
from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, account_of, directory_of, need_root, no_such
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.services import log_tail
from paas_isolate.linux.system.users import HostUsers
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, Service
from paas_isolate.model.outcome import Status
from paas_isolate.reconcile import reconcile
from paas_isolate.source.decisions import Decisions
from paas_isolate.source.notes import STOPPED
from paas_isolate.terminate import terminate

PATIENCE = 60.0
"""Seconds beyond the time that a service may take to end: a rolling restart takes it for each of the replicas."""

MOST_PATIENCE = 600.0
"""However long the account's file says: the lock is held as long, and nobody else's run begins. The next goes on."""

_WAIT = 60.0
target = click.argument("target", metavar="ACCOUNT/SERVICE")


@click.command()
@target
@click.pass_obj
def start(installation: Installation, target: str) -> int:
    """Start a service that was stopped, has ended or was given up; a job now, though it is not time."""
    return order(installation, target, lambda decided, name: decided.order("start", name), again=True)


@click.command()
@target
@click.pass_obj
def stop(installation: Installation, target: str) -> int:
    """Stop a service: SIGTERM, its stop_timeout, then SIGKILL. It stays stopped until start, through reboots too."""
    need_root()
    emergency = Emergency(installation)
    with installation.tree(emergency.fleet) as (cgroups, _):
        directory, service, grace = _to_stop(emergency, cgroups, target)
        name = f"{directory}/{service}"
        emergency.note(STOPPED, name)
        status: Exit | None = None

        def turn() -> None:
            nonlocal status
            fleet = installation.fleet(remember=True)
            status = _turn(installation, fleet, *named(fleet, target))

        emergency.finish(lambda decided: decided.order("stop", name), turn)
        if status is None:
            # Another run does not let us, or nothing can be worked out: the kernel ends it all the same.
            names = [each for each in cgroups.children(tree.account(directory)) if each.partition(".")[0] == service]
            terminate(cgroups, [tree.leaf(directory, each) for each in names], grace=grace)
    return status or (Exit.PARTLY if emergency.partly else Exit.CONVERGED)


def _to_stop(emergency: Emergency, cgroups: CgroupTree, target: str) -> tuple[str, str, float]:
    """The directory of the account, the service, and the seconds that it has to end. By its name alone where nobody
    knows what is sold."""
    account, _, service = target.partition("/")
    if emergency.known and account in emergency.fleet.accounts:
        sold, found = named(emergency.fleet, target)
        return sold.directory, found.name, (found.work.complete().stop_timeout or 0) / 1000
    directory = directory_of(cgroups, emergency.fleet, account)
    there = [name.partition(".")[0] for name in cgroups.children(tree.account(directory))]
    if service not in there:
        raise no_such(f"service of {account}", service, there)
    return directory, service, 0.0


@click.command()
@target
@click.pass_obj
def restart(installation: Installation, target: str) -> int:
    """Stop and start a service; of replicas one at a time, while the others do their work."""
    return order(installation, target, lambda decided, name: decided.order("restart", name), again=True, alive=True)


@click.command()
@target
@click.argument("number", metavar="N|default")
@click.pass_obj
def scale(installation: Installation, target: str, number: str) -> int:
    """Run N of a service, whatever its file says; `default`: as its file says."""
    if number != "default" and not (number.isdecimal() and 0 < int(number) <= 100):
        raise click.UsageError(f"{number!r} is no number of replicas; expected 1 to 100, or default")
    many = None if number == "default" else int(number)
    return order(installation, target, lambda decided, name: decided.scale(name, many))


@click.command()
@target
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")
@click.option(
    "--lines", "-n", type=click.IntRange(min=0), default=50, metavar="N", help="How many lines of its end (50)."
)
@click.option("--number", type=click.IntRange(min=1), default=1, metavar="N", help="Which of the replicas (1).")
@click.pass_obj
def logs(installation: Installation, target: str, follow: bool, lines: int, number: int) -> int:
    """Show the end of a service's log, ~/logs/SERVICE.log. On a terminal control characters are escaped; a file or a
    pipe gets the log's own bytes."""
    need_root()
    account, service = named(installation.fleet(), target)
    name = service.name if number == 1 else f"{service.name}.{number}"
    user = HostUsers().by_name(account.owner)
    if user is None:
        raise PaasError(f"{account.owner} cannot be resolved now")
    path = f"{account.home}/logs/{name}.log"
    lines_of = log_tail.follow if follow else log_tail.last_lines
    # As the customer: what a link in their home leads to is theirs to read, or it is not shown.
    try:
        for line in lines_of(path, user, lines):
            _show(line)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PaasError(f"{path}: {error.strerror}") from error
    return Exit.CONVERGED


def _show(line: bytes) -> None:
    if sys.stdout.isatty():
        output.line(line.decode(errors="surrogateescape").rstrip("\r\n").expandtabs())
    else:
        output.raw(line)


Decision = Callable[[Decisions, str], Decisions]


def order(
    installation: Installation, target: str, decision: Decision, *, again: bool = False, alive: bool = False
) -> int:
    """Decide something about a service, and see it through. `again` starts it anew where it does not run, with `alive`
    where it does too."""
    with installation.locked(wait=_WAIT):
        fleet = installation.fleet(remember=True)
        account, service = named(fleet, target)
        name = f"{account.directory}/{service.name}"
        installation.decide(lambda decided: decision(decided, name))

        def begin(reconciler: Reconciler) -> None:
            assert reconciler.kernel.records is not None  # there is a service that is run
            for replica in replicas(named(reconciler.intent.fleet, target)[1]):  # as many of them as are ordered now
                reconciler.kernel.records.order(tree.leaf(account.directory, replica.name), alive=alive)

        return _turn(installation, fleet, account, service, begin if again else _nothing)


def _nothing(_: Reconciler) -> None:
    pass


def _turn(
    installation: Installation,
    fleet: Fleet,
    account: Account,
    service: Service,
    before: Callable[[Reconciler], None] = _nothing,
) -> Exit:
    """A run for the account, with the patience that the service may need; under the lock."""
    patience = min(PATIENCE + (service.work.complete().stop_timeout or 0) / 1000, MOST_PATIENCE)
    with installation.open(fleet, scope=Scope(account.name, grace=patience)) as reconciler:
        before(reconciler)
        report = reconcile(reconciler, lambda outcome: output.line(output.outcome_line(outcome)))
    for outcome in report.remaining:
        output.line(output.outcome_line(outcome), err=True)
    output.broken(report.broken)
    if held := frozen(reconciler.intent.frozen, account, service):
        output.line(f"{held} is frozen: that comes when it is thawed")
    elif not report.outcomes:
        output.line("nothing to do")
    failed = report.remaining or any(outcome.status is Status.FAILED for outcome in report.outcomes)
    return Exit.ERROR if failed or account.name in report.broken else Exit.CONVERGED


def frozen(held: Collection[str], account: Account, service: Service) -> str:
    """What of it is frozen: the account, the service, or ''."""
    if account.directory in held:
        return account.name
    return f"{account.name}/{service.name}" if f"{account.directory}/{service.name}" in held else ""


def named(fleet: Fleet, target: str) -> tuple[Account, Service]:
    """The account and the service that paas-isolate runs. UsageError where there is none, with the nearest."""
    account, service = account_of(fleet, target)
    run = {each.name: each for each in account.services if each.work.run}
    if service not in run:
        otherwise = "" if run else "none of its services has `run:`"
        raise no_such(f"service that is run of {account.name}", service, run, otherwise=otherwise)
    return account, run[service]
