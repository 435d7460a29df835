"""What the daemon does for the verbs that it answers itself."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from click import UsageError

from paas_isolate import __version__
from paas_isolate.compare import Reconciler, Scope
from paas_isolate.control.logins import refused_login
from paas_isolate.control.refusal import Reason, RefusedError
from paas_isolate.control.request import Reply
from paas_isolate.daemon.account_report import me
from paas_isolate.daemon.control import Answering, Control, Customers, Request
from paas_isolate.daemon.control_server import ControlServer
from paas_isolate.daemon.counter_poll import CounterPoller
from paas_isolate.daemon.daemon import PATIENCE
from paas_isolate.daemon.event_hub import EventHub
from paas_isolate.daemon.limit_events import LimitEvents
from paas_isolate.daemon.loop import EventSource
from paas_isolate.daemon.refused_logins import RefusedLogins
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.daemon.worker import WorkerSource
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.exits import Exit, exit_of
from paas_isolate.full_pass import exit_after, full_pass, report_data
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.system import control_socket
from paas_isolate.model.account import Account, Fleet, Service
from paas_isolate.model.outcome import Status
from paas_isolate.notices import memory

_PAUSE = 1.0
"""Seconds between two orders for one account."""
_LISTED = 1000
"""Outcomes that an answer lists; it counts all."""


Order = Callable[[str, Account, Service, bool], tuple[str, ...]]
"""Verb (start, stop or restart), account, service, and whether a customer orders it -> the sentences of what was done
at once."""


class ControlVerbs:
    """What the verbs work with. `customers` returns the accounts of the last full pass, None before the first."""

    def __init__(
        self,
        installation: Installation,
        customers: Callable[[], Customers | None],
        order: Order,
        troubles: Troubles,
        reporter: Reporter,
        events: EventHub,
    ) -> None:
        self.reporter = reporter
        self.installation, self.customers, self.order, self._troubles = installation, customers, order, troubles
        self.hits = LimitEvents()
        self.control = Control(functions(self), self.work, customers, troubles.bug)
        self.events = events
        self.refused_logins = RefusedLogins(events.publish)
        events.may_hear, events.customers = self.control.may_hear, customers
        self._ordered: dict[str, float] = {}
        self._bound = ExitStack()
        self._place: tuple[int, int] | None = None
        self._server: ControlServer | None = None
        self._worker: WorkerSource | None = None

    def may_order(self, directory: str) -> bool:
        """Whether an order for this account is allowed now: one a second, for each costs the daemon some
        milliseconds."""
        now = time.monotonic()
        self._ordered = {name: then for name, then in self._ordered.items() if now - then < _PAUSE}
        if directory in self._ordered:
            return False
        self._ordered[directory] = now
        return True

    def work(self, request: Request) -> Reply | None:
        """Have the worker process answer."""
        if self._worker is None:
            raise RefusedError("this cannot be answered now: ask again in a moment", Exit.BUSY)
        self._worker.ask(request)
        if request.verb.method != "GET":
            about = f" of {request.about}" if request.about else ""
            self.reporter.info(f"{request.verb.name}{about} was ordered by {request.caller}")
        return None

    def fleet(self) -> Fleet | None:
        customers = self.customers()
        return customers and customers.fleet

    def _owner(self, uid: int) -> str:
        customers = self.customers()
        return customers.places.owner(uid) if customers else ""

    @contextmanager
    def opened(self, fleet: Fleet) -> Iterator[CgroupTree]:
        with self.installation.tree(fleet) as (cgroups, _):
            yield cgroups

    @contextmanager
    def open_reconciler(self, fleet: Fleet) -> Iterator[Reconciler]:
        with self.installation.open(fleet, with_network=False) as reconciler:
            yield reconciler

    def sources(self, stack: ExitStack) -> list[EventSource]:
        """The event sources of the socket, of the timer that polls the limit counters, and of the worker. None where
        there is no socket."""
        try:
            listening = self._bind(stack.enter_context(self._bound))
            self._server = ControlServer(listening, self.control.ask, self._owner)
            stack.callback(self._server.close)
            poller = CounterPoller(self.hits, self.fleet, self.opened, self._troubles.tell)
            stack.callback(poller.close)
            self._worker = WorkerSource(self.installation, self.reporter.warning)
            stack.callback(self._worker.close)
        except OSError as error:
            self.reporter.failure(f"nobody can ask the daemon: {control_socket.NAME}", error, warning=True)
            return []
        return [self._server, poller, self._worker]

    def follow(self) -> None:
        """Listen again where the socket was removed or replaced. OSError where that is impossible."""
        if self._server and control_socket.place(self.installation.run) != self._place:
            with ExitStack() as new:
                self._server.listen(self._bind(new))
                self._bound.close()
                self._bound.enter_context(new.pop_all())

    def _bind(self, stack: ExitStack) -> socket.socket:
        listening = stack.enter_context(control_socket.listening(self.installation.run))
        self._place = control_socket.place(self.installation.run)
        return listening


def functions(here: ControlVerbs) -> dict[str, Answering]:
    """Verb -> what answers it."""
    return {
        "ping": lambda _: {"version": __version__},
        "who": lambda request: here.control.who(request),
        "events": lambda request: here.events.subscribe(request),
        "me": lambda request: me(request, here.open_reconciler, here.hits),
        **{verb: partial(_order, here, verb) for verb in ("start", "stop", "restart")},
        "notices": partial(_notices, here),
        "switch-notices": partial(_switch_notices, here),
        "reconcile": partial(_reconcile, here),
        "login-refused": partial(_login_refused, here),
    }


def _order(here: ControlVerbs, verb: str, request: Request) -> Reply:
    """Begin at once, and answer how far that went."""
    _, account = request.account
    ours = {service.name: service for service in account.services if service.work.run}
    name = request.options["service"]
    if name not in ours:
        known = ", ".join(sorted(ours)) or "none"
        words = f"no service of yours that is run is called {name[:64]!r}; there are: {known}"
        raise RefusedError(words, Exit.WRONG, Reason.UNKNOWN)
    if not here.may_order(account.directory):
        raise RefusedError("one order a second: try again", Exit.BUSY)
    try:
        lines = here.order(verb, account, ours[name], request.by_customer)
    except BusyError as error:
        raise RefusedError("the machine is at work: try again", Exit.BUSY) from error
    here.reporter.info(f"{verb} of {account.name}/{name} was ordered by {request.caller}")
    return {"said": lines or ("nothing to do",), "status": int(Exit.CONVERGED)}


def _notices(here: ControlVerbs, request: Request) -> Reply:
    _, account = request.account
    word = "off" if memory.is_off(here.installation.state, account.name) else "on"
    return {"said": (f"mails about limits of {account.name} are {word}",), "state": word, "status": int(Exit.CONVERGED)}


def _switch_notices(here: ControlVerbs, request: Request) -> Reply:
    _, account = request.account
    state = request.options["state"]
    if not here.may_order(account.directory):
        raise RefusedError("one order a second: try again", Exit.BUSY)
    memory.switch(here.installation.state, account.name, on=state == "on")
    here.reporter.info(f"mails to {account.name} were switched {state} by {request.caller}")
    return _notices(here, request)


def _login_refused(here: ControlVerbs, request: Request) -> Reply:
    here.refused_logins.hear(refused_login(request.options))
    return {}


def _reconcile(here: ControlVerbs, request: Request) -> Reply:
    """Make a full pass now, and answer with its report."""
    account = request.options.get("account", "")
    here.reporter.info(
        f"a run {f'for {account} ' if account else ''}asked for by pid {request.caller.pid} of {request.caller}"
    )
    try:
        with here.installation.locked(wait=PATIENCE):
            fleet, report = full_pass(
                here.installation,
                here.reporter.done,
                here.reporter.warning,
                Scope(account, confirm_removal="remove" in request.options),
            )
    except PaasError as error:
        raise RefusedError(str(error), exit_of(error)) from error
    except UsageError as error:  # no such account
        raise RefusedError(error.message, Exit.WRONG) from error
    listed = report._replace(outcomes=report.outcomes[:_LISTED], remaining=report.remaining[:_LISTED])
    done = sum(outcome.status is Status.DONE for outcome in report.outcomes)
    return {**report_data(fleet, listed), "done": done, "status": int(exit_after(fleet, report))}
