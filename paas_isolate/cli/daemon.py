"""daemon: reconcile as soon as something differs, instead of every minute."""

import sys
from contextlib import ExitStack
from typing import cast

import click

from paas_isolate.cli.reporter import TerminalReporter
from paas_isolate.cli.run import RunOptions
from paas_isolate.cli.run import reconcile as run
from paas_isolate.daemon.contained import ContainedActions, ContainedSource
from paas_isolate.daemon.daemon import PATIENCE, Daemon
from paas_isolate.daemon.loop import Loop
from paas_isolate.daemon.sources import EventSources
from paas_isolate.daemon.verbs import ControlVerbs
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.system.notify import notify, watchdog

HOUR = 3600.0


@click.command()
@click.option("--once", is_flag=True, help="One turn, and the end: reconcile.")
@click.option(
    "--interval",
    type=click.FloatRange(min=1),
    default=HOUR,
    metavar="SECONDS",
    show_default=True,
    help="Look at everything so often, though nothing is heard; a tenth more or less, by the machine.",
)
@click.pass_obj
def daemon(installation: Installation, once: bool, interval: float) -> int:
    """Stay, and mend what differs as soon as it does: a file that is saved, a knob that is written by hand, a ruleset
    that is flushed, a process outside. What is told by no event is found when everything is looked at.

    What was mended is told once, with who did it; whoever does the same more than three times a minute is left alone
    for that minute, and named. SIGHUP: look at everything now. SIGTERM: end; nothing of a customer's changes.
    """
    need_root()
    if once:
        return run(installation, RunOptions(wait=PATIENCE))
    cast("object", sys.stdout).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        reporter = TerminalReporter()
        resident = Daemon(installation, EventSources(installation, stack, reporter), interval, reporter)
        tell = resident.troubles.tell
        answering = ControlVerbs(installation, resident.customers, resident.order, resident.troubles, reporter)
        ears = [ContainedSource(it, tell) for it in (*resident.ears.all, *answering.ears(stack))]
        resident.ears.following.append(answering.follow)
        Loop(ContainedActions(resident, tell), ears, pulse=watchdog() / 2, alive=resident.alive).run()
    notify("STOPPING=1")
    return Exit.CONVERGED
