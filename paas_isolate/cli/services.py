"""start, stop, restart, scale, logs: commands for the services that paas-isolate runs."""

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
"""Seconds in addition to a service's stop_timeout: a rolling restart needs them for each of the replicas."""

MOST_PATIENCE = 600.0
"""Seconds at the most, because the lock is held all the time. The next run completes what is left."""

_WAIT = 60.0
"""Seconds to wait for another run's lock."""

target = click.argument("target", metavar="ACCOUNT/SERVICE")


@click.command()
@target
@click.pass_obj
def start(installation: Installation, target: str) -> int:
    """Start a service that was stopped, has ended or was given up; run a job now instead of at its time."""
    return order(installation, target, lambda decided, name: decided.order("start", name), again=True)


@click.command()
@target
@click.pass_obj
def stop(installation: Installation, target: str) -> int:
    """Stop a service: SIGTERM, its stop_timeout, then SIGKILL. It stays stopped until start, also after a reboot."""
    need_root()
    emergency = Emergency(installation)
    with installation.tree(emergency.fleet) as (cgroups, _):
        directory, service, grace = _to_stop(emergency, cgroups, target)
        name = f"{directory}/{service}"
        emergency.note(STOPPED, name)
        status: Exit | None = None

        def reconcile_service() -> None:
            nonlocal status
            fleet = installation.fleet(remember=True)
            status = _reconcile_account(installation, fleet, *named(fleet, target))

        emergency.finish(lambda decided: decided.order("stop", name), reconcile_service)
        if status is None:
            # Another run holds the lock, or the specifications cannot be read. The processes are ended all the same.
            leaves = [leaf for leaf in cgroups.children(tree.account(directory)) if leaf.partition(".")[0] == service]
            terminate(cgroups, [tree.leaf(directory, leaf) for leaf in leaves], grace=grace)
    return status or (Exit.PARTLY if emergency.partly else Exit.CONVERGED)


def _to_stop(emergency: Emergency, cgroups: CgroupTree, target: str) -> tuple[str, str, float]:
    """The account's directory, the service's name, and its stop_timeout in seconds. Where the specifications cannot be
    read, by the names of the cgroups, with 0 seconds. Raises UsageError when there is no such account or service."""
    account_name, _, service_name = target.partition("/")
    if emergency.known and account_name in emergency.fleet.accounts:
        account, service = named(emergency.fleet, target)
        return account.directory, service.name, (service.work.complete().stop_timeout or 0) / 1000
    directory = directory_of(cgroups, emergency.fleet, account_name)
    services = [leaf.partition(".")[0] for leaf in cgroups.children(tree.account(directory))]
    if service_name not in services:
        raise no_such(f"service of {account_name}", service_name, services)
    return directory, service_name, 0.0


@click.command()
@target
@click.pass_obj
def restart(installation: Installation, target: str) -> int:
    """Stop and start a service. Replicas are restarted one at a time, while the others run."""
    return order(installation, target, lambda decided, name: decided.order("restart", name), again=True, alive=True)


@click.command()
@target
@click.argument("number", metavar="N|default")
@click.pass_obj
def scale(installation: Installation, target: str, number: str) -> int:
    """Run N replicas of a service instead of the number in its file; `default`: the number in its file."""
    if number != "default" and not (number.isdecimal() and 0 < int(number) <= 100):
        raise click.UsageError(f"{number!r} is not a number of replicas; expected 1 to 100, or default")
    many = None if number == "default" else int(number)
    return order(installation, target, lambda decided, name: decided.scale(name, many))


@click.command()
@target
@click.option("--follow", "-f", is_flag=True, help="Show new lines as they are written.")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=50, metavar="N", help="Show the last N lines (50).")
@click.option("--number", type=click.IntRange(min=1), default=1, metavar="N", help="Number of the replica (1).")
@click.pass_obj
def logs(installation: Installation, target: str, follow: bool, lines: int, number: int) -> int:
    """Show the end of a service's log, ~/logs/SERVICE.log. Control characters are escaped on a terminal, but not in a
    file or pipe."""
    need_root()
    account, service = named(installation.fleet(), target)
    name = service.name if number == 1 else f"{service.name}.{number}"
    user = HostUsers().by_name(account.owner)
    if user is None:
        raise PaasError(f"the user {account.owner} cannot be resolved now: getent passwd {account.owner}")
    path = f"{account.home}/logs/{name}.log"
    lines_of = log_tail.follow if follow else log_tail.last_lines
    # Read as the customer: a link in their home must not show what they may not read.
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
    """Store a decision about a service, reconcile its account, print the outcomes, and return the exit status.

    `decision` gets the decisions and the service as `DIRECTORY/SERVICE`. `again` starts the service if it does not
    run; with `alive` a running one is restarted too. Raises UsageError when there is no such service, and BusyError
    when another run holds the lock for 60 seconds.
    """
    with installation.locked(wait=_WAIT):
        fleet = installation.fleet(remember=True)
        account, service = named(fleet, target)
        name = f"{account.directory}/{service.name}"
        installation.decide(lambda decided: decision(decided, name))

        def order_start(reconciler: Reconciler) -> None:
            assert reconciler.kernel.records is not None  # there is a service that is run
            for replica in replicas(named(reconciler.intent.fleet, target)[1]):  # the number that is ordered now
                reconciler.kernel.records.order(tree.leaf(account.directory, replica.name), alive=alive)

        return _reconcile_account(installation, fleet, account, service, order_start if again else _nothing)


def _nothing(_: Reconciler) -> None:
    pass


def _reconcile_account(
    installation: Installation,
    fleet: Fleet,
    account: Account,
    service: Service,
    before: Callable[[Reconciler], None] = _nothing,
) -> Exit:
    """One pass for the account, under the caller's lock. It waits for the service as long as that may take."""
    patience = min(PATIENCE + (service.work.complete().stop_timeout or 0) / 1000, MOST_PATIENCE)
    with installation.open(fleet, scope=Scope(account.name, grace=patience)) as reconciler:
        before(reconciler)
        report = reconcile(reconciler, lambda outcome: output.line(output.outcome_line(outcome)))
    for outcome in report.remaining:
        output.line(output.outcome_line(outcome), err=True)
    output.broken(report.broken)
    if target := frozen(reconciler.intent.frozen, account, service):
        output.line(f"{target} is frozen: the order takes effect after paas-isolate thaw {target}")
    elif not report.outcomes:
        output.line("nothing to do")
    failed = report.remaining or any(outcome.status is Status.FAILED for outcome in report.outcomes)
    return Exit.ERROR if failed or account.name in report.broken else Exit.CONVERGED


def frozen(held: Collection[str], account: Account, service: Service) -> str:
    """Which of them is frozen: the account's name, `ACCOUNT/SERVICE`, or ''."""
    if account.directory in held:
        return account.name
    return f"{account.name}/{service.name}" if f"{account.directory}/{service.name}" in held else ""


def named(fleet: Fleet, target: str) -> tuple[Account, Service]:
    """The account and the service that `ACCOUNT/SERVICE` names. Raises UsageError, with the nearest name, when there is
    no such account, or it has no such service with `run:`."""
    account, name = account_of(fleet, target)
    services = {service.name: service for service in account.services if service.work.run}
    if name not in services:
        otherwise = "" if services else "none of its services has `run:`"
        raise no_such(f"service with `run:` of {account.name}", name, services, otherwise=otherwise)
    return account, services[name]
