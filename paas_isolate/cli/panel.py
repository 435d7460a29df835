"""account and plan: write specifications, for the hooks of a control panel."""

import sys

import click

from paas_isolate.cli.group import Group
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.system.machine import machine
from paas_isolate.linux.system.users import HostUsers
from paas_isolate.source import write
from paas_isolate.spec.names import NAME_EXPECTED, SIZE_CAP, is_name


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    """The name becomes part of a path, so it must be a plain name. Raises BadParameter otherwise."""
    if not is_name(value):
        raise click.BadParameter(f"{value!r}; expected {NAME_EXPECTED}")
    return value


name = click.argument("name", callback=_name)


@click.group(cls=Group)
def account() -> None:
    """Write or remove the file of one account."""


@click.group(cls=Group)
def plan() -> None:
    """Write the file of one plan."""


@account.command("put")
@name
@click.pass_obj
def account_put(installation: Installation, name: str) -> int:
    """Write the account's file from standard input, if it is right; else report what is wrong and change nothing."""
    return _put(installation, f"accounts.d/{name}.yaml")


@account.command("remove")
@name
@click.pass_obj
def account_remove(installation: Installation, name: str) -> int:
    """Remove the account's file. The next reconcile removes its cgroups once its last process has ended."""
    with installation.locked(wait=60):
        write.remove(installation.directory, f"accounts.d/{name}.yaml")
    return Exit.CONVERGED


@plan.command("put")
@name
@click.pass_obj
def plan_put(installation: Installation, name: str) -> int:
    """Write the plan's file from standard input, if all its accounts stay right; else change nothing."""
    return _put(installation, f"plans.d/{name}.yaml")


def _put(installation: Installation, file: str) -> int:
    data = sys.stdin.buffer.read(SIZE_CAP + 1)
    with installation.locked(wait=60):
        write.put(installation.directory, file, data, HostUsers(), machine())
    return Exit.CONVERGED
