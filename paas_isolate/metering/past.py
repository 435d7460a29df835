"""What is known of the past of one account: the input of explanations and advice."""

from typing import NamedTuple

from paas_isolate.metering.reading import Number


class Change(NamedTuple):
    """A step that was carried out at `wall` (ms since 1970). `directory` is '' for all customers together, `leaf` is ''
    for the account itself. `kind` is the knob that was set (`memory.max`), with both its texts, or the name of the
    step (`Start`), with none."""

    wall: int
    directory: str
    leaf: str
    kind: str
    was: str | None
    value: str | None
    sentence: str


class Row(NamedTuple):
    """What a cgroup did in the minute or the ten seconds that end at `wall` (ms since 1970): growth in the units of
    Counters, then levels in those of Levels. None: unknown."""

    wall: int
    user: Number = None
    system: Number = None
    throttled: Number = None
    read: Number = None
    written: Number = None
    read_ops: Number = None
    write_ops: Number = None
    memory: Number = None
    swap: Number = None
    pids: Number = None

    @property
    def cpu(self) -> int:
        """Microseconds of CPU time."""
        return (self.user or 0) + (self.system or 0)
