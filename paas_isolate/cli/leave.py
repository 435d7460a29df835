"""leave: takes everything off this machine, before the package goes."""

import os

import click

from paas_isolate import leaving
from paas_isolate.cli import output, pam
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.pam import stack_tool

ANYWAY = "leave-anyway"
"""A file in the run directory: whoever removes the package cannot give an option to `leave`."""


@click.command()
@click.option("--even-frozen", is_flag=True, help="Also where accounts are frozen or suspended: they run again.")
@click.pass_obj
def leave(installation: Installation, even_frozen: bool) -> int:
    """Take everything off this running machine, as the removal of the package does. Logins pass the PAM module no more,
    customers' processes go on without limits, and nothing reconciles. Files stay."""
    need_root()
    _check_frozen(installation, even_frozen)
    passing = leaving.passes_module()
    if by_hand := [path for path in passing if os.path.basename(path) not in stack_tool.stack_names()]:
        raise HostError(
            f"logins that pass a missing module are refused, and {' and '.join(by_hand)} names ours",
            hint="take the lines with pam_paas_isolate out, then run this again",
        )
    if passing and pam.switch_off(installation):
        output.line("logins do not pass the PAM module any more")
    with installation.locked(wait=60):
        for sentence in leaving.leave(installation):
            output.line(sentence)
    return Exit.CONVERGED


def _check_frozen(installation: Installation, even_frozen: bool) -> None:
    anyway = os.path.join(installation.run, ANYWAY)
    if even_frozen or os.path.exists(anyway) or not (names := leaving.frozen(installation)):
        return
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    raise HostError(
        f"frozen or suspended, and would run again: {shown}",
        hint="end their processes (paas-isolate kill ACCOUNT) or thaw them first; to leave all the same: "
        f"paas-isolate leave --even-frozen, or, before the package is removed, touch {anyway}",
    )
