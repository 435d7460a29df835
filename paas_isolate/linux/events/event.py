"""What an event source reports."""

from enum import Enum
from typing import NamedTuple


class EventKind(Enum):
    """What may have changed; at LOST, anything."""

    SPECS = "a specification"
    KNOB = "a knob"
    NETWORK = "the network"
    EMPTY = "an account that leaves has no process any more"
    PROCESS = "a process"
    SERVICE = "a service"
    MACHINE = "the machine"
    LOST = "events were lost"


class Event(NamedTuple):
    """`place` is what changed: a specification's path, a cgroup's path in the tree, a run record's name, or words for
    the log. `pid` is the process that changed it, 0 when unknown; for PROCESS it is the process that changed, and 0
    means that any may have. `who` describes the process of `pid` in words, when that can have ended by now."""

    kind: EventKind
    place: str = ""
    pid: int = 0
    who: str = ""
