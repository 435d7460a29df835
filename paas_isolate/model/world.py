"""What a pass compares: the observed and the desired state of the machine. Both are in the kernel's normal form."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.bandwidth import Bandwidth
from paas_isolate.model.network import Network
from paas_isolate.model.quota import Quotas
from paas_isolate.model.run import NO_WISH, DesiredServices, Run
from paas_isolate.model.view import Views

Knobs = Mapping[str, str]
"""Knob name -> the text that the kernel prints, without the newline at its end."""


class Process(NamedTuple):
    """A process of a customer's uid. `cgroup` is a path of the tree, or absolute when it is outside.

    `start` is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it identifies the process for good.
    `program` and `command` are read only where a rule of the account needs them; `command` is None where the command
    line could not be read in time. `uid` is the real uid. `others` are its effective, saved and file system uids where
    they differ, as in another customer's set-uid program. `settled` is False where one of all these uids is not
    governed: such a process of root's is becoming a customer's, or root's again, and is never moved.
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
    """The age in seconds of a process that root's sshd has made for a login; below 0 for all others."""

    @property
    def confined(self) -> bool:
        return tree.inside(self.cgroup)


class ProcessParent(NamedTuple):
    """What an ancestor tells of a process: the pid of its own parent, its effective uid, and the name of its
    program."""

    parent: int
    uid: int
    name: str


Doors = Mapping[str, str]
"""Name of a door -> its target: a leaf, `closed/DIRECTORY`, `view/DIRECTORY`, or whatever else was found there."""

COMPLETE = ".complete"
"""A mark beside the doors: all doors are there, so a uid without one is not a customer's."""


class ObservedWorld(NamedTuple):
    """What is there now.

    `cgroups` are those of the tree, with their knobs. `processes` are those of customers' uids. `members` are the pids
    in each populated leaf, root's too: the privileged sshd of a connection is in its customer's leaf. `runs` are the
    last runs of services, by leaf. Of `network`, `views`, `quotas` and `bandwidth` the observed
    fields are set.
    """

    cgroups: Mapping[str, Knobs] = MappingProxyType({})
    processes: tuple[Process, ...] = ()
    members: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    doors: Doors = MappingProxyType({})
    network: Network = Network()
    runs: Mapping[str, Run] = MappingProxyType({})
    views: Views = Views()
    quotas: Quotas = Quotas()
    bandwidth: Bandwidth = Bandwidth()

    def populated(self) -> frozenset[str]:
        """The cgroups in which, or below which, a process lives."""
        alive: set[str] = set()
        for path in self.members:
            while path and path not in alive:
                alive.add(path)
                path = tree.parent(path)
        return frozenset(alive)


class DesiredWorld(NamedTuple):
    """What should be there.

    `moves` are processes that should be in another cgroup, with that one as their `cgroup`. `unmet` says which limits
    this machine cannot enforce, `late` which processes could not be inspected in time and stay where they are; both are
    texts by cgroup. `services` are the programs that should run. `revoked` are pairs of a cgroup and a uid that is
    another account's now: processes of that uid in that cgroup should end. Of `network`, `views`,
    `quotas` and `bandwidth` the desired fields are set.
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
    bandwidth: Bandwidth = Bandwidth()
    revoked: frozenset[tuple[str, int]] = frozenset()
