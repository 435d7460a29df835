"""status and coverage: limits beside use, and who is where."""

import pwd
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from paas_isolate.changes.desire import limited_by
from paas_isolate.changes.place import Places
from paas_isolate.changes.steps import Changes, owner
from paas_isolate.cli import say
from paas_isolate.cli.desk import Desk, unknown
from paas_isolate.cli.exits import Exit
from paas_isolate.linux import procfs
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Sold
from paas_isolate.model.world import Knobs, Process
from paas_isolate.reconcile import Look, Wheel, look
from paas_isolate.sample import Use, use
from paas_isolate.units import format_cpu, format_size

TITLES = ("", "STATE", "MEMORY", "OF", "PROCESSES", "OF", "CPU TIME", "OF", "READ", "WRITTEN", "HITS")
RIGHT = ("MEMORY", "PROCESSES", "CPU TIME", "READ", "WRITTEN")


@dataclass(frozen=True, slots=True)
class Line:
    """One cgroup as status shows it."""

    name: str
    path: str
    state: str
    knobs: Knobs
    use: Use


@click.command()
@click.argument("account", default="")
@say.as_json
@click.pass_obj
def status(desk: Desk, account: str, as_json: bool) -> int:
    """Show limits beside use: every account, or one with all its leaves; what is pending, and why."""
    fleet = desk.fleet()
    with desk.wheel(fleet, account=account) as wheel:
        seen = look(wheel)
        lines = list(_lines(wheel, seen, account))
    notes = dict(_notes(fleet, seen, wheel, account))
    if as_json:
        say.print_json({"cgroups": [asdict(line) for line in lines], "notes": notes})
        return Exit.CONVERGED
    if lines:
        say.table(TITLES, map(_row, lines), right=RIGHT)
    else:
        click.echo(f"no accounts yet: write one to {desk.etc}/accounts.d, then paas-isolate reconcile")
    for name, reasons in notes.items():
        for reason in reasons:
            click.secho(f"{name}: {reason}", fg="yellow")
    return Exit.CONVERGED


@click.command()
@click.argument("account", default="")
@click.option("--all", "everything", is_flag=True, help="List the confined ones too.")
@say.as_json
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
    confined = sum(process.confined for process in processes)
    if as_json:
        say.print_json(
            {
                "confined": confined,
                "total": len(processes),
                "processes": [_process_data(places, process) for process in processes],
            }
        )
    else:
        shown = [process for process in processes if account or everything or _misplaced(places, process)]
        if shown:
            say.table(("PID", "USER", "PROGRAM", "IS IN", "BELONGS IN"), (_process_row(places, p) for p in shown))
        colour = "green" if confined == len(processes) else "red"
        click.secho(f"{confined} of {len(processes)} processes confined", fg=colour)
    return Exit.CONVERGED if confined == len(processes) else Exit.DIFFERS


def _lines(wheel: Wheel, seen: Look, account: str) -> Iterator[Line]:
    sold = wheel.fleet.accounts.get(account)
    observed = seen.observed.cgroups
    if sold is not None:
        paths = [tree.account(sold.directory), *(path for path, _ in limited_by(sold))]
    elif account:
        paths = [path for path in observed if tree.directory_of(path) == account]
    else:
        paths = [path for path in observed if tree.is_account(path)]
    names = {each.directory: each for each in wheel.fleet.accounts.values()}
    for path in sorted(path for path in paths if path in observed):
        yield _line(wheel.cgroups, path, observed[path], _state(path, seen, wheel, names), names)


def _line(cgroups: CgroupTree, path: str, knobs: Knobs, state: str, names: dict[str, Sold]) -> Line:
    sold = names.get(tree.directory_of(path))
    name = sold.name if sold and tree.is_account(path) else path.rpartition("/")[2]
    return Line(name, path, state, knobs, use(cgroups, path))


def _state(path: str, seen: Look, wheel: Wheel, names: dict[str, Sold]) -> str:
    directory = tree.directory_of(path)
    sold = names.get(directory)
    if directory in seen.leaving.accepted or directory in seen.leaving.waiting:
        return "leaving"
    if sold is None or sold.name in wheel.fleet.kept:
        return "kept"
    if sold.suspended:
        return "suspended"
    if sold.name in wheel.held or f"{sold.name}/{path.rpartition('/')[2]}" in wheel.held:
        return "frozen"
    return "pending" if any(owner(step) == directory for step in seen.changes) else "ok"


def _notes(fleet: Fleet, seen: Look, wheel: Wheel, account: str) -> Iterator[tuple[str, list[str]]]:
    """What somebody should know about each account: its pending steps, why it is kept or not removed."""
    notes: dict[str, list[str]] = {}
    for name, reason in fleet.kept.items():
        notes.setdefault(name, []).append(f"keeps its last good state: {reason}")
    for directory, reason in seen.leaving.waiting.items():
        notes.setdefault(directory, []).append(f"no file names it any more: {reason}")
    for step in _pending(seen.changes, wheel.only):
        notes.setdefault(owner(step) or "the tree", []).append(f"to do: {step}")
    for sold in fleet.accounts.values():
        reserved = [*sold.reserved, *(f"{s.name}.{key}" for s in sold.services for key in s.reserved)]
        if reserved and account in ("", sold.name):
            notes.setdefault(sold.name, []).append(f"not enforced by this version: {', '.join(reserved)}")
    return iter(notes.items())


def _pending(changes: Changes, only: str) -> Changes:
    return tuple(step for step in changes if not only or owner(step) == only)


def _row(line: Line) -> tuple[str, ...]:
    used, knobs = line.use, line.knobs
    hits = {
        "killed": used.killed,
        "forks refused": used.refused,
        "throttled": used.throttled,
    }
    return (
        line.name if tree.is_account(line.path) else f"  {line.name}",
        line.state,
        _size(used.memory),
        _limit(knobs.get("memory.max"), is_size=True),
        "-" if used.pids is None else str(used.pids),
        _limit(knobs.get("pids.max"), is_size=False),
        "-" if used.cpu is None else f"{used.cpu / 1e6:.1f}s",
        _cpu(knobs.get("cpu.max")),
        format_size(used.read),
        format_size(used.written),
        ", ".join(f"{number} {what}" for what, number in hits.items() if number) or "-",
    )


def _size(size: int | None) -> str:
    return "-" if size is None else format_size(size)


def _limit(text: str | None, *, is_size: bool) -> str:
    if text is None:
        return "-"
    if text == "max":
        return "unlimited"
    return format_size(int(text)) if is_size else text


def _cpu(text: str | None) -> str:
    if text is None:
        return "-"
    quota = text.partition(" ")[0]
    return "unlimited" if quota == "max" else format_cpu(int(quota))


def _counts(places: Places, fleet: Fleet, process: Process) -> bool:
    """Whether a process is a customer's: of an account, or of a uid that the host's policy confines."""
    return places.account_of(process.uid) is not None or fleet.host.without_account != "leave"


def _misplaced(places: Places, process: Process) -> bool:
    return not process.confined or places.place(process) != process.cgroup


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
        "confined": process.confined,
        "settled": process.settled,
    }


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
