"""Which processes did it: from the pictures of an incident."""

from collections.abc import Iterable, Iterator, Sequence

from paas_isolate.metering.clock import Clock
from paas_isolate.metering.faults import KILLED, Incident, Kind, Picture, Process
from paas_isolate.metering.guilty import guilty
from paas_isolate.units import format_size

_LISTED = 3
"""Programs that are named."""
_INTERPRETERS = ("python", "perl", "ruby", "node", "php", "php-cgi", "sh", "bash", "dash")
_NAME = 15
"""Characters of what the kernel calls a program (comm in proc_pid_stat(5))."""
_LONGEST = 60
"""Characters of a program's name."""


def command_of(process: Process) -> str:
    """The program's name, without its directory and its arguments; of an interpreter, with that of its script."""
    first, *rest = process.command.split() or ("?",)
    name = _base(first.rstrip(":"))
    if name.rstrip("0123456789.") in _INTERPRETERS and rest and not rest[0].startswith("-"):
        name = f"{name} {_base(rest[0])}"
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def without_arguments(picture: Picture) -> Picture:
    """The picture with the names of programs alone."""
    return picture._replace(
        processes=tuple(each._replace(command=_program(each.command)) for each in picture.processes),
        before=tuple(each._replace(command=_program(each.command)) for each in picture.before),
    )


def _program(command: str) -> str:
    return _base((command.split() or [""])[0])[:_NAME]


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path


def _costs(incident: Incident, pictures: Sequence[Picture]) -> dict[str, float]:
    """What each program used: CPU seconds between the first and the last picture (of one picture: since it began), or
    bytes in the picture in which it held most, or the number of its processes."""
    own = [
        [
            process
            for process in picture.processes
            if process.account in ("", incident.directory)
            and (not incident.leaf or process.leaf in ("", incident.leaf))
        ]
        for picture in pictures
    ]
    if incident.kind is Kind.REFUSED:
        return _highest([_summed((process, 1.0) for process in processes) for processes in own])
    if incident.kind is Kind.THROTTLED:
        before = {process.pid: process.cpu or 0.0 for process in own[0]} if len(own) > 1 else {}
        last: dict[int, Process] = {process.pid: process for processes in own for process in processes}
        return _summed((each, (each.cpu or 0.0) - before.get(each.pid, 0.0)) for each in last.values())
    return _highest([_summed((process, float(process.memory or 0)) for process in processes) for processes in own])


def _summed(costs: Iterable[tuple[Process, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for process, cost in costs:
        name = command_of(process)
        found[name] = found.get(name, 0.0) + cost
    return found


def _highest(each: Iterable[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for costs in each:
        for name, cost in costs.items():
            found[name] = max(found.get(name, 0.0), cost)
    return found


def blame(incident: Incident, pictures: Sequence[Picture]) -> str:
    """Which program did it, or was killed, as a part of a sentence; '' where it is unknown."""
    process = guilty(incident, pictures)
    if process is None or incident.kind is Kind.DISK:
        return ""
    if incident.kind is Kind.WAITED:
        return f"{command_of(process)} waited for it" if process.state == "disk-sleep" else ""
    if incident.kind is Kind.KILLED and process.state == KILLED:
        return f"{command_of(process)} was killed"
    costs = _costs(incident, pictures)
    whole = sum(costs.values())
    if not whole:
        return ""
    name, most = max(costs.items(), key=lambda item: item[1])
    if incident.kind is Kind.REFUSED:
        return f"{most:.0f} of them were {name}"
    verb = "took" if incident.kind is Kind.THROTTLED else "held"
    return f"{name} {verb} {'most' if most * 2 >= whole else 'more than any other program'} of it"


def _killed(pictures: Sequence[Picture]) -> list[Process]:
    return [
        process for picture in pictures for process in (*picture.before, *picture.processes) if process.state == KILLED
    ]


def sentences(incident: Incident, pictures: Sequence[Picture], clock: Clock) -> Iterator[str]:
    """Who was killed, and which programs used most."""
    if not pictures:
        yield "Which processes did it is not known: there is no picture of that time."
        return
    if (killed := _killed(pictures)) and incident.kind is Kind.KILLED:
        listed = ", ".join(_named(process) for process in killed[:_LISTED])
        more = f" and {len(killed) - _LISTED} more" if len(killed) > _LISTED else ""
        yield f"Killed: {listed}{more}."
    costs = sorted(_costs(incident, pictures).items(), key=lambda item: -item[1])[:_LISTED]
    told = ", ".join(f"{name} {_cost(incident.kind, cost)}" for name, cost in costs if cost)
    if told:
        yield f"Its processes at {clock.at(pictures[0].wall)}: {told}."


def _named(process: Process) -> str:
    memory = f", {format_size(process.memory)}" if process.memory else ""
    return f"{command_of(process)} (pid {process.pid}{memory})"


def _cost(kind: Kind, cost: float) -> str:
    match kind:
        case Kind.THROTTLED:
            return f"{cost:.1f} s of CPU time"
        case Kind.REFUSED:
            return f"{cost:.0f}"
    return format_size(int(cost))
