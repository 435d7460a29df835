"""me: shows customers their own account, without root. The data come from the daemon, or else from the kernel."""

import os
import pwd
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from paas_isolate.changes.conditions import Condition
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.cli.status import RIGHT, TITLES, row
from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.table import BY_NAME, Verb, checked
from paas_isolate.daemon.account_report import AccountReport
from paas_isolate.errors import HostError, PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process.procfs import cgroup
from paas_isolate.linux.quota.devices import BlockDevices, counted_device
from paas_isolate.linux.system import control_socket
from paas_isolate.linux.system.mounts import cgroup2
from paas_isolate.model import tree
from paas_isolate.usage import CgroupStatus, Usage, disk_uses_at, lines

_PATIENCE = 5.0
"""Seconds to wait for the daemon's answer."""
_ALONE = (
    "the daemon does not answer: plan, addresses, and when a limit was hit are not known; HITS counts since the cgroup "
    "was made"
)
_WORDS = {
    "killed": "{} killed for want of memory",
    "refused": "{} refused by the limit of processes",
    "throttled": "throttled {} times for want of CPU time",
}
_SHOWN = ("plan", "usage", "faults", "explain", "history")
"""Verbs whose answer is shown; each takes the options of the control socket's table."""
_VERBS = ("start", "stop", "restart", "notices", *_SHOWN)
_WORK = 60.0
"""Seconds to wait after an order: a service may take long to end."""


class _RefusedError(PaasError):
    """The daemon has refused the request."""


@click.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@as_json
@click.pass_context
def me(context: click.Context, as_json: bool) -> int:
    """Show your own account: limits and use, in all and of each service, and which limits were hit lately.

    Needs no root. Without the daemon it shows what the kernel has. `me start SERVICE`, `me stop SERVICE` and
    `me restart SERVICE` control a service of yours. `me notices off` stops mails to you when a limit is hit, and
    `me notices on` allows them again. `me plan` shows what the next plan would change. `me usage`, `me faults`,
    `me explain` and `me history` show what you used, which limits were hit, why it was slow, and charts, as the
    commands of the same names do (history: chart) for root; with --from, --to, --period and --by; --kind and --since;
    --at; --period and --metric.
    """
    installation: Installation = context.obj
    if context.args and context.args[0].startswith("-"):
        raise click.NoSuchOption(context.args[0])
    if context.args and context.args[0] in _SHOWN:
        return _show(installation, BY_NAME[context.args[0]], context.args[1:], as_json=as_json)
    if context.args:
        return _order(installation, context.args[0], context.args[1:])
    report = _report(installation)
    if as_json:
        output.print_json(report._asdict())
    else:
        for line in _heading(report):
            output.line(line)
        cgroups = [_cgroup_status(data) for data in report.cgroups]
        output.table(TITLES, map(row, cgroups), right=RIGHT)
        for line in _hits(report):
            output.line(line)
        for line in report.notes:
            output.line(line, fg="yellow")
    return Exit.CONVERGED


def _cgroup_status(data: Mapping[str, Any]) -> CgroupStatus:
    """The inverse of CgroupStatus.data(). Keys that only a newer daemon sends are ignored."""
    service = data.get("service")
    plain = {key: data[key] for key in ("name", "path", "state", "knobs")}
    known = {key: service[key] for key in Condition._fields if key in service} if service else {}
    return CgroupStatus(**plain, use=Usage(**data["use"]), service=Condition(**known) if service else None)


def _report(installation: Installation) -> AccountReport:
    answer = control_socket.ask(installation.run, "me", seconds=_PATIENCE)
    if answer is None or answer.status == Exit.BUSY:
        return _report_from_kernel()
    if answer.error:
        raise _RefusedError(*answer.error.split("\n"))
    return AccountReport(**{key: answer.told[key] for key in AccountReport._fields})  # a newer daemon may send more


def _order(installation: Installation, word: str, rest: Sequence[str]) -> int:
    """Send a command to the daemon, which alone can carry it out, print its sentences, and return its exit status."""
    verb, options = _as_request(word, rest)
    answer = control_socket.ask(installation.run, verb, options, seconds=_WORK)
    if answer is None:
        raise HostError(f"the daemon does not answer, and only it can {word}")
    if answer.error:
        output.lines(f"paas-isolate: {answer.error}", err=True)
    for line in answer.told.get("said", ()):
        output.line(line)
    return answer.status or int(answer.told.get("status", Exit.CONVERGED))


def _show(installation: Installation, verb: Verb, words: Sequence[str], *, as_json: bool) -> int:
    """Ask the daemon, and print its answer as root's command prints it."""
    options = _options(verb, words)
    answer = control_socket.ask(installation.run, verb.name, options, seconds=verb.patience + _PATIENCE)
    if answer is None:
        raise HostError("the daemon does not answer, and only it knows that")
    if answer.error:
        output.lines(f"paas-isolate: {answer.error}", err=True)
        return answer.status
    told = answer.told
    if as_json:
        output.print_json(told)
        return Exit.CONVERGED
    from paas_isolate.cli import account_plan, chart, explain, faults, metering  # a plain `me` does not pay for them

    match verb.name:
        case "plan":
            account_plan.tell(told)
        case "usage":
            metering.tell(told["rows"], options.get("by"))
        case "faults":
            faults.tell([{key: value for key, value in row.items() if key != "pictures"} for row in told["rows"]])
        case "explain":
            explain.tell(told)
        case "history":
            chart.tell(told, " to ".join(told[key][:16].replace("T", " ") for key in ("from", "to")))
    return Exit.CONVERGED


def _options(verb: Verb, words: Sequence[str]) -> dict[str, str]:
    """The options of `--period day` or `--period=day`. UsageError where they are none of the verb's."""
    options, rest = {}, list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or not (equals or rest):
            raise click.UsageError(
                f"expected me {verb.name}{''.join(f' [--{each.name} …]' for each in verb.parameters)}"
            )
        options[name[2:]] = value if equals else rest.pop(0)
    try:
        checked(verb, options)
    except RefusedError as error:
        raise click.UsageError(str(error)) from None
    return options


def _as_request(word: str, rest: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The verb and its options. UsageError where the words are none of `me`."""
    match word, tuple(rest):
        case "notices", ():
            return "notices", {}
        case "notices", ("on" | "off" as state,):
            return "switch-notices", {"state": state}
        case "notices", _:
            raise click.UsageError("expected me notices, me notices on or me notices off")
        case (("start" | "stop" | "restart"), (service,)):
            return word, {"service": service}
        case (("start" | "stop" | "restart"), _):
            raise click.UsageError(f"expected me {word} SERVICE")
    raise click.UsageError(f"no verb is called {word!r}; there are: {', '.join(_VERBS)}")


def _report_from_kernel() -> AccountReport:
    """What this process can read: its own cgroup path, and the files of its account there."""
    mount, where = cgroup2(), cgroup(os.getpid()) or ""
    above, users, inside = where.rpartition(f"/{tree.USERS}/")
    directory = inside.partition("/")[0]
    if not users or not directory:
        raise HostError(f"{_ALONE}.", hint=f"This session is in no account ({where})")
    with CgroupTree(mount.point, f"{mount.point.rstrip('/')}{above}") as cgroups:
        services = sorted(cgroups.children(tree.account(directory)))
        device = counted_device(_own_home(), BlockDevices().device_of)
        readable = [line.data() for line in lines(cgroups, directory, services, device=device)]
    if not readable:
        raise HostError(f"{_ALONE}.", hint=f"The cgroup of this session cannot be seen from here ({where})")
    return AccountReport(directory, cgroups=readable, notes=(_ALONE, *_own_disk()))


def _own_home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _own_disk() -> Iterator[str]:
    with suppress(KeyError):
        user = pwd.getpwuid(os.getuid())
        yield from disk_uses_at(user.pw_dir, {user.pw_name: user.pw_uid})


def _heading(report: AccountReport) -> Iterator[str]:
    yield f"account {report.account}" + (f", plan {report.plan}" if report.plan else "")
    if report.addresses:
        yield f"addresses {', '.join(report.addresses)}"
    yield ""


def _hits(report: AccountReport) -> Iterator[str]:
    if not report.watched:
        return
    yield ""
    for hit in reversed(report.hits):
        where = f" in {hit['service']}" if hit["service"] else ""
        what = _WORDS.get(hit["what"], f"{{}} {hit['what']}").format(hit["number"])  # a newer daemon may count more
        yield f"{_when(hit['since'])} to {_when(hit['until'])}: {what}{where}"
    if not report.hits:
        yield f"no limit was hit since {_when(report.watched)}"


def _when(seconds: int) -> str:
    """The local time of `seconds` since the epoch; with its date, unless that is today."""
    then, now = time.localtime(seconds), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)
