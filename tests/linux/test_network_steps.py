"""The order in which pools, rules and the addresses of version 0.1 come and go."""

from collections.abc import Iterable
from typing import Any, cast

from paas_isolate.linux.network.steps import apply_network_steps
from paas_isolate.model.network import Rules
from paas_isolate.model.outcome import Status
from paas_isolate.model.steps.network import AddPool, NetworkStep, RemoveAddress, SetRules

OLD, NEW, SINGLE = "10.78.0.0/16", "10.77.0.0/16", "10.77.0.9"


class FakeNetwork:
    """What was done, in `done`. `refused` are pools that cannot be made local."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused
        self.done: list[str] = []

    def add(self, networks: Iterable[str]) -> list[str]:
        wanted = list(networks)
        self.done += [f"add {network}" for network in wanted]
        return ["there is a route" if network in self._refused else "" for network in wanted]

    def remove(self, networks: Iterable[str]) -> list[str]:
        unwanted = list(networks)
        self.done += [f"remove {network}" for network in unwanted]
        return [""] * len(unwanted)

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None:
        self.done.append("rules")


def carried_out(fake: FakeNetwork, *steps: NetworkStep) -> list[Status]:
    return [outcome.status for outcome in apply_network_steps(cast("Any", fake), steps)]


def test_an_old_pool_goes_before_the_rules_and_single_addresses_after_their_pool_has_come() -> None:
    fake = FakeNetwork()
    carried_out(fake, RemoveAddress(SINGLE), RemoveAddress(OLD), SetRules(Rules(), None), AddPool(NEW))
    assert [words for words in fake.done if words] == [f"remove {OLD}", "rules", f"add {NEW}", f"remove {SINGLE}"]


def test_single_addresses_stay_where_their_pool_cannot_be_made_local() -> None:
    fake = FakeNetwork(NEW)
    assert carried_out(fake, RemoveAddress(SINGLE), AddPool(NEW)) == [Status.FAILED, Status.SKIPPED]
    assert fake.done == [f"add {NEW}"]


def test_without_a_network_all_goes_before_the_rules() -> None:
    fake = FakeNetwork()
    carried_out(fake, SetRules(None, Rules()), RemoveAddress(SINGLE), RemoveAddress(OLD))
    assert fake.done == [f"remove {SINGLE}", f"remove {OLD}", "rules"]
