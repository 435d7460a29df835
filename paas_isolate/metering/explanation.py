"""Why an account was slow, or something of it was killed: from facts to plain sentences."""

from collections.abc import Sequence
from typing import NamedTuple

from paas_isolate.metering import evidence
from paas_isolate.metering.clock import Clock
from paas_isolate.metering.evidence import Case
from paas_isolate.metering.faults import Kind, Level
from paas_isolate.metering.past import Change

MOST = 10
"""Incidents that are told; the others are numbered."""
_GRAVEST = (Kind.KILLED, Kind.REFUSED, Kind.DISK, Kind.THROTTLED, Kind.WAITED, Kind.SLOWED)


class Wait(NamedTuple):
    """An hour in which an account waited for a resource (`cpu`, `memory` or `io`), though no limit of its own or of all
    customers held it. `share` is that of the measured time, 0 to 1. `case` has what the machine and others did."""

    resource: str
    begin: int
    end: int
    share: float
    machine: float | None
    neighbours: tuple[evidence.Neighbour, ...] = ()


class Facts(NamedTuple):
    """What is known of an account from `begin` to `end`, in ms since 1970. `measured` are milliseconds. `changes` are
    all that were made in that time. `at` is the moment that was asked about, if one was. `by_customer`: for them the
    commands of `me` are named."""

    account: str
    begin: int
    end: int
    measured: int
    cases: tuple[Case, ...] = ()
    waits: tuple[Wait, ...] = ()
    changes: tuple[Change, ...] = ()
    at: int | None = None
    by_customer: bool = False


def for_customer(facts: Facts, directory: str) -> Facts:
    """The facts without what is about other accounts, or about the machine's configuration."""
    return facts._replace(
        cases=tuple(case.for_customer(directory) for case in facts.cases),
        waits=tuple(
            wait._replace(neighbours=evidence.together(wait.resource, wait.neighbours)) for wait in facts.waits
        ),
        changes=tuple(change for change in facts.changes if change.directory == directory),
        by_customer=True,
    )


def without_arguments(facts: Facts) -> Facts:
    """The facts with the names of programs alone: what stands behind them may be secret."""
    return facts._replace(cases=tuple(case.without_arguments() for case in facts.cases))


class Finding(NamedTuple):
    """What was slow, killed or refused from `begin` to `end` (ms since 1970), and all about it, a sentence each. The
    first says what happened."""

    kind: str
    level: str
    leaf: str
    begin: int
    end: int
    number: int
    limit: str
    sentences: tuple[str, ...]


class Explanation(NamedTuple):
    """`summary` is one sentence; `notes` are about the whole time."""

    summary: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def explain(facts: Facts, clock: Clock) -> Explanation:
    """`clock` names the times."""
    chosen = _chosen(facts.cases)
    findings = [*(_of_case(case, clock) for case in chosen), *(_of_wait(wait, clock) for wait in facts.waits)]
    findings.sort(key=lambda finding: finding.begin)
    return Explanation(_summary(facts, chosen, clock), tuple(findings), tuple(_notes(facts, len(chosen), clock)))


def _chosen(cases: Sequence[Case]) -> list[Case]:
    """The gravest; of the same kind the last ones."""
    ranked = sorted(cases, key=lambda case: (_GRAVEST.index(case.incident.kind), -case.incident.end))
    return ranked[:MOST]


def _summary(facts: Facts, chosen: Sequence[Case], clock: Clock) -> str:
    if chosen:
        return _nearest(chosen, facts.at).summary(clock)
    if facts.waits:
        wait = max(facts.waits, key=lambda each: each.share)
        return f"{_waited(wait, clock)}, and no limit of its own held it."
    when = f"between {clock.both(facts.begin, facts.end)}"
    if not facts.measured:
        return f"Nothing is known: {facts.account} was not measured {when}."
    return f"Nothing was found: no limit was hit, and {facts.account} did not have to wait, {when}."


def _nearest(cases: Sequence[Case], at: int | None) -> Case:
    """The gravest; where a moment was asked about, the one that is nearest to it."""
    if at is None:
        return cases[0]
    return min(cases, key=lambda case: max(case.incident.begin - at, at - case.incident.end, 0))


def _of_case(case: Case, clock: Clock) -> Finding:
    kind, level, leaf = case.incident.kind, case.incident.level, case.incident.leaf
    sentences = case.summary(clock), *case.details(clock)
    return Finding(
        kind,
        level,
        leaf,
        case.incident.begin,
        case.incident.end,
        case.incident.number,
        case.incident.limit,
        sentences,
    )


def _waited(wait: Wait, clock: Clock) -> str:
    what = {"cpu": "a CPU", "memory": "memory", "io": "the disk"}[wait.resource]
    return f"It waited for {what} for {wait.share:.0%} of the time between {clock.both(wait.begin, wait.end)}"


def _of_wait(wait: Wait, clock: Clock) -> Finding:
    sentences = (
        f"{_waited(wait, clock)}, and no limit of its own held it.",
        evidence.machine_sentence(wait.resource, wait.machine),
        *evidence.neighbour_sentences(wait.resource, wait.neighbours),
    )
    return Finding(f"{wait.resource} pressure", Level.MACHINE, "", wait.begin, wait.end, 1, "", sentences)


def _notes(facts: Facts, told: int, clock: Clock) -> list[str]:
    notes = []
    whole = facts.end - facts.begin
    if 0 < facts.measured < whole * 0.98:
        notes.append(f"Only {facts.measured / whole:.0%} of the time was measured; of the rest nothing is known.")
    if not facts.measured and facts.cases:
        notes.append("Samples of that time are not kept any more: what was used is not known.")
    if len(facts.cases) > told:
        command = "paas-isolate me faults" if facts.by_customer else "paas-isolate faults"
        notes.append(f"{len(facts.cases) - told} more incidents are not told here: `{command}` lists them.")
    if not facts.cases and facts.changes:
        notes += evidence.change_sentences(facts.changes, clock)
    return notes
