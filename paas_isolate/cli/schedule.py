"""enable, disable: what runs reconcile on this machine. leave: takes everything off it."""

import os

import click

from paas_isolate import leaving
from paas_isolate.cli import output, pam
from paas_isolate.cli.options import as_json
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.system import schedule
from paas_isolate.linux.system.schedule import Way

_WAYS = click.Choice([way.value for way in Way])
_METAVAR = "timer|cron|daemon"
ANYWAY = "leave-anyway"
"""A file in the run directory: whoever removes the package cannot give an option to `leave`."""


@click.command()
@click.argument("way", type=_WAYS, metavar=f"[{_METAVAR}]", required=False)
@as_json
@click.pass_obj
def enable(installation: Installation, way: str | None, as_json: bool) -> int:
    """Let the timer, cron or the daemon reconcile this machine, now and after each boot. The timer and cron replace
    each other; the daemon goes beside either. Without an argument: show which are enabled."""
    if way:
        need_root()
        schedule.enable(Way(way), installation.state)
    return _show(installation, as_json)


@click.command()
@click.argument("way", type=_WAYS, metavar=_METAVAR)
@as_json
@click.pass_obj
def disable(installation: Installation, way: str, as_json: bool) -> int:
    """Let it reconcile no more. Limits in the kernel stay as they are; the next boot runs one reconcile."""
    need_root()
    schedule.disable(Way(way), installation.state)
    return _show(installation, as_json)


@click.command()
@click.option("--even-frozen", is_flag=True, help="Also where accounts are frozen or suspended: they run again.")
@click.pass_context
def leave(context: click.Context, even_frozen: bool) -> int:
    """Take everything off this running machine, as the removal of the package does. Logins pass the PAM module no more,
    customers' processes go on without limits, and nothing reconciles. Files stay."""
    installation: Installation = context.obj
    need_root()
    _check_frozen(installation, even_frozen)
    if leaving.passes_module():
        context.invoke(pam.remove)
    if files := leaving.passes_module():
        raise HostError(
            f"a login that passes a missing module is refused, and {' and '.join(files)} names it",
            hint="take the lines with pam_paas_isolate out, then run this again",
        )
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


def _show(installation: Installation, as_json: bool) -> int:
    enabled = schedule.enabled(installation.state)
    if as_json:
        output.print_json(enabled)
        return Exit.CONVERGED
    for way, is_on in enabled.items():
        output.line(f"{way:<7} {'enabled' if is_on else 'disabled'}")
    if not any(enabled.values()):
        output.line(f"nothing reconciles this machine: paas-isolate enable {_METAVAR}", fg="yellow")
    return Exit.CONVERGED
