"""coverage: who is where, and who is outside."""

import pwd

import click

from paas_isolate.changes.place import Places
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk, unknown
from paas_isolate.cli.exits import Exit
from paas_isolate.cli.options import as_json
from paas_isolate.linux import procfs
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import Process
from paas_isolate.reconcile import look


@click.command()
@click.argument("account", default="")
@click.option("--all", "everything", is_flag=True, help="List the confined ones too.")
@as_json
@click.pass_obj
def coverage(desk: Desk, account: str, everything: bool, as_json: bool) -> int:
    """Show every process of customers' users that is not where it belongs, and count the ones that are.

    With ACCOUNT all its processes are listed. Exit status 3 when a process is outside.
    """
    fleet = desk.fleet()
    places = Places(fleet)
    with desk.wheel(fleet) as wheel:
        if account and account not in fleet.accounts:
            raise unknown(account, fleet)
        processes = [process for process in look(wheel).observed.processes if _counts(places, fleet, process)]
    if account:
        processes = [process for process in processes if (of := places.account_of(process.uid)) and of.name == account]
    confined = sum(map(places.confined, processes))
    if as_json:
        say.print_json(
            {
                "confined": confined,
                "total": len(processes),
                "processes": [_process_data(places, process) for process in processes],
            }
        )
    else:
        shown = [process for process in processes if account or everything or places.place(process) != process.cgroup]
        if shown:
            say.table(("PID", "USER", "PROGRAM", "IS IN", "BELONGS IN"), (_process_row(places, p) for p in shown))
        colour = "green" if confined == len(processes) else "red"
        click.secho(f"{confined} of {len(processes)} processes confined", fg=colour)
    return Exit.CONVERGED if confined == len(processes) else Exit.DIFFERS


def _counts(places: Places, fleet: Fleet, process: Process) -> bool:
    """Whether a process is a customer's: of an account, of one that is going, or of a uid that policy confines."""
    if places.account_of(process.uid) is not None or fleet.host.without_account != "leave":
        return True
    return process.confined and tree.directory_of(process.cgroup) != ""


def _process_row(places: Places, process: Process) -> tuple[str, ...]:
    belongs = places.place(process)
    program = process.program or procfs.name(process.pid)
    return str(process.pid), _login(process.uid), program, process.cgroup, belongs


def _process_data(places: Places, process: Process) -> dict[str, object]:
    account = places.account_of(process.uid)
    return {
        "pid": process.pid,
        "uid": process.uid,
        "account": account.name if account else None,
        "program": process.program or procfs.name(process.pid),
        "cgroup": process.cgroup,
        "belongs": places.place(process),
        "confined": places.confined(process),
        "settled": process.settled,
    }


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
