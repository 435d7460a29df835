"""Questions about what was used. Each is one statement on a connection that reads only."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from paas_isolate.ledger.schema import SUMS
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.reading import Counters, Levels
from paas_isolate.metering.tally import Base, Moment, until_now
from paas_isolate.metering.use import Use, total


class Total(NamedTuple):
    """What an account ('' as leaf) or a leaf used while it had one plan. `label` is the hour (since 1970), the day or
    the month, '' for all together. `account` is the name that the account had last."""

    account: str
    directory: str
    leaf: str
    plan: str
    label: int | str
    use: Use


class Question(NamedTuple):
    """Which use: of the `kind` ('hour' or 'day'), with labels from `first` to `last`, which is included; of one account
    ('': all), with its leaves or alone; by hour or day (LABEL), by MONTH, or ('') all together."""

    kind: str
    first: int | str
    last: int | str
    account: str = ""
    leaves: bool = False
    by: str = ""


LABEL, MONTH = "label", "month"
_LABELS = {LABEL: "spans.label", MONTH: "substr(spans.label, 1, 7)", "": "''"}


def totals(connection: sqlite3.Connection, asked: Question, calendar: Calendar) -> list[Total]:
    """The use that was asked for, by account, leaf and plan, in this order. Of days, with what cgroups that did nothing
    have held since they were written last."""
    label = _LABELS[asked.by]
    where = "spans.kind = ? AND spans.label BETWEEN ? AND ?"
    words: list[object] = [asked.kind, asked.first, asked.last]
    if asked.account:
        where += " AND coalesce(names.name, series.directory) = ?"
        words.append(asked.account)
    if not asked.leaves:
        where += " AND series.leaf = ''"
    rows = connection.execute(
        f"SELECT coalesce(names.name, series.directory), series.directory, series.leaf, series.plan, {label}, {SUMS} "  # noqa: S608
        "FROM spans JOIN uses ON uses.span = spans.id JOIN series ON series.id = uses.series "
        f"LEFT JOIN names ON names.directory = series.directory WHERE {where} "
        "GROUP BY series.directory, series.leaf, series.plan, 5 ORDER BY 1, 3, 4, 5",
        words,
    )
    found = {row[:5]: Use(*row[5:]) for row in rows}
    if asked.kind == "day":
        _add_held(connection, asked, calendar, found)
    return [
        Total(account, directory, leaf, plan, label, use)
        for (account, directory, leaf, plan, label), use in sorted(found.items(), key=_by_account)
    ]


def written(connection: sqlite3.Connection, asked: Question) -> set[int | str]:
    """The hours or days of a question in which something was measured, whose ever it was."""
    rows = connection.execute(
        "SELECT DISTINCT label FROM spans WHERE kind = ? AND label BETWEEN ? AND ?",
        (asked.kind, asked.first, asked.last),
    )
    return {label for (label,) in rows}


def _by_account(item: tuple[tuple[str, str, str, str, int | str], Use]) -> tuple[object, ...]:
    return item[0]


_LABELLED: Mapping[str, Callable[[str], str]] = {LABEL: str, MONTH: lambda day: day[:7], "": lambda _: ""}


def _add_held(
    connection: sqlite3.Connection,
    asked: Question,
    calendar: Calendar,
    found: dict[tuple[str, str, str, str, int | str], Use],
) -> None:
    sampled = last_sample(connection)
    if sampled is None:
        return
    of, words = ("WHERE coalesce(names.name, series.directory) = ?", [asked.account]) if asked.account else ("", [])
    owners = {  # the newest plan of each wins
        directory: (name, plan)
        for directory, name, plan in connection.execute(
            "SELECT series.directory, coalesce(names.name, series.directory), plan FROM series "  # noqa: S608
            f"LEFT JOIN names ON names.directory = series.directory {of} ORDER BY id",
            words,
        )
    }
    for base in _bases(connection, asked.leaves, list(owners) if asked.account else None):
        directory, _, leaf = base.path.partition("/")
        name, plan = owners.get(directory, (directory, ""))
        for day, use in until_now(base, sampled, calendar):
            if str(asked.first) <= day <= str(asked.last):
                key = name, directory, leaf, plan, _LABELLED[asked.by](day)
                found[key] = total(found[key], use) if key in found else use


def last_sample(connection: sqlite3.Connection) -> Moment | None:
    """When the last sample was written; None in a new ledger."""
    found = connection.execute("SELECT at, wall FROM state").fetchone()
    return Moment(*found) if found else None


def _bases(connection: sqlite3.Connection, leaves: bool, directories: Sequence[str] | None) -> Iterator[Base]:
    """Those of accounts, or of their leaves too; None: of all."""
    columns = ", ".join(f'"{name}"' for name in Levels._fields)
    every = f"SELECT path, inode, at, {columns} FROM bases"  # noqa: S608
    rows = (
        connection.execute(every)
        if directories is None
        else (
            row
            for directory in directories
            for row in connection.execute(
                f"{every} WHERE path = ? OR path BETWEEN ? AND ?",
                (directory, f"{directory}/", f"{directory}/\U0010ffff"),
            )
        )
    )
    for path, inode, at, *levels in rows:
        if leaves or "/" not in path:
            yield Base(path, inode, at, Counters(), Levels(*levels))


def labels(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The labels of each account that has some, by its directory; also of accounts that are gone."""
    found: dict[str, dict[str, str]] = {}
    for directory, key, value in connection.execute("SELECT directory, key, value FROM labels"):
        found.setdefault(directory, {})[key] = value
    return found


def mount_options(connection: sqlite3.Connection, month: str) -> list[str]:
    """Mount options of cgroup2 that changed what was counted in a month, or in a part of it."""
    rows = connection.execute("SELECT option FROM mount_options WHERE month = ? ORDER BY option", (month,))
    return [option for (option,) in rows]


def accounts(connection: sqlite3.Connection) -> list[str]:
    """The names of all accounts that were ever counted."""
    return [
        name
        for (name,) in connection.execute(
            "SELECT DISTINCT coalesce(names.name, series.directory) FROM series "
            "LEFT JOIN names ON names.directory = series.directory ORDER BY 1"
        )
    ]


def known(connection: sqlite3.Connection, account: str) -> bool:
    """Whether an account of this name was ever counted."""
    query = (
        "SELECT 1 FROM series LEFT JOIN names ON names.directory = series.directory "
        "WHERE coalesce(names.name, series.directory) = ? LIMIT 1"
    )
    return connection.execute(query, (account,)).fetchone() is not None
