"""Steps are told apart by what they hold."""

from itertools import combinations

from paas_isolate.changes.steps import Create, Enable, LowerMemory, Move, Remove, SetKnob
from paas_isolate.model.world import Process

PATH = "users/alice"

STEPS = (
    Create(PATH),
    Enable(PATH, ("cpu",)),
    SetKnob(PATH, "memory.max", "1", "2"),
    LowerMemory(PATH, "1", "2", "max"),
    Move(Process(1, 1000, "/"), PATH),
    Remove(PATH),
)


def test_no_two_kinds_are_equal() -> None:
    assert not [pair for pair in combinations(STEPS, 2) if pair[0] == pair[1]]
    assert len(set(STEPS)) == len(STEPS)
