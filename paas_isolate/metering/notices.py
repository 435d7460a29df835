"""Which notices are due. Pure: what holds now, what was told, and the time are given.

A rule that begins to hold for an account is told at once, then once in each interval while it holds, and once more when
it is over. What begins again within the interval waits for its end.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from paas_isolate.metering.faults import Fault, Level
from paas_isolate.metering.reading import Number
from paas_isolate.model.notices import NoticeRule, Trigger

LOOK = 60_000
"""Milliseconds between two looks. A rule that must hold for some time begins anew where none looked for three times
as long."""


class Phase(StrEnum):
    BEGINS = "begins"
    LASTS = "lasts"
    OVER = "over"


class Told(NamedTuple):
    """What is remembered of a rule and an account; times are ms since 1970, 0 for never. It holds `since`; it was told
    last `at`; with `is_open` its end is to be told."""

    since: int = 0
    at: int = 0
    is_open: bool = False


class Due(NamedTuple):
    """A notice to be sent. `figure` is what was found (see `Found`), None where it is over; `after` is remembered once
    it is sent."""

    rule: NoticeRule
    account: str
    phase: Phase
    figure: Number
    since: int
    after: Told


Found = Mapping[str, int]
"""By account: faults in the rule's time, percent of the limit, or processes. Only accounts for which the rule holds at
this moment."""
Memory = Mapping[str, Mapping[str, Told]]
"""By the rule's key, by account."""


def due(
    rules: Iterable[NoticeRule], found: Mapping[str, Found], memory: Memory, now: int, looked: int
) -> tuple[list[Due], dict[str, dict[str, Told]]]:
    """The notices that are due, and what is to be remembered now; a notice that is sent replaces its entry with
    Due.after. `found` is by the rule's key: a rule that could not be looked at is missing there, and keeps what it has.
    `now` and the last look, `looked`, are ms since 1970."""
    notices: list[Due] = []
    after: dict[str, dict[str, Told]] = {}
    for rule in rules:
        before = memory.get(rule.key, {})
        holds = found.get(rule.key)
        if holds is None:
            after[rule.key] = dict(before)
            continue
        kept = after[rule.key] = {}
        unbroken = 0 <= now - looked <= 3 * LOOK
        for account in sorted(before.keys() | holds.keys()):
            figure = holds.get(account)
            told, notice = _step(rule, account, before.get(account, Told()), figure, now, unbroken=unbroken)
            if told != Told() and not _is_stale(rule, told, now):
                kept[account] = told
            if notice:
                notices.append(notice)
    return notices, after


def _step(
    rule: NoticeRule, account: str, told: Told, figure: Number, now: int, *, unbroken: bool
) -> tuple[Told, Due | None]:
    if figure is None:
        told = told._replace(since=0)
        over = told._replace(is_open=False)
        return told, Due(rule, account, Phase.OVER, None, told.at, over) if told.is_open else None
    if not 0 < told.since <= now or (not unbroken and not told.is_open):
        told = told._replace(since=now)
    waits = rule.trigger.number == 0 and now - told.since < rule.trigger.within
    recently = 0 <= now - told.at < rule.every and told.at > 0
    if waits or recently:
        return told, None
    phase = Phase.LASTS if told.is_open else Phase.BEGINS
    return told, Due(rule, account, phase, figure, told.since, told._replace(at=now, is_open=True))


def _is_stale(rule: NoticeRule, told: Told, now: int) -> bool:
    """Whether an entry says nothing any more."""
    return not told.since and not told.is_open and not 0 <= now - told.at < rule.every


def faults_of(trigger: Trigger, faults: Iterable[Fault], now: int) -> dict[str, int]:
    """The accounts, by directory, with enough faults for a trigger, with their number. Those of all customers together
    are nobody's."""
    numbers: dict[str, int] = {}
    for fault in faults:
        mine = fault.directory and fault.level in (Level.LEAF, Level.ACCOUNT)
        if mine and fault.kind == trigger.what and now - trigger.within < fault.wall <= now:
            numbers[fault.directory] = numbers.get(fault.directory, 0) + fault.number
    return {directory: number for directory, number in numbers.items() if number >= trigger.number}


def above(trigger: Trigger, shares: Mapping[str, float]) -> dict[str, int]:
    """The accounts that use more of a limit than the trigger says, with their percentage. `shares` are those of
    accounts that have the limit; 1 is all of it."""
    return {name: int(share * 100) for name, share in shares.items() if share * 100 > trigger.percent}


def sentences(notice: Due) -> Iterator[str]:
    """What has happened, for a log and for programs."""
    yield f"{notice.account}: {notice.rule.when}"
    if notice.phase is Phase.OVER:
        yield "it is over"
    elif notice.rule.trigger.percent:
        yield f"{notice.figure} % of the limit"
    elif notice.rule.trigger.number:
        yield f"{notice.figure} times"
    else:
        yield f"{notice.figure} processes"
