"""What this machine has: cores, memory, swap, pids, its time zone and its kernel's version."""

import os
import re

from paas_isolate.model.machine import Machine
from paas_isolate.units import parse_cpu_set

ZONE = "/etc/localtime"


def zone() -> tuple[str, int, int]:
    """A fingerprint of the time zone's setting (tzset(3)): the variable TZ, and inode and time of the zone's file. It
    differs when the file was replaced."""
    try:
        status = os.stat(ZONE)
    except OSError:
        return os.environ.get("TZ", ""), 0, 0
    return os.environ.get("TZ", ""), status.st_ino, status.st_mtime_ns


def machine() -> Machine:
    """Cores online, memory and swap in bytes (proc_meminfo(5)), the most pids that kernel.pid_max and
    kernel.threads-max allow, and the size of a page in bytes."""
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
