"""Whether anything has changed since our own last work, in a few system calls: for changes that cause no event."""

import os
from collections.abc import Iterator

from paas_isolate.installation import Installation
from paas_isolate.linux.network.hosts import HOSTS
from paas_isolate.linux.network.links import NONLOCAL_BIND
from paas_isolate.model.network import PINS
from paas_isolate.source import decisions

PEOPLE = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf")
"""The files that say who has which uid. They are watched too, but a watch may be lost."""


def fingerprint(root: str, installation: Installation) -> tuple[object, ...]:
    """How many cgroups are below `root`; the sysctl of the network;
    when a door, a pin of the gate, a decision, a name or a user came or went; and the interfaces, where bandwidth is
    limited."""
    decided = os.path.join(installation.state, decisions.FILE)
    return (
        *map(_first_line, (f"{root}/users/cgroup.stat", NONLOCAL_BIND)),
        *_changed((installation.doors, PINS, HOSTS, decided, *PEOPLE)),
        *_bandwidth(installation.bandwidth_mark),
    )


def _bandwidth(mark: str) -> tuple[object, ...]:
    if not os.path.exists(mark):
        return ()
    from paas_isolate.linux.network.bandwidth import HostBandwidth  # a machine without bandwidth does not pay for it

    return HostBandwidth(mark).glance()


def _first_line(path: str) -> str:
    """cgroup.stat goes on with the number of those that are dying, which nobody made or removed."""
    try:
        with open(path, encoding="ascii") as file:
            return file.readline()
    except OSError:
        return ""


def _changed(paths: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            found = os.stat(path)
            yield found.st_ino, found.st_mtime_ns
        except OSError:
            yield 0, 0
