"""A ruleset that is gone is installed again: as prepared, or else worked out anew."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paas_isolate.changes.network import desired_network, network_now
from paas_isolate.daemon import network
from paas_isolate.errors import HostError
from paas_isolate.linux.kernel import Kernel
from paas_isolate.model.account import Host, NetworkConfig
from paas_isolate.model.network import Network, Polled, PreparedRuleset, RangeEgress, Rules, UidRange
from paas_isolate.model.outcome import Status
from paas_isolate.model.steps.network import SetRules
from paas_isolate.model.world import DesiredWorld, ObservedWorld
from tests.support.fleets import fleet, service, sold

ALICE = sold(
    "alice",
    None,
    service("web", publish=8300),
    uid=1001,
    addresses=("10.77.0.2", "fd77::2"),
    egress=("deny smtp",),
)
FLEET = fleet(ALICE, host=Host(network=NetworkConfig()))
SUBORDINATES = {"alice": (UidRange(100_000, 165_535),)}
OBSERVED = Network(subordinates=SUBORDINATES)


def rules_at(observed: Network) -> Rules:
    rules = network_now(desired_network(FLEET), observed, FLEET)[0].rules
    assert rules is not None
    return rules


RULES = rules_at(OBSERVED)
READY = PreparedRuleset(b"spelled", RULES, Polled())


class FakeNetwork:
    """What was done, in `done`."""

    def __init__(self, *, taken: frozenset[int] = frozenset(), refuses: bool = False) -> None:
        self._taken, self._refuses = taken, refuses
        self.done: list[object] = []

    def polled(self) -> Polled:
        return Polled(self._taken)

    def rule_inputs(self) -> Network:
        return OBSERVED._replace(ports_in_use=self._taken)

    def observe(self) -> Network:
        """The machine with the ruleset that was installed last."""
        (_, installed, *_) = cast("tuple[str, Rules]", self.done[-1])
        return self.rule_inputs()._replace(rules=installed, has_ruleset=True)

    def prepare(self, rules: Rules) -> PreparedRuleset:
        self.done.append(("prepare", rules))
        return READY

    def install_prepared(self, prepared: PreparedRuleset) -> None:
        if self._refuses:
            raise HostError("nft: no")
        self.done.append(("install", prepared.rules))

    def add(self, addresses: Iterable[str]) -> list[str]:
        assert not list(addresses)
        return []

    remove = add

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None:
        self.done.append(("set", wanted, found))


def state(fake: FakeNetwork) -> Any:
    return SimpleNamespace(
        kernel=Kernel(cast("Any", None), network=cast("Any", fake)), intent=SimpleNamespace(fleet=FLEET)
    )


def test_a_prepared_ruleset_is_installed_at_once() -> None:
    fake = FakeNetwork()
    (outcome,) = network.reinstall_ruleset(state(fake), READY)
    assert fake.done == [("install", RULES)]
    assert str(outcome.step) == "make the ruleset of the network, for 2 addresses and uids"
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
    wanted = rules_at(fake.rule_inputs())
    assert fake.done == [("set", wanted, None)]
    assert outcome.status is Status.DONE
    assert wanted.subordinates == {UidRange(100_000, 165_535)}
    assert wanted.range_egress == {RangeEgress(100_000, 165_535, ("deny smtp",))}
    assert bool(wanted.published) is not bool(fake.polled().ports_in_use)


@pytest.mark.parametrize("ready", [None, READY])
def test_the_look_after_it_finds_no_rules_that_differ(ready: PreparedRuleset | None) -> None:
    fake = FakeNetwork()
    network.reinstall_ruleset(state(fake), ready)
    assert not [step for step in network.network_changes(state(fake)) if isinstance(step, SetRules)]


@pytest.mark.parametrize("found", [None, Rules()])
def test_only_a_correct_ruleset_is_prepared(found: Rules | None) -> None:
    fake = FakeNetwork()
    wanted = DesiredWorld(network=Network(rules=RULES))
    look: Any = SimpleNamespace(desired=wanted, observed=ObservedWorld(network=Network(rules=found)))
    assert network.prepared(state(fake), look) is None
    assert fake.done == []
    assert network.prepared(state(fake), look.__class__(desired=wanted, observed=wanted)) == READY
