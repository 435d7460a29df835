"""The steps: one difference each, as data that says itself in one sentence and knows whose it is.

A new step is one class in the module of its port, one name here, one rank in changes/order.py, and what its port does.
"""

from paas_isolate.model.steps.cgroup import (
    CreateCgroup,
    EnableControllers,
    EndRevoked,
    LowerMemory,
    MoveProcess,
    RemoveCgroup,
    SetKnob,
)
from paas_isolate.model.steps.door import CompleteDoors, RemoveDoor, SetDoor
from paas_isolate.model.steps.namespace import NamespaceStep
from paas_isolate.model.steps.network import NetworkStep
from paas_isolate.model.steps.quota import SetQuota
from paas_isolate.model.steps.service import ServiceStep

CgroupStep = CreateCgroup | EnableControllers | SetKnob | LowerMemory | MoveProcess | EndRevoked | RemoveCgroup
DoorStep = SetDoor | RemoveDoor | CompleteDoors
Step = CgroupStep | DoorStep | NetworkStep | ServiceStep | NamespaceStep | SetQuota
Changes = tuple[Step, ...]
