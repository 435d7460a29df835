"""Which accounts a list of steps touches."""

from paas_isolate.model import tree
from paas_isolate.model.steps import Changes, DoorStep
from paas_isolate.model.steps.bandwidth import BandwidthStep
from paas_isolate.model.steps.cgroup import MoveProcess
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.steps.quota import SetQuota


def touched(changes: Changes) -> frozenset[str]:
    """The account directories in whose cgroups or runs these steps change anything. A move changes two."""
    elsewhere = DoorStep | NetworkStep | NamespaceStep | SetQuota | BandwidthStep
    cgroups = (step for step in changes if not isinstance(step, elsewhere))
    sources = (tree.directory_of(step.process.cgroup) for step in changes if isinstance(step, MoveProcess))
    return frozenset({*(step.owner for step in cgroups), *sources})
