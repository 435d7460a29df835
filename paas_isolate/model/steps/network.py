"""Steps for the network. Their port carries out many at once."""

from typing import NamedTuple

from paas_isolate.model.network import Gate, Rules
from paas_isolate.model.steps.base import step
from paas_isolate.text import abbreviated


@step
class AddPool(NamedTuple):
    """Make all addresses of a pool local."""

    pool: str

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return f"make the pool {self.pool} local"


@step
class RemoveAddress(NamedTuple):
    """Make a pool, or an address that version 0.1 added for an account, local no longer."""

    address: str

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return f"remove the {'pool' if '/' in self.address else 'address'} {self.address}"


@step
class SetRules(NamedTuple):
    """Make, change or remove the ruleset. `was` is None where it must be made anew, for it cannot be changed by
    element."""

    rules: Rules | None
    was: Rules | None

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        if self.rules is None:
            return "remove the ruleset of the network"
        if self.was is None:
            return f"make the ruleset of the network, for {len(self.rules.owners)} addresses and uids"
        new, old = _pairs(self.rules.without(self.was)), _pairs(self.was.without(self.rules))
        parts = [f"{verb} {abbreviated(sorted(pairs))}" for verb, pairs in (("add", new), ("remove", old)) if pairs]
        return f"change the ruleset of the network: {', '.join(parts)}"


@step
class SetGate(NamedTuple):
    """Make, change or remove the gate. `was` is None where it must be made anew, for it cannot be changed by
    element."""

    gate: Gate | None
    was: Gate | None

    def __hash__(self) -> int:
        return hash((self.gate is None, self.was is None))  # `homes` is a dict, without a hash; a run has few of these

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        if self.gate is None:
            return "remove the gate"
        if self.was is None:
            return f"lay the gate, for {len(self.gate.homes)} uids"
        new, old = _facts(self.gate), _facts(self.was)
        parts = [
            f"{verb} {abbreviated(sorted(facts))}"
            for verb, facts in (("add", new - old), ("remove", old - new))
            if facts
        ]
        return f"change the gate: {', '.join(parts)}"


@step
class SetNames(NamedTuple):
    """Write our lines of hosts(5), or remove them."""

    names: tuple[str, ...]
    was: tuple[str, ...]

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        if not self.names:
            return "take the names of accounts out of /etc/hosts"
        new, old = set(self.names), set(self.was)
        pairs = ("add", new - old), ("remove", old - new)
        parts = [f"{verb} {abbreviated(sorted(lines))}" for verb, lines in pairs if lines]
        return f"change the names in /etc/hosts: {', '.join(parts) or 'put them in order'}"


def _facts(gate: Gate) -> set[str]:
    homes = {f"{uid} at {home.v4}{' with shared loopback' * home.shared}" for uid, home in gate.homes.items()}
    peers = {f"{uid} to {address}" for uid, address in gate.peers}
    subordinates = {
        f"{', '.join(map(str, each.ranges))} as {each.uid} in {directory}"
        for directory, each in gate.subordinates.items()
    }
    return homes | peers | subordinates | {f"{uid} to all" for uid in gate.frontends}


def _pairs(rules: Rules) -> set[str]:
    grants = {f"{uid} at {address}" for uid, address in rules.owners}
    peers = {f"{uid} to {address}" for uid, address in rules.peers}
    ports = {f"port {entry.port} to {entry.address} port {entry.to}" for entry in rules.published}
    egress = {f"{uid} {', '.join(sentences)}" for uid, sentences in rules.egress}
    subordinates = {f"subordinate uids {first}-{last}" for first, last in rules.subordinates}
    egress |= {f"{first}-{last} {', '.join(sentences)}" for first, last, sentences in rules.range_egress}
    return grants | peers | ports | egress | subordinates | {f"{uid} to all" for uid in rules.frontends}


NetworkStep = AddPool | RemoveAddress | SetRules | SetGate | SetNames
