"""diff and reconcile: compare, and one whole pass."""

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import Duration, as_json, only_account
from paas_isolate.cli.run import RunOptions, tell_late, tell_unmet, tell_waiting
from paas_isolate.cli.run import reconcile as run
from paas_isolate.cli.undecided import view
from paas_isolate.exits import Exit
from paas_isolate.full_pass import circumstances
from paas_isolate.installation import Installation


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit status 3 when anything differs.")
@only_account
@as_json
@click.pass_obj
def diff(installation: Installation, exit_code: bool, account: str, as_json: bool) -> int:
    """Print what reconcile would do, one sentence for each step. Changes nothing.

    Exit status 4 when decisions.json is damaged: only steps that do not depend on it are shown.
    """
    fleet = installation.fleet()
    with view(installation, fleet, account) as seen:
        comparison = seen.comparison
    fleet = fleet.with_broken(comparison.broken)
    if as_json:
        output.print_json({"changes": [str(step) for step in comparison.changes], **circumstances(fleet, comparison)})
    else:
        output.complain(fleet)
        for step in comparison.changes:
            output.line(str(step))
        tell_unmet(comparison.desired.unmet.values())
        tell_late(comparison.desired.late.values())
        tell_waiting(comparison.removals)
        output.tell_reserved(fleet)
        if not comparison.changes:
            output.line("nothing else differs" if seen.damage else "nothing differs")
    seen.complain()
    if fleet.broken:
        return Exit.ERROR
    if seen.damage:
        return Exit.PARTLY
    return Exit.DIFFERS if exit_code and comparison.changes else Exit.CONVERGED


@click.command("reconcile")
@only_account
@click.option("--remove", is_flag=True, help="Remove accounts even when many would be removed at once.")
@click.option("--wait", type=Duration(min=0), metavar="SECONDS", help="Wait this long for another run (10; --cron: 0).")
@click.option("--cron", is_flag=True, help="Print nothing when all is well, and the same complaint once a day.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing when there was nothing to do.")
@as_json
@click.pass_obj
def reconcile(
    installation: Installation, account: str, remove: bool, wait: float | None, cron: bool, quiet: bool, as_json: bool
) -> int:
    """Make the kernel agree with the specifications: cgroups, limits, and every process in its leaf.

    Exit status 0 when all agrees afterwards, 4 when something waits or keeps its last good state, 1 when
    something failed, 75 when another run holds the lock for longer than --wait.
    """
    return run(installation, RunOptions(account, remove, wait, cron, quiet, as_json))
