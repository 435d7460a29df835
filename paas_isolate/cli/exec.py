"""exec: run a command as a customer in a leaf, by paas-enter, with checks and messages before."""

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

LAUNCHER = "/usr/sbin/paas-enter"

WAIT = 60
"""Seconds to wait for another run's lock when a door has to be made."""


@click.command()
@click.argument("target", metavar="ACCOUNT/SERVICE")
@click.option("--user", "-u", default="", metavar="USER", help="As this user of the account (its owner).")
@click.option("--keep", "-k", multiple=True, metavar="NAME", help="Keep this variable of the environment.")
@click.option("--no-new-privs", "-n", is_flag=True, help="Set-uid programs gain no rights.")
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
    """Run a command as a customer. It is in the leaf of a service from its first instruction.

    The exit status is the command's; 127 when it is not found, 126 when it cannot be run, 125 when the leaf cannot be
    entered. After an error nothing runs outside the leaf.
    """
    need_root()
    launcher = installed(LAUNCHER)
    fleet = installation.fleet()
    account, service = _named(fleet, target)
    user = user or account.owner
    uid = _uid(fleet, account, user)
    if account.suspended:
        raise PaasError(f"{account.name} is suspended by accounts.d/{account.name}.yaml")
    _open_door(installation, account, uid, service)
    words = [
        "--doors",
        installation.doors,
        "--user",
        fleet.renamed.get(user, user),
        *(word for name in keep for word in ("--keep", name)),
    ]
    words += ["--no-new-privs"] if no_new_privs else []
    os.execv(launcher, [launcher, *words, f"{account.directory}/{service}", "--", *command])  # noqa: S606  (no shell is wanted)


def _named(fleet: Fleet, target: str) -> tuple[Account, str]:
    """The account and the service that `ACCOUNT/SERVICE` names. Raises UsageError, with the nearest name."""
    account, service = account_of(fleet, target)
    services = {LOGIN, OTHER, *(each.name for each in account.services)}
    if service not in services:
        raise no_such(f"service of {account.name}", service, services)
    return account, service


def _uid(fleet: Fleet, account: Account, user: str) -> int:
    if (uid := account.uids.get(user)) is not None:
        return uid
    if (entry := HostUsers().by_name(user)) and entry.uid in fleet.exempt:
        raise PaasError(f"{user} is exempt (users.exempt of config.yaml) and enters no leaf, whatever an account says")
    raise no_such(f"user of {account.name}", user, account.uids)


def _open_door(installation: Installation, account: Account, uid: int, service: str) -> None:
    """Make sure that there is a door to the leaf. The first call stores that doors are needed even without the PAM
    module. It makes the account's doors at once; the next run makes the others."""
    decided = installation.decided()
    for target in (account.directory, f"{account.directory}/{LOGIN}", f"{account.directory}/{service}"):
        if target in decided.frozen:
            raise PaasError(f"{target} is frozen: paas-isolate thaw {target}")
    if decided.launcher and os.path.isdir(f"{installation.doors}/{uid}/../{service}"):
        return
    with installation.locked(wait=WAIT):
        decisions.save(installation.state, decisions.load(installation.state)._replace(launcher=True))
        with installation.open(installation.fleet(remember=True), scope=Scope(account.name)) as reconciler:
            _tell(reconcile(reconciler, lambda _: None).remaining)


def _tell(remaining: Iterable[Outcome]) -> None:
    for outcome in remaining:
        output.line(output.outcome_line(outcome), err=True)
