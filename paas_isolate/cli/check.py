"""check and schema: the YAML, without looking at the kernel."""

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.errors import SpecError
from paas_isolate.exits import Exit
from paas_isolate.full_pass import complaint_data
from paas_isolate.installation import Installation
from paas_isolate.model.account import Fleet, Host
from paas_isolate.text import counted


@click.command()
@as_json
@click.pass_obj
def check(installation: Installation, as_json: bool) -> int:
    """Read every specification and say what is wrong with it. Changes nothing, needs no root.

    Exit status 2 when something is wrong; warnings alone leave it 0.
    """
    try:
        fleet = installation.directory.located(installation.fleet())
    except SpecError as error:  # config.yaml is wrong and never was right: nothing else can be read
        if not as_json:
            raise
        fleet = Fleet(Host(), {}, complaints=error.complaints)
    mistakes = [complaint for complaint in fleet.complaints if not complaint.warning]
    if as_json:
        output.print_json(_data(fleet))
    else:
        output.complain(fleet)
        output.tell_reserved(fleet)
        accounts = counted(len(fleet.accounts), "account")
        warned = len(fleet.complaints) - len(mistakes)
        well = f"{accounts}: all right" + (f", but for {counted(warned, 'warning')}" if warned else "")
        output.line(f"{accounts}, {counted(len(mistakes), 'mistake')}" if mistakes else well)
    if fleet.broken:
        return Exit.ERROR
    return Exit.WRONG if mistakes or fleet.on_last_good or fleet.removal_blocked else Exit.CONVERGED


@click.command()
def schema() -> int:
    """Print the YAML language as JSON Schema, for editors and panels."""
    from paas_isolate.spec.schema import schema as described

    output.print_json(described())
    return Exit.CONVERGED


def _data(fleet: Fleet) -> dict[str, object]:
    return {
        "accounts": sorted(fleet.accounts),
        "complaints": [complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.on_last_good),
        "broken": {name: it.text or it.what for name, it in fleet.broken.items()},
        "not_enforced": fleet.not_enforced(),
    }
