"""Which process of its pictures an incident is most likely due to. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from paas_isolate.metering.faults import ENDED, KILLED, RECENT, Incident, Kind, Level, Picture, Process


def guilty(incident: Incident, pictures: Sequence[Picture]) -> Process | None:
    """That of its last fault that a picture shows; None where no picture shows a process.

    Killed: the one that the kernel killed last. Slowed: the one with the most memory. Refused: the last of those whose
    program runs most often. Throttled: the one that used most CPU time lately. Waited: one that waits for a disk. One
    that was gone before the fault is none of it, nor is one of another leaf where the limit was the leaf's.
    """
    seen = [picture for each in reversed(pictures) if any(picture := _of_leaf(incident, each))]
    if incident.kind is Kind.KILLED:
        killed = (process for _, past in seen for process in reversed(past) if process.state == KILLED)
        if (last := next(killed, None)) is not None:
            return last
    return _of(incident, *seen[0]) if seen else None


def _of_leaf(incident: Incident, picture: Picture) -> tuple[list[Process], list[Process]]:
    """Who is there, and who is gone."""
    leaf = incident.leaf if incident.level is Level.LEAF else ""

    def of_leaf(processes: Iterable[Process]) -> list[Process]:
        return [process for process in processes if not leaf or process.leaf in ("", leaf)]

    return of_leaf(picture.processes), of_leaf(picture.before)


def _of(incident: Incident, there: Sequence[Process], past: Sequence[Process]) -> Process:
    kind = incident.kind
    lately = [each for each in past if each.state != ENDED and (each.state != KILLED or kind is Kind.SLOWED)]
    seen = [*there, *lately] or past
    match kind:
        case Kind.SLOWED if incident.limit.isdigit() and _memory(there) * 2 >= int(incident.limit):
            return max(there, key=lambda each: each.memory or 0)
        case Kind.REFUSED:
            often = Counter(each.command for each in seen)
            return max(seen, key=lambda each: (often[each.command], each.pid))
        case Kind.THROTTLED:
            return max(seen, key=burnt)
        case Kind.WAITED:
            return max(seen, key=lambda each: (each.state == "disk-sleep", each.cpu or 0.0))
        case _:
            return max(seen, key=lambda each: each.memory or 0)


def _memory(processes: Iterable[Process]) -> int:
    return sum(each.memory or 0 for each in processes)


def burnt(process: Process) -> float:
    """CPU seconds of the last RECENT; where that is unknown, as if it had always used as much."""
    if process.burnt is not None:
        return process.burnt
    age = max(process.age or 0.0, 0.1)
    return (process.cpu or 0.0) / age * min(age, RECENT)
