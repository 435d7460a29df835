"""exec: a command as a customer, inside: the comfortable face of paas-enter."""

import os
from collections.abc import Iterable

import click

from paas_isolate.cli import output
from paas_isolate.compare import Scope
from paas_isolate.errors import PaasError
from paas_isolate.installation import Installation, account_of, need_root, no_such
from paas_isolate.linux.services.launch import installed
from paas_isolate.linux.system.users import HostUsers
from paas_isolate.model.account import LOGIN, OTHER, Account, Fleet
from paas_isolate.model.outcome import Outcome
from paas_isolate.reconcile import reconcile
from paas_isolate.source import decisions

LAUNCHERS = ("/usr/local/sbin/paas-enter", "/usr/sbin/paas-enter")
"""Where scripts/install puts it, and where a package of a distribution would."""

WAIT = 60
"""Seconds for a run that is at work, where a door is still to be made."""


@click.command()
@click.argument("target", metavar="ACCOUNT/SERVICE")
@click.option("--user", "-u", default="", metavar="USER", help="As this user of the account (its owner).")
@click.option("--keep", "-k", multiple=True, metavar="NAME", help="Keep this variable of the environment.")
@click.option("--no-new-privs", "-n", is_flag=True, help="Set-uid programs give nothing.")
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec(
    installation: Installation,
    target: str,
    user: str,
    keep: tuple[str, ...],
    no_new_privs: bool,
    command: tuple[str, ...],
) -> None:
    """Run a command as a customer, in the leaf of a service from its first instruction on.

    The exit status is the command's; 127 when it is not found, 126 when it cannot be run, 125 when the leaf cannot be
    entered. Whatever is wrong, nothing runs outside.
    """
    need_root()
    launcher = installed(LAUNCHERS)
    fleet = installation.fleet()
    account, service = _named(fleet, target)
    user = user or account.owner
    uid = _uid(fleet, account, user)
    if account.suspended:
        raise PaasError(f"{account.name} is suspended, by its file")
    _open_door(installation, account, uid, service)
    words = [
        "--doors",
        installation.doors,
        "--user",
        fleet.renamed.get(user, user),
        *(word for name in keep for word in ("--keep", name)),
    ]
    words += ["--no-new-privs"] if no_new_privs else []
    os.execv(launcher, [launcher, *words, f"{account.directory}/{service}", "--", *command])  # noqa: S606  (as meant)


def _named(fleet: Fleet, target: str) -> tuple[Account, str]:
    """The account and the name of its service. UsageError where there is none, with the nearest that there is."""
    account, service = account_of(fleet, target)
    services = {LOGIN, OTHER, *(each.name for each in account.services)}
    if service not in services:
        raise no_such(f"service of {account.name}", service, services)
    return account, service


def _uid(fleet: Fleet, account: Account, user: str) -> int:
    if (uid := account.uids.get(user)) is not None:
        return uid
    if (found := HostUsers().by_name(user)) and found.uid in fleet.exempt:
        raise PaasError(f"{user} is exempt (users.exempt of config.yaml): in no leaf, whatever an account says")
    raise no_such(f"user of {account.name}", user, account.uids)


def _open_door(installation: Installation, account: Account, uid: int, service: str) -> None:
    """Make sure that there is a door to the leaf. The first time decides that doors are kept, PAM module or not: the
    account's are made at once, the others' by the next run."""
    decided = installation.decided()
    for held in (account.directory, f"{account.directory}/{LOGIN}", f"{account.directory}/{service}"):
        if held in decided.frozen:
            raise PaasError(f"{held} is frozen: paas-isolate thaw {held}")
    if decided.launcher and os.path.isdir(f"{installation.doors}/{uid}/../{service}"):
        return
    with installation.locked(wait=WAIT):
        decisions.save(installation.state, decisions.load(installation.state)._replace(launcher=True))
        with installation.open(installation.fleet(remember=True), scope=Scope(account.name)) as reconciler:
            _tell(reconcile(reconciler, lambda _: None).remaining)


def _tell(remaining: Iterable[Outcome]) -> None:
    for outcome in remaining:
        output.line(output.outcome_line(outcome), err=True)
