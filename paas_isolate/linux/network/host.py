"""The network's hands together: links, ruleset, gate, names; what the ruleset held if nobody has changed it."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from paas_isolate import __version__
from paas_isolate.changes.ruleset import TABLE
from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network import nfnetlink, nft, ruleset_cache
from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.linux.network.links import Links
from paas_isolate.linux.network.sockets import listening
from paas_isolate.model.network import Address, Gate, Network, Pools, PreparedRuleset, Rules

_NAMESPACE = "/proc/self/ns/net"


class HostNetwork:
    """`run` and `state` are directories: what was seen is kept in one, what was laid in the other. `ports` are those to
    be published, `customers` tells a customer's uid."""

    def __init__(
        self,
        pools: Pools,
        run: str,
        state: str,
        spots: AttachPoints,
        ports: frozenset[int],
        customers: Callable[[int], bool],
    ) -> None:
        self._ports, self._customers = ports, customers
        self._keeper = BpfGate(pools, spots)
        self._links = Links()
        self._hosts = HostsFile()
        self._pools = pools
        self._nft = nft.Nft(pools)
        self._seen = os.path.join(run, ruleset_cache.KEPT)
        self._laid = os.path.join(state, ruleset_cache.KEPT)

    def observe(self) -> Network:
        rules = self._recorded()
        there, rules = (True, rules) if rules else self._listed()
        unable = self._keeper.unable()
        taken = self.ports_in_use()
        gate = None if unable else self._keeper.observe()
        names = self._hosts.observe()
        return Network(self._links.observe(), rules, there, gate, self._keeper.there(), unable, names, taken)

    def has_ruleset(self) -> bool:
        with suppress(OSError):
            return nfnetlink.has_table(TABLE)
        return False

    def prepare(self, rules: Rules) -> PreparedRuleset:
        return PreparedRuleset(self._nft.render(rules), self.ports_in_use())

    def install_prepared(self, prepared: PreparedRuleset, rules: Callable[[], Rules | None]) -> None:
        before = nfnetlink.generation()
        self._nft.install_rendered(prepared.rendered)
        self._note(rules(), before, 1)

    def ports_in_use(self) -> frozenset[int]:
        return listening(self._ports, self._pools, self._customers) if self._ports else frozenset()

    def add(self, addresses: Iterable[Address]) -> list[str]:
        return self._links.add(addresses)

    def remove(self, addresses: Iterable[Address]) -> list[str]:
        return self._links.remove(addresses)

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None:
        """By element where the table is as it should be, else all of it anew. HostError with nft's own words."""
        before = nfnetlink.generation()
        if wanted is None:
            self._nft.remove()
            transactions = 1
        elif found is None:
            transactions = self._nft.install(wanted)
        else:
            transactions = self._nft.change(wanted, found)
        self._note(wanted, before, transactions)
        self._keep(wanted)

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None:
        """By element where it is whole, else all of it anew."""
        if wanted is None:
            self._keeper.remove()
        else:
            self._keeper.set(wanted, found)

    def set_names(self, lines: tuple[str, ...]) -> None:
        self._hosts.set(lines)

    def _listed(self) -> tuple[bool, Rules | None]:
        before = nfnetlink.generation()
        seen = self._nft.observe()
        rules = seen.rules if seen and seen.whole else None
        self._note(rules, before)
        return seen is not None, rules

    def _recorded(self) -> Rules | None:
        """Nothing has changed while the number of transactions is the one that was noted."""
        found = ruleset_cache.load(self._seen)
        return found[1] if found and found[0] == self._about(nfnetlink.generation()) else None

    def _note(self, rules: Rules | None, before: int, transactions: int = 0) -> None:
        """Nothing, where somebody else had a transaction since `before` too."""
        ours = nfnetlink.remember(before, transactions)
        if rules is None or not ours:
            ruleset_cache.forget(self._seen)
            return
        with suppress(OSError):  # whoever looks without being root keeps none
            ruleset_cache.save(self._seen, self._about(before + transactions), rules)

    def _keep(self, rules: Rules | None) -> None:
        """For the next boot."""
        if rules is None:
            ruleset_cache.forget(self._laid)
        else:
            ruleset_cache.save(self._laid, ruleset_cache.CacheKey(__version__, self._pools), rules, durable=True)

    def _about(self, generation: int) -> ruleset_cache.CacheKey:
        return ruleset_cache.CacheKey(__version__, self._pools, os.stat(_NAMESPACE).st_ino, generation)
