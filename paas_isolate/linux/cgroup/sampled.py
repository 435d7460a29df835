"""When the last sample was taken, and by whom, in a file of /run: one look says whether another is due."""

import os
import time

_NAME = "sampled"
_DAEMON = "daemon"


def boottime() -> int:
    """CLOCK_BOOTTIME in milliseconds: nobody sets it, and it counts suspended time (clock_gettime(2))."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def boot() -> str:
    """The id of this boot (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def note(run: str, *, daemon: bool) -> None:
    """A sample was taken now. OSError where the file cannot be written."""
    text = f"{boottime()} {_DAEMON if daemon else 'run'}\n".encode()
    descriptor = os.open(os.path.join(run, _NAME), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    finally:
        os.close(descriptor)


def last(run: str) -> int | None:
    """When the last sample was taken, as `boottime` has it; None where none was in this boot, or nobody knows."""
    try:
        with open(os.path.join(run, _NAME), encoding="ascii") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def is_due(run: str, every: int) -> bool:
    """Whether a run of reconcile is to take a sample: no daemon has taken its last three, and no run has just done
    so. `every` is in milliseconds."""
    try:
        with open(os.path.join(run, _NAME), encoding="ascii") as file:
            at, who = file.read().split()
        age = boottime() - int(at)
    except (OSError, ValueError):
        return True
    return not 0 <= age < (3 * every if who == _DAEMON else every // 2)
