"""One incident with all that is known about its time, and the sentences about it."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from paas_isolate.metering import culprits
from paas_isolate.metering.clock import Clock
from paas_isolate.metering.faults import KNOBS, Incident, Kind, Level, Picture
from paas_isolate.metering.host import Pressure
from paas_isolate.metering.past import Change, Row, at_share
from paas_isolate.text import counted
from paas_isolate.units import format_size

SHORT = 0.1
"""The share of the time that programs of the machine waited for a resource, from which on it was short of it."""
_FEW = 20
"""Minutes: of fewer, only the highest value is told."""
_CHANGES = 5
RESOURCES = {
    Kind.KILLED: "memory",
    Kind.SLOWED: "memory",
    Kind.THROTTLED: "cpu",
    Kind.WAITED: "io",
}
"""What the kinds are about; the others are about nothing that the machine may be short of."""
_NAMES = {"cpu": "CPU time", "memory": "memory", "io": "the disk"}


class Neighbour(NamedTuple):
    """Another account that used the same resource: `amount` is percent of one core, bytes held on average, or bytes a
    second read and written."""

    account: str
    amount: float


class Case(NamedTuple):
    """An incident, and what is known about its time. `rows` are minutes of the cgroup whose limit was hit, as far as
    it is the account's; `machine` is the share of the time that programs waited for the resource (None: unknown);
    `changes` were made before its end, the oldest first. `by_customer`: no file of the machine is named."""

    incident: Incident
    rows: Sequence[Row] = ()
    pictures: Sequence[Picture] = ()
    machine: float | None = None
    neighbours: Sequence[Neighbour] = ()
    changes: Sequence[Change] = ()
    by_customer: bool = False

    def for_customer(self, directory: str) -> "Case":
        """Without what is about other accounts, or about the machine's configuration."""
        own = [
            picture._replace(
                processes=tuple(each for each in picture.processes if each.account == directory),
                before=tuple(each for each in picture.before if each.account == directory),
            )
            for picture in self.pictures
        ]
        mine = self.incident.directory == directory
        return self._replace(
            pictures=self.pictures if mine else [picture for picture in own if picture.processes or picture.before],
            neighbours=together(RESOURCES.get(self.incident.kind, ""), self.neighbours),
            changes=[change for change in self.changes if change.directory == directory],
            by_customer=True,
        )

    def without_arguments(self) -> "Case":
        return self._replace(pictures=[culprits.without_arguments(picture) for picture in self.pictures])

    def summary(self, clock: Clock) -> str:
        """What happened, when, which limit did it, and which process."""
        incident = self.incident
        what = f"{_what(incident, clock)}: {_reason(incident)}"
        blamed = culprits.blame(incident, self.pictures)
        return f"{what}; {blamed}." if blamed else f"{what}."

    def details(self, clock: Clock) -> Iterator[str]:
        """The sentences after the summary."""
        incident = self.incident
        yield _whose(incident, by_customer=self.by_customer)
        yield from culprits.sentences(incident, self.pictures, clock)
        yield from self._machine()
        yield from _enough(incident, self.rows)
        yield from _lowered(incident, self.changes, clock)
        yield from change_sentences(self.changes, clock)

    def _machine(self) -> Iterator[str]:
        resource = RESOURCES.get(self.incident.kind)
        if resource:
            yield machine_sentence(resource, self.machine)
            if self.incident.level in (Level.ALL, Level.MACHINE) or (self.machine or 0) >= SHORT:
                yield from neighbour_sentences(resource, self.neighbours)


def _what(incident: Incident, clock: Clock) -> str:
    when = clock.when(incident.begin, incident.end)
    where = f" in {incident.leaf}" if incident.leaf else ""
    match incident.kind:
        case Kind.KILLED:
            some = "1 process was" if incident.number == 1 else f"{incident.number} processes were"
            return f"{some} killed {when}{where}"
        case Kind.REFUSED:
            return f"New processes were refused {when}{where} ({counted(incident.number, 'time')})"
        case Kind.DISK:
            return f"The disk was full {when}"
    return f"Slow {when}{where}"


def _reason(incident: Incident) -> str:
    limit = limit_text(incident.kind, incident.limit)
    owner = _owner(incident)
    if incident.level is Level.ALL:
        limit = limit.replace("its ", "their ", 1)
    if incident.level is Level.MACHINE:
        return f"the machine itself had no {_NAMES[RESOURCES.get(incident.kind, 'memory')]} left"
    match incident.kind:
        case Kind.THROTTLED:
            return f"{owner} used all of {limit or 'its CPU time'}"
        case Kind.KILLED:
            return f"{owner} needed more memory than {limit or 'its limit'}"
        case Kind.SLOWED:
            return f"{owner} held more memory than {limit or 'memory.high'}, from where on the kernel slows it down"
        case Kind.REFUSED:
            return f"{owner} had all of {limit or 'its processes'}"
        case Kind.WAITED if limit:
            return f"{owner} used all of its disk limit ({limit})"
        case Kind.WAITED:
            return f"{owner} waited for the disk"
        case Kind.DISK:
            used = f"{format_size(incident.amount)} of " if incident.amount is not None else ""
            return f"it has {used}{limit or 'its quota'}"


def _owner(incident: Incident) -> str:
    match incident.level:
        case Level.LEAF if incident.leaf:
            return incident.leaf
        case Level.ALL:
            return "all customers together"
    return "it"


def _whose(incident: Incident, *, by_customer: bool) -> str:
    knob = KNOBS.get(incident.kind, "")
    named = f" ({knob})" if knob else ""
    match incident.level:
        case Level.LEAF:
            return f"The limit is that of the service {incident.leaf or 'that it ran in'}{named}."
        case Level.ACCOUNT:
            return f"The limit is that of the whole account{named}."
        case Level.ALL:
            where = "" if by_customer else ": `ceiling` in config.yaml"
            return f"The limit is that of all customers together{where}{named}."
    return "No limit of ours did it."


def limit_text(kind: Kind, text: str) -> str:
    """A limit in the units of the YAML; '' where it is unknown, or there is none."""
    first, *rest = text.split() or ("",)
    if kind is Kind.WAITED:
        pairs = (word.partition("=") for word in rest)
        return ", ".join(f"{name} {value}" for name, _, value in pairs if value not in ("", "max"))
    if not first.isdigit():
        return ""
    number = int(first)
    match kind:
        case Kind.THROTTLED:
            period = int(rest[0]) if rest and rest[0].isdigit() else 100_000
            return f"its {number * 100 / period:g} % CPU" if period else ""
        case Kind.REFUSED:
            return f"its {number} processes and threads"
        case Kind.DISK:
            return format_size(number)
    return f"its {format_size(number)}"


def machine_share(resource: str, pressures: Iterable[Pressure]) -> float | None:
    """The share of the time that programs of the machine waited for a resource; None where it is unknown."""
    known = [
        (share, each.milliseconds)
        for each in pressures
        if (share := {"cpu": each.cpu, "memory": each.memory, "io": each.io}[resource]) is not None
    ]
    whole = sum(milliseconds for _, milliseconds in known)
    return sum(share * milliseconds for share, milliseconds in known) / whole if whole else None


def machine_sentence(resource: str, share: float | None) -> str:
    name = _NAMES[resource]
    if share is None:
        return f"Whether the machine itself was short of {name} is not known."
    short = "was" if share >= SHORT else "was not"
    return f"The machine itself {short} short of {name}: some of its programs waited for {share:.0%} of the time."


OTHERS = "others"
"""What customers get instead of the names of other accounts."""


def together(resource: str, neighbours: Sequence[Neighbour]) -> tuple[Neighbour, ...]:
    """All of them as one, without their names."""
    return (Neighbour(OTHERS, sum(each.amount for each in neighbours)),) if resource and neighbours else ()


def neighbour_sentences(resource: str, neighbours: Sequence[Neighbour]) -> Iterator[str]:
    if [each.account for each in neighbours] == [OTHERS]:
        yield f"Other accounts used much of it: {_amount(resource, neighbours[0].amount)}."
    elif neighbours:
        listed = ", ".join(f"{each.account} {_amount(resource, each.amount)}" for each in neighbours)
        yield f"Of the other accounts these used most of it: {listed}."


def _amount(resource: str, amount: float) -> str:
    if resource == "cpu":
        return f"{amount:.0f} % CPU"
    return format_size(int(amount)) if resource == "memory" else f"{format_size(int(amount))}/s"


def _enough(incident: Incident, rows: Sequence[Row]) -> Iterator[str]:
    """Which limit would have been enough, as far as that is known."""
    if incident.level in (Level.ALL, Level.MACHINE):
        return
    limit = limit_text(incident.kind, incident.limit).removeprefix("its ")
    match incident.kind:
        case Kind.THROTTLED:
            yield from _enough_cpu(rows)
        case Kind.KILLED | Kind.SLOWED:
            held = max((row.memory or 0 for row in rows), default=0)
            known = f" It held {format_size(held)} at most in a sample." if held else ""
            more = f"more than {limit}" if limit else "more than it had"
            yield f"Enough would have been {more}; how much is not known, for what was refused is not counted.{known}"
        case Kind.REFUSED:
            more = f"more than {limit}" if limit else "more than it had"
            yield f"Enough would have been {more}; how many is not known, for who is refused tries again."
        case Kind.WAITED:
            most = max((row.io for row in rows), default=0.0)
            if most:
                yield f"It read and wrote {format_size(int(most))}/s at most, over a minute; more was held back."


def _enough_cpu(rows: Sequence[Row]) -> Iterator[str]:
    wanted = [row.wanted for row in rows]
    if not any(wanted):
        yield "Which limit would have been enough is not known: samples of that time are missing."
        return
    peak = ceil(max(wanted))
    basis = "what it used, and the time for which it had to wait, by minute"
    if len(wanted) < _FEW:
        yield f"Enough would have been {peak} % CPU ({basis})."
    else:
        most = ceil(at_share(wanted, 0.95))
        yield f"Enough would have been {most} % CPU in 95 of 100 minutes, and {peak} % in all of them ({basis})."


def _lowered(incident: Incident, changes: Sequence[Change], clock: Clock) -> Iterator[str]:
    """Whether the very limit was lowered before."""
    knob = KNOBS.get(incident.kind)
    leaf = incident.leaf if incident.level is Level.LEAF else ""
    directory = "" if incident.level is Level.ALL else incident.directory
    for change in reversed(changes):
        if (change.kind, change.leaf, change.directory) == (knob, leaf, directory):
            if _number(change.value) < _number(change.was):
                was = limit_text(incident.kind, change.was or "").removeprefix("its ") or change.was
                yield f"This limit was lowered at {clock.at(change.wall)}: it was {was} before."
            return


def _number(text: str | None) -> float:
    first = (text or "").partition(" ")[0]
    return float(first) if first.isdigit() else float("inf")


def change_sentences(changes: Sequence[Change], clock: Clock) -> Iterator[str]:
    """The last changes, the oldest first."""
    for change in changes[-_CHANGES:]:
        yield f"Changed at {clock.at(change.wall)}: {change.sentence}."
    if len(changes) > _CHANGES:
        yield f"{len(changes) - _CHANGES} earlier changes are not told here."
