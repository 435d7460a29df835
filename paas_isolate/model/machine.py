"""The resources of the machine."""

from typing import NamedTuple


class Machine(NamedTuple):
    """Read once in each run. `cores` counts the CPUs online, `cpu_set` lists them (`0-3`). Sizes are in bytes.
    `pid_max` is the smaller of kernel.pid_max and kernel.threads-max."""

    cores: int
    cpu_set: str
    memory: int
    swap: int
    pid_max: int
    page_size: int = 4096
