"""The order of steps: decided by one function, with the reason beside each rank."""

from enum import IntEnum

from paas_isolate.model import tree
from paas_isolate.model.knobs import FREEZE, amount
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.bandwidth import AddRoot, RemoveClass, RemoveRoot, SetBandwidthRules, SetClass
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
from paas_isolate.model.steps.namespace import MakeView, RemoveView, SetAging
from paas_isolate.model.steps.network import AddPool, RemoveAddress, SetGate, SetNames, SetRules
from paas_isolate.model.steps.quota import SetQuota
from paas_isolate.model.steps.service import (
    ForgetRun,
    GiveUp,
    Kill,
    NotifyFailure,
    SaveResult,
    ScheduleJob,
    Start,
    Stop,
)


class Rank(IntEnum):
    STRUCTURE = 0  # a cgroup and its controllers before its children: their knobs exist only then
    THAW = 1  # before any step that waits for the processes in it
    TIGHTEN = 2  # lowered knobs first: the sum of two knobs (burst on top of max) is never too high
    WIDEN = 3  # raised knobs, and all others that can be written at once, before processes move in
    VIEW = 4  # and quotas: before logins; a view shows the account's own cgroup, so that must exist
    DOOR = 5  # opens after limits are set and cgroups thawed; closes before a freeze, in which a login would hang
    NETWORK = 6  # an address is removed before its rules, and added after them; a login needs none
    STOP = 7  # before moves and freezes, so that programs have time to end meanwhile
    MOVE = 8  # processes enter only cgroups that have their limits
    FREEZE = 9  # after the moves, so that moved processes are frozen with the others
    START = 10  # after the limits, addresses, views and leaves of the programs
    LOWER = 11  # late, because reclaim may take seconds for which other steps would wait
    REMOVE = 12  # last, after the processes have moved out


def rank(step: Step) -> tuple[int, int, int, str]:
    """Sort key: rank, then depth (parents first; children first for removal), then the path."""
    match step:
        case SetKnob():
            return _rank_of_knob(step), tree.depth(step.path), 0, step.path
        case CreateCgroup():
            return Rank.STRUCTURE, tree.depth(step.path), 0, step.path
        case EnableControllers():
            return Rank.STRUCTURE, tree.depth(step.path), 1, step.path
        case MakeView():
            return Rank.VIEW, 0, 0, step.directory
        case SetQuota():
            return Rank.VIEW, 0, step.row.uid, step.owner
        case SetAging():
            return Rank.VIEW, 1, 0, ""
        case RemoveView():  # after its door and its processes
            return Rank.REMOVE, 0, 0, step.directory
        case SetDoor() | RemoveDoor():
            return Rank.DOOR, 0, 0, step.name
        case CompleteDoors():
            return Rank.DOOR, 1, 0, ""
        case RemoveAddress():
            return Rank.NETWORK, 0, 0, step.address
        case SetRules() | SetGate() | SetNames():
            return Rank.NETWORK, 1, 0, ""
        case AddPool():
            return Rank.NETWORK, 2, 0, step.pool
        case AddRoot():
            return Rank.NETWORK, 3, 0, step.interface
        case SetClass():  # before the rules that send packets to it
            return Rank.NETWORK, 4, 0, str(step.key)
        case SetBandwidthRules():
            return Rank.NETWORK, 5, 0, ""
        case RemoveClass():
            return Rank.NETWORK, 6, 0, str(step.key)
        case RemoveRoot():
            return Rank.NETWORK, 6, 0, step.interface
        case MoveProcess():
            return Rank.MOVE, 0, step.process.pid, step.to
        case EndRevoked():
            return Rank.STOP, 0, step.uid, step.path
        case Stop() | Kill() | GiveUp() | SaveResult() | ForgetRun():
            return Rank.STOP, 0, 0, step.path
        case Start() | NotifyFailure() | ScheduleJob():
            return Rank.START, 0, 0, step.path
        case LowerMemory():
            return Rank.LOWER, -tree.depth(step.path), 0, step.path
        case RemoveCgroup():
            return Rank.REMOVE, -tree.depth(step.path), 0, step.path


def _rank_of_knob(step: SetKnob) -> Rank:
    if step.knob == FREEZE:
        return Rank.FREEZE if step.value == "1" else Rank.THAW
    return Rank.TIGHTEN if _tightens(step) else Rank.WIDEN


def _tightens(step: SetKnob) -> bool:
    """Whether a number goes down. cpu.max is left out: the kernel refuses a quota below the burst, so a burst is
    lowered before cpu.max (here), and raised after it (within a rank, steps keep the order of knobs.DEFAULTS)."""
    if step.was is None or step.knob not in _NUMBERS:
        return False
    return amount(step.value) < amount(step.was)


_NUMBERS = {
    "cpu.max.burst",
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.swap.max",
    "pids.max",
}
