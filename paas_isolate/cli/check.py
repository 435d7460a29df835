"""check and schema: the YAML alone, without the kernel."""

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.errors import SpecError
from paas_isolate.exits import Exit
from paas_isolate.full_pass import complaint_data
from paas_isolate.installation import Installation
from paas_isolate.model.account import Fleet, Host
from paas_isolate.spec.schema import schema as json_schema
from paas_isolate.text import counted


@click.command()
@as_json
@click.pass_obj
def check(installation: Installation, as_json: bool) -> int:
    """Read every specification and report what is wrong. Changes nothing and needs no root.

    Exit status 2 when something is wrong, 0 when there are only warnings.
    """
    try:
        fleet = installation.directory.located(installation.fleet())
    except SpecError as error:  # config.yaml is wrong and has no last good copy: no account can be read
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
        warnings = len(fleet.complaints) - len(mistakes)
        all_right = f"{accounts}: all right" + (f", but for {counted(warnings, 'warning')}" if warnings else "")
        output.line(f"{accounts}, {counted(len(mistakes), 'mistake')}" if mistakes else all_right)
    if fleet.broken:
        return Exit.ERROR
    return Exit.WRONG if mistakes or fleet.on_last_good or fleet.removal_blocked else Exit.CONVERGED


@click.command()
def schema() -> int:
    """Print the YAML language as JSON Schema, for editors and panels."""
    output.print_json(json_schema())
    return Exit.CONVERGED


def _data(fleet: Fleet) -> dict[str, object]:
    return {
        "accounts": sorted(fleet.accounts),
        "complaints": [complaint_data(complaint) for complaint in fleet.complaints],
        "kept": dict(fleet.on_last_good),
        "broken": {name: trouble.text or trouble.what for name, trouble in fleet.broken.items()},
        "not_enforced": fleet.not_enforced(),
    }
