"""What an ear says."""

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    SPECS = "a specification"
    KNOB = "a knob"
    NETWORK = "the network"
    PROCESS = "a process"
    LOST = "events were lost"


class Heard(NamedTuple):
    """`place` is a file of the specifications, or a path below the tree; `pid` is whose doing it was, 0 where that is
    not told."""

    kind: Kind
    place: str = ""
    pid: int = 0
