"""Which steps are kept in the ledger, and how."""

from contextlib import closing
from pathlib import Path

import pytest

from paas_isolate.installation import Installation
from paas_isolate.ledger.database import reading
from paas_isolate.ledger.steps import changes
from paas_isolate.metering.past import Change
from paas_isolate.model.knobs import FREEZE
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.cgroup import CreateCgroup, LowerMemory, MoveProcess, RemoveCgroup, SetKnob
from paas_isolate.model.steps.door import SetDoor
from paas_isolate.model.steps.service import Kill, Stop
from paas_isolate.model.world import Process
from paas_isolate.step_history import with_history, worth_keeping
from tests.support.ledger import Metered

LIMIT = SetKnob("users/alice", "cpu.max", "50000 100000", "100000 100000")
KEPT: list[Step] = [
    LIMIT,
    SetKnob("users", "memory.max", "max", "1024"),
    SetKnob("users/alice/web", FREEZE, "1", "0"),
    LowerMemory("users/alice", "1024", "2048", "max"),
    CreateCgroup("users/alice/worker"),
    RemoveCgroup("users/bob"),
    Stop("users/alice/web", "it was changed", 1000),
    Kill("users/alice/web", "it did not end"),
]
LEFT_OUT: list[Step] = [
    SetKnob("penalty", "memory.max", "max", "1024"),
    SetKnob("users/alice", "cpu.max", "max 100000"),
    CreateCgroup("users"),
    MoveProcess(Process(7, 1000, "/user.slice"), "users/alice/other"),
    SetDoor("1000", "users/alice/login"),
    Stop("users/alice/web", "its program has ended", 1000, tidy=True),
    Kill("users/alice/web", "it did not end", before=2),
]


def done(*steps: Step) -> list[Outcome]:
    return [Outcome(step, Status.DONE) for step in steps]


@pytest.mark.parametrize("step", KEPT, ids=str)
def test_kept(step: Step) -> None:
    assert worth_keeping(done(step)) == [step]
    assert worth_keeping([Outcome(step, Status.FAILED, "no")]) == []


@pytest.mark.parametrize("step", LEFT_OUT, ids=str)
def test_left_out(step: Step) -> None:
    assert worth_keeping(done(step)) == []


def test_a_new_account_is_one_step() -> None:
    new = CreateCgroup("users/carol")
    rest = CreateCgroup("users/carol/web"), SetKnob("users/carol", "pids.max", "9", "8")
    assert worth_keeping(done(CreateCgroup("users"), new, *rest)) == [new]


def test_they_are_read_back(tmp_path: Path) -> None:
    warned: list[str] = []
    installation = with_history(Installation(state=str(tmp_path)), warned.append)
    assert installation.applied is not None
    installation.applied(done(LIMIT, LEFT_OUT[0], RemoveCgroup("users/bob"), KEPT[1]))
    assert warned == []
    with reading(installation.ledger) as connection:
        first, ceiling = changes(connection, "alice", 0, 1 << 62)
        assert changes(connection, "alice", 0, first.wall - 1) == []
    assert first == Change(first.wall, "alice", "", "cpu.max", "100000 100000", "50000 100000", str(LIMIT))
    assert (ceiling.directory, ceiling.kind, ceiling.value) == ("", "memory.max", "max")


def test_nothing_to_keep_opens_no_ledger(tmp_path: Path) -> None:
    installation = with_history(Installation(state=str(tmp_path)), pytest.fail)
    assert installation.applied is not None
    installation.applied(done(*LEFT_OUT))
    assert not (tmp_path / "ledger").exists()


def test_a_ledger_that_cannot_be_written_is_told_only(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file where the directory should be")
    warned: list[str] = []
    installation = with_history(Installation(state=str(tmp_path)), warned.append)
    assert installation.applied is not None
    installation.applied(done(LIMIT))
    assert [text.partition(":")[0] for text in warned] == ["what was changed is not remembered"]


def test_they_go_with_the_hours(tmp_path: Path) -> None:
    installation = with_history(Installation(state=str(tmp_path)), pytest.fail)
    assert installation.applied is not None
    installation.applied(done(LIMIT))
    metered = Metered(tmp_path)
    with closing(metered.writer):
        later = metered.take(400 * 24 * 3600, step=10 * 365 * 24 * 3600)
        metered.writer.tidy(later)
    assert metered.rows("SELECT * FROM steps") == []
