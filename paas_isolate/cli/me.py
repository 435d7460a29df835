"""me: what a customer may know of the own account, without root; from the daemon, or from the kernel's own files."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from paas_isolate.changes.conditions import Condition
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.cli.status import RIGHT, TITLES, row
from paas_isolate.daemon.account_report import AccountReport
from paas_isolate.errors import HostError, PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process.procfs import cgroup
from paas_isolate.linux.system import control_socket
from paas_isolate.linux.system.mounts import cgroup2
from paas_isolate.model import tree
from paas_isolate.usage import CgroupStatus, Usage, disk_uses_at, lines

_PATIENCE = 5.0
"""Seconds for the daemon's answer: it may be at work."""
_ALONE = (
    "the daemon does not answer: plan, addresses, and when a limit was hit are not known; HITS counts since the cgroup "
    "was made"
)
_WORDS = {
    "killed": "{} killed for want of memory",
    "refused": "{} refused by the limit of processes",
    "throttled": "throttled {} times for want of CPU time",
}
_WORK = 60.0
"""Seconds for an order, which may have to wait for a service to end."""


class _RefusedError(PaasError):
    """The daemon has said no."""


@click.command(context_settings={"allow_extra_args": True})
@as_json
@click.pass_context
def me(context: click.Context, as_json: bool) -> int:
    """Show your own account: limits beside use, for all of it and for each service, and what hit a limit lately.

    Needs no root. Without the daemon it tells what the kernel has. `me restart SERVICE`, and start and stop likewise,
    order that for a service of yours.
    """
    installation: Installation = context.obj
    if context.args:
        return _order(installation, context.args[0], context.args[1:])
    told = _told(installation)
    if as_json:
        output.print_json(told._asdict())
    else:
        for line in _heading(told):
            output.line(line)
        shown = [_line(it) for it in told.cgroups]
        output.table(TITLES, map(row, shown), right=RIGHT)
        for line in _hits(told):
            output.line(line)
        for line in told.notes:
            output.line(line, fg="yellow")
    return Exit.CONVERGED


def _line(data: Mapping[str, Any]) -> CgroupStatus:
    """A newer daemon may tell more."""
    service = data.get("service")
    own = {key: data[key] for key in ("name", "path", "state", "knobs")}
    known = {key: service[key] for key in Condition._fields if key in service} if service else {}
    return CgroupStatus(**own, use=Usage(**data["use"]), service=Condition(**known) if service else None)


def _told(installation: Installation) -> AccountReport:
    answer = control_socket.ask(installation.run, "me", seconds=_PATIENCE)
    if answer is None or answer.status == Exit.BUSY:
        return _seen()
    if answer.error:
        raise _RefusedError(*answer.error.split("\n"))
    return AccountReport(**{key: answer.told[key] for key in AccountReport._fields})  # a newer daemon may tell more


def _order(installation: Installation, verb: str, words: Sequence[str]) -> int:
    """What only the daemon does: a verb of its table, about the own account. It answers in sentences, `said`."""
    answer = control_socket.ask(installation.run, verb, words, seconds=_WORK)
    if answer is None:
        raise HostError(f"the daemon does not answer, and only it does {verb}")
    if answer.error:
        output.lines(f"paas-isolate: {answer.error}", err=True)
    for line in answer.told.get("said", ()):
        output.line(line)
    return answer.status or int(answer.told.get("status", Exit.CONVERGED))


def _seen() -> AccountReport:
    """What can be seen from inside: where this process is, and what is written there."""
    found, where = cgroup2(), cgroup(os.getpid()) or ""
    above, users, inside = where.rpartition(f"/{tree.USERS}/")
    directory = inside.partition("/")[0]
    if not users or not directory:
        raise HostError(f"{_ALONE}.", hint=f"This session is in no account ({where})")
    with CgroupTree(found.point, f"{found.point.rstrip('/')}{above}") as cgroups:
        services = sorted(cgroups.children(tree.account(directory)))
        seen = [line.data() for line in lines(cgroups, directory, services)]
    if not seen:
        raise HostError(f"{_ALONE}.", hint=f"The cgroup of this session cannot be seen from here ({where})")
    return AccountReport(directory, cgroups=seen, notes=(_ALONE, *_own_disk()))


def _own_disk() -> Iterator[str]:
    import pwd  # only who has no daemon to ask pays for it

    with suppress(KeyError):
        user = pwd.getpwuid(os.getuid())
        yield from disk_uses_at(user.pw_dir, {user.pw_name: user.pw_uid})


def _heading(told: AccountReport) -> Iterator[str]:
    yield f"account {told.account}" + (f", plan {told.plan}" if told.plan else "")
    if told.addresses:
        yield f"addresses {', '.join(told.addresses)}"
    yield ""


def _hits(told: AccountReport) -> Iterator[str]:
    if not told.watched:
        return
    yield ""
    for hit in reversed(told.hits):
        where = f" in {hit['service']}" if hit["service"] else ""
        what = _WORDS.get(hit["what"], f"{{}} {hit['what']}").format(hit["number"])  # a newer daemon may count more
        yield f"{_when(hit['since'])} to {_when(hit['until'])}: {what}{where}"
    if not told.hits:
        yield f"no limit was hit since {_when(told.watched)}"


def _when(seconds: int) -> str:
    """Of today the time alone."""
    then, now = time.localtime(seconds), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)
