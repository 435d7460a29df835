"""A ruleset that is gone is installed again: as prepared, or else worked out anew."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paas_isolate.daemon import network
from paas_isolate.errors import HostError
from paas_isolate.linux.kernel import Kernel
from paas_isolate.model.network import Grant, Network, PreparedRuleset, Rules
from paas_isolate.model.outcome import Status
from paas_isolate.model.world import DesiredWorld, ObservedWorld

RULES = Rules(owners=frozenset({Grant(1001, "10.77.0.2")}))
READY = PreparedRuleset(b"spelled", frozenset())


class FakeNetwork:
    """What was done, in `done`."""

    def __init__(self, *, taken: frozenset[int] = frozenset(), refuses: bool = False) -> None:
        self._taken, self._refuses = taken, refuses
        self.done: list[object] = []

    def ports_in_use(self) -> frozenset[int]:
        return self._taken

    def prepare(self, rules: Rules) -> PreparedRuleset:
        self.done.append(("prepare", rules))
        return READY

    def install_prepared(self, prepared: PreparedRuleset, rules: Callable[[], Rules | None]) -> None:
        if self._refuses:
            raise HostError("nft: no")
        self.done.append(("lay", prepared, rules()))

    def add(self, addresses: Iterable[str]) -> list[str]:
        assert not list(addresses)
        return []

    remove = add

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None:
        self.done.append(("set", wanted, found))


def state(fake: FakeNetwork) -> Any:
    return SimpleNamespace(
        kernel=Kernel(cast("Any", None), network=cast("Any", fake)), intent=SimpleNamespace(fleet=None)
    )


@pytest.fixture(autouse=True)
def bought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "desired_network", lambda _: Network(rules=RULES))


def test_a_prepared_ruleset_is_installed_at_once() -> None:
    fake = FakeNetwork()
    (outcome,) = network.reinstall_ruleset(state(fake), READY)
    assert fake.done == [("lay", READY, RULES)]
    assert str(outcome.step) == "make the ruleset of the network, for 1 addresses and uids"
    assert outcome.status is Status.DONE


@pytest.mark.parametrize(
    ("fake", "ready"),
    [
        pytest.param(FakeNetwork(), None, id="nothing is ready"),
        pytest.param(FakeNetwork(taken=frozenset({8300})), READY, id="the machine listens where it did not"),
        pytest.param(FakeNetwork(refuses=True), READY, id="nft refuses it"),
    ],
)
def test_otherwise_the_ruleset_is_worked_out_anew(fake: FakeNetwork, ready: PreparedRuleset | None) -> None:
    (outcome,) = network.reinstall_ruleset(state(fake), ready)
    assert fake.done == [("set", RULES, None)]
    assert outcome.status is Status.DONE


@pytest.mark.parametrize("found", [None, Rules()])
def test_only_a_correct_ruleset_is_prepared(found: Rules | None) -> None:
    fake = FakeNetwork()
    wanted = DesiredWorld(network=Network(rules=RULES))
    look: Any = SimpleNamespace(desired=wanted, observed=ObservedWorld(network=Network(rules=found)))
    assert network.prepared(state(fake), look) is None
    assert fake.done == []
    assert network.prepared(state(fake), look.__class__(desired=wanted, observed=wanted)) == READY
