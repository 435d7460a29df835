"""The network port: links, ruleset, gate and names of this network namespace."""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from paas_isolate.changes.connections import ended_connections, may_end_connections
from paas_isolate.changes.ruleset import TABLE, table_version
from paas_isolate.errors import HostError
from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network import inet_diag, nfnetlink, nft, ruleset_cache
from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.linux.network.links import WAS_OFF, Links
from paas_isolate.linux.network.sockets import listening
from paas_isolate.linux.system.subordinates import subordinate_uids
from paas_isolate.model.network import RULESET, Gate, Network, Polled, Pools, PreparedRuleset, Rules

_NAMESPACE = "/proc/self/ns/net"


class HostNetwork:
    """`run` and `state` are directories: the first keeps the ruleset with the number of its transaction, so that it is
    not listed again; the second keeps it for the next boot. `ports` are those to be published, `customers` tells a
    customer's uid."""

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
        self._gate = BpfGate(pools, spots)
        self._links = Links(os.path.join(run, WAS_OFF))
        self._hosts = HostsFile()
        self._pools = pools
        self._nft = nft.Nft(pools)
        self._cache = os.path.join(run, RULESET)
        self._boot_copy = os.path.join(state, RULESET)
        self._generation = 0
        """The transaction whose ruleset was observed or made last; 0 where that is not certain."""
        self._listed: Rules | None = None
        """The ruleset of that transaction, where it was listed and `remember` has not saved it yet."""

    def observe(self) -> Network:
        """What is there now. Reads only: `remember` saves what had to be listed."""
        has_ruleset, rules = self._ruleset()
        found = self.rule_inputs()
        accounts = self._gate.accounts() if found.subordinates and not found.gate_unsupported else None
        return found._replace(
            rules=rules,
            has_ruleset=has_ruleset,
            gate=None if found.gate_unsupported else self._gate.observe(accounts),
            has_gate=self._gate.there(),
            names=self._hosts.observe(),
            account_cgroups=frozenset(accounts.values()) if accounts else frozenset(),
            local=self._links.observe(),
        )

    def remember(self) -> None:
        """Save the ruleset that the last `observe` had to list, so that the next run need not: for the end of a pass
        that may write. Without permission or space nothing is saved."""
        rules, self._listed = self._listed, None
        if rules is None:
            return
        with suppress(OSError):
            ruleset_cache.save(self._cache, self._key(self._generation), rules)
            if ruleset_cache.load(self._boot_copy) is None:  # damaged, or of a version with another format
                self._save_boot_copy(rules)

    def has_ruleset(self) -> bool:
        with suppress(OSError):
            return nfnetlink.has_table(TABLE)
        return False

    def prepare(self, rules: Rules) -> PreparedRuleset:
        return PreparedRuleset(self._nft.render(rules), rules, self.polled())

    def install_prepared(self, prepared: PreparedRuleset) -> None:
        before = nfnetlink.generation()
        self._nft.install_rendered(prepared.rendered)
        self._applied(prepared.rules, before, 1)
        self._end_connections(prepared.rules, None)

    def polled(self) -> Polled:
        in_use = listening(self._ports, self._pools, self._customers) if self._ports else frozenset[int]()
        return Polled(in_use, self._gate.leaves())

    def rule_inputs(self) -> Network:
        in_use, leaves = self.polled()
        return Network(
            gate_unsupported=self._gate.unable(),
            ports_in_use=in_use,
            leaves=leaves,
            subordinates=subordinate_uids(),
        )

    def add(self, networks: Iterable[str]) -> list[str]:
        return self._links.add(networks)

    def remove(self, networks: Iterable[str]) -> list[str]:
        return self._links.remove(networks)

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None:
        """By element where `found` is what the table held when it was observed, else (None) the whole table anew.
        HostError with nft's own words."""
        before = nfnetlink.generation()
        certain = True
        if wanted is None:
            self._nft.remove()
            transactions = 1
        elif found is None or found.translates != wanted.translates:
            transactions = self._nft.install(wanted)
        else:
            certain = before == self._generation  # else somebody may have changed elements since `found`
            transactions = self._nft.change(wanted, found)
        self._applied(wanted, before, transactions, certain=certain)
        if wanted is None:
            ruleset_cache.forget(self._boot_copy)
        else:
            self._save_boot_copy(wanted)
            self._end_connections(wanted, found)

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None:
        """By element where `found` is a whole gate, else all of it anew. OSError, or HostError with the verifier's
        words."""
        if wanted is None:
            self._gate.remove()
        else:
            self._gate.set(wanted, found)

    def set_names(self, lines: tuple[str, ...]) -> None:
        self._hosts.set(lines)

    def _ruleset(self) -> tuple[bool, Rules | None]:
        """Whether our table is there, and what it holds where it is whole: from the cache while the number of
        transactions in this network namespace is the one that the cache was saved with."""
        generation = nfnetlink.generation()
        cached = ruleset_cache.load(self._cache)
        if cached and cached[0] == self._key(generation):
            self._generation, self._listed = generation, None
            return True, cached[1]
        listing = self._nft.observe()
        rules = listing.rules if listing and listing.whole else None
        certain = nfnetlink.generation() == generation
        self._generation, self._listed = (generation, rules) if generation and certain else (0, None)
        return listing is not None, rules

    def _applied(self, rules: Rules | None, before: int, transactions: int, *, certain: bool = True) -> None:
        """Save what the table holds now; not where somebody else had a transaction since `before` too."""
        ours = nfnetlink.remember(before, transactions)
        self._generation, self._listed = before + transactions if ours and certain else 0, None
        if rules is None or not self._generation:
            ruleset_cache.forget(self._cache)
            return
        with suppress(OSError):  # the next run lists it
            ruleset_cache.save(self._cache, self._key(self._generation), rules)

    def _end_connections(self, wanted: Rules, found: Rules | None) -> None:
        """Those that these rules do not allow any more. HostError where the kernel ends none."""
        if not may_end_connections(wanted, found):
            return
        try:
            ending = list(ended_connections(inet_diag.connections(), wanted, found, self._pools))
            refused = next(filter(None, inet_diag.end(ending)), 0)
        except OSError as error:
            refused = error.errno or errno.EIO
        if refused:
            raise HostError(
                f"the ruleset has changed, but running connections cannot be ended: {os.strerror(refused)}",
                hint="ss --kill ends connections where the kernel has CONFIG_INET_DIAG_DESTROY",
            )

    def _save_boot_copy(self, rules: Rules) -> None:
        ruleset_cache.save(self._boot_copy, ruleset_cache.CacheKey(table_version(), self._pools), rules, durable=True)

    def _key(self, generation: int) -> ruleset_cache.CacheKey:
        return ruleset_cache.CacheKey(table_version(), self._pools, os.stat(_NAMESPACE).st_ino, generation)
