"""Which accounts a list of steps touches."""

from paas_isolate.model import tree
from paas_isolate.model.steps import Changes, DoorStep
from paas_isolate.model.steps.cgroup import MoveProcess
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.steps.quota import SetQuota


def touched(changes: Changes) -> frozenset[str]:
    """The account directories in which steps change anything: a move does in two."""
    cgroups = (step for step in changes if not isinstance(step, DoorStep | NetworkStep | NamespaceStep | SetQuota))
    from_ = (tree.directory_of(step.process.cgroup) for step in changes if isinstance(step, MoveProcess))
    return frozenset({*(step.owner for step in cgroups), *from_})
