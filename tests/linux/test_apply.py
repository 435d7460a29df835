"""What a step raises becomes its outcome, and affects its own account alone."""

from collections.abc import Mapping
from typing import cast

import pytest

from paas_isolate import apply as apply_module
from paas_isolate.apply import apply
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.kernel import Kernel
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.quota import UNLIMITED, Quota, QuotaKey, QuotaPort, QuotaSpec
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.cgroup import CreateCgroup, SetKnob
from paas_isolate.model.steps.quota import SetQuota


class Tree:
    """Cgroups of which bob's raise what nobody expects, as often as they are touched."""

    def __init__(self) -> None:
        self.touched: list[str] = []

    def create(self, path: str, mode: int) -> None:
        self.write(path, "", "")

    def write(self, path: str, knob: str, text: str) -> None:
        self.touched.append(path)
        if path.startswith("users/bob"):
            raise ZeroDivisionError("\x1b[2J")


def carried_out(steps: Changes, tree: Tree) -> list[Outcome]:
    return list(apply(Kernel(cast("CgroupTree", tree)), steps))


def test_a_step_that_raises_has_failed_and_its_account_is_left_alone() -> None:
    names = ("alice", "bob", "carol")
    steps: Changes = (
        *(CreateCgroup(f"users/{name}") for name in names),
        *(SetKnob(f"users/{name}", "pids.max", "9") for name in names),
    )
    tree = Tree()
    ends = carried_out(steps, tree)
    created = [Status.DONE, Status.FAILED, Status.DONE]
    assert [end.status for end in ends] == [*created, Status.DONE, Status.SKIPPED, Status.DONE]
    assert ends[1].trouble is not None
    assert "test_apply.py" in ends[1].trouble.text
    assert "\x1b" not in ends[1].trouble.text + ends[1].reason
    assert tree.touched.count("users/bob") == 1


def test_so_it_is_when_the_work_is_shared_by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "WORTH_A_PROCESS", 10)
    steps: Changes = tuple(
        SetKnob(f"users/{name}", knob, "9")
        for name in ("alice", "bob", "zoe")
        for knob in ("pids.max", "memory.max") * 20
    )
    ends = carried_out(steps, Tree())
    assert {end.step.path for end in ends if end.status is Status.DONE} == {"users/alice", "users/zoe"}  # type: ignore[union-attr]
    troubles = [end for end in ends if end.trouble]
    assert len(troubles) == 1
    assert len(ends) == 120


class Quotas:
    def __init__(self) -> None:
        self.set_to: dict[int, Quota] = {}

    def set(self, wanted: Mapping[QuotaKey, QuotaSpec]) -> list[str]:
        for row, it in wanted.items():
            if row.uid == 1007:
                raise KeyError(row.uid)
            self.set_to[row.uid] = it.quota
        return ["is full" if row.uid == 1003 else "" for row in wanted]


def test_of_what_is_done_for_many_at_once_one_that_raises_costs_no_other() -> None:
    quotas = Quotas()
    steps = tuple(
        SetQuota(QuotaKey("ext4", uid), QuotaSpec(f"u{uid}", "/home", Quota(1, 0)), UNLIMITED)
        for uid in range(1000, 1020)
    )
    ends = list(apply(Kernel(cast("CgroupTree", Tree()), quotas=cast("QuotaPort", quotas)), steps))
    assert [end.step for end in ends] == list(steps)
    wrong = {end.step.row.uid: end for end in ends if end.status is not Status.DONE}  # type: ignore[union-attr]
    assert {uid: end.status for uid, end in wrong.items()} == {1003: Status.FAILED, 1007: Status.FAILED}
    assert wrong[1003].reason == "is full"
    assert wrong[1003].trouble is None
    assert wrong[1007].trouble is not None
    assert quotas.set_to.keys() == {*range(1000, 1020)} - {1007}
