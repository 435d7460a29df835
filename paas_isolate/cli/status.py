"""status: shows limits and use, what is pending, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import click

from paas_isolate.changes.bandwidth import rates_sold
from paas_isolate.changes.conditions import Condition
from paas_isolate.changes.knob_compiler import leaves
from paas_isolate.changes.quotas import waiting
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.cli.undecided import View, view
from paas_isolate.compare import Comparison, Reconciler
from paas_isolate.errors import Trouble, trouble, without_broken
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.quota.devices import counted_device
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.steps import Changes
from paas_isolate.model.world import Knobs
from paas_isolate.service_state import conditions
from paas_isolate.text import abbreviated
from paas_isolate.units import format_cpu, format_size
from paas_isolate.usage import CgroupStatus, disk_uses, processes_in_old_view, usage

TITLES = ("", "STATE", "MEMORY", "OF", "PROCESSES", "OF", "CPU TIME", "OF", "READ", "WRITTEN", "HITS")
RIGHT = ("MEMORY", "PROCESSES", "CPU TIME", "READ", "WRITTEN")


@click.command()
@click.argument("account", default="")
@click.option("--host", "of_host", is_flag=True, help="The machine: pressure, memory, numbers of accounts, limits hit.")
@as_json
@click.pass_obj
def status(installation: Installation, account: str, of_host: bool, as_json: bool) -> int:
    """Show limits and use of every account, or of one with all its leaves; what is pending, and why.

    Exit status 4 when decisions.json is damaged: all that does not depend on it is shown.
    """
    if of_host:
        if account:
            raise click.UsageError("expected an account, or --host")
        from paas_isolate.cli.host import host  # it brings SQLite and psutil

        return host(installation, as_json=as_json)
    fleet = installation.fleet()
    with view(installation, fleet, account) as seen:
        reconciler, comparison = seen.reconciler, seen.comparison
        broken = dict(comparison.broken)
        services = _conditions(reconciler, comparison, broken)
        lines = list(_lines(reconciler, comparison, account, services, broken))
    fleet = installation.directory.located(fleet.with_broken(broken))
    notes = dict(_notes(fleet, comparison, reconciler, account))
    for path, service in services.items():
        if service.detail and (note := _service_note(path, service, fleet, account)):
            notes.setdefault(note[0], []).append(note[1])
    if as_json:
        output.print_json({"cgroups": [line.data() for line in lines], "notes": notes})
        return _ended(fleet, seen)
    if lines:
        output.table(TITLES, map(row, lines), right=RIGHT)
    elif fleet.accounts or fleet.on_last_good:
        output.line(
            f"{account or 'no account'} has {'no' if account else 'a'} cgroup yet: paas-isolate reconcile makes it"
        )
    else:
        output.line(f"no accounts yet: write one to {installation.etc}/accounts.d, then paas-isolate reconcile")
    for name, reasons in notes.items():
        for reason in reasons:
            output.line(f"{name}: {reason}", fg="yellow")
    return _ended(fleet, seen)


def _ended(fleet: Fleet, seen: View) -> Exit:
    seen.complain()
    output.broken(fleet.broken)
    if fleet.broken:
        return Exit.ERROR
    return Exit.PARTLY if seen.damage else Exit.CONVERGED


def _conditions(reconciler: Reconciler, comparison: Comparison, broken: dict[str, Trouble]) -> Mapping[str, Condition]:
    """The state of each service, by its leaf. Accounts whose state cannot be computed are added to `broken`."""
    kernel, intent = reconciler.kernel, reconciler.intent

    def of(names: Sequence[str]) -> Mapping[str, Condition]:
        accounts = {name: intent.fleet.accounts[name] for name in names}
        return conditions(
            kernel, intent._replace(fleet=intent.fleet._replace(accounts=accounts)), comparison.observed.runs
        )

    by_leaf, troubles = without_broken(of, tuple(intent.fleet.accounts))
    broken.update(troubles)
    return by_leaf


def _service_note(path: str, service: Condition, fleet: Fleet, only: str) -> tuple[str, str] | None:
    """The account's name and a note about its service in the leaf `path`. None when the note is not of the account
    `only` ('': every account)."""
    account = next((each for each in fleet.accounts.values() if each.directory == tree.directory_of(path)), None)
    if account is None or only not in ("", account.name):
        return None
    leaf = path.rpartition("/")[2]
    hint = f"; paas-isolate start {account.name}/{leaf.partition('.')[0]} tries again" if service.given_up else ""
    return account.name, f"{leaf} is {service.state}: {service.detail}{hint}"


def _lines(
    reconciler: Reconciler,
    comparison: Comparison,
    only: str,
    services: Mapping[str, Condition],
    broken: dict[str, Trouble],
) -> Iterator[CgroupStatus]:
    account = reconciler.intent.fleet.accounts.get(only)
    observed = comparison.observed.cgroups
    if account is not None:
        paths = [
            tree.account(account.directory),
            *(tree.leaf(account.directory, leaf.name) for leaf in leaves(account.services)),
        ]
    elif only:  # no file names it, but its cgroups are still there
        paths = [path for path in observed if tree.directory_of(path) == only]
    else:
        paths = [path for path in observed if tree.is_account(path)]
    by_directory = {each.directory: each for each in reconciler.intent.fleet.accounts.values()}
    for path in sorted(path for path in paths if path in observed):
        service = services.get(path)
        state = _state(path, comparison, reconciler, by_directory)
        state = service.state if service and state in ("ok", "suspended", "frozen") else state
        try:
            yield replace(_line(reconciler.kernel, path, observed[path], state, by_directory), service=service)
        except Exception as error:  # noqa: BLE001  (one cgroup that cannot be read hides no other)
            directory = tree.directory_of(path)
            broken[by_directory[directory].name if directory in by_directory else directory] = trouble(error)


def _line(kernel: Kernel, path: str, knobs: Knobs, state: str, by_directory: dict[str, Account]) -> CgroupStatus:
    account = by_directory.get(tree.directory_of(path))
    name = account.name if account and tree.is_account(path) else path.rpartition("/")[2]
    device = counted_device(account.home if account else "", kernel.device_of)
    return CgroupStatus(name, path, state, knobs, usage(kernel.cgroups, path, device))


def _state(path: str, comparison: Comparison, reconciler: Reconciler, by_directory: dict[str, Account]) -> str:
    directory = tree.directory_of(path)
    account = by_directory.get(directory)
    if directory in comparison.removals.accepted or directory in comparison.removals.waiting:
        return "leaving"
    if account is None or account.name in reconciler.intent.fleet.on_last_good:
        return "kept"
    if account.suspended:
        return "suspended"
    if (
        account.directory in reconciler.intent.frozen
        or f"{account.directory}/{path.rpartition('/')[2]}" in reconciler.intent.frozen
    ):
        return "frozen"
    return "pending" if any(step.owner == directory for step in comparison.changes) else "ok"


def _notes(
    fleet: Fleet, comparison: Comparison, reconciler: Reconciler, account: str
) -> Iterator[tuple[str, list[str]]]:
    """Notes by account: pending steps, why it keeps its last good state, why it is not removed."""
    notes: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for name, reason in fleet.on_last_good.items():
        notes.setdefault(name, []).append(f"keeps its last good state: {reason}")
    for directory, reason in comparison.removals.waiting.items():
        notes.setdefault(directory, []).append(f"no file in accounts.d names it any more: {reason}")
    for name in fleet.accounts if not account else (account,):
        files.setdefault(f"accounts.d/{name}.yaml", name)
    for complaint in fleet.complaints:
        if complaint.warning and complaint.file in files:
            notes.setdefault(files[complaint.file], []).append(str(complaint))
    for path, reason in (*comparison.desired.unmet.items(), *comparison.desired.late.items()):
        notes.setdefault(tree.directory_of(path), []).append(reason)
    preserved = (*comparison.removals.waiting, *fleet.on_last_good)
    for directory, reason in waiting(comparison.desired.quotas, comparison.observed.quotas, preserved):
        notes.setdefault(directory, []).append(reason)
    for step in _pending(comparison.changes, reconciler.scope.account):
        notes.setdefault(step.owner or "the tree", []).append(f"to do: {step}")
    for directory, pids in processes_in_old_view(fleet, comparison.observed, reconciler.scope.account).items():
        numbers = abbreviated([str(pid) for pid in pids])
        notes.setdefault(directory, []).append(f"processes that keep another view until they end: {numbers}")
    if account in fleet.accounts:
        notes.setdefault(account, []).extend(
            (*disk_uses(fleet.accounts[account]), *rates_sold(fleet.accounts[account]))
        )
    for name, keys in fleet.not_enforced().items():
        if account in ("", name):
            notes.setdefault(name, []).append(f"not enforced by this version: {', '.join(keys)}")
    return iter(notes.items())


def _pending(changes: Changes, only: str) -> Changes:
    return tuple(step for step in changes if not only or step.owner == only)


def row(line: CgroupStatus) -> tuple[str, ...]:
    """The cells of one cgroup, in the order of TITLES."""
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
        _size(used.read),
        _size(used.written),
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
