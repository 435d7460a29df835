"""account and plan: list, show and write specifications, for people and for control panels."""

import sys
from typing import Any, NamedTuple

import click

from paas_isolate.cli import output
from paas_isolate.cli.account_list import account_list
from paas_isolate.cli.account_plan import account_plan
from paas_isolate.cli.group import Group
from paas_isolate.cli.options import as_json
from paas_isolate.cli.plan_list import plan_list
from paas_isolate.cli.undecided import view
from paas_isolate.errors import SpecError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.system.machine import machine
from paas_isolate.linux.system.users import HostUsers
from paas_isolate.model.account import Fleet
from paas_isolate.source import write
from paas_isolate.spec.names import NAME_EXPECTED, SIZE_CAP, is_name

_TOLD = 200
"""Sentences of a plan that are told."""
_ANY = "*"


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    """The name becomes part of a path, so it must be a plain name. Raises BadParameter otherwise."""
    if not is_name(value):
        raise click.BadParameter(f"{value!r}; expected {NAME_EXPECTED}")
    return value


name = click.argument("name", callback=_name)
if_match = click.option(
    "--if-match", default="", metavar="TAG", help="Only if the file still has this tag (see show); *: if there is one."
)
if_none_match = click.option(
    "--if-none-match", type=click.Choice([_ANY]), help="Only if there is no such file: write *."
)
dry_run = click.option("--dry-run", is_flag=True, help="Write nothing, and say what reconcile would do then.")


class _Condition(NamedTuple):
    match: str
    none_match: bool

    def holds(self, now: bytes | None) -> bool:
        """Whether a file with this content, None for no file, is what the caller expects."""
        if self.none_match and now is not None:
            return False
        if not self.match:
            return True
        return now is not None and self.match in (_ANY, write.tag(now))


@click.group(cls=Group)
def account() -> None:
    """List accounts; show, write or remove the file of one; say what its next plan would change."""


@click.group(cls=Group)
def plan() -> None:
    """List plans; show or write the file of one."""


account.add_command(account_list)
account.add_command(account_plan)
plan.add_command(plan_list)


@account.command("show")
@name
@as_json
@click.pass_obj
def account_show(installation: Installation, name: str, as_json: bool) -> int:
    """Print the account's file. With --json also its tag, which --if-match of put and remove takes."""
    return _show(installation, "account", name, as_json=as_json)


@plan.command("show")
@name
@as_json
@click.pass_obj
def plan_show(installation: Installation, name: str, as_json: bool) -> int:
    """Print the plan's file. With --json also its tag, which --if-match of put takes."""
    return _show(installation, "plan", name, as_json=as_json)


def _file(kind: str, name: str) -> str:
    return f"{kind}s.d/{name}.yaml"


def _show(installation: Installation, kind: str, name: str, *, as_json: bool) -> int:
    file = _file(kind, name)
    data = write.content(installation.directory, file)
    if data is None:
        raise click.UsageError(f"no {kind} is called {name!r}: there is no {file}")
    if as_json:
        output.print_json({"name": name, "file": file, "text": data.decode(errors="replace"), "etag": write.tag(data)})
    else:
        for line in data.decode(errors="surrogateescape").splitlines():
            output.line(line)
    return Exit.CONVERGED


@account.command("put")
@name
@if_match
@if_none_match
@dry_run
@as_json
@click.pass_obj
def account_put(
    installation: Installation, name: str, if_match: str, if_none_match: str | None, dry_run: bool, as_json: bool
) -> int:
    """Write the account's file from standard input, if it is right; else report what is wrong and change nothing.

    Exit status 3 where the file is not what --if-match or --if-none-match expects: nothing is written.
    """
    return _put(installation, "account", name, _Condition(if_match, bool(if_none_match)), dry_run, as_json)


@account.command("remove")
@name
@if_match
@as_json
@click.pass_obj
def account_remove(installation: Installation, name: str, if_match: str, as_json: bool) -> int:
    """Remove the account's file. The next reconcile removes its cgroups once its last process has ended.

    Exit status 3 where the file is not what --if-match expects: nothing is removed.
    """
    file = _file("account", name)
    with installation.locked(wait=60):
        now = _present(installation, file) if if_match else None
        if not _Condition(if_match, none_match=False).holds(now):
            return _conflict(name, file, now, as_json=as_json)
        write.remove(installation.directory, file)
    if as_json:
        output.print_json(_result(name, file, True, None))
    return Exit.CONVERGED


@plan.command("put")
@name
@if_match
@if_none_match
@dry_run
@as_json
@click.pass_obj
def plan_put(
    installation: Installation, name: str, if_match: str, if_none_match: str | None, dry_run: bool, as_json: bool
) -> int:
    """Write the plan's file from standard input, if all its accounts stay right; else change nothing.

    Exit status 3 where the file is not what --if-match or --if-none-match expects: nothing is written.
    """
    return _put(installation, "plan", name, _Condition(if_match, bool(if_none_match)), dry_run, as_json)


def _put(installation: Installation, kind: str, name: str, condition: _Condition, dry_run: bool, as_json: bool) -> int:
    file, data = _file(kind, name), sys.stdin.buffer.read(SIZE_CAP + 1)
    directory = installation.directory
    if dry_run:
        now = _present(installation, file)
        if not condition.holds(now):
            return _conflict(name, file, now, as_json=as_json)
        fleet = write.tried(directory, file, data, HostUsers(), machine())
        steps = _steps(installation, fleet, kind, name)
        _tell_plan(steps, as_json=as_json)
    else:
        with installation.locked(wait=60):
            now = _present(installation, file)
            if not condition.holds(now):
                return _conflict(name, file, now, as_json=as_json)
            fleet = write.put(directory, file, data, HostUsers(), machine())
        steps = []
    if as_json:
        located = directory.located(fleet, {file: data})
        warnings = [complaint._asdict() for complaint in located.complaints if complaint.file == file]
        output.print_json(
            _result(name, file, now != data, data)
            | {
                "dry_run": dry_run,
                "steps": steps[:_TOLD],
                "more": max(0, len(steps) - _TOLD),
                "complaints": warnings,
            }
        )
    return Exit.CONVERGED


def _present(installation: Installation, file: str) -> bytes | None:
    """What is there; a file that must not be used is replaced, and matches no tag."""
    try:
        return write.content(installation.directory, file)
    except SpecError:
        return b""


def _result(name: str, file: str, changed: bool, data: bytes | None, *, conflict: bool = False) -> dict[str, Any]:
    """`etag` is that of the file as it is now; of a dry run, as it would be."""
    etag = None if data is None else write.tag(data)
    return {"name": name, "file": file, "changed": changed, "conflict": conflict, "etag": etag}


def _conflict(name: str, file: str, now: bytes | None, *, as_json: bool) -> int:
    if as_json:
        output.print_json(_result(name, file, False, now, conflict=True))
    else:
        output.line(f"{file} is not as it was: somebody has changed it; nothing was done", fg="yellow", err=True)
    return Exit.DIFFERS


def _steps(installation: Installation, fleet: Fleet, kind: str, name: str) -> list[str]:
    """What reconcile would do then, a sentence each."""
    one = kind == "account"
    with view(installation, fleet, name if one else "") as seen:
        changes = seen.comparison.changes
    owners = {each.directory for each in fleet.accounts.values() if name == (each.name if one else each.plan)}
    return [str(step) for step in changes if step.owner in owners]


def _tell_plan(steps: list[str], *, as_json: bool) -> None:
    if as_json:
        return
    for step in steps:
        output.line(step)
    if not steps:
        output.line("nothing would change")
