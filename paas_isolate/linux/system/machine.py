"""Reading the machine once a run: cores, memory, swap, pids."""

import os
import re

from paas_isolate.model.machine import Machine
from paas_isolate.units import parse_cpu_set

ZONE = "/etc/localtime"


def zone() -> tuple[str, int, int]:
    """What tells one setting of the machine's own time from another (tzset(3)): a file that was replaced, too."""
    try:
        found = os.stat(ZONE)
    except OSError:
        return os.environ.get("TZ", ""), 0, 0
    return os.environ.get("TZ", ""), found.st_ino, found.st_mtime_ns


def machine() -> Machine:
    """What this machine has. Cores are those online, pids what kernel.pid_max and threads-max leave."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    with open("/sys/devices/system/cpu/online", encoding="ascii") as online:
        cpu_set = parse_cpu_set(online.read().strip())
    return Machine(
        cores=os.sysconf("SC_NPROCESSORS_ONLN"),
        cpu_set=cpu_set,
        memory=sizes["MemTotal"],
        swap=sizes["SwapTotal"],
        pid_max=min(_number("/proc/sys/kernel/pid_max"), _number("/proc/sys/kernel/threads-max")),
        page_size=os.sysconf("SC_PAGE_SIZE"),
    )


def kernel_version() -> tuple[int, int]:
    """The first two numbers of the running kernel's release (uname(2)): `6.1.0-25-amd64` is (6, 1). (0, 0) for a
    release that does not begin with two numbers, which is older than whatever is asked for."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
