"""Accounts with a label, and sums of accounts by the value of a label."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from paas_isolate.metering.bill import Line, Quantity
from paas_isolate.metering.use import NOTHING, Use, total

Labels = Mapping[str, str]


class Group(NamedTuple):
    """What the accounts with the same value of a label have used in an hour, day or month ('': in all the time). '' as
    value: those without this label."""

    value: str
    time: int | str
    accounts: int
    use: Use


class GroupLine(NamedTuple):
    """Lines of a bill, added up by the value of a label: each figure is the sum of those of the lines, so nothing is
    rounded twice. `measured` are the shares of the month that were measured, of all accounts together."""

    value: str
    accounts: int
    core_hours: Quantity
    gb_hours: Quantity
    gb_read: Quantity
    gb_written: Quantity
    gb_received: Quantity
    gb_sent: Quantity
    suspended_hours: Quantity
    measured: Quantity
    amount: Quantity


def has(labels: Labels, wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether all of the wanted labels are there."""
    return all(labels.get(key) == value for key, value in wanted)


def grouped(uses: Iterable[tuple[str, str, int | str, Use]]) -> list[Group]:
    """Sums of uses, each with the value of the label, the account and the time."""
    sums: dict[tuple[str, int | str], Use] = {}
    accounts: dict[tuple[str, int | str], set[str]] = {}
    for value, account, time, use in uses:
        sums[value, time] = total(sums.get((value, time), NOTHING), use)
        accounts.setdefault((value, time), set()).add(account)
    return [Group(*key, len(accounts[key]), sums[key]) for key in sorted(sums, key=lambda key: (key[0], str(key[1])))]


def grouped_lines(lines: Iterable[tuple[str, Line]]) -> list[GroupLine]:
    """Sums of the lines of a bill, each with the value of the label."""
    groups: dict[str, list[Line]] = {}
    for value, line in lines:
        groups.setdefault(value, []).append(line)
    return [_group_line(value, those) for value, those in sorted(groups.items())]


def _group_line(value: str, lines: list[Line]) -> GroupLine:
    columns = zip(*(line[2:] for line in lines), strict=True)
    return GroupLine(value, len({line.account for line in lines}), *map(_sum, columns))


def _sum(column: Iterable[Quantity]) -> Quantity:
    known = [each for each in column if each is not None]
    return sum(known[1:], known[0]) if known else None
