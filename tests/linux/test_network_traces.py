"""What is left of a network, and the look at its ports."""

from pathlib import Path

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.listeners import ListenerSource
from paas_isolate.linux.network import traces


def test_a_saved_ruleset_pins_and_our_link_are_traces(tmp_path: Path) -> None:
    run, state, nothing = str(tmp_path / "run"), str(tmp_path / "state"), str(tmp_path / "nothing")
    assert not traces.of_installation(run, state)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/ruleset").touch()
    assert traces.of_installation(run, state)
    assert not traces.of_machine(nothing, nothing)
    assert traces.of_machine(str(tmp_path), nothing)
    (tmp_path / "paas0").touch()
    assert traces.of_machine(nothing, str(tmp_path))


def test_a_port_that_comes_or_goes_is_reported_once() -> None:
    source, ports = ListenerSource(), frozenset({8300})
    source.watch(lambda: ports, frozenset())
    event = Event(EventKind.NETWORK, "a port that is to be published")
    assert [list(source.read()), list(source.read())] == [[event], []]
    ports = frozenset()
    assert list(source.read()) == [event]
    source.watch(None, frozenset({8300}))
    source.close()
