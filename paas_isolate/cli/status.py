"""status: limits beside use, what is pending, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import click

from paas_isolate.changes.conditions import Condition
from paas_isolate.changes.knob_compiler import leaves
from paas_isolate.changes.quotas import waiting
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.compare import Comparison, Reconciler, Scope, compare
from paas_isolate.errors import Trouble, trouble, without_broken
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
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
@as_json
@click.pass_obj
def status(installation: Installation, account: str, as_json: bool) -> int:
    """Show limits beside use: every account, or one with all its leaves; what is pending, and why."""
    fleet = installation.fleet()
    with installation.open(fleet, scope=Scope(account)) as reconciler:
        seen = compare(reconciler)
        broken = dict(seen.broken)
        services = _conditions(reconciler, seen, broken)
        lines = list(_lines(reconciler, seen, account, services, broken))
    fleet = installation.directory.located(fleet.with_broken(broken))
    notes = dict(_notes(fleet, seen, reconciler, account))
    for path, service in services.items():
        if service.detail and (told := _told(path, service, fleet, account)):
            notes.setdefault(told[0], []).append(told[1])
    if as_json:
        output.print_json({"cgroups": [line.data() for line in lines], "notes": notes})
        output.broken(fleet.broken)
        return Exit.ERROR if fleet.broken else Exit.CONVERGED
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
    output.broken(fleet.broken)
    return Exit.ERROR if fleet.broken else Exit.CONVERGED


def _conditions(reconciler: Reconciler, seen: Comparison, broken: dict[str, Trouble]) -> Mapping[str, Condition]:
    kernel, intent = reconciler.kernel, reconciler.intent

    def of(names: Sequence[str]) -> Mapping[str, Condition]:
        accounts = {name: intent.fleet.accounts[name] for name in names}
        return conditions(kernel, intent._replace(fleet=intent.fleet._replace(accounts=accounts)), seen.observed.runs)

    by_leaf, raised = without_broken(of, tuple(intent.fleet.accounts))
    broken.update(raised)
    return by_leaf


def _told(path: str, service: Condition, fleet: Fleet, account: str) -> tuple[str, str] | None:
    """The account, and what should be known of a service of it."""
    sold = next((it for it in fleet.accounts.values() if it.directory == tree.directory_of(path)), None)
    if sold is None or account not in ("", sold.name):
        return None
    leaf = path.rpartition("/")[2]
    hint = f"; paas-isolate start {sold.name}/{leaf.partition('.')[0]} tries again" if service.given_up else ""
    return sold.name, f"{leaf} is {service.state}: {service.detail}{hint}"


def _lines(
    reconciler: Reconciler,
    seen: Comparison,
    account: str,
    services: Mapping[str, Condition],
    broken: dict[str, Trouble],
) -> Iterator[CgroupStatus]:
    sold = reconciler.intent.fleet.accounts.get(account)
    observed = seen.observed.cgroups
    if sold is not None:
        paths = [
            tree.account(sold.directory),
            *(tree.leaf(sold.directory, leaf.name) for leaf in leaves(sold.services)),
        ]
    elif account:
        paths = [path for path in observed if tree.directory_of(path) == account]
    else:
        paths = [path for path in observed if tree.is_account(path)]
    names = {each.directory: each for each in reconciler.intent.fleet.accounts.values()}
    for path in sorted(path for path in paths if path in observed):
        service = services.get(path)
        state = _state(path, seen, reconciler, names)
        state = service.state if service and state in ("ok", "suspended", "frozen") else state
        try:
            yield replace(_line(reconciler.kernel.cgroups, path, observed[path], state, names), service=service)
        except Exception as error:  # noqa: BLE001  (one cgroup that cannot be read hides no other)
            directory = tree.directory_of(path)
            broken[names[directory].name if directory in names else directory] = trouble(error)


def _line(cgroups: CgroupTree, path: str, knobs: Knobs, state: str, names: dict[str, Account]) -> CgroupStatus:
    account = names.get(tree.directory_of(path))
    name = account.name if account and tree.is_account(path) else path.rpartition("/")[2]
    return CgroupStatus(name, path, state, knobs, usage(cgroups, path))


def _state(path: str, seen: Comparison, reconciler: Reconciler, names: dict[str, Account]) -> str:
    directory = tree.directory_of(path)
    account = names.get(directory)
    if directory in seen.removals.accepted or directory in seen.removals.waiting:
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
    return "pending" if any(step.owner == directory for step in seen.changes) else "ok"


def _notes(fleet: Fleet, seen: Comparison, reconciler: Reconciler, account: str) -> Iterator[tuple[str, list[str]]]:
    """What somebody should know about each account: its pending steps, why it is kept or not removed."""
    notes: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for name, reason in fleet.on_last_good.items():
        notes.setdefault(name, []).append(f"keeps its last good state: {reason}")
    for directory, reason in seen.removals.waiting.items():
        notes.setdefault(directory, []).append(f"no file names it any more: {reason}")
    for name in fleet.accounts if not account else (account,):
        files.setdefault(f"accounts.d/{name}.yaml", name)
    for complaint in fleet.complaints:
        if complaint.warning and complaint.file in files:
            notes.setdefault(files[complaint.file], []).append(str(complaint))
    for path, reason in (*seen.desired.unmet.items(), *seen.desired.late.items()):
        notes.setdefault(tree.directory_of(path), []).append(reason)
    staying = (*seen.removals.waiting, *fleet.on_last_good)
    for directory, reason in waiting(seen.desired.quotas, seen.observed.quotas, staying):
        notes.setdefault(directory, []).append(reason)
    for step in _pending(seen.changes, reconciler.scope.account):
        notes.setdefault(step.owner or "the tree", []).append(f"to do: {step}")
    for directory, pids in processes_in_old_view(fleet, seen.observed, reconciler.scope.account).items():
        told = abbreviated([str(pid) for pid in pids])
        notes.setdefault(directory, []).append(f"see another view than new sessions do, until they end: {told}")
    if account in fleet.accounts:
        notes.setdefault(account, []).extend(disk_uses(fleet.accounts[account]))
    for name, keys in fleet.not_enforced().items():
        if account in ("", name):
            notes.setdefault(name, []).append(f"not enforced by this version: {', '.join(keys)}")
    return iter(notes.items())


def _pending(changes: Changes, only: str) -> Changes:
    return tuple(step for step in changes if not only or step.owner == only)


def row(line: CgroupStatus) -> tuple[str, ...]:
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
