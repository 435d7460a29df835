"""What an ear says."""

from enum import Enum
from typing import NamedTuple


class EventKind(Enum):
    SPECS = "a specification"
    KNOB = "a knob"
    NETWORK = "the network"
    EMPTY = "an account that leaves has no process any more"
    PROCESS = "a process"
    SERVICE = "a service"
    MACHINE = "the machine"
    LOST = "events were lost"


class Event(NamedTuple):
    """`place` is a file of the specifications, or a path below the tree; `pid` is whose doing it was, 0 where that is
    not told: of a PROCESS, that any may have become another's. `who` tells of one who may have ended since."""

    kind: EventKind
    place: str = ""
    pid: int = 0
    who: str = ""
