"""coverage: which process of a customer is where, and which is outside its account."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

import click

from paas_isolate.changes import origin
from paas_isolate.changes.origin import OriginReason
from paas_isolate.changes.placement import Placement
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.compare import compare
from paas_isolate.errors import Trouble, without_broken
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, unknown
from paas_isolate.linux.system.users import login_of
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import Process, ProcessParent

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
    placement = Placement(fleet)
    with installation.open(fleet) as reconciler:
        if account and account not in fleet.accounts:
            raise unknown(account, fleet)
        comparison = compare(reconciler)
        processes = [process for process in comparison.observed.processes if _counts(placement, fleet, process)]
    processes, broken = _placeable(placement, processes)
    broken = {**broken, **comparison.broken}
    if account:
        processes = [process for process in processes if _name_of_account(placement, process) == account]
    family = Family(fleet)
    confined, left = sum(map(placement.confined, processes)), sum(map(placement.left, processes))
    total = len(processes) - left
    if as_json:
        output.print_json(
            {
                "confined": confined,
                "total": total,
                "left": left,
                "processes": [_process_data(placement, family, process) for process in processes],
            }
        )
    else:
        shown = [process for process in processes if account or everything or _is_outside(placement, process)]
        if shown:
            output.table(TITLES, (_process_row(placement, family, process) for process in shown))
        for line in _reasons(_why(placement, process) for process in shown):
            output.line(line)
        colour = "green" if confined == total else "red"
        output.line(f"{confined} of {total} processes confined", fg=colour)
        if left:
            output.line(f"{left} left where root put them", fg="yellow")
    output.broken(broken)
    if broken:
        return Exit.ERROR
    return Exit.CONVERGED if confined == total else Exit.DIFFERS


def _placeable(placement: Placement, processes: list[Process]) -> tuple[list[Process], dict[str, Trouble]]:
    """The processes whose place can be worked out; and by account, or uid, what was raised for the others."""
    _, wrong = without_broken(lambda part: [placement.place(process) for process in part], processes)
    broken = {_name_of_account(placement, process) or str(process.uid): found for process, found in wrong.items()}
    return [process for process in processes if process not in wrong], broken


class Family:
    """Names and ancestors of processes. Each process is read once, and only when it is shown or is an ancestor of one
    that is."""

    def __init__(self, fleet: Fleet) -> None:
        self._read = cache(process_reader())
        self._governs = fleet.governs

    def way(self, process: Process) -> str:
        """By which way a process came in, as `origin.origin` names it."""
        return origin.origin(process.pid, self._read, self._governs)

    def name(self, process: Process) -> str:
        """The base name of its executable; for a kernel thread its own name; '' when it has ended."""
        found = None if process.program else self._read(process.pid)
        return found.name if found else process.program


@cache
def process_reader() -> Callable[[int], ProcessParent | None]:
    """What reads parent, effective uid and name of a process (proc_pid_stat(5): 15 bytes of a name at most) by its pid,
    and gives None when the process has ended."""
    import psutil  # takes longer to import than the rest of this command

    class ProcessWithoutArguments(psutil.Process):
        """name() completes a name of 15 bytes from the arguments. These lie in the process's memory, which a customer
        can lock, and then the reader waits (see linux/process/commands.py)."""

        def cmdline(self) -> list[str]:
            return []

    def read(pid: int) -> ProcessParent | None:
        try:
            process = ProcessWithoutArguments(pid)
            with process.oneshot():
                name = process.name().encode(errors="surrogateescape").decode(errors="replace")
                return ProcessParent(process.ppid(), process.uids().effective, name)
        except psutil.Error:
            return None

    return read


def _counts(placement: Placement, fleet: Fleet, process: Process) -> bool:
    """Whether a process is a customer's: of an account, of an account that is being removed, or of a uid that
    `without_account` confines."""
    if placement.account_of(process.uid) is not None or fleet.host.without_account != "leave":
        return True
    return process.confined and tree.directory_of(process.cgroup) != ""


def _is_outside(placement: Placement, process: Process) -> bool:
    """Whether it is not where it belongs, or was left where root put it."""
    return placement.left(process) or placement.place(process) != process.cgroup


def _why(placement: Placement, process: Process) -> OriginReason:
    if placement.left(process):
        return OriginReason(origin.OriginKind.LEFT, process.cgroup)
    account = placement.account_of(process.uid)
    return origin.reason_of(process.cgroup, account.directory if account else "")


def _reasons(reasons: Iterable[OriginReason]) -> Iterator[str]:
    """Each reason of the table once, with its advice."""
    for reason in sorted(set(reasons)):
        if reason.advice:
            yield f"{reason}: {reason.advice}"


def _process_row(placement: Placement, family: Family, process: Process) -> tuple[str, ...]:
    return (
        str(process.pid),
        login_of(process.uid),
        family.name(process),
        "left behind" if (way := family.way(process)) == origin.LEFT_BEHIND else way,
        str(_why(placement, process)) or "-",
        process.cgroup,
        _belongs(placement, process),
    )


def _belongs(placement: Placement, process: Process) -> str:
    return process.cgroup if placement.left(process) else placement.place(process)


def _name_of_account(placement: Placement, process: Process) -> str:
    """'' for a uid of no account."""
    account = placement.account_of(process.uid)
    return account.name if account else ""


def _process_data(placement: Placement, family: Family, process: Process) -> dict[str, object]:
    return {
        "pid": process.pid,
        "uid": process.uid,
        "account": _name_of_account(placement, process) or None,
        "program": family.name(process),
        "cgroup": process.cgroup,
        "belongs": _belongs(placement, process),
        "confined": placement.confined(process),
        "settled": process.settled,
        "way": family.way(process),
        "why": _why(placement, process).why,
    }
