"""Carrying out the steps of the tree of cgroups, and of the processes there."""

import os
from typing import assert_never

from paas_isolate.linux.cgroup.lowering import lower_memory
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam import refused_logins
from paas_isolate.linux.process import pidfd
from paas_isolate.linux.process.ending import end_of_uid
from paas_isolate.linux.system import systemd
from paas_isolate.model import tree
from paas_isolate.model.knobs import kernel_writes
from paas_isolate.model.steps import CgroupStep
from paas_isolate.model.steps.cgroup import (
    CreateCgroup,
    EnableControllers,
    EndRevoked,
    LowerMemory,
    MoveProcess,
    RemoveCgroup,
    SetKnob,
)


def apply_cgroup_step(cgroups: CgroupTree, step: CgroupStep) -> None:
    """Carry out one step.

    OSError where the kernel refuses; ProcessLookupError or ProcessChanged where a process is gone; StillInUse where
    memory cannot be reclaimed; HostError where systemd refuses a weight.
    """
    match step:
        case SetKnob(path, knob, value, was) if knob != "cpu.weight" or tree.inside(path):
            for text in kernel_writes(knob, value, was):
                cgroups.write(path, knob, text)
        case SetKnob(path, _, value):  # the weight of a slice is systemd's, which would write its own again
            systemd.set_cpu_weight(os.path.basename(path), value)
        case CreateCgroup(path, mode):
            cgroups.create(path, mode)
        case EnableControllers(path, controllers):
            cgroups.write(path, "cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))
        case LowerMemory():
            lower_memory(cgroups, step)
        case MoveProcess(process, tree.NOWHERE):
            refused_logins.end(process)
        case MoveProcess(process, to):
            pidfd.move(cgroups, process, to)
        case EndRevoked(path, uid):
            end_of_uid(cgroups, path, uid)
        case RemoveCgroup(path):
            cgroups.remove(path)
        case _:
            assert_never(step)
