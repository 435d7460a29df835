"""The counters of a cgroup at one moment, from the text of the kernel's files (cgroup-v2.rst, psi.rst).

A file, a line or a number that is missing or torn gives None for its own fields only.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

Number = int | None


class Counters(NamedTuple):
    """What only grows while the cgroup exists. Times are in microseconds, `read` and `written` in bytes.

    `throttled` is the time that cpu.max made it wait, `frozen` the time in the freezer (cgroup.stat.local, Linux 6.18;
    without it see Levels).
    The fields `..._some` and `..._full` are pressure: the time that some or all of its tasks waited. `killed`, `slowed`
    and `refused` count what its own limits did, not those of cgroups below: memory.events.local oom_kill and high,
    pids.events.local max (see `killed`). `received` and `sent` are bytes of TCP's payload. Only accounts have them, and
    only where there is a gate (docs/guides/network.md, "Counting").
    """

    user: Number = None
    system: Number = None
    throttled: Number = None
    read: Number = None
    written: Number = None
    read_ops: Number = None
    write_ops: Number = None
    frozen: Number = None
    cpu_some: Number = None
    cpu_full: Number = None
    memory_some: Number = None
    memory_full: Number = None
    io_some: Number = None
    io_full: Number = None
    killed: Number = None
    slowed: Number = None
    refused: Number = None
    received: Number = None
    sent: Number = None


class Levels(NamedTuple):
    """What rises and falls. Bytes, and a number of processes and threads. `own` is anon + shmem of memory.stat: memory
    without the cache, which the kernel takes back when somebody needs it. `in_freezer` is 1 or 0, where
    the kernel does not count that time itself (cgroup.events)."""

    memory: Number = None
    swap: Number = None
    pids: Number = None
    peak: Number = None
    own: Number = None
    in_freezer: Number = None


class Reading(NamedTuple):
    """One reading of the cgroup `path`, relative to the accounts' directory: `alice` or `alice/web`. `inode` is its
    directory's: a cgroup of the same name that was made anew has another one."""

    path: str
    inode: int
    counters: Counters
    levels: Levels
    traffic_map: Number = None
    """The id of the gate's map that `received` and `sent` are of; None without them."""


FAST = ("cpu.stat", "memory.current", "memory.swap.current", "pids.current", "io.stat")
"""Files of every sample."""
SLOW = (
    "memory.peak",
    "memory.stat",
    "cpu.pressure",
    "memory.pressure",
    "io.pressure",
    "cgroup.stat.local",
    "memory.events.local",
    "pids.events.local",
)
"""Files that are read once a minute, those of leaves once in five, and before a cgroup is removed: what they count is
not lost in between."""
FROZEN_TIME, FROZEN_NOW = "cgroup.stat.local", "cgroup.events"
"""The second is read in the place of the first where the kernel does not have that one."""
_SLOW = frozenset({*SLOW, FROZEN_NOW})


def parse(texts: Mapping[str, bytes], device: str) -> tuple[Counters, Levels]:
    """The counters and levels in the text of files, by name. `device` is the `major:minor` whose IO counts, '' for
    none: the sum over all devices would count stacked ones (LVM, LUKS, md) twice."""
    get = texts.get
    user, system, throttled = cpu_of(get("cpu.stat", b""))
    io = io_of(get("io.stat"), device)
    memory, swap, pids = number(get("memory.current")), number(get("memory.swap.current")), number(get("pids.current"))
    if _SLOW.isdisjoint(texts):
        return Counters(user, system, throttled, *io), Levels(memory, swap, pids)
    events = keyed(get("memory.events.local"))
    stat = keyed(get("memory.stat"))
    anon, shmem = stat.get("anon"), stat.get("shmem")
    counters = Counters(
        user,
        system,
        throttled,
        *io,
        keyed(get(FROZEN_TIME)).get("frozen_usec"),
        *pressure(get("cpu.pressure")),
        *pressure(get("memory.pressure")),
        *pressure(get("io.pressure")),
        killed(events),
        events.get("high"),
        keyed(get("pids.events.local")).get("max"),
    )
    own = None if anon is None or shmem is None else anon + shmem
    in_freezer = keyed(get(FROZEN_NOW)).get("frozen")
    return counters, Levels(memory, swap, pids, number(get("memory.peak")), own, in_freezer)


def cpu_of(text: bytes) -> tuple[Number, Number, Number]:
    """CPU time in programs and in the kernel, and time throttled, of cpu.stat. All kernels begin it alike."""
    words = text.split(None, 6)
    if words[2:5:2] == [b"user_usec", b"system_usec"]:
        with suppress(ValueError, IndexError):
            _, there, rest = text.partition(b"\nthrottled_usec ")
            return int(words[3]), int(words[5]), int(rest.partition(b"\n")[0]) if there else None
    found = keyed(text)
    return found.get("user_usec"), found.get("system_usec"), found.get("throttled_usec")


def cpu_time(user: Number, system: Number) -> Number:
    """Microseconds of CPU time in programs and in the kernel together."""
    return None if user is None or system is None else user + system


def cores_of(cpu_max: str) -> float | None:
    """The cores of `QUOTA PERIOD` (cpu.max); None for `max PERIOD` and torn text."""
    quota, _, period = cpu_max.strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def number(text: bytes | str | None) -> Number:
    """A file with one number; `max` and torn text are None."""
    try:
        value = int(text or "")
    except ValueError:
        return None
    return value if value >= 0 else None


def keyed(text: bytes | None) -> dict[str, int]:
    """The lines `KEY VALUE` of a flat keyed file; lines of another form are left out."""
    if not text:
        return {}
    words = text.decode("ascii", "replace").split()
    try:
        return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    except ValueError:
        rows = (line.split() for line in text.decode("ascii", "replace").splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def killed(events: Mapping[str, int]) -> Number:
    """How many processes were killed for memory, from the keys of memory.events or memory.events.local; None without
    them.

    With memory.oom.group the kernel counts its victim twice: alone, and again with all processes of the group
    (mm/oom_kill.c, oom_kill_process; Linux 5.17 to 6.18). A victim that ended in between was counted once, and is
    missing here; who reads in between finds one too many.
    """
    kills, groups = events.get("oom_kill"), events.get("oom_group_kill", 0)
    return None if kills is None else max(kills - groups, min(kills, groups))


def killed_before(was: int, now: int) -> int:
    """`was`, or one less where it was read in the midst of a group kill (see `killed`), which `now` tells."""
    return now if now == was - 1 else was


_NO_IO = (None, None, None, None)


def io_of(text: bytes | None, device: str) -> tuple[Number, Number, Number, Number]:
    """Bytes and operations, read and written, of one device in io.stat.

    The kernel prints no line for a device that the cgroup has not used: zeros. A line that is empty or torn (`252:0 `)
    is None.
    """
    if text is None or not device:
        return _NO_IO
    words = text.split()
    name = device.encode()
    if name not in words:
        return 0, 0, 0, 0
    found: dict[bytes, int] = {}
    for word in words[words.index(name) + 1 :]:
        key, equals, value = word.partition(b"=")
        if not equals:
            break  # the next device
        if value.isdigit():
            found[key] = int(value)
    return found.get(b"rbytes"), found.get(b"wbytes"), found.get(b"rios"), found.get(b"wios")


def pressure(text: bytes | None) -> tuple[Number, Number]:
    """The totals of the lines `some` and `full` of a pressure file, in microseconds."""
    found: dict[bytes, int] = {}
    for line in (text or b"").splitlines():
        total = line.rpartition(b" total=")[2]
        if total.isdigit():
            found[line[:4]] = int(total)
    return found.get(b"some"), found.get(b"full")
