"""The loop's actions and event sources never raise, whatever is raised inside them."""

from collections.abc import Iterator

import pytest

from paas_isolate.cli.reporter import TerminalReporter
from paas_isolate.daemon.contained import ContainedActions, ContainedSource
from paas_isolate.daemon.loop import DaemonActions
from paas_isolate.daemon.troubles import Troubles
from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.events.event import Event, EventKind


class Raising:
    """Every action of it raises."""

    def __getattr__(self, name: str) -> object:
        def action(*_: object) -> object:
            raise RecursionError(name)

        return action


def test_every_action_is_contained_and_everything_is_looked_at_instead() -> None:
    told: list[tuple[str, Trouble]] = []
    actions: DaemonActions = ContainedActions(Raising(), lambda what, found: told.append((what, found)))  # type: ignore[arg-type]
    heard = Event(EventKind.KNOB, "users/bob")
    assert actions.reconcile_all()
    assert actions.grace() == 60
    assert actions.until_services() == 60
    assert actions.until_strays() == 60
    assert (actions.quick_check(), actions.repair_knob(heard), actions.repair_network([heard])) == (False, False, False)
    assert (actions.move_strays([1]), actions.run_services([]), actions.keep_rcu_warm()) == (False, False, False)
    assert actions.apply_files(["x"]) == 0
    actions.note_writer(heard)
    assert len(told) == len([name for name in vars(DaemonActions) if not name.startswith("_")])
    assert all("RecursionError" in found.what for _, found in told)


class Deaf:
    def fileno(self) -> int:
        return 0

    def read(self) -> Iterator[Event]:
        yield Event(EventKind.KNOB)
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no letter")


def test_an_event_that_cannot_be_read_causes_a_whole_pass() -> None:
    told: list[str] = []
    assert [event.kind for event in ContainedSource(Deaf(), lambda what, _: told.append(what)).read()] == [
        EventKind.KNOB,
        EventKind.LOST,
    ]
    assert told == ["an event of Deaf"]


def test_the_same_trouble_is_reported_once_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
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
