"""The two worlds that a pass compares: what is observed and what is desired. Both are in the kernel's normal form."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.network import Network
from paas_isolate.model.quota import Quotas
from paas_isolate.model.run import NO_WISH, DesiredServices, Run
from paas_isolate.model.view import Views

Knobs = Mapping[str, str]
"""Knob name -> the text that the kernel prints, without its last newline."""


class Process(NamedTuple):
    """A process of a uid of the range. `cgroup` is a path of the tree, or absolute when it is outside.

    `start` is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names a process for good.
    `program` and `command` are read only where they count, the latter where a rule of the account has it; None is one
    that could not be read in time. `uid`
    is the real one, and `others` are what it has beside it as effective, saved or file system uid: a set-uid program of
    another customer's. It is not `settled` where one of them all is nobody's whom we govern: that is root's, on its way
    to be a customer or back, and never moved.
    """

    pid: int
    uid: int
    cgroup: str
    start: int = 0
    program: str = ""
    command: str | None = ""
    settled: bool = True
    others: tuple[int, ...] = ()
    login: float = -1.0
    """For how many seconds it has been there, where an sshd of root has made it for a login; below 0 for others."""

    @property
    def confined(self) -> bool:
        return tree.inside(self.cgroup)


class ProcessParent(NamedTuple):
    """What a process is to its children: its own parent, its effective uid, and what people call it."""

    parent: int
    uid: int
    name: str


Doors = Mapping[str, str]
"""Name of a door -> the leaf that it leads to, `closed/DIRECTORY`, or whatever else was found there."""

COMPLETE = ".complete"
"""Among the doors: all are there, so who has none is no customer."""


class ObservedWorld(NamedTuple):
    """What is there now.

    `cgroups` are those of the tree, with their knobs. `processes` are those of customers' uids; how closely each was
    looked at, Process says. `members` are the pids in each populated leaf, root's too (sshd's monitor sits in its
    customer's leaf). `runs` are the last runs of services, by leaf.
    """

    cgroups: Mapping[str, Knobs] = MappingProxyType({})
    processes: tuple[Process, ...] = ()
    members: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    doors: Doors = MappingProxyType({})
    network: Network = Network()
    runs: Mapping[str, Run] = MappingProxyType({})
    views: Views = Views()
    quotas: Quotas = Quotas()

    def populated(self) -> frozenset[str]:
        """The cgroups in which, or below which, a process lives."""
        alive: set[str] = set()
        for path in self.members:
            while path and path not in alive:
                alive.add(path)
                path = tree.parent(path)
        return frozenset(alive)


class DesiredWorld(NamedTuple):
    """What should be.

    `moves` are processes that should be elsewhere, with the cgroup where they should be. `unmet` says which limits no
    knob of this machine can keep, and `late` what could not be looked at in time and stays as it is; both are texts by
    cgroup. `services` are the programs that should run. `revoked` are cgroups with a uid that is another account's now:
    what runs there under that uid should end.
    """

    cgroups: Mapping[str, Knobs] = MappingProxyType({})
    moves: tuple[Process, ...] = ()
    unmet: Mapping[str, str] = MappingProxyType({})
    late: Mapping[str, str] = MappingProxyType({})
    doors: Doors = MappingProxyType({})
    network: Network = Network()
    services: DesiredServices = NO_WISH
    views: Views = Views()
    quotas: Quotas = Quotas()
    revoked: frozenset[tuple[str, int]] = frozenset()
