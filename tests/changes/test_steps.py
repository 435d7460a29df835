"""Steps of different kinds are never equal, whatever their fields: reconcile keeps the steps that it tried in a set."""

import typing
from itertools import combinations
from typing import Any, cast

import pytest

from paas_isolate.model.steps import Step
from paas_isolate.model.steps.cgroup import CreateCgroup, EnableControllers, RemoveCgroup, SetKnob
from paas_isolate.model.steps.network import RemoveAddress
from paas_isolate.model.steps.service import GiveUp, Kill, ScheduleJob, Stop

PATH = "users/alice"
KINDS = typing.get_args(Step)
HELD = "x"


def test_no_two_kinds_are_equal() -> None:
    """Each with the same in all its fields, whatever that would mean."""
    steps = [kind(*[HELD] * len(kind._fields)) for kind in KINDS]
    assert not [pair for pair in combinations(steps, 2) if pair[0] == pair[1]]
    assert len(set(steps)) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_the_same_as_another_of_its_kind_that_holds_the_same(kind: type[Step]) -> None:
    first, second = (cast("Any", kind)(*[HELD] * len(kind._fields)) for _ in range(2))
    assert first == second
    assert not first != second  # noqa: SIM202
    assert kind.__name__ == "SetGate" or len({first, second}) == 1  # a gate has a hash of its own


def test_the_pairs_that_were_mistaken_for_each_other() -> None:
    steps = (
        *(Kill(PATH, "why", 10), Stop(PATH, "why", 10), GiveUp(PATH, "x"), ScheduleJob(PATH, "x")),
        *(RemoveCgroup(PATH), RemoveAddress(PATH), CreateCgroup(PATH), EnableControllers(PATH, ("cpu",))),
        *(SetKnob(PATH, "memory.max", "1", "2"), SetKnob(PATH, "memory.max", "1", "3")),
    )
    assert not [pair for pair in combinations(steps, 2) if pair[0] == pair[1]]
    assert len(set(steps)) == len(steps)
