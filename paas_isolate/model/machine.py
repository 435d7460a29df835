"""What the machine has, as far as it decides what may be sold on it."""

from typing import NamedTuple


class Machine(NamedTuple):
    """Read once a run. `cores` counts those online, `cpu_set` lists them (`0-3`); sizes are in bytes."""

    cores: int
    cpu_set: str
    memory: int
    swap: int
    pid_max: int
    page_size: int = 4096
