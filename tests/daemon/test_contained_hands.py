"""The loop's hands and ears raise nothing, whatever is raised in them."""

from collections.abc import Iterator

import pytest

from paas_isolate.cli.reporter import TerminalReporter
from paas_isolate.daemon.contained import ContainedActions, ContainedSource
from paas_isolate.daemon.loop import DaemonActions
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.events.event import Event, EventKind


class Raising:
    """Every hand of it raises."""

    def __getattr__(self, name: str) -> object:
        def hand(*_: object) -> object:
            raise RecursionError(name)

        return hand


def test_every_hand_is_contained_and_everything_is_looked_at_instead() -> None:
    told: list[tuple[str, Trouble]] = []
    hands: DaemonActions = ContainedActions(Raising(), lambda what, found: told.append((what, found)))  # type: ignore[arg-type]
    heard = Event(EventKind.KNOB, "users/bob")
    assert hands.reconcile_all()
    assert hands.grace() == 60
    assert hands.until_services() == 60
    assert hands.until_strays() == 60
    assert (hands.quick_check(), hands.repair_knob(heard), hands.repair_network([heard])) == (False, False, False)
    assert (hands.move_strays([1]), hands.run_services([]), hands.keep_rcu_warm()) == (False, False, False)
    assert hands.apply_files(["x"]) == 0
    hands.note_writer(heard)
    assert len(told) == len([it for it in vars(DaemonActions) if not it.startswith("_")])
    assert all("RecursionError" in found.what for _, found in told)


class Deaf:
    def fileno(self) -> int:
        return 0

    def read(self) -> Iterator[Event]:
        yield Event(EventKind.KNOB)
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no letter")


def test_what_an_ear_cannot_understand_may_have_been_anything() -> None:
    told: list[str] = []
    assert [it.kind for it in ContainedSource(Deaf(), lambda what, _: told.append(what)).read()] == [
        EventKind.KNOB,
        EventKind.LOST,
    ]
    assert told == ["what Deaf heard"]


def test_the_same_is_told_once_an_hour_whoever_causes_it(capsys: pytest.CaptureFixture[str]) -> None:
    def raised(message: str) -> Trouble:
        try:
            raise ValueError(message)
        except ValueError as error:
            return trouble(error)

    troubles = Troubles(TerminalReporter())
    for name in ("bob", "carol", "bob"):
        troubles.tell(name, raised(f"pid {name}"))
    said = capsys.readouterr().err
    assert said.count("Traceback") == 1
    assert all(line.startswith(("bob:", "bob|")) for line in said.splitlines())
