"""account list: the accounts of the machine, by pages: plan, state, and use beside limits."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import click

from paas_isolate.cli import output, paging
from paas_isolate.cli.metering import calendar_of
from paas_isolate.cli.options import as_json
from paas_isolate.errors import HostError, PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.recent import Lately, Recent, recent
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.live.rates import LIMIT_KNOBS, Row, limits_of, plain
from paas_isolate.metering.reading import Levels, number
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.units import format_size

SORTS: dict[str, Callable[[Lately], float | None]] = {
    "cpu": lambda use: use.rates.cpu,
    "memory": lambda use: use.levels.memory,
    "processes": lambda use: use.levels.pids,
    "read": lambda use: use.rates.read,
    "written": lambda use: use.rates.written,
    "pressure": lambda use: use.rates.wait,
    "faults": lambda use: use.faults,
}
_KNOBS = (*LIMIT_KNOBS, "memory.current", "pids.current")
_UNKNOWN = -1.0
"""Sorts after all that is known."""
_TITLES = ("ACCOUNT", "PLAN", "STATE", "CPU", "OF", "MEMORY", "OF", "PROCESSES", "OF", "READ", "WRITTEN", "FAULTS")


class Listed(NamedTuple):
    """An account before it is looked at. `state` is ok, suspended, frozen, kept (its file cannot be used), pending (it
    has no cgroup yet) or leaving (its file is gone)."""

    name: str
    directory: str
    plan: str | None
    owner: str
    labels: Mapping[str, str]
    state: str
    note: str = ""


_Rank = tuple[float, str]
"""Minus the value that is sorted by (0 where it is the name), and the name."""


@click.command("list")
@click.option(
    "--limit", type=click.IntRange(1, paging.MOST), default=100, metavar="NUMBER", help="At most so many (100)."
)
@click.option("--after", default="", metavar="PLACE", help="Those after this one: `next` of the page before.")
@click.option("--search", default="", metavar="TEXT", help="Only those whose name, plan or owner contains this.")
@click.option("--sort", "by", type=click.Choice(list(SORTS)), help="The most of this first; by name without.")
@as_json
@click.pass_obj
def account_list(installation: Installation, limit: int, after: str, search: str, by: str | None, as_json: bool) -> int:
    """List accounts: plan, state, and use beside limits.

    Memory and processes are those of the last sample; CPU time and disk are of this hour and the one before, on
    average; faults are of the last hour. Without metering they are not known, and memory and processes are those of
    now.
    """
    need_root()
    place = _place(after, by)
    fleet = installation.fleet()
    known = _recent(installation)
    uses = known.accounts if known else {}
    with open_tree(installation, fleet) as cgroups:
        found = [each for each in listed(installation, fleet, cgroups) if _matches(each, search)]
        ranked = sorted((_rank(each, uses, by), number) for number, each in enumerate(found))
        page = [(rank, number) for rank, number in ranked if place is None or rank > place][: limit + 1]
        rows = [_row(cgroups, found[number], uses.get(found[number].directory)) for _, number in page[:limit]]
    more = _text_of(page[limit - 1][0], by) if len(page) > limit else ""
    if as_json:
        calendar = calendar_of(fleet.host)
        sampled = calendar.time(known.sampled).isoformat(timespec="seconds") if known else None
        output.print_json({"total": len(found), "next": more or None, "sampled": sampled, "rows": rows})
        return Exit.CONVERGED
    output.table(_TITLES, map(_cells, rows), right=("CPU", "MEMORY", "PROCESSES", "READ", "WRITTEN", "FAULTS"))
    paging.tell(more, str(len(found)))
    return Exit.CONVERGED


def _rank(listed: Listed, uses: Mapping[str, Lately], by: str | None) -> _Rank:
    if by is None:
        return 0.0, listed.name
    value = SORTS[by](uses.get(listed.directory, Lately()))
    return -(_UNKNOWN if value is None else value), listed.name


def _text_of(rank: _Rank, by: str | None) -> str:
    """The page's end, as --after takes it."""
    return f"{-rank[0]!r}:{rank[1]}" if by else rank[1]


def _place(after: str, by: str | None) -> _Rank | None:
    """The reverse of `_text_of`. UsageError where it is no place in this order."""
    if not after:
        return None
    value, colon, name = after.rpartition(":")
    with suppress(ValueError):
        if bool(colon) == bool(by):
            return -float(value or 0), name
    raise click.UsageError(f"--after is {after}; expected `next` of the page before, in the same order")


def _recent(installation: Installation) -> Recent | None:
    try:
        with reading(installation.ledger) as connection:
            return recent(connection, time.time_ns() // 1_000_000)
    except HostError:
        return None


@contextmanager
def open_tree(installation: Installation, fleet: Fleet) -> Iterator[CgroupTree | None]:
    """The tree; None where there is none."""
    with ExitStack() as stack:
        cgroups = None
        with suppress(PaasError):
            cgroups, _ = stack.enter_context(installation.tree(fleet))
        yield cgroups


def listed(installation: Installation, fleet: Fleet, cgroups: CgroupTree | None) -> Iterator[Listed]:
    """All accounts: those that files name, and those that are still there."""
    directories = set(cgroups.children(tree.USERS)) if cgroups else set()
    frozen: frozenset[str] = frozenset()
    with suppress(HostError):  # decisions.json is damaged: `status` says so
        frozen = frozenset(installation.decided().frozen)
    for account in fleet.accounts.values():
        state = "ok" if account.directory in directories else "pending"
        if account.name in fleet.on_last_good:
            state = "kept"
        elif account.suspended:
            state = "suspended"
        elif account.directory in frozen:
            state = "frozen"
        note = fleet.on_last_good.get(account.name, "")
        yield Listed(account.name, account.directory, account.plan, account.owner, account.labels, state, note)
        directories.discard(account.directory)
    for name, reason in fleet.on_last_good.items():
        if name not in fleet.accounts:
            yield Listed(name, name, None, "", {}, "kept", reason)
            directories.discard(name)
    for directory in directories:
        yield Listed(directory, directory, None, "", {}, "leaving", "no file in accounts.d names it any more")


def _matches(listed: Listed, text: str) -> bool:
    return any(text in each for each in (listed.name, listed.plan or "", listed.owner))


def _row(cgroups: CgroupTree | None, listed: Listed, use: Lately | None) -> dict[str, Any]:
    """With the keys of `top --json`."""
    knobs: Mapping[str, str] = {}
    if cgroups is not None:
        with suppress(OSError):
            knobs, _ = cgroups.look(tree.account(listed.directory), _KNOBS) or ({}, ())
    if use is None:
        use = Lately(Levels(memory=number(knobs.get("memory.current")), pids=number(knobs.get("pids.current"))))
    used = plain(Row(listed.directory, listed.name, use.rates, use.levels, use.faults, limits_of(knobs)))
    del used["leaf"]
    return {
        "account": listed.name,
        "plan": listed.plan,
        "owner": listed.owner,
        "labels": dict(listed.labels),
        "state": listed.state,
        "note": listed.note,
        **used,
    }


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        row["account"],
        row["plan"] or "-",
        row["state"],
        *(_said(row[key], lambda cores: f"{cores * 100:.0f}%") for key in ("cpu_cores", "cpu_limit")),
        *(_said(row[key], format_size) for key in ("memory", "memory_limit")),
        *(_said(row[key], str) for key in ("pids", "pids_limit")),
        *(_said(row[f"{key}_per_second"], lambda size: f"{format_size(int(size))}/s") for key in ("read", "written")),
        _said(row["faults"], str),
    )


def _said(value: Any, say: Callable[[Any], str]) -> str:
    return "-" if value is None else say(value)
