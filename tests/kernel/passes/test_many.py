"""A pass over many accounts is shared among processes: its outcome is that of one process."""

from pathlib import Path

import pytest

from paas_isolate.apply import apply
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.process import fork
from paas_isolate.model.account import Account, Fleet, Host, Service
from paas_isolate.model.limits import NO_LIMITS
from paas_isolate.model.outcome import Status
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.cgroup import CreateCgroup, EnableControllers, SetKnob
from paas_isolate.model.steps.door import SetDoor
from paas_isolate.observe import observe

pytestmark = pytest.mark.kernel

# "a" before "a-b", but "a-b" before "a/login": what is sorted by path is not sorted by account.
NAMES = ["a", "a-b", "a0", *(f"b{number:02}" for number in range(20)), "z_z"]


def sold(name: str) -> Account:
    return Account(name, name, {}, name, "/", None, NO_LIMITS, (Service("web"),))


def made(cgroups: CgroupTree) -> Fleet:
    cgroups.create("users")
    for name in NAMES:
        for path in (f"users/{name}", *(f"users/{name}/{leaf}" for leaf in ("web", "login", "other"))):
            cgroups.create(path)
    return Fleet(Host(), {name: sold(name) for name in NAMES})


def shared_by(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "worker_count", lambda items, *, least: count)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_what_is_seen_is_the_same(cgroups: CgroupTree, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    fleet = made(cgroups)
    cgroups.remove("users/b07/web")
    cgroups.write("users/z_z/web", "cgroup.freeze", "1")
    cgroups.create("users/stranger")
    shared_by(1, monkeypatch)
    alone = observe(Kernel(cgroups), fleet)
    assert len(alone.cgroups) == 2 + len(NAMES) * 4  # with the tree itself, users/ and the stranger, less one
    shared_by(count, monkeypatch)
    assert observe(Kernel(cgroups), fleet) == alone


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_what_is_done_is_the_same(
    cgroups: CgroupTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    made(cgroups)
    cgroups.remove("users/b07/web")
    leaves = [f"users/{name}/web" for name in NAMES]
    steps: list[Step] = [
        CreateCgroup("users/new"),
        EnableControllers("users/b03", ("nonsense",)),
        CreateCgroup("users/b03/late"),
    ]
    steps += [SetKnob(path, "cgroup.freeze", "1") for path in leaves]
    steps += [SetKnob(path, "cgroup.freeze", "0") for path in leaves if path != "users/z_z/web"]  # in order: thawed
    laid: list[Step] = [SetDoor(str(uid), f"users/{name}/login") for uid, name in enumerate(NAMES)]
    steps += laid
    doors = DoorDirectory(str(tmp_path / "doors"), cgroups.root)
    shared_by(count, monkeypatch)

    ended = {outcome.step: (outcome.status, outcome.reason) for outcome in apply(Kernel(cgroups, doors), tuple(steps))}

    assert doors.observe() == {str(uid): f"users/{name}/login" for uid, name in enumerate(NAMES) if name != "b03"}
    assert ended.pop(laid[NAMES.index("b03")])[0] is Status.SKIPPED
    steps.remove(laid[NAMES.index("b03")])
    assert list(ended).count(steps[0]) == 1
    assert set(ended) == set(steps)
    others = {step: end for step, end in ended.items() if end != (Status.DONE, "")}
    assert {step.path for step in others if isinstance(step, SetKnob)} == {"users/b07/web", "users/b03/web"}
    assert {end[0] for step, end in others.items() if getattr(step, "path", "") == "users/b07/web"} == {Status.FAILED}
    skipped = {end for step, end in others.items() if getattr(step, "path", "") == "users/b03/web"}
    assert skipped == {(Status.SKIPPED, "could not enable nonsense below users/b03")}
    there = {path: cgroups.read(path, "cgroup.freeze") for path in leaves}
    assert there == {path: None if "b07" in path else "1" if "z_z" in path else "0" for path in leaves}


def test_a_second_look_reads_what_was_touched(cgroups: CgroupTree, reads: list[str]) -> None:
    fleet = made(cgroups)
    first = observe(Kernel(cgroups), fleet)
    reads.clear()
    cgroups.write("users/a/web", "cgroup.freeze", "1")
    cgroups.remove("users/a-b/other")
    cgroups.create("users/stranger")
    cgroups.create("users/b03/web/below")

    again = observe(Kernel(cgroups), fleet, since=(first, {"a", "a-b"}))

    looked_at = set(reads)
    assert again == observe(Kernel(cgroups), fleet)
    assert looked_at == {
        *("", "users", "penalty", "users/stranger", "users/b03/web/below"),
        *(f"users/{name}{leaf}" for name in ("a", "a-b") for leaf in ("", "/web", "/login", "/other")),
    }


def test_cgroups_that_somebody_made_are_seen_wherever_they_are(cgroups: CgroupTree) -> None:
    fleet = made(cgroups)
    strange = {"users/gone", "users/gone/web", "users/gone/web/deep", "users/a/web/mine", "users/z_z/odd"}
    for path in sorted(strange):
        cgroups.create(path)
    known = set(observe(Kernel(cgroups), fleet).cgroups)
    assert strange < known
    assert len(known) == cgroups.descendants("users") + 2


def test_what_vanished_meanwhile_is_not_taken_over(cgroups: CgroupTree) -> None:
    fleet = made(cgroups)
    first = observe(Kernel(cgroups), fleet)
    cgroups.remove("users/b10/web")
    assert observe(Kernel(cgroups), fleet, since=(first, {"a"})) == observe(Kernel(cgroups), fleet)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cgroups that are looked at from now on."""
    told: list[str] = []
    look = CgroupTree.look

    def telling(tree: CgroupTree, path: str, names: tuple[str, ...]) -> object:
        told.append(path)
        return look(tree, path, names)

    monkeypatch.setattr(CgroupTree, "look", telling)
    return told
