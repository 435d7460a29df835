"""The steps: each is one difference as data. It has a sentence (str) and an `owner`, the account directory or ''.

A new step needs a class in the module of its port, its name here, a rank in changes/order.py, and code in its port.
"""

from paas_isolate.model.steps.bandwidth import BandwidthStep
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
Step = CgroupStep | DoorStep | NetworkStep | ServiceStep | NamespaceStep | SetQuota | BandwidthStep
Changes = tuple[Step, ...]
