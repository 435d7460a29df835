"""What is left of a network, and the look at its ports."""

from pathlib import Path

from paas_isolate.linux.events.event import Event, EventKind
from paas_isolate.linux.events.polled_network import PolledNetworkSource
from paas_isolate.linux.network import traces
from paas_isolate.model.network import Polled


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
    source, found = PolledNetworkSource(), Polled(frozenset({8300}))
    source.watch(lambda: found, Polled())
    event = Event(EventKind.NETWORK, "a port that is to be published")
    assert [list(source.read()), list(source.read())] == [[event], []]
    found = Polled(leaves=True)
    leaves = Event(EventKind.NETWORK, "a packet for another machine from an account's address")
    assert list(source.read()) == [event, leaves]
    source.watch(None, found)
    source.close()
