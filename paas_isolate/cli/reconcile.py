"""diff and reconcile: one look, one turn of the reconciler."""

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json, only_account
from paas_isolate.cli.run import RunOptions, tell_late, tell_unmet, tell_waiting
from paas_isolate.cli.run import reconcile as run
from paas_isolate.compare import Scope, compare
from paas_isolate.exits import Exit
from paas_isolate.full_pass import circumstances
from paas_isolate.installation import Installation


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit status 3 when anything differs.")
@only_account
@as_json
@click.pass_obj
def diff(installation: Installation, exit_code: bool, account: str, as_json: bool) -> int:
    """Say what reconcile would do, one sentence a step. Changes nothing."""
    fleet = installation.fleet()
    with installation.open(fleet, scope=Scope(account)) as reconciler:
        seen = compare(reconciler)
    fleet = fleet.with_broken(seen.broken)
    if as_json:
        output.print_json({"changes": [str(step) for step in seen.changes], **circumstances(fleet, seen)})
    else:
        output.complain(fleet)
        for step in seen.changes:
            output.line(str(step))
        tell_unmet(seen.desired.unmet.values())
        tell_late(seen.desired.late.values())
        tell_waiting(seen.removals)
        output.tell_reserved(fleet)
        if not seen.changes:
            output.line("nothing differs")
    if fleet.broken:
        return Exit.ERROR
    return Exit.DIFFERS if exit_code and seen.changes else Exit.CONVERGED


@click.command("reconcile")
@only_account
@click.option("--remove", is_flag=True, help="Really remove accounts, though many would go at once.")
@click.option(
    "--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long for another run (10; --cron: 0)."
)
@click.option("--cron", is_flag=True, help="Silent when all is well; the same complaint once a day.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when there was nothing to do.")
@as_json
@click.pass_obj
def reconcile(
    installation: Installation, account: str, remove: bool, wait: float | None, cron: bool, quiet: bool, as_json: bool
) -> int:
    """Make the kernel agree with the specifications: cgroups, limits, and every process in its place.

    Exit status 0 when all agrees afterwards, 4 when something waits or keeps its last good state, 1 when
    something failed, 75 when another run is at work and does not end within --wait.
    """
    return run(installation, RunOptions(account, remove, wait, cron, quiet, as_json))
