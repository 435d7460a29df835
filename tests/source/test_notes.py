"""Decisions that could not be written to the disk yet."""

from pathlib import Path

import pytest

from paas_isolate.source.decisions import Decisions
from paas_isolate.source.notes import HELD, RESTED, STOPPED, Notes, added


def test_notes_are_taken_up_and_removed(tmp_path: Path) -> None:
    notes = Notes(str(tmp_path / "run" / "decided"))
    assert notes.names() == ()
    notes.add(HELD, "alice")
    notes.add(HELD, "alice")
    notes.add(HELD, "bob/web")
    notes.add(STOPPED, "bob/worker")
    notes.add(RESTED, "bob/queue")
    decided = added(Decisions(frozen=frozenset({"carol"})), notes.names())
    assert decided.frozen == {"alice", "bob/web", "carol"}
    assert decided.stopped == {"bob/worker", "bob/queue"}
    assert decided.stopped_by_customer == {"bob/queue"}
    taken = notes.names()
    notes.add(HELD, "dave")
    notes.remove(taken)
    assert notes.names() == ("held.dave",), "what came meanwhile stays"
    notes.remove(taken)


def test_a_customer_cannot_take_back_what_root_has_stopped_at_the_same_time() -> None:
    for names in (("rested.alice.web", "stopped.alice.web"), ("stopped.alice.web", "rested.alice.web")):
        assert not added(Decisions(), names).may_start("alice/web")


@pytest.mark.parametrize("name", ["", "held", "held.", ".new", "strange.alice", "held:alice"])
def test_other_names_are_passed_over(name: str) -> None:
    assert added(Decisions(), [name]) == Decisions()


def test_where_nothing_can_be_written_the_caller_hears_of_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        Notes(str(tmp_path / "file" / "decided")).add(HELD, "alice")
    assert Notes(str(tmp_path / "file" / "decided")).names() == ()
