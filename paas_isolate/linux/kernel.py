"""The ports to the kernel that one pass works with, opened once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from paas_isolate.changes.knob_compiler import DeviceOf
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.process.commands import CommandReader
from paas_isolate.linux.services.records import RunRecords
from paas_isolate.model import tree
from paas_isolate.model.bandwidth import BandwidthPort
from paas_isolate.model.network import NetworkPort
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.quota import QuotaPort
from paas_isolate.model.view import NamespacePort


def _no_device(path: str) -> str:
    raise LookupError(f"no port knows the device of {path}")


class Kernel(NamedTuple):
    """A port is None where the machine needs none of it: nothing is observed through it, and no step is carried out
    through it. The cgroups are always there.

    `weight_cgroup` is the cgroup whose cpu.weight sets all customers together against the rest of the machine.
    `records` is where the runs of services are recorded. `commands` reads command lines. `applied` is told what a pass
    has done, where that is kept.
    """

    cgroups: CgroupTree
    doors: DoorDirectory | None = None
    network: NetworkPort | None = None
    namespaces: NamespacePort | None = None
    quotas: QuotaPort | None = None
    bandwidth: BandwidthPort | None = None
    records: RunRecords | None = None
    commands: CommandReader | None = None
    device_of: DeviceOf = _no_device
    weight_cgroup: str = tree.ROOT
    applied: Callable[[Sequence[Outcome]], None] | None = None

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Tell `applied` what was done, if anything."""
        if outcomes and self.applied:
            self.applied(outcomes)
