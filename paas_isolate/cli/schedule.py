"""enable, disable: what runs reconcile on this machine, and the page."""

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.system import schedule
from paas_isolate.linux.system.schedule import Way

_WAYS = click.Choice([*(way.value for way in Way), schedule.PAGE])
_METAVAR = f"timer|cron|daemon|{schedule.PAGE}"


@click.command()
@click.argument("way", type=_WAYS, metavar=f"[{_METAVAR}]", required=False)
@as_json
@click.pass_obj
def enable(installation: Installation, way: str | None, as_json: bool) -> int:
    """Let the timer, cron or the daemon reconcile this machine, now and after each boot. The timer and cron replace
    each other; the daemon goes beside either. `web` serves the page, which asks the daemon. Without an argument: show
    which are enabled."""
    if way:
        need_root()
    if way == schedule.PAGE:
        schedule.enable_page()
    elif way:
        schedule.enable(Way(way), installation.state)
    return _show(installation, as_json)


@click.command()
@click.argument("way", type=_WAYS, metavar=_METAVAR)
@as_json
@click.pass_obj
def disable(installation: Installation, way: str, as_json: bool) -> int:
    """Let it reconcile, or serve the page, no more. Limits in the kernel stay as they are; the next boot runs one
    reconcile."""
    need_root()
    if way == schedule.PAGE:
        schedule.disable_page()
    else:
        schedule.disable(Way(way), installation.state)
    return _show(installation, as_json)


def _show(installation: Installation, as_json: bool) -> int:
    reconciling, page = schedule.enabled(installation.state), schedule.page_is_on()
    enabled: dict[str, bool] = {**{str(way): is_on for way, is_on in reconciling.items()}, schedule.PAGE: page}
    if as_json:
        output.print_json(enabled)
        return Exit.CONVERGED
    for way, is_on in enabled.items():
        output.line(f"{way:<7} {'enabled' if is_on else 'disabled'}")
    if not any(reconciling.values()):
        output.line("nothing reconciles this machine: paas-isolate enable timer|cron|daemon", fg="yellow")
    elif page and not reconciling[Way.DAEMON]:
        output.line("the page asks the daemon, which is disabled: paas-isolate enable daemon", fg="yellow")
    return Exit.CONVERGED
