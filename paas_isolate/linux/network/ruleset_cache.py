"""The ruleset as a file: what the table held at which transaction, and what a boot installs."""

import os
from contextlib import suppress
from typing import Any, NamedTuple

from paas_isolate.linux.network.nft import Nft
from paas_isolate.linux.system import checked
from paas_isolate.model.network import EgressAssignment, Pools, Published, RangeEgress, Rules, UidRange
from paas_isolate.replace_file import Durability, replace_file

_FORMAT = "ruleset 3"


class CacheKey(NamedTuple):
    """`version` is that of the table without its elements, `namespace` the inode of the network namespace, `generation`
    the number of its last transaction; both are 0 in the file for the next boot."""

    version: str
    pools: Pools
    namespace: int = 0
    generation: int = 0


def load(path: str) -> tuple[CacheKey, Rules] | None:
    """None where there is no file, or one that is damaged or of another format."""
    try:
        with open(path, "rb") as file:
            key, owners, peers, frontends, published, egress, subordinates, range_egress, translates = checked.loads(
                _FORMAT, file.read()
            )
        version, pools, namespace, generation = key
        rules = Rules(
            owners,
            peers,
            frontends,
            frozenset([Published(*row) for row in published]),
            frozenset([EgressAssignment(*row) for row in egress]),
            frozenset([UidRange(*row) for row in subordinates]),
            frozenset([RangeEgress(*row) for row in range_egress]),
            translates,
        )
        return CacheKey(version, Pools(*pools), namespace, generation), rules
    except (OSError, ValueError, TypeError):
        return None


def save(path: str, key: CacheKey, rules: Rules, *, durable: bool = False) -> None:
    """Replace the file whole or not at all, readable for root alone: it tells everybody's addresses. `durable`: it
    outlasts a power cut. OSError where it cannot be written."""
    plain = (
        (key.version, tuple(key.pools), key.namespace, key.generation),
        _plain(rules.owners),
        _plain(rules.peers),
        rules.frontends,
        _plain(rules.published),
        _plain(rules.egress),
        _plain(rules.subordinates),
        _plain(rules.range_egress),
        rules.translates,
    )
    replace_file(path, checked.dumps(_FORMAT, plain), Durability.CONTENT if durable else Durability.NONE)


def _plain(rows: frozenset[Any]) -> frozenset[tuple[Any, ...]]:
    """marshal knows no class of ours."""
    return frozenset([tuple(row) for row in rows])


def forget(path: str) -> None:
    """Remove the file, where that is allowed."""
    with suppress(OSError):  # only root may; a file that stays is of a transaction that is over
        os.unlink(path)


def restore(path: str) -> Rules | None:
    """Install the ruleset of a file, where this network namespace has no table of ours; what was installed, None where
    nothing was. HostError with nft's own words."""
    kept = load(path)
    if kept is None:
        return None
    key, rules = kept
    table = Nft(key.pools)
    if table.observe() is not None:
        return None
    table.install(rules)
    return rules
