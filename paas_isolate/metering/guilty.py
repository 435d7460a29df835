"""Which process of its pictures an incident is most likely due to. Pure."""

from collections import Counter
from collections.abc import Sequence

from paas_isolate.metering.faults import Incident, Kind, Picture, Process


def guilty(incident: Incident, pictures: Sequence[Picture]) -> Process | None:
    """None where no picture shows one.

    Killed: the one that the kernel killed. Slowed: the one with the most memory. Refused: the last of those whose
    program runs most often. Throttled: the one with the most CPU time for its age. Waited: one that waits for a disk.
    A process of another account or leaf is none of it where the limit was the leaf's.
    """
    for picture in pictures:
        seen = [
            process
            for process in (*picture.before, *picture.processes)
            if not incident.leaf or process.leaf in ("", incident.leaf)
        ]
        if seen:
            return _of(incident.kind, seen)
    return None


def _of(kind: Kind, seen: Sequence[Process]) -> Process:
    match kind:
        case Kind.KILLED:
            return max(seen, key=lambda each: (each.state == "killed", each.memory or 0))
        case Kind.REFUSED:
            often = Counter(each.command for each in seen)
            return max(seen, key=lambda each: (often[each.command], each.pid))
        case Kind.THROTTLED:
            return max(seen, key=lambda each: (each.cpu or 0.0) / max(each.age or 0.0, 0.1))
        case Kind.WAITED:
            return max(seen, key=lambda each: (each.state == "disk-sleep", each.cpu or 0.0))
        case _:
            return max(seen, key=lambda each: each.memory or 0)
