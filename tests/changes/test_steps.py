"""Steps are told apart by what they hold."""

from itertools import combinations

from paas_isolate.changes.steps import CreateCgroup, EnableControllers, LowerMemory, MoveProcess, RemoveCgroup, SetKnob
from paas_isolate.model.world import Process

PATH = "users/alice"

STEPS = (
    CreateCgroup(PATH),
    EnableControllers(PATH, ("cpu",)),
    SetKnob(PATH, "memory.max", "1", "2"),
    LowerMemory(PATH, "1", "2", "max"),
    MoveProcess(Process(1, 1000, "/"), PATH),
    RemoveCgroup(PATH),
)


def test_no_two_kinds_are_equal() -> None:
    assert not [pair for pair in combinations(STEPS, 2) if pair[0] == pair[1]]
    assert len(set(STEPS)) == len(STEPS)
