"""metrics: what accounts use, for Prometheus and its kin. A process of its own: nothing waits for a scrape."""

import grp
import signal
import sys
from http import HTTPStatus
from typing import NoReturn

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import Listen
from paas_isolate.errors import HostError, PaasError, in_words
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.system.scrape_server import Reply, listening, serve
from paas_isolate.listening import Place
from paas_isolate.metering.exposition import OPENMETRICS, PROMETHEUS, text
from paas_isolate.model.account import Fleet
from paas_isolate.scrape import snapshot


@click.command()
@click.option("--listen", type=Listen(loopback=True), metavar="PLACE", help="127.0.0.1:PORT, [::1]:PORT or unix:/PATH.")
@click.option("--group", default="", metavar="GROUP", help="With unix:/PATH: this group may connect, beside root.")
@click.option("--once", is_flag=True, help="Print the metrics and exit.")
@click.option("--plain", is_flag=True, help="With --once: the older text format of Prometheus.")
@click.pass_obj
def metrics(installation: Installation, listen: Place | None, group: str, once: bool, plain: bool) -> int:
    """Serve what each account uses and which limits it has hit, as OpenMetrics, to be scraped by Prometheus.

    Each scrape reads the kernel once. On a port, the users of customers are refused: the names and figures of others
    are not theirs to read. `metering: {metrics: {leaves: true}}` in config.yaml adds series of services.
    """
    need_root()
    exporter = _Exporter(installation)
    if once and listen is None:
        fleet = installation.fleet()
        output.raw(exporter.text(fleet, openmetrics=not plain))
        return Exit.CONVERGED
    if once or plain or listen is None:
        raise click.UsageError("expected --listen PLACE or --once; --plain goes with --once")
    if group and not listen.path:
        raise click.UsageError("--group goes with --listen unix:/PATH")
    signal.signal(signal.SIGTERM, _end)
    with listening(listen, group=_gid(group)) as server:
        where = f"unix:{listen.path}" if listen.path else f"port {server.getsockname()[1]} of {listen.address}"
        output.line(f"serves metrics on {where}")
        sys.stdout.flush()
        serve(server, exporter.answer, exporter.may)
    return Exit.CONVERGED


def _end(*_: object) -> NoReturn:
    sys.exit(Exit.CONVERGED)


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        raise HostError(f"there is no group {group}") from None


class _Exporter:
    """What a scrape is answered. The specifications are read anew for each: files that did not change come from the
    cache. What is wrong is printed once."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._fleet: Fleet | None = None
        self._told = ""

    def text(self, fleet: Fleet, *, openmetrics: bool) -> bytes:
        seen = snapshot(fleet, find_tree(fleet.host.tree).root, self._installation.run)
        return text(seen, openmetrics=openmetrics).encode()

    def answer(self, openmetrics: bool) -> Reply:
        try:
            self._fleet = self._installation.fleet()
            body = self.text(self._fleet, openmetrics=openmetrics)
            self._told = ""
        except (PaasError, OSError) as error:
            said = in_words(error) if isinstance(error, OSError) else str(error)
            if said != self._told:
                self._told = said
                output.lines(f"paas-isolate: a scrape is refused: {said}", err=True)
            return Reply(
                b"the accounts cannot be read now\n", "text/plain; charset=utf-8", HTTPStatus.SERVICE_UNAVAILABLE
            )
        return Reply(body, OPENMETRICS if openmetrics else PROMETHEUS)

    def may(self, uid: int) -> bool:
        """Whether a user may scrape: root, and who is confined by no account."""
        if uid == 0:
            return True
        try:
            self._fleet = self._fleet or self._installation.fleet()
        except (PaasError, OSError):
            return False
        return not self._fleet.governs(uid)
