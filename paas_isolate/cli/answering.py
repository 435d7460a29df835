"""What the daemon answers at its control socket. A verb more is a line in `verbs`."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from click import UsageError

from paas_isolate import __version__
from paas_isolate.apply import Ending
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk
from paas_isolate.cli.exits import Exit, exit_of
from paas_isolate.cli.running import Manner, exit_after, report_data, run_once
from paas_isolate.daemon.control import Asked, Control, Customers, May, RefusedError, Told, Verb
from paas_isolate.daemon.hits import Hits
from paas_isolate.daemon.loop import Ear
from paas_isolate.daemon.own import me
from paas_isolate.daemon.reception import Reception
from paas_isolate.daemon.rounds import Rounds
from paas_isolate.errors import PaasError
from paas_isolate.linux import control
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.model.account import Fleet

_PATIENCE = 60.0
"""Seconds that another run may hold the lock."""
_LISTED = 1000
"""Outcomes that an answer lists; of the others it has the number."""


class Answering:
    """What the daemon has for those who ask. `customers` tells what it knows now, None before the first turn."""

    def __init__(self, desk: Desk, customers: Callable[[], Customers | None]) -> None:
        self.desk, self.customers = desk, customers
        self.hits = Hits()

    def fleet(self) -> Fleet | None:
        customers = self.customers()
        return customers and customers.fleet

    @contextmanager
    def opened(self, fleet: Fleet) -> Iterator[CgroupTree]:
        with self.desk.tree(fleet) as (cgroups, _):
            yield cgroups

    def ears(self, stack: ExitStack) -> list[Ear]:
        """Those that hear who asks; and the one that hears the time, to look who has hit a limit. Without a socket
        none: nobody could ask."""
        try:
            listening = stack.enter_context(control.listening(self.desk.run))
            reception = Reception(listening, Control(verbs(self), self.customers, traceback.print_exception).ask)
            stack.callback(reception.close)
            rounds = Rounds(self.hits, self.fleet, self.opened)
            stack.callback(rounds.close)
        except OSError as error:
            say.line(f"nobody can ask the daemon: {control.NAME}: {error}", fg="yellow", err=True)
            return []
        return [reception, rounds]


def verbs(here: Answering) -> list[Verb]:
    return [
        Verb("ping", May.ANYBODY, lambda _: {"version": __version__}),
        Verb("me", May.OWNER, lambda asked: me(asked, here.opened, here.hits)),
        Verb("reconcile", May.ROOT, partial(_reconcile, here)),
    ]


def _reconcile(here: Answering, asked: Asked) -> Told:
    """`reconcile [ACCOUNT] [--remove]`: a run now, and what became of it."""
    account = next((it for it in asked.words if not it.startswith("-")), "")
    manner = Manner(account=account, remove="--remove" in asked.words, quiet=True)
    say.line(f"a run {f'for {account} ' if account else ''}asked for by pid {asked.pid} of uid {asked.uid}")
    try:
        with here.desk.alone(wait=_PATIENCE):
            fleet, report = run_once(here.desk, manner)
    except PaasError as error:
        raise RefusedError(str(error), exit_of(error)) from error
    except UsageError as error:  # no such account
        raise RefusedError(error.message, Exit.WRONG) from error
    listed = report._replace(outcomes=report.outcomes[:_LISTED], remaining=report.remaining[:_LISTED])
    done = sum(it.ending is Ending.DONE for it in report.outcomes)
    return {**report_data(fleet, listed), "done": done, "status": int(exit_after(fleet, report))}
