"""daemon: repair a difference as soon as it arises, instead of every minute."""

import sys
from contextlib import ExitStack
from typing import cast

import click

from paas_isolate.cli.options import Duration
from paas_isolate.cli.reporter import TerminalReporter
from paas_isolate.cli.run import RunOptions
from paas_isolate.cli.run import reconcile as run
from paas_isolate.daemon.contained import ContainedActions, ContainedSource
from paas_isolate.daemon.daemon import PATIENCE, Daemon
from paas_isolate.daemon.event_hub import EventHub
from paas_isolate.daemon.faults import FaultSource
from paas_isolate.daemon.loop import Loop
from paas_isolate.daemon.metering import MeterSource
from paas_isolate.daemon.notices import NoticeSource
from paas_isolate.daemon.sources import EventSources
from paas_isolate.daemon.verbs import ControlVerbs
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.system.notify import notify, watchdog
from paas_isolate.step_history import with_history

HOUR = 3600.0


@click.command()
@click.option("--once", is_flag=True, help="Make one pass and exit, like reconcile.")
@click.option(
    "--interval",
    type=Duration(min=1),
    default=HOUR,
    metavar="SECONDS",
    show_default=True,
    help="Time between whole passes without an event. Each machine adds or subtracts up to a tenth of it.",
)
@click.pass_obj
def daemon(installation: Installation, once: bool, interval: float) -> int:
    """Run in the foreground and repair each difference at once: a saved file, a knob written by hand, a flushed
    ruleset, a process outside its leaf. A whole pass finds what causes no event.

    Each repair is printed, with who caused it. After three repairs of one target in a minute, the daemon reports that
    target and pauses its repair. SIGHUP: make a whole pass now. SIGTERM: end; customers' limits and processes stay.
    """
    need_root()
    if once:
        return run(installation, RunOptions(wait=PATIENCE))
    cast("object", sys.stdout).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        reporter = TerminalReporter()
        meter = MeterSource(installation, reporter.warning)
        events = EventHub()
        meter.listeners.append(events.hear_faults)
        installation = with_history(installation._replace(removing=meter.removing), reporter.warning, events.hear_steps)
        actions = Daemon(installation, EventSources(installation, stack, reporter), interval, reporter)
        tell = actions.troubles.tell
        meter.customers = actions.fleet
        faults = _faults(meter, stack, reporter)
        stack.callback(meter.close)
        rounds = NoticeSource(installation, reporter.warning)
        rounds.customers = actions.fleet
        stack.callback(rounds.close)
        verbs = ControlVerbs(installation, actions.customers, actions.order, actions.troubles, reporter, events)
        sources = [
            ContainedSource(source, tell)
            for source in (*actions.sources.all, *verbs.sources(stack), meter, *faults, rounds)
        ]
        actions.sources.following.append(verbs.follow)
        Loop(ContainedActions(actions, tell), sources, pulse=watchdog() / 2, alive=actions.alive).run()
    notify("STOPPING=1")
    return Exit.CONVERGED


def _faults(meter: MeterSource, stack: ExitStack, reporter: TerminalReporter) -> list[FaultSource]:
    try:
        source = FaultSource(meter)
    except OSError as error:
        reporter.warning(f"a limit that was hit is seen at the next sample only: {error.strerror}")
        return []
    stack.callback(source.close)
    return [source]
