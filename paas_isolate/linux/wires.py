"""The network's hands together: links, ruleset, gate, names; what the ruleset held if nobody has changed it."""

import marshal
import os
from collections.abc import Iterable
from contextlib import suppress

from paas_isolate import __version__
from paas_isolate.linux import nft
from paas_isolate.linux.gate.keeper import Keeper, Spots
from paas_isolate.linux.hosts import HostsFile
from paas_isolate.linux.links import Links
from paas_isolate.linux.listening import listening
from paas_isolate.model.network import Address, Gate, Network, Pools, Published, Restraint, Rules

RECORD = "ruleset"
"""In /run/paas-isolate: tens of thousands of elements take nft half a second to list. The kernel counts the
transactions of a network namespace; while their number is the one that is noted here, nothing has changed."""

_NAMESPACE = "/proc/self/ns/net"


class NetworkHands:
    """`run` is the directory of the record; `ports` are those to be published."""

    def __init__(self, pools: Pools, run: str, spots: Spots, ports: frozenset[int]) -> None:
        self._ports = ports
        self._keeper = Keeper(pools, spots)
        self._links = Links()
        self._hosts = HostsFile()
        self._pools = pools
        self._nft = nft.Nft(pools)
        self._record = os.path.join(run, RECORD)

    def look(self) -> Network:
        rules = self._recorded()
        there, rules = (True, rules) if rules else self._listed()
        unable = self._keeper.unable()
        taken = listening(self._ports, self._pools) if self._ports else frozenset()
        gate = None if unable else self._keeper.look()
        names = self._hosts.look()
        return Network(self._links.look(), rules, there, gate, self._keeper.there(), unable, names, taken)

    def add(self, addresses: Iterable[Address]) -> list[str]:
        return self._links.add(addresses)

    def remove(self, addresses: Iterable[Address]) -> list[str]:
        return self._links.remove(addresses)

    def set_rules(self, wanted: Rules | None, found: Rules | None) -> None:
        """By element where the table is as it should be, else all of it anew. HostError with nft's own words."""
        before = _generation()
        if wanted is None:
            self._nft.remove()
            transactions = 1
        elif found is None:
            transactions = self._nft.lay(wanted)
        else:
            transactions = self._nft.change(wanted, found)
        self._note(wanted, before + transactions)

    def set_gate(self, wanted: Gate | None, found: Gate | None) -> None:
        """By element where it is whole, else all of it anew."""
        if wanted is None:
            self._keeper.remove()
        else:
            self._keeper.set(wanted, found)

    def set_names(self, lines: tuple[str, ...]) -> None:
        self._hosts.set(lines)

    def _listed(self) -> tuple[bool, Rules | None]:
        before = _generation()
        seen = self._nft.look()
        rules = seen.rules if seen and seen.whole else None
        self._note(rules, before)
        return seen is not None, rules

    def _recorded(self) -> Rules | None:
        try:
            with open(self._record, "rb") as file:
                about, owners, peers, frontends, published, restrained = marshal.load(file)  # noqa: S302  (root's alone, in /run)
        except (OSError, ValueError, EOFError, TypeError):
            return None
        led = frozenset([Published(*it) for it in published])
        rules = Rules(owners, peers, frontends, led, frozenset([Restraint(*it) for it in restrained]))
        return rules if about == self._about(_generation()) else None

    def _note(self, rules: Rules | None, generation: int) -> None:
        """`generation` is what it must be if nobody else had a transaction meanwhile."""
        with suppress(OSError):  # whoever looks without being root keeps no record
            if rules is None or not generation or _generation() != generation:
                os.unlink(self._record)
                return
            owners, peers = (frozenset([(uid, at) for uid, at in grants]) for grants in (rules.owners, rules.peers))
            with open(f"{self._record}.new", "wb") as file:
                lists = [[tuple(it) for it in some] for some in (rules.published, rules.restrained)]
                marshal.dump((self._about(generation), owners, peers, rules.frontends, *lists), file)
            os.replace(f"{self._record}.new", self._record)

    def _about(self, generation: int) -> tuple[str, tuple[str, ...], int, int]:
        return __version__, tuple(self._pools), os.stat(_NAMESPACE).st_ino, generation


def _generation() -> int:
    """0 where the kernel has no nftables."""
    with suppress(OSError):
        return nft.generation()
    return 0
