"""Where the cgroup2 hierarchy is mounted, and with what. See proc_pid_mountinfo(5)."""

from typing import NamedTuple

from paas_isolate.errors import HostError


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo."""

    point: str
    kind: str
    source: str
    device: str
    options: frozenset[str]


def mounts() -> tuple[Mount, ...]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return tuple(map(parse, lines))


def parse(line: str) -> Mount:
    own, _, file_system = line.rstrip("\n").partition(" - ")
    fields = own.split(" ")
    kind, source, options = file_system.split(" ", 2)
    return Mount(
        point=_unescape(fields[4]),
        kind=kind,
        source=_unescape(source),
        device=fields[2],
        options=frozenset(fields[5].split(",")) | frozenset(options.split(",")),
    )


def cgroup2() -> Mount:
    """The hierarchy that we work in. HostError when there is none."""
    for mount in mounts():
        if mount.kind == "cgroup2":
            return mount
    raise HostError(
        "no cgroup2 file system is mounted",
        hint="boot with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup",
    )


def _unescape(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
