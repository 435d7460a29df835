"""coverage: who is where, and who is outside."""

from collections.abc import Iterable, Iterator
from functools import cache

import click

from paas_isolate.changes import origin
from paas_isolate.changes.origin import OriginReason
from paas_isolate.changes.placement import Placement
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.errors import Trouble, without_broken
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, unknown
from paas_isolate.linux.process import procfs
from paas_isolate.linux.system.users import login_of
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import Process
from paas_isolate.reconcile import compare

TITLES = ("PID", "USER", "PROGRAM", "WAY", "WHY", "IS IN", "BELONGS IN")


@click.command()
@click.argument("account", default="")
@click.option("--all", "everything", is_flag=True, help="List the confined ones too.")
@as_json
@click.pass_obj
def coverage(installation: Installation, account: str, everything: bool, as_json: bool) -> int:
    """Show every process of customers' users that is not where it belongs, by which way it came in, and why it is
    outside; and count the ones that are where they belong.

    With ACCOUNT all its processes are listed. Exit status 3 when a process is outside.
    """
    fleet = installation.fleet()
    places = Placement(fleet)
    with installation.open(fleet) as reconciler:
        if account and account not in fleet.accounts:
            raise unknown(account, fleet)
        seen = compare(reconciler)
        processes = [process for process in seen.observed.processes if _counts(places, fleet, process)]
    processes, broken = _placed(places, processes)
    broken = {**broken, **seen.broken}
    if account:
        processes = [process for process in processes if (of := places.account_of(process.uid)) and of.name == account]
    family = Family(fleet)
    confined, left = sum(map(places.confined, processes)), sum(map(places.left, processes))
    total = len(processes) - left
    if as_json:
        output.print_json(
            {
                "confined": confined,
                "total": total,
                "left": left,
                "processes": [_process_data(places, family, process) for process in processes],
            }
        )
    else:
        shown = [it for it in processes if account or everything or places.left(it) or places.place(it) != it.cgroup]
        if shown:
            output.table(TITLES, (_process_row(places, family, process) for process in shown))
        for line in _reasons(_why(places, process) for process in shown):
            output.line(line)
        colour = "green" if confined == total else "red"
        output.line(f"{confined} of {total} processes confined", fg=colour)
        if left:
            output.line(f"{left} left where root put them", fg="yellow")
    output.broken(broken)
    if broken:
        return Exit.ERROR
    return Exit.CONVERGED if confined == total else Exit.DIFFERS


def _placed(places: Placement, processes: list[Process]) -> tuple[list[Process], dict[str, Trouble]]:
    """Those of which can be told where they belong; and the accounts of the others."""
    _, wrong = without_broken(lambda some: [places.place(process) for process in some], processes)
    broken = {(of.name if (of := places.account_of(it.uid)) else str(it.uid)): found for it, found in wrong.items()}
    return [process for process in processes if process not in wrong], broken


class Family:
    """Who started whom. Each process is looked at once, and only ancestors of those that are shown."""

    def __init__(self, fleet: Fleet) -> None:
        self._kin = cache(procfs.kin)
        self._governs = fleet.governs

    def way(self, process: Process) -> str:
        return origin.origin(process.pid, self._kin, self._governs)


def _counts(places: Placement, fleet: Fleet, process: Process) -> bool:
    """Whether a process is a customer's: of an account, of one that is going, or of a uid that policy confines."""
    if places.account_of(process.uid) is not None or fleet.host.without_account != "leave":
        return True
    return process.confined and tree.directory_of(process.cgroup) != ""


def _why(places: Placement, process: Process) -> OriginReason:
    if places.left(process):
        return OriginReason(origin.OriginKind.LEFT, process.cgroup)
    account = places.account_of(process.uid)
    return origin.reason_of(process.cgroup, account.directory if account else "")


def _reasons(found: Iterable[OriginReason]) -> Iterator[str]:
    """Each reason of the table once, whole."""
    for reason in sorted(set(found)):
        if reason.advice:
            yield f"{reason}: {reason.advice}"


def _process_row(places: Placement, family: Family, process: Process) -> tuple[str, ...]:
    return (
        str(process.pid),
        login_of(process.uid),
        process.program or procfs.name(process.pid),
        "left behind" if (way := family.way(process)) == origin.LEFT_BEHIND else way,
        str(_why(places, process)) or "-",
        process.cgroup,
        _belongs(places, process),
    )


def _belongs(places: Placement, process: Process) -> str:
    return process.cgroup if places.left(process) else places.place(process)


def _process_data(places: Placement, family: Family, process: Process) -> dict[str, object]:
    account = places.account_of(process.uid)
    return {
        "pid": process.pid,
        "uid": process.uid,
        "account": account.name if account else None,
        "program": process.program or procfs.name(process.pid),
        "cgroup": process.cgroup,
        "belongs": _belongs(places, process),
        "confined": places.confined(process),
        "settled": process.settled,
        "way": family.way(process),
        "why": _why(places, process).why,
    }
