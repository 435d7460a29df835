"""The ruleset as a file: what it held at which transaction, and what it is laid from when the machine boots."""

import marshal
import os
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.linux.network.nft import Nft
from paas_isolate.model.network import EgressAssignment, Pools, Published, Rules
from paas_isolate.replace_file import Durability, replace_file

KEPT = "ruleset"
"""In /var/lib/paas-isolate, from one boot to the next; and in /run/paas-isolate, with the number of a transaction, for
tens of thousands of elements take nft half a second to list."""


class CacheKey(NamedTuple):
    """`namespace` is the inode of the network namespace, `generation` the number of its last transaction."""

    version: str
    pools: Pools
    namespace: int = 0
    generation: int = 0


def load(path: str) -> tuple[CacheKey, Rules] | None:
    """None where there is none that can be read."""
    try:
        with open(path, "rb") as file:
            about, owners, peers, frontends, published, restrained = marshal.load(file)  # noqa: S302  (root's alone)
            version, pools, namespace, generation = about
    except (OSError, ValueError, EOFError, TypeError):
        return None
    led, held = frozenset([Published(*it) for it in published]), frozenset([EgressAssignment(*it) for it in restrained])
    return CacheKey(version, Pools(*pools), namespace, generation), Rules(owners, peers, frontends, led, held)


def save(path: str, about: CacheKey, rules: Rules, *, durable: bool = False) -> None:
    """Whole or not at all, for root alone: it tells everybody's addresses. `durable`: after a power cut too."""
    *grants, published, restrained = rules.owners, rules.peers, rules.published, rules.egress
    owners, peers, led, held = (frozenset([tuple(it) for it in some]) for some in (*grants, published, restrained))
    version, pools, *numbers = about
    data = marshal.dumps(((version, tuple(pools), *numbers), owners, peers, rules.frontends, led, held))
    replace_file(path, data, Durability.CONTENT if durable else Durability.NONE)


def forget(path: str) -> None:
    with suppress(OSError):  # whoever looks without being root has none
        os.unlink(path)


def restore(path: str) -> Rules | None:
    """Lays the ruleset that was kept, where there is none. HostError with nft's own words."""
    kept = load(path)
    if kept is None:
        return None
    about, rules = kept
    table = Nft(about.pools)
    if table.observe() is not None:
        return None
    table.install(rules)
    return rules
