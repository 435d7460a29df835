"""check and schema: the YAML, without looking at the kernel."""

import click

from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk
from paas_isolate.cli.exits import Exit
from paas_isolate.model.account import Fleet


@click.command()
@say.as_json
@click.pass_obj
def check(desk: Desk, as_json: bool) -> int:
    """Read every specification and say what is wrong with it. Changes nothing, needs no root.

    Exit status 2 when something is wrong; warnings alone leave it 0.
    """
    fleet = desk.fleet()
    mistakes = [complaint for complaint in fleet.complaints if not complaint.warning]
    if as_json:
        say.print_json(_data(fleet))
    else:
        say.complain(fleet)
        for name, keys in _reserved(fleet).items():
            click.echo(f"{name}: not enforced by this version: {', '.join(keys)}")
        counted = f"{len(fleet.accounts)} accounts"
        click.echo(f"{counted}, {len(mistakes)} mistakes" if mistakes else f"{counted}: all right")
    return Exit.WRONG if mistakes or fleet.kept or fleet.removal else Exit.CONVERGED


@click.command()
def schema() -> int:
    """Print the YAML language as JSON Schema, for editors and panels."""
    from paas_isolate.spec.schema import schema as described

    say.print_json(described())
    return Exit.CONVERGED


def _reserved(fleet: Fleet) -> dict[str, list[str]]:
    """Keys that are part of the language and do nothing yet, by where they stand."""
    found = {"config.yaml": list(fleet.host.reserved)}
    for sold in fleet.accounts.values():
        keys = [
            *sold.reserved,
            *(f"{service.name}.{key}" for service in sold.services for key in service.reserved),
        ]
        found[sold.name] = keys
    return {name: keys for name, keys in found.items() if keys}


def _data(fleet: Fleet) -> dict[str, object]:
    return {
        "accounts": sorted(fleet.accounts),
        "complaints": [say.complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.kept),
        "not_enforced": _reserved(fleet),
    }
