"""The order of steps, decided in one function, with the reason beside each rank."""

from enum import IntEnum

from paas_isolate.model import tree
from paas_isolate.model.knobs import FREEZE, amount
from paas_isolate.model.steps import Step
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
from paas_isolate.model.steps.network import AddAddress, RemoveAddress, SetGate, SetNames, SetRules
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
    THAW = 1  # what is to run again runs before anything waits for it
    TIGHTEN = 2  # what is lowered, first: a sum of two knobs (burst on top of max) is never too high
    WIDEN = 3  # what is raised, and everything else that can be written, before anybody moves in
    VIEW = 4  # and quota: before anybody comes in; a view shows the account's own cgroup, which is there by now
    DOOR = 5  # opens on what has its limits and has been thawed; closes before a freeze, which would hold a login
    NETWORK = 6  # an address goes before its rules, and comes after them; no login needs one to come in
    STOP = 7  # who is asked to end has time meanwhile
    MOVE = 8  # processes enter only what already has its limits
    FREEZE = 9  # after the moves, so that what is swept in is frozen with the others
    START = 10  # a program finds its limits, its address, its view and its leaf as they are to be
    LOWER = 11  # may take seconds for reclaim, so nobody waits behind it
    REMOVE = 12  # last: its processes have moved out by now


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
        case RemoveView():  # the door to it is gone by now, and its processes
            return Rank.REMOVE, 0, 0, step.directory
        case SetDoor() | RemoveDoor():
            return Rank.DOOR, 0, 0, step.name
        case CompleteDoors():
            return Rank.DOOR, 1, 0, ""
        case RemoveAddress():
            return Rank.NETWORK, 0, 0, step.address
        case SetRules() | SetGate() | SetNames():
            return Rank.NETWORK, 1, 0, ""
        case AddAddress():
            return Rank.NETWORK, 2, 0, step.address
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
    """Whether a number goes down. cpu.max is not among them: the kernel refuses a quota below the burst, so
    a burst goes down before it, and up after it (of one rank, the order of the table holds)."""
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
