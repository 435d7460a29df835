"""notices: which rules of config.yaml hold now, and the round that tells it."""

import os
import time
from contextlib import suppress

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.errors import BusyError, PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.metering.notices import Due, sentences
from paas_isolate.model.account import Fleet
from paas_isolate.notices.facts import Place
from paas_isolate.notices.on_high import Commands
from paas_isolate.notices.round import Directories, Round, alone


@click.command()
@click.option("--send", is_flag=True, help="Send what is due and remember it, as the daemon does each minute.")
@as_json
@click.pass_obj
def notices(installation: Installation, send: bool, as_json: bool) -> int:
    """Show which notices are due by the rules of config.yaml (`metering: {notices: [...]}`). Nothing is sent or
    remembered without --send.

    With --send exit status 4 when a notice could not be sent: it is tried again in the next round.
    """
    need_root()
    if send:
        _become_ordinary()
    fleet = installation.fleet()
    wanted = fleet.host.metering is not None and (fleet.host.metering.notices or (send and _on_high(fleet)))
    if not wanted:
        return _show([], "config.yaml has no rules: `metering: {notices: [...]}`", as_json=as_json, quiet=send)
    location = find_tree(fleet.host.tree)
    directories = Directories(installation.etc, installation.state, installation.run)
    place = Place(location.mount, location.root, installation.ledger)
    with alone(installation.run) as is_alone, CgroupTree(location.mount, location.root) as cgroups:
        if not is_alone and send:
            raise BusyError("another round of notices is at work")
        commands = Commands(
            fleet,
            cgroups,
            os.path.join(installation.run, "on-high"),
            installation.records.views,
            installation.decided().frozen if send else (),
            _warn,
        )
        work = Round(fleet, directories, place, _warn, commands if send else None)
        if not send:
            return _show(work.looked(_now())[0], "no notice is due", as_json=as_json)
        try:
            ended = work.send(_now())
        except OSError as error:
            raise PaasError(f"what was told cannot be remembered, so nothing more is sent: {error}") from error
    _show(list(ended.sent), "", as_json=as_json, quiet=True)
    return Exit.PARTLY if ended.unsent else Exit.CONVERGED


def _show(found: list[Due], nothing: str, *, as_json: bool, quiet: bool = False) -> int:
    if as_json:
        output.print_json(
            [
                {
                    "account": each.account,
                    "when": each.rule.when,
                    "phase": str(each.phase),
                    "figure": each.figure,
                    "since": each.since // 1000,
                    "to": {each.rule.to.kind: list(each.rule.to.words)},
                }
                for each in found
            ]
        )
    elif not found and not quiet:
        output.line(nothing)
    else:
        for each in found:
            said = ", ".join(sentences(each))
            output.line(f"{said} -> {each.rule.to.kind} {' '.join(each.rule.to.words)}")
    return Exit.CONVERGED


def _on_high(fleet: Fleet) -> bool:
    return any(account.on_high for account in fleet.accounts.values())


def _warn(why: str) -> None:
    output.lines(why, fg="yellow", err=True)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _become_ordinary() -> None:
    """The daemon that starts this is preferred by the scheduler and the OOM killer; programs that it runs are not."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")
